#include "worker/runner/verdict.h"

#include "base/arena.h"
#include "base/text.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { LAST_LINE_BYTES = 200 };

static void note_set(struct verdict *v, struct str text)
{
	struct str cut = text_cut(text, sizeof v->note - 1);

	memcpy(v->note, cut.p ? cut.p : "", cut.n);
	v->note[cut.n] = '\0';
}

static void note_add(struct verdict *v, const char *separator, struct str text)
{
	size_t used = strlen(v->note), sep = used ? strlen(separator) : 0;
	struct str cut;

	if (!text.n || used + sep + 1 >= sizeof v->note)
		return;
	memcpy(v->note + used, separator, sep);
	used += sep;
	cut = text_cut(text, sizeof v->note - 1 - used);
	memcpy(v->note + used, cut.p, cut.n);
	v->note[used + cut.n] = '\0';
}

struct verdict verdict_make(enum task_state state, enum cause cause, struct str note)
{
	struct arena a = { 0 };
	struct verdict v = { .state = state, .cause = cause, .exit_code = -1 };

	note_set(&v, text_visible(&a, text_utf8(&a, note)));
	arena_release(&a);
	return v;
}

const char *signal_name(int number)
{
	static _Thread_local char unnamed[24];
	static const char *const NAMES[] = {
		[1] = "SIGHUP", [2] = "SIGINT", [3] = "SIGQUIT", [4] = "SIGILL", [5] = "SIGTRAP",
		[6] = "SIGABRT", [7] = "SIGBUS", [8] = "SIGFPE", [9] = "SIGKILL", [10] = "SIGUSR1",
		[11] = "SIGSEGV", [12] = "SIGUSR2", [13] = "SIGPIPE", [14] = "SIGALRM", [15] = "SIGTERM",
		[16] = "SIGSTKFLT", [17] = "SIGCHLD", [18] = "SIGCONT", [19] = "SIGSTOP", [20] = "SIGTSTP",
		[21] = "SIGTTIN", [22] = "SIGTTOU", [23] = "SIGURG", [24] = "SIGXCPU", [25] = "SIGXFSZ",
		[26] = "SIGVTALRM", [27] = "SIGPROF", [28] = "SIGWINCH", [29] = "SIGIO", [30] = "SIGPWR",
		[31] = "SIGSYS",
	};

	if (number > 0 && number < (int)(sizeof NAMES / sizeof *NAMES))
		return NAMES[number];
	snprintf(unnamed, sizeof unnamed, "signal %d", number);
	return unnamed;
}

struct str verdict_last_line(struct arena *a, struct str output)
{
	size_t end = output.n;

	while (end > 0) {
		size_t from = end;
		struct str line;

		while (from > 0 && output.p[from - 1] != '\n')
			from--;
		line = str_trim(str_bytes(output.p + from, end - from));
		if (line.n)
			return text_cut(text_visible(a, text_utf8(a, line)), LAST_LINE_BYTES);
		end = from ? from - 1 : 0;
	}
	return STR_LIT("");
}

void verdict_keep_output(struct verdict *v, struct str output, bool is_cut)
{
	struct arena a = { 0 };
	struct str first = output, rest = output, clean;

	if (is_cut && str_cut(&rest, '\n', &first) && rest.n)
		output = rest;
	clean = text_utf8(&a, output);
	if (clean.n > sizeof v->output - 1) { /* U+FFFD is longer than what it stands for */
		clean = str_bytes(clean.p + clean.n - (sizeof v->output - 1), sizeof v->output - 1);
		clean = text_utf8(&a, clean);
	}
	clean = text_cut(clean, sizeof v->output - 1);
	for (size_t i = 0; i < clean.n; i++)
		v->output[i] = clean.p[i] ? clean.p[i] : ' ';
	v->output[clean.n] = '\0';
	arena_release(&a);
}

/* --- by the exit file's verdict --------------------------------------------------------------- */

typedef void judge(struct verdict *v, const struct exit_file *end, const struct verdict_facts *f);

static void say(struct verdict *v, enum task_state state, enum cause cause, const char *note)
{
	v->state = state;
	v->cause = cause;
	note_set(v, str_of(note));
}

/* What is worth saying beside any end. */
static void add_limits(struct verdict *v, const struct exit_file *end, const struct verdict_facts *f)
{
	char text[160];

	if (end->oom_kills && v->cause != CAUSE_OUT_OF_MEMORY) {
		snprintf(text, sizeof text, "%llu of its processes killed at the memory limit of %lld MiB",
		         (unsigned long long)end->oom_kills, (long long)f->memory_mb);
		note_add(v, "; ", str_of(text));
	}
	if (end->pids_hits) {
		snprintf(text, sizeof text, "refused to fork %llu times at the limit of %lld processes",
		         (unsigned long long)end->pids_hits, (long long)f->pids);
		note_add(v, "; ", str_of(text));
	}
}

static void judge_out_of_memory(struct verdict *v, const struct verdict_facts *f)
{
	char text[96];

	snprintf(text, sizeof text, "out of memory: killed at its limit of %lld MiB", (long long)f->memory_mb);
	say(v, TASK_KILLED, CAUSE_OUT_OF_MEMORY, text);
}

static void judge_exited(struct verdict *v, const struct exit_file *end, const struct verdict_facts *f)
{
	char text[64];

	if (end->code == 0) {
		say(v, TASK_COMPLETE, CAUSE_EXIT, "");
		return;
	}
	/* a shell reports its killed child so */
	if (end->code == 128 + SIGKILL && end->oom_kills) {
		judge_out_of_memory(v, f);
		return;
	}
	snprintf(text, sizeof text, "exit status %d", end->code);
	/* 137 is killed whoever did it (IronWorker 9.5); the cause says that no limit did */
	say(v, end->code == 128 + SIGKILL ? TASK_KILLED : TASK_ERROR, CAUSE_EXIT, text);
	/* only the container's init tells a program that could not begin from one that ends with 126 */
	if (end->message[0] && (end->code == 126 || end->code == 127)) {
		v->cause = end->code == 127 ? CAUSE_NOT_FOUND :
		           end->wrong_platform ? CAUSE_WRONG_PLATFORM : CAUSE_NOT_EXECUTABLE;
		note_add(v, ": ", str_of(end->message));
		return;
	}
	note_add(v, ": ", f->last_line);
}

static void judge_signaled(struct verdict *v, const struct exit_file *end, const struct verdict_facts *f)
{
	char text[96];

	if (end->engine_restarted) {
		say(v, TASK_QUEUED, CAUSE_ENGINE_RESTARTED,
		    end->message[0] ? end->message : "its engine restarted, and killed it");
		return;
	}
	v->exit_code = 128 + end->signal; /* as a shell would say it, and the engines of others do */
	if (end->oom_kills && end->signal == SIGKILL) {
		judge_out_of_memory(v, f);
		return;
	}
	snprintf(text, sizeof text, "killed by %s", signal_name(end->signal));
	/* a crash is the job's own failure; KILL is somebody's */
	say(v, end->signal == SIGKILL ? TASK_KILLED : TASK_ERROR, CAUSE_SIGNAL, text);
	note_add(v, ": ", f->last_line);
}

static void judge_timeout(struct verdict *v, const struct exit_file *end, const struct verdict_facts *f)
{
	char text[64];

	(void)end;
	snprintf(text, sizeof text, "timed out after %lld s", (long long)f->timeout_s);
	say(v, TASK_TIMEOUT, CAUSE_TIMEOUT, text);
}

static void judge_cancelled(struct verdict *v, const struct exit_file *end, const struct verdict_facts *f)
{
	(void)end;
	(void)f;
	say(v, TASK_CANCELLED, CAUSE_CANCELLED, "cancelled");
}

static void judge_stopped(struct verdict *v, const struct exit_file *end, const struct verdict_facts *f)
{
	(void)end;
	(void)f;
	say(v, TASK_QUEUED, CAUSE_NODE_STOPPED, "node stopped");
}

static void judge_fenced(struct verdict *v, const struct exit_file *end, const struct verdict_facts *f)
{
	(void)end;
	(void)f;
	say(v, TASK_QUEUED, CAUSE_NODE_LOST, "its node could not renew its lease and ended it");
	v->suspect = true;
}

static void judge_launch_failed(struct verdict *v, const struct exit_file *end, const struct verdict_facts *f)
{
	(void)f;
	if (end->node_fault)
		say(v, TASK_QUEUED, CAUSE_NODE_LOST, "its node could not start it");
	else
		say(v, TASK_ERROR, CAUSE_LAUNCH, "could not be started");
	note_add(v, ": ", str_of(end->message));
}

static void judge_lost(struct verdict *v, const struct exit_file *end, const struct verdict_facts *f)
{
	if (f->adopted_dead) {
		say(v, TASK_QUEUED, CAUSE_NODE_LOST, "its node went down while it ran");
		v->suspect = true;
		return;
	}
	say(v, TASK_KILLED, CAUSE_MONITOR_LOST, "its monitor was killed, so its end is not known");
	note_add(v, ": ", str_of(end->message));
}

static judge *const JUDGES[EXIT_VERDICT_COUNT] = {
	[EXIT_EXITED] = judge_exited,
	[EXIT_SIGNALED] = judge_signaled,
	[EXIT_TIMEOUT] = judge_timeout,
	[EXIT_CANCELLED] = judge_cancelled,
	[EXIT_STOPPED] = judge_stopped,
	[EXIT_FENCED] = judge_fenced,
	[EXIT_LAUNCH_FAILED] = judge_launch_failed,
	[EXIT_LOST] = judge_lost,
};

struct verdict verdict_of(const struct exit_file *end, const struct verdict_facts *facts)
{
	struct verdict v = {
		.exit_code = end->code,
		.signal = end->signal,
		.oom_kills = (int64_t)end->oom_kills,
		.max_rss_bytes = (int64_t)end->max_rss,
		.cpu_us = (int64_t)end->cpu_us,
		.ran_us = end->started_us && end->ended_us > end->started_us ?
		                  (int64_t)(end->ended_us - end->started_us) : 0,
	};
	struct arena a = { 0 };

	JUDGES[end->verdict](&v, end, facts);
	add_limits(&v, end, facts);
	note_set(&v, text_visible(&a, text_utf8(&a, str_of(arena_text(&a, v.note)))));
	arena_release(&a);
	return v;
}
