#include "model/callback.h"

#include "base/clock.h"
#include "base/crypt.h"

enum { LANE_BYTES = 8, MESSAGE_ID_BYTES = 16 };
static const char CODE_SCHEME[] = "code:";

static bool is_printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] == 0x7f)
			return false;
	return true;
}

static size_t scheme_bytes(struct str url)
{
	if (url.n > 7 && str_is_nocase(str_bytes(url.p, 7), "http://"))
		return 7;
	if (url.n > 8 && str_is_nocase(str_bytes(url.p, 8), "https://"))
		return 8;
	return 0;
}

/* "host:port" between the scheme and the first of / ? # */
static struct str authority(struct str url, size_t scheme)
{
	struct str a = { url.p + scheme, 0 };

	while (scheme + a.n < url.n && !memchr("/?#", a.p[a.n], 3))
		a.n++;
	return a;
}

enum err callback_check(struct ctx *cx, struct str url)
{
	struct str host;
	size_t scheme;

	if (!url.n)
		return OK;
	if (url.n > CALLBACK_URL_BYTES)
		return err_set(cx, ERR_INPUT, "field callback: is longer than %d bytes", CALLBACK_URL_BYTES);
	if (callback_code(url, &host))
		return host.n && !memchr(host.p, 0, host.n)
		               ? OK : err_set(cx, ERR_INPUT, "field callback: code: needs the name of a code");
	scheme = scheme_bytes(url);
	if (!scheme || !is_printable(url))
		return err_set(cx, ERR_INPUT, "field callback: must be an http or https URL, or code:NAME");
	host = authority(url, scheme);
	if (!host.n || host.p[0] == ':')
		return err_set(cx, ERR_INPUT, "field callback: the URL has no host");
	if (host.n + scheme > CALLBACK_ORIGIN_BYTES)
		return err_set(cx, ERR_INPUT, "field callback: the URL's host is longer than %d bytes", CALLBACK_ORIGIN_BYTES);
	if (memchr(host.p, '@', host.n))
		return err_set(cx, ERR_INPUT, "field callback: a URL with a user name is not taken");
	return OK;
}

bool callback_code(struct str url, struct str *name)
{
	if (!str_starts(url, CODE_SCHEME))
		return false;
	*name = str_bytes(url.p + sizeof CODE_SCHEME - 1, url.n - (sizeof CODE_SCHEME - 1));
	return true;
}

struct str callback_origin(struct arena *a, struct str url)
{
	size_t scheme = scheme_bytes(url);
	struct str name, origin;
	char *text;

	if (callback_code(url, &name))
		return STR_LIT(CODE_SCHEME);
	origin = str_bytes(url.p, scheme + authority(url, scheme).n);
	if (origin.n > CALLBACK_ORIGIN_BYTES)
		origin.n = CALLBACK_ORIGIN_BYTES;
	text = arena_copy(a, origin.p, origin.n);
	for (size_t i = 0; i < origin.n; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] = (char)(text[i] - 'A' + 'a');
	return str_bytes(text, origin.n);
}

int64_t callback_lane(const struct id *project, struct str origin)
{
	char text[ID_BYTES + CALLBACK_ORIGIN_BYTES];
	unsigned char hash[SHA256_BYTES];
	int64_t lane = 0;

	memcpy(text, project->b, ID_BYTES);
	memcpy(text + ID_BYTES, origin.p, origin.n);
	crypt_sha256(str_bytes(text, ID_BYTES + origin.n), hash);
	for (int i = 0; i < LANE_BYTES; i++)
		lane = (int64_t)((uint64_t)lane << 8 | hash[i]);
	lane &= INT64_MAX;
	return lane ? lane : 1;
}

char *callback_message_id(struct arena *a, const struct id *task, int64_t number, struct str kind, const struct id *callback)
{
	const char *text = arena_printf(a, "%s %lld " STR_FMT " %s", id_format(task).s, (long long)number, STR_ARG(kind),
	                                id_format(callback).s);
	unsigned char hash[SHA256_BYTES];
	char hex[2 * MESSAGE_ID_BYTES + 1];

	crypt_sha256(str_of(text), hash);
	hex_format(hash, MESSAGE_ID_BYTES, hex);
	return arena_printf(a, "msg_%s", hex);
}

void callback_task_then(struct task *t, struct str kind, int64_t at, int64_t attempt)
{
	bool is_queued = str_is(kind, task_state_name(TASK_QUEUED)), is_same = attempt < 0 || attempt == t->attempt;

	if (!is_queued && !str_is(kind, task_state_name(TASK_RUNNING)))
		return;
	t->state = is_queued ? TASK_QUEUED : TASK_RUNNING;
	t->attempt = attempt < 0 ? t->attempt : attempt;
	t->updated_at = at;
	if (is_queued)
		t->started_at = TIME_NONE;
	else if (!is_same || t->started_at == TIME_NONE)
		t->started_at = at;
	t->ended_at = TIME_NONE;
	t->exit_code = -1;
	t->percent = 0;
	t->cause = t->note = t->msg = STR_LIT("");
	t->retry_task_id = (struct id){ { 0 } };
	t->cancel_asked = false;
}
