#include "base/clock.h"
#include "base/crypt.h"
#include "store/fire_store.h"
#include "store/log_store.h"
#include "store/schedule_store.h"
#include "store/txn.h"
#include "tests/support/task_fixture.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* The three kinds of rows whose keys are the second wall, wanted by everybody at once: the same idempotency
 * keys, the next chunk of the same logs, the same schedules' due times. Each is written once, none is left
 * out (reliability.md I14, I9, I7). tests/faults/test_galera.py has it with connections to three servers. */
enum { EACH = 6, KEYS = 120, LOGS = 2, CHUNKS = 150, CHUNK_BYTES = 7, SCHEDULES = 3, TIMES = 200, PERIOD_S = 60 };
#define ZONES "/usr/share/zoneinfo"

static struct store_fixture f;
static struct world w;
static struct code_target target;
static struct id tasks[LOGS], schedules[SCHEDULES];
static int64_t today;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct id answers[KEYS]; /* what the first who was answered heard; under the lock, as what follows */
static int64_t differing, appended[LOGS], replayed;
static _Atomic int64_t failures;
static char failure[700];

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

/* One of the crowd: connections of its own, on a cluster to any of its servers. */
struct one {
	struct db *db, *logs;
	struct ctx cx;
};

static struct one join(void)
{
	return (struct one){ .db = db_new(&f.set, DB_TASKS, 10), .logs = db_new(&f.set, DB_LOGS, 10) };
}

static void leave(struct one *o)
{
	db_free(o->db);
	db_free(o->logs);
	ctx_release(&o->cx);
}

/* False: asked again. On a cluster transactions of different servers undo each other, and some give up. */
static bool went(struct one *o, enum err e, const char *what)
{
	if (e == OK || e == ERR_BUSY)
		return e == OK;
	pthread_mutex_lock(&lock);
	if (failures++ == 0)
		snprintf(failure, sizeof failure, "%s: %s", what, o->cx.message);
	pthread_mutex_unlock(&lock);
	return false;
}

/* --- idempotency keys ------------------------------------------------------------------------------ */

static void heard(int key, struct id id, bool again)
{
	pthread_mutex_lock(&lock);
	replayed += again;
	if (!answers[key].b[0])
		answers[key] = id;
	differing += memcmp(answers[key].b, id.b, sizeof id.b) != 0;
	pthread_mutex_unlock(&lock);
}

/* As the API does it: queue under the key, or hear what whoever was first was answered. */
static bool queue_once(struct one *o, int key)
{
	struct task_order order = { .id = id_make(clock_wall_us()) };
	struct id_text text = id_format(&order.id);
	struct idempotency once = { .answer = str_of(text.s) };
	bool taken = false, found = false;
	struct str answer;
	enum err e;

	crypt_sha256(str_bytes(&key, sizeof key), once.key);
	e = task_store_add_once(o->db, &o->cx, &w.project, &order, &target, 1, &once, &taken);
	if (taken) {
		if (!went(o, idempotency_store_find(o->db, &o->cx, &w.project, &once, &found, &answer), "find") || !found ||
		    !id_parse(answer, &order.id))
			return false;
	} else if (!went(o, e, "queue once")) {
		return false;
	}
	heard(key, order.id, taken);
	return true;
}

static void *queue_all(void *arg)
{
	struct one o = join();

	(void)arg;
	for (int key = 0; key < KEYS; key++) {
		while (!queue_once(&o, key) && !failures)
			ctx_reset(&o.cx);
		ctx_reset(&o.cx);
	}
	leave(&o);
	return NULL;
}

/* --- logs ---------------------------------------------------------------------------------------------- */

/* The next chunk, as two runners that both think the attempt is theirs. False when all are there. */
static bool append_next(struct one *o, int log)
{
	static const struct log_piece PIECE = { .stream = 1, .bytes = CHUNK_BYTES };
	char text[32];
	struct log_head head;
	struct log_chunk c;
	enum err e;

	if (!went(o, log_store_head(o->logs, &o->cx, &tasks[log], 1, &head), "head"))
		return true;
	if (head.next >= CHUNKS)
		return false;
	snprintf(text, sizeof text, "%06lld\n", (long long)head.next);
	c = (struct log_chunk){ .number = head.next, .first_byte = head.bytes, .first_line = head.lines, .line_count = 1,
		                .first_at = clock_wall_us(), .pieces = &PIECE, .piece_count = 1, .plain = str_of(text) };
	e = log_store_append(o->logs, &o->cx, &tasks[log], 1, today, &c, &head);
	if (e != ERR_CONFLICT && went(o, e, "append")) {
		pthread_mutex_lock(&lock);
		appended[log]++;
		pthread_mutex_unlock(&lock);
	}
	return true;
}

static void *write_logs(void *arg)
{
	struct one o = join();
	int log = (int)(uintptr_t)arg % LOGS;

	while (append_next(&o, log) && !failures)
		ctx_reset(&o.cx);
	leave(&o);
	return NULL;
}

/* --- schedules -------------------------------------------------------------------------------------------- */

static void *fire_all(void *arg)
{
	struct one o = join();
	int quiet = 0;

	(void)arg;
	while (quiet < 3 && !failures) {
		struct fired on_time = { 0 }, late = { 0 };
		bool both = went(&o, fire_store_due(o.db, &o.cx, ZONES, FIRE_ON_TIME, &on_time), "fire") &&
			went(&o, fire_store_due(o.db, &o.cx, ZONES, FIRE_LATE, &late), "fire late");

		/* what others have locked is not seen, so nothing to do is believed when it was told thrice */
		quiet = both && !on_time.rows && !late.rows ? quiet + 1 : 0;
		ctx_reset(&o.cx);
	}
	leave(&o);
	return NULL;
}

/* Made long ago, so that TIMES times of each are due. */
static void given_schedules(int64_t now)
{
	fine(db_set_clock(f.db, &f.cx, now - (TIMES + 10) * PERIOD_S * 1000000ll));
	for (int i = 0; i < SCHEDULES; i++) {
		struct schedule_order o = { .value = schedule_default() };

		o.value.id = schedules[i] = id_make(clock_wall_us());
		o.value.code_name = STR_LIT("contended");
		o.value.cluster_name = str_of(w.cluster);
		o.value.run_every_s = PERIOD_S;
		o.value.run_times = TIMES;
		o.value.misfire = MISFIRE_ALL;
		o.value.misfire_limit = 1000;
		o.sent = 1 << FIELD_RUN_EVERY | 1 << FIELD_CODE_NAME | 1 << FIELD_CLUSTER | 1 << FIELD_RUN_TIMES | 1 << FIELD_MISFIRE |
			1 << FIELD_MISFIRE_LIMIT;
		fine(schedule_store_add(f.db, &f.cx, &w.project, ZONES, &o, &target, 1, 1000, NULL, NULL));
	}
	fine(db_set_clock(f.db, &f.cx, TIME_NONE));
}

/* --- all of them ------------------------------------------------------------------------------------------ */

static void run_all(void)
{
	static void *(*const DO[])(void *) = { queue_all, write_logs, fire_all };
	enum { KINDS = sizeof DO / sizeof *DO };
	pthread_t threads[KINDS * EACH];

	for (uintptr_t i = 0; i < KINDS * EACH; i++)
		pthread_create(&threads[i], NULL, DO[i % KINDS], (void *)(i / KINDS));
	for (size_t i = 0; i < KINDS * EACH; i++)
		pthread_join(threads[i], NULL);
	ck_assert_msg(failures == 0, "%lld failures, the first: %s", (long long)failures, failure);
}

static int64_t count_of(const char *select, const char *column, const struct id *id)
{
	return number_in(&f, f.db, arena_printf(&f.cx.arena, "%s WHERE %s = x'%s'", select, column, id_format(id).s));
}

static void check_keys(void)
{
	ck_assert_int_eq(differing, 0);
	ck_assert_int_eq(replayed, KEYS * (EACH - 1));
	ck_assert_int_eq(count_of("SELECT COUNT(*) FROM idempotency", "project_id", &w.project), KEYS);
	ck_assert_int_eq(count_of("SELECT COUNT(*) FROM task", "schedule_id IS NULL AND project_id", &w.project), KEYS);
	for (int i = 0; i < KEYS; i++)
		ck_assert_int_eq(stored(&w, &answers[i]).state, TASK_QUEUED);
}

static void check_log(int log)
{
	struct log_chunk *chunks;
	struct log_head head;
	int64_t says;
	size_t n;

	fine(log_store_head(f.logs, &f.cx, &tasks[log], 1, &head));
	ck_assert_int_eq(head.next, CHUNKS);
	ck_assert_int_eq(head.bytes, CHUNKS * CHUNK_BYTES);
	ck_assert_int_eq(head.lines, CHUNKS);
	ck_assert_int_le(appended[log], CHUNKS); /* told as done; an answer may have been lost */
	fine(log_store_read(f.logs, &f.cx, &tasks[log], &head, 0, CHUNKS, &chunks, &n));
	ck_assert_uint_eq(n, CHUNKS);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(chunks[i].number, (int64_t)i);
		ck_assert_int_eq(chunks[i].first_byte, (int64_t)i * CHUNK_BYTES);
		ck_assert(str_int(str_trim(chunks[i].plain), &says));
		ck_assert_int_eq(says, (int64_t)i);
	}
}

/* Each nominal time once, with its one task, and none between them left out. */
static void check_schedule(const struct id *id)
{
	const char *column = "schedule_id";

	ck_assert_int_eq(count_of("SELECT COUNT(*) FROM fire", column, id), TIMES);
	ck_assert_int_eq(count_of("SELECT COUNT(DISTINCT nominal) FROM fire", column, id), TIMES);
	ck_assert_int_eq(count_of("SELECT TIMESTAMPDIFF(SECOND, MIN(nominal), MAX(nominal)) FROM fire", column, id), (TIMES - 1) * PERIOD_S);
	ck_assert_int_eq(count_of("SELECT COUNT(*) FROM task", column, id), TIMES);
	ck_assert_int_eq(count_of("SELECT COUNT(DISTINCT task_id) FROM fire", column, id), TIMES);
}

START_TEST(what_everybody_wants_to_write_is_written_once_and_nothing_is_left_out)
{
	int64_t now;

	store_fixture_open(&f);
	w = given_world(&f);
	target = target_of(&w, "contended");
	fine(db_now(f.db, &f.cx, &now));
	today = time_day(now);
	for (int i = 0; i < LOGS; i++) {
		tasks[i] = id_make(clock_wall_us());
		fine(log_store_begin(f.logs, &f.cx, &w.project, &tasks[i], 1, today));
	}
	given_schedules(now);
	run_all();
	printf("%lld answers replayed, %lld transactions again\n", (long long)replayed, (long long)txn_retries());
	fflush(stdout);
	check_keys();
	for (int i = 0; i < LOGS; i++)
		check_log(i);
	for (int i = 0; i < SCHEDULES; i++)
		check_schedule(&schedules[i]);
	check_laws(&f);
	store_fixture_close(&f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("contended");
	Suite *s = suite_create("contended");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_set_timeout(t, 120);
	tcase_add_test(t, what_everybody_wants_to_write_is_written_once_and_nothing_is_left_out);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
