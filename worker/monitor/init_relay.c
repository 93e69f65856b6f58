/* stoker-init in a container of a swarm, where nobody is at the other end of a link: it watches the job's time
 * itself, and tells all that happens by its standard output, of which the service log keeps every byte. So it sends
 * no more than the beginning and the end of the job's output, which are what is kept elsewhere, too. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "worker/launcher/launch_request.h"
#include "worker/monitor/cgroup.h"
#include "worker/monitor/init_files.h"
#include "worker/monitor/init_job.h"
#include "worker/monitor/init_orders.h"
#include "worker/monitor/init_ring.h"
#include "worker/monitor/swarm_frame.h"

enum { SEND_ROOM = 4 * SWARM_LINE_MAX, DRAIN_MS = 2000, OWN_END_MS = 10000, KILL_AGAIN_MS = 100 };
/* Small writes gather in their pipe for so long: else numbers and frames would be most of what is sent and kept. */
enum { SMALL = 2048, GATHER_MS = 20 };

struct relay {
	struct init_orders orders;
	const uint8_t *rest; /* behind the orders */
	struct job job;
	struct ring ring;
	int signals, pipes[2]; /* -1 once ended */
	uint64_t gather_ms[2]; /* not read before */
	uint64_t seq, passed;  /* bytes of output that have gone out as they came */
	char send[SEND_ROOM];  /* for the log, if that is slower than we */
	size_t send_n;
	uint64_t kill_ms, end_ms, drain_ms; /* by CLOCK_BOOTTIME; 0 = never */
	bool was_told;         /* TERM from outside */
	bool has_ended;
	int status;
	struct swarm_frame frame;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* --- to the log ------------------------------------------------------------------------------------------ */

static void flush_some(struct relay *r)
{
	ssize_t n = r->send_n ? write(STDOUT_FILENO, r->send, r->send_n) : 0;

	if (n > 0) {
		r->send_n -= (size_t)n;
		memmove(r->send, r->send + n, r->send_n);
	}
}

static bool has_room(const struct relay *r)
{
	return sizeof r->send - r->send_n >= SWARM_LINE_MAX;
}

static void wait_for_room(struct relay *r)
{
	struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

	while (!has_room(r)) {
		poll(&p, 1, -1);
		flush_some(r);
	}
}

/* r->frame, of whose fields the caller has set n, length and data. */
static void tell(struct relay *r, enum swarm_frame_type type)
{
	wait_for_room(r);
	r->frame.seq = ++r->seq;
	r->frame.type = (char)type;
	r->send_n += swarm_frame_format(&r->frame, r->send + r->send_n);
	memset(r->frame.n, 0, sizeof r->frame.n);
	r->frame.length = 0;
	flush_some(r);
}

static void tell_counts(struct relay *r)
{
	struct cgroup_counts c;

	cgroup_read("", access(CGROUP_ROOT "/cgroup.controllers", F_OK) == 0, &c);
	memcpy(r->frame.n, (uint64_t[]){ c.oom_kills, c.pids_hits, c.memory_peak, c.cpu_us }, sizeof r->frame.n);
	tell(r, SWARM_COUNTS);
}

static _Noreturn void end(struct relay *r)
{
	struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

	tell(r, SWARM_END);
	while (r->send_n && poll(&p, 1, -1) >= 0)
		flush_some(r);
	_exit(0);
}

static _Noreturn void give_up(struct relay *r, enum init_step step, int err, const char *what)
{
	r->frame.n[0] = (uint64_t)err;
	r->frame.n[1] = step;
	r->frame.length = what ? (uint32_t)strlen(what) : 0;
	memcpy(r->frame.data, what ? what : "", r->frame.length);
	tell(r, SWARM_FAILED);
	tell_counts(r);
	end(r);
}

/* --- the job's output ------------------------------------------------------------------------------------- */

static void take_output(struct relay *r, int stream, const uint8_t *p, size_t n)
{
	uint64_t left = r->orders.head_max - r->passed;
	size_t live = n < left ? n : (size_t)left;

	if (live) {
		r->frame.n[0] = (uint64_t)stream + 1;
		r->frame.length = (uint32_t)live;
		memcpy(r->frame.data, p, live);
		r->passed += live;
		tell(r, SWARM_OUTPUT);
	}
	ring_put(&r->ring, (uint8_t)(stream + 1), p + live, n - live);
}

/* One block; false if there is nothing now. */
static bool drain(struct relay *r, int stream)
{
	uint8_t block[SWARM_DATA_MAX];
	ssize_t n = read(r->pipes[stream], block, sizeof block);

	if (n > 0) {
		take_output(r, stream, block, (size_t)n);
		r->gather_ms[stream] = n < SMALL ? now_ms() + GATHER_MS : 0;
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close(r->pipes[stream]);
		r->pipes[stream] = -1;
	}
	return false;
}

static void tell_tail(struct relay *r)
{
	uint8_t stream;
	size_t n;

	if (r->ring.dropped_bytes) {
		r->frame.n[0] = r->ring.dropped_bytes;
		r->frame.n[1] = r->ring.dropped_lines;
		tell(r, SWARM_SKIPPED);
	}
	while ((n = ring_take(&r->ring, &stream, r->frame.data))) {
		r->frame.n[0] = stream;
		r->frame.length = (uint32_t)n;
		tell(r, SWARM_OUTPUT);
	}
}

/* --- life --------------------------------------------------------------------------------------------------- */

static void send_term(struct relay *r)
{
	if (r->was_told)
		return;
	r->was_told = true;
	r->kill_ms = now_ms() + r->orders.grace_ms;
	kill(-1, SIGTERM);
	kill(-1, SIGCONT); /* a stopped process must hear it too */
}

static void reap(struct relay *r)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == r->job.pid) {
			r->has_ended = true;
			r->status = status;
			r->kill_ms = now_ms(); /* what it left */
			r->drain_ms = now_ms() + DRAIN_MS;
		}
	if (pid < 0 && errno == ECHILD && r->has_ended)
		r->kill_ms = 0;
}

static void hear_signals(struct relay *r)
{
	struct signalfd_siginfo info;

	while (read(r->signals, &info, sizeof info) == (ssize_t)sizeof info) {
		bool from_outside = info.ssi_pid == 0; /* the job, too, may send signals to us */

		if (info.ssi_signo == SIGTERM && from_outside)
			send_term(r);
		else if (info.ssi_signo == SIGUSR1 && from_outside)
			r->kill_ms = now_ms();
	}
	reap(r);
}

static int wait_ms(const struct relay *r, uint64_t now)
{
	const uint64_t times[] = { r->kill_ms, r->has_ended ? 0 : r->end_ms, r->drain_ms,
		                   r->gather_ms[0] > now ? r->gather_ms[0] : 0, r->gather_ms[1] > now ? r->gather_ms[1] : 0 };
	uint64_t next = now + 60000;

	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
		if (times[i] && times[i] < next)
			next = times[i];
	return next <= now ? 0 : (int)(next - now);
}

/* Not even a manager that is out of reach lets a job live much longer than it may. */
static void enforce(struct relay *r)
{
	uint64_t now = now_ms();

	if (!r->has_ended && now >= r->end_ms && !r->kill_ms)
		r->kill_ms = now;
	if (r->kill_ms && now >= r->kill_ms) {
		kill(-1, SIGKILL);
		r->kill_ms = now + KILL_AGAIN_MS;
	}
}

static int readable(const struct relay *r, int stream)
{
	return has_room(r) && (r->has_ended || now_ms() >= r->gather_ms[stream]) ? r->pipes[stream] : -1;
}

static void turn(struct relay *r)
{
	struct pollfd p[4] = { { .fd = r->signals, .events = POLLIN },
		               { .fd = readable(r, 0), .events = POLLIN },
		               { .fd = readable(r, 1), .events = POLLIN },
		               { .fd = r->send_n ? STDOUT_FILENO : -1, .events = POLLOUT } };

	if (poll(p, 4, wait_ms(r, now_ms())) < 0)
		return;
	for (int i = 0; i < 2; i++)
		if (p[1 + i].revents && has_room(r))
			drain(r, i);
	if (p[3].revents)
		flush_some(r);
	if (p[0].revents)
		hear_signals(r);
	enforce(r);
}

static bool is_over(const struct relay *r)
{
	return r->has_ended && !r->kill_ms && ((r->pipes[0] < 0 && r->pipes[1] < 0) || now_ms() >= r->drain_ms);
}

/* --- begin ----------------------------------------------------------------------------------------------------- */

static int memfd_of(const uint8_t *p, size_t n)
{
	int fd = memfd_create("stoker", MFD_CLOEXEC);

	while (fd >= 0 && n) {
		ssize_t put = write(fd, p, n);

		if (put <= 0)
			return -1;
		p += put;
		n -= (size_t)put;
	}
	return fd;
}

static void copy_files(struct relay *r)
{
	const struct init_orders *o = &r->orders;
	const uint8_t *payload = r->rest + o->spec_bytes;
	uint32_t with = (o->has_payload ? INIT_WITH_PAYLOAD : 0) | (o->has_config ? INIT_WITH_CONFIG : 0);
	int fds[2], n = 0, err;

	if (o->has_payload)
		fds[n++] = memfd_of(payload, o->payload_bytes);
	if (o->has_config)
		fds[n++] = memfd_of(payload + o->payload_bytes, o->config_bytes);
	err = init_copy_files(with, fds);
	if (err)
		give_up(r, INIT_STEP_TASK, err, NULL);
}

static bool open_channels(struct relay *r)
{
	bool is_merged = r->orders.flags & LAUNCH_MERGED_OUTPUT;
	int out[2], err[2] = { -1, -1 };

	if (pipe2(out, O_CLOEXEC) || fcntl(out[0], F_SETFL, O_NONBLOCK) || fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK))
		return false;
	if (is_merged ? (err[1] = fcntl(out[1], F_DUPFD_CLOEXEC, 0)) < 0 : pipe2(err, O_CLOEXEC) || fcntl(err[0], F_SETFL, O_NONBLOCK))
		return false;
	r->pipes[0] = out[0];
	r->pipes[1] = err[0];
	r->job.output[0] = out[1];
	r->job.output[1] = err[1];
	return ring_open(&r->ring, (size_t)r->orders.tail_max);
}

static void watch_signals(struct relay *r)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void begin(struct relay *r)
{
	struct init_failure failed;
	sigset_t none;

	copy_files(r);
	failed = job_read_spec(&r->job, r->orders.argc, r->orders.envc, (char *)r->rest, r->orders.spec_bytes);
	sigemptyset(&none);
	if (!failed.step)
		failed = job_start(&r->job, &none);
	if (failed.step)
		give_up(r, failed.step, failed.err, NULL);
	r->end_ms = now_ms() + r->orders.timeout_ms + r->orders.grace_ms + OWN_END_MS;
	tell(r, SWARM_BEGUN);
}

_Noreturn void init_by_orders(void)
{
	struct relay *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const char *what;
	int err;

	if (r == MAP_FAILED)
		_exit(125);
	prctl(PR_SET_DUMPABLE, 0);
	watch_signals(r);
	err = init_take_orders(&r->orders, &r->rest, &what);
	if (err)
		give_up(r, INIT_STEP_ORDERS, err, what);
	if (r->signals < 0 || !open_channels(r))
		give_up(r, INIT_STEP_ORDERS, errno, "open its channels");
	begin(r);
	while (!is_over(r))
		turn(r);
	tell_tail(r);
	tell_counts(r);
	r->frame.n[0] = (uint64_t)(uint32_t)r->status;
	r->frame.n[1] = r->was_told;
	tell(r, SWARM_STATUS);
	end(r);
}
