/* stoker-monitor: one beside each container. It makes the sandbox, has the runtime start stoker-init
 * in it, keeps the job's output apart and bounded, watches time, lease and orders, and tells the end
 * in a file. It outlives runner and launcher; when it dies itself, the container dies with it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault_point.h"
#include "worker/monitor/cgroup.h"
#include "worker/monitor/monitor.h"
#include "worker/monitor/network.h"

enum { KILL_AGAIN_US = 200000, CLEAN_MS = 5000, EXIT_RETRY_MS = 1000 };

uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

bool monitor_tell(const struct monitor *m, enum monitor_event_type type)
{
	struct monitor_event e = { .magic = MONITOR_EVENT_MAGIC, .type = (uint8_t)type,
		                   .attempt = m->setup.request.attempt, .boottime_us = now_us(),
		                   .head_bytes = m->spool.head_size };
	/* by way of the folder's descriptor: its own path may be longer than an address can be */
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool told;

	if (fd < 0)
		return true;
	snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/runner.sock", MONITOR_FD_NODE);
	memcpy(e.task, m->setup.request.task, sizeof e.task);
	told = sendto(fd, &e, sizeof e, MSG_NOSIGNAL, (struct sockaddr *)&a, sizeof a) >= 0 ||
	       errno != EAGAIN;
	close(fd);
	return told;
}

/* The launcher may begin another launch. */
static void end_starting(struct monitor *m)
{
	if (m->starting)
		close(MONITOR_FD_STARTING);
	m->starting = false;
}

static void send_term(const struct monitor *m)
{
	struct init_link term = { .type = INIT_TERM };

	if (m->is_swarm)
		swarm_tell(m, SWARM_TERM);
	else if (m->link >= 0)
		send(m->link, &term, sizeof term, MSG_NOSIGNAL);
}

/* The first reason counts; a later one can only make it quicker. */
static void begin_end(struct monitor *m, enum exit_verdict why, bool at_once)
{
	uint64_t now = now_us();
	uint64_t when = now;

	if (m->has_status || m->init == -1)
		return; /* it has ended by itself */
	if (m->started_us && !at_once) {
		when += m->setup.request.grace_ms * 1000ull;
		if (!m->ending)
			send_term(m);
	}
	if (!m->kill_us || when < m->kill_us)
		m->kill_us = when;
	if (!m->ending)
		m->why = why;
	m->ending = true;
}

static void kill_all(struct monitor *m)
{
	if (m->runtime > 0)
		kill(m->runtime, SIGKILL);
	if (m->is_swarm) {
		swarm_kill(m);
		return;
	}
	if (m->is_remote) {
		docker_kill(m);
	} else {
		if (m->init > 0)
			kill(m->init, SIGKILL);
		cgroup_kill(m->setup.cgroup, m->setup.cgroup_v2);
	}
	m->kill_us = now_us() + KILL_AGAIN_US;
}

/* Without a lease that can be read there is none: whoever cannot tell must not run. */
static bool lease_is_past(uint64_t now)
{
	uint64_t deadline;

	return pread(MONITOR_FD_LEASE, &deadline, sizeof deadline, 0) != (ssize_t)sizeof deadline ||
	       le64toh(deadline) <= now;
}

/* Of what is behind the head the runner takes only so much. */
static uint64_t output_due_us(const struct monitor *m)
{
	bool is_tail = m->spool.bytes > m->spool.head && !m->start_due;

	return m->told_us + (is_tail ? MONITOR_TAIL_MS : MONITOR_OUTPUT_MS) * 1000u;
}

static void tell_output(struct monitor *m, uint64_t now)
{
	if (now < output_due_us(m))
		return;
	if (m->start_due) {
		m->start_due = !monitor_tell(m, MONITOR_STARTED);
		m->told_us = now;
	}
	if (m->spool.bytes != m->told_bytes) {
		if (monitor_tell(m, MONITOR_OUTPUT))
			m->told_bytes = m->spool.bytes;
		m->told_us = now;
	}
}

/* Nothing of the container runs any more, or ever will. */
static void end_childless(struct monitor *m)
{
	m->childless = true;
	m->drain_us = now_us() + MONITOR_DRAIN_MS * 1000u;
	for (int i = 0; i < 2; i++)
		if (m->far[i] >= 0) {
			close(m->far[i]);
			m->far[i] = -1;
		}
}

/* A daemon's container is nobody's child: its init is gone, or it never came to be. */
static void look_at_remote(struct monitor *m)
{
	docker_watch(m);
	if (m->runtime > 0 && m->init == -1)
		kill(m->runtime, SIGKILL); /* the container has been, however long the daemon takes to say that it started it */
	if (m->runtime)
		return;
	if (m->engine_answered && m->init == 0 && !m->failure[0])
		snprintf(m->failure, sizeof m->failure, "the container ended before stoker-init could say a word");
	if (m->init == -1 || (m->init == 0 && (m->runtime_status || m->failure[0] || m->kill_us)))
		end_childless(m);
}

static void enforce(struct monitor *m)
{
	uint64_t now = now_us();

	tell_output(m, now);
	if (m->is_remote && !m->childless)
		look_at_remote(m);
	if (m->childless)
		return;
	if (lease_is_past(now))
		begin_end(m, EXIT_FENCED, true);
	if (m->started_us && !m->ending && now >= m->started_us + m->setup.request.timeout_ms * 1000u)
		begin_end(m, EXIT_TIMEOUT, false);
	if (m->runtime > 0 && now >= m->launch_us)
		kill(m->runtime, SIGKILL);
	if (!m->ready && now >= m->launch_us && !m->failure[0]) {
		snprintf(m->failure, sizeof m->failure, "the runtime did not start the container in %d s",
		         MONITOR_START_TIMEOUT_MS / 1000);
		m->node_fault = true; /* so slow is only a host that can no more */
		m->kill_us = now;
	}
	if (m->kill_us && now >= m->kill_us)
		kill_all(m);
}

/* Before the job begins, what comes through its pipes are words of the runtime. */
static void keep_words(struct monitor *m, const uint8_t *p, size_t n)
{
	size_t room = sizeof m->words;

	if (n >= room) {
		p += n - room;
		n = room;
	}
	if (m->words_n + n > room) {
		size_t drop = m->words_n + n - room;

		memmove(m->words, m->words + drop, m->words_n - drop);
		m->words_n -= drop;
	}
	memcpy(m->words + m->words_n, p, n);
	m->words_n += n;
}

/* How soon the pipes are worth reading again, after `n` bytes. */
static void gather(struct monitor *m, ssize_t n)
{
	m->frames_left += n / MONITOR_FRAMES_PART - (int64_t)SPOOL_FRAME_BYTES;
	if (m->frames_left > MONITOR_FRAMES_MOST)
		m->frames_left = MONITOR_FRAMES_MOST;
	if (m->frames_left >= 0) {
		m->gather_us = 0;
		return;
	}
	m->frames_left = 0;
	m->gather_us = m->gather_us ? 2 * m->gather_us : MONITOR_GATHER_LEAST_US;
	if (m->gather_us > MONITOR_GATHER_MOST_US)
		m->gather_us = MONITOR_GATHER_MOST_US;
	m->gather_until_us = now_us() + m->gather_us;
}

/* One block of stream 0 or 1; false if there is nothing now. */
static bool drain(struct monitor *m, int stream)
{
	ssize_t n = read(m->pipes[stream], m->buffer.data, sizeof m->buffer.data);

	if (n < 0)
		return false;
	if (n == 0) {
		close(m->pipes[stream]);
		m->pipes[stream] = -1;
		return false;
	}
	m->rate_bytes += (size_t)n;
	gather(m, n);
	if (m->started_us)
		spool_put(&m->spool, stream ? SPOOL_STREAM_ERR : SPOOL_STREAM_OUT, m->buffer.data, (size_t)n,
		          now_us());
	else
		keep_words(m, m->buffer.data, (size_t)n);
	return true;
}

/* The sandbox stands: what is left takes the group of the job's files, the runner's socket, and KILL.
 * Without the call all goes on as before, only with more rights. */
static void drop_rights(const struct monitor *m)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const uint32_t kept = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_KILL;
	const struct __user_cap_data_struct data[2] = { { .effective = kept, .permitted = kept } };

	if (m->runtime == 0 && m->ready)
		syscall(SYS_capset, &header, data);
}

/* While nothing of the job runs yet. */
static void make_network(struct monitor *m)
{
	const char *failed;

	if (m->setup.outbound.how == MONITOR_NETWORK_NONE)
		return;
	failed = network_make(&m->setup, m->init, &m->helper);
	if (!failed)
		return;
	snprintf(m->failure, sizeof m->failure, "%s: %s", failed, strerrordesc_np(errno));
	m->node_fault = true;
	m->kill_us = now_us();
}

static void on_ready(struct monitor *m, pid_t init)
{
	m->ready = true;
	m->init = init;
	for (int i = 0; i < 2; i++) /* warnings of the runtime are not the job's output */
		while (m->pipes[i] >= 0 && drain(m, i))
			;
	if (lease_is_past(now_us()))
		begin_end(m, EXIT_FENCED, true);
	if (!m->ending)
		make_network(m);
	drop_rights(m);
	if (m->ending || m->failure[0])
		return;
	if (m->setup.request.flags & LAUNCH_WAIT_FOR_GO)
		monitor_tell(m, MONITOR_CREATED);
	else
		monitor_go(m);
}

static bool hear_swarm(struct monitor *m)
{
	int type = swarm_hear(m);

	if (type == SWARM_READY && !m->ready)
		on_ready(m, m->init);
	return type != 0;
}

/* One packet of init; false if there is none now. */
static bool hear_init(struct monitor *m)
{
	struct init_link l;
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &l, sizeof l };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		            .msg_controllen = sizeof control };
	struct ucred who = { 0 };
	struct cmsghdr *c;
	ssize_t n;

	if (m->is_swarm)
		return hear_swarm(m);
	n = m->link < 0 ? -1 : recvmsg(m->link, &h, MSG_CMSG_CLOEXEC);
	if (n == 0 && m->link >= 0) {
		close(m->link);
		m->link = -1;
	}
	if (n != (ssize_t)sizeof l)
		return false;
	c = CMSG_FIRSTHDR(&h);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
		memcpy(&who, CMSG_DATA(c), sizeof who);
	if (l.type == INIT_READY && !m->ready) {
		on_ready(m, who.pid);
	} else if (l.type == INIT_STATUS) {
		m->has_status = true;
		m->status = (int)l.a;
	} else if (l.type == INIT_FAILED) {
		m->failed_errno = (int)l.a;
		m->failed_step = (int)l.b;
	}
	if (m->is_remote && l.type != INIT_READY) {
		docker_count(m); /* it waits for this */
		close(m->link);
		m->link = -1;
		return false;
	}
	return true;
}

static void reap(struct monitor *m)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(m->signals, &info, sizeof info) == (ssize_t)sizeof info)
		if (info.ssi_signo == SIGTERM)
			begin_end(m, EXIT_STOPPED, false);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		while (hear_init(m)) /* what it told before it ended */
			;
		if (pid == m->runtime) {
			m->runtime = 0;
			m->runtime_status = m->is_remote && m->ready ? 0 : status; /* there is a container, whatever the daemon says */
			drop_rights(m);
			end_starting(m);
		} else if (pid == m->init) {
			m->init = -1;
			m->init_status = status;
			if (m->helper > 0)
				kill(m->helper, SIGKILL);
		} else if (pid == m->helper) {
			m->helper = 0;
		}
	}
	if (pid < 0 && errno == ECHILD && !m->childless && !m->is_remote)
		end_childless(m);
	if (m->runtime == 0 && m->runtime_status && !m->kill_us) {
		/* it gave up; what it may have left behind is not to run */
		m->kill_us = now_us();
	}
}

static void obey(struct monitor *m)
{
	char order;

	while (recv(MONITOR_FD_CTL, &order, 1, MSG_DONTWAIT) >= 0)
		switch (order) {
		case MONITOR_CTL_GO:
			if (m->ready && !m->started_us && !m->ending)
				monitor_go(m);
			break;
		case MONITOR_CTL_CANCEL:
			begin_end(m, EXIT_CANCELLED, false);
			break;
		case MONITOR_CTL_STOP:
			begin_end(m, EXIT_STOPPED, false);
			break;
		case MONITOR_CTL_KILL:
			begin_end(m, EXIT_CANCELLED, true);
			break;
		default:
			break;
		}
}

static int wait_ms(const struct monitor *m, uint64_t now)
{
	uint64_t next = now + MONITOR_TICK_MS * 1000u;
	const uint64_t times[] = {
		m->kill_us, m->drain_us, m->ready ? 0 : m->launch_us,
		m->started_us && !m->ending ? m->started_us + m->setup.request.timeout_ms * 1000u : 0,
		m->start_due || m->spool.bytes != m->told_bytes ? output_due_us(m) : 0,
		m->rate_bytes >= MONITOR_DRAIN_RATE ? m->rate_us + 1000000u : 0,
		m->gather_until_us > now ? m->gather_until_us : 0,
	};

	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
		if (times[i] && times[i] < next)
			next = times[i];
	return next <= now ? 0 : (int)((next - now + 999) / 1000);
}

static void watch_remote(const struct monitor *m, struct pollfd p[3])
{
	p[0] = (struct pollfd){ .fd = m->listens ? MONITOR_FD_LISTEN : -1, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = m->init == -1 ? -1 : m->init_fd, .events = POLLIN };
	p[2] = (struct pollfd){ .fd = m->engine, .events = POLLIN };
}

static void hear_remote(struct monitor *m, const struct pollfd p[3])
{
	if (p[0].revents && !docker_accept(m))
		m->kill_us = now_us();
	if (p[1].revents) {
		while (hear_init(m)) /* what it told before it ended */
			;
		m->init = -1;
		m->init_status = SIGKILL; /* it would have told anything else */
	}
	if (p[2].revents)
		docker_hear(m);
}

static void turn(struct monitor *m)
{
	uint64_t now = now_us();
	bool may_drain;
	struct pollfd p[8];

	if (now - m->rate_us >= 1000000u) {
		m->rate_us = now;
		m->rate_bytes = 0;
	}
	may_drain = m->rate_bytes < MONITOR_DRAIN_RATE && (m->childless || now >= m->gather_until_us);
	p[0] = (struct pollfd){ .fd = m->signals, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = MONITOR_FD_CTL, .events = POLLIN };
	p[2] = (struct pollfd){ .fd = m->link, .events = POLLIN };
	p[3] = (struct pollfd){ .fd = may_drain ? m->pipes[0] : -1, .events = POLLIN };
	p[4] = (struct pollfd){ .fd = may_drain ? m->pipes[1] : -1, .events = POLLIN };
	watch_remote(m, p + 5);
	if (poll(p, sizeof p / sizeof p[0], wait_ms(m, now)) < 0)
		return;
	if (p[2].revents)
		hear_init(m);
	if (p[3].revents && m->pipes[0] >= 0)
		drain(m, 0);
	if (p[4].revents && m->pipes[1] >= 0)
		drain(m, 1);
	hear_remote(m, p + 5);
	if (p[0].revents)
		reap(m);
	if (p[1].revents)
		obey(m);
	enforce(m);
}

static bool is_over(const struct monitor *m)
{
	if (m->swarm_over)
		return true;
	if (!m->childless)
		return false;
	return (m->pipes[0] < 0 && m->pipes[1] < 0) || now_us() >= m->drain_us;
}

/* Told before it is cleaned up: the runner need not wait for the kernel. On a full disk this waits
 * until there is room, since an end that is not told is no end. */
static void tell_exit(struct monitor *m)
{
	struct exit_file f;
	int err;

	monitor_verdict(m, &f);
	FAULT_POINT("exit_file", "before_rename");
	while ((err = exit_file_write(MONITOR_FD_JOB, &f, m->setup.runner_gid)) && err != -ENOENT) {
		if (!m->is_remote && !m->is_swarm)
			cgroup_destroy(m->setup.cgroup, m->setup.cgroup_v2, CLEAN_MS);
		poll(NULL, 0, EXIT_RETRY_MS);
	}
	FAULT_POINT("exit_file", "after_rename");
	monitor_tell(m, MONITOR_EXIT);
}

static int watch_signals(void)
{
	sigset_t set;

	sigfillset(&set); /* none of them may end us; those nobody reads are without effect */
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static ssize_t read_all(int fd, void *p, size_t n)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = read(fd, (char *)p + got, n - got);

		if (r < 0)
			return -1;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/* The text is only needed until the runtime has its own copy. */
static bool launch(struct monitor *m)
{
	char config[MONITOR_CONFIG_MAX];
	ssize_t n = read_all(MONITOR_FD_SETUP, config, sizeof config);

	close(MONITOR_FD_SETUP);
	if (n <= 0 || n == (ssize_t)sizeof config) {
		snprintf(m->failure, sizeof m->failure, "the launcher's orders are not whole");
		return false;
	}
	return monitor_launch(m, config, (size_t)n);
}

int main(void)
{
	struct monitor m = { .link = -1, .pipes = { -1, -1 }, .starting = true, .far = { -1, -1 }, .package = -1,
		             .init_fd = -1, .engine = -1, .frames_left = MONITOR_FRAMES_MOST };

	if (close_range(MONITOR_FD_STARTING, ~0u, CLOSE_RANGE_CLOEXEC) ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1) || (m.signals = watch_signals()) < 0 ||
	    read_all(MONITOR_FD_SETUP, &m.setup, sizeof m.setup) != (ssize_t)sizeof m.setup)
		return 125;
	m.is_swarm = m.setup.request.engine == LAUNCH_ENGINE_SWARM;
	m.is_remote = m.listens = m.setup.engine[0] != '\0' && !m.is_swarm;
	spool_init(&m.spool, MONITOR_FD_JOB, m.setup.runner_gid, m.setup.request.head_max,
	           m.setup.request.tail_max);
	if (lease_is_past(now_us())) {
		m.ending = true; /* no sandbox for a job that may not run */
		m.why = EXIT_FENCED;
	} else if (launch(&m)) {
		while (!is_over(&m))
			turn(&m);
	}
	end_starting(&m);
	tell_exit(&m);
	if (m.is_swarm)
		swarm_finish(&m);
	else if (m.is_remote)
		docker_remove(&m);
	else
		cgroup_destroy(m.setup.cgroup, m.setup.cgroup_v2, CLEAN_MS);
	return 0;
}
