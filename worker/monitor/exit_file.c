#include "worker/monitor/exit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const VERDICTS[] = {
#define X(name, text) [EXIT_##name] = text,
	EXIT_VERDICTS(X)
#undef X
};

#define NUMBERS(X)                                                                                 \
	X(started_us) X(ended_us) X(oom_kills) X(pids_hits) X(max_rss) X(cpu_us)                       \
	X(bytes) X(lines) X(head) X(missing) X(node_fault) X(wrong_platform) \
	X(engine_restarted)

const char *exit_verdict_name(enum exit_verdict v)
{
	return v < EXIT_VERDICT_COUNT ? VERDICTS[v] : "lost";
}

/* A bounded text; the sizes are chosen so that it never fills (EXIT_FILE_MAX). */
struct text {
	char *p;
	size_t n;
};

static void put(struct text *t, const char *s)
{
	size_t n = strlen(s);

	memcpy(t->p + t->n, s, n);
	t->n += n;
}

static void put_number(struct text *t, const char *key, uint64_t v)
{
	char digits[24];
	size_t at = sizeof digits - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	put(t, key);
	put(t, "=");
	put(t, digits + at);
	put(t, "\n");
}

static void put_message(struct text *t, const struct exit_file *f)
{
	put(t, "message=");
	for (size_t i = 0; i < sizeof f->message - 1 && f->message[i]; i++) {
		unsigned char c = (unsigned char)f->message[i];
		t->p[t->n++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	put(t, "\n");
}

size_t exit_file_format(const struct exit_file *f, char *out, size_t size)
{
	struct text t = { .p = out };

	if (size < EXIT_FILE_MAX)
		return 0;
	put_number(&t, "v", 1);
	put(&t, "verdict=");
	put(&t, exit_verdict_name(f->verdict));
	put(&t, "\n");
	if (f->code >= 0)
		put_number(&t, "code", (uint64_t)f->code);
	else
		put(&t, "code=-1\n");
	put_number(&t, "signal", (uint64_t)(f->signal > 0 ? f->signal : 0));
#define X(name) put_number(&t, #name, f->name);
	NUMBERS(X)
#undef X
	put_message(&t, f);
	return t.n;
}

static bool number(const char *s, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (unsigned)(s[i] - '0'), &v))
			return false;
	*out = v;
	return true;
}

static bool status_number(const char *s, size_t n, int32_t *out)
{
	uint64_t v;

	if (n == 2 && memcmp(s, "-1", 2) == 0) {
		*out = -1;
		return true;
	}
	if (!number(s, n, &v) || v > 255)
		return false;
	*out = (int32_t)v;
	return true;
}

static bool verdict_parse(const char *s, size_t n, enum exit_verdict *out)
{
	for (unsigned i = 0; i < EXIT_VERDICT_COUNT; i++)
		if (strlen(VERDICTS[i]) == n && memcmp(VERDICTS[i], s, n) == 0) {
			*out = (enum exit_verdict)i;
			return true;
		}
	return false;
}

static bool is_key(const char *line, size_t key_len, const char *key)
{
	return strlen(key) == key_len && memcmp(line, key, key_len) == 0;
}

/* One line; *seen collects what a whole file must have: 1 version, 2 verdict, 4 message (the last). */
static bool line_parse(const char *line, size_t n, struct exit_file *f, unsigned *seen)
{
	const char *eq = memchr(line, '=', n);
	size_t klen = eq ? (size_t)(eq - line) : 0;
	const char *val = eq ? eq + 1 : line;
	size_t vlen = eq ? n - klen - 1 : 0;
	uint64_t version;

	if (!eq)
		return false;
	if (is_key(line, klen, "v")) {
		*seen |= 1;
		return number(val, vlen, &version) && version == 1;
	}
	if (is_key(line, klen, "verdict")) {
		*seen |= 2;
		return verdict_parse(val, vlen, &f->verdict);
	}
	if (is_key(line, klen, "message")) {
		*seen |= 4;
		if (vlen >= sizeof f->message)
			return false;
		memcpy(f->message, val, vlen);
		f->message[vlen] = '\0';
		return true;
	}
	if (is_key(line, klen, "code"))
		return status_number(val, vlen, &f->code);
	if (is_key(line, klen, "signal"))
		return status_number(val, vlen, &f->signal);
#define X(name)                                                                                    \
	if (is_key(line, klen, #name))                                                                 \
		return number(val, vlen, &f->name);
	NUMBERS(X)
#undef X
	return true;
}

bool exit_file_parse(const char *text, size_t size, struct exit_file *out)
{
	struct exit_file f = { .code = -1 };
	unsigned seen = 0;

	if (size > EXIT_FILE_MAX)
		return false;
	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t n = end ? (size_t)(end - text) : 0;

		if (!end || !line_parse(text, n, &f, &seen))
			return false;
		text += n + 1;
		size -= n + 1;
	}
	if (seen != 7)
		return false;
	*out = f;
	return true;
}

int exit_file_write(int dirfd, const struct exit_file *f, unsigned gid)
{
	char text[EXIT_FILE_MAX];
	size_t n = exit_file_format(f, text, sizeof text);
	int fd = openat(dirfd, "exit.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	ssize_t put_n;
	int err = 0;

	if (fd < 0)
		return -errno;
	put_n = write(fd, text, n);
	if (put_n != (ssize_t)n)
		err = put_n < 0 ? errno : ENOSPC;
	if (!err && gid != UINT_MAX && fchown(fd, (uid_t)-1, gid))
		err = errno;
	if (!err && fsync(fd))
		err = errno;
	if (close(fd) && !err)
		err = errno;
	if (!err && renameat(dirfd, "exit.tmp", dirfd, "exit"))
		err = errno;
	if (err)
		unlinkat(dirfd, "exit.tmp", 0);
	return -err;
}
