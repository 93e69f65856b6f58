#include "fcgi/session.h"
#include "tests/fcgi/given.h"

#include "base/clock.h"
#include "base/crypt.h"

#include <unistd.h>

/* Who may ask for what, written down a second time and by hand: what a route says of itself proves nothing
 * about what it should say. A route that is not here, or is here otherwise, fails; so whoever adds one says
 * twice who may. Then each is asked for as nobody, with a token that is unknown or expired, from another project,
 * and in every role. */

#define P "/2/projects/{project}"
#define UI "/ui/p/{project}"

struct law {
	const char *row;
	enum auth least;
};

/* Open to anybody: what such a row answers to who shows nothing, and why that harms nobody. */
static const struct open_row {
	const char *row;
	int status;
} OPEN[] = {
	{ "GET /healthz", 200 },            /* "the process is there" */
	{ "GET /readyz", 503 },             /* "and can work": here is no node */
	{ "GET /version", 200 },
	{ "POST /1/authentication", 406 },  /* the password is the proof, and none was sent */
	{ "POST /hooks/{token}", 404 },     /* the path's secret is the proof */
	{ "GET /", 303 },                   /* to the dashboard */
	{ "GET /ui/signin", 200 },
	{ "POST /ui/signin", 403 },         /* forms need the page's own secret */
	{ "POST /ui/signout", 403 },
	{ "POST /ui/theme", 403 },
	{ "GET /worker/projects/{project}/tasks/{id}", 302 }, /* old links: to where who may is asked */
	{ "GET /worker/projects/{project}/scheduled_jobs/{id}", 302 },
};

/* Whoever changes something in a project is at least a developer, whoever reads a viewer; AUTH_KNOWN: the
 * handler decides by what it finds (test_wire.c). */
static const struct law API_LAWS[] = {
	{ "GET /2/projects", AUTH_KNOWN },
	{ "GET " P, AUTH_VIEWER },
	{ "PATCH " P, AUTH_OPERATOR },
	{ "POST " P "/credentials", AUTH_DEVELOPER },
	{ "GET " P "/secrets", AUTH_VIEWER },
	{ "PUT " P "/secrets/{name}", AUTH_DEVELOPER },
	{ "DELETE " P "/secrets/{name}", AUTH_DEVELOPER },
	{ "GET " P "/codes", AUTH_VIEWER },
	{ "POST " P "/codes", AUTH_DEVELOPER },
	{ "GET " P "/codes/{id}", AUTH_VIEWER },
	{ "POST " P "/codes/{id}", AUTH_DEVELOPER },
	{ "DELETE " P "/codes/{id}", AUTH_DEVELOPER },
	{ "GET " P "/codes/{id}/revisions", AUTH_VIEWER },
	{ "GET " P "/codes/{id}/download", AUTH_VIEWER },
	{ "GET " P "/codes/{id}/stats", AUTH_VIEWER },
	{ "POST " P "/codes/{id}/cancel_all", AUTH_DEVELOPER },
	{ "POST " P "/codes/{id}/pause_task_queue", AUTH_DEVELOPER },
	{ "POST " P "/codes/{id}/resume_callback", AUTH_DEVELOPER },
	{ "POST " P "/codes/{id}/resume_task_queue", AUTH_DEVELOPER },
	{ "GET " P "/tasks", AUTH_VIEWER },
	{ "POST " P "/tasks", AUTH_DEVELOPER },
	{ "POST " P "/tasks/webhook", AUTH_DEVELOPER },
	{ "GET " P "/tasks/{id}", AUTH_VIEWER },
	{ "GET " P "/tasks/{id}/log", AUTH_VIEWER },
	{ "GET " P "/tasks/{id}/outlog", AUTH_VIEWER },
	{ "GET " P "/tasks/{id}/log/stream", AUTH_VIEWER },
	{ "POST " P "/tasks/{id}/cancel", AUTH_DEVELOPER },
	{ "POST " P "/tasks/{id}/progress", AUTH_DEVELOPER },
	{ "POST " P "/tasks/{id}/retry", AUTH_DEVELOPER },
	{ "GET " P "/logs/search", AUTH_VIEWER },
	{ "GET " P "/events", AUTH_VIEWER },
	{ "GET " P "/schedules", AUTH_VIEWER },
	{ "POST " P "/schedules", AUTH_DEVELOPER },
	{ "GET " P "/schedules/{id}", AUTH_VIEWER },
	{ "PUT " P "/schedules/{id}", AUTH_DEVELOPER },
	{ "POST " P "/schedules/{id}/cancel", AUTH_DEVELOPER },
	{ "POST " P "/schedules/preview", AUTH_VIEWER },
	{ "GET " P "/schedules/{id}/preview", AUTH_VIEWER },
	{ "GET " P "/schedules/{id}/fires", AUTH_VIEWER },
	{ "GET " P "/schedules/{id}/pauses", AUTH_VIEWER },
	{ "POST " P "/schedules/{id}/pause", AUTH_DEVELOPER },
	{ "POST " P "/schedules/{id}/resume", AUTH_DEVELOPER },
	{ "POST " P "/schedules/{id}/run", AUTH_DEVELOPER },
	{ "POST " P "/schedules/{id}/backfill", AUTH_DEVELOPER },
	{ "GET " P "/calendars", AUTH_VIEWER },
	{ "PUT " P "/calendars/{name}", AUTH_DEVELOPER },
	{ "DELETE " P "/calendars/{name}", AUTH_DEVELOPER },
	{ "GET " P "/callbacks", AUTH_VIEWER },
	{ "POST " P "/callbacks", AUTH_DEVELOPER },
	{ "GET " P "/callbacks/{id}", AUTH_VIEWER },
	{ "PUT " P "/callbacks/{id}", AUTH_DEVELOPER },
	{ "DELETE " P "/callbacks/{id}", AUTH_DEVELOPER },
	{ "POST " P "/callbacks/{id}/pause", AUTH_DEVELOPER },
	{ "POST " P "/callbacks/{id}/resume", AUTH_DEVELOPER },
	{ "POST " P "/callbacks/{id}/test", AUTH_DEVELOPER },
	{ "POST " P "/callbacks/{id}/rotate", AUTH_DEVELOPER },
	{ "POST " P "/callback_secret/rotate", AUTH_DEVELOPER },
	{ "GET " P "/deliveries", AUTH_VIEWER },
	{ "GET " P "/deliveries/{id}", AUTH_VIEWER },
	{ "POST " P "/deliveries/{id}/redeliver", AUTH_DEVELOPER },
	{ "POST " P "/deliveries/redeliver", AUTH_DEVELOPER },
	{ "GET " P "/log_destinations", AUTH_VIEWER },
	{ "POST " P "/log_destinations", AUTH_DEVELOPER },
	{ "GET " P "/log_destinations/{id}", AUTH_VIEWER },
	{ "PUT " P "/log_destinations/{id}", AUTH_DEVELOPER },
	{ "DELETE " P "/log_destinations/{id}", AUTH_DEVELOPER },
	{ "POST " P "/log_destinations/{id}/pause", AUTH_DEVELOPER },
	{ "POST " P "/log_destinations/{id}/resume", AUTH_DEVELOPER },
	{ "POST " P "/log_destinations/{id}/ping", AUTH_DEVELOPER },
	{ "GET " P "/triggers", AUTH_VIEWER },
	{ "POST " P "/triggers", AUTH_DEVELOPER },
	{ "GET " P "/triggers/{id}", AUTH_VIEWER },
	{ "PUT " P "/triggers/{id}", AUTH_DEVELOPER },
	{ "DELETE " P "/triggers/{id}", AUTH_DEVELOPER },
	{ "POST " P "/triggers/{id}/rotate", AUTH_DEVELOPER },
	{ "POST " P "/triggers/{id}/pause", AUTH_DEVELOPER },
	{ "POST " P "/triggers/{id}/resume", AUTH_DEVELOPER },
	{ "GET " P "/triggers/{id}/requests", AUTH_VIEWER },
	{ "GET /2/stacks", AUTH_KNOWN },
	{ "GET /2/clusters", AUTH_KNOWN },
	{ "GET /2/clusters/shared", AUTH_KNOWN },
	{ "POST /2/clusters", AUTH_KNOWN },
	{ "GET /2/clusters/{id}", AUTH_KNOWN },
	{ "PUT /2/clusters/{id}", AUTH_KNOWN },
	{ "DELETE /2/clusters/{id}", AUTH_KNOWN },
	{ "GET /2/clusters/{id}/stats", AUTH_KNOWN },
	{ "GET /2/clusters/{id}/credentials", AUTH_KNOWN },
	{ "GET /2/clusters/{id}/tasks", AUTH_KNOWN },
	{ "POST /2/clusters/{id}/share", AUTH_KNOWN },
	{ "POST /2/clusters/{id}/unshare/{user}", AUTH_KNOWN },
	{ "POST /2/clusters/{id}/terminate", AUTH_KNOWN },
	{ "GET /1/authentication", AUTH_KNOWN },
	{ "POST /1/tokens", AUTH_KNOWN },
	{ "DELETE /1/tokens/{id}", AUTH_KNOWN },
	{ "GET /1/users", AUTH_ADMIN },
	{ "POST /1/users", AUTH_ADMIN },
	{ "GET /1/users/{id}", AUTH_KNOWN },
	{ "PATCH /1/users/{id}", AUTH_KNOWN },
	{ "DELETE /1/users/{id}", AUTH_ADMIN },
	{ "GET /1/projects", AUTH_KNOWN },
	{ "POST /1/projects", AUTH_KNOWN },
	{ "GET /1/projects/{project}", AUTH_VIEWER },
	{ "DELETE /1/projects/{project}", AUTH_OPERATOR },
	{ "GET /1/projects/{project}/share", AUTH_VIEWER },
	{ "PATCH /1/projects/{project}/share", AUTH_OPERATOR },
	{ "PATCH /1/projects/{project}/unshare", AUTH_OPERATOR },
};

/* Pages, by session instead of token; forms that change something are a developer's from their first GET on. */
static const struct law PAGE_LAWS[] = {
	{ "GET /ui", AUTH_KNOWN },
	{ "GET " UI, AUTH_VIEWER },
	{ "GET " UI "/tasks", AUTH_VIEWER },
	{ "GET " UI "/tasks/{id}", AUTH_VIEWER },
	{ "GET " UI "/tasks/{id}/log", AUTH_VIEWER },
	{ "GET " UI "/tasks/{id}/log/raw", AUTH_VIEWER },
	{ "GET " UI "/tasks/{id}/log/stream", AUTH_VIEWER },
	{ "POST " UI "/tasks/{id}/cancel", AUTH_DEVELOPER },
	{ "GET " UI "/schedules", AUTH_VIEWER },
	{ "GET " UI "/schedules/new", AUTH_DEVELOPER },
	{ "POST " UI "/schedules/new", AUTH_DEVELOPER },
	{ "GET " UI "/schedules/calendar", AUTH_VIEWER },
	{ "POST " UI "/schedules/calendar", AUTH_DEVELOPER },
	{ "GET " UI "/schedules/{id}", AUTH_VIEWER },
	{ "GET " UI "/schedules/{id}/edit", AUTH_DEVELOPER },
	{ "POST " UI "/schedules/{id}/edit", AUTH_DEVELOPER },
	{ "POST " UI "/schedules/{id}/run", AUTH_DEVELOPER },
	{ "POST " UI "/schedules/{id}/pause", AUTH_DEVELOPER },
	{ "POST " UI "/schedules/{id}/resume", AUTH_DEVELOPER },
	{ "POST " UI "/schedules/{id}/backfill", AUTH_DEVELOPER },
	{ "POST " UI "/schedules/{id}/cancel", AUTH_DEVELOPER },
	{ "GET " UI "/logs/search", AUTH_VIEWER },
	{ "GET " UI "/settings", AUTH_VIEWER },
	{ "POST " UI "/settings/payload_keys", AUTH_OPERATOR },
	{ "POST " UI "/settings/destinations", AUTH_DEVELOPER },
	{ "POST " UI "/settings/destinations/{id}/pause", AUTH_DEVELOPER },
	{ "POST " UI "/settings/destinations/{id}/resume", AUTH_DEVELOPER },
	{ "POST " UI "/settings/destinations/{id}/ping", AUTH_DEVELOPER },
	{ "POST " UI "/settings/destinations/{id}/delete", AUTH_DEVELOPER },
	{ "GET " UI "/callbacks", AUTH_VIEWER },
	{ "POST " UI "/callbacks/{id}/test", AUTH_DEVELOPER },
	{ "GET " UI "/deliveries/{id}", AUTH_VIEWER },
	{ "POST " UI "/deliveries/{id}/redeliver", AUTH_DEVELOPER },
	{ "GET " UI "/triggers/{id}", AUTH_VIEWER },
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- the two lists are one ------------------------------------------------------------------------ */

static const char *row_name(const struct route *r)
{
	static char name[300];

	snprintf(name, sizeof name, "%s %s", method_name(r->method), r->path);
	return name;
}

static bool is_open(const char *row)
{
	for (size_t i = 0; i < COUNT(OPEN); i++)
		if (strcmp(OPEN[i].row, row) == 0)
			return true;
	return false;
}

static enum auth law_of(const struct law *laws, size_t n, const char *row)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(laws[i].row, row) == 0)
			return laws[i].least;
	return is_open(row) ? AUTH_NONE : 0;
}

static const struct route *route_of(const char *row)
{
	for (size_t i = 0; i < ROUTE_COUNT; i++)
		if (strcmp(row_name(&ROUTES[i]), row) == 0)
			return &ROUTES[i];
	ck_abort_msg("%s: no such route", row);
}

START_TEST(every_route_is_what_the_law_says_of_it)
{
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		const struct route *r = &ROUTES[i];
		bool is_page = r->surface == &PAGE;
		enum auth law = law_of(is_page ? PAGE_LAWS : API_LAWS, is_page ? COUNT(PAGE_LAWS) : COUNT(API_LAWS), row_name(r));

		ck_assert_msg(law, "%s: say in this test who may", row_name(r));
		ck_assert_msg(law == r->who, "%s: open to %d, by law to %d", row_name(r), r->who, law);
	}
	ck_assert_uint_eq(ROUTE_COUNT, COUNT(OPEN) + COUNT(API_LAWS) + COUNT(PAGE_LAWS));
}
END_TEST

/* --- asking ------------------------------------------------------------------------------------------ */

/* The row's path, {project} filled; every other name is an id that nothing has. */
static const char *path_of(const struct route *r, const char *project)
{
	static char path[400];
	size_t n = 0;

	for (const char *p = r->path; *p && n < sizeof path - 30;) {
		const char *end = *p == '{' ? strchr(p, '}') : NULL;

		if (!end) {
			path[n++] = *p++;
			continue;
		}
		n += (size_t)snprintf(path + n, sizeof path - n, "%s",
		                      strncmp(p, "{project}", 9) == 0 ? project : "66aa01c2d3e4f506172839ff");
		p = end + 1;
	}
	path[n] = 0;
	return path;
}

static struct asked ask_api(const struct route *r, const char *project, const char *token)
{
	struct asking a = { .method = method_name(r->method), .uri = path_of(r, project), .token = token, .body = STR_LIT("{}") };

	return ask_with(&process, &a);
}

/* As a browser sends the form of the session's own page. */
static struct asked ask_page(const struct route *r, const char *project, const char *session)
{
	struct asking a = { .method = method_name(r->method), .uri = path_of(r, project),
		            .more = { "HTTP_HOST=stoker.example", "HTTP_ORIGIN=http://stoker.example" } };
	unsigned char mac[SHA256_BYTES];
	char cookie[200], form[200], hex[2 * SHA256_BYTES + 1];

	if (session) {
		snprintf(cookie, sizeof cookie, "HTTP_COOKIE=stoker=%s", session);
		crypt_hmac_sha256(str_of(session), STR_LIT("csrf"), mac);
		hex_format(mac, sizeof mac, hex);
		snprintf(form, sizeof form, "csrf=%s", hex);
		a.more[2] = cookie;
		a.body = str_of(form);
	}
	return ask_with(&process, &a);
}

struct people {
	struct token_text operator_token, expired;
	const char *of_role[ROLE_ADMIN + 1], *nobody[3];
};

static void given_people(struct people *all)
{
	all->operator_token = token_with("op", &ours, ROLE_OPERATOR, TIME_NONE);
	all->expired = token_with("late", &ours, ROLE_OPERATOR, clock_wall_us() - 1000000);
	all->of_role[ROLE_VIEWER] = viewer.s;
	all->of_role[ROLE_DEVELOPER] = developer.s;
	all->of_role[ROLE_OPERATOR] = all->operator_token.s;
	all->of_role[ROLE_ADMIN] = admin.s;
	all->nobody[0] = NULL;
	all->nobody[1] = "nonsense";
	all->nobody[2] = all->expired.s;
	given_key();
	given_code("keeps-the-project");
}

static bool may(enum auth least, enum role role)
{
	return least == AUTH_ADMIN ? role == ROLE_ADMIN : (int)role - (int)ROLE_VIEWER >= (int)least - (int)AUTH_VIEWER;
}

static const char *our_project(void)
{
	static char text[30];

	snprintf(text, sizeof text, "%s", id_format(&ours.id).s);
	return text;
}

/* --- the api -------------------------------------------------------------------------------------------- */

static void check_api_role(const struct law *law, const struct route *r, enum role role, const char *token)
{
	auto_asked a = ask_api(r, our_project(), token);

	ck_assert_msg(a.status != 401 && a.status != 500, "%s as %s: %d", law->row, role_name(role), a.status);
	if (law->least >= AUTH_VIEWER) /* others may ask for more by what they find */
		ck_assert_msg((a.status == 403) == !may(law->least, role), "%s as %s: %d", law->row, role_name(role), a.status);
	if (a.status >= 400)
		ck_assert_msg(*asked_msg(&a), "%s as %s: no msg", law->row, role_name(role));
}

static void check_api_law(const struct law *law, const struct people *all)
{
	const struct route *r = route_of(law->row);

	for (size_t i = 0; i < COUNT(all->nobody); i++) {
		auto_asked a = ask_api(r, our_project(), all->nobody[i]);

		ck_assert_msg(a.status == 401, "%s, token %zu: %d", law->row, i, a.status);
		ck_assert_msg(strstr(a.headers, "WWW-Authenticate: ") && *asked_msg(&a), "%s, token %zu: %s", law->row, i, a.headers);
	}
	if (strstr(law->row, "{project}")) {
		auto_asked foreign = ask_api(r, our_project(), stranger.s);
		auto_asked nowhere = ask_api(r, "66aa01c2d3e4f506172839ff", developer.s);
		auto_asked nonsense = ask_api(r, "nonsense", developer.s);

		ck_assert_msg(foreign.status == 404, "%s: a stranger gets %d", law->row, foreign.status);
		ck_assert_msg(nowhere.status == 404, "%s: no project gets %d", law->row, nowhere.status);
		ck_assert_msg(nonsense.status == 404, "%s: no id gets %d", law->row, nonsense.status);
	}
	for (enum role role = ROLE_VIEWER; role <= ROLE_ADMIN; role++)
		check_api_role(law, r, role, all->of_role[role]);
}

START_TEST(every_row_of_the_api_asks_for_a_token_that_may)
{
	struct people all;

	given_people(&all);
	for (size_t i = 0; i < COUNT(API_LAWS); i++)
		check_api_law(&API_LAWS[i], &all);
}
END_TEST

/* --- pages ---------------------------------------------------------------------------------------------- */

static bool leads_to_signin(const struct asked *a)
{
	return a->status == 303 && strstr(a->headers, "Location: /ui/signin?next=/ui");
}

static void check_page_role(const struct law *law, const struct route *r, enum role role, const char *token)
{
	auto_asked a = ask_page(r, our_project(), token);

	ck_assert_msg(a.status != 401 && a.status != 500 && !leads_to_signin(&a), "%s as %s: %d", law->row, role_name(role), a.status);
	if (law->least >= AUTH_VIEWER)
		ck_assert_msg((a.status == 403) == !may(law->least, role), "%s as %s: %d", law->row, role_name(role), a.status);
}

/* Who reads is led to the sign-in page and back; a form is not sent on, and changes nothing. */
static void check_page_law(const struct law *law, const struct people *all)
{
	const struct route *r = route_of(law->row);

	for (size_t i = 0; i < COUNT(all->nobody); i++) {
		auto_asked a = ask_page(r, our_project(), all->nobody[i]);

		ck_assert_msg(r->method == METHOD_GET ? leads_to_signin(&a) : a.status == 401, "%s, session %zu: %d %s", law->row, i,
		              a.status, a.headers);
	}
	if (strstr(law->row, "{project}")) {
		auto_asked foreign = ask_page(r, our_project(), stranger.s);
		auto_asked nowhere = ask_page(r, "66aa01c2d3e4f506172839ff", developer.s);

		ck_assert_msg(foreign.status == 404, "%s: a stranger gets %d", law->row, foreign.status);
		ck_assert_msg(nowhere.status == 404, "%s: no project gets %d", law->row, nowhere.status);
	}
	for (enum role role = ROLE_VIEWER; role <= ROLE_ADMIN; role++)
		check_page_role(law, r, role, all->of_role[role]);
}

START_TEST(every_page_asks_for_a_session_that_may)
{
	struct people all;

	set.api.www = arena_text(&settings_arena, "www");
	given_people(&all);
	for (size_t i = 0; i < COUNT(PAGE_LAWS); i++)
		check_page_law(&PAGE_LAWS[i], &all);
}
END_TEST

/* A token is no session: a page that another site's script could ask for with one would be open to it. */
START_TEST(a_token_in_the_header_or_the_query_opens_no_page)
{
	char query[200];

	snprintf(query, sizeof query, "/ui?oauth=%s", developer.s);
	auto_asked header = ask("GET", "/ui", developer.s, NULL);
	auto_asked in_query = ask("GET", query, NULL, NULL);
	ck_assert_msg(leads_to_signin(&header), "%s", header.headers);
	ck_assert_msg(leads_to_signin(&in_query), "%s", in_query.headers);
}
END_TEST

/* --- open to anybody ------------------------------------------------------------------------------------ */

START_TEST(what_is_open_tells_nobody_anything)
{
	set.api.www = arena_text(&settings_arena, "www");
	for (size_t i = 0; i < COUNT(OPEN); i++) {
		const struct route *r = route_of(OPEN[i].row);
		auto_asked a = r->surface == &PAGE ? ask_page(r, our_project(), NULL) : ask_api(r, our_project(), NULL);

		ck_assert_msg(a.status == OPEN[i].status, "%s: %d " STR_FMT, OPEN[i].row, a.status, STR_ARG(a.body));
		ck_assert_msg(str_find(a.body, "ours") == (size_t)-1, "%s names a project", OPEN[i].row);
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("matrix");

	tcase_add_test(t, every_route_is_what_the_law_says_of_it);
	tcase_add_test(t, every_row_of_the_api_asks_for_a_token_that_may);
	tcase_add_test(t, every_page_asks_for_a_session_that_may);
	tcase_add_test(t, a_token_in_the_header_or_the_query_opens_no_page);
	tcase_add_test(t, what_is_open_tells_nobody_anything);
	return run_api_tests("matrix", t);
}
