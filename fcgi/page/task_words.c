#include "fcgi/page/task_words.h"

#include "base/text.h"
#include "fcgi/page/words.h"
#include "model/cause.h"

enum { NOTE_BYTES = 100 };

int64_t task_words_waited(const struct task *t, int64_t now_us)
{
	int64_t until = t->started_at != TIME_NONE ? t->started_at : t->ended_at != TIME_NONE ? t->ended_at : now_us;

	return until < t->due_at ? -1 : until - t->due_at;
}

int64_t task_words_ran(const struct task *t, int64_t now_us)
{
	if (t->started_at == TIME_NONE)
		return -1;
	return (t->ended_at != TIME_NONE ? t->ended_at : now_us) - t->started_at;
}

struct str task_words_note(struct arena *a, const struct task *t, int64_t now_us)
{
	struct str note = t->note.n ? t->note : t->msg;

	if (t->state == TASK_QUEUED && t->due_at > now_us)
		return str_of(arena_printf(a, "not due until %s", words_time(a, t->due_at, now_us)));
	if (t->cancel_asked && !task_state_is_settled(t->state))
		return STR_LIT("is being cancelled");
	if (t->state == TASK_COMPLETE && !t->msg.n)
		return STR_LIT("");
	if (note.n <= NOTE_BYTES)
		return note;
	note = text_cut(note, NOTE_BYTES);
	return str_of(arena_printf(a, STR_FMT "…", STR_ARG(note)));
}

/* --- the verdict --------------------------------------------------------------------------------- */

/* The word a verdict begins with. */
static const char *verb(enum task_state s)
{
	switch (s) {
	case TASK_COMPLETE: return "Complete";
	case TASK_TIMEOUT: return "Timed out";
	case TASK_CANCELLED: return "Cancelled";
	case TASK_KILLED: return "Killed";
	case TASK_EXPIRED: return "Expired";
	case TASK_ERROR: return "Failed";
	case TASK_QUEUED: return "Waiting";
	case TASK_PREPARING: return "Preparing: its container is being made";
	default: return "Running";
	}
}

static bool ran_at_all(const struct task *t)
{
	return t->started_at != TIME_NONE && t->ended_at != TIME_NONE;
}

static char *open_headline(struct arena *a, const struct task *t, int64_t now_us)
{
	if (t->cancel_asked)
		return arena_text(a, "Being cancelled: the job was asked to end");
	if (t->state == TASK_RUNNING)
		return arena_printf(a, "Running for %s", words_duration(a, task_words_ran(t, now_us)));
	if (t->state == TASK_QUEUED && t->due_at <= now_us)
		return arena_printf(a, "Waiting for %s", words_duration(a, now_us - t->due_at));
	return arena_text(a, verb(t->state));
}

char *task_words_headline(struct arena *a, const struct task *t, int64_t now_us)
{
	char *note, *after;

	if (!task_state_is_settled(t->state))
		return open_headline(a, t, now_us);
	note = t->note.n && t->state != TASK_COMPLETE ? arena_printf(a, ": " STR_FMT, STR_ARG(t->note)) : arena_text(a, "");
	after = ran_at_all(t) ? arena_printf(a, " after %s", words_duration(a, t->ended_at - t->started_at)) : arena_text(a, "");
	return arena_printf(a, "%s%s%s", verb(t->state), after, note);
}

const char *task_words_advice(const struct task *t)
{
	static const struct {
		enum cause cause;
		const char *advice;
	} ADVICE[] = {
		{ CAUSE_OUT_OF_MEMORY, "It wanted more memory than the code allows: raise the code's memory, or let the job hold less at once." },
		{ CAUSE_TIMEOUT, "It ran longer than its timeout allows: raise the timeout of the code or the task, or cut the job up." },
		{ CAUSE_IMAGE, "The node could not get the image: check its name, and that it was imported on every node of the cluster." },
		{ CAUSE_PACKAGE, "The code's zip cannot be unpacked: upload it again." },
		{ CAUSE_NOT_EXECUTABLE, "The command is there but cannot be executed: check its mode and its #! line." },
		{ CAUSE_WRONG_PLATFORM, "The image is built for another processor than this node has: build it for several platforms." },
		{ CAUSE_NOT_FOUND, "The command is not in the image, or not on its PATH." },
		{ CAUSE_DECRYPTION, "The cluster has a key, and the payload was not encrypted for it: encrypt it with the cluster's public_key." },
		{ CAUSE_LAUNCH, "The container could not be started: `stoker admin doctor` on the node says what it misses." },
		{ CAUSE_NODE_LOST, "The node went away before the job ended." },
		{ CAUSE_MONITOR_LOST, "The program that watches the container was killed on the node, so nobody knows how the job ended." },
		{ CAUSE_POISON, "Three times its node died while it ran, so it was not tried again: it may be what takes nodes down." },
	};
	enum cause c;

	if (!cause_parse(t->cause, &c))
		return "";
	for (size_t i = 0; i < sizeof ADVICE / sizeof *ADVICE; i++)
		if (ADVICE[i].cause == c)
			return ADVICE[i].advice;
	return "";
}

/* --- why it waits --------------------------------------------------------------------------------- */

struct cluster_figures {
	int64_t live, draining, lost, slots, running;
};

static struct cluster_figures count_cluster(const struct task *t, const struct wait_facts *f)
{
	struct cluster_figures c = { 0 };

	for (size_t i = 0; i < f->node_count; i++) {
		const struct node *n = &f->nodes[i];

		if (!str_equal(n->cluster_name, t->cluster_name) || str_is(n->state, "gone"))
			continue;
		if (n->lease_until < f->now_us) {
			c.lost++;
		} else if (str_is(n->state, "draining")) {
			c.draining++;
		} else {
			c.live++;
			c.slots += n->slots;
			c.running += n->running;
		}
	}
	return c;
}

static const char *node_reason(struct arena *a, const struct task *t, const struct cluster_figures *c)
{
	if (!c->live && c->draining)
		return arena_printf(a, "every live node of cluster " STR_FMT " is draining and takes no more", STR_ARG(t->cluster_name));
	if (!c->live)
		return arena_printf(a, "no live node in cluster " STR_FMT "%s", STR_ARG(t->cluster_name),
		                    c->lost ? ": it was lost lately" : "");
	if (c->running >= c->slots)
		return arena_printf(a, "all %lld slots of %lld node%s in cluster " STR_FMT " are busy", (long long)c->slots,
		                    (long long)c->live, c->live == 1 ? "" : "s", STR_ARG(t->cluster_name));
	return NULL;
}

static void reason(struct wait_reason out[], size_t *n, const char *icon, const char *text)
{
	if (*n < WAIT_REASONS_MOST)
		out[(*n)++] = (struct wait_reason){ icon, text };
}

void task_words_waits(struct arena *a, const struct task *t, const struct wait_facts *f,
                      struct wait_reason out[WAIT_REASONS_MOST], size_t *n)
{
	struct cluster_figures c = count_cluster(t, f);
	const char *nodes = node_reason(a, t, &c);

	*n = 0;
	if (t->due_at > f->now_us)
		reason(out, n, "timeout", arena_printf(a, "not due until %s (%s)", words_time(a, t->due_at, f->now_us), words_ago(a, t->due_at, f->now_us)));
	if (f->project_paused)
		reason(out, n, "warning", "the project is paused");
	if (f->code && f->code->paused)
		reason(out, n, "warning", arena_printf(a, "code " STR_FMT " is paused", STR_ARG(f->code->name)));
	if (nodes)
		reason(out, n, "warning", nodes);
	if (f->code && f->code->max_concurrency)
		reason(out, n, "info", arena_printf(a, "of this code at most %lld run at once", (long long)f->code->max_concurrency));
	if (!*n)
		reason(out, n, "info", t->attempt ? "its last node was lost or stopped; the next attempt is about to start" :
		                                    "tasks ahead of it in the queue start first; a node takes it within about a second of its turn");
}
