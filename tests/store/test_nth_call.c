/* Each function of lib/store that changes something by more than one statement, with each of its statements
 * failing in turn: the connection lost before and after it was done, a deadlock, a full disk. After each of
 * them the database holds all of it or nothing of it, the answer says which, and asking again does what is
 * missing. A new function is one row of FUNCTIONS; tests/lint/nth_call.py says when one has none. */
#include "base/clock.h"
#include "store/attempt_store.h"
#include "store/callback_store.h"
#include "store/cluster_store.h"
#include "store/delivery_store.h"
#include "store/event_store.h"
#include "store/expiry_store.h"
#include "store/fire_store.h"
#include "store/log_cursor_store.h"
#include "store/member_store.h"
#include "store/outbox_store.h"
#include "store/url_hold.h"
#include "store/package_store.h"
#include "store/schedule_store.h"
#include "store/token_store.h"
#include "store/trigger_store.h"
#include "tests/support/task_fixture.h"

#include <check.h>
#include <errmsg.h>
#include <stdio.h>
#include <stdlib.h>

#define ZONES "/usr/share/zoneinfo"
#define fine(call) ck_assert_msg((call) == OK, "%s", f.cx.message)
enum { DEADLOCK = 1213, DISK_FULL = 1114, CALLS_MOST = 100 };

static struct store_fixture f;

/* What a function works on: made before it, in a project of its own. */
struct scene {
	struct world w;
	struct id id, code, upload;
	struct code_target target;
	int64_t number;
	struct str name;
	struct claimed *claimed;
	struct outbox_row *rows;
	struct schedule_order order;
	struct package package;
};

/* --- what is there before ------------------------------------------------------------------------- */

static struct str fresh_name(void)
{
	struct id id = id_make(clock_wall_us());

	return str_of(arena_text(&f.cx.arena, id_format(&id).s));
}

static void a_code(struct scene *s)
{
	s->target = target_of(&s->w, "job");
	s->code = s->target.code_id;
	s->id = id_make(clock_wall_us());
	s->name = fresh_name();
}

static void queued(struct scene *s)
{
	struct id ids[2];

	a_code(s);
	queue(&s->w, "job", 2, (struct task_order){ .callback = STR_LIT("http://127.0.0.1:1/hook"), .payload = STR_LIT("p") }, ids);
	s->id = ids[0];
}

static void delayed_and_due(struct scene *s)
{
	a_code(s);
	queue(&s->w, "job", 2, (struct task_order){ .delay_s = 3600 }, NULL);
	run_in(&f, f.db, "SET @now = NOW(6)");
	run_in(&f, f.db, "UPDATE task SET due_at = @now, rank_at = @now WHERE id IN (SELECT task_id FROM `delayed`)");
	run_in(&f, f.db, "UPDATE `delayed` SET due_at = @now, rank_at = @now");
}

static void out_of_time(struct scene *s)
{
	a_code(s);
	queue(&s->w, "job", 2, (struct task_order){ .expires_in_s = 3600, .callback = STR_LIT("http://127.0.0.1:1/hook") }, NULL);
	run_in(&f, f.db, "UPDATE expiry SET look_at = NOW(6) WHERE look_at IS NOT NULL");
}

static void claimed_tasks(struct scene *s)
{
	queued(s);
	run_in(&f, f.db, "UPDATE code SET retries = 1 WHERE retries = 0");
	s->claimed = claim(&s->w, 2, 2);
	s->id = s->claimed[0].task_id;
}

static void running_tasks(struct scene *s)
{
	claimed_tasks(s);
	start(&s->w, s->claimed, 2);
}

static void on_a_dead_node(struct scene *s)
{
	running_tasks(s);
	run_in(&f, f.db, "UPDATE beat SET at = NOW(6), grace_until = NOW(6)");
	run_in(&f, f.db, arena_printf(&f.cx.arena, "UPDATE node SET lease_until = NOW(6) - INTERVAL 1 SECOND WHERE id = %lld",
	                              (long long)s->w.node.node_id));
}

/* Out of `running` alone. */
static void forgotten(struct scene *s)
{
	running_tasks(s);
	for (int i = 0; i < 2; i++)
		run_in(&f, f.db, arena_printf(&f.cx.arena, "DELETE FROM running WHERE task_id = x'%s'", id_format(&s->claimed[i].task_id).s));
	run_in(&f, f.db, "UPDATE code SET running = 0");
	run_in(&f, f.db, "UPDATE lane SET running = 0");
	run_in(&f, f.db, "UPDATE attempt SET ended_at = NOW(6), cause = 'exit' WHERE ended_at IS NULL");
}

/* A callback that is due. */
static void ended(struct scene *s)
{
	struct str bells[CANCEL_BELLS_MOST];
	size_t n;

	queued(s);
	run_in(&f, f.db, "UPDATE outbox SET state = 'delivered', tries = 1, next_at = NULL, delivered_at = NOW(6) WHERE state = 'waiting'");
	fine(task_store_cancel_code(f.db, &f.cx, &s->w.project, &s->code, STR_LIT("ana"), 10000000, bells, &n));
}

static enum err take_news(struct scene *s)
{
	struct outbox_want want = { .room_of_unknown = 10, .most = 100, .hold_s = 3600 };
	struct outbox_taken taken;
	enum err e = outbox_store_take(f.db, &f.cx, &want, &taken);

	s->rows = taken.rows;
	return e;
}

static void taken(struct scene *s)
{
	ended(s);
	fine(take_news(s));
}

static struct callback hook_of(const struct scene *s)
{
	return (struct callback){ .id = s->id, .project_id = s->w.project, .states = 1 << TASK_COMPLETE, .name = s->name,
		                  .url = STR_LIT("http://127.0.0.1:1/") };
}

static const struct seal_key KEY = { "of this test" };

static void a_callback(struct scene *s)
{
	struct callback c;

	a_code(s);
	c = hook_of(s);
	fine(callback_store_add(f.db, &f.cx, &c, &KEY, STR_LIT("secret")));
}

static void a_trigger(struct scene *s)
{
	unsigned char token[SHA256_BYTES];
	struct trigger_note note = { .verdict = STR_LIT("accepted") };
	struct trigger t;

	a_code(s);
	crypt_random(token, sizeof token);
	t = (struct trigger){ .id = s->id, .project_id = s->w.project, .code_id = s->code, .name = s->name, .options = STR_LIT("{}") };
	fine(trigger_store_add(f.db, &f.cx, &t, token, &KEY, STR_LIT("")));
	fine(trigger_store_note(f.db, &f.cx, &s->id, &note));
	run_in(&f, f.db, "INSERT INTO trigger_request (trigger_id, id, address, verdict, reason, delivery, body)"
	                 " SELECT trigger_id, CONCAT(LEFT(id, 11), UNHEX(LPAD(HEX(seq), 2, '0'))), address, verdict, reason, delivery, body FROM"
	                 " (SELECT * FROM trigger_request ORDER BY id DESC LIMIT 1) r JOIN seq_1_to_100 WHERE seq <> ORD(RIGHT(id, 1)) LIMIT 99");
}

static struct schedule_order a_timetable(struct scene *s)
{
	struct schedule_order o = { .value = schedule_default() };

	a_code(s);
	o.value.id = s->id;
	o.value.code_name = STR_LIT("job");
	o.value.cluster_name = str_of(s->w.cluster);
	o.value.run_every_s = 3600;
	o.sent = 1 << FIELD_RUN_EVERY | 1 << FIELD_CODE_NAME | 1 << FIELD_CLUSTER;
	return o;
}

static enum err add_schedule(struct scene *s)
{
	return schedule_store_add(f.db, &f.cx, &s->w.project, ZONES, &s->order, &s->target, 1, 1000, NULL, NULL);
}

static void to_be_scheduled(struct scene *s)
{
	s->order = a_timetable(s);
}

static void scheduled(struct scene *s)
{
	to_be_scheduled(s);
	s->order.delay_us = INT64_C(3600) * 1000000;
	fine(add_schedule(s));
}

static void due(struct scene *s)
{
	to_be_scheduled(s);
	fine(add_schedule(s));
}

/* Its second run waits for the end of the first. */
static void waiting_for_a_run(struct scene *s)
{
	struct fired fired;

	to_be_scheduled(s);
	s->order.value.overlap = OVERLAP_QUEUE_ONE;
	s->order.value.run_every_s = 1;
	s->order.value.run_times = 2;
	s->order.sent |= 1 << FIELD_OVERLAP | 1 << FIELD_RUN_TIMES;
	fine(add_schedule(s));
	while (number_in(&f, f.db, "SELECT COUNT(*) FROM schedule WHERE waiting > 0") == 0)
		fine(fire_store_due(f.db, &f.cx, ZONES, FIRE_ON_TIME, &fired));
	run_in(&f, f.db, "DELETE r FROM ready r JOIN task t ON t.id = r.task_id WHERE t.schedule_id IS NOT NULL");
	run_in(&f, f.db, "UPDATE task SET state = 'cancelled', cause = 'cancelled', ended_at = NOW(6) WHERE state = 'queued'"
	                 " AND schedule_id IS NOT NULL");
}

static void of_another_zone_file(struct scene *s)
{
	to_be_scheduled(s);
	s->order.value.time_zone = STR_LIT("Europe/Berlin");
	s->order.sent |= 1 << FIELD_TIME_ZONE;
	s->order.delay_us = INT64_C(3600) * 1000000;
	fine(add_schedule(s));
	run_in(&f, f.db, arena_printf(&f.cx.arena, "UPDATE schedule SET zone_digest = 'another' WHERE id = x'%s'", id_format(&s->id).s));
}

static void a_cluster(struct scene *s)
{
	s->name = fresh_name();
	fine(cluster_store_add(f.db, &f.cx, &(struct principal){ .role = ROLE_ADMIN },
	                       &(struct cluster_order){ .name = s->name, .memory = -1, .disk_space = -1, .cpu_share = -1 }, NULL, &s->number));
	s->name = fresh_name();
}

static void an_empty_project(struct scene *s)
{
	struct token_text text;

	fine(token_store_add(f.db, &f.cx, fresh_name(), STR_LIT("t"), &s->w.project, ROLE_VIEWER, TIME_NONE, STR_LIT(""), &text, &s->id));
}

static void an_upload(struct scene *s)
{
	static char bytes[100];

	s->package = (struct package){ .bytes = sizeof bytes, .pieces = 1 };
	crypt_random(s->package.digest, sizeof s->package.digest);
	fine(package_store_begin(f.db, &f.cx, &s->w.project, &s->upload));
	fine(package_store_add(f.db, &f.cx, &s->upload, 0, str_bytes(bytes, sizeof bytes)));
}

static void an_unused_package(struct scene *s)
{
	run_in(&f, f.db, "DELETE FROM package");
	run_in(&f, f.db, "DELETE FROM package_upload");
	an_upload(s);
	fine(package_store_finish(f.db, &f.cx, &s->upload, &s->package));
	run_in(&f, f.db, "UPDATE package SET used_at = NOW(6) - INTERVAL 2 HOUR");
}

static void a_log(struct scene *s)
{
	s->id = id_make(clock_wall_us());
	fine(log_store_begin(f.logs, &f.cx, &s->w.project, &s->id, 1, 700000));
}

/* Logs of two tasks, the one new and the other from days ago, that go on to a destination. */
static void a_destination(struct scene *s)
{
	s->id = id_make(clock_wall_us());
	s->upload = id_make(clock_wall_us());
	run_in(&f, f.logs, "DELETE FROM log_cursor"); /* those from before cost a statement each */
	run_in(&f, f.logs, "DELETE FROM log_destination");
	run_in(&f, f.logs, arena_printf(&f.cx.arena, "INSERT INTO log_destination (id, project_id, address, template, holder, held_until)"
	                                " VALUES (x'%s', x'%s', 'http://x/', 'json', x'%s', NOW(6) + INTERVAL 1 HOUR)", id_format(&s->id).s,
	                                id_format(&s->w.project).s, id_format(&s->id).s));
	for (int i = 0; i < 2; i++)
		run_in(&f, f.logs, arena_printf(&f.cx.arena, "INSERT INTO log_cursor (destination_id, task_id, attempt, day) VALUES (x'%s', x'%s', %d, %d)",
		                                id_format(&s->id).s, id_format(&s->upload).s, i + 1, i ? 700000 : 1));
}

static void nothing(struct scene *s)
{
	s->name = fresh_name();
	crypt_random(s->package.digest, 16); /* a session */
}

/* --- what is done ----------------------------------------------------------------------------------- */

static enum err settle_as(struct scene *s, enum task_state state, enum cause cause)
{
	struct attempt_end ends[2];
	bool lost[2];

	for (int i = 0; i < 2; i++)
		ends[i] = (struct attempt_end){ s->claimed[i].task_id, s->claimed[i].attempt, s->claimed[i].lane_id,
			                        { .state = state, .cause = cause, .exit_code = state == TASK_ERROR ? 3 : state == TASK_COMPLETE ? 0 : -1,
			                          .note = "as the test says" }, 0 };
	return attempt_store_settle(f.db, &f.cx, &s->w.node, ends, 2, lost);
}

static enum err settle_complete(struct scene *s)
{
	return settle_as(s, TASK_COMPLETE, CAUSE_EXIT);
}

static enum err settle_error(struct scene *s)
{
	return settle_as(s, TASK_ERROR, CAUSE_EXIT);
}

static enum err give_back(struct scene *s)
{
	return settle_as(s, TASK_QUEUED, CAUSE_NODE_STOPPED);
}

static enum err start_all(struct scene *s)
{
	struct attempt_start starts[2];
	bool lost[2];

	for (int i = 0; i < 2; i++)
		starts[i] = (struct attempt_start){ s->claimed[i].task_id, s->claimed[i].attempt, 1000,
			                            STR_LIT("0123456789abcdef0123456789abcdef") };
	return attempt_store_start(f.db, &f.cx, &s->w.node, starts, 2, lost);
}

static enum err claim_all(struct scene *s)
{
	struct claimed *c;
	size_t n;

	return ready_store_claim(f.db, &f.cx, &s->w.node, 2, &c, &n);
}

static enum err promote(struct scene *s)
{
	size_t moved;

	(void)s;
	return ready_store_promote(f.db, &f.cx, 100, &moved);
}

static enum err expire(struct scene *s)
{
	size_t looked;

	(void)s;
	return expiry_store_end(f.db, &f.cx, 100, &looked);
}

static enum err add_callback(struct scene *s)
{
	struct callback c = hook_of(s);

	return callback_store_add(f.db, &f.cx, &c, &KEY, STR_LIT("secret"));
}

static enum err change_callback(struct scene *s)
{
	struct callback c = hook_of(s);

	c.states |= 1 << TASK_ERROR;
	c.flags = CALLBACK_ORDERED;
	return callback_store_change(f.db, &f.cx, &c);
}

static enum err pause_callback(struct scene *s)
{
	struct callback c = hook_of(s);

	return callback_store_pause(f.db, &f.cx, &c, true);
}

/* Its URL is held, and something waits for that. */
static void a_held_callback(struct scene *s)
{
	struct callback c;

	a_callback(s);
	c = hook_of(s);
	run_in(&f, f.db, arena_printf(&f.cx.arena, "INSERT INTO url_hold (url_id, until) VALUES (" URL_HOLD_ID("x'%s'", "'" STR_FMT "'")
	                              ", NOW(6) + INTERVAL 1 HOUR)", id_format(&s->w.project).s, STR_ARG(c.url)));
	run_in(&f, f.db, arena_printf(&f.cx.arena, "INSERT INTO outbox (task_id, number, task_state, project_id, lane, url, at, next_at, waits)"
	                              " VALUES (x'%s', 1, 'complete', x'%s', %lld, '" STR_FMT "', NOW(6),"
	                              " NOW(6) + INTERVAL 1 HOUR, 'retry_after')", id_format(&s->id).s, id_format(&s->w.project).s,
	                              (long long)callback_lane(&s->w.project, callback_origin(&f.cx.arena, c.url)), STR_ARG(c.url)));
}

static enum err test_callback(struct scene *s)
{
	struct callback c = hook_of(s);
	int64_t number;

	return callback_store_test(f.db, &f.cx, &c, &number);
}

static enum err delete_callback(struct scene *s)
{
	return callback_store_delete(f.db, &f.cx, &s->w.project, &s->id);
}

static enum err add_cluster(struct scene *s)
{
	struct cluster_order o = { .name = s->name, .memory = -1, .disk_space = -1, .cpu_share = -1 };

	return cluster_store_add(f.db, &f.cx, &(struct principal){ .role = ROLE_ADMIN }, &o, NULL, &s->number);
}

static enum err change_cluster(struct scene *s)
{
	struct cluster_order o = { .name = s->name, .autoscale = STR_LIT("{}"), .memory = 1, .disk_space = -1, .cpu_share = -1 };

	return cluster_store_change(f.db, &f.cx, s->number, &o, NULL);
}

static enum err delete_cluster(struct scene *s)
{
	return cluster_store_delete(f.db, &f.cx, s->number);
}

static enum err put_code(struct scene *s)
{
	struct code_order o = { .name = STR_LIT("job"), .has_command = true, .command = STR_LIT("new"), .has_max_concurrency = true,
		                .max_concurrency = 3 };
	struct code code;

	return code_store_put(f.db, &f.cx, &s->w.project, &o, &code);
}

static enum err pause_code(struct scene *s)
{
	bool changed;

	return code_store_pause(f.db, &f.cx, &s->w.project, &s->code, true, &changed);
}

static enum err delete_code(struct scene *s)
{
	return code_store_delete(f.db, &f.cx, &s->w.project, &s->code);
}

static enum err redeliver(struct scene *s)
{
	int64_t changed;

	return delivery_store_again(f.db, &f.cx, &s->w.project, &s->rows[0].id, 1, &changed);
}

static enum err backfill(struct scene *s)
{
	int64_t now = clock_wall_us();
	size_t queued, left;

	return fire_store_backfill(f.db, &f.cx, ZONES, &s->w.project, &s->id, now - 7200000000LL, now, STR_LIT("ana"), &queued, &left);
}

static enum err run_now(struct scene *s)
{
	struct id task;

	return fire_store_run_now(f.db, &f.cx, ZONES, &s->w.project, &s->id, STR_LIT("ana"), NULL, &task);
}

static enum err fire(struct scene *s)
{
	struct fired fired;

	(void)s;
	return fire_store_due(f.db, &f.cx, ZONES, FIRE_ON_TIME, &fired);
}

static enum err release(struct scene *s)
{
	size_t n;

	(void)s;
	return fire_store_release(f.db, &f.cx, ZONES, &n);
}

static enum err rezone(struct scene *s)
{
	size_t moved;

	(void)s;
	return fire_store_rezone(f.db, &f.cx, ZONES, &moved);
}

static enum err change_schedule(struct scene *s)
{
	struct schedule_order o = { .value = { .run_every_s = 7200, .label = STR_LIT("other") }, .sent = 1 << FIELD_RUN_EVERY | 1 << FIELD_LABEL };

	return schedule_store_change(f.db, &f.cx, &s->w.project, ZONES, &s->id, &o, NULL);
}

static enum err cancel_schedule(struct scene *s)
{
	return schedule_store_cancel(f.db, &f.cx, &s->w.project, &s->id);
}

static enum err pause_schedule(struct scene *s)
{
	bool changed;

	return schedule_store_pause(f.db, &f.cx, &s->w.project, &s->id, true, STR_LIT("ana"), STR_LIT("why"), &changed);
}

static void an_old_delivery(struct scene *s)
{
	taken(s);
	run_in(&f, f.db, "INSERT INTO outbox (task_id, number, task_state, project_id, url, at, state)"
	                 " SELECT task_id, 99, 'test', project_id, url, at - INTERVAL 40 DAY, 'exhausted' FROM outbox LIMIT 1");
	run_in(&f, f.db, "INSERT INTO delivery (outbox_id, number, at) SELECT id, 1, at FROM outbox WHERE task_state = 'test'");
}

static enum err forget_deliveries(struct scene *s)
{
	int64_t after = 0;
	bool more;

	(void)s;
	return delivery_store_forget(f.db, &f.cx, 30, &after, &more);
}

static enum err begin_log(struct scene *s)
{
	return log_store_begin(f.logs, &f.cx, &s->w.project, &s->id, 2, 700000);
}

static enum err tell_sent(struct scene *s)
{
	struct log_cursor cursors[2] = { { .task = s->upload, .attempt = 1, .is_done = true }, { .task = s->upload, .attempt = 2, .seen = 3 } };
	struct log_sent sent = { .destination = s->id, .holder = s->id, .cursors = cursors, .n = 2, .lines = 7, .error = STR_LIT("") };
	enum err e = log_cursor_store_sent(f.logs, &f.cx, &sent);

	return e == ERR_CONFLICT ? OK : e; /* it was told already */
}

static enum err forget_cursors(struct scene *s)
{
	int64_t lost;

	(void)s;
	return log_cursor_store_forget(f.logs, &f.cx, 7, &lost);
}

static enum err place_events(struct scene *s)
{
	size_t n;

	(void)s;
	return event_store_place(f.db, &f.cx, &n);
}

static enum err end_project(struct scene *s)
{
	return member_store_end_project(f.db, &f.cx, &s->w.project);
}

static enum err beat(struct scene *s)
{
	bool grace;

	(void)s;
	return node_store_beat(f.db, &f.cx, 12, &grace);
}

static enum err drain(struct scene *s)
{
	return node_store_drain(f.db, &f.cx, s->name, true);
}

static enum err leave(struct scene *s)
{
	return node_store_leave(f.db, &f.cx, s->w.node.node_id, s->w.node.session);
}

static enum err register_node(struct scene *s)
{
	int64_t node, cluster;

	return node_store_register(f.db, &f.cx, s->name, s->name, str_bytes(s->package.digest, 16), 1, STR_LIT(""), STR_LIT(""), 60,
	                           &node, &cluster);
}

static enum err renew(struct scene *s)
{
	bool draining;

	return node_store_renew(f.db, &f.cx, s->w.node.node_id, s->w.node.session, 3600, 5, &draining);
}

static enum err resume(struct scene *s)
{
	int64_t node, cluster;

	return node_store_resume(f.db, &f.cx, s->w.node.session, 7, STR_LIT("127.0.0.1:2"), 3600, &node, &cluster);
}

static enum err take_back(struct scene *s)
{
	int64_t taken_back;

	(void)s;
	return node_store_take_back(f.db, &f.cx, &taken_back, NULL);
}

static enum err mend(struct scene *s)
{
	int64_t mended;

	(void)s;
	return node_store_mend(f.db, &f.cx, &mended);
}

static enum err queue_by_callback(struct scene *s)
{
	return outbox_store_queue(f.db, &f.cx, &s->rows[0], STR_LIT("job"), STR_LIT("{}"), STR_LIT(""));
}

static enum err tell(struct scene *s)
{
	struct outbox_outcome o = { .end = OUTBOX_DELIVERED, .row = s->rows[0], .tried = true, .status = 200 };
	struct outbox_health h = { s->rows[0].lane, 1, 5 };

	return outbox_store_tell(f.db, &f.cx, &o, 1, &h, 1);
}

static enum err finish_package(struct scene *s)
{
	return package_store_finish(f.db, &f.cx, &s->upload, &s->package);
}

static enum err sweep(struct scene *s)
{
	bool more = true;

	(void)s;
	while (more)
		TRY(package_store_sweep(f.db, &f.cx, &more));
	return OK;
}

static enum err enqueue_tasks(struct scene *s, size_t n, const struct idempotency *once)
{
	struct code_target targets[2] = { s->target, s->target };
	struct task_order orders[2] = { { .id = s->id }, { .id = s->id, .payload = STR_LIT("p") } };
	bool was_taken = false;
	enum err e;

	orders[1].id.b[ID_BYTES - 1] ^= 1;
	if (!once)
		return task_store_add(f.db, &f.cx, &s->w.project, orders, targets, n);
	e = task_store_add_once(f.db, &f.cx, &s->w.project, orders, targets, n, once, &was_taken);
	return was_taken ? OK : e;
}

static enum err enqueue(struct scene *s)
{
	return enqueue_tasks(s, 2, NULL);
}

static enum err enqueue_once(struct scene *s)
{
	struct idempotency once = { .answer = STR_LIT("{}") };

	memcpy(once.key, s->id.b, ID_BYTES);
	return enqueue_tasks(s, 2, &once);
}

static enum err cancel(struct scene *s)
{
	enum task_state state;
	struct str bell;

	return task_store_cancel(f.db, &f.cx, &s->w.project, &s->id, STR_LIT("ana"), &state, &bell);
}

static enum err cancel_code(struct scene *s)
{
	struct str bells[CANCEL_BELLS_MOST];
	size_t n;

	return task_store_cancel_code(f.db, &f.cx, &s->w.project, &s->code, STR_LIT("ana"), 10000000, bells, &n);
}

static enum err add_token(struct scene *s)
{
	struct token_text text;

	return token_store_add(f.db, &f.cx, s->name, STR_LIT("t"), &s->w.project, ROLE_VIEWER, TIME_NONE, STR_LIT(""), &text, &s->code);
}

static enum err delete_trigger(struct scene *s)
{
	return trigger_store_delete(f.db, &f.cx, &s->w.project, &s->id);
}

static enum err note_request(struct scene *s)
{
	struct trigger_note note = { .verdict = STR_LIT("refused"), .reason = STR_LIT("no") };

	return trigger_store_note(f.db, &f.cx, &s->id, &note);
}

/* Two sessions of one name. */
static void two_nodes(struct scene *s)
{
	nothing(s);
	fine(register_node(s));
	crypt_random(s->package.digest, 16);
	fine(register_node(s));
}

/* In which transactions it works. */
enum unit {
	WHOLE, /* one */
	STEPS, /* some: an error may leave some of them done, each is whole and harmless to repeat */
	NOTES, /* the same, for rows of a log of which one too many does no harm */
};
static const struct function {
	const char *name;
	void (*given)(struct scene *);
	enum err (*act)(struct scene *);
	enum unit unit;
} FUNCTIONS[] = {
	{ "attempt_store_settle", running_tasks, settle_complete, WHOLE },
	{ "attempt_store_settle", running_tasks, settle_error, WHOLE },
	{ "attempt_store_settle", running_tasks, give_back, WHOLE },
	{ "attempt_store_settle", claimed_tasks, settle_error, WHOLE },
	{ "attempt_store_start", claimed_tasks, start_all, WHOLE },
	{ "callback_store_add", a_code, add_callback, WHOLE },
	{ "callback_store_change", a_callback, change_callback, WHOLE },
	{ "callback_store_delete", a_callback, delete_callback, WHOLE },
	{ "callback_store_pause", a_callback, pause_callback, WHOLE },
	{ "callback_store_test", a_held_callback, test_callback, WHOLE },
	{ "cluster_store_add", nothing, add_cluster, WHOLE },
	{ "cluster_store_change", a_cluster, change_cluster, WHOLE },
	{ "cluster_store_delete", a_cluster, delete_cluster, WHOLE },
	{ "code_store_delete", scheduled, delete_code, WHOLE },
	{ "code_store_pause", queued, pause_code, WHOLE },
	{ "code_store_put", a_code, put_code, WHOLE },
	{ "delivery_store_again", taken, redeliver, WHOLE },
	{ "delivery_store_forget", an_old_delivery, forget_deliveries, WHOLE },
	{ "event_store_place", queued, place_events, WHOLE },
	{ "expiry_store_end", out_of_time, expire, STEPS },
	{ "fire_store_backfill", scheduled, backfill, WHOLE },
	{ "fire_store_due", due, fire, WHOLE },
	{ "fire_store_release", waiting_for_a_run, release, WHOLE },
	{ "fire_store_rezone", of_another_zone_file, rezone, WHOLE },
	{ "fire_store_run_now", scheduled, run_now, WHOLE },
	{ "log_cursor_store_forget", a_destination, forget_cursors, STEPS },
	{ "log_cursor_store_sent", a_destination, tell_sent, WHOLE },
	{ "log_store_begin", a_log, begin_log, STEPS },
	{ "member_store_end_project", an_empty_project, end_project, WHOLE },
	{ "node_store_beat", nothing, beat, STEPS },
	{ "node_store_drain", two_nodes, drain, STEPS },
	{ "node_store_leave", nothing, leave, STEPS },
	{ "node_store_mend", forgotten, mend, STEPS },
	{ "node_store_register", nothing, register_node, STEPS },
	{ "node_store_renew", nothing, renew, STEPS },
	{ "node_store_resume", nothing, resume, STEPS },
	{ "node_store_take_back", on_a_dead_node, take_back, WHOLE },
	{ "outbox_store_queue", taken, queue_by_callback, WHOLE },
	{ "outbox_store_take", ended, take_news, WHOLE },
	{ "outbox_store_tell", taken, tell, WHOLE },
	{ "package_store_finish", an_upload, finish_package, WHOLE },
	{ "package_store_sweep", an_unused_package, sweep, STEPS },
	{ "ready_store_claim", queued, claim_all, WHOLE },
	{ "ready_store_promote", delayed_and_due, promote, WHOLE },
	{ "schedule_store_add", to_be_scheduled, add_schedule, WHOLE },
	{ "schedule_store_cancel", scheduled, cancel_schedule, WHOLE },
	{ "schedule_store_change", scheduled, change_schedule, WHOLE },
	{ "schedule_store_pause", scheduled, pause_schedule, WHOLE },
	{ "task_store_add", a_code, enqueue, WHOLE },
	{ "task_store_add_once", a_code, enqueue_once, WHOLE },
	{ "task_store_cancel", queued, cancel, WHOLE },
	{ "task_store_cancel", running_tasks, cancel, WHOLE },
	{ "task_store_cancel_code", queued, cancel_code, STEPS },
	{ "token_store_add", nothing, add_token, WHOLE },
	{ "trigger_store_delete", a_trigger, delete_trigger, WHOLE },
	{ "trigger_store_note", a_trigger, note_request, NOTES },
};

/* --- what the database says ------------------------------------------------------------------------------ */

/* A query for each table: its rows, and a sum over what two runs of the same have in common. */
static const struct sql SHAPES = {
	"SELECT CONCAT('SELECT ''', c.table_schema, '.`', c.table_name, '`'' AS t, COUNT(*) AS n, IFNULL(SUM(CRC32(CONCAT_WS(''|'', 1',"
	" GROUP_CONCAT(IF(c.data_type IN ('enum', 'tinyint') OR c.column_name IN ('running', 'attempt', 'changes', 'tries',"
	" 'revision', 'retry', 'number', 'run_count', 'waiting', 'max_running', 'hooks', 'run_every_s'), CONCAT(', `', c.column_name, '`'), '')"
	" SEPARATOR ''), GROUP_CONCAT(IF(c.is_nullable = 'YES', CONCAT(', `', c.column_name, '` IS NULL'), '') SEPARATOR ''),"
	" '))), 0) AS s FROM `', c.table_schema, '`.`', c.table_name, '`') FROM information_schema.columns c"
	" JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name"
	" WHERE c.table_schema IN ('stoker', 'stoker_logs') AND t.table_type = 'BASE TABLE'"
	" AND c.table_name NOT IN ('turn', 'event_turn', 'beat', 'schema') GROUP BY c.table_schema, c.table_name", "" };
static const struct sql TABLES = {
	"SELECT CONCAT('CHECKSUM TABLE ', GROUP_CONCAT('`', table_schema, '`.`', table_name, '`')) FROM information_schema.tables"
	" WHERE table_schema IN ('stoker', 'stoker_logs') AND table_type = 'BASE TABLE'", "" };
enum { TABLES_MOST = 80 };
static const char *shape_query, *checksum_query;

struct picture {
	size_t n;
	int64_t rows[TABLES_MOST], sum[TABLES_MOST], checksum[TABLES_MOST];
	const char *table[TABLES_MOST];
};

static void learn_tables(void)
{
	struct rows r;
	const char *text = "";

	run_in(&f, f.db, "SET SESSION group_concat_max_len = 100000");
	fine(db_query(f.db, &f.cx, &SHAPES, NULL, 0, &r));
	ck_assert_uint_le(r.n, TABLES_MOST);
	for (size_t i = 0; i < r.n; i++)
		text = arena_printf(&f.cx.arena, "%s%s" STR_FMT, text, i ? " UNION ALL " : "", STR_ARG(val_str(&row(&r, i)[0])));
	shape_query = text;
	fine(db_query(f.db, &f.cx, &TABLES, NULL, 0, &r));
	checksum_query = str_c(&f.cx.arena, val_str(&row(&r, 0)[0]));
}

/* The checksums of all rows besides, or zeroes. */
static struct picture look(bool exactly)
{
	const struct sql shapes = { shape_query, "" }, checksums = { checksum_query, "" };
	struct picture p;
	struct rows r;

	fine(db_query(f.db, &f.cx, &shapes, NULL, 0, &r));
	p.n = r.n;
	for (size_t i = 0; i < r.n; i++) {
		p.table[i] = str_c(&f.cx.arena, val_str(&row(&r, i)[0]));
		p.rows[i] = val_int(&row(&r, i)[1]);
		p.sum[i] = val_int(&row(&r, i)[2]);
	}
	for (size_t i = 0; i < TABLES_MOST; i++)
		p.checksum[i] = 0;
	if (!exactly)
		return p;
	fine(db_query(f.db, &f.cx, &checksums, NULL, 0, &r));
	for (size_t i = 0; i < r.n; i++)
		p.checksum[i] = val_int(&row(&r, i)[1]);
	return p;
}

/* What others left is only read, over and over. */
static void sweep_out(void)
{
	struct picture p = look(false);

	for (size_t i = 0; i < p.n; i++)
		if (p.rows[i] && strcmp(p.table[i], "stoker.`cluster`") != 0)
			run_in(&f, f.db, arena_printf(&f.cx.arena, "DELETE FROM %s", p.table[i]));
}

static void is_unchanged(const struct picture *before, const struct picture *after, const char *when)
{
	ck_assert_msg(memcmp(before->checksum, after->checksum, before->n * sizeof *before->checksum) == 0,
	              "%s: an error was told (%s), but something of it is done", when, f.cx.message);
}

static void is_all_done(const struct picture *before, const struct picture *after, const struct picture *whole, const char *when)
{
	for (size_t i = 0; i < before->n; i++) {
		int64_t rows = after->rows[i] - before->rows[i], sum = after->sum[i] - before->sum[i];

		ck_assert_msg(rows == whole->rows[i] && sum == whole->sum[i], "%s: table %s has %lld rows more, not %lld; its sum is %lld more, not %lld",
		              when, before->table[i], (long long)rows, (long long)whole->rows[i], (long long)sum, (long long)whole->sum[i]);
	}
}

/* --- each of them ---------------------------------------------------------------------------------------------- */

enum failure { LOST_BEFORE, LOST_AFTER, DEADLOCKED, FULL, FAILURES };
static const char *const FAILURE_NAMES[] = { "lost before", "lost after", "a deadlock at", "a full disk at" };

static void fail_at(struct db *db, int n, enum failure how)
{
	if (how <= LOST_AFTER)
		db_fail_at(db, n, how == LOST_AFTER);
	else
		db_refuse_at(db, n, how == FULL ? DISK_FULL : DEADLOCK);
}

/* Without a failure: by how much the tables grow. */
static struct picture whole_of(const struct function *fn)
{
	struct scene s = { .w = given_world(&f) };
	struct picture before, after;

	fn->given(&s);
	before = look(false);
	ck_assert_msg(fn->act(&s) == OK, "%s: %s", fn->name, f.cx.message);
	after = look(false);
	for (size_t i = 0; i < after.n; i++) {
		after.rows[i] -= before.rows[i];
		after.sum[i] -= before.sum[i];
	}
	return after;
}

/* With the n-th call failing; false if there are not so many. */
static bool goes_well_with(const struct function *fn, const struct picture *whole, int n, enum failure how)
{
	struct scene s = { .w = given_world(&f) };
	struct db *db = fn->given == a_log || fn->given == a_destination ? f.logs : f.db;
	const char *when = arena_printf(&f.cx.arena, "%s, %s call %d", fn->name, FAILURE_NAMES[how], n);
	struct picture before, after;
	bool failed;
	enum err e;

	fn->given(&s);
	before = look(how >= DEADLOCKED);
	fail_at(db, n, how);
	*f.cx.message = 0;
	e = fn->act(&s);
	failed = !db_fails_later(db);
	db_fail_at(db, 0, false);
	after = look(e != OK);
	ck_assert_msg(e == OK || *f.cx.message, "%s: an error without a word", when);
	ck_assert_msg(e == OK || e == ERR_BUSY || e == ERR_UNSURE, "%s: error %d: %s", when, e, f.cx.message);
	ck_assert_msg(e == OK || how >= DEADLOCKED || fn->unit != WHOLE, "%s: one lost connection is survived: %s", when, f.cx.message);
	if (e != OK && fn->unit == WHOLE)
		is_unchanged(&before, &after, when);
	if (e != OK && fn->unit != NOTES) {
		ck_assert_msg(fn->act(&s) == OK, "%s, asked again: %s", when, f.cx.message);
		after = look(false);
	}
	if (fn->unit != NOTES)
		is_all_done(&before, &after, whole, when);
	return failed;
}

/* `make check` takes those that a caller is told of, `make storm` all of them. */
static bool is_wanted(enum failure how)
{
	return how == FULL || getenv("STOKER_NTH_CALL_ALL");
}

START_TEST(each_is_done_whole_or_not_at_all_whichever_call_fails)
{
	const struct function *fn = &FUNCTIONS[_i];
	struct picture whole;
	int calls = 0;

	learn_tables();
	sweep_out();
	whole = whole_of(fn);
	for (enum failure how = 0; how < FAILURES; how++)
		for (int n = 1; is_wanted(how) && goes_well_with(fn, &whole, n, how); n++)
			ck_assert_int_lt(calls = n, CALLS_MOST);
	ck_assert_int_gt(calls, 0);
	check_laws(&f);
}
END_TEST

static void set_up(void)
{
	store_fixture_open(&f);
}

static void tear_down(void)
{
	store_fixture_close(&f);
}

int main(void)
{
	TCase *t = tcase_create("nth_call");
	Suite *s = suite_create("nth_call");
	SRunner *r;
	int failed;

	setenv("THROWAWAY_DB_FLUSH", "0", 0); /* nobody kills this server */
	store_fixture_serve();
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, each_is_done_whole_or_not_at_all_whichever_call_fails, 0, (int)(sizeof FUNCTIONS / sizeof *FUNCTIONS));
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
