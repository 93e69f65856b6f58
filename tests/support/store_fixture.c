#include "tests/support/store_fixture.h"

#include "base/clock.h"
#include "store/code_store.h"
#include "store/project_store.h"
#include "store/schema_store.h"
#include "tests/support/throwaway_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_S = 10 };

static void must(struct store_fixture *f, enum err e, const char *what)
{
	if (e == OK)
		return;
	fprintf(stderr, "store_fixture: %s: %s\n", what, f->cx.message);
	exit(1);
}

static const char *migrations(struct arena *a)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	char *path;

	if (access("sql/0001_tables.sql", R_OK) == 0)
		return "sql";
	exe[n > 0 ? n : 0] = 0;
	path = arena_printf(a, "%s", exe); /* …/build/tests/store/test_x */
	for (int up = 0; up < 4 && strrchr(path, '/'); up++)
		*strrchr(path, '/') = 0;
	return arena_printf(a, "%s/sql", path);
}

void store_fixture_open(struct store_fixture *f)
{
	*f = (struct store_fixture){ 0 };
	must(f, settings_read(&f->cx, NULL, &f->set), "read settings");
	f->db = db_new(&f->set, DB_TASKS, WAIT_S);
	f->logs = db_new(&f->set, DB_LOGS, WAIT_S);
}

void store_fixture_close(struct store_fixture *f)
{
	db_free(f->db);
	db_free(f->logs);
	ctx_release(&f->cx);
}

void store_fixture_serve(void)
{
	struct store_fixture f;
	int applied;

	if (!getenv("STOKER_TEST_CLUSTER"))
		setenv("STOKER_DATABASE_SOCKET", throwaway_db_start(), 1);
	setenv("STOKER_DATABASE_USER", "root", 1);
	store_fixture_open(&f);
	must(&f, schema_store_migrate(f.db, f.logs, &f.cx, migrations(&f.cx.arena), &applied), "migrate");
	store_fixture_close(&f);
}

struct id given_project(struct store_fixture *f)
{
	struct id name = id_make(clock_wall_us());
	struct project p;

	must(f, project_store_add(f->db, &f->cx, str_of(arena_text(&f->cx.arena, id_format(&name).s)), &p), "add a project");
	return p.id;
}

struct id given_code(struct store_fixture *f, const struct id *project, const char *name)
{
	struct code_order order = { .name = str_of(name), .has_image = true, .image = STR_LIT("busybox") };
	struct code code;

	must(f, code_store_put(f->db, &f->cx, project, &order, &code), "register a code");
	return code.id;
}

struct id given_task(struct store_fixture *f, const struct id *project, const char *code, const char *callback)
{
	static const struct sql ADD = {
		"INSERT INTO task (id, project_id, code_id, revision, lane_id, cluster_id, head_start_s, callback)"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?)", "sssiiiis" };
	struct id id = id_make(clock_wall_us());
	struct code_target t;

	must(f, code_store_target(f->db, &f->cx, project, str_of(code), STR_LIT(""), &t), "look the code up");
	must(f, db_exec(f->db, &f->cx, &ADD, VALS(v_id(&id), v_id(project), v_id(&t.code_id), v_i(t.revision), v_i(t.lane_id),
	                                          v_i(t.cluster_id), v_i(t.head_start_s), v_z(callback))), "queue a task");
	return id;
}

int64_t number_in(struct store_fixture *f, struct db *db, const char *query)
{
	const struct sql sql = { query, "" };
	struct rows r;

	must(f, db_query(db, &f->cx, &sql, NULL, 0, &r), query);
	return r.n ? val_int(&row(&r, 0)[0]) : 0;
}

void run_in(struct store_fixture *f, struct db *db, const char *statement)
{
	must(f, db_script(db, &f->cx, str_of(statement)), statement);
}
