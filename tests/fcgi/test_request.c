#include "fcgi/multipart.h"
#include "fcgi/python_bytes.h"
#include "fcgi/route.h"
#include "tests/fcgi/ask.h"

#include <stdlib.h>

static struct ctx cx;
static struct settings set;

static struct request request_for(struct process *process, char **env)
{
	static struct ask_body none;
	struct request_source source = { env, ask_read, &none };
	struct request rq = { 0 };

	process->set = &set;
	request_init(&rq, process, &source);
	return rq;
}

static struct request get(const char *uri)
{
	static struct process process;
	static char line[4096];
	static char *env[] = { "REQUEST_METHOD=GET", line, NULL };

	snprintf(line, sizeof line, "REQUEST_URI=%s", uri);
	return request_for(&process, env);
}

static void done(struct request *rq)
{
	request_release(rq);
	ctx_release(&rq->cx);
}

START_TEST(a_path_is_split_and_decoded_segment_by_segment)
{
	struct request rq = get("/2/projects/p/codes/iron%2Fhello?");

	ck_assert_uint_eq(rq.segment_count, 5);
	ck_assert(str_is(rq.segment[4], "iron/hello"));
	ck_assert_uint_eq(rq.query_count, 0);
	done(&rq);
}
END_TEST

START_TEST(an_absolute_request_line_loses_its_host)
{
	static const char *const URIS[] = { "http://h:80/2/x?a=1", "https://h/2/x?a=1", "/2/x?a=1", "/2/x/?a=1" };

	for (size_t i = 0; i < sizeof URIS / sizeof *URIS; i++) {
		struct request rq = get(URIS[i]);
		struct str a;

		ck_assert_uint_eq(rq.segment_count, 2);
		ck_assert(str_is(rq.segment[1], "x"));
		ck_assert(request_query(&rq, "a", &a) && str_is(a, "1"));
		done(&rq);
	}
}
END_TEST

START_TEST(a_host_without_a_path_is_the_root)
{
	struct request rq = get("http://h:80");

	ck_assert_uint_eq(rq.segment_count, 0);
	done(&rq);
}
END_TEST

START_TEST(the_base_path_is_cut_only_as_a_whole_segment)
{
	struct request rq;

	set.api.base_path = "/stoker";
	rq = get("/stoker/2/x");
	ck_assert(rq.segment_count == 2 && str_is(rq.path, "/2/x"));
	done(&rq);
	rq = get("/stokers/2");
	ck_assert(rq.segment_count == 2 && str_is(rq.segment[0], "stokers"));
	done(&rq);
	set.api.base_path = "";
}
END_TEST

START_TEST(broken_escapes_in_the_path_and_nul_are_refused)
{
	static const char *const URIS[] = { "/2/%", "/2/%4", "/2/%zz", "/2/%00", "" };

	for (size_t i = 0; i < sizeof URIS / sizeof *URIS; i++) {
		struct request rq = get(URIS[i]);

		ck_assert_int_eq(rq.cx.err, ERR_INPUT);
		done(&rq);
	}
}
END_TEST

START_TEST(queries_of_every_client_are_read)
{
	struct request rq = get("/x?queued=%25%21d%28bool%3Dtrue%29&a+b=c+d&empty=&bare&&q=%zz&n=7.9");
	struct str v;
	int64_t n = 0;

	ck_assert(request_query(&rq, "queued", &v) && str_is(v, "%!d(bool=true)"));
	ck_assert(request_query(&rq, "a b", &v) && str_is(v, "c d"));
	ck_assert(request_query(&rq, "empty", &v) && v.n == 0);
	ck_assert(request_query(&rq, "bare", &v) && v.n == 0);
	ck_assert(request_query(&rq, "q", &v) && str_is(v, "%zz"));
	ck_assert(!request_query(&rq, "none", &v));
	ck_assert_int_eq(request_query_int(&rq, "n", &n), OK);
	ck_assert_int_eq(n, 7);
	ck_assert_int_eq(request_query_int(&rq, "queued", &n), ERR_INPUT);
	done(&rq);
}
END_TEST

START_TEST(query_values_that_are_not_utf8_are_cleaned)
{
	struct request rq = get("/x?label=%ff");
	struct str v;

	ck_assert(request_query(&rq, "label", &v) && str_is(v, "\xef\xbf\xbd"));
	done(&rq);
}
END_TEST

START_TEST(a_query_may_have_64_fields_and_a_path_2048_bytes)
{
	char uri[4000] = "/x?";
	struct request rq;

	for (int i = 0; i < REQUEST_QUERY_PAIRS; i++)
		strncat(uri, "a=1&", sizeof uri - strlen(uri) - 1);
	rq = get(uri);
	ck_assert_int_eq(rq.cx.err, OK);
	done(&rq);
	strncat(uri, "a=1&", sizeof uri - strlen(uri) - 1);
	rq = get(uri);
	ck_assert_int_eq(rq.cx.err, ERR_INPUT);
	done(&rq);
	memset(uri, 'a', sizeof uri);
	uri[0] = '/';
	uri[REQUEST_PATH_BYTES] = 0;
	rq = get(uri);
	ck_assert_int_eq(rq.cx.err, OK);
	done(&rq);
	uri[REQUEST_PATH_BYTES] = 'a';
	uri[REQUEST_PATH_BYTES + 1] = 0;
	rq = get(uri);
	ck_assert_int_eq(rq.cx.err, ERR_INPUT);
	done(&rq);
}
END_TEST

/* --- tokens --------------------------------------------------------------------------------------- */
START_TEST(tokens_are_found_in_header_and_query_in_any_case)
{
	static const struct { const char *header, *uri, *token; } WAYS[] = {
		{ "OAuth abc", "/x", "abc" }, { "oauth abc", "/x", "abc" }, { "JWT abc", "/x", "abc" },
		{ "Bearer  abc ", "/x", "abc" }, { "", "/x?oauth=q", "q" }, { "OAuth abc", "/x?oauth=q", "abc" },
		{ "Basic abc", "/x?oauth=q", "q" }, { "Basic abc", "/x", NULL }, { "OAuth", "/x", NULL },
		{ "", "/x?oauth=", NULL },
	};

	for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++) {
		struct process process = { 0 };
		char line[100], header[100];
		char *env[] = { "REQUEST_METHOD=GET", line, header, NULL };
		struct request rq;
		struct str token = { 0 };

		snprintf(line, sizeof line, "REQUEST_URI=%s", WAYS[i].uri);
		snprintf(header, sizeof header, "HTTP_AUTHORIZATION=%s", WAYS[i].header);
		rq = request_for(&process, env);
		ck_assert_msg(auth_token(&rq, &token) == (WAYS[i].token != NULL), "%s %s", WAYS[i].header, WAYS[i].uri);
		if (WAYS[i].token)
			ck_assert(str_is(token, WAYS[i].token));
		done(&rq);
	}
}
END_TEST

/* --- routes ---------------------------------------------------------------------------------------- */
START_TEST(a_literal_beats_a_name_whatever_the_method)
{
	struct request rq = get("/2/projects/66aa01c2d3e4f5061728394a/tasks/webhook");
	unsigned allowed;

	ck_assert_int_eq(route_find(&rq, &allowed), ERR_METHOD);
	ck_assert_uint_eq(allowed, METHOD_POST | METHOD_OPTIONS);
	done(&rq);
}
END_TEST

START_TEST(head_is_answered_where_get_is)
{
	struct request rq = get("/2/projects/66aa01c2d3e4f5061728394a/tasks/66aa01c2d3e4f5061728394b");
	unsigned allowed;
	struct id id;

	rq.method = METHOD_HEAD;
	ck_assert_int_eq(route_find(&rq, &allowed), OK);
	ck_assert(str_is(request_param(&rq, "project"), "66aa01c2d3e4f5061728394a"));
	ck_assert_int_eq(request_id(&rq, "id", "task", &id), OK);
	done(&rq);
}
END_TEST

START_TEST(nothing_answers_unknown_paths)
{
	static const char *const URIS[] = { "/2", "/3/projects", "/2/projects/a/b", "/2//projects",
		                            "/2/projects/%2e%2e/x", "/2/projects/p/tasks/t/log/x",
		                            "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p" };

	for (size_t i = 0; i < sizeof URIS / sizeof *URIS; i++) {
		struct request rq = get(URIS[i]);
		unsigned allowed;

		ck_assert_msg(route_find(&rq, &allowed) == ERR_NOT_FOUND, "%s", URIS[i]);
		done(&rq);
	}
}
END_TEST

START_TEST(every_row_has_all_its_columns)
{
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		const struct route *r = &ROUTES[i];
		bool has_project = strstr(r->path, "{project}") != NULL;

		ck_assert_msg(r->method && r->surface && r->who && r->body && r->handler, "%s", r->path);
		ck_assert_msg(has_project || r->who < AUTH_VIEWER || r->who == AUTH_ADMIN, "%s names no project", r->path);
		ck_assert_msg(!has_project || r->who >= AUTH_VIEWER || r->surface != &API, "%s is open to other projects",
		              r->path);
		for (size_t k = 0; k < i; k++)
			ck_assert_msg(r->method != ROUTES[k].method || strcmp(r->path, ROUTES[k].path), "%s twice", r->path);
	}
}
END_TEST

/* --- bodies ---------------------------------------------------------------------------------------- */
struct parts {
	struct buf text; /* "name/file/type=bytes;" for each part */
};

static enum err parts_begin(void *arg, const struct part *p)
{
	struct parts *parts = arg;

	buf_printf(&parts->text, STR_FMT "/" STR_FMT "/" STR_FMT "=", STR_ARG(p->name), STR_ARG(p->file_name), STR_ARG(p->type));
	return OK;
}

static enum err parts_bytes(void *arg, struct str bytes)
{
	buf_str(&((struct parts *)arg)->text, bytes);
	return OK;
}

static enum err parts_end(void *arg)
{
	buf_char(&((struct parts *)arg)->text, ';');
	return OK;
}

/* What a body comes to when it is fed `step` bytes at a time; "!" behind it if it was refused. */
static const char *parts_of(struct parts *parts, struct str body, size_t step)
{
	struct multipart *m = calloc(1, sizeof *m);
	const struct multipart_reader reader = { parts_begin, parts_bytes, parts_end, parts };
	auto_ctx here = { 0 };
	enum err e = OK;

	buf_clear(&parts->text);
	buf_text(&parts->text, "");
	for (size_t i = 0; i < body.n && e == OK; i += step)
		e = multipart_feed(&here, m, &reader, str_bytes(body.p + i, body.n - i < step ? body.n - i : step));
	if (e != OK || multipart_end(&here, m, &reader))
		buf_char(&parts->text, '!');
	free(m);
	return parts->text.p;
}

static const size_t STEPS[] = { 1, 2, 3, 7, 1000000 };
#define each_step(step) for (const size_t *step = STEPS; step < STEPS + sizeof STEPS / sizeof *STEPS; step++)

START_TEST(multipart_bytes_come_back_unchanged)
{
	static const char *const ENDS[] = { "\r\n", "\n" };
	struct parts parts = { 0 };

	for (size_t i = 0; i < 2; i++) {
		auto_buf b = { 0 };
		const char *end = ENDS[i];

		buf_printf(&b, "--77120%sContent-Disposition: form-data; name=\"data\"%s%s{\"a\":1}%s", end, end, end, end);
		buf_printf(&b, "--77120%sContent-Disposition: form-data;filename=\"x.zip\"; name=\"file\"%s", end, end);
		buf_printf(&b, "Content-Type: text/plain%s%sPK\n--77120x\n--7712-\n\r%s--77120--%srest", end, end, end, end);
		each_step(step)
			ck_assert_str_eq(parts_of(&parts, buf_view(&b), *step),
			                 "data//={\"a\":1};file/x.zip/text/plain=PK\n--77120x\n--7712-\n\r;");
	}
	buf_free(&parts.text);
}
END_TEST

START_TEST(multipart_bodies_end_as_clients_end_them)
{
	struct parts parts = { 0 };

	each_step(step) {
		ck_assert_str_eq(parts_of(&parts, STR_LIT("\r\n--a\r\n\r\nx\r\n--a--"), *step), "//=x;");
		ck_assert_str_eq(parts_of(&parts, STR_LIT("--a\n\nx\n--a"), *step), "//=x;");
		ck_assert_str_eq(parts_of(&parts, STR_LIT("--a\r\n\r\n\r\n--a--\r\n"), *step), "//=;");
		ck_assert_str_eq(parts_of(&parts, STR_LIT("--a\n\n--a\n\n--a--"), *step), "//=;//=;");
		ck_assert_str_eq(parts_of(&parts, STR_LIT("--a\nContent-Disposition: form-data; name=data\n\nx\n\n--a--"), *step), "data//=x\n;");
	}
	buf_free(&parts.text);
}
END_TEST

/* Found by fuzzing: it was taken when it came in one piece. */
START_TEST(a_boundary_s_line_has_its_bound_however_the_body_is_cut)
{
	struct parts parts = { 0 };
	auto_buf b = { 0 };

	buf_text(&b, "--b\nCon\n\n--b\r");
	for (int i = 0; i < 250; i++)
		buf_char(&b, 'T');
	buf_text(&b, "\nx\n\n--b--");
	each_step(step)
		ck_assert_str_eq(parts_of(&parts, buf_view(&b), *step), "//=;!");
	buf_free(&parts.text);
}
END_TEST

START_TEST(broken_multipart_is_refused)
{
	static const char *const BROKEN[] = { "--", "--\n", "--a", "--a\n", "--a\nContent-Disposition: form-data", "--a\n\nx",
		                              "--a\nContent-Disposition: form-data; name=\"\n\nx--a", "--a\n\nx\n--a\n" };
	struct parts parts = { 0 };

	for (size_t i = 0; i < sizeof BROKEN / sizeof *BROKEN; i++)
		each_step(step) {
			const char *got = parts_of(&parts, str_of(BROKEN[i]), *step);

			ck_assert_msg(got[strlen(got) - 1] == '!', "%s gave %s", BROKEN[i], got);
		}
	buf_free(&parts.text);
}
END_TEST

START_TEST(what_python_prints_for_bytes_becomes_them_again)
{
	static const char TEXT[] = "b'PK\\x03\\x04\\n\\r\\t\\\\ \\'\"a\\xff'\n";
	char out[sizeof TEXT];

	each_step(step) {
		struct python_bytes p = { 0 };
		size_t n = 0;

		for (size_t i = 0; i < sizeof TEXT - 1; i += *step)
			n += python_bytes_feed(&p, str_bytes(TEXT + i, sizeof TEXT - 1 - i < *step ? sizeof TEXT - 1 - i : *step), out + n);
		ck_assert(str_is(str_bytes(out, n), "PK\3\4\n\r\t\\ '\"a\xff"));
	}
	ck_assert(python_bytes_is(STR_LIT("b'PK\\x03")) && python_bytes_is(STR_LIT("b\"PK")));
	ck_assert(!python_bytes_is(STR_LIT("PK\3\4")) && !python_bytes_is(STR_LIT("b'P")));
}
END_TEST

/* --- replies --------------------------------------------------------------------------------------- */
START_TEST(a_header_cannot_forge_a_second_one)
{
	struct reply rp = { 0 };

	reply_header(&rp, "Location", STR_LIT("/x\r\nSet-Cookie: a=b\n"));
	ck_assert_str_eq(rp.headers.p, "Location: /xSet-Cookie: a=b\r\n");
	reply_release(&rp);
}
END_TEST

START_TEST(a_hung_database_is_asked_by_one_request_a_second)
{
	struct breaker b = { 0 };

	ck_assert(breaker_allows(&b, 5000000, 1900000));
	breaker_note(&b, 5000000, 5001000, true); /* refused at once: the next one may ask */
	ck_assert(breaker_allows(&b, 5001000, 1900000));
	breaker_note(&b, 5000000, 7000000, true);
	ck_assert(!breaker_allows(&b, 7000001, 0));
	ck_assert(breaker_allows(&b, 8000000, 0));
	ck_assert(!breaker_allows(&b, 8000000, 1500000)); /* it would wait two seconds more */
	breaker_note(&b, 8000000, 8001000, false);
	ck_assert(breaker_allows(&b, 8001000, 1900000));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("request");
	Suite *s = suite_create("request");
	SRunner *r;
	int failed;

	settings_read(&cx, NULL, &set);
	tcase_add_test(t, a_path_is_split_and_decoded_segment_by_segment);
	tcase_add_test(t, an_absolute_request_line_loses_its_host);
	tcase_add_test(t, a_host_without_a_path_is_the_root);
	tcase_add_test(t, the_base_path_is_cut_only_as_a_whole_segment);
	tcase_add_test(t, broken_escapes_in_the_path_and_nul_are_refused);
	tcase_add_test(t, queries_of_every_client_are_read);
	tcase_add_test(t, query_values_that_are_not_utf8_are_cleaned);
	tcase_add_test(t, a_query_may_have_64_fields_and_a_path_2048_bytes);
	tcase_add_test(t, tokens_are_found_in_header_and_query_in_any_case);
	tcase_add_test(t, a_literal_beats_a_name_whatever_the_method);
	tcase_add_test(t, head_is_answered_where_get_is);
	tcase_add_test(t, nothing_answers_unknown_paths);
	tcase_add_test(t, every_row_has_all_its_columns);
	tcase_add_test(t, multipart_bytes_come_back_unchanged);
	tcase_add_test(t, multipart_bodies_end_as_clients_end_them);
	tcase_add_test(t, a_boundary_s_line_has_its_bound_however_the_body_is_cut);
	tcase_add_test(t, broken_multipart_is_refused);
	tcase_add_test(t, what_python_prints_for_bytes_becomes_them_again);
	tcase_add_test(t, a_header_cannot_forge_a_second_one);
	tcase_add_test(t, a_hung_database_is_asked_by_one_request_a_second);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
