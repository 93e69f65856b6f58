#include "base/json.h"
#include "fcgi/page/search_page.h"
#include "fcgi/page/settings_page.h"
#include "fcgi/page/callbacks_page.h"
#include "fcgi/page/error_page.h"
#include "fcgi/page/log_page.h"
#include "fcgi/page/overview_page.h"
#include "fcgi/page/projects_page.h"
#include "fcgi/page/signin_page.h"
#include "fcgi/page/task_page.h"
#include "fcgi/page/tasks_page.h"
#include "fcgi/page/words.h"
#include "fcgi/route.h"

#include <check.h>
#include <libxml/HTMLparser.h>
#include <stdio.h>
#include <stdlib.h>

/* Every page filled with made-up data, hostile bytes among them, then read again by a second parser
 * and looked through. STOKER_PAGES_DIR=folder keeps the pages for a person to look at. */

static struct settings set;
static struct process process;
static struct request rq;
static struct reply rp;

static const char HOSTILE[] = "<script>alert(1)</script>\" onload=x \xff\x01\x1b[31m \xe2\x80\xae' & ";

static ssize_t no_body(void *arg, char *p, size_t n)
{
	(void)arg, (void)p, (void)n;
	return 0;
}

static void given_request_with(const char *uri, const char *more)
{
	static char line[600]; /* the request keeps views of it */
	char *env[] = { "REQUEST_METHOD=GET", line, "HTTP_HOST=stoker.example:8080", "REQUEST_SCHEME=http",
		        "HTTP_COOKIE=a=b; stoker=stk_12345678_x", (char *)more, NULL };
	struct request_source source = { env, no_body, NULL };
	unsigned allowed;

	snprintf(line, sizeof line, "REQUEST_URI=%s", uri);
	rq = (struct request){ 0 };
	rp = (struct reply){ 0 };
	ck_assert_int_eq(request_init(&rq, &process, &source), OK);
	rq.source.env = NULL;
	rq.source.env = arena_array(&rq.cx.arena, 8, sizeof(char *));
	for (size_t i = 0; env[i]; i++)
		rq.source.env[i] = arena_text(&rq.cx.arena, env[i]);
	ck_assert_int_eq(route_find(&rq, &allowed), OK);
	rq.who.user_name = STR_LIT("ana");
	rq.who.token_name = STR_LIT("laptop");
	rq.who.role = ROLE_DEVELOPER;
}

#define OURS "/ui/p/6a1f3b00c0de6a1f3b00c0de"
#define TASK OURS "/tasks/6a1f3b00c0de6a1f3b00c001"

static void given_request(const char *uri)
{
	given_request_with(uri, NULL);
}

static void end_request(void)
{
	reply_release(&rp);
	request_release(&rq);
	ctx_release(&rq.cx);
}

static void open_kit(void)
{
	const char *www = getenv("STOKER_WWW");

	set = (struct settings){ .api = { .base_path = "", .www = (char *)(www ? www : "www") } };
	process = (struct process){ .set = &set };
}

static void close_kit(void)
{
	page_kit_free(process.pages);
	process.pages = NULL;
}

/* --- made-up data ---------------------------------------------------------------------------------- */

static int64_t ago(int64_t seconds)
{
	return clock_wall_us() - seconds * 1000000;
}

static struct id id_of(unsigned last)
{
	struct id id;

	ck_assert(id_parse(STR_LIT("6a1f3b00c0de6a1f3b00c000"), &id));
	id.b[11] = (unsigned char)last;
	return id;
}

static const struct frame *given_frame(void)
{
	static struct project projects[2];
	static struct node nodes[3];
	static struct frame f;

	projects[0] = (struct project){ .id = id_of(0xde), .name = STR_LIT("billing"), .created_at = ago(86400 * 30), .payload_keys = STR_LIT("iban") };
	projects[1] = (struct project){ .id = id_of(0xdf), .name = STR_LIT("reports"), .created_at = ago(86400 * 400), .paused = true };
	nodes[0] = (struct node){ .name = STR_LIT("node-1"), .cluster_name = STR_LIT("default"), .state = STR_LIT("live"), .slots = 16, .running = 11, .lease_until = ago(-9), .beat_at = ago(1) };
	nodes[1] = (struct node){ .name = STR_LIT("node-2"), .cluster_name = STR_LIT("default"), .state = STR_LIT("draining"), .slots = 16, .running = 2, .lease_until = ago(-9), .beat_at = ago(2) };
	nodes[2] = (struct node){ .name = STR_LIT("node-3"), .cluster_name = STR_LIT("gpu"), .state = STR_LIT("live"), .slots = 4, .running = 4, .lease_until = ago(20), .beat_at = ago(31) };
	f = (struct frame){ .projects = projects, .project_count = 2, .project = &projects[0], .nodes = nodes, .node_count = 3, .read_us = ago(0),
		            .figures = { .waiting = 1204, .later = 2, .running = 42, .oldest_waiting_at = ago(192), .complete_hour = 2304, .failed_hour = 61 } };
	frame_count_nodes(&f, f.read_us);
	return &f;
}

static struct task given_task(unsigned n, enum task_state s)
{
	struct task t = { .id = id_of(n), .project_id = id_of(0xde), .code_name = STR_LIT("billing/invoice"), .cluster_name = STR_LIT("default"), .state = s,
		          .revision = 12, .attempt = 1, .priority = 1, .timeout_s = 3600, .created_at = ago(150), .due_at = ago(150), .started_at = ago(149),
		          .ended_at = ago(136), .exit_code = -1, .label = STR_LIT("order-7"), .cause = STR_LIT(""), .note = STR_LIT("") };

	if (!task_state_is_settled(s))
		t.ended_at = TIME_NONE;
	if (s == TASK_QUEUED) {
		t.attempt = 0;
		t.started_at = TIME_NONE;
		t.cluster_name = STR_LIT("gpu");
		t.code_name = STR_LIT("gpu/render");
	}
	if (s == TASK_ERROR) {
		t.exit_code = 1;
		t.cause = STR_LIT("exit");
		t.note = STR_LIT("the program ended with exit status 1");
		t.retry_task_id = id_of(0x77);
	}
	if (s == TASK_KILLED) {
		t.cause = STR_LIT("out_of_memory");
		t.note = STR_LIT("out of memory: 512 MiB allowed");
	}
	return t;
}

static struct task_view given_task_view(enum task_state s)
{
	static struct task_event events[4];
	static struct task_attempt attempts[1];
	static struct task_delivery deliveries[1];
	struct task_view v = { .task = given_task(1, s), .events = events, .event_count = 3, .attempts = attempts };

	events[0] = (struct task_event){ 1, 0, TASK_QUEUED, ago(150), STR_LIT(""), STR_LIT("queued by token ci") };
	events[1] = (struct task_event){ 2, 1, TASK_PREPARING, ago(149), STR_LIT(""), STR_LIT("claimed by node-1") };
	events[2] = (struct task_event){ 3, 1, TASK_RUNNING, ago(148), STR_LIT(""), STR_LIT("") };
	events[3] = (struct task_event){ 4, 1, s, ago(136), v.task.cause, v.task.note };
	if (task_state_is_settled(s))
		v.event_count = 4;
	if (s == TASK_QUEUED)
		v.event_count = 1;
	v.attempt_count = v.task.attempt ? 1 : 0;
	attempts[0] = (struct task_attempt){ .number = 1, .claimed_at = ago(149), .started_at = ago(148), .ended_at = task_state_is_settled(s) ? ago(136) : TIME_NONE,
		                             .exit_code = v.task.exit_code, .max_rss_bytes = 222298112, .cpu_us = 3100000, .node_name = STR_LIT("node-1"), .cause = v.task.cause, .note = v.task.note };
	deliveries[0] = (struct task_delivery){ 1, 1, 200, ago(135), TIME_NONE, STR_LIT("delivered"), STR_LIT("") };
	v.deliveries = deliveries;
	v.delivery_count = task_state_is_settled(s) ? 1 : 0;
	v.task.payload = STR_LIT("{\"order\":7,\"customer\":{\"name\":\"Ana\",\"api_key\":\"planted-1\",\"lines\":[{\"sku\":\"A-1\",\"n\":2},{\"sku\":\"B-9\",\"n\":1}]},"
	                         "\"inner\":\"{\\\"password\\\":\\\"planted-2\\\"}\",\"dry\":false}");
	return v;
}

static void given_log(struct log_part *part)
{
	static struct log_head head;
	static const char *const LINES[] = {
		"\x1b[1mstarting\x1b[0m invoice run for \x1b[36m2026-11\x1b[0m\n", "loaded 1,204 orders\n", "progress  10 %\rprogress  50 %\rprogress 100 %\n",
		"\x1b[33mwarning:\x1b[0m order 7 has no VAT id\n", "<script>alert('no')</script> \x1b]8;;http://evil/\x07link\x1b]8;;\x07 \xff\xfe \xe2\x80\xae\n",
	};
	int64_t at = 0;

	head = (struct log_head){ .attempt = 1, .next = 2, .bytes = 9000, .lines = 212, .kept = 700, .closed = false };
	*part = (struct log_part){ .heads = &head, .head_count = 1, .head = &head, .lines = { .arena = &rq.cx.arena } };
	log_lines_begin(&part->lines, 0, 0);
	for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++) {
		log_lines_add(&part->lines, at, 1, ago(148 - (int64_t)i), str_of(LINES[i]));
		at += (int64_t)strlen(LINES[i]);
	}
	log_lines_add(&part->lines, at + 4120331, 2, ago(137), STR_LIT("connect: connection refused\n"));
	log_lines_end(&part->lines);
}

/* --- looking at what came out ------------------------------------------------------------------------ */

static void keep_page(const char *name)
{
	const char *folder = getenv("STOKER_PAGES_DIR");
	char path[4096];
	FILE *f;

	if (!folder)
		return;
	snprintf(path, sizeof path, "%s/%s.html", folder, name);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(rp.body.p, 1, rp.body.n, f), rp.body.n);
	fclose(f);
}

static void look_at_attributes(const xmlNode *n)
{
	for (const xmlAttr *a = n->properties; a; a = a->next) {
		ck_assert_msg(strncmp((const char *)a->name, "on", 2) != 0, "<%s %s>", n->name, a->name);
		ck_assert_msg(strcmp((const char *)a->name, "style") != 0, "<%s style>", n->name);
		ck_assert_msg(strcmp((const char *)a->name, "fill") != 0 || n->parent->name[0] == 's', "mark left on <%s>", n->name);
		ck_assert_msg(strcmp((const char *)a->name, "piece") != 0, "sample left: <%s>", n->name);
	}
}

/* No script or style of its own, no attribute that runs or paints. */
static void look_at(const xmlNode *n)
{
	for (; n; n = n->next) {
		if (n->type != XML_ELEMENT_NODE)
			continue;
		if (strcmp((const char *)n->name, "script") == 0) {
			ck_assert_ptr_nonnull(xmlHasProp(n, BAD_CAST "src"));
			ck_assert_msg(!n->children || !n->children->content[0], "a script with text");
		}
		ck_assert_msg(strcmp((const char *)n->name, "style") != 0, "a style element");
		look_at_attributes(n);
		look_at(n->children);
	}
}

static int serious_errors;

static void on_error(void *arg, xmlErrorPtr e)
{
	(void)arg;
	if (e->code == XML_HTML_UNKNOWN_TAG) /* libxml2 does not know main, nav, svg */
		return;
	serious_errors++;
	fprintf(stderr, "line %d: %s", e->line, e->message);
}

static void page_is_clean(const char *name)
{
	htmlDocPtr doc;

	rp.body.p[rp.body.n] = 0;
	keep_page(name);
	ck_assert_ptr_null(strstr(rp.body.p, "<script>"));
	ck_assert_ptr_null(strstr(rp.body.p, "\x1b"));
	ck_assert_ptr_null(strstr(rp.body.p, "\xe2\x80\xae"));
	serious_errors = 0;
	xmlSetStructuredErrorFunc(NULL, on_error);
	doc = htmlReadMemory(rp.body.p, (int)rp.body.n, NULL, "UTF-8", HTML_PARSE_NONET);
	xmlSetStructuredErrorFunc(NULL, NULL);
	ck_assert_ptr_nonnull(doc);
	ck_assert_int_eq(serious_errors, 0);
	look_at(xmlDocGetRootElement(doc));
	xmlFreeDoc(doc);
}

static void open_page(struct page *p, const char *uri, const char *name)
{
	given_request(uri);
	ck_assert_msg(page_open(&rq, &rp, name, given_frame(), p) == OK, "%s", rq.cx.message);
}

static void send_page(struct page *p, const char *name)
{
	ck_assert_int_eq(page_send(p, 200), OK);
	page_close(p);
	page_is_clean(name);
}

static bool shows(const char *text)
{
	return strstr(rp.body.p, text) != NULL;
}

/* --- every page ----------------------------------------------------------------------------------------- */

START_TEST(overview_is_clean)
{
	struct task failed[3] = { given_task(1, TASK_ERROR), given_task(2, TASK_KILLED), given_task(3, TASK_TIMEOUT) };
	struct task latest[3] = { given_task(9, TASK_QUEUED), given_task(8, TASK_RUNNING), given_task(7, TASK_COMPLETE) };
	struct overview_view v = { .failed = { .tasks = failed, .n = 3, .searched_to = TIME_NONE }, .latest = { .tasks = latest, .n = 3, .more = true, .searched_to = TIME_NONE } };
	struct page p;

	failed[0].note = STR_LIT("ended second");
	failed[0].ended_at = ago(60);
	failed[1].note = STR_LIT("ended first");
	failed[1].ended_at = ago(90);
	failed[2].note = STR_LIT("ended last");
	failed[2].ended_at = ago(30);
	open_page(&p, OURS, "overview");
	overview_page_fill(&p, &v);
	send_page(&p, "overview");
	ck_assert(shows("1,204"));
	ck_assert(shows("oldest 3 min 12 s, 2 scheduled for later"));
	ck_assert(strstr(rp.body.p, "ended last") < strstr(rp.body.p, "ended second"));
	ck_assert(strstr(rp.body.p, "ended second") < strstr(rp.body.p, "ended first"));
	ck_assert(shows("<title>Overview · billing · Stoker</title>"));
	ck_assert(shows("1 lost"));
	end_request();
}
END_TEST

START_TEST(overview_without_any_task_shows_the_first_commands_and_no_token)
{
	struct overview_view v = { .failed = { .searched_to = TIME_NONE }, .latest = { .searched_to = TIME_NONE } };
	struct page p;

	open_page(&p, OURS, "overview");
	overview_page_fill(&p, &v);
	send_page(&p, "overview-empty");
	ck_assert(shows("stoker queue hello"));
	ck_assert(shows("stoker.example:8080"));
	ck_assert(!shows("stk_12345678"));
	end_request();
}
END_TEST

START_TEST(task_list_is_clean)
{
	static struct task tasks[12];
	static struct code codes[2];
	struct tasks_view v = { .text = "code:billing/invoice since:24h", .per_page = 50, .list = { .tasks = tasks, .n = 12, .more = true, .searched_to = TIME_NONE },
		                .counts = { 1204, 3, 39, 10000, 200, 50, 60, 8, 0 }, .codes = codes, .code_count = 2, .news = 12 };
	struct page p;

	given_request(OURS "/tasks");
	for (unsigned i = 0; i < 12; i++) {
		tasks[i] = given_task(0x40 - i, (enum task_state)(i % TASK_STATE_COUNT));
		tasks[i].created_at = ago(100 + i * i * 400);
	}
	tasks[4].label = str_of(HOSTILE);
	tasks[4].note = str_of(HOSTILE);
	codes[0].name = STR_LIT("billing/invoice");
	codes[1].name = STR_LIT("gpu/render");
	ck_assert_int_eq(task_query_parse(&rq.cx, str_of(v.text), ago(0), &v.query), OK);
	ck_assert_int_eq(page_open(&rq, &rp, "tasks", given_frame(), &p), OK);
	tasks_page_fill(&p, &v);
	send_page(&p, "tasks");
	for (int s = 0; s < TASK_STATE_COUNT; s++) {
		char icon[40];

		snprintf(icon, sizeof icon, "#i-%s", task_state_name((enum task_state)s));
		ck_assert_msg(shows(icon), "%s", icon);
	}
	ck_assert(shows("10,000+"));
	ck_assert(shows("no live node in cluster gpu"));
	end_request();
}
END_TEST

START_TEST(an_unknown_filter_word_is_a_visible_error)
{
	struct tasks_view v = { .text = "colour:red", .per_page = 50, .list = { .searched_to = TIME_NONE }, .wrong = "the filter does not know 'colour:'" };
	struct page p;

	open_page(&p, OURS "/tasks?q=colour:red", "tasks");
	tasks_page_fill(&p, &v);
	send_page(&p, "tasks-wrong");
	ck_assert(shows("does not know"));
	ck_assert(shows("aria-invalid"));
	end_request();
}
END_TEST

START_TEST(task_page_of_every_state_is_clean)
{
	for (int s = 0; s < TASK_STATE_COUNT; s++) {
		struct task_view v;
		struct page p;
		char name[40];

		open_page(&p, TASK, "task");
		v = given_task_view((enum task_state)s);
		if (v.task.attempt)
			given_log(&v.log);
		task_page_fill(&p, &v);
		snprintf(name, sizeof name, "task-%s", task_state_name((enum task_state)s));
		send_page(&p, name);
		ck_assert_msg(!shows("planted"), "a secret of the payload is shown");
		ck_assert(shows("[FILTERED]"));
		log_part_release(&v.log);
		end_request();
	}
}
END_TEST

START_TEST(log_page_is_clean)
{
	struct log_view v;
	struct page p;

	open_page(&p, TASK "/log", "log");
	v = (struct log_view){ .task = given_task(1, TASK_RUNNING), .first_line = -1, .mark = 3, .mark_to = 3 };
	given_log(&v.part);
	log_page_fill(&p, &v);
	send_page(&p, "log");
	ck_assert(shows("id=\"L4\""));
	ck_assert(shows("4,120,331 bytes left out here"));
	ck_assert(shows("progress 100 %"));
	ck_assert(!shows("progress  50 %"));
	ck_assert(!shows("evil"));
	ck_assert(shows("class=\"b\""));
	log_part_release(&v.part);
	end_request();
}
END_TEST

static struct delivery_entry given_delivery(const char *state)
{
	return (struct delivery_entry){ .id = 7, .tries = 3, .status = 503, .took_ms = 20, .task_id = { { 1, 2 } }, .kind = STR_LIT("error"),
		                        .state = str_of(state), .url = str_of(HOSTILE), .error = str_of(HOSTILE), .at = ago(60),
		                        .next_at = ago(-60), .delivered_at = TIME_NONE };
}

START_TEST(callbacks_deliveries_and_triggers_are_clean)
{
	struct callback callbacks[] = {
		{ .name = str_of(HOSTILE), .url = str_of(HOSTILE), .code_name = str_of(HOSTILE), .states = 0x7ff, .paused_at = TIME_NONE,
		  .disabled_at = TIME_NONE, .failing_at = ago(9), .failures = 5 },
		{ .url = STR_LIT("https://x/"), .paused_at = TIME_NONE, .disabled_at = ago(3), .failing_at = TIME_NONE },
	};
	struct delivery_entry deliveries[] = { given_delivery("waiting"), given_delivery("exhausted") };
	struct trigger triggers[] = { { .name = str_of(HOSTILE), .code_name = str_of(HOSTILE), .paused_at = TIME_NONE, .created_at = ago(9) } };
	struct callbacks_view v = { callbacks, deliveries, triggers, 2, 2, 1, STR_LIT("failing"), 7, "done", true };
	struct page p;

	open_page(&p, OURS "/callbacks?state=failing", "callbacks");
	callbacks_page_fill(&p, &v);
	send_page(&p, "callbacks");
	ck_assert(shows("failing, 5 times in a row") && shows("given up") && shows("Send test"));
	end_request();
	v = (struct callbacks_view){ .state = STR_LIT("") };
	open_page(&p, OURS "/callbacks", "callbacks");
	callbacks_page_fill(&p, &v);
	send_page(&p, "callbacks-none");
	ck_assert(shows("No callback is registered") && shows("No trigger is made"));
	end_request();
}
END_TEST

static struct str nothing_typed(void *arg, const char *field)
{
	(void)field;
	return *(struct str *)arg;
}

START_TEST(settings_are_clean_and_offer_what_one_may)
{
	struct log_destination d[] = {
		{ .name = str_of(HOSTILE), .address = str_of(HOSTILE), .error = str_of(HOSTILE), .ping_error = str_of(HOSTILE), .pinged_at = ago(1),
		  .paused_at = TIME_NONE, .failing_at = ago(60), .failures = 7, .lost_logs = 3 },
		{ .address = STR_LIT("udp://x"), .template = LOG_SYSLOG, .paused_at = ago(5), .failing_at = TIME_NONE, .pinged_at = TIME_NONE },
	};
	struct log_lag lags[] = { { .logs = 5, .bytes = 2048, .since = ago(90) }, { .since = TIME_NONE } };
	struct str typed = str_of(HOSTILE);
	struct settings_view v = { .destinations = d, .lags = lags, .n = 2, .now = ago(0), .payload_keys = str_of(HOSTILE), .typed = nothing_typed,
		                   .arg = &typed, .wrong = HOSTILE, .may_change = true, .may_hide = true };
	struct page p;

	open_page(&p, OURS "/settings", "settings");
	settings_page_fill(&p, &v);
	send_page(&p, "settings");
	ck_assert(shows("failing, 7 times in a row") && shows("5 logs wait (2.0 KiB)") && shows("3 logs were lost") && shows("Resume"));
	end_request();
	v = (struct settings_view){ .typed = nothing_typed, .arg = &typed, .payload_keys = STR_LIT("") };
	open_page(&p, OURS "/settings", "settings");
	settings_page_fill(&p, &v);
	send_page(&p, "settings-viewer");
	ck_assert(shows("Output goes nowhere else") && shows("none of its own") && !shows("settings/destinations"));
	end_request();
}
END_TEST

START_TEST(a_search_is_clean_and_says_how_far_it_looked)
{
	struct search_view v = { .text = STR_LIT("<b>"), .code = str_of(HOSTILE), .state = STR_LIT("error") };
	auto_json *found = json_pack("{s:[{s:s, s:s, s:s, s:i, s:i, s:s}], s:i, s:i, s:s}", "hits", "task_id", "6a1f3b00c0de6a1f3b00c0de",
	                             "code_name", "a/b", "state", "error", "attempt", 2, "byte", 4096, "text", "x <b> y <b>",
	                             "searched_tasks", 1000, "searched_bytes", 33554432, "next", "6a1f3b00c0de6a1f3b00c0de-2-4099");
	struct page p;

	open_page(&p, OURS "/logs/search?q=x", "search");
	search_page_fill(&p, &v);
	send_page(&p, "search-nothing");
	ck_assert(shows("Which line of which job"));
	end_request();
	v.found = found;
	open_page(&p, OURS "/logs/search?q=x", "search");
	search_page_fill(&p, &v);
	send_page(&p, "search");
	ck_assert(shows("1 found in 32.0 MiB of output of 1,000 tasks. There is more") && shows("x <mark>&lt;b&gt;</mark> y <mark>"));
	ck_assert(shows("log?attempt=2&amp;from=4096") && shows("Search further"));
	end_request();
}
END_TEST

START_TEST(one_delivery_and_one_trigger_are_clean)
{
	struct delivery_try tries[] = { { .number = 1, .at = ago(5), .status = 503, .took_ms = 20, .address = STR_LIT("192.0.2.1"),
		                          .error = str_of(HOSTILE), .answer = str_of(HOSTILE) } };
	struct delivery_view d = { given_delivery("waiting"), tries, 1, "It is due now.", true };
	struct trigger_note notes[] = { { .at = ago(5), .address = STR_LIT("192.0.2.1"), .verdict = STR_LIT("refused"), .reason = str_of(HOSTILE),
		                          .delivery = str_of(HOSTILE), .body = str_of(HOSTILE), .task_id = { { 1 } } } };
	struct trigger_view t = { { .name = str_of(HOSTILE), .code_name = str_of(HOSTILE), .options = str_of(HOSTILE), .paused_at = TIME_NONE }, notes, 1 };
	struct page p;

	open_page(&p, OURS "/deliveries/7", "delivery");
	delivery_page_fill(&p, &d);
	send_page(&p, "delivery");
	ck_assert(shows("Redeliver") && shows("192.0.2.1"));
	end_request();
	open_page(&p, OURS "/triggers/x", "trigger");
	trigger_page_fill(&p, &t);
	send_page(&p, "trigger");
	ck_assert(shows("refused"));
	end_request();
}
END_TEST

START_TEST(projects_are_clean)
{
	struct frame f = { .projects = given_frame()->projects, .project_count = 2, .read_us = ago(0) };
	struct page p;

	given_request("/ui/");
	ck_assert_int_eq(page_open(&rq, &rp, "projects", &f, &p), OK);
	projects_page_fill(&p);
	send_page(&p, "projects");
	end_request();
}
END_TEST

START_TEST(signin_goes_on_to_our_own_pages_only)
{
	given_request("/ui/signin?next=" TASK);
	ck_assert_int_eq(signin_page(&rq, &rp), OK);
	page_is_clean("signin");
	ck_assert(shows("value=\"" TASK "\""));
	end_request();
	given_request("/ui/signin?next=https://evil.example/ui/");
	ck_assert_int_eq(signin_page(&rq, &rp), OK);
	page_is_clean("signin");
	ck_assert(!shows("evil"));
	ck_assert(shows("value=\"/ui/\""));
	end_request();
}
END_TEST

START_TEST(every_error_has_a_page)
{
	for (int e = ERR_INPUT; e <= ERR_BUSY; e++) {
		given_request(TASK);
		err_set(&rq.cx, (enum err)e, "reading %s", HOSTILE);
		error_page(&rq, &rp);
		if (e == ERR_AUTH) {
			ck_assert_int_eq(rp.status, 303);
		} else {
			char name[40];

			ck_assert_int_eq(rp.status, reply_status_of((enum err)e));
			snprintf(name, sizeof name, "error-%d", rp.status);
			page_is_clean(name);
		}
		end_request();
	}
}
END_TEST

START_TEST(every_page_has_the_headers_of_pages)
{
	struct page p;

	open_page(&p, OURS, "error");
	ck_assert_int_eq(page_send(&p, 200), OK);
	ck_assert_ptr_nonnull(strstr(rp.headers.p, "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
	                             "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n"));
	ck_assert_ptr_nonnull(strstr(rp.headers.p, "X-Frame-Options: DENY\r\n"));
	ck_assert_ptr_nonnull(strstr(rp.headers.p, "X-Content-Type-Options: nosniff\r\n"));
	ck_assert_ptr_nonnull(strstr(rp.headers.p, "Cache-Control: no-store\r\n"));
	ck_assert_ptr_nonnull(strstr(rp.headers.p, "HttpOnly; SameSite=Lax"));
	page_close(&p);
	end_request();
}
END_TEST

/* --- parts, prefix ------------------------------------------------------------------------------------------ */

START_TEST(a_part_is_that_element_alone_and_knows_when_nothing_changed)
{
	struct overview_view v = { .failed = { .searched_to = TIME_NONE }, .latest = { .searched_to = TIME_NONE } };
	char tag[80], *at;
	struct page p;

	open_page(&p, OURS "?part=nodes,well", "overview");
	overview_page_fill(&p, &v);
	ck_assert_int_eq(page_send(&p, 200), OK);
	ck_assert_int_eq(strncmp(rp.body.p, "<section", 8), 0);
	ck_assert(shows("id=\"well\""));
	ck_assert(!shows("<html"));
	at = strstr(rp.headers.p, "ETag: ");
	ck_assert_ptr_nonnull(at);
	snprintf(tag, sizeof tag, "HTTP_IF_NONE_MATCH=%.18s", at + 6);
	page_close(&p);
	end_request();
	given_request_with(OURS "?part=needs", tag);
	ck_assert_int_eq(page_open(&rq, &rp, "overview", given_frame(), &p), OK);
	overview_page_fill(&p, &v);
	ck_assert_int_eq(page_send(&p, 200), OK);
	ck_assert_int_eq(rp.status, 200);
	page_close(&p);
	end_request();
}
END_TEST

START_TEST(links_begin_with_the_base_path)
{
	struct overview_view v = { .failed = { .searched_to = TIME_NONE }, .latest = { .searched_to = TIME_NONE } };
	struct page p;

	set.api.base_path = "/stoker";
	open_page(&p, "/stoker" OURS, "overview");
	overview_page_fill(&p, &v);
	send_page(&p, "prefix");
	ck_assert(!shows("href=\"/ui"));
	ck_assert(!shows("href=\"/static"));
	ck_assert(shows("href=\"/stoker/static/app.css?v="));
	ck_assert(shows("href=\"/stoker" OURS "/tasks\""));
	ck_assert_ptr_nonnull(strstr(rp.headers.p, "Path=/stoker/;"));
	end_request();
}
END_TEST

/* --- words ----------------------------------------------------------------------------------------------------- */

START_TEST(numbers_read_as_people_write_them)
{
	struct arena a = { 0 };

	ck_assert_str_eq(words_number(&a, 1234567), "1,234,567");
	ck_assert_str_eq(words_number(&a, -1234), "-1,234");
	ck_assert_str_eq(words_count(&a, 10000, 10000), "10,000+");
	ck_assert_str_eq(words_duration(&a, 12000), "12 ms");
	ck_assert_str_eq(words_duration(&a, 800000), "0.8 s");
	ck_assert_str_eq(words_duration(&a, 192000000), "3 min 12 s");
	ck_assert_str_eq(words_duration(&a, INT64_C(7500000000)), "2 h 05 min");
	ck_assert_str_eq(words_bytes(&a, 1023), "1023 B");
	ck_assert_str_eq(words_bytes(&a, 222298112), "212 MiB");
	ck_assert_str_eq(words_signal(&a, 9), "SIGKILL");
	ck_assert_str_eq(words_time(&a, INT64_C(1795421523000000), INT64_C(1795421600000000)), "08:12:03");
	ck_assert_str_eq(words_time_exact(&a, INT64_C(1795421523412000)), "2026-11-23 08:12:03.412 UTC");
	ck_assert_str_eq(words_time(&a, INT64_C(1795335123000000), INT64_C(1795421600000000)), "Sun 22 Nov 08:12");
	arena_release(&a);
}
END_TEST

START_TEST(a_filter_has_one_canonical_text)
{
	auto_ctx cx = { 0 };
	struct task_query q;

	ck_assert_int_eq(task_query_parse(&cx, STR_LIT(" since:24h  code:a/b state:timeout,error label:\"two words\" "), 0, &q), OK);
	ck_assert_str_eq(task_query_text(&cx.arena, &q), "state:error,timeout code:a/b label:\"two words\" since:24h");
	ck_assert_int_eq(q.from, INT64_C(-86400000000));
	ck_assert_int_eq(task_query_parse(&cx, STR_LIT("6a1f3b00c0de6a1f3b00c0de"), 0, &q), OK);
	ck_assert(q.has_id);
	ck_assert_int_eq(task_query_parse(&cx, STR_LIT("since:2026-11-23"), 0, &q), OK);
	ck_assert_int_eq(q.from, INT64_C(1795392000000000));
}
END_TEST

START_TEST(words_that_are_not_understood_are_named)
{
	static const char *const WRONG[] = { "colour:red", "state:blue", "invoice", "since:yesterday", "-state:error", "code:a*", "id:12", "label:" };

	for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
		auto_ctx cx = { 0 };
		struct task_query q;

		ck_assert_msg(task_query_parse(&cx, str_of(WRONG[i]), 0, &q) == ERR_INPUT, "%s", WRONG[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pages");
	TCase *t = tcase_create("pages");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, open_kit, close_kit);
	tcase_add_test(t, overview_is_clean);
	tcase_add_test(t, overview_without_any_task_shows_the_first_commands_and_no_token);
	tcase_add_test(t, task_list_is_clean);
	tcase_add_test(t, an_unknown_filter_word_is_a_visible_error);
	tcase_add_test(t, task_page_of_every_state_is_clean);
	tcase_add_test(t, log_page_is_clean);
	tcase_add_test(t, projects_are_clean);
	tcase_add_test(t, callbacks_deliveries_and_triggers_are_clean);
	tcase_add_test(t, settings_are_clean_and_offer_what_one_may);
	tcase_add_test(t, a_search_is_clean_and_says_how_far_it_looked);
	tcase_add_test(t, one_delivery_and_one_trigger_are_clean);
	tcase_add_test(t, signin_goes_on_to_our_own_pages_only);
	tcase_add_test(t, every_error_has_a_page);
	tcase_add_test(t, every_page_has_the_headers_of_pages);
	tcase_add_test(t, a_part_is_that_element_alone_and_knows_when_nothing_changed);
	tcase_add_test(t, links_begin_with_the_base_path);
	tcase_add_test(t, numbers_read_as_people_write_them);
	tcase_add_test(t, a_filter_has_one_canonical_text);
	tcase_add_test(t, words_that_are_not_understood_are_named);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
