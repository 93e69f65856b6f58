#pragma once
#include "fcgi/route.h"
#include "store/code_store.h"
#include "store/project_store.h"
#include "store/schema_store.h"
#include "store/token_store.h"
#include "tests/fcgi/ask.h"
#include "tests/support/throwaway_db.h"

#include <stdlib.h>

/* What a test program of the API begins with: a database of its own, two projects, tokens of every
 * role, and the front door in this process. */
#define MAYBE __attribute__((unused)) static

MAYBE struct settings set;
MAYBE struct arena settings_arena;
MAYBE struct process process;

/* Made once for all tests: two projects, and tokens of every role in the first. */
MAYBE struct project ours, theirs;
MAYBE struct token_text viewer, developer, stranger, admin;

/* --- given ------------------------------------------------------------------------------------------ */
MAYBE void must(struct ctx *cx, enum err e)
{
	if (e == OK)
		return;
	fprintf(stderr, "%s\n", cx->message);
	exit(1);
}

MAYBE void add_token(struct ctx *cx, const char *user, const struct project *p, enum role role, struct token_text *out)
{
	struct id id;

	must(cx, token_store_add(process.db, cx, str_of(user), STR_LIT("test"), p ? &p->id : NULL, role, TIME_NONE,
	                         STR_LIT(""), out, &id));
}

/* A further token: of a role in `p`, or with p = NULL of an admin; good until expires_at. */
MAYBE struct token_text token_with(const char *user, const struct project *p, enum role role, int64_t expires_at)
{
	auto_ctx cx = { 0 };
	struct token_text t;
	struct id id;

	must(&cx, token_store_add(process.db, &cx, str_of(user), STR_LIT("t"), p ? &p->id : NULL, role, expires_at,
	                         STR_LIT(""), &t, &id));
	return t;
}

/* The key under which secrets are sealed, in the database's own folder. */
MAYBE void given_key(void)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof path, "%s/key", throwaway_db_folder());
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	for (int i = 0; i < 32; i++)
		fprintf(f, "%02x", i);
	fclose(f);
	set.secrets.key_file = arena_text(&settings_arena, path);
}

MAYBE void given_instance(void)
{
	auto_ctx cx = { 0 };
	int applied;

	process_fill(&process, &set);
	must(&cx, schema_store_migrate(process.db, process.logs, &cx, "sql", &applied));
	must(&cx, project_store_add(process.db, &cx, STR_LIT("ours"), &ours));
	must(&cx, project_store_add(process.db, &cx, STR_LIT("theirs"), &theirs));
	add_token(&cx, "vera", &ours, ROLE_VIEWER, &viewer);
	add_token(&cx, "dora", &ours, ROLE_DEVELOPER, &developer);
	add_token(&cx, "stan", &theirs, ROLE_DEVELOPER, &stranger);
	add_token(&cx, "root", NULL, ROLE_ADMIN, &admin);
	process_empty(&process);
}

MAYBE void fresh_process(void)
{
	process_fill(&process, &set);
}

MAYBE void end_process(void)
{
	process_empty(&process);
}

/* "P/…" is below our project. */
MAYBE const char *uri_of(const char *path)
{
	static char uri[16384];

	if (path[0] == 'P')
		snprintf(uri, sizeof uri, "/2/projects/%s%s", id_format(&ours.id).s, path + 1);
	else
		snprintf(uri, sizeof uri, "%s", path);
	return uri;
}

MAYBE struct asked ask(const char *method, const char *path, const char *token, const char *body)
{
	struct asking a = { .method = method, .uri = uri_of(path), .token = token };

	if (body)
		a.body = str_of(body);
	return ask_with(&process, &a);
}

MAYBE struct asked get(const char *path)
{
	return ask("GET", path, developer.s, NULL);
}

MAYBE struct asked post(const char *path, const char *body)
{
	return ask("POST", path, developer.s, body);
}

MAYBE void given_code(const char *name)
{
	char body[300];

	snprintf(body, sizeof body, "{\"name\":\"%s\",\"image\":\"busybox\",\"command\":\"true\"}", name);
	auto_asked a = post("P/codes", body);
	ck_assert_int_eq(a.status, 200);
}

MAYBE struct id given_task(const char *code)
{
	char body[300];
	struct id id;

	given_code(code);
	snprintf(body, sizeof body, "{\"tasks\":[{\"code_name\":\"%s\",\"payload\":\"pay\",\"label\":\"l-%s\"}]}", code, code);
	auto_asked a = post("P/tasks", body);
	ck_assert_int_eq(a.status, 200);
	ck_assert(id_parse(str_of(json_string_value(json_object_get(
		json_array_get(json_object_get(a.json, "tasks"), 0), "id"))), &id));
	return id;
}

MAYBE const char *task_path(const struct id *id, const char *rest)
{
	static char path[200];

	snprintf(path, sizeof path, "P/tasks/%s%s", id_format(id).s, rest);
	return path;
}

/* Runs `t` with a fresh process for each test; what main returns. */
static inline int run_api_tests(const char *name, TCase *t)
{
	Suite *s = suite_create(name);
	struct ctx cx = { 0 };
	SRunner *r;
	int failed;

	setenv("STOKER_DATABASE_SOCKET", throwaway_db_start(), 1);
	setenv("STOKER_DATABASE_USER", "root", 1);
	if (settings_read(&cx, NULL, &set) != OK)
		return 1;
	settings_arena = cx.arena;
	given_instance();
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, fresh_process, end_process);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	arena_release(&settings_arena);
	return failed != 0;
}
