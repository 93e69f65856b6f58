#include "store/event_store.h"

#include "base/crypt.h"
#include "tests/support/task_fixture.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static struct store_fixture f;

static void set_up(void)
{
	store_fixture_open(&f);
}

static void tear_down(void)
{
	store_fixture_close(&f);
}

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

static void place_all(void)
{
	size_t n = 1;

	while (n)
		fine(event_store_place(f.db, &f.cx, &n));
}

/* What a reader of this project hears behind `*place`, which moves on as a reader's does. */
static size_t hear(const struct id *project, int64_t *place, struct event **out)
{
	struct event_place at = { .project = *project, .place = *place };
	int64_t end;

	fine(event_store_end(f.db, &f.cx, &end));
	fine(event_store_follow(f.db, &f.cx, &at, 1));
	*out = at.events;
	if (at.n)
		*place = at.events[at.n - 1].place;
	if (at.n < EVENT_PIECE && *place < end)
		*place = end;
	return at.n;
}

START_TEST(changes_are_told_in_their_order_and_to_their_project_alone)
{
	struct world w = given_world(&f), other = given_world(&f);
	struct task_order order = { .label = STR_LIT("nightly") };
	int64_t place = 0, none = 0;
	struct event *e;
	struct claimed *c;
	struct id task;

	queue(&w, "told", 1, order, &task);
	place_all();
	ck_assert_uint_eq(hear(&w.project, &place, &e), 1);
	ck_assert(id_equal(&e[0].task_id, &task) && e[0].number == 1 && e[0].state == TASK_QUEUED);
	ck_assert(str_is(e[0].code_name, "told") && str_is(e[0].label, "nightly") && e[0].at != TIME_NONE);
	ck_assert_uint_eq(hear(&w.project, &place, &e), 0);
	c = claim(&w, 1, 1);
	start(&w, c, 1);
	ck_assert(settle(&w, c, 1, TASK_ERROR, CAUSE_EXIT));
	place_all();
	ck_assert_uint_eq(hear(&w.project, &place, &e), 3);
	ck_assert(e[0].state == TASK_PREPARING && e[1].state == TASK_RUNNING && e[2].state == TASK_ERROR);
	ck_assert(e[2].number == 4 && e[2].attempt == 1 && str_is(e[2].cause, "exit"));
	ck_assert_uint_eq(hear(&other.project, &none, &e), 0);
}
END_TEST

START_TEST(what_commits_late_is_told_late_and_not_left_out)
{
	struct world w = given_world(&f);
	struct store_fixture late;
	struct event *e;
	struct id task;
	int64_t place = 0;

	target_of(&w, "late");
	store_fixture_open(&late);
	run_in(&late, late.db, "SET autocommit = 0");
	task = given_task(&late, &w.project, "late", ""); /* its event has its time, and its number, now */
	queue(&w, "late", 3, (struct task_order){ 0 }, NULL);
	place_all();
	ck_assert_uint_eq(hear(&w.project, &place, &e), 3);
	queue(&w, "late", 2, (struct task_order){ 0 }, NULL);
	place_all();
	ck_assert_uint_eq(hear(&w.project, &place, &e), 2);
	run_in(&late, late.db, "COMMIT");
	place_all();
	ck_assert_uint_eq(hear(&w.project, &place, &e), 1);
	ck_assert(id_equal(&e[0].task_id, &task));
	store_fixture_close(&late);
}
END_TEST

START_TEST(a_batch_that_failed_anywhere_gives_each_event_one_place)
{
	struct world w = given_world(&f);

	for (int at = 1; at <= 7; at++)
		for (int after = 0; after <= 1; after++) {
			int64_t place;
			struct event *e;
			size_t n;

			place_all();
			fine(event_store_end(f.db, &f.cx, &place));
			queue(&w, "cut", 3, (struct task_order){ 0 }, NULL);
			db_fail_at(f.db, at, after);
			if (event_store_place(f.db, &f.cx, &n) != OK)
				ck_assert(f.cx.err == ERR_BUSY || f.cx.err == ERR_UNSURE);
			db_fail_at(f.db, 0, false);
			place_all();
			ck_assert_uint_eq(hear(&w.project, &place, &e), 3);
			ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM event WHERE place IS NULL"), 0);
			ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) - COUNT(DISTINCT place) FROM event"), 0);
		}
}
END_TEST

/* --- out of order, all at once --------------------------------------------------------------------- */
enum { WRITERS = 4, PLACERS = 2, TASKS = 60 };
static struct world shared;
static _Atomic int writing;
static _Atomic bool is_over;

static unsigned dice(void)
{
	unsigned r;

	crypt_random(&r, sizeof r);
	return r;
}

/* Each transaction changes a task or two, stays open for a while, and is sometimes rolled back. */
static void *write_some(void *arg)
{
	struct store_fixture o;
	struct id tasks[2];

	(void)arg;
	store_fixture_open(&o);
	run_in(&o, o.db, "SET autocommit = 0");
	for (int i = 0; i < TASKS; i++) {
		static const struct sql CANCEL = {
			"UPDATE task SET state = 'cancelled', cause = 'cancelled', ended_at = NOW(6) WHERE id = ?", "s" };
		bool is_kept = dice() % 8 != 0;

		for (int k = 0; k < 2; k++)
			tasks[k] = given_task(&o, &shared.project, "mixed", "");
		usleep(dice() % 20000);
		run_in(&o, o.db, is_kept ? "COMMIT" : "ROLLBACK");
		for (int k = 0; is_kept && k < 2; k++) {
			ck_assert(db_exec(o.db, &o.cx, &CANCEL, VALS(v_id(&tasks[k]))) == OK);
			usleep(dice() % 5000);
		}
		run_in(&o, o.db, "COMMIT");
		ctx_reset(&o.cx);
	}
	writing--;
	store_fixture_close(&o);
	return NULL;
}

static void *place_some(void *arg)
{
	struct store_fixture o;
	size_t n;

	(void)arg;
	store_fixture_open(&o);
	while (!is_over) {
		ck_assert_msg(event_store_place(o.db, &o.cx, &n) == OK, "%s", o.cx.message);
		ctx_reset(&o.cx);
	}
	store_fixture_close(&o);
	return NULL;
}

/* Everything that was heard is in its order, and each once. */
static void check_order(const struct event *heard, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int64_t before = 0;

		ck_assert(!i || heard[i - 1].place < heard[i].place);
		for (size_t k = 0; k < i; k++)
			if (id_equal(&heard[k].task_id, &heard[i].task_id))
				before = heard[k].number;
		ck_assert_int_eq(heard[i].number, before + 1);
	}
}

START_TEST(readers_miss_nothing_whatever_commits_when)
{
	enum { MOST = WRITERS * TASKS * 4 };
	pthread_t threads[WRITERS + PLACERS];
	static struct event heard[MOST];
	int64_t place;
	size_t n = 0, all = 0;

	shared = given_world(&f);
	target_of(&shared, "mixed");
	fine(event_store_end(f.db, &f.cx, &place));
	writing = WRITERS;
	for (int i = 0; i < WRITERS + PLACERS; i++)
		pthread_create(&threads[i], NULL, i < WRITERS ? write_some : place_some, NULL);
	for (bool was_last = false; !was_last;) {
		struct event *e;

		was_last = !writing && number_in(&f, f.db, "SELECT COUNT(*) FROM event WHERE place IS NULL") == 0;
		while ((n = hear(&shared.project, &place, &e)))
			for (size_t i = 0; i < n; i++) {
				ck_assert_uint_lt(all, MOST);
				heard[all++] = e[i];
			}
	}
	is_over = true;
	for (int i = 0; i < WRITERS + PLACERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_gt(all, MOST / 2);
	ck_assert_int_eq((int64_t)all, number_in(&f, f.db, "SELECT COUNT(*) FROM event e JOIN task t ON t.id = e.task_id"
	                                                   " JOIN code c ON c.id = t.code_id WHERE c.name = 'mixed'"));
	check_order(heard, all);
}
END_TEST

/* --- what it costs --------------------------------------------------------------------------------- */
static void check_plan(const struct sql *sql, const struct val *v, size_t n)
{
	struct sql explain = { arena_printf(&f.cx.arena, "EXPLAIN %s", sql->text), sql->in };
	struct rows r;

	fine(db_query(f.db, &f.cx, &explain, v, n, &r));
	for (size_t i = 0; i < r.n; i++) {
		struct str table = val_str(&row(&r, i)[2]), type = val_str(&row(&r, i)[3]), key = val_str(&row(&r, i)[5]),
			   extra = val_str(&row(&r, i)[9]);

		ck_assert_msg(!str_is(type, "ALL") && str_find(extra, "filesort") == (size_t)-1 &&
		              str_find(extra, "temporary") == (size_t)-1, STR_FMT " " STR_FMT ": " STR_FMT, STR_ARG(table),
		              STR_ARG(type), STR_ARG(extra));
		if (str_is(table, "e") || str_is(table, "event"))
			ck_assert_msg(str_is(key, "stream"), STR_FMT, STR_ARG(key));
	}
}

START_TEST(each_statement_reads_what_it_gives_and_no_more)
{
	struct world w = given_world(&f);

	queue(&w, "plan", 400, (struct task_order){ 0 }, NULL);
	run_in(&f, f.db, "ANALYZE TABLE event");
	check_plan(&EVENT_UNPLACED, VALS(v_i(10)));
	place_all();
	queue(&w, "plan", 400, (struct task_order){ 0 }, NULL);
	run_in(&f, f.db, "ANALYZE TABLE event");
	check_plan(&EVENT_UNPLACED, VALS(v_i(10)));
	check_plan(&EVENT_FOLLOW_ONE, VALS(v_i(0), v_id(&w.project), v_i(5)));
	check_plan(&EVENT_WAITING, NULL, 0);
}
END_TEST

START_TEST(who_reads_is_noticed_and_written_now_and_then)
{
	bool any, asked;

	place_all();
	run_in(&f, f.db, "UPDATE event_turn SET asked_at = NULL");
	fine(event_store_waiting(f.db, &f.cx, &any, &asked));
	ck_assert(!any && !asked);
	fine(event_store_ask(f.db, &f.cx));
	ck_assert_int_eq(db_changed(f.db), 1);
	fine(event_store_ask(f.db, &f.cx));
	ck_assert_int_eq(db_changed(f.db), 0);
	fine(event_store_waiting(f.db, &f.cx, &any, &asked));
	ck_assert(!any && asked);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("event_store");
	TCase *t = tcase_create("event_store");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, changes_are_told_in_their_order_and_to_their_project_alone);
	tcase_add_test(t, what_commits_late_is_told_late_and_not_left_out);
	tcase_add_test(t, a_batch_that_failed_anywhere_gives_each_event_one_place);
	tcase_add_test(t, readers_miss_nothing_whatever_commits_when);
	tcase_add_test(t, each_statement_reads_what_it_gives_and_no_more);
	tcase_add_test(t, who_reads_is_noticed_and_written_now_and_then);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
