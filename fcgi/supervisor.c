#include "fcgi/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fcgi/listener.h"

enum { PROCESSES_MOST = 256, RETIRED_MOST = 1024 };
static const int64_t STOP_US = 5000000, CRASH_US = 1000000, PAUSE_LEAST_US = 100000, PAUSE_MOST_US = 5000000;

struct child {
	pid_t pid; /* 0 = none */
	int64_t begun_us;
};

struct supervisor {
	struct settings *set;
	const char *path;
	struct ctx settings_cx; /* owns the texts of reread settings */
	supervisor_work *work;
	struct listener listener;
	int signals;
	struct child children[PROCESSES_MOST];
	pid_t retired[RETIRED_MOST]; /* stopped after HUP, still finishing */
	int64_t pause_us, start_at_us; /* after crashes */
	int64_t stop_by_us;     /* 0 = running */
};

/* --- children -------------------------------------------------------------------------------------- */
static void be_child(struct supervisor *s, pid_t parent)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	close(s->signals);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	exit(s->work(s->set, s->listener.fd));
}

static void start_child(struct supervisor *s, struct child *c)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0)
		be_child(s, parent);
	if (pid < 0) {
		log_error("fork", "error=\"%s\"", strerror(errno));
		s->start_at_us = clock_boot_us() + PAUSE_MOST_US;
		return;
	}
	*c = (struct child){ pid, clock_boot_us() };
}

static void start_missing(struct supervisor *s)
{
	if (s->stop_by_us || clock_boot_us() < s->start_at_us)
		return;
	for (int64_t i = 0; i < s->set->api.processes; i++)
		if (!s->children[i].pid && clock_boot_us() >= s->start_at_us)
			start_child(s, &s->children[i]);
}

static void signal_all(const struct supervisor *s, int signal)
{
	for (int i = 0; i < PROCESSES_MOST; i++)
		if (s->children[i].pid)
			kill(s->children[i].pid, signal);
	for (int i = 0; i < RETIRED_MOST; i++)
		if (s->retired[i])
			kill(s->retired[i], signal);
}

static bool any_left(const struct supervisor *s)
{
	for (int i = 0; i < PROCESSES_MOST; i++)
		if (s->children[i].pid)
			return true;
	for (int i = 0; i < RETIRED_MOST; i++)
		if (s->retired[i])
			return true;
	return false;
}

static void log_death(pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		log_error("child", "pid=%d died of signal %d", (int)pid, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		log_error("child", "pid=%d ended with %d", (int)pid, WEXITSTATUS(status));
}

/* One that dies right after its start is not started again at once. */
static void mourn(struct supervisor *s, struct child *c, int status)
{
	bool crashed = status != 0 && clock_boot_us() - c->begun_us < CRASH_US;

	c->pid = 0;
	if (!crashed) {
		s->pause_us = 0;
		return;
	}
	s->pause_us = s->pause_us ? s->pause_us * 2 : PAUSE_LEAST_US;
	if (s->pause_us > PAUSE_MOST_US)
		s->pause_us = PAUSE_MOST_US;
	s->start_at_us = clock_boot_us() + s->pause_us;
}

static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		log_death(pid, status);
		for (int i = 0; i < PROCESSES_MOST; i++)
			if (s->children[i].pid == pid)
				mourn(s, &s->children[i], status);
		for (int i = 0; i < RETIRED_MOST; i++)
			if (s->retired[i] == pid)
				s->retired[i] = 0;
	}
}

/* --- signals --------------------------------------------------------------------------------------- */
static void retire(struct supervisor *s, pid_t pid)
{
	for (int i = 0; i < RETIRED_MOST; i++)
		if (!s->retired[i]) {
			s->retired[i] = pid;
			break;
		}
	kill(pid, SIGTERM);
}

/* New ones first, so that somebody always accepts. */
static void reload(struct supervisor *s)
{
	struct child old[PROCESSES_MOST];
	struct ctx cx = { 0 };
	struct settings set;

	if (settings_read(&cx, s->path, &set)) {
		log_error("reload", "error=\"%s\" the old configuration stays", cx.message);
		ctx_release(&cx);
		return;
	}
	set.api.socket = s->set->api.socket; /* the listener stays what it is */
	*s->set = set;
	s->set->api.socket = arena_text(&cx.arena, set.api.socket);
	ctx_release(&s->settings_cx);
	s->settings_cx = cx;
	memcpy(old, s->children, sizeof old);
	memset(s->children, 0, sizeof s->children);
	s->start_at_us = 0;
	start_missing(s);
	for (int i = 0; i < PROCESSES_MOST; i++)
		if (old[i].pid)
			retire(s, old[i].pid);
	log_info("reload", "processes=%lld", (long long)s->set->api.processes);
}

static void stop(struct supervisor *s)
{
	if (s->stop_by_us)
		return;
	s->stop_by_us = clock_boot_us() + STOP_US;
	signal_all(s, SIGTERM);
}

static void take_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGHUP && !s->stop_by_us)
			reload(s);
		else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			stop(s);
	}
}

static enum err open_signals(struct supervisor *s, struct ctx *cx)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	s->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? err_errno(cx, "signalfd") : OK;
}

/* Until a signal, or until a pause or the patience with the last ones is over. */
static void wait_for_event(const struct supervisor *s)
{
	struct pollfd p = { s->signals, POLLIN, 0 };
	int64_t now = clock_boot_us(), until = s->stop_by_us ? s->stop_by_us : s->start_at_us;

	poll(&p, 1, until > now ? (int)((until - now) / 1000) + 1 : s->stop_by_us ? 0 : -1);
}

static void supervise(struct supervisor *s)
{
	for (;;) {
		reap(s);
		start_missing(s);
		if (s->stop_by_us && !any_left(s))
			return;
		if (s->stop_by_us && clock_boot_us() >= s->stop_by_us) {
			log_error("stop", "children did not end in time and are killed");
			signal_all(s, SIGKILL);
			s->stop_by_us += STOP_US;
		}
		wait_for_event(s);
		take_signals(s);
	}
}

int supervisor_run(struct ctx *cx, const char *path, struct settings *set, supervisor_work *work)
{
	struct supervisor *s = arena_take(&cx->arena, sizeof *s);

	*s = (struct supervisor){ .set = set, .path = path, .work = work };
	if (open_signals(s, cx) ||
	    listener_open(cx, "api.socket", s->set->api.socket, s->set->api.backlog, &s->listener)) {
		log_error("start", "error=\"%s\"", cx->message);
		return 1;
	}
	log_info("listening", "socket=\"%s\" processes=%lld", set->api.socket, (long long)set->api.processes);
	supervise(s);
	listener_remove(&s->listener);
	log_info("stopped", "socket=\"%s\"", set->api.socket);
	ctx_release(&s->settings_cx);
	return 0;
}
