#include "base/clock.h"
#include "base/crypt.h"
#include "store/txn.h"
#include "tests/support/task_fixture.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Everybody at once, then the history is read: nothing lost, nothing twice, no limit exceeded, no
 * deadlock. Eight nodes claim, start, settle, give back, renew their leases and die; others queue,
 * cancel, pause, promote and take back. */
enum { NODES = 8, QUEUERS = 4, SECONDS = 5, SECONDS_MOST = 40, LIMIT = 4, BATCH = 10 };

static struct store_fixture f;
static struct world w;
static struct code_target codes[4]; /* free, limited, paused now and then, retried */
static const char *const NAMES[] = { "free", "limited", "paused", "retried" };
static atomic_bool stop, settling;
static _Atomic int64_t queued, claimed_all, settled_all, lost_all, cancelled_all, taken_all, renewed, failures;
static char failure[700];

#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

/* One of the crowd: a connection and some random numbers of its own. */
struct one {
	struct db *db;
	struct ctx cx;
	unsigned seed;
};

static struct one join(unsigned seed)
{
	return (struct one){ .db = db_new(&f.set, DB_TASKS, 10), .seed = seed };
}

static void leave(struct one *o)
{
	db_free(o->db);
	ctx_release(&o->cx);
}

/* Over the nodes of a Galera cluster, every connection prefers any of them: transactions of different nodes
 * undo each other, some give up, and whoever asked asks again. What is done must be as right as on one. */
static bool on_cluster(void)
{
	return getenv("STOKER_TEST_CLUSTER") != NULL;
}

static bool went(struct one *o, enum err e, const char *what)
{
	if (e == ERR_BUSY && on_cluster())
		return false;
	if (e != OK && atomic_fetch_add(&failures, 1) == 0)
		snprintf(failure, sizeof failure, "%s: %s", what, o->cx.message);
	return e == OK;
}

/* What a node must have done before it can go on: over a cluster, where some give up, until it is done. */
static bool again(struct one *o, enum err e, const char *what)
{
	return !went(o, e, what) && failures == 0;
}

static bool chance(struct one *o, int percent)
{
	return rand_r(&o->seed) % 100 < percent;
}

static void rest(int ms)
{
	const struct timespec t = { 0, ms * 1000000L };

	nanosleep(&t, NULL);
}

static void *queue_tasks(void *arg)
{
	struct one o = join((unsigned)(uintptr_t)arg);

	while (!stop) {
		struct task_order orders[5] = { 0 };
		struct code_target targets[5];
		struct id ids[5];

		id_make_many(clock_wall_us(), ids, 5);
		for (int i = 0; i < 5; i++) {
			orders[i] = (struct task_order){ .id = ids[i], .callback = chance(&o, 20) ? STR_LIT("http://x/") : STR_LIT(""),
				                         .delay_s = chance(&o, 5) ? 1 : 0 };
			targets[i] = codes[rand_r(&o.seed) % 4];
		}
		if (went(&o, task_store_add(o.db, &o.cx, &w.project, orders, targets, 5), "queue"))
			atomic_fetch_add(&queued, 5);
		ctx_reset(&o.cx);
		rest(1);
	}
	leave(&o);
	return NULL;
}

static struct verdict verdict_of(struct one *o)
{
	if (!settling && chance(o, 10))
		return (struct verdict){ .state = TASK_QUEUED, .cause = CAUSE_NODE_STOPPED };
	if (chance(o, 10))
		return (struct verdict){ .state = TASK_ERROR, .cause = CAUSE_EXIT, .exit_code = 1, .ran_us = 1000 };
	return (struct verdict){ .state = TASK_COMPLETE, .cause = CAUSE_EXIT, .ran_us = 1000 };
}

static void work_off(struct one *o, const struct node_claim *node, const struct claimed *c, size_t n)
{
	struct attempt_start starts[BATCH];
	struct attempt_end ends[BATCH];
	bool lost[BATCH];

	for (size_t i = 0; i < n; i++)
		starts[i] = (struct attempt_start){ c[i].task_id, c[i].attempt, 500, { 0, 0 } };
	if (chance(o, 80))
		went(o, attempt_store_start(o->db, &o->cx, node, starts, n, lost), "start");
	if (chance(o, 30))
		rest(5);
	for (size_t i = 0; i < n; i++)
		ends[i] = (struct attempt_end){ c[i].task_id, c[i].attempt, c[i].lane_id, verdict_of(o), 0 };
	if (!went(o, attempt_store_settle(o->db, &o->cx, node, ends, n, lost), "settle"))
		return;
	for (size_t i = 0; i < n; i++)
		atomic_fetch_add(lost[i] ? &lost_all : &settled_all, 1);
}

/* What a node's two threads know of it: one claims and settles, the other renews the lease. */
struct lease {
	pthread_mutex_t lock;
	bool alive;
	struct node_claim node;
	char session[16];
};
static struct lease leases[NODES];

static struct node_claim join_cluster(struct one *o, struct lease *l, char session[16])
{
	struct node_claim node = { .session = str_bytes(session, 16) };

	crypt_random(session, 16);
	while (again(o, node_store_register(o->db, &o->cx, STR_LIT("racer"), str_of(w.cluster), node.session, 16, STR_LIT(""),
	                                    STR_LIT(""), 3600, &node.node_id, &node.cluster_id), "register"))
		rest(5);
	pthread_mutex_lock(&l->lock);
	memcpy(l->session, session, 16);
	l->node = node;
	l->node.session = str_bytes(l->session, 16);
	l->alive = true;
	pthread_mutex_unlock(&l->lock);
	return node;
}

/* Its lease runs out at once, and nobody renews it; sometimes it goes on working all the same. */
static void die(struct one *o, struct lease *l)
{
	static const struct sql LATE = { "UPDATE node SET lease_until = NOW(6) - INTERVAL 1 SECOND WHERE id = ?", "i" };

	pthread_mutex_lock(&l->lock);
	l->alive = false;
	while (again(o, db_exec(o->db, &o->cx, &LATE, VALS(v_i(l->node.node_id))), "die"))
		rest(5);
	pthread_mutex_unlock(&l->lock);
}

static void *renew(void *arg)
{
	struct lease *l = arg;
	struct one o = join(1);

	while (!stop) {
		bool draining;

		pthread_mutex_lock(&l->lock);
		if (l->alive && went(&o, node_store_renew(o.db, &o.cx, l->node.node_id, l->node.session, 3600, 1, &draining), "renew"))
			atomic_fetch_add(&renewed, 1);
		pthread_mutex_unlock(&l->lock);
		ctx_reset(&o.cx);
		rest(1);
	}
	leave(&o);
	return NULL;
}

static void *be_a_node(void *arg)
{
	struct lease *l = arg;
	struct one o = join((unsigned)(l - leases) + 100);
	char session[16];
	struct node_claim node = join_cluster(&o, l, session);

	while (!stop) {
		struct claimed *c;
		size_t n = 0;

		if (went(&o, ready_store_claim(o.db, &o.cx, &node, BATCH, &c, &n), "claim") && n) {
			atomic_fetch_add(&claimed_all, (int64_t)n);
			if (chance(&o, 3)) {
				die(&o, l);
				if (chance(&o, 70)) {
					if (chance(&o, 50))
						rest(20);
					work_off(&o, &node, c, n); /* late words of a dead node */
				}
				node = join_cluster(&o, l, session);
			} else {
				work_off(&o, &node, c, n);
			}
		}
		if (!n)
			rest(2);
		ctx_reset(&o.cx);
	}
	die(&o, l);
	leave(&o);
	return NULL;
}

static void *cancel_tasks(void *arg)
{
	static const struct sql SOME = {
		"SELECT id FROM task WHERE project_id = ? AND id < ? ORDER BY id DESC LIMIT 3", "ss" };
	struct one o = join((unsigned)(uintptr_t)arg);

	while (!stop) {
		struct id below = id_make(clock_wall_us() - rand_r(&o.seed) % 300000);
		enum task_state state;
		struct str bell;
		struct rows r;

		if (went(&o, db_query(o.db, &o.cx, &SOME, VALS(v_id(&w.project), v_id(&below)), &r), "look"))
			for (size_t i = 0; i < r.n; i++) {
				struct id id = val_id(&row(&r, i)[0]);

				if (went(&o, task_store_cancel(o.db, &o.cx, &w.project, &id, STR_LIT("eve"), &state, &bell), "cancel"))
					atomic_fetch_add(&cancelled_all, state == TASK_CANCELLED);
			}
		ctx_reset(&o.cx);
		rest(3);
	}
	leave(&o);
	return NULL;
}

static void *pause_and_resume(void *arg)
{
	struct one o = join((unsigned)(uintptr_t)arg);

	for (bool paused = true; !stop; paused = !paused) {
		bool changed;

		went(&o, code_store_pause(o.db, &o.cx, &w.project, &codes[2].code_id, paused, &changed), "pause");
		ctx_reset(&o.cx);
		rest(150);
	}
	leave(&o);
	return NULL;
}

static void *schedule(void *arg)
{
	struct one o = join((unsigned)(uintptr_t)arg);

	while (!stop) {
		int64_t taken = 0;
		size_t moved;
		bool grace;

		went(&o, node_store_beat(o.db, &o.cx, 0, &grace), "beat"); /* a busy machine is no outage here */
		went(&o, ready_store_promote(o.db, &o.cx, 100, &moved), "promote");
		went(&o, node_store_take_back(o.db, &o.cx, &taken, NULL), "take back");
		atomic_fetch_add(&taken_all, taken);
		ctx_reset(&o.cx);
		rest(10);
	}
	leave(&o);
	return NULL;
}

/* --- reading the history --------------------------------------------------------------------------- */

/* Starts and ends of attempts of the limited code, in order of time: never more than the limit. */
static void check_limit(void)
{
	static const struct sql HISTORY = {
		"SELECT d FROM ((SELECT a.claimed_at AS at, 1 AS d FROM attempt a JOIN task t ON t.id = a.task_id WHERE t.code_id = ?)"
		" UNION ALL (SELECT a.ended_at, -1 FROM attempt a JOIN task t ON t.id = a.task_id"
		" WHERE t.code_id = ? AND a.ended_at IS NOT NULL)) x ORDER BY at, d", "ss" };
	int64_t running = 0, most = 0;
	struct rows r;

	fine(db_query(f.db, &f.cx, &HISTORY, VALS(v_id(&codes[1].code_id), v_id(&codes[1].code_id)), &r));
	for (size_t i = 0; i < r.n; i++) {
		running += val_int(&row(&r, i)[0]);
		most = running > most ? running : most;
	}
	ck_assert_msg(on_cluster() ? most <= LIMIT : most == LIMIT, "%lld ran at once", (long long)most);
}

/* The first attempts of the code that nothing holds back, in the order they were claimed: none may
 * overtake one that was there a second before. */
static void check_order(void)
{
	static const struct sql HISTORY = {
		"SELECT t.rank_at, a.claimed_at FROM attempt a JOIN task t ON t.id = a.task_id"
		" WHERE t.code_id = ? AND a.number = 1 AND t.due_at = t.created_at ORDER BY a.claimed_at, t.rank_at", "s" };
	int64_t last = 0;
	struct rows r;

	fine(db_query(f.db, &f.cx, &HISTORY, VALS(v_id(&codes[0].code_id)), &r));
	ck_assert_uint_gt(r.n, 50);
	for (size_t i = 0; i < r.n; i++) {
		int64_t rank = val_time(&row(&r, i)[0]);

		ck_assert_msg(rank >= last - 200000, "overtaken by %lld us", (long long)(last - rank));
		last = rank > last ? rank : last;
	}
}

/* What is left: the dead are taken back, the rest is worked off by one node. */
static void finish(void)
{
	struct one o = join(99);
	bool changed, grace;
	int64_t taken = 1;
	size_t n = 1, moved;

	settling = true;
	fine(code_store_pause(f.db, &f.cx, &w.project, &codes[2].code_id, false, &changed));
	fine(node_store_beat(f.db, &f.cx, 0, &grace));
	while (taken)
		fine(node_store_take_back(f.db, &f.cx, &taken, NULL));
	fine(db_set_clock(f.db, &f.cx, clock_wall_us() + 5000000));
	fine(ready_store_promote(f.db, &f.cx, 10000, &moved));
	fine(db_set_clock(f.db, &f.cx, TIME_NONE));
	check_laws(&f);
	while (n) {
		struct claimed *c = NULL;

		fine(ready_store_claim(f.db, &f.cx, &w.node, BATCH, &c, &n));
		if (n)
			work_off(&o, &w.node, c, n);
		ctx_reset(&o.cx);
	}
	leave(&o);
}

/* Which two statements waited for each other. */
static void show_deadlock(void)
{
	static const struct sql STATUS = { "SHOW ENGINE INNODB STATUS", "" };
	struct rows r;
	struct str text;
	size_t at, end;

	fine(db_query(f.db, &f.cx, &STATUS, NULL, 0, &r));
	text = val_str(&row(&r, 0)[2]);
	at = str_find(text, "LATEST DETECTED DEADLOCK");
	end = str_find(text, "\nTRANSACTIONS\n");
	if (at != (size_t)-1 && end != (size_t)-1 && end > at)
		printf(STR_FMT "\n", (int)(end - at), text.p + at);
}

static int64_t deadlocks(void)
{
	return number_in(&f, f.db, "SELECT SUM(variable_value) FROM information_schema.global_status"
	                           " WHERE variable_name = 'INNODB_DEADLOCKS'");
}

static void run_all(void)
{
	pthread_t threads[2 * NODES + QUEUERS + 4];
	size_t n = 0;

	for (uintptr_t i = 0; i < QUEUERS; i++)
		pthread_create(&threads[n++], NULL, queue_tasks, (void *)(i + 1));
	for (int i = 0; i < NODES; i++) {
		pthread_mutex_init(&leases[i].lock, NULL);
		pthread_create(&threads[n++], NULL, be_a_node, &leases[i]);
		pthread_create(&threads[n++], NULL, renew, &leases[i]);
	}
	pthread_create(&threads[n++], NULL, cancel_tasks, (void *)200);
	pthread_create(&threads[n++], NULL, pause_and_resume, (void *)201);
	pthread_create(&threads[n++], NULL, schedule, (void *)202);
	pthread_create(&threads[n++], NULL, schedule, (void *)203);
	/* on a busy machine it may take longer until a node has died with tasks in its hands */
	for (int i = 0; i < SECONDS * 10 || (i < SECONDS_MOST * 10 && (!taken_all || claimed_all <= 100)); i++)
		rest(100);
	stop = true;
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static void *claim_only(void *arg)
{
	struct lease *l = arg;
	struct one o = join(1);

	while (!stop) {
		struct claimed *c;
		size_t n;

		went(&o, ready_store_claim(o.db, &o.cx, &l->node, 1, &c, &n), "claim");
		ctx_reset(&o.cx);
	}
	leave(&o);
	return NULL;
}

/* With one live node the optimizer likes the index `lease` for a claim: whoever comes to the node's row
 * by another index than the next one meets him in a deadlock. */
START_TEST(the_renewals_of_a_lone_node_and_its_claims_do_not_meet)
{
	pthread_t threads[4];

	store_fixture_open(&f);
	w = given_world(&f);
	for (int i = 0; i < 2; i++) {
		leases[i].node = w.node;
		leases[i].alive = true;
		pthread_mutex_init(&leases[i].lock, NULL);
		pthread_create(&threads[2 * i], NULL, claim_only, &leases[i]);
		pthread_create(&threads[2 * i + 1], NULL, renew, &leases[i]);
	}
	for (int i = 0; i < 18 || (i < SECONDS_MOST * 10 && renewed <= 50); i++)
		rest(100);
	stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_msg(failures == 0, "%lld failures, the first: %s", (long long)failures, failure);
	ck_assert_int_gt(renewed, 50);
	ck_assert(on_cluster() || deadlocks() == 0);
	store_fixture_close(&f);
}
END_TEST

START_TEST(everybody_at_once_loses_nothing_and_does_nothing_twice)
{
	struct code_order order = { .has_max_concurrency = true, .max_concurrency = LIMIT };
	struct code_order retries = { .has_retries = true, .retries = 1 };
	struct code code;

	store_fixture_open(&f);
	w = given_world(&f);
	for (int i = 0; i < 4; i++)
		codes[i] = target_of(&w, NAMES[i]);
	order.name = str_of(NAMES[1]);
	retries.name = str_of(NAMES[3]);
	fine(code_store_put(f.db, &f.cx, &w.project, &order, &code));
	fine(code_store_put(f.db, &f.cx, &w.project, &retries, &code));
	for (int i = 0; i < 4; i++)
		codes[i] = target_of(&w, NAMES[i]); /* the new revisions, in the cluster of these nodes */
	run_all();
	printf("queued %lld, claimed %lld, settled %lld, lost %lld, cancelled %lld, taken back %lld, renewed %lld; %lld transactions again\n",
	       (long long)queued, (long long)claimed_all, (long long)settled_all, (long long)lost_all, (long long)cancelled_all,
	       (long long)taken_all, (long long)renewed, (long long)txn_retries());
	if (txn_retries() && !on_cluster())
		show_deadlock();
	fflush(stdout);
	ck_assert_msg(failures == 0, "%lld failures, the first: %s", (long long)failures, failure);
	ck_assert_int_gt(claimed_all, on_cluster() ? 50 : 100);
	ck_assert(on_cluster() || taken_all > 0);
	ck_assert_int_gt(renewed, on_cluster() ? 10 : 100);
	finish();
	check_laws(&f);
	check_limit();
	if (!on_cluster()) /* how long a claim takes from node to node decides there */
		check_order();
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM task WHERE ended_at IS NULL"), 0);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM task WHERE retry = 0"), queued);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM task WHERE retry = 1"),
	                 number_in(&f, f.db, "SELECT COUNT(*) FROM task t JOIN code c ON c.id = t.code_id"
	                                     " WHERE t.state = 'error' AND t.retry = 0 AND c.retries = 1"));
	/* txn_retries also counts waits of over three seconds, which are a busy machine's, not the design's */
	ck_assert(on_cluster() || deadlocks() == 0);
	store_fixture_close(&f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("races");
	Suite *s = suite_create("races");
	SRunner *r;
	int failed;

	store_fixture_serve();
	tcase_set_timeout(t, 120);
	tcase_add_test(t, the_renewals_of_a_lone_node_and_its_claims_do_not_meet);
	tcase_add_test(t, everybody_at_once_loses_nothing_and_does_nothing_twice);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
