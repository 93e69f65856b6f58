#include "base/clock.h"
#include "tests/support/task_fixture.h"
#include "tests/support/throwaway_db.h"

#include <check.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>

/* What the database itself refuses, whoever asks, and the door it opens to applications. */
static struct store_fixture f;

static void set_up(void)
{
	store_fixture_open(&f);
}

static void tear_down(void)
{
	check_laws(&f);
	store_fixture_close(&f);
}

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

/* --- the wall ------------------------------------------------------------------------------------ */

static unsigned refused(const char *update, const struct id *task)
{
	const struct sql sql = { update, "s" };

	return db_exec(f.db, &f.cx, &sql, VALS(v_id(task))) == OK ? 0 : db_errno(f.db);
}

/* A task in each state, on the way it really takes. */
static struct id task_in(struct world *w, enum task_state state)
{
	struct str bell;
	enum task_state now;
	struct claimed *c;
	struct id id;

	queue(w, "a", 1, (struct task_order){ 0 }, &id);
	if (state == TASK_QUEUED)
		return id;
	if (state == TASK_EXPIRED) {
		ck_assert_uint_eq(refused("DELETE FROM ready WHERE task_id = ?", &id), 0);
		ck_assert_uint_eq(refused("UPDATE task SET state = 'expired', cause = 'expired', ended_at = NOW(6) WHERE id = ?", &id), 0);
		return id;
	}
	if (state == TASK_CANCELLED) {
		fine(task_store_cancel(f.db, &f.cx, &w->project, &id, STR_LIT("x"), &now, &bell));
		return id;
	}
	c = claim(w, 1, 1);
	if (state == TASK_PREPARING)
		return id;
	start(w, c, 1);
	if (state != TASK_RUNNING)
		ck_assert(settle(w, c, 1, state, state == TASK_TIMEOUT ? CAUSE_TIMEOUT : CAUSE_EXIT));
	return id;
}

START_TEST(the_triggers_know_the_same_edges_as_the_model)
{
	/* as complete as a move to that state must be, so that only the edge decides */
	static const struct sql MOVE = {
		"UPDATE task SET state = ?, attempt = attempt + IF(? = 'preparing', 1, 0),"
		" node_id = IF(? IN ('preparing', 'running'), 1, NULL),"
		" node_session = IF(? = 'queued', NULL, x'00112233445566778899aabbccddeeff'),"
		" cause = IF(? IN ('queued', 'preparing', 'running'), NULL, 'exit'),"
		" exit_code = IF(? = 'complete', 0, NULL),"
		" ended_at = IF(? IN ('queued', 'preparing', 'running'), NULL, NOW(6)) WHERE id = ?", "ssssssss" };
	for (int from = 0; from < TASK_STATE_COUNT; from++) {
		struct world w = given_world(&f);
		struct id id = task_in(&w, (enum task_state)from);

		for (int to = 0; to < TASK_STATE_COUNT; to++) {
			struct val s = v_z(task_state_name((enum task_state)to));
			bool moved;

			if (from == to)
				continue;
			run_in(&f, f.db, "START TRANSACTION");
			moved = db_exec(f.db, &f.cx, &MOVE, VALS(s, s, s, s, s, s, s, v_id(&id))) == OK && db_changed(f.db) == 1;
			ck_assert_msg(moved || db_errno(f.db) == 31010 || db_errno(f.db) == 31011, "%u", db_errno(f.db));
			run_in(&f, f.db, "ROLLBACK");
			ck_assert_msg(moved == task_state_can_move((enum task_state)from, (enum task_state)to), "%s to %s",
			              task_state_name((enum task_state)from), task_state_name((enum task_state)to));
		}
	}
}
END_TEST

START_TEST(the_wall_refuses_what_no_statement_of_ours_does)
{
	struct world w = given_world(&f);
	struct id complete = task_in(&w, TASK_COMPLETE), running = task_in(&w, TASK_RUNNING);
	struct id queued = task_in(&w, TASK_QUEUED);

	ck_assert_uint_eq(refused("UPDATE task SET attempt = attempt - 1 WHERE id = ?", &running), 31011);
	ck_assert_uint_eq(refused("UPDATE task SET attempt = attempt + 1 WHERE id = ?", &running), 31011);
	ck_assert_uint_eq(refused("UPDATE task SET node_id = NULL WHERE id = ?", &running), 4025);
	ck_assert_uint_eq(refused("UPDATE task SET node_session = NULL WHERE id = ?", &running), 4025);
	ck_assert_uint_eq(refused("UPDATE task SET node_id = 1 WHERE id = ?", &complete), 4025);
	ck_assert_uint_eq(refused("UPDATE task SET node_session = x'00' WHERE id = ?", &queued), 4025);
	ck_assert_uint_eq(refused("UPDATE task SET state = 'error', node_id = NULL, ended_at = NOW(6) WHERE id = ?", &running), 4025);
	ck_assert_uint_eq(refused("UPDATE task SET state = 'error', node_id = NULL, cause = 'exit' WHERE id = ?", &running), 4025);
	ck_assert_uint_eq(refused("UPDATE task SET state = 'complete', node_id = NULL, cause = 'exit', exit_code = 1,"
	                          " ended_at = NOW(6) WHERE id = ?", &running), 4025);
	ck_assert_uint_eq(refused("UPDATE task SET cause = 'timeout' WHERE id = ?", &complete), 31012);
	ck_assert_uint_eq(refused("UPDATE task SET exit_code = 1 WHERE id = ?", &complete), 31012);
	ck_assert_uint_eq(refused("UPDATE task SET ended_at = NOW(6) WHERE id = ?", &complete), 31012);
}
END_TEST

START_TEST(the_state_columns_have_the_states_of_the_model_in_their_order)
{
	static const struct sql TYPES = {
		"SELECT CAST(column_type AS CHAR) FROM information_schema.columns WHERE table_schema = DATABASE()"
		" AND (table_name, column_name) IN (('task', 'state'), ('event', 'state'), ('outbox', 'task_state'))"
		" ORDER BY LENGTH(column_type)", "" };
	char expected[256] = "enum(";
	struct rows r;

	for (int s = 0; s < TASK_STATE_COUNT; s++) {
		size_t at = strlen(expected);

		snprintf(expected + at, sizeof expected - at, "%s'%s'", s ? "," : "", task_state_name((enum task_state)s));
	}
	fine(db_query(f.db, &f.cx, &TYPES, NULL, 0, &r));
	ck_assert_uint_eq(r.n, 3);
	for (size_t i = 0; i < 3; i++) {
		struct str type = val_str(&row(&r, i)[0]);
		/* callbacks are also told of what is no state */
		struct str more = i == 2 ? STR_LIT(",'retried','dead','test')") : STR_LIT(")");

		ck_assert_msg(type.n == strlen(expected) + more.n && !memcmp(type.p, expected, strlen(expected)) &&
		              !memcmp(type.p + strlen(expected), more.p, more.n), STR_FMT, STR_ARG(type));
	}
}
END_TEST

/* --- applications ---------------------------------------------------------------------------------- */

static MYSQL *app_connection(const char *user)
{
	MYSQL *my = mysql_init(NULL);

	ck_assert_msg(mysql_real_connect(my, NULL, user, NULL, "stoker", 0, throwaway_db_start(), 0) != NULL, "%s", mysql_error(my));
	return my;
}

static unsigned said(MYSQL *my, const char *query)
{
	unsigned e = mysql_query(my, query) ? mysql_errno(my) : 0;
	MYSQL_RES *r = mysql_store_result(my);

	if (r)
		mysql_free_result(r);
	return e;
}

static void let_in(struct world *w, const char *user)
{
	static const struct sql ALLOW = { "INSERT INTO app (account, project_id) VALUES (?, ?)", "ss" };
	char text[200];

	snprintf(text, sizeof text, "CREATE USER %s@localhost", user);
	run_in(&f, f.db, text);
	snprintf(text, sizeof text, "GRANT INSERT ON queue TO %s@localhost", user);
	run_in(&f, f.db, text);
	if (w)
		fine(db_exec(f.db, &f.cx, &ALLOW, VALS(v_z(user), v_id(&w->project))));
}

START_TEST(an_application_queues_inside_its_own_transaction)
{
	struct world w = given_world(&f);
	struct code_order order = { .name = STR_LIT("legacy"), .has_priority = true, .default_priority = 2,
		                    .has_timeout = true, .timeout_s = 30 };
	char insert[300];
	struct claimed *c;
	struct code code;
	struct task t;
	MYSQL *my;

	target_of(&w, "legacy");
	fine(code_store_put(f.db, &f.cx, &w.project, &order, &code));
	let_in(&w, "app1");
	my = app_connection("app1");
	snprintf(insert, sizeof insert, "INSERT INTO queue (code_name, cluster_name, payload, label)"
	                                " VALUES ('legacy', '%s', 'from afar', 'x') RETURNING id", w.cluster);
	ck_assert_uint_eq(said(my, "START TRANSACTION"), 0);
	ck_assert_uint_eq(said(my, insert), 0);
	ck_assert_uint_eq(said(my, "ROLLBACK"), 0);
	claim(&w, 5, 0);
	ck_assert_uint_eq(said(my, "START TRANSACTION"), 0);
	ck_assert_uint_eq(said(my, insert), 0);
	claim(&w, 5, 0); /* not seen before it commits, and in nobody's way */
	ck_assert_uint_eq(said(my, "COMMIT"), 0);
	c = claim(&w, 5, 1);
	ck_assert(str_is(c->payload, "from afar"));
	ck_assert_int_eq(c->timeout_s, 30);
	t = stored(&w, &c->task_id);
	ck_assert_int_eq(t.priority, 2);
	ck_assert(str_is(t.label, "x"));
	ck_assert_int_lt(llabs(id_ms(&t.id) - clock_wall_us() / 1000), 60000);
	mysql_close(my);
}
END_TEST

START_TEST(an_application_can_do_nothing_else)
{
	struct world w = given_world(&f);
	MYSQL *my, *stranger;

	target_of(&w, "legacy");
	let_in(&w, "app2");
	let_in(NULL, "app3");
	my = app_connection("app2");
	stranger = app_connection("app3");
	ck_assert_uint_eq(said(my, "SELECT * FROM queue"), 1142);
	ck_assert_uint_eq(said(my, "SELECT * FROM task"), 1142);
	ck_assert_uint_eq(said(my, "INSERT INTO task (lane_id) VALUES (1)"), 1142);
	ck_assert_uint_eq(said(my, "UPDATE queue SET priority = 2"), 1142);
	ck_assert_uint_eq(said(my, "DELETE FROM queue"), 1142);
	ck_assert_uint_eq(said(my, "INSERT INTO queue (code_name, project_id) VALUES ('legacy', x'00')"), 1054);
	ck_assert_uint_eq(said(my, "INSERT INTO queue (code_name) VALUES ('nothing')"), 31002);
	ck_assert_uint_eq(said(my, "INSERT INTO queue (code_name, cluster_name) VALUES ('legacy', 'nowhere')"), 31002);
	ck_assert_uint_eq(said(my, "INSERT INTO queue (id, code_name) VALUES (x'000000000000000000000001', 'legacy')"), 31005);
	ck_assert_uint_eq(said(my, "INSERT INTO queue (code_name, not_after) VALUES ('legacy', '2020-01-01')"), 31001);
	ck_assert_uint_eq(said(my, "INSERT INTO queue (code_name) VALUES ('legacy'), ('nothing')"), 31002);
	ck_assert_uint_eq(said(stranger, "INSERT INTO queue (code_name) VALUES ('legacy')"), 31003);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM task t JOIN code c ON c.id = t.code_id WHERE c.name = 'legacy'"
	                                     " AND t.created_at > NOW(6) - INTERVAL 1 SECOND AND t.attempt = 0"), 0);
	mysql_close(my);
	mysql_close(stranger);
}
END_TEST

/* What the session of an application can turn decides nothing: times are the server's, in UTC. */
START_TEST(an_applications_zone_moves_nothing)
{
	static const char *const SESSIONS[] = { "SET time_zone = '+05:00'", "SET time_zone = '-11:00'",
		                                "SET tx_isolation = 'REPEATABLE-READ'" };
	struct world w = given_world(&f);
	char insert[200];
	MYSQL *my;

	target_of(&w, "zoned");
	let_in(&w, "app4");
	snprintf(insert, sizeof insert, "INSERT INTO queue (code_name, cluster_name, not_after) VALUES ('zoned', '%s',"
	                                " UTC_TIMESTAMP() + INTERVAL 1 MINUTE)", w.cluster);
	for (size_t i = 0; i < sizeof SESSIONS / sizeof *SESSIONS; i++) {
		struct claimed *c;
		struct task t;

		my = app_connection("app4");
		ck_assert_uint_eq(said(my, SESSIONS[i]), 0);
		ck_assert_uint_eq(said(my, insert), 0);
		mysql_close(my);
		c = claim(&w, 1, 1); /* due at once */
		t = stored(&w, &c->task_id);
		ck_assert_int_lt(llabs(t.created_at - clock_wall_us()), 60000000);
		ck_assert_int_eq(t.due_at, t.created_at);
		ck_assert_int_lt(llabs(id_ms(&t.id) - t.created_at / 1000), 2);
	}
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM task t JOIN event e ON e.task_id = t.id AND e.number = 1"
	                                     " JOIN code c ON c.id = t.code_id WHERE c.name = 'zoned'"
	                                     " AND e.at = t.created_at AND t.rank_at <= t.due_at"), 3);
}
END_TEST

START_TEST(a_session_with_a_turned_clock_or_that_locks_what_it_reads_is_refused)
{
	struct world w = given_world(&f);
	char insert[200], own_id[300];
	MYSQL *my;

	target_of(&w, "turned");
	let_in(&w, "app5");
	my = app_connection("app5");
	snprintf(insert, sizeof insert, "INSERT INTO queue (code_name, cluster_name) VALUES ('turned', '%s')", w.cluster);
	snprintf(own_id, sizeof own_id, "INSERT INTO queue (id, code_name, cluster_name) VALUES"
	                                " (x'0000000003e8000000000001', 'turned', '%s')", w.cluster);
	ck_assert_uint_eq(said(my, "SET timestamp = 1"), 0);
	ck_assert_uint_eq(said(my, insert), 31007);
	ck_assert_uint_eq(said(my, own_id), 31007);
	ck_assert_uint_eq(said(my, "SET timestamp = DEFAULT"), 0);
	ck_assert_uint_eq(said(my, "SET @ahead = UNIX_TIMESTAMP() + 20"), 0);
	ck_assert_uint_eq(said(my, "SET timestamp = @ahead"), 0);
	ck_assert_uint_eq(said(my, insert), 31007);
	ck_assert_uint_eq(said(my, "SET timestamp = DEFAULT"), 0);
	ck_assert_uint_eq(said(my, own_id), 31005);
	ck_assert_uint_eq(said(my, "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"), 0);
	ck_assert_uint_eq(said(my, "START TRANSACTION"), 0);
	ck_assert_uint_eq(said(my, insert), 31008);
	ck_assert_uint_eq(said(my, "ROLLBACK"), 0);
	ck_assert_uint_eq(said(my, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"), 0);
	ck_assert_uint_eq(said(my, insert), 0);
	claim(&w, 5, 1);
	mysql_close(my);
}
END_TEST

/* While the transaction of an application is open, claims and settlements of that code go on. */
START_TEST(an_open_transaction_of_an_application_is_in_nobodys_way)
{
	struct world w = given_world(&f);
	char insert[200];
	struct claimed *c;
	MYSQL *my;

	queue(&w, "both", 2, (struct task_order){ 0 }, NULL);
	let_in(&w, "app6");
	my = app_connection("app6");
	snprintf(insert, sizeof insert, "INSERT INTO queue (code_name, cluster_name) VALUES ('both', '%s')", w.cluster);
	ck_assert_uint_eq(said(my, "START TRANSACTION"), 0);
	ck_assert_uint_eq(said(my, insert), 0);
	run_in(&f, f.db, "SET SESSION innodb_lock_wait_timeout = 1");
	c = claim(&w, 2, 2);
	start(&w, c, 2);
	ck_assert(settle(&w, c, 2, TASK_COMPLETE, CAUSE_EXIT));
	ck_assert_uint_eq(said(my, "COMMIT"), 0);
	claim(&w, 2, 1);
	mysql_close(my);
}
END_TEST

START_TEST(the_view_has_the_limits_of_the_api)
{
	static const struct {
		const char *column, *value;
		unsigned answer;
	} CASES[] = {
		{ "payload", "REPEAT('x', 3145728)", 0 }, { "payload", "REPEAT('x', 3145729)", 31009 },
		{ "delay_s", "-1", 31009 },               { "delay_s", "3153600000", 0 },
		{ "delay_s", "3153600001", 31009 },       { "delay_s", "NULL", 0 },
		{ "priority", "3", 31009 },               { "priority", "99", 31009 },
		{ "priority", "-2", 31009 },              { "priority", "-1", 0 },
		{ "priority", "2", 0 },
	};
	struct world w = given_world(&f);
	char insert[300];
	MYSQL *my;

	target_of(&w, "limits");
	let_in(&w, "app7");
	my = app_connection("app7");
	ck_assert_uint_eq(said(my, "SET sql_mode = ''"), 0); /* nothing is clipped into what is allowed */
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		snprintf(insert, sizeof insert, "INSERT INTO queue (code_name, cluster_name, %s) VALUES ('limits', '%s', %s)",
		         CASES[i].column, w.cluster, CASES[i].value);
		ck_assert_msg(said(my, insert) == CASES[i].answer, "%s = %s: %u", CASES[i].column, CASES[i].value, mysql_errno(my));
	}
	mysql_close(my);
	queue(&w, "limits", 1, (struct task_order){ .delay_s = INT64_C(3153600000) }, NULL);
	claim(&w, 9, 4); /* all but the delayed ones */
}
END_TEST

START_TEST(the_views_of_history_show_ids_and_names_as_people_know_them)
{
	struct world w = given_world(&f);
	struct id id = task_in(&w, TASK_COMPLETE);
	char query[300];

	snprintf(query, sizeof query, "SELECT COUNT(*) FROM task_history_v1 t JOIN attempt_history_v1 a ON a.task_id = t.id"
	                              " WHERE t.id = '%s' AND t.code = 'a' AND t.cluster = '%s' AND a.node = 'node'"
	                              " AND t.state = 'complete' AND t.duration_ms >= 0", id_format(&id).s, w.cluster);
	ck_assert_int_eq(number_in(&f, f.db, query), 1);
	snprintf(query, sizeof query, "SELECT COUNT(*) FROM event_history_v1 WHERE task_id = '%s'", id_format(&id).s);
	ck_assert_int_eq(number_in(&f, f.db, query), 4);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM callback_history_v1"), number_in(&f, f.db, "SELECT COUNT(*) FROM outbox"));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("wall");
	Suite *s = suite_create("wall");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_triggers_know_the_same_edges_as_the_model);
	tcase_add_test(t, the_wall_refuses_what_no_statement_of_ours_does);
	tcase_add_test(t, the_state_columns_have_the_states_of_the_model_in_their_order);
	tcase_add_test(t, an_application_queues_inside_its_own_transaction);
	tcase_add_test(t, an_application_can_do_nothing_else);
	tcase_add_test(t, an_applications_zone_moves_nothing);
	tcase_add_test(t, a_session_with_a_turned_clock_or_that_locks_what_it_reads_is_refused);
	tcase_add_test(t, an_open_transaction_of_an_application_is_in_nobodys_way);
	tcase_add_test(t, the_view_has_the_limits_of_the_api);
	tcase_add_test(t, the_views_of_history_show_ids_and_names_as_people_know_them);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
