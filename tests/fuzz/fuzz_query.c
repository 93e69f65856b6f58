#include "base/clock.h"
#include "fcgi/route.h"
#include "tests/fuzz/fuzz.h"

/* Request lines: the path cut into segments, the query into fields, and the readers of both. The input
 * is the method, a NUL, and what came as the request's target. */

static ssize_t no_body(void *arg, char *p, size_t n)
{
	(void)arg, (void)p, (void)n;
	return 0;
}

static void read_fields(struct request *rq)
{
	int64_t page, per_page, from = TIME_NONE;
	struct str text;
	unsigned allowed;
	struct id id;

	if (request_page(rq, &page, &per_page) == OK)
		must(page >= 0 && page <= 100 && per_page >= 1 && per_page <= 100);
	if (request_query_time(rq, "from_time", &from) == OK)
		must(from == TIME_NONE || from >= 0);
	if (request_query(rq, "oauth", &text))
		must(text.p || !text.n);
	if (route_find(rq, &allowed) != OK)
		return;
	must(rq->route && allowed);
	if (request_id(rq, "id", "task", &id) == OK)
		must(request_param(rq, "id").n == 24);
	must(request_param(rq, "project").n <= REQUEST_PATH_BYTES * 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct settings set = { .api.base_path = "/stoker" };
	static struct process process = { .set = &set };
	static struct request rq;
	struct str in = str_bytes(data, size), method = fuzz_field(&in);
	struct arena a = { 0 };
	char *env[] = { arena_printf(&a, "REQUEST_METHOD=%.*s", (int)method.n, method.p),
	                arena_printf(&a, "REQUEST_URI=%.*s", (int)in.n, in.p), NULL };
	struct request_source source = { env, no_body, NULL };

	if (request_init(&rq, &process, &source) == OK) {
		must(rq.segment_count <= REQUEST_SEGMENTS_MOST && rq.query_count <= REQUEST_QUERY_PAIRS);
		read_fields(&rq);
	} else {
		must(rq.cx.message[0]);
	}
	request_release(&rq);
	ctx_release(&rq.cx);
	arena_release(&a);
	return 0;
}
