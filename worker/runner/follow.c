/* Output and end of an attempt: what its monitor writes becomes numbered chunks on the logs'
 * connection, the first at once, later ones every 200 ms or 64 KiB; then the end is read, the rest is
 * stored, the log closed, and only then the verdict goes to settle.c. What comes behind a full head while
 * the job runs is shipped as far as a rate allows, for those who look on (live.c says what). */
#include "worker/runner/inside.h"

#include "base/clock.h"
#include "base/fault_point.h"
#include "base/log.h"
#include "store/log_live.h"
#include "worker/launcher/launch_request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FLUSH_US = 200000, RETRY_US = 700000 };

/* One trip to the logs for one job: begin, a chunk, close, as far as each is due. */
struct log_work {
	struct store_work w;
	struct job *job;
	struct id project, task;
	int64_t attempt, day;
	bool ask, begin, close;
	bool learn;            /* what is to be masked, for an adopted job */
	struct id code;
	const char *key_file;
	struct output_mask *mask;
	bool none;             /* asked: no log has begun */
	bool elsewhere;        /* the log stands at `head`, not behind our chunk */
	bool is_live;          /* the chunk is of the newest output */
	int64_t forget;        /* of that, what begins before this byte goes */
	struct spool_batch batch;
	struct log_chunk chunk;
	struct log_head head;
};

static void ship(struct job *j);

/* --- in the store thread ------------------------------------------------------------------------- */

/* Refused may mean stored already: by us, when the answer was lost, or by the runner before, whose
 * last statement came through after we had asked where the log stands; then it ends elsewhere. */
static enum err append(struct log_work *l, struct db *logs)
{
	const struct log_chunk *c = &l->chunk;
	enum err e;

	FAULT_POINT("ship", "before_commit");
	e = log_store_append(logs, &l->w.cx, &l->task, l->attempt, l->day, c, &l->head);
	FAULT_POINT("ship", "after_commit");
	if (e != ERR_CONFLICT || l->head.next <= c->number)
		return e;
	l->elsewhere = l->head.next != c->number + 1 || l->head.bytes != c->first_byte + (int64_t)c->plain.n;
	l->close = l->close && !l->elsewhere;
	return OK;
}

/* As above. */
static enum err append_live(struct log_work *l, struct db *logs)
{
	const struct log_chunk *c = &l->chunk;
	enum err e;

	e = log_live_append(logs, &l->w.cx, &l->task, l->attempt, l->day, c, &l->head);
	if (e == ERR_CONFLICT && !l->head.closed) {
		l->elsewhere = l->head.live != c->first_byte + (int64_t)c->plain.n;
		e = OK;
	}
	return e == OK && l->forget > 0 ? log_live_forget(logs, &l->w.cx, &l->task, l->attempt, l->forget) : e;
}

static enum err log_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct log_work *l = (struct log_work *)w;

	if (l->learn && !l->mask)
		TRY(secrets_read(tasks, &w->cx, l->key_file, &l->project, &l->code, &l->mask));
	if (l->ask) {
		enum err e = log_store_head(logs, &w->cx, &l->task, l->attempt, &l->head);

		l->none = e == ERR_NOT_FOUND;
		return l->none ? OK : e;
	}
	if (l->begin)
		TRY(log_store_begin(logs, &w->cx, &l->project, &l->task, l->attempt, l->day));
	if (l->chunk.plain.n)
		TRY(l->is_live ? append_live(l, logs) : append(l, logs));
	if (!l->close)
		return OK;
	if (l->forget > 0)
		TRY(log_live_forget(logs, &w->cx, &l->task, l->attempt, l->forget));
	FAULT_POINT("close_log", "before_commit");
	TRY(log_store_close(logs, &w->cx, &l->task, l->attempt));
	FAULT_POINT("close_log", "after_commit");
	return OK;
}

/* --- in the loop ----------------------------------------------------------------------------------- */

static void log_free(struct log_work *l)
{
	spool_batch_free(&l->batch);
	output_mask_free(l->mask);
	store_work_free(&l->w);
}

void follow_forget(struct job *j)
{
	if (j->log)
		log_free(j->log);
	j->log = NULL;
}

static void log_done(void *arg, struct store_work *w);

static void log_send(struct job *j)
{
	const unsigned char *b = j->key.task.b;

	store_pool_add(j->runner->store, STORE_LOG, (uint32_t)(b[8] << 16 | b[9] << 8 | b[10]), &j->log->w);
}

static void on_retry(void *arg)
{
	struct job *j = arg;

	if (!j->log)
		return;
	ctx_reset(&j->log->w.cx);
	log_send(j);
}

static struct log_work *log_new(struct job *j)
{
	struct log_work *l = store_work_new(sizeof *l);

	l->w.run = log_run;
	l->w.done = log_done;
	l->job = j;
	l->project = j->claim.project_id;
	l->task = j->key.task;
	l->attempt = j->key.attempt;
	l->day = j->day;
	return l;
}

static void tell_verdict(struct job *j)
{
	const struct settings *set = j->runner->set;
	auto_ctx cx = { 0 };
	struct verdict_facts facts = {
		.memory_mb = j->memory_mb, .pids = set->node.pids, .timeout_s = j->timeout_s,
		.last_line = verdict_last_line(&cx.arena, str_bytes(j->spool.last, j->spool.last_n)),
		.adopted_dead = j->was_dead,
	};
	struct verdict v = verdict_of(&j->end, &facts);

	verdict_keep_output(&v, str_bytes(j->spool.last, j->spool.last_n), j->spool.last_n == SPOOL_LAST_BYTES);
	settle_end(j, &v);
}

/* Reads on from where the stored log ends. */
static void stand_at(struct job *j, const struct log_head *head)
{
	char folder[sizeof j->spool.folder];

	memcpy(folder, j->spool.folder, sizeof folder);
	spool_reader_close(&j->spool);
	spool_reader_init(&j->spool, folder);
	spool_reader_mask(&j->spool, j->mask);
	spool_reader_skip(&j->spool, head->bytes);
	if (j->has_end)
		spool_reader_end(&j->spool, &j->end);
	j->log_begun = true;
	j->log_closed = head->closed;
	j->next_chunk = head->next;
	live_stand_at(j, head->live);
}

/* Where what is shipped next begins. */
static void chunk_stored(struct job *j, const struct log_work *l)
{
	if (l->is_live && l->elsewhere)
		live_stand_at(j, l->head.live);
	else if (l->is_live)
		j->live_stored = l->chunk.first_byte + (int64_t)l->chunk.plain.n;
	else if ((l->ask && !l->none) || l->elsewhere)
		stand_at(j, &l->head);
	else if (l->chunk.plain.n)
		j->next_chunk++;
}

/* What was told is stored: on with the next. */
static void log_stored(struct job *j, struct log_work *l)
{
	if (l->learn) {
		secrets_set(j, l->mask);
		l->mask = NULL;
	}
	j->log_begun = j->log_begun || l->begin;
	j->log_closed = j->log_closed || l->close;
	chunk_stored(j, l);
	if (l->ask)
		follow_look(j);
	else if (j->stage == JOB_ENDED)
		ship(j);
	else
		follow_output(j);
}

static void log_done(void *arg, struct store_work *w)
{
	struct runner *r = arg;
	struct log_work *l = (struct log_work *)w;
	struct job *j = l->job;

	runner_tell(r, TROUBLE_LOGS, w->err == ERR_CONFLICT ? OK : w->err, w->cx.message);
	if (w->err != OK && w->err != ERR_CONFLICT && !j->is_lost) {
		loop_start(r->loop, &j->again, RETRY_US, on_retry, j); /* kept: it goes first */
		runner_look_at_end(r);
		return;
	}
	j->log = NULL;
	if (w->err == ERR_CONFLICT && !j->is_lost) {
		log_warn("log_refused", "attempt=%s why=\"%s\"", j->name, w->cx.message);
		job_lose(j);
	} else if (!j->is_lost) {
		log_stored(j, l);
	}
	if (j->is_lost)
		settle_remove(j);
	log_free(l);
	runner_look_at_end(r);
}

/* The monitor's stamps are of CLOCK_BOOTTIME; what is stored, of this node's wall clock. */
static void fill(struct job *j, struct log_work *l)
{
	struct spool_batch *b = &l->batch;
	int64_t offset = clock_wall_us() - clock_boot_us();

	for (size_t i = 0; i < b->piece_count; i++)
		b->pieces[i].at += offset;
	l->chunk = (struct log_chunk){
		.number = j->next_chunk, .first_byte = b->first_byte, .first_line = b->first_line,
		.line_count = b->line_count, .first_at = b->first_at + offset,
		.pieces = b->pieces, .piece_count = b->piece_count, .plain = buf_view(&b->plain),
	};
}

static bool is_all_read(const struct job *j)
{
	return j->spool.file == 3 || j->spool.byte >= (int64_t)j->end.bytes;
}

/* Sends the next chunk, and with the last one the close; or tells the verdict when all is stored. */
static void ship(struct job *j)
{
	struct runner *r = j->runner;
	auto_ctx cx = { 0 };
	struct log_work *l;

	if (j->log || j->is_lost || r->ending == END_HAND_OVER)
		return;
	if (j->log_closed) {
		if (j->stage == JOB_ENDED)
			tell_verdict(j);
		return;
	}
	l = log_new(j);
	if (spool_read(&j->spool, &cx, &l->batch) != OK)
		log_error("spool_unreadable", "attempt=%s why=\"%s\"", j->name, cx.message);
	l->begin = !j->log_begun;
	l->close = j->stage == JOB_ENDED && (is_all_read(j) || !l->batch.plain.n);
	if (!l->batch.plain.n && !l->close) {
		log_free(l);
		return;
	}
	l->forget = l->close && j->live_stored ? INT64_MAX : 0;
	fill(j, l);
	j->log = l;
	j->shipped_us = clock_boot_us();
	log_send(j);
}

static void ship_live(struct job *j)
{
	struct log_work *l;

	if (j->log || j->is_lost || j->runner->ending == END_HAND_OVER || j->stage != JOB_FOLLOWED)
		return;
	l = log_new(j);
	if (!live_read(j, &l->batch, &l->forget)) {
		log_free(l);
		return;
	}
	l->is_live = true;
	l->begin = !j->log_begun;
	fill(j, l);
	j->log = l;
	log_send(j);
}

static void on_flush(void *arg)
{
	struct job *j = arg;

	if (spool_waiting(&j->spool))
		ship(j);
	else
		ship_live(j);
}

void follow_output(struct job *j)
{
	int64_t waiting, now = clock_boot_us(), due;

	if (j->stage != JOB_FOLLOWED || j->log || j->is_lost || loop_is_waiting(&j->flush))
		return;
	waiting = spool_waiting(&j->spool);
	if (!waiting && !live_is_due(j))
		return;
	due = !waiting ? j->live_due_us : waiting >= SPOOL_CHUNK_BYTES ? now : j->shipped_us + FLUSH_US;
	if (due > now)
		loop_start(j->runner->loop, &j->flush, due - now, on_flush, j);
	else if (waiting)
		ship(j);
	else
		ship_live(j);
}

/* --- start and end --------------------------------------------------------------------------------- */

void follow_started(struct job *j, int64_t started_us)
{
	if (j->started_us || j->is_lost)
		return;
	j->started_us = started_us;
	launch_over(j);
	fault_over(j->runner);
	if (j->start == START_UNKNOWN)
		settle_start(j);
	launch_next(j->runner);
}

static ssize_t read_file(const struct job *j, const char *name, char *out, size_t room)
{
	char path[96];
	int fd;
	ssize_t n;

	snprintf(path, sizeof path, "%s/%s", j->spool.folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	n = read(fd, out, room - 1);
	close(fd);
	if (n >= 0)
		out[n] = '\0';
	return n;
}

static void look_at_start(struct job *j)
{
	char text[40];
	int64_t us;

	if (j->started_us || read_file(j, "started", text, sizeof text) <= 0)
		return;
	if (str_int(str_trim(str_of(text)), &us) && us > 0)
		follow_started(j, us);
}

static void ended(struct job *j, const struct exit_file *end)
{
	j->end = *end;
	j->has_end = true;
	if (end->verdict == EXIT_LAUNCH_FAILED && job_is_of_daemon(j))
		image_mistrust(j, end->message);
	else if (end->verdict == EXIT_LAUNCH_FAILED && end->node_fault)
		j->end.node_fault = fault_note(j, end->message);
	loop_stop(j->runner->loop, &j->flush);
	live_end(j);
	launch_over(j);
	if (j->end.started_us)
		follow_started(j, (int64_t)j->end.started_us);
	if (j->stage == JOB_FOLLOWED || j->stage == JOB_LAUNCHING)
		j->stage = JOB_ENDED;
	spool_reader_end(&j->spool, &j->end);
	ship(j);
	launch_next(j->runner);
}

void follow_end(struct job *j)
{
	char text[EXIT_FILE_MAX + 1];
	struct exit_file end;
	ssize_t n;

	if (j->has_end || j->is_lost || j->stage != JOB_FOLLOWED || (j->log && j->log->ask))
		return;
	n = read_file(j, "exit", text, sizeof text);
	if (n > 0 && exit_file_parse(text, (size_t)n, &end))
		ended(j, &end);
}

/* --- monitors ---------------------------------------------------------------------------------------- */

static void sweep(struct runner *r)
{
	if (r->sweeping) {
		r->sweep_again = true;
		return;
	}
	r->sweeping = true;
	r->sweep_again = false;
	r->engine->sweep(r->host);
}

static void gone(struct job *j)
{
	j->monitor_gone = true;
	j->was_dead = j->was_dead || j->stage == JOB_FOUND;
	follow_end(j);
	if (j->is_lost || j->stage == JOB_SETTLED)
		settle_remove(j);
	else if (!j->has_end && j->stage == JOB_FOLLOWED)
		sweep(j->runner); /* it was killed: the launcher ends what it left, and says so */
}

static void on_gone(void *arg, uint32_t events)
{
	struct job *j = arg;

	(void)events;
	loop_remove(j->runner->loop, j->monitor_watch);
	j->monitor_watch = NULL;
	close(j->monitor_fd);
	j->monitor_fd = -1;
	gone(j);
}

void follow_monitor(struct job *j, int pid)
{
	j->monitor_watch = loop_process(j->runner->loop, pid, on_gone, j, &j->monitor_fd);
	if (j->monitor_watch)
		return;
	if (errno != ESRCH)
		log_error("monitor_unwatched", "attempt=%s why=\"%s\"", j->name, strerror(errno));
	gone(j);
}

/* A launcher whose runner was killed still does what it was asked before: a monitor may have come after
 * we had looked for it. Then it lives, nothing was swept, and its end is still to come. */
static bool has_come(struct job *j)
{
	int pid = monitor_pid(j);

	if (!pid)
		return false;
	log_info("monitor_came", "attempt=%s", j->name);
	j->monitor_gone = false;
	j->was_dead = false;
	follow_monitor(j, pid);
	return true;
}

void follow_without_folder(struct job *j)
{
	struct verdict v = verdict_make(TASK_QUEUED, CAUSE_NODE_LOST, STR_LIT("its node lost its folder"));

	v.suspect = j->start != START_UNKNOWN;
	launch_over(j);
	j->monitor_gone = true;
	settle_end(j, &v);
}

/* Nothing was swept: it has come meanwhile; or the launcher before could not start it and removed its folder. */
static void look_again(struct job *j)
{
	if (has_come(j))
		return;
	if (access(j->spool.folder, F_OK) == 0 || errno != ENOENT) {
		log_warn("end_unknown", "attempt=%s why=\"no exit file after a sweep\"", j->name);
		return;
	}
	log_warn("folder_lost", "attempt=%s", j->name);
	follow_without_folder(j);
}

void follow_swept(struct runner *r)
{
	struct job *next;

	r->sweeping = false;
	for (struct job *j = r->jobs; j; j = next) {
		next = j->next;
		if (j->stage != JOB_FOLLOWED || !j->monitor_gone)
			continue;
		follow_end(j);
		if (!j->has_end && !j->is_lost && !r->sweep_again)
			look_again(j);
	}
	if (r->sweep_again)
		sweep(r);
}

void follow_look(struct job *j)
{
	if (j->stage != JOB_FOLLOWED || j->is_lost || (j->log && j->log->ask))
		return;
	look_at_start(j);
	follow_end(j);
	if (j->stage != JOB_FOLLOWED)
		return;
	if (j->monitor_gone)
		sweep(j->runner);
	else
		follow_output(j);
}

void follow_adopted(struct job *j)
{
	j->stage = JOB_FOLLOWED;
	j->log = log_new(j);
	j->log->ask = true;
	j->log->learn = j->claim.has_secrets && !j->mask;
	j->log->code = j->claim.code_id;
	j->log->key_file = j->runner->set->secrets.key_file;
	log_send(j);
}
