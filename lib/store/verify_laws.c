#include "store/verify_laws.h"

#include "model/task_state.h"

#define HEX_OF(column) "LOWER(HEX(" column "))"
#define TASK(column) "'task ', " HEX_OF(column)
#define RANGE(column) column " > ? AND " column " <= ?"

/* --- by task --------------------------------------------------------------------------------------- */

/* text, state before, state after, attempt before, attempt after: the edge table of the model judges,
 * not the triggers. */
static bool is_wrong_step(const struct val *v)
{
	enum task_state from, to;
	int64_t rise = val_int(&v[4]) - val_int(&v[3]);

	if (!task_state_parse(val_str(&v[1]), &from) || !task_state_parse(val_str(&v[2]), &to))
		return true;
	if (rise != (from == TASK_QUEUED && to == TASK_PREPARING))
		return true;
	return from == to ? task_state_is_settled(from) : !task_state_can_move(from, to);
}

static const struct verify_law TASK_LAWS[] = {
	{ "I1", "a waiting task stands exactly once in ready or delayed, with its rank and attempt",
	  { "SELECT CONCAT(" TASK("x.id") ", ' is queued and stands ', x.n, ' times in ready and delayed') FROM"
	    " (SELECT t.id, (SELECT COUNT(*) FROM ready r WHERE r.lane_id = t.lane_id AND r.rank_at = t.rank_at"
	    " AND r.task_id = t.id AND r.attempt = t.attempt) + (SELECT COUNT(*) FROM `delayed` d WHERE d.due_at = t.due_at"
	    " AND d.task_id = t.id AND d.attempt = t.attempt) AS n FROM task t FORCE INDEX (PRIMARY) WHERE " RANGE("t.id")
	    " AND t.state = 'queued') x WHERE x.n <> 1", "ss" }, NULL },
	{ "I1", "a task that runs is known to its node",
	  { "SELECT CONCAT(" TASK("t.id") ", ' is ', t.state, ' and has no row in running of node ', IFNULL(t.node_id, 'none'))"
	    " FROM task t FORCE INDEX (PRIMARY) WHERE " RANGE("t.id") " AND t.state IN ('preparing', 'running') AND NOT EXISTS"
	    " (SELECT 1 FROM running r WHERE r.node_id = t.node_id AND r.task_id = t.id AND r.attempt = t.attempt"
	    " AND r.lane_id = t.lane_id)", "ss" }, NULL },
	{ "I1", "the lane, code and revision of a task are there",
	  { "SELECT CONCAT(" TASK("t.id") ", ' names lane ', t.lane_id, ' and revision ', t.revision, ', which its code has not')"
	    " FROM task t FORCE INDEX (PRIMARY) LEFT JOIN lane l ON l.id = t.lane_id AND l.code_id = t.code_id"
	    " LEFT JOIN revision v ON v.code_id = t.code_id AND v.number = t.revision WHERE " RANGE("t.id")
	    " AND (l.id IS NULL OR v.number IS NULL)", "ss" }, NULL },
	{ "I1", "a retry and the task that failed point at each other",
	  { "SELECT CONCAT(" TASK("t.id") ", ' says that it was retried as task ', " HEX_OF("t.retry_task_id") ")"
	    " FROM task t FORCE INDEX (PRIMARY) LEFT JOIN task n ON n.id = t.retry_task_id WHERE " RANGE("t.id")
	    " AND t.retry_task_id IS NOT NULL AND (n.id IS NULL OR n.retry <> t.retry + 1"
	    " OR NOT n.original_task_id <=> IFNULL(t.original_task_id, t.id))", "ss" }, NULL },
	{ "I1", "each payload belongs to a task",
	  { "SELECT CONCAT('payload of ', " TASK("p.task_id") ", ', which is not there') FROM payload p WHERE " RANGE("p.task_id")
	    " AND NOT EXISTS (SELECT 1 FROM task t WHERE t.id = p.task_id)", "ss" }, NULL },
	{ "I2", "each event belongs to a task",
	  { "SELECT CONCAT('event ', e.number, ' of ', " TASK("e.task_id") ", ', which is not there') FROM event e WHERE "
	    RANGE("e.task_id") " AND NOT EXISTS (SELECT 1 FROM task t WHERE t.id = e.task_id)", "ss" }, NULL },
	{ "I2", "the events of a task are numbered without a gap, one a change",
	  { "SELECT CONCAT(" TASK("t.id") ", ' has ', COUNT(e.number), ' events for ', MAX(t.changes), ' changes')"
	    " FROM task t FORCE INDEX (PRIMARY) LEFT JOIN event e ON e.task_id = t.id WHERE " RANGE("t.id")
	    " GROUP BY t.id HAVING COUNT(e.number) <> MAX(t.changes) OR NOT MAX(e.number) <=> MAX(t.changes)"
	    " OR MIN(e.number) <> 1", "ss" }, NULL },
	{ "I2", "a task begins as queued, before any attempt",
	  { "SELECT CONCAT('event 1 of ', " TASK("e.task_id") ", ' says ', e.state, ', attempt ', e.attempt) FROM event e WHERE "
	    RANGE("e.task_id") " AND e.number = 1 AND (e.state <> 'queued' OR e.attempt <> 0)", "ss" }, NULL },
	{ "I2", "each step of a task is an edge of the table, and an attempt rises with a claim alone",
	  { "SELECT CONCAT('event ', MIN(b.number), ' of ', " TASK("MIN(b.task_id)") ", ' goes from ', a.state, ', attempt ',"
	    " a.attempt, ' to ', b.state, ', attempt ', b.attempt, IF(COUNT(*) > 1, CONCAT('; ', COUNT(*) - 1, ' more do'), '')),"
	    " a.state, b.state, a.attempt, b.attempt FROM event a JOIN event b ON b.task_id = a.task_id"
	    " AND b.number = a.number + 1 WHERE " RANGE("a.task_id") " GROUP BY a.state, b.state, a.attempt, b.attempt", "ss" },
	  is_wrong_step },
	{ "I2", "the last event of a task says where it stands",
	  { "SELECT CONCAT(" TASK("t.id") ", ' is ', t.state, ', attempt ', t.attempt, ', its last event says ', e.state,"
	    " ', attempt ', e.attempt) FROM task t FORCE INDEX (PRIMARY) JOIN event e ON e.task_id = t.id AND e.number = t.changes"
	    " WHERE " RANGE("t.id") " AND (e.state <> t.state OR e.attempt <> t.attempt)", "ss" }, NULL },
	{ "I3", "each attempt has its row, numbered without a gap",
	  { "SELECT CONCAT(" TASK("t.id") ", ' is at attempt ', t.attempt, ' and has ', COUNT(a.number), ' rows in attempt')"
	    " FROM task t FORCE INDEX (PRIMARY) LEFT JOIN attempt a ON a.task_id = t.id WHERE " RANGE("t.id")
	    " GROUP BY t.id HAVING COUNT(a.number) <> MAX(t.attempt) OR IFNULL(MAX(a.number), 0) <> MAX(t.attempt)", "ss" }, NULL },
	{ "I3", "each attempt belongs to a task",
	  { "SELECT CONCAT('attempt ', a.number, ' of ', " TASK("a.task_id") ", ', which is not there') FROM attempt a WHERE "
	    RANGE("a.task_id") " AND NOT EXISTS (SELECT 1 FROM task t WHERE t.id = a.task_id)", "ss" }, NULL },
	{ "I3", "an attempt starts once",
	  { "SELECT CONCAT('attempt ', e.attempt, ' of ', " TASK("e.task_id") ", ' started ', COUNT(*), ' times') FROM event e"
	    " JOIN event p ON p.task_id = e.task_id AND p.number = e.number - 1 WHERE " RANGE("e.task_id")
	    " AND e.state = 'running' AND p.state <> 'running' GROUP BY e.task_id, e.attempt HAVING COUNT(*) > 1", "ss" }, NULL },
	{ "I3", "an attempt begins when the one before it has ended",
	  { "SELECT CONCAT('attempt ', b.number, ' of ', " TASK("b.task_id") ", ' was claimed at ', b.claimed_at, ', the one before"
	    " ended ', IFNULL(CONCAT('at ', a.ended_at), 'never')) FROM attempt a JOIN attempt b ON b.task_id = a.task_id"
	    " AND b.number = a.number + 1 WHERE " RANGE("a.task_id") " AND (a.ended_at IS NULL OR b.claimed_at < a.ended_at)",
	    "ss" }, NULL },
	/* a start is told as an age by the node's clock: it may differ by what the database's was set */
	{ "I3", "an attempt is claimed, starts and ends in this order",
	  { "SELECT CONCAT('attempt ', a.number, ' of ', " TASK("a.task_id") ", ' was claimed at ', a.claimed_at, ', started at ',"
	    " IFNULL(a.started_at, 'no time'), ', ended at ', IFNULL(a.ended_at, 'no time')) FROM attempt a WHERE "
	    RANGE("a.task_id") " AND (a.started_at < a.claimed_at - INTERVAL 1 SECOND"
	    " OR a.ended_at < IFNULL(a.started_at, a.claimed_at))", "ss" }, NULL },
	{ "I3", "a next attempt follows only one that its node lost or gave back",
	  { "SELECT CONCAT('attempt ', b.number, ' of ', " TASK("b.task_id") ", ' follows one that ended by ', IFNULL(a.cause, 'nothing'))"
	    " FROM attempt a JOIN attempt b ON b.task_id = a.task_id AND b.number = a.number + 1 WHERE " RANGE("a.task_id")
	    " AND NOT IFNULL(a.cause IN ('node_lost', 'node_stopped', 'engine_restarted'), 0)", "ss" }, NULL },
	/* as the code was when it was last changed */
	{ "I6", "a task that fails with its node starts once",
	  { "SELECT CONCAT('attempt ', b.number, ' of ', " TASK("b.task_id") ", ' follows one that started; its code says fail')"
	    " FROM attempt a JOIN attempt b ON b.task_id = a.task_id AND b.number = a.number + 1 JOIN task t ON t.id = a.task_id"
	    " JOIN code c ON c.id = t.code_id WHERE " RANGE("a.task_id") " AND c.on_node_loss = 'fail' AND a.ended_at > c.updated_at"
	    " AND (a.started_at IS NOT NULL OR a.suspect = 1)", "ss" }, NULL },
	{ "I4", "a task is settled once, by its newest attempt",
	  { "SELECT CONCAT(" TASK("t.id") ", ' is ', t.state, ' and has ', COUNT(e.number), ' events that settle it')"
	    " FROM task t FORCE INDEX (PRIMARY) LEFT JOIN event e ON e.task_id = t.id AND e.state NOT IN ('queued', 'preparing',"
	    " 'running') AND e.attempt = t.attempt WHERE " RANGE("t.id")
	    " GROUP BY t.id HAVING COUNT(e.number) <> (MAX(t.ended_at) IS NOT NULL)", "ss" }, NULL },
	{ "I4", "the attempt that settled a task ended as the task did, by the same node",
	  { "SELECT CONCAT(" TASK("t.id") ", ' ended by ', t.cause, IFNULL(CONCAT(', exit code ', t.exit_code), ''), ', its attempt ',"
	    " t.attempt, ' by ', IFNULL(a.cause, 'nothing'), IFNULL(CONCAT(', exit code ', a.exit_code), '')) FROM task t"
	    " FORCE INDEX (PRIMARY) JOIN event p ON p.task_id = t.id AND p.number = t.changes - 1 AND p.state IN ('preparing',"
	    " 'running') LEFT JOIN attempt a ON a.task_id = t.id AND a.number = t.attempt WHERE " RANGE("t.id")
	    " AND t.ended_at IS NOT NULL AND (a.ended_at IS NULL OR NOT a.cause <=> t.cause OR NOT a.exit_code <=> t.exit_code"
	    " OR NOT a.node_session <=> t.node_session)", "ss" }, NULL },
	{ "I4", "attempts of what does not run have ended",
	  { "SELECT CONCAT('attempt ', a.number, ' of ', " TASK("a.task_id") ", ' has no end, the task is ', t.state, ', attempt ',"
	    " t.attempt) FROM attempt a JOIN task t ON t.id = a.task_id WHERE " RANGE("a.task_id") " AND a.ended_at IS NULL"
	    " AND NOT (t.state IN ('preparing', 'running') AND a.number = t.attempt)", "ss" }, NULL },
	{ "I4", "a settled task has one cause, which fits its state",
	  { "SELECT CONCAT(" TASK("t.id") ", ' is ', t.state, ' by ', IFNULL(t.cause, 'nothing'), ', ended at ',"
	    " IFNULL(t.ended_at, 'no time')) FROM task t FORCE INDEX (PRIMARY) WHERE " RANGE("t.id") " AND IF(t.state IN ('queued',"
	    " 'preparing', 'running'), t.ended_at IS NOT NULL, t.ended_at IS NULL OR t.cause IS NULL"
	    " OR (t.state = 'timeout') <> (t.cause = 'timeout') OR (t.state = 'cancelled') <> (t.cause = 'cancelled')"
	    " OR (t.state = 'expired') <> (t.cause = 'expired')"
	    " OR (t.state = 'complete' AND (t.cause <> 'exit' OR NOT t.exit_code <=> 0)))", "ss" }, NULL },
	{ "I8", "each change that is called back has its row in outbox",
	  { "SELECT CONCAT('event ', e.number, ' (', e.state, ') of ', " TASK("t.id") ", ' has no row in outbox') FROM task t"
	    " FORCE INDEX (PRIMARY) JOIN event e ON e.task_id = t.id JOIN event p ON p.task_id = t.id AND p.number = e.number - 1"
	    " WHERE " RANGE("t.id") " AND t.notify AND e.state <> p.state AND t.notify & (1 << (e.state - 1))"
	    " AND e.at >= (SELECT `before` FROM delivery_horizon WHERE id = 1) AND NOT EXISTS"
	    " (SELECT 1 FROM outbox o WHERE o.task_id = t.id AND o.number = e.number AND CONCAT(o.task_state) = CONCAT(e.state))", "ss" }, NULL },
	{ "I11", "nothing is claimed while its code, project or cluster is paused",
	  { "SELECT CONCAT('attempt ', a.number, ' of ', " TASK("a.task_id") ", ' was claimed at ', a.claimed_at,"
	    " ', after the pause') FROM attempt a JOIN task t ON t.id = a.task_id JOIN code c ON c.id = t.code_id JOIN lane l"
	    " ON l.id = t.lane_id JOIN cluster k ON k.id = l.cluster_id LEFT JOIN project p ON p.id = t.project_id WHERE "
	    RANGE("a.task_id") " AND (a.claimed_at > c.paused_at + INTERVAL 1 SECOND OR a.claimed_at > k.paused_at"
	    " + INTERVAL 1 SECOND OR a.claimed_at > p.paused_at + INTERVAL 1 SECOND)", "ss" }, NULL },
	{ 0 },
};
const struct verify_walk VERIFY_TASKS = {
	{ "SELECT id FROM task FORCE INDEX (PRIMARY) WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?", "si" }, TASK_LAWS };

/* --- by code and lane ---------------------------------------------------------------------------------- */

static const struct verify_law CODE_LAWS[] = {
	{ "I11", "a code counts what runs in its lanes",
	  { "SELECT CONCAT('code ', " HEX_OF("c.id") ", ' (', c.name, ') counts ', c.running, ', its lanes ',"
	    " IFNULL(SUM(l.running), 0)) FROM code c LEFT JOIN lane l ON l.code_id = c.id WHERE " RANGE("c.id")
	    " GROUP BY c.id HAVING MAX(c.running) <> IFNULL(SUM(l.running), 0)", "ss" }, NULL },
	{ 0 },
};
const struct verify_walk VERIFY_CODES = { { "SELECT id FROM code WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?", "si" }, CODE_LAWS };

static const struct verify_law LANE_LAWS[] = {
	{ "I11", "a lane counts its running tasks",
	  { "SELECT CONCAT('lane ', l.id, ' counts ', l.running, ', running has ', COUNT(r.task_id), ' of it') FROM lane l"
	    " LEFT JOIN running r ON r.lane_id = l.id WHERE " RANGE("l.id") " GROUP BY l.id HAVING MAX(l.running) <> COUNT(r.task_id)",
	    "ii" }, NULL },
	{ "I11", "a lane is open as its code says",
	  { "SELECT CONCAT('lane ', l.id, ' is ', IF(l.open, 'open', 'closed'), ', its code is not') FROM lane l JOIN code c"
	    " ON c.id = l.code_id WHERE " RANGE("l.id") " AND l.open <> (c.paused_at IS NULL AND c.held = 0"
	    " AND (c.max_running = 0 OR c.running < c.max_running))", "ii" }, NULL },
	{ 0 },
};
const struct verify_walk VERIFY_LANES = { { "SELECT id FROM lane WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?", "ii" }, LANE_LAWS };

/* --- what waits ---------------------------------------------------------------------------------------- */

static const struct verify_law READY_LAWS[] = {
	{ "I1", "each row of ready is that of a queued task",
	  { "SELECT CONCAT('row of ready of lane ', r.lane_id, ', ', " TASK("r.task_id") ", ', attempt ', r.attempt,"
	    " ': the task is ', IFNULL(CONCAT(t.state, ', attempt ', t.attempt), 'not there')) FROM ready r FORCE INDEX (PRIMARY)"
	    " LEFT JOIN task t ON t.id = r.task_id WHERE r.lane_id = ? AND " RANGE("r.rank_at") " AND NOT (t.state <=> 'queued'"
	    " AND t.attempt <=> r.attempt AND t.lane_id <=> r.lane_id AND t.rank_at <=> r.rank_at)", "itt" }, NULL },
	{ "I1", "what waits is where claims look for it",
	  { "SELECT CONCAT('row of ready of lane ', r.lane_id, ', ', " TASK("r.task_id") ", ', stands at place ', r.place)"
	    " FROM ready r FORCE INDEX (PRIMARY) LEFT JOIN lane l ON l.id = r.lane_id WHERE r.lane_id = ? AND " RANGE("r.rank_at")
	    " AND (l.id IS NULL OR (r.place > 0 AND r.place <> l.cluster_id) OR r.place = 0"
	    " OR (r.place < 0 AND (r.place <> -l.id OR l.head_rank IS NULL OR r.rank_at < l.head_rank)))", "itt" }, NULL },
	{ 0 },
};
const struct verify_walk VERIFY_READY = {
	{ "SELECT rank_at FROM ready FORCE INDEX (PRIMARY) WHERE lane_id = ? AND rank_at > ? ORDER BY rank_at LIMIT 1 OFFSET ?", "iti" },
	READY_LAWS };

static const struct verify_law DELAYED_LAWS[] = {
	{ "I1", "each row of delayed is that of a queued task",
	  { "SELECT CONCAT('row of delayed, ', " TASK("d.task_id") ", ', due at ', d.due_at, ': the task is ',"
	    " IFNULL(CONCAT(t.state, ', attempt ', t.attempt), 'not there')) FROM `delayed` d LEFT JOIN task t"
	    " ON t.id = d.task_id WHERE " RANGE("d.due_at") " AND NOT (t.state <=> 'queued' AND t.attempt <=> d.attempt"
	    " AND t.lane_id <=> d.lane_id AND t.rank_at <=> d.rank_at AND t.due_at <=> d.due_at)", "tt" }, NULL },
	{ "I1", "what is due is promoted while a scheduler runs",
	  { "SELECT CONCAT('row of delayed, ', " TASK("d.task_id") ", ', was due at ', d.due_at) FROM `delayed` d, beat b WHERE "
	    RANGE("d.due_at") " AND d.due_at < NOW(6) - INTERVAL 15 SECOND AND b.at > NOW(6) - INTERVAL 3 SECOND"
	    " AND b.grace_until < NOW(6) - INTERVAL 15 SECOND", "tt" }, NULL },
	{ 0 },
};
const struct verify_walk VERIFY_DELAYED = {
	{ "SELECT due_at FROM `delayed` WHERE due_at > ? ORDER BY due_at LIMIT 1 OFFSET ?", "ti" }, DELAYED_LAWS };

/* --- what runs --------------------------------------------------------------------------------------------- */

/* A wall that is gone is seen before anything comes through: the key that keeps rows from being doubled. */
#define HAS_KEY(law, sentence, table, columns)                                                                             \
	{ law, sentence,                                                                                                   \
	  { "SELECT '" table " has no unique key over " columns "' FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM"              \
	    " information_schema.statistics WHERE table_schema = DATABASE() AND table_name = '" table "' AND non_unique = 0" \
	    " GROUP BY index_name HAVING GROUP_CONCAT(column_name ORDER BY seq_in_index) = '" columns "')", "" }, NULL }

const struct verify_law VERIFY_RUNNING[] = {
	HAS_KEY("I3", "an attempt has one row", "attempt", "task_id,number"),
	HAS_KEY("I2", "an event has one row", "event", "task_id,number"),
	HAS_KEY("I7", "a time of a schedule has one row of the ledger", "fire", "schedule_id,nominal"),
	HAS_KEY("I14", "a key answers once", "idempotency", "project_id,key"),
	/* by the newest tasks; a claim is over within ten seconds of its turn */
	{ "I11", "who claims in a cluster has its turn",
	  { "SELECT CONCAT('turn of cluster ', n.cluster_id, ': last taken ', IFNULL(MAX(u.at), 'never'), ', claimed was at ',"
	    " MAX(a.claimed_at)) FROM (SELECT id FROM task ORDER BY id DESC LIMIT 2000) t JOIN attempt a ON a.task_id = t.id"
	    " JOIN node n ON n.id = a.node_id LEFT JOIN turn u ON u.cluster_id = n.cluster_id GROUP BY n.cluster_id"
	    " HAVING MAX(u.at) IS NULL OR MAX(a.claimed_at) > MAX(u.at) + INTERVAL 10 SECOND", "" }, NULL },
	/* an old database has no beat: nobody could have taken anything back */
	{ "I5", "nothing runs under a dead session for more than 15 s while a scheduler runs",
	  { "SELECT CONCAT('row of running of node ', r.node_id, ', ', " TASK("r.task_id") ", ': its node is ',"
	    " IFNULL(CONCAT(n.state, ', lease until ', n.lease_until), 'not there')) FROM running r LEFT JOIN node n"
	    " ON n.id = r.node_id, beat b WHERE (n.id IS NULL OR n.lease_until < NOW(6) - INTERVAL 15 SECOND)"
	    " AND b.at > NOW(6) - INTERVAL 3 SECOND AND b.grace_until < NOW(6) - INTERVAL 15 SECOND", "" }, NULL },
	{ "I5", "each row of running is that of a task that runs there",
	  { "SELECT CONCAT('row of running of node ', r.node_id, ', ', " TASK("r.task_id") ", ', attempt ', r.attempt, ': the task is ',"
	    " IFNULL(CONCAT(t.state, ', attempt ', t.attempt, IFNULL(CONCAT(', on node ', t.node_id), '')), 'not there'))"
	    " FROM running r LEFT JOIN node n ON n.id = r.node_id LEFT JOIN task t ON t.id = r.task_id"
	    " WHERE NOT (t.node_id <=> r.node_id AND t.attempt <=> r.attempt AND t.lane_id <=> r.lane_id"
	    " AND t.node_session <=> n.session AND t.state IN ('preparing', 'running'))", "" }, NULL },
	/* those that wait there for an image, a package or a daemon have none */
	{ "I11", "a node runs no more than its slots",
	  { "SELECT CONCAT('node ', n.id, ' (', n.name, ') has ', n.slots, ' slots, and ', COUNT(*), ' tasks run there')"
	    " FROM running r JOIN node n ON n.id = r.node_id JOIN task t ON t.id = r.task_id AND t.attempt = r.attempt"
	    " WHERE t.state = 'running' GROUP BY n.id HAVING COUNT(*) > MAX(n.slots)", "" }, NULL },
	{ 0 },
};

/* --- callbacks ------------------------------------------------------------------------------------------------ */

static const struct verify_law OUTBOX_LAWS[] = {
	{ "I8", "each row of outbox tells an event that was",
	  { "SELECT CONCAT('row ', o.id, ' of outbox tells event ', o.number, ' (', o.task_state, ') of ', " TASK("o.task_id")
	    ", ', which is not so') FROM outbox o LEFT JOIN event e ON e.task_id = o.task_id AND e.number = o.number WHERE "
	    RANGE("o.id") " AND o.task_state <> 'test' AND NOT IF(o.task_state IN ('retried', 'dead'),"
	    " e.state IN ('error', 'timeout', 'killed'), e.state <=> o.task_state)", "ii" }, NULL },
	{ "I8", "a callback is waiting, delivered or exhausted",
	  { "SELECT CONCAT('row ', o.id, ' of outbox, ', " TASK("o.task_id") ", ', is ', o.state, ', next try ',"
	    " IFNULL(o.next_at, 'never'), ', delivered ', IFNULL(o.delivered_at, 'never')) FROM outbox o WHERE " RANGE("o.id")
	    " AND ((o.state = 'waiting') <> (o.next_at IS NOT NULL) OR (o.state = 'delivered') <> (o.delivered_at IS NOT NULL)"
	    " OR (o.state = 'delivered' AND o.tries = 0) OR (o.state = 'exhausted' AND o.tries = 0 AND o.last_error IS NULL))", "ii" }, NULL },
	{ 0 },
};
const struct verify_walk VERIFY_OUTBOX = { { "SELECT id FROM outbox WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?", "ii" }, OUTBOX_LAWS };

/* --- schedules ------------------------------------------------------------------------------------------------ */

static const struct verify_law FIRE_LAWS[] = {
	{ "I7", "what the ledger calls queued is a task of that schedule",
	  { "SELECT CONCAT('time ', f.nominal, ' of schedule ', " HEX_OF("f.schedule_id") ", ' names ', " TASK("f.task_id") ", ', which is', IF(t.id IS NULL, ' not there', ' not of it')) FROM fire f LEFT JOIN task t ON t.id = f.task_id WHERE "
	    RANGE("f.schedule_id") " AND f.task_id IS NOT NULL AND NOT t.schedule_id <=> f.schedule_id", "ss" }, NULL },
	{ "I7", "a task is queued for one time of its schedule",
	  { "SELECT CONCAT(" TASK("f.task_id") ", ' was queued for ', COUNT(*), ' times of schedule ', " HEX_OF("f.schedule_id") ")"
	    " FROM fire f WHERE " RANGE("f.schedule_id") " AND f.task_id IS NOT NULL GROUP BY f.schedule_id, f.task_id"
	    " HAVING COUNT(*) > 1", "ss" }, NULL },
	{ 0 },
};
const struct verify_walk VERIFY_FIRES = {
	{ "SELECT schedule_id FROM fire WHERE schedule_id > ? ORDER BY schedule_id LIMIT 1 OFFSET ?", "si" }, FIRE_LAWS };

/* --- output: the logs' database ----------------------------------------------------------------------------- */

#define LOG(alias) "'log of task ', " HEX_OF(alias ".task_id") ", ', attempt ', " alias ".attempt, "

static const struct verify_law HEAD_LAWS[] = {
	{ "I9", "a log has its chunks from 0 on, and they are what its head says",
	  { "SELECT CONCAT(" LOG("h") "': its head says ', h.next, ' chunks, ', h.kept, ' bytes kept up to byte ', h.bytes,"
	    " ', there are ', COUNT(c.number), ' with ', IFNULL(SUM(c.bytes), 0), ' up to ', IFNULL(MAX(c.first_byte + c.bytes), 0))"
	    " FROM log_head h LEFT JOIN log_chunk c ON c.day = h.day AND c.task_id = h.task_id AND c.attempt = h.attempt"
	    " WHERE h.day >= ? AND " RANGE("h.task_id") " GROUP BY h.task_id, h.attempt"
	    " HAVING MAX(h.next) <> COUNT(c.number) OR IFNULL(MAX(c.number), -1) <> MAX(h.next) - 1"
	    " OR MAX(h.kept) <> IFNULL(SUM(c.bytes), 0) OR MAX(h.bytes) <> IFNULL(MAX(c.first_byte + c.bytes), 0)", "iss" }, NULL },
	{ 0 },
};
const struct verify_walk VERIFY_HEADS = {
	{ "SELECT task_id FROM log_head WHERE day >= ? AND task_id > ? ORDER BY task_id LIMIT 1 OFFSET ?", "isi" }, HEAD_LAWS };

static const struct verify_law CHUNK_LAWS[] = {
	{ "I9", "each chunk belongs to a log",
	  { "SELECT CONCAT('chunk ', c.number, ' of the ', " LOG("c") "' has no head') FROM log_chunk c LEFT JOIN log_head h"
	    " ON h.task_id = c.task_id AND h.attempt = c.attempt AND h.day = c.day WHERE c.day = ? AND " RANGE("c.task_id")
	    " AND h.task_id IS NULL", "iss" }, NULL },
	{ "I9", "chunks follow each other and never overlap",
	  { "SELECT CONCAT('chunk ', x.number, ' of the ', " LOG("x") "' begins at byte ', x.first_byte, ', the one before ends at ', x.before)"
	    " FROM (SELECT task_id, attempt, number, first_byte, LAG(first_byte + bytes) OVER (PARTITION BY task_id, attempt"
	    " ORDER BY number) AS `before` FROM log_chunk WHERE day = ? AND " RANGE("task_id") ") x WHERE x.first_byte < x.before",
	    "iss" }, NULL },
	/* a gzip member ends with the length of what it holds, four bytes, the least first */
	{ "I9", "a chunk holds as many bytes as its row says",
	  { "SELECT CONCAT('chunk ', c.number, ' of the ', " LOG("c") "' holds ', CONV(HEX(REVERSE(RIGHT(c.body, 4))), 16, 10),"
	    " ' bytes, its row says ', c.bytes) FROM log_chunk c WHERE c.day = ? AND " RANGE("c.task_id")
	    " AND CONV(HEX(REVERSE(RIGHT(c.body, 4))), 16, 10) <> c.bytes", "iss" }, NULL },
	{ 0 },
};
const struct verify_walk VERIFY_CHUNKS = {
	{ "SELECT task_id FROM log_chunk WHERE day = ? AND task_id > ? ORDER BY task_id LIMIT 1 OFFSET ?", "isi" }, CHUNK_LAWS };
