#include "store/package_store.h"
#include "store/schema_store.h"
#include "tests/support/task_fixture.h"
#include "tests/support/throwaway_db.h"

#include <check.h>
#include <mysql.h>
#include <stdlib.h>

/* What the accounts of the programs may do, and what they may not. */
static struct store_fixture f;

static MYSQL *connection(const char *user)
{
	MYSQL *my = mysql_init(NULL);

	ck_assert_msg(mysql_real_connect(my, NULL, user, NULL, "stoker", 0, throwaway_db_start(), 0) != NULL, "%s", mysql_error(my));
	return my;
}

static bool is_refused(MYSQL *my, const char *statement)
{
	unsigned e = mysql_query(my, statement) ? mysql_errno(my) : 0;
	MYSQL_RES *r = mysql_store_result(my);

	if (r)
		mysql_free_result(r);
	ck_assert_msg(e == 0 || e == 1142 || e == 1143, "%s: %s", statement, mysql_error(my));
	return e != 0;
}

/* The accounts as conf/mariadb/accounts.sql.in makes them, then `admin migrate` once more. */
static void make_accounts(void)
{
	int applied;

	run_in(&f, f.db, "CREATE USER stoker_api@localhost, stoker_worker@localhost");
	ck_assert_msg(schema_store_migrate(f.db, f.logs, &f.cx, "sql", &applied) == OK, "%s", f.cx.message);
	ck_assert_int_eq(applied, 0);
}

START_TEST(neither_account_can_change_what_was)
{
	static const char *const NOBODY[] = {
		"DELETE FROM task", "DELETE FROM event", "DELETE FROM attempt", "DELETE FROM payload", "DELETE FROM outbox",
		"UPDATE event SET note = 'x'", "INSERT INTO event (task_id, number, attempt, state, at) VALUES ('', 1, 1, 1, NOW())",
		"UPDATE payload SET body = ''", "UPDATE revision SET image = 'x'", "DELETE FROM code", "DELETE FROM lane",
		"UPDATE app SET account = 'x'", "INSERT INTO app VALUES ('x', '')", "DROP TABLE task", "CREATE TABLE x (i INT)",
	};
	static const char *const NOT_API[] = {
		"UPDATE attempt SET cause = 'x'", "INSERT INTO running VALUES (1, '', 1, 1, NULL)", "UPDATE node SET session = ''",
		"INSERT INTO ready VALUES (1, NOW(), '', 1, 1)", "UPDATE outbox SET url = 'x'", "UPDATE beat SET at = NOW()",
		"UPDATE running SET attempt = 1", "INSERT INTO payload VALUES ('', '')", "DELETE FROM package",
		"REPLACE INTO cluster_network VALUES (1, 'private', 'x', NOW())", "DELETE FROM cluster_network",
		"INSERT INTO relaxation VALUES ('', NOW(), 1, 'x', 'x')", "UPDATE relaxation SET items = 0", "DELETE FROM relaxation",
		"UPDATE package SET bytes = 1", "UPDATE package_piece SET body = ''",
	};
	static const char *const NOT_WORKER[] = {
		"SELECT * FROM token", "SELECT * FROM user", "SELECT * FROM member", "INSERT INTO token (id) VALUES ('')",
		"UPDATE user SET admin = 1", "DELETE FROM credential", "INSERT INTO schedule (id) VALUES ('')", "UPDATE calendar SET dates = ''", "INSERT INTO code (id) VALUES ('')",
		"INSERT INTO package_piece VALUES ('', 1, '')", "UPDATE package SET bytes = 1", "UPDATE cluster_network SET network = 2",
	};
	MYSQL *api, *worker;

	store_fixture_open(&f);
	make_accounts();
	api = connection("stoker_api");
	worker = connection("stoker_worker");
	for (size_t i = 0; i < sizeof NOBODY / sizeof *NOBODY; i++)
		ck_assert_msg(is_refused(api, NOBODY[i]) && is_refused(worker, NOBODY[i]), "%s", NOBODY[i]);
	for (size_t i = 0; i < sizeof NOT_API / sizeof *NOT_API; i++)
		ck_assert_msg(is_refused(api, NOT_API[i]), "%s", NOT_API[i]);
	for (size_t i = 0; i < sizeof NOT_WORKER / sizeof *NOT_WORKER; i++)
		ck_assert_msg(is_refused(worker, NOT_WORKER[i]), "%s", NOT_WORKER[i]);
	/* of the logs the API writes where they go to, and nothing of what is sent */
	ck_assert(!is_refused(api, "UPDATE stoker_logs.log_destination SET name = 'x' WHERE id = ''"));
	ck_assert(!is_refused(api, "DELETE FROM stoker_logs.log_destination WHERE id = ''"));
	ck_assert(is_refused(api, "DELETE FROM stoker_logs.log_cursor") && is_refused(api, "UPDATE stoker_logs.log_head SET closed = 1"));
	mysql_close(api);
	mysql_close(worker);
	store_fixture_close(&f);
}
END_TEST

/* The settings' texts live in `cx`. */
static struct db *db_as(struct ctx *cx, const char *user, struct settings *set)
{
	setenv("STOKER_DATABASE_USER", user, 1);
	ck_assert_int_eq(settings_read(cx, NULL, set), OK);
	setenv("STOKER_DATABASE_USER", "root", 1);
	return db_new(set, DB_TASKS, 5);
}

/* The API stores it, a node reads it, the scheduler sweeps it away. */
static void pass_a_package_on(struct db *root, struct db *api, struct db *worker)
{
	struct package p = { .bytes = 1, .pieces = 1 };
	struct str digest = str_bytes(p.digest, sizeof p.digest), got;
	struct id upload, nobody = { { 0 } };
	bool there, more = true;

	ck_assert_msg(package_store_begin(api, &f.cx, &nobody, &upload) == OK, "%s", f.cx.message);
	ck_assert_msg(package_store_add(api, &f.cx, &upload, 0, STR_LIT("x")) == OK, "%s", f.cx.message);
	ck_assert_msg(package_store_finish(api, &f.cx, &upload, &p) == OK, "%s", f.cx.message);
	ck_assert_msg(package_store_keep(api, &f.cx, digest, &there) == OK && there, "%s", f.cx.message);
	ck_assert_msg(package_store_piece(api, &f.cx, digest, 0, &got) == OK, "%s", f.cx.message);
	ck_assert_msg(package_store_piece(worker, &f.cx, digest, 0, &got) == OK, "%s", f.cx.message);
	ck_assert_msg(package_store_begin(api, &f.cx, &nobody, &upload) == OK, "%s", f.cx.message);
	ck_assert_msg(package_store_drop(api, &f.cx, &upload) == OK, "%s", f.cx.message);
	run_in(&f, root, "UPDATE package SET used_at = NOW(6) - INTERVAL 61 MINUTE");
	while (more)
		ck_assert_msg(package_store_sweep(worker, &f.cx, &more) == OK, "%s", f.cx.message);
	ck_assert_int_eq(package_store_find(worker, &f.cx, digest, &p), ERR_NOT_FOUND);
}

/* The way of a task with each program's own rights; flow tests do all else with the same accounts. */
START_TEST(the_programs_need_no_more)
{
	struct settings api_set, worker_set;
	auto_ctx kept = { 0 };
	struct db *root, *api, *worker;
	struct claimed *c;
	struct id ids[3];
	enum task_state state;
	struct world w;
	struct str bell;
	int64_t taken;
	size_t moved;
	bool grace;

	store_fixture_open(&f);
	root = f.db;
	api = db_as(&kept, "stoker_api", &api_set);
	worker = db_as(&kept, "stoker_worker", &worker_set);
	w = given_world(&f);
	f.db = api;
	queue(&w, "a", 3, (struct task_order){ .payload = STR_LIT("x"), .callback = STR_LIT("http://x/") }, ids);
	ck_assert_msg(task_store_cancel(api, &f.cx, &w.project, &ids[0], STR_LIT("eve"), &state, &bell) == OK, "%s", f.cx.message);
	pass_a_package_on(root, api, worker);
	f.db = worker;
	c = claim(&w, 3, 2);
	start(&w, c, 1);
	ck_assert_msg(task_store_cancel(api, &f.cx, &w.project, &c[0].task_id, STR_LIT("eve"), &state, &bell) == OK, "%s", f.cx.message);
	ck_assert(settle(&w, c, 1, TASK_COMPLETE, CAUSE_EXIT));
	ck_assert_msg(node_store_beat(worker, &f.cx, 0, &grace) == OK, "%s", f.cx.message);
	ck_assert_msg(ready_store_promote(worker, &f.cx, 10, &moved) == OK, "%s", f.cx.message);
	ck_assert_msg(node_store_take_back(worker, &f.cx, &taken, NULL) == OK, "%s", f.cx.message);
	db_free(api);
	db_free(worker);
	f.db = root;
	check_laws(&f);
	store_fixture_close(&f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("rights");
	Suite *s = suite_create("rights");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_set_timeout(t, 60);
	tcase_add_test(t, neither_account_can_change_what_was);
	tcase_add_test(t, the_programs_need_no_more);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
