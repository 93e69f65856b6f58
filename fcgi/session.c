#include "fcgi/session.h"

#include "base/crypt.h"
#include "fcgi/auth.h"

enum { FORM_KEY_BYTES = 16 };

static bool is_https(const struct request *rq)
{
	return str_is(request_env(rq, "REQUEST_SCHEME"), "https") || str_is_nocase(request_env(rq, "HTTPS"), "on");
}

/* __Host- binds a cookie to this host and needs Path=/; below a prefix the path does the binding. */
static const char *cookie_name(const struct request *rq)
{
	if (!is_https(rq))
		return "stoker";
	return request_base(rq).n ? "__Secure-stoker" : "__Host-stoker";
}

static struct str cookie(const struct request *rq, const char *name)
{
	struct str all = request_header(rq, "Cookie"), one, key;

	while (str_cut(&all, ';', &one)) {
		one = str_trim(one);
		if (str_cut(&one, '=', &key) && str_is(key, name))
			return one;
	}
	return STR_LIT("");
}

static void set_cookie(struct request *rq, struct reply *rp, const char *name, struct str value, int64_t age_s)
{
	struct str base = request_base(rq);
	char *line = arena_printf(&rq->cx.arena, "%s=" STR_FMT "; Path=" STR_FMT "/; Max-Age=%lld; HttpOnly; SameSite=Lax%s",
	                          name, STR_ARG(value), STR_ARG(base), (long long)age_s,
	                          is_https(rq) ? "; Secure" : "");

	reply_header(rp, "Set-Cookie", str_of(line));
}

struct str session_token(const struct request *rq)
{
	return cookie(rq, cookie_name(rq));
}

static bool can_be_cookie(struct str s)
{
	static const char ALLOWED[] = "!#$%&'*+-./:<=>?@^_`|~";

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!plain && (c == 0 || !strchr(ALLOWED, c)))
			return false;
	}
	return s.n > 0 && s.n <= SESSION_TOKEN_BYTES;
}

enum err session_keep(struct request *rq, struct reply *rp, struct str token)
{
	if (!can_be_cookie(token))
		return err_set(&rq->cx, ERR_AUTH, "that did not work");
	set_cookie(rq, rp, cookie_name(rq), token, SESSION_IDLE_S);
	return OK;
}

void session_end(struct request *rq, struct reply *rp)
{
	set_cookie(rq, rp, cookie_name(rq), STR_LIT(""), 0);
}

/* --- forms ----------------------------------------------------------------------------------- */

static struct str form_key(const struct request *rq)
{
	struct str token = session_token(rq);

	return token.n ? token : cookie(rq, "stoker_form");
}

static const char *csrf_of(struct request *rq, struct str key)
{
	unsigned char mac[SHA256_BYTES];
	char *hex = arena_take(&rq->cx.arena, 2 * SHA256_BYTES + 1);

	crypt_hmac_sha256(key, STR_LIT("csrf"), mac);
	hex_format(mac, sizeof mac, hex);
	return hex;
}

const char *session_csrf(struct request *rq, struct reply *rp)
{
	struct str key = form_key(rq);
	unsigned char random[FORM_KEY_BYTES];
	char *fresh;

	if (key.n)
		return csrf_of(rq, key);
	fresh = arena_take(&rq->cx.arena, 2 * FORM_KEY_BYTES + 1);
	crypt_random(random, sizeof random);
	hex_format(random, sizeof random, fresh);
	set_cookie(rq, rp, "stoker_form", str_of(fresh), SESSION_IDLE_S);
	return csrf_of(rq, str_of(fresh));
}

/* Origin's host must be the one that was asked; a proxy may have changed the scheme, so only what
 * follows "://" is compared. */
static bool is_own_origin(const struct request *rq)
{
	struct str origin = request_header(rq, "Origin"), site = request_header(rq, "Sec-Fetch-Site");
	size_t at;

	if (site.n && !str_is(site, "same-origin"))
		return false;
	if (!origin.n || (str_is(origin, "null") && site.n))
		return true;
	at = str_find(origin, "://");
	if (at == (size_t)-1)
		return false;
	return str_equal(str_bytes(origin.p + at + 3, origin.n - at - 3), request_header(rq, "Host"));
}

enum err session_guard(struct request *rq)
{
	struct str key = form_key(rq), sent;
	const char *want;

	if (!is_own_origin(rq))
		return err_set(&rq->cx, ERR_FORBIDDEN, "this form was sent from another site; nothing was done");
	want = csrf_of(rq, key);
	if (!key.n || !request_form(rq, "csrf", &sent) || sent.n != strlen(want) || !crypt_equal(sent.p, want, sent.n))
		return err_set(&rq->cx, ERR_FORBIDDEN,
		               "this form is too old or not from your session; nothing was done: go back, reload, send it again");
	return OK;
}

enum err session_identify(struct request *rq, const struct id *project)
{
	struct str token = session_token(rq);

	if (!token.n)
		return err_set(&rq->cx, ERR_AUTH, "nobody is signed in");
	return auth_look_up(rq, token, project);
}

/* --- small things ------------------------------------------------------------------------------ */

struct str session_theme(const struct request *rq)
{
	struct str theme = cookie(rq, "stoker_theme");

	return str_is(theme, "light") || str_is(theme, "dark") ? theme : STR_LIT("");
}

void session_set_theme(struct request *rq, struct reply *rp, struct str theme)
{
	bool known = str_is(theme, "light") || str_is(theme, "dark");

	set_cookie(rq, rp, "stoker_theme", known ? theme : STR_LIT(""), known ? 31536000 : 0);
}

const char *session_next(struct request *rq, struct str wanted)
{
	const char *front = arena_printf(&rq->cx.arena, STR_FMT "/ui/", STR_ARG(request_base(rq)));

	if (!str_starts(wanted, front) || wanted.n > REQUEST_PATH_BYTES || str_find(wanted, "//") != (size_t)-1)
		return front;
	for (size_t i = 0; i < wanted.n; i++)
		if ((unsigned char)wanted.p[i] <= 0x20 || wanted.p[i] == '\\' || (unsigned char)wanted.p[i] >= 0x7f)
			return front;
	return str_c(&rq->cx.arena, wanted);
}
