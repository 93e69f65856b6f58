/* The late words of a runner that was stopped, for the storm: picks a task that runs and says of it what only a dead
 * attempt could still say, with the product's own statements: that it ended, as the attempt before it in the same session,
 * and as the same attempt in a session that is over. All of it must be refused; what was believed is printed.
 *
 *   ghost     (STOKER_DATABASE_… says which database) */
#include "store/attempt_store.h"

#include "base/crypt.h"

#include <stdio.h>
#include <stdlib.h>

enum { HAUNTED_MOST = 8 };

static const struct sql RUNNING = {
	"SELECT t.id, t.attempt, t.lane_id, t.node_id, t.node_session FROM task t JOIN running r ON r.task_id = t.id"
	" WHERE t.state IN ('preparing', 'running') ORDER BY RAND() LIMIT ?", "i" };

static bool is_believed(struct db *db, struct ctx *cx, const struct val *v, int64_t attempt, struct str session)
{
	struct node_claim node = { .node_id = val_int(&v[3]), .session = session };
	struct attempt_start start = { .task_id = val_id(&v[0]), .attempt = attempt, .digest = STR_LIT("01234567890123456789012345678901") };
	struct attempt_end end = { .task_id = val_id(&v[0]), .attempt = attempt, .lane_id = val_int(&v[2]),
		                   .verdict = { .state = TASK_COMPLETE, .cause = CAUSE_EXIT, .note = "says a ghost" } };
	bool lost_start = true, lost = true;

	if (attempt_store_start(db, cx, &node, &start, 1, &lost_start) != OK || attempt_store_settle(db, cx, &node, &end, 1, &lost) != OK)
		return false; /* the database is away: nothing was said */
	return !lost;
}

static void haunt(struct db *db, struct ctx *cx, const struct val *v)
{
	char over[16];
	struct id id = val_id(&v[0]);
	int64_t attempt = val_int(&v[1]);

	crypt_random(over, sizeof over);
	if (is_believed(db, cx, v, attempt - 1, val_str(&v[4])))
		printf("task %s: a word of attempt %lld was taken for one of attempt %lld\n", id_format(&id).s, (long long)attempt - 1,
		       (long long)attempt);
	if (is_believed(db, cx, v, attempt, str_bytes(over, sizeof over)))
		printf("task %s: a word of a session that is over was taken for one of its own\n", id_format(&id).s);
}

int main(void)
{
	auto_ctx cx = { 0 };
	struct settings set;
	struct rows r;
	struct db *db;

	if (settings_read(&cx, NULL, &set) != OK) {
		fprintf(stderr, "ghost: %s\n", cx.message);
		return EXIT_FAILURE;
	}
	db = db_new(&set, DB_TASKS, DB_WAIT_WORKER_S);
	if (db_query(db, &cx, &RUNNING, VALS(v_i(HAUNTED_MOST)), &r) == OK)
		for (size_t i = 0; i < r.n; i++)
			haunt(db, &cx, row(&r, i));
	db_free(db);
	return EXIT_SUCCESS;
}
