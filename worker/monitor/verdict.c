#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/monitor/cgroup.h"
#include "worker/monitor/monitor.h"

static void put_status(struct exit_file *f, int status)
{
	f->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	f->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	f->verdict = WIFSIGNALED(status) ? EXIT_SIGNALED : EXIT_EXITED;
}

/* The runtime has only words. Memory and processes are left out: their want may be the job's limit. */
static bool words_tell_node_fault(const char *words)
{
	static const int faults[] = { ENOSPC, EDQUOT, EMFILE, ENFILE };

	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (strstr(words, strerrordesc_np(faults[i])))
			return true;
	return false;
}

/* Somebody killed the runtime, its child or stoker-init before anything of the job began: whoever kills all of
 * a node does. Of its child crun only notices that it says no more. At the job's own memory limit it is the job's. */
static bool was_killed(const struct monitor *m, const struct exit_file *f)
{
	if (f->oom_kills)
		return false;
	if (m->is_remote)
		return WIFSIGNALED(m->runtime_status) ||
		       (WIFEXITED(m->runtime_status) && WEXITSTATUS(m->runtime_status) == DOCKER_RUN_AWAY);
	if (WIFSIGNALED(m->runtime_status) || strstr(f->message, strerrordesc_np(ECONNRESET)) ||
	    strstr(f->message, "read from the init process"))
		return true;
	return !m->runtime_status; /* it made the container, and stoker-init is gone without a word */
}

/* The last line of what the runtime said. */
static void quote_runtime(const struct monitor *m, struct exit_file *f)
{
	size_t end = m->words_n, begin;

	while (end && (m->words[end - 1] == '\n' || m->words[end - 1] == ' '))
		end--;
	for (begin = end; begin && m->words[begin - 1] != '\n'; begin--)
		;
	if (end > begin)
		snprintf(f->message, sizeof f->message, "%.*s", (int)(end - begin), m->words + begin);
	else if (f->oom_kills)
		snprintf(f->message, sizeof f->message, "the memory limit is too small to begin");
	else
		snprintf(f->message, sizeof f->message, "the runtime ended with status %d and no word",
		         WIFEXITED(m->runtime_status) ? WEXITSTATUS(m->runtime_status) : 128);
}

static const char *machine_name(int machine)
{
	static const struct {
		int machine;
		const char *name;
	} names[] = { { EM_X86_64, "amd64" }, { EM_AARCH64, "arm64" }, { EM_386, "i386" }, { EM_ARM, "arm" },
		      { EM_PPC64, "ppc64" },  { EM_S390, "s390x" },    { EM_RISCV, "riscv64" },
		      { EM_MIPS, "mips" } };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].machine == machine)
			return names[i].name;
	return "another machine";
}

static void put_not_begun(const struct monitor *m, struct exit_file *f)
{
	char name[81] = "";
	ssize_t n = pread(MONITOR_FD_SPEC, name, sizeof name - 1, 0);

	name[n > 0 ? n : 0] = '\0';
	if (m->failed_step == INIT_STEP_TASK) {
		f->verdict = EXIT_LAUNCH_FAILED;
		snprintf(f->message, sizeof f->message, "copy payload or package to " LAUNCH_TASK_DIR ": %s",
		         strerrordesc_np(m->failed_errno));
		return;
	}
	if (m->failed_step == INIT_STEP_SPEC) {
		f->verdict = EXIT_LAUNCH_FAILED;
		snprintf(f->message, sizeof f->message, "stoker-init cannot read its orders: %s",
		         strerrordesc_np(m->failed_errno));
		return;
	}
	f->verdict = EXIT_EXITED;
	if (m->failed_step == INIT_STEP_PLATFORM) {
		f->code = 126;
		f->wrong_platform = 1;
		snprintf(f->message, sizeof f->message, "run %s: it is a program for %s, and this node is not", name,
		         machine_name(m->failed_errno));
		return;
	}
	f->code = m->failed_step == INIT_STEP_EXEC && m->failed_errno == ENOENT ? 127 : 126;
	snprintf(f->message, sizeof f->message, "%s%s: %s",
	         m->failed_step == INIT_STEP_WORKDIR ? "enter the working directory of " : "run ", name,
	         strerrordesc_np(m->failed_errno));
}

static void put_end(const struct monitor *m, struct exit_file *f)
{
	if (m->failed_step) {
		put_not_begun(m, f);
	} else if (m->is_swarm && m->engine_lost && !m->ending) {
		put_status(f, SIGKILL);
		f->engine_restarted = 1;
		snprintf(f->message, sizeof f->message, "%s", m->taken[0] ? m->taken : "the swarm stopped it");
	} else if (m->has_status) {
		put_status(f, m->status);
	} else if (!m->is_swarm && m->init == -1 && WIFSIGNALED(m->init_status) && m->started_us) {
		put_status(f, m->init_status); /* all were killed, init with them */
		f->engine_restarted = m->is_remote && !m->ending && !f->oom_kills && docker_has_restarted(m);
	} else if (m->is_swarm && m->started_us) {
		f->verdict = EXIT_LOST;
		snprintf(f->message, sizeof f->message, "the process that speaks with the swarm's manager was killed");
	} else if (m->started_us) {
		f->verdict = EXIT_LOST;
		snprintf(f->message, sizeof f->message, "stoker-init ended without a word");
	} else {
		f->verdict = EXIT_LAUNCH_FAILED;
		quote_runtime(m, f);
		f->node_fault = was_killed(m, f) || words_tell_node_fault(f->message);
	}
}

void monitor_verdict(const struct monitor *m, struct exit_file *f)
{
	struct cgroup_counts counts;

	if (m->is_remote || m->is_swarm)
		counts = m->counts;
	else
		cgroup_read(m->setup.cgroup, m->setup.cgroup_v2, &counts);
	*f = (struct exit_file){ .code = -1, .started_us = m->started_us, .ended_us = now_us(),
		                 .oom_kills = counts.oom_kills, .pids_hits = counts.pids_hits,
		                 .max_rss = counts.memory_peak, .cpu_us = counts.cpu_us,
		                 .bytes = m->spool.bytes, .lines = m->spool.lines, .head = m->spool.head,
		                 .missing = spool_missing(&m->spool) };
	if (m->failure[0]) {
		f->verdict = EXIT_LAUNCH_FAILED;
		f->node_fault = m->node_fault;
		snprintf(f->message, sizeof f->message, "%s", m->failure);
	} else if (m->ending && !m->started_us) {
		f->verdict = m->why;
	} else {
		put_end(m, f);
		if (m->ending && f->verdict != EXIT_LAUNCH_FAILED)
			f->verdict = m->why;
	}
}
