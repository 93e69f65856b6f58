#include "fcgi/auth.h"
#include "fcgi/session.h"
#include "tests/fuzz/fuzz.h"

/* Headers: tokens, cookies, Origin, trace ids, lengths. The input is variables as a web server passes
 * them, "NAME=value", each ended by a NUL, then the body. */

enum { VARIABLES = 12 };

static ssize_t read_bytes(void *arg, char *p, size_t n)
{
	struct str *rest = arg;

	n = n < rest->n ? n : rest->n;
	if (n)
		memcpy(p, rest->p, n);
	*rest = str_bytes(rest->p + n, rest->n - n);
	return (ssize_t)n;
}

static void read_headers(struct request *rq)
{
	struct reply rp = { 0 };
	struct str token = STR_LIT("");
	const char *next;

	if (auth_token(rq, &token))
		must(token.n);
	next = session_next(rq, token);
	must(next[0] == '/' && next[1] != '/' && !strpbrk(next, "\r\n\\ "));
	token = session_token(rq);
	if (session_keep(rq, &rp, token) == OK)
		must(token.n && token.n <= SESSION_TOKEN_BYTES);
	must(session_guard(rq) == ERR_FORBIDDEN); /* nobody guesses the HMAC */
	session_csrf(rq, &rp);
	session_set_theme(rq, &rp, session_theme(rq));
	reply_release(&rp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct settings set = { .api.base_path = "" };
	static struct process process = { .set = &set };
	static struct request rq;
	struct str in = str_bytes(data, size), one;
	struct arena a = { 0 };
	char *env[VARIABLES + 2] = { "REQUEST_URI=/ui/" };
	struct request_source source = { env, read_bytes, &in };

	for (size_t n = 1; n <= VARIABLES && str_cut(&in, '\0', &one); n++)
		env[n] = str_c(&a, one);
	if (request_init(&rq, &process, &source) == OK) {
		must(!strpbrk(rq.cx.trace, "\r\n \""));
		read_headers(&rq);
		if (request_read_body(&rq, 64) == OK)
			must(rq.body.n <= 64);
	}
	request_release(&rq);
	ctx_release(&rq.cx);
	arena_release(&a);
	return 0;
}
