#include "base/http.h"
#include "fcgi/once.h"
#include "fcgi/prefer.h"
#include "model/trace.h"
#include "tests/fuzz/fuzz.h"

/* Headers that mean something beyond a text: Prefer, Idempotency-Key, Retry-After (of receivers and
 * registries), traceparent. The input is their values in this order, each ended by a NUL, then a body. */

static void check_prefer(struct request *rq)
{
	int seconds = prefer_wait_s(rq);

	must(seconds >= -1 && seconds <= PREFER_WAIT_MOST_S);
}

/* The same request is the same one; a longer body is another. */
static void check_once(struct request *rq, struct str body)
{
	struct idempotency first, again, longer;
	struct str key = request_header(rq, "Idempotency-Key");
	bool has;

	rq->body = body;
	must((once_read(rq, &first, &has) == OK) == (key.n <= ONCE_KEY_BYTES));
	must(has == (key.n > 0));
	if (key.n > ONCE_KEY_BYTES)
		return;
	must(once_read(rq, &again, &has) == OK && memcmp(&first, &again, sizeof first.key + sizeof first.body) == 0);
	if (!body.n)
		return;
	rq->body = str_bytes(body.p, body.n - 1);
	must(once_read(rq, &longer, &has) == OK);
	must(memcmp(first.key, longer.key, sizeof first.key) == 0 && memcmp(first.body, longer.body, sizeof first.body) != 0);
}

static void check_values(struct str retry_after, struct str trace)
{
	int seconds = http_retry_after_s(retry_after);

	must(seconds >= 0 && seconds <= 86400);
	if (!trace_is_parent(trace))
		return;
	must(trace.n == TRACEPARENT_BYTES);
	for (size_t i = 0; i < trace.n; i++)
		must(strchr("0123456789abcdef-", trace.p[i]) && trace.p[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct settings set = { .api.base_path = "" };
	static struct process process = { .set = &set };
	static struct request rq;
	struct str in = str_bytes(data, size), prefer = fuzz_field(&in), key = fuzz_field(&in), retry_after = fuzz_field(&in),
	           trace = fuzz_field(&in);
	struct arena a = { 0 };
	char *env[] = { "REQUEST_URI=/2/projects", arena_printf(&a, "HTTP_PREFER=" STR_FMT, STR_ARG(prefer)),
		        arena_printf(&a, "HTTP_IDEMPOTENCY_KEY=" STR_FMT, STR_ARG(key)), NULL };
	struct request_source source = { env, NULL, NULL };

	must(request_init(&rq, &process, &source) == OK);
	check_prefer(&rq);
	check_once(&rq, in);
	check_values(retry_after, trace);
	request_release(&rq);
	ctx_release(&rq.cx);
	arena_release(&a);
	return 0;
}
