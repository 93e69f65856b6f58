#include "base/clock.h"
#include "store/ready_pick.h"
#include "tests/support/task_fixture.h"
#include "tests/support/throwaway_db.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* A million tasks wait, half of them of paused codes: what a claim reads, and that the order is exact.
 *
 * The rows are loaded by INSERT … SELECT with the insert trigger of `task` set down meanwhile (it is
 * put back before anything is claimed); their first events, which no claim reads, are left out. */
enum { WAITING = 1000000, LANES = 1000, FRONT = 20000, BATCH = 10, PIECE = 100000 };

static struct store_fixture f;

#define VALS_OF(...) ((const struct val[]){ __VA_ARGS__ })
#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)

static void run(const char *statement)
{
	run_in(&f, f.db, statement);
}

/* The lanes' ids are 1001 to 2000, codes' ids are the same numbers, odd ones are paused. Of the first
 * rows all belong to one paused lane, the others go round; ranks are a microsecond apart, but every
 * third has a higher priority's head start of half the span. */
static void load(void)
{
	static const struct sql TRIGGER = { "SHOW CREATE TRIGGER task_before_insert", "" };
	struct rows r;
	struct str trigger;

	run("SET GLOBAL innodb_buffer_pool_size = 512 * 1024 * 1024");
	fine(db_query(f.db, &f.cx, &TRIGGER, NULL, 0, &r));
	trigger = val_str(&row(&r, 0)[2]);
	run("INSERT INTO cluster (id, name) VALUES (7, 'million')");
	run("INSERT INTO turn (cluster_id) VALUES (7)");
	run("INSERT INTO code (id, project_id, name, revision, cluster_id, paused_at)"
	    " SELECT UNHEX(LPAD(HEX(seq), 24, '0')), x'0a0000000000000000000000', CONCAT('c', seq), 1, 7,"
	    " IF(seq % 2, NOW(6), NULL) FROM seq_1001_to_2000");
	run("INSERT INTO revision (code_id, number, id, image)"
	    " SELECT id, 1, id, 'busybox' FROM code WHERE cluster_id = 7");
	run("INSERT INTO lane (id, cluster_id, code_id, project_id)"
	    " SELECT seq, 7, UNHEX(LPAD(HEX(seq), 24, '0')), x'0a0000000000000000000000' FROM seq_1001_to_2000");
	run("DROP TRIGGER task_before_insert");
	for (int first = 1; first < WAITING; first += PIECE) {
		run(arena_printf(&f.cx.arena,
		                 "INSERT INTO task (id, project_id, code_id, revision, lane_id, created_at, updated_at, due_at,"
		                 " rank_at, changes, priority, timeout_s)"
		                 " SELECT UNHEX(LPAD(HEX(seq), 24, '0')), x'0a0000000000000000000000',"
		                 " UNHEX(LPAD(HEX(lane), 24, '0')), 1, lane, due, due, due,"
		                 " due - INTERVAL (seq %% 3 = 0 AND seq > 20000) * 500000 MICROSECOND, 1, 0, 60"
		                 " FROM (SELECT seq, IF(seq <= 20000, 1001, 1001 + seq %% 1000) AS lane,"
		                 " TIMESTAMP '2026-01-01 00:00:00' + INTERVAL seq MICROSECOND AS due FROM seq_%d_to_%d) s",
		                 first, first + PIECE - 1));
		run(arena_printf(&f.cx.arena,
		                 "INSERT INTO ready (lane_id, rank_at, task_id, place, attempt) SELECT lane_id, rank_at, id, 7, 0"
		                 " FROM task WHERE id BETWEEN UNHEX(LPAD(HEX(%d), 24, '0')) AND UNHEX(LPAD(HEX(%d), 24, '0'))",
		                 first, first + PIECE - 1));
	}
	fine(db_script(f.db, &f.cx, trigger));
}

/* --- the second program: what ought to start, in which order --------------------------------------- */

struct waiting {
	int64_t rank, lane;
	uint64_t id;
	bool gone;
};
static struct waiting *oracle;

static int by_rank(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* Made out of the same arithmetic, not out of the database. */
static void make_oracle(void)
{
	oracle = calloc(WAITING, sizeof *oracle);
	for (int64_t seq = 1; seq <= WAITING; seq++)
		oracle[seq - 1] = (struct waiting){ .rank = seq - (seq % 3 == 0 && seq > FRONT ? 500000 : 0),
			                            .lane = seq <= FRONT ? 1001 : 1001 + seq % LANES, .id = (uint64_t)seq };
	qsort(oracle, WAITING, sizeof *oracle, by_rank);
}

static uint64_t number_of(const struct id *id)
{
	uint64_t n = 0;

	for (int i = 4; i < ID_BYTES; i++)
		n = n << 8 | id->b[i];
	return n;
}

/* Is `claimed` what stands first among the lanes that are open, in that order? */
static void check_order(const uint64_t *claimed, size_t n, bool (*is_open)(int64_t lane))
{
	size_t k = 0;

	for (size_t i = 0; i < WAITING && k < n; i++) {
		if (oracle[i].gone || !is_open(oracle[i].lane))
			continue;
		ck_assert_msg(oracle[i].id == claimed[k], "started %llu instead of %llu", (unsigned long long)claimed[k],
		              (unsigned long long)oracle[i].id);
		oracle[i].gone = true;
		k++;
	}
	ck_assert_uint_eq(k, n);
}

static bool even_lanes(int64_t lane)
{
	return lane % 2 == 0;
}

static bool lane_1003_too(int64_t lane)
{
	return lane % 2 == 0 || lane == 1003;
}

static bool all_lanes(int64_t lane)
{
	return lane > 0;
}

static bool no_lane_but_1001(int64_t lane)
{
	return lane == 1001;
}

/* --- claims ---------------------------------------------------------------------------------------- */

static struct node_claim node;

static int64_t rows_read(void)
{
	return number_in(&f, f.db, "SELECT SUM(variable_value) FROM information_schema.session_status"
	                           " WHERE variable_name LIKE 'HANDLER_READ%'");
}

struct cost {
	int64_t reads, moved, us;
};

/* Claims and checks the order; what the claim read (less what asking costs) and set aside. */
static struct cost claim_in_order(size_t most, bool (*is_open)(int64_t lane))
{
	int64_t aside = number_in(&f, f.db, "SELECT COUNT(*) FROM ready WHERE place < 0");
	int64_t asked = rows_read(), before = rows_read(), began = clock_boot_us();
	uint64_t numbers[1000];
	struct claimed *c;
	struct cost cost;
	size_t n;

	fine(ready_store_claim(f.db, &f.cx, &node, most, &c, &n));
	cost.us = clock_boot_us() - began;
	cost.reads = rows_read() - before - (before - asked);
	cost.moved = number_in(&f, f.db, "SELECT COUNT(*) FROM ready WHERE place < 0") - aside;
	ck_assert_uint_eq(n, most);
	for (size_t i = 0; i < n; i++)
		numbers[i] = number_of(&c[i].task_id);
	check_order(numbers, n, is_open);
	ctx_reset(&f.cx);
	return cost;
}

static void set_paused(const char *where, bool paused)
{
	char text[200];

	snprintf(text, sizeof text, "UPDATE code SET paused_at = %s WHERE cluster_id = 7 AND %s", paused ? "NOW(6)" : "NULL", where);
	run("START TRANSACTION");
	run("UPDATE turn SET number = number + 1 WHERE cluster_id = 7");
	run(text);
	run("COMMIT");
}

/* --- plans ----------------------------------------------------------------------------------------- */

static struct str text_of(const struct val *v)
{
	return v->type == VAL_NULL ? STR_LIT("-") : val_str(v);
}

/* The plan as "table:index:bytes of its key", a word for each table, equal neighbours once; nothing may be
 * sorted or kept in a temporary table, and only the piece that was just read be read whole. */
static const char *plan_of(const struct sql *sql, const struct val *v)
{
	struct sql asked = { arena_printf(&f.cx.arena, "EXPLAIN %s", sql->text), sql->in };
	const char *plan = "", *last = "";
	struct rows r;

	fine(db_query(f.db, &f.cx, &asked, v, strlen(sql->in), &r));
	for (size_t i = 0; i < r.n; i++) {
		const struct val *c = row(&r, i);
		struct str type = text_of(&c[3]), table = text_of(&c[2]), key = text_of(&c[5]), bytes = text_of(&c[6]);
		struct str extra = text_of(&c[r.columns - 1]);
		const char *word = arena_printf(&f.cx.arena, STR_FMT ":" STR_FMT ":" STR_FMT, STR_ARG(table), STR_ARG(key), STR_ARG(bytes));

		ck_assert_msg(str_find(extra, "filesort") == (size_t)-1 && str_find(extra, "temporary") == (size_t)-1,
		              STR_FMT " of %s", STR_ARG(extra), sql->text);
		ck_assert_msg(!str_is(type, "ALL") || str_starts(table, "<derived"), STR_FMT " read whole by %s", STR_ARG(table), sql->text);
		ck_assert_msg(!str_is(type, "index"), "whole index of " STR_FMT " read by %s", STR_ARG(table), sql->text);
		if (strcmp(word, last) != 0 && !str_starts(table, "<union") && !str_is(table, "-"))
			plan = arena_printf(&f.cx.arena, "%s%s%s", plan, *plan ? " " : "", word);
		last = word;
	}
	return plan;
}

/* Each statement of a claim with the values of rows that are there. */
static void check_plans(void)
{
	static const struct sql SOME_ROW = {
		"SELECT r.lane_id, r.rank_at, r.task_id, l.code_id FROM ready r JOIN lane l ON l.id = r.lane_id"
		" WHERE r.lane_id = 1004 ORDER BY r.rank_at LIMIT 1 OFFSET 200", "" };
	static const struct sql SOME_ATTEMPT = { "SELECT task_id FROM attempt LIMIT 1", "" };
	struct val v[4], attempt, cluster = v_i(7), place[60], lane[60];
	struct rows r;

	fine(db_query(f.db, &f.cx, &SOME_ROW, NULL, 0, &r));
	memcpy(v, row(&r, 0), sizeof v);
	fine(db_query(f.db, &f.cx, &SOME_ATTEMPT, NULL, 0, &r));
	attempt = row(&r, 0)[0];
	for (int i = 0; i < 60; i += 6) {
		int64_t id = 1002 + i / 3;

		memcpy(&place[i], (struct val[]){ v_i(-id), v[1], v[2], v_i(-id), v[1], v_i(10) }, 6 * sizeof *v);
		memcpy(&lane[i], (struct val[]){ v_i(id), v[1], v[2], v_i(id), v[1], v_i(10) }, 6 * sizeof *v);
	}
	{
		const struct {
			const struct sql *sql;
			const struct val *v;
			const char *plan; /* no word: read while planning, by a unique key */
		} CASES[] = {
			{ READY_PICK_STATEMENTS[0], VALS_OF(cluster, v[1], v[2], cluster, v[1], v_i(20)), "<derived2>:-:- l:PRIMARY:4 c:PRIMARY:12 ready:flat:24" },
			{ READY_PICK_STATEMENTS[1], VALS_OF(cluster, v_i(11)), "l:pick:14 c:PRIMARY:12" },
			{ READY_PICK_STATEMENTS[2], VALS_OF(cluster), "l:pick:5 c:PRIMARY:12 r:PRIMARY:4" },
			{ READY_PICK_STATEMENTS[3], place, "ready:flat:24" },
			{ READY_PICK_STATEMENTS[4], lane, "ready:PRIMARY:24" },
			{ READY_CLAIM_STATEMENTS[0], VALS_OF(cluster, cluster), "lane:pick:14 ready:flat:4" },
			{ READY_CLAIM_STATEMENTS[1], VALS_OF(v_i(node.node_id), cluster), "turn:PRIMARY:4" },
			{ READY_CLAIM_STATEMENTS[2], VALS_OF(v_i(node.node_id), v_s(node.session)), "node:PRIMARY:4" },
			{ READY_CLAIM_STATEMENTS[3], VALS_OF(v_i(node.node_id), v_s(node.session)), "node:PRIMARY:4" },
			{ READY_CLAIM_STATEMENTS[4], VALS_OF(cluster), "" },
			{ READY_CLAIM_STATEMENTS[5], VALS_OF(v_i(1), v[3]), "code:PRIMARY:12" },
			{ READY_CLAIM_STATEMENTS[6], VALS_OF(v_i(1), v[3], v_i(1)), "code:PRIMARY:12" },
			{ READY_CLAIM_STATEMENTS[7], VALS_OF(v[0], v[1], v[2]), "ready:PRIMARY:24" },
			{ READY_CLAIM_STATEMENTS[8], VALS_OF(v[0], v[1], v[2]), "ready:PRIMARY:24" },
			{ READY_CLAIM_STATEMENTS[9], VALS_OF(v_i(node.node_id), v_s(node.session), v[2], v_i(0)), "task:PRIMARY:12 e:PRIMARY:12" },
			{ READY_CLAIM_STATEMENTS[10], VALS_OF(v_i(1), v[1], v[0]), "lane:PRIMARY:4" },
			{ READY_CLAIM_STATEMENTS[11], VALS_OF(attempt, v_i(1), v_s(node.session)), "attempt:PRIMARY:14" },
		};

		ck_assert_uint_eq(sizeof CASES / sizeof *CASES, READY_PICK_STATEMENT_COUNT + READY_CLAIM_STATEMENT_COUNT);
		for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
			const char *plan = plan_of(CASES[i].sql, CASES[i].v);

			ck_assert_msg(strcmp(plan, CASES[i].plan) == 0, "'%s' instead of '%s' by %s", plan, CASES[i].plan, CASES[i].sql->text);
		}
	}
	ctx_reset(&f.cx);
}

START_TEST(a_claim_reads_no_more_however_many_wait_and_starts_in_exact_order)
{
	int64_t worst_flat = 0, worst_us = 0, all_us = 0;
	int flat = 0, claims = 0;
	int64_t began = clock_boot_us();

	store_fixture_open(&f);
	load();
	make_oracle();
	printf("1,000,000 loaded in %lld ms\n", (long long)(clock_boot_us() - began) / 1000);
	node.session = STR_LIT("0123456789abcdef");
	fine(node_store_register(f.db, &f.cx, STR_LIT("n"), STR_LIT("million"), node.session, 1000, STR_LIT(""), STR_LIT(""),
	                         3600, &node.node_id, &node.cluster_id));
	ck_assert_int_eq(node.cluster_id, 7);
	/* 20,000 rows of a paused lane in front, and every other lane paused */
	for (int i = 0; i < 120; i++) {
		struct cost c = claim_in_order(BATCH, even_lanes);

		ck_assert_int_le(c.moved, PICK_ASIDE_MOST);
		/* piece by piece of the flat order, each row with its lane and code, the rows moved by key (each in
		 * two indexes), and the heads of 500 open lanes when the pieces were not enough */
		ck_assert_msg(c.reads <= 20 * BATCH + 8 * c.moved + (c.moved == PICK_ASIDE_MOST ? 8 * LANES / 2 : 0) + 200,
		              "a claim read %lld rows and moved %lld", (long long)c.reads, (long long)c.moved);
		if (c.moved <= 2 * BATCH) {
			worst_flat = c.reads > worst_flat ? c.reads : worst_flat;
			flat++;
		}
		worst_us = c.us > worst_us ? c.us : worst_us;
		all_us += c.us;
		claims++;
	}
	ck_assert_int_gt(flat, 40);
	ck_assert_msg(worst_flat < 600, "%lld rows", (long long)worst_flat);
	printf("%d claims of %d: at most %lld rows read when few were set aside, mean %lld us, slowest %lld us\n", claims, BATCH,
	       (long long)worst_flat, (long long)all_us / claims, (long long)worst_us);
	check_plans();
	/* what was set aside comes back in its place */
	set_paused("name = 'c1003'", false);
	for (int i = 0; i < 20; i++)
		ck_assert_int_lt(claim_in_order(BATCH, lane_1003_too).reads, 4000);
	set_paused("paused_at IS NOT NULL", false);
	for (int i = 0; i < 60; i++) {
		struct cost c = claim_in_order(i % 2 ? 50 : 3, all_lanes);

		ck_assert_int_eq(c.moved <= 0, true);
		ck_assert_msg(c.reads < 3000, "%lld rows", (long long)c.reads);
	}
	set_paused("name <> 'c1001'", true);
	for (int i = 0; i < 10; i++)
		claim_in_order(BATCH, no_lane_but_1001);
	set_paused("name <> 'c1001'", false);
	for (int i = 0; i < 10; i++)
		claim_in_order(BATCH, all_lanes);
	check_plans();
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM ready r JOIN lane l ON l.id = r.lane_id"
	                                     " WHERE r.place < 0 AND (l.head_rank IS NULL OR r.rank_at < l.head_rank)"), 0);
	ck_assert_int_eq(number_in(&f, f.db, "SELECT COUNT(*) FROM ready") + number_in(&f, f.db, "SELECT COUNT(*) FROM running"), WAITING);
	free(oracle);
	store_fixture_close(&f);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("claim_order");
	Suite *s = suite_create("claim_order");
	SRunner *r;
	int failed;

	setenv("THROWAWAY_DB_FLUSH", "0", 0); /* nothing here is about durability, and the load is long */
	store_fixture_serve();
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_claim_reads_no_more_however_many_wait_and_starts_in_exact_order);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
