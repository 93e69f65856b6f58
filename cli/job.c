#include "cli/job.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/interrupt.h"
#include "model/cause.h"
#include "model/task_state.h"

#include <stdio.h>

/* Fast while something happens, about a second at rest; an outage of the server is sat out. */
enum { POLL_MOST_MS = 1000, OUTAGE_MOST_S = 900, EXIT_INTERRUPTED = 130 };

static struct str text_of(const json_t *task, const char *name)
{
	const json_t *j = json_object_get(task, name);

	return json_is_string(j) ? str_bytes(json_string_value(j), json_string_length(j)) : STR_LIT("");
}

static enum task_state state_of(const json_t *task)
{
	enum task_state state = TASK_QUEUED;
	struct str own = text_of(task, "state");

	task_state_parse(own.n ? own : text_of(task, "status"), &state);
	return state;
}

bool job_is_over(const json_t *task)
{
	return task_state_is_settled(state_of(task));
}

static int error_status(const json_t *task)
{
	int64_t code = json_integer_value(json_object_get(task, "exit_code"));
	enum cause cause = CAUSE_EXIT;

	cause_parse(text_of(task, "cause"), &cause);
	if (cause == CAUSE_IMAGE || cause == CAUSE_PACKAGE || cause == CAUSE_DECRYPTION || cause == CAUSE_LAUNCH ||
	    cause == CAUSE_NODE_LOST || cause == CAUSE_NODE_STOPPED || cause == CAUSE_ENGINE_RESTARTED ||
	    cause == CAUSE_MONITOR_LOST || cause == CAUSE_POISON)
		return EXIT_UNDECIDED;
	if (code > 0 && code < 256)
		return (int)code;
	return cause == CAUSE_NOT_EXECUTABLE ? 126 : cause == CAUSE_NOT_FOUND ? 127 : EXIT_FAILED;
}

int job_verdict(const json_t *task)
{
	switch (state_of(task)) {
	case TASK_COMPLETE: return 0;
	case TASK_ERROR: return error_status(task);
	case TASK_TIMEOUT: return EXIT_TIMED_OUT;
	case TASK_KILLED: return str_is(text_of(task, "cause"), "monitor_lost") ? EXIT_UNDECIDED : EXIT_KILLED;
	default: return EXIT_UNDECIDED;
	}
}

char *job_sentence(struct cli *c, const json_t *task)
{
	struct str note = text_of(task, "note"), id = text_of(task, "id"), retry = text_of(task, "retry_task_id");

	return arena_printf(&c->cx.arena, "task " STR_FMT ": %s%s" STR_FMT "%s" STR_FMT, STR_ARG(id),
	                    task_state_name(state_of(task)), note.n ? ", " : "", STR_ARG(note),
	                    retry.n ? "; it is retried as task " : "", STR_ARG(retry));
}

/* After a failed call: waits and says OK when it is worth asking again. */
static enum err sit_out(struct cli *c, struct outage *o)
{
	int64_t now = clock_boot_us();
	int wait_ms = c->cx.retry_after_s ? c->cx.retry_after_s * 1000 : POLL_MOST_MS;

	if (c->cx.err != ERR_BUSY)
		return c->cx.err;
	if (!o->since) {
		o->since = now;
		cli_say(c, "%s; trying again for %d minutes", c->cx.message, OUTAGE_MOST_S / 60);
	}
	if (now - o->since > (int64_t)OUTAGE_MOST_S * 1000000)
		return err_wrap(&c->cx, "gave up after %d minutes", OUTAGE_MOST_S / 60);
	return pause_ms(wait_ms) ? OK : interrupted(&c->cx);
}

static enum err leave_running(struct cli *c, const char *id)
{
	c->exit = EXIT_INTERRUPTED;
	return err_set(&c->cx, ERR_BUSY, "interrupted; task %s goes on: stoker log -f %s follows it, stoker cancel %s ends it",
	               id, id, id);
}

enum err job_sit_out(struct cli *c, const char *id, struct outage *o)
{
	if (!interrupt_came() && sit_out(c, o) == OK)
		return OK;
	return interrupt_came() ? leave_running(c, id) : c->cx.err;
}

enum err job_pause(struct cli *c, const char *id, int *poll_ms)
{
	if (!pause_ms(*poll_ms))
		return leave_running(c, id);
	*poll_ms = *poll_ms * 3 / 2 > POLL_MOST_MS ? POLL_MOST_MS : *poll_ms * 3 / 2;
	return OK;
}

enum err job_read(struct cli *c, const struct client *to, const char *id, json_t **task)
{
	const char *path = arena_printf(&c->cx.arena, "/tasks/%s", id);
	struct outage outage = { 0 };

	while (client_get_once(c, to, path, task) != OK)
		TRY(job_sit_out(c, id, &outage));
	return OK;
}

void job_forget(struct cli *c, struct arena *kept)
{
	struct arena round = c->cx.arena;

	c->cx.arena = *kept;
	arena_release(&round);
}

static enum err wait_round(struct cli *c, const struct client *to, const char *id, json_t **task)
{
	struct arena kept = c->cx.arena;
	enum err e;

	c->cx.arena = (struct arena){ 0 };
	e = job_read(c, to, id, task);
	job_forget(c, &kept);
	return e;
}

enum err job_wait(struct cli *c, const struct client *to, const char *id, json_t **task)
{
	int poll_ms = JOB_POLL_LEAST_MS;

	interrupt_catch();
	for (;;) {
		json_t *now = NULL;

		TRY(wait_round(c, to, id, &now));
		if (job_is_over(now)) {
			*task = now;
			return OK;
		}
		json_decref(now);
		TRY(job_pause(c, id, &poll_ms));
	}
}
