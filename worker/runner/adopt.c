/* What the runner before left: folders with living or ended attempts, and claims it never launched.
 * Those that are still this session's are followed from the byte where their stored log ends; those
 * that are others' by now die (reliability.md 5.10). */
#include "worker/runner/inside.h"

#include "base/clock.h"
#include "base/log.h"
#include "worker/launcher/launch_request.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { AGAIN_US = 1000000 };

static ssize_t read_small(const char *path, void *out, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, out, room);
	close(fd);
	return n;
}

/* Field 22 of /proc/PID/stat: tells a process from a later one with its number. False for one that
 * has ended, also while nobody has taken its status yet. */
static bool start_time(int pid, unsigned long long *out)
{
	char path[40], text[1024], *p;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	n = read_small(path, text, sizeof text - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	p = strrchr(text, ')'); /* the name before it may hold anything */
	if (!p || strncmp(p, ") Z", 3) == 0 || strncmp(p, ") X", 3) == 0)
		return false;
	for (int field = 3; p && field <= 22; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return false;
	*out = strtoull(p, NULL, 10);
	return true;
}

int monitor_pid(const struct job *j)
{
	char path[96], text[64] = "";
	unsigned long long was, is;
	int pid;

	snprintf(path, sizeof path, "%s/monitor.pid", j->spool.folder);
	if (read_small(path, text, sizeof text - 1) <= 0 || sscanf(text, "%d %llu", &pid, &was) != 2 || pid < 2)
		return 0;
	return start_time(pid, &is) && is == was ? pid : 0;
}

static void find_one(struct runner *r, const char *name)
{
	uint8_t bytes[sizeof(struct launch_request)];
	struct launch_request rq;
	struct attempt_key key;
	struct job *j;
	uint32_t slot;
	char path[96];
	ssize_t n;
	int pid;

	if (!attempt_name_parse(name, &key) || job_find(r, &key))
		return;
	snprintf(path, sizeof path, "jobs/%s/request", name);
	n = read_small(path, bytes, sizeof bytes);
	if (n <= 0 || !launch_request_parse(bytes, (size_t)n, &rq))
		rq = (struct launch_request){ .slot = UINT32_MAX };
	slot = rq.slot;
	if (slot > 65535 || (slot < r->slot_count && r->slots[slot]))
		slot = (uint32_t)r->slot_count > (uint32_t)r->set->node.slots ? (uint32_t)r->slot_count :
		                                                               (uint32_t)r->set->node.slots;
	j = job_new(r, &key, slot);
	j->stage = JOB_FOUND;
	j->engine = engine_of_kind(rq.engine);
	memcpy(j->digest, rq.digest, sizeof j->digest);
	j->has_package = rq.has_package;
	memcpy(j->package, rq.package_digest, sizeof j->package);
	pid = monitor_pid(j);
	if (pid) {
		follow_monitor(j, pid);
		return;
	}
	j->was_dead = true; /* of weight only if its exit says "lost", or nothing */
	j->monitor_gone = true;
}

void adopt_find(struct runner *r)
{
	DIR *d = opendir("jobs");
	struct dirent *e;

	if (!d)
		return; /* the launcher makes it; without one there is nothing to adopt */
	while ((e = readdir(d)))
		find_one(r, e->d_name);
	closedir(d);
	if (r->slots_used)
		log_info("jobs_found", "count=%zu", r->slots_used);
}

/* --- which are ours --------------------------------------------------------------------------------- */

struct mine_work {
	struct store_work w;
	struct node_claim who;
	unsigned char session[16];
	struct claimed *got;
	size_t n;
};

static enum err mine_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct mine_work *m = (struct mine_work *)w;

	(void)logs;
	return ready_store_mine(tasks, &w->cx, &m->who, &m->got, &m->n);
}

static void adopt(struct runner *r, struct job *j, const struct claimed *c)
{
	j->claim.project_id = c->project_id;
	j->claim.grace_s = c->grace_s;
	j->claim.has_secrets = c->has_secrets;
	j->claim.project_id = c->project_id;
	j->claim.code_id = c->code_id;
	j->lane_id = c->lane_id;
	j->day = c->day;
	j->timeout_s = c->timeout_s;
	j->memory_mb = c->memory_mb ? c->memory_mb : r->set->node.memory_mb;
	j->start = c->state == TASK_RUNNING ? START_STORED : START_UNKNOWN;
	follow_adopted(j);
}

/* Claimed, but no folder: launched now, unless it had begun already (somebody removed the folder). */
static void take_up(struct runner *r, const struct claimed *c)
{
	struct attempt_key key = { .task = c->task_id, .attempt = (uint32_t)c->attempt };
	struct job *j;

	if (c->state != TASK_RUNNING && claim_take(r, c))
		return;
	j = job_new(r, &key, (uint32_t)r->slot_count);
	j->lane_id = c->lane_id;
	j->start = START_STORED;
	follow_without_folder(j);
}

void adopt_running(struct job *j)
{
	int pid = monitor_pid(j);

	if (pid)
		follow_monitor(j, pid);
	else
		j->monitor_gone = true;
	follow_adopted(j);
}

void adopt_missed(struct runner *r, const struct claimed *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct attempt_key key = { .task = c[i].task_id, .attempt = (uint32_t)c[i].attempt };

		if (!job_find(r, &key) && c[i].state == TASK_PREPARING && claim_take(r, &c[i]))
			log_info("claim_found", "task=%s", id_format(&key.task).s);
	}
}

static void sort_out(struct runner *r, const struct mine_work *m)
{
	struct job *next;

	for (size_t i = 0; i < m->n; i++) {
		struct attempt_key key = { .task = m->got[i].task_id, .attempt = (uint32_t)m->got[i].attempt };
		struct job *j = job_find(r, &key);

		if (!j)
			take_up(r, &m->got[i]);
		else if (j->stage == JOB_FOUND)
			adopt(r, j, &m->got[i]);
	}
	for (struct job *j = r->jobs; j; j = next) {
		next = j->next;
		if (j->stage == JOB_FOUND)
			job_lose(j);
	}
	log_info("jobs_adopted", "ours=%zu", m->n);
}

static void on_again(void *arg)
{
	adopt_ask(arg);
}

static void mine_done(void *arg, struct store_work *w)
{
	struct runner *r = arg;
	struct mine_work *m = (struct mine_work *)w;

	if (w->err != OK) {
		log_warn("adoption_waits", "why=\"%s\"", w->cx.message);
		loop_start(r->loop, &r->claim.timer, AGAIN_US, on_again, r);
	} else if (r->held.state == LEASE_HELD) {
		sort_out(r, m);
		r->adopted = true;
		launch_next(r);
		claim_start(r);
	}
	store_work_free(w);
	runner_look_at_end(r);
}

void adopt_ask(struct runner *r)
{
	struct mine_work *m;

	if (r->held.state != LEASE_HELD || r->ending)
		return;
	m = store_work_new(sizeof *m);
	m->w.run = mine_run;
	m->w.done = mine_done;
	memcpy(m->session, r->held.session, sizeof m->session);
	m->who = r->held.who;
	m->who.session = str_bytes(m->session, sizeof m->session);
	store_pool_add(r->store, STORE_CLAIM, 0, &m->w);
}
