/* claim_1m/claim_1k, claim_conflicts, claim_burst/claim_calm and burst_10k on a throw-away MariaDB (docs/performance.md).
 *
 *   bench_claim [FINISHED]   (default 1,000,000)
 *   bench_claim burst        only the burst
 * Ends with 1 if a promise of schedules is broken: 10,000 that are due in one second fired within 5, claims at most twice
 * as slow meanwhile. */
#include "base/clock.h"
#include "base/crypt.h"
#include "store/attempt_store.h"
#include "store/fire_store.h"
#include "store/node_store.h"
#include "store/project_store.h"
#include "store/schema_store.h"
#include "store/task_store.h"
#include "tests/bench/rounds.h"
#include "tests/support/throwaway_db.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH = 10, CLAIMS = 100, CLAIMERS = 8, ENQUEUERS = 4, CONFLICT_S = 5 };

struct bench {
	struct settings settings;
	struct db *db;
	struct project project;
	struct code code;
	struct code_target target;
	struct node_claim who;
};

static void must(enum err e, const struct ctx *cx, const char *what)
{
	if (e == OK)
		return;
	fprintf(stderr, "bench_claim: %s: %s\n", what, cx->message);
	exit(1);
}

static struct node_claim new_node(struct db *db, struct ctx *cx, const char *name)
{
	struct node_claim who = { .session = str_bytes(arena_take(&cx->arena, 16), 16) };

	crypt_random((void *)(uintptr_t)who.session.p, 16);
	must(node_store_register(db, cx, str_of(name), STR_LIT("default"), who.session, 1000000, STR_LIT(""), STR_LIT("none"),
	                         600, &who.node_id, &who.cluster_id),
	     cx, "register node");
	return who;
}

static void set_up(struct bench *b, struct ctx *cx)
{
	struct code_order order = { .name = STR_LIT("noop"), .has_image = true, .image = STR_LIT("busybox") };
	struct db *logs;
	int applied;

	setenv("STOKER_DATABASE_SOCKET", throwaway_db_start(), 1);
	setenv("STOKER_DATABASE_USER", "root", 1);
	must(settings_read(cx, NULL, &b->settings), cx, "settings");
	b->db = db_new(&b->settings, DB_TASKS, 600);
	logs = db_new(&b->settings, DB_LOGS, 600);
	must(schema_store_migrate(b->db, logs, cx, "sql", &applied), cx, "migrate");
	db_free(logs);
	must(project_store_add(b->db, cx, STR_LIT("bench"), &b->project), cx, "project");
	must(code_store_put(b->db, cx, &b->project.id, &order, &b->code), cx, "code");
	must(code_store_target(b->db, cx, &b->project.id, STR_LIT("noop"), STR_LIT(""), &b->target), cx, "target");
	b->who = new_node(b->db, cx, "bench");
}

/* Rows of the past cannot come in through the triggers, which make every new task queued: they are
 * put aside for the load and put back from the server's own text. */
static void without_triggers(struct bench *b, struct ctx *cx, void (*load)(struct bench *, struct ctx *, int64_t), int64_t n)
{
	static const struct sql NAMES = { "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS"
		" WHERE TRIGGER_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = 'task'", "" };
	struct rows names, text;
	struct str *create;

	must(db_query(b->db, cx, &NAMES, NULL, 0, &names), cx, "list triggers");
	create = arena_array(&cx->arena, names.n, sizeof *create);
	for (size_t i = 0; i < names.n; i++) {
		char *name = str_c(&cx->arena, val_str(&row(&names, i)[0]));
		struct sql show = { arena_printf(&cx->arena, "SHOW CREATE TRIGGER %s", name), "" };
		char *drop = arena_printf(&cx->arena, "DROP TRIGGER %s", name);

		must(db_query(b->db, cx, &show, NULL, 0, &text), cx, "show trigger");
		create[i] = val_str(&row(&text, 0)[2]);
		must(db_script(b->db, cx, str_of(drop)), cx, "drop trigger");
	}
	load(b, cx, n);
	for (size_t i = 0; i < names.n; i++)
		must(db_script(b->db, cx, create[i]), cx, "create trigger");
}

static void load_finished(struct bench *b, struct ctx *cx, int64_t n)
{
	static const struct sql LOAD = {
		"INSERT INTO task (id, project_id, code_id, revision, lane_id, state, attempt, changes, priority, head_start_s,"
		" timeout_s, created_at, updated_at, due_at, rank_at, started_at, ended_at, node_session, exit_code, cause)"
		" SELECT CONCAT(UNHEX(LPAD(HEX(1700000000000 + seq), 12, '0')), RANDOM_BYTES(6)), ?, ?, 1, ?, 'complete', 1, 4, 0, 300,"
		" 60, NOW(6), NOW(6), NOW(6), NOW(6), NOW(6), NOW(6), RANDOM_BYTES(16), 0, 'exit' FROM seq_1_to_1000000 WHERE seq <= ?", "ssii" };

	must(db_exec(b->db, cx, &LOAD, VALS(v_id(&b->project.id), v_id(&b->code.id), v_i(b->target.lane_id), v_i(n))), cx, "load");
}

static void enqueue(struct bench *b, struct db *db, struct ctx *cx, size_t n, int64_t delay_s)
{
	struct task_order *orders = arena_array(&cx->arena, n, sizeof *orders);
	struct code_target *targets = arena_array(&cx->arena, n, sizeof *targets);
	struct id *ids = arena_array(&cx->arena, n, sizeof *ids);

	id_make_many(clock_wall_us(), ids, n);
	for (size_t i = 0; i < n; i++) {
		orders[i] = (struct task_order){ .id = ids[i], .code_name = STR_LIT("noop"), .timeout_s = 60, .delay_s = delay_s,
		                                 .priority = (int64_t)i % 3 };
		targets[i] = b->target;
	}
	must(task_store_add(db, cx, &b->project.id, orders, targets, n), cx, "enqueue");
}

static void enqueue_many(struct bench *b, size_t n, int64_t delay_s)
{
	for (size_t done = 0; done < n; done += 1000) {
		auto_ctx cx = { 0 };

		enqueue(b, b->db, &cx, 1000, delay_s);
	}
}

/* The other half of a life: what was claimed is started and settled, or limits would fill up. */
static void finish(struct db *db, struct ctx *cx, const struct node_claim *who, const struct claimed *claimed, size_t n)
{
	struct attempt_start *starts = arena_array(&cx->arena, n, sizeof *starts);
	struct attempt_end *ends = arena_array(&cx->arena, n, sizeof *ends);
	bool *lost = arena_array(&cx->arena, n, sizeof *lost);

	for (size_t i = 0; i < n; i++) {
		starts[i] = (struct attempt_start){ .task_id = claimed[i].task_id, .attempt = claimed[i].attempt, .digest = STR_LIT("") };
		ends[i] = (struct attempt_end){ .task_id = claimed[i].task_id, .attempt = claimed[i].attempt, .lane_id = claimed[i].lane_id,
		                                .verdict = { .state = TASK_COMPLETE, .cause = CAUSE_EXIT, .exit_code = 0 } };
	}
	must(attempt_store_start(db, cx, who, starts, n, lost), cx, "start");
	must(attempt_store_settle(db, cx, who, ends, n, lost), cx, "settle");
}

static double claim_p50_ms(struct bench *b)
{
	double samples[CLAIMS];

	for (int i = 0; i < CLAIMS; i++) {
		auto_ctx cx = { 0 };
		struct claimed *claimed;
		int64_t began = clock_boot_us();
		size_t n;

		must(ready_store_claim(b->db, &cx, &b->who, BATCH, &claimed, &n), &cx, "claim");
		samples[i] = (double)(clock_boot_us() - began) / 1000;
		if (n != BATCH)
			fprintf(stderr, "bench_claim: a claim of %zu\n", n);
		finish(b->db, &cx, &b->who, claimed, n);
	}
	return part_of(samples, CLAIMS, 0.5);
}

static void measure(struct bench *b, struct figures *out)
{
	for (int r = 0; r < ROUNDS; r++) {
		enqueue_many(b, (size_t)CLAIMS * BATCH, 0);
		out->v[r] = claim_p50_ms(b);
	}
}

/* --- claim_conflicts --- */

struct worker {
	struct bench *b;
	int64_t until;
	bool claims;
	int64_t done;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct db *db = db_new(&w->b->settings, DB_TASKS, 10);
	auto_ctx keep = { 0 };
	struct node_claim who = w->claims ? new_node(db, &keep, "conflict") : w->b->who;

	while (clock_boot_us() < w->until) {
		auto_ctx cx = { 0 };
		struct claimed *claimed;
		size_t n = BATCH;

		if (w->claims) {
			must(ready_store_claim(db, &cx, &who, BATCH, &claimed, &n), &cx, "claim");
			finish(db, &cx, &who, claimed, n);
		} else {
			enqueue(w->b, db, &cx, BATCH, 0);
		}
		w->done += (int64_t)n;
	}
	db_free(db);
	return NULL;
}

static int64_t deadlocks(struct bench *b, struct ctx *cx)
{
	static const struct sql COUNT = { "SELECT CAST(VARIABLE_VALUE AS SIGNED) FROM information_schema.GLOBAL_STATUS"
		" WHERE VARIABLE_NAME = 'INNODB_DEADLOCKS'", "" };
	struct rows r;

	must(db_query(b->db, cx, &COUNT, NULL, 0, &r), cx, "count deadlocks");
	return r.n ? val_int(&row(&r, 0)[0]) : -1;
}

static void conflicts(struct bench *b, struct ctx *cx)
{
	struct worker w[CLAIMERS + ENQUEUERS];
	pthread_t t[CLAIMERS + ENQUEUERS];
	int64_t before = deadlocks(b, cx), until = clock_boot_us() + CONFLICT_S * 1000000, claimed = 0;

	for (int i = 0; i < CLAIMERS + ENQUEUERS; i++) {
		w[i] = (struct worker){ b, until, i < CLAIMERS, 0 };
		if (pthread_create(&t[i], NULL, work, &w[i]))
			abort();
	}
	for (int i = 0; i < CLAIMERS + ENQUEUERS; i++) {
		pthread_join(t[i], NULL);
		claimed += w[i].claims ? w[i].done : 0;
	}
	printf("%-28s %6lld  (%lld whole lives in %d s)  floor <= 5\n", "claim_conflicts",
	       (long long)(deadlocks(b, cx) - before), (long long)claimed, CONFLICT_S);
}

/* --- claim_burst: 10,000 schedules fall due within one second, while claims go on --- */

enum { BURST = 10000 };

struct scheduler {
	struct bench *b;
	atomic_bool ends;
	atomic_llong slowest_us; /* transaction; whoever reads it sets it back */
};

static void fire_page(struct scheduler *s, struct db *db, struct ctx *cx)
{
	int64_t began = clock_boot_us(), us;
	struct fired fired;

	must(fire_store_due(db, cx, "/usr/share/zoneinfo", FIRE_ON_TIME, &fired), cx, "fire");
	us = clock_boot_us() - began;
	if (us > s->slowest_us)
		s->slowest_us = us;
}

/* As worker/scheduler/firing.c does it. */
static void *schedule(void *arg)
{
	struct scheduler *s = arg;
	struct db *db = db_new(&s->b->settings, DB_TASKS, 10);

	while (!s->ends) {
		auto_ctx cx = { 0 };
		int64_t wait_us;

		must(fire_store_wait(db, &cx, &wait_us), &cx, "ask what is due");
		if (wait_us > 0)
			usleep(10000); /* no test's wait: the calm half has a scheduler, too */
		else
			fire_page(s, db, &cx);
	}
	db_free(db);
	return NULL;
}

static int64_t number(struct bench *b, struct ctx *cx, const char *query)
{
	const struct sql asked = { query, "" };
	struct rows r;

	must(db_query(b->db, cx, &asked, NULL, 0, &r), cx, query);
	return r.n ? val_int(&row(&r, 0)[0]) : 0;
}

static void run(struct bench *b, struct ctx *cx, const char *statement)
{
	const struct sql asked = { statement, "" };

	must(db_exec(b->db, cx, &asked, NULL, 0), cx, statement);
}

static void given_schedules(struct bench *b, struct ctx *cx)
{
	static const struct sql LOAD = {
		"INSERT INTO schedule (id, project_id, code_id, run_every_s, start_at, next_at)"
		" SELECT UNHEX(LPAD(HEX(seq), 24, '0')), ?, ?, 86400, NOW(6) + INTERVAL 1 DAY, NOW(6) + INTERVAL 1 DAY"
		" FROM seq_1_to_1000000 WHERE seq <= ?", "ssi" };

	must(db_exec(b->db, cx, &LOAD, VALS(v_id(&b->project.id), v_id(&b->code.id), v_i(BURST))), cx, "load schedules");
}

/* Claims of ten, one after the other, until the ledger has `until` rows; p50 in ms. */
static double claims_until(struct bench *b, int64_t until)
{
	enum { MOST = 100000 };
	double *samples = calloc(MOST, sizeof *samples), p50;
	size_t n = 0;

	for (bool is_over = false; !is_over && n < MOST;) {
		auto_ctx cx = { 0 };
		struct claimed *claimed;
		int64_t began = clock_boot_us();
		size_t got;

		must(ready_store_claim(b->db, &cx, &b->who, BATCH, &claimed, &got), &cx, "claim");
		samples[n] = (double)(clock_boot_us() - began) / 1000;
		n += got == BATCH;
		finish(b->db, &cx, &b->who, claimed, got);
		is_over = until ? number(b, &cx, "SELECT COUNT(*) FROM fire") >= until : n >= CLAIMS;
	}
	p50 = part_of(samples, n, 0.5);
	free(samples);
	return p50;
}

/* All within the same second, which begins when that is committed and the server has written its pages: what was due
 * before that would count the time that its own making took. */
static void fall_due(struct bench *b, struct ctx *cx)
{
	run(b, cx, "UPDATE schedule SET start_at = NOW(6) + INTERVAL 8 SECOND + INTERVAL RAND() * 1000000 MICROSECOND,"
	           " next_at = start_at, accounted_to = start_at - INTERVAL 1 MICROSECOND");
	if (number(b, cx, "SELECT MIN(next_at) < NOW(6) + INTERVAL 1 SECOND FROM schedule"))
		must(err_set(cx, ERR_BUSY, "the machine is too slow to say when"), cx, "make 10,000 schedules due");
	while (number(b, cx, "SELECT MIN(next_at) > NOW(6) FROM schedule"))
		usleep(5000); /* no test's wait: what is measured begins there */
}

/* Wall time, and the processor's: of all programs, and of this one and its database; and what was waited for a row's lock. */
struct spent {
	double wall_s, all_s, ours_s;
	int64_t lock_waits, lock_ms;
};

#define STATUS(name) \
	"SELECT CAST(VARIABLE_VALUE AS SIGNED) FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = '" name "'"

static struct spent spent_so_far(struct bench *b, struct ctx *cx, pid_t database)
{
	return (struct spent){ (double)clock_boot_us() / 1e6, machine_busy_s(), process_busy_s(database) + process_busy_s(getpid()),
	                       number(b, cx, STATUS("INNODB_ROW_LOCK_WAITS")), number(b, cx, STATUS("INNODB_ROW_LOCK_TIME")) };
}

static pid_t database_pid(struct bench *b, struct ctx *cx)
{
	static const struct sql ASKED = { "SELECT @@pid_file", "" };
	struct rows r;
	FILE *f;
	int pid = 0;

	must(db_query(b->db, cx, &ASKED, NULL, 0, &r), cx, "ask for the database's process");
	f = fopen(str_c(&cx->arena, val_str(&row(&r, 0)[0])), "re");
	if (!f || fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static void tell_round(int r, double took_s, int64_t slowest_us, const struct spent *from, const struct spent *to)
{
	printf("    round %d: %.2f s until the last is fired; slowest transaction %.0f ms; in %.1f s the processors spent"
	       " %.1f s on this, %.1f s on other programs; %lld waits for locks, %lld ms\n", r + 1, took_s, (double)slowest_us / 1000,
	       to->wall_s - from->wall_s, to->ours_s - from->ours_s, to->all_s - from->all_s - (to->ours_s - from->ours_s),
	       (long long)(to->lock_waits - from->lock_waits), (long long)(to->lock_ms - from->lock_ms));
	fflush(stdout);
}

static bool burst(struct bench *b)
{
	struct figures calm, busy, took, queued, slower;
	struct scheduler s = { .b = b };
	auto_ctx keep = { 0 };
	pid_t database = database_pid(b, &keep);
	pthread_t t;
	bool is_fast;

	given_schedules(b, &keep);
	if (pthread_create(&t, NULL, schedule, &s))
		abort();
	for (int r = 0; r < ROUNDS; r++) {
		auto_ctx cx = { 0 };
		int64_t began = clock_boot_us();
		struct spent from, to;

		enqueue_many(b, BURST, 0);
		queued.v[r] = (double)(clock_boot_us() - began) / 1e6;
		calm.v[r] = claims_until(b, 0);
		fall_due(b, &cx);
		s.slowest_us = 0;
		from = spent_so_far(b, &cx, database);
		busy.v[r] = claims_until(b, BURST);
		slower.v[r] = busy.v[r] / calm.v[r];
		took.v[r] = (double)number(b, &cx, "SELECT TIMESTAMPDIFF(MICROSECOND, MIN(due), MAX(at)) FROM fire") / 1e6;
		to = spent_so_far(b, &cx, database);
		tell_round(r, took.v[r], s.slowest_us, &from, &to);
		run(b, &cx, "DELETE FROM fire");
	}
	s.ends = true;
	pthread_join(t, NULL);
	run(b, &keep, "DELETE FROM schedule");
	figures_print("claim_calm", &calm, "ms p50");
	figures_print("claim_burst", &busy, "ms p50");
	figures_ratio("burst_10k/enqueue_10k", &took, &queued, "<= 6");
	is_fast = figures_promise("burst_10k", &took, 5, "s until the last is fired");
	return figures_promise("claim_burst/claim_calm", &slower, 2, "times") && is_fast;
}

int main(int argc, char **argv)
{
	int64_t finished = argc > 1 ? strtoll(argv[1], NULL, 10) : 1000000;
	static struct bench b;
	auto_ctx cx = { 0 };
	struct figures small, large;
	bool kept;

	set_up(&b, &cx);
	if (argc > 1 && strcmp(argv[1], "burst") == 0) {
		kept = burst(&b);
		db_free(b.db);
		return !kept;
	}
	enqueue_many(&b, 1000, 0);
	measure(&b, &small);
	conflicts(&b, &cx);
	kept = burst(&b);
	without_triggers(&b, &cx, load_finished, finished);
	enqueue_many(&b, 200000, 86400);
	enqueue_many(&b, 10000, 0);
	measure(&b, &large);
	figures_print("claim_1k", &small, "ms p50");
	figures_print("claim_1m", &large, "ms p50");
	figures_ratio("claim_1m/claim_1k", &large, &small, "<= 1.3");
	db_free(b.db);
	return !kept;
}
