/* From a claim to a monitor: the image, the words, the environment (IronWorker 9), the limits. */
#include "worker/runner/inside.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "model/command.h"
#include "worker/image/image_fetch.h"
#include "worker/launcher/launch_request.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { MB = 1 << 20, MEMORY_LEAST_MB = LAUNCH_MEMORY_MIN / MB, ENV_MOST = 4096 };

/* --- environment ----------------------------------------------------------------------------------- */

struct env {
	struct str *v;
	size_t n;
};

static size_t name_length(struct str variable)
{
	const char *eq = memchr(variable.p, '=', variable.n);

	return eq ? (size_t)(eq - variable.p) : variable.n;
}

/* A later one of the same name takes the place of the earlier. */
static void env_put(struct env *e, struct str variable)
{
	size_t name = name_length(variable);

	for (size_t i = 0; i < e->n; i++)
		if (name_length(e->v[i]) == name && memcmp(e->v[i].p, variable.p, name) == 0) {
			e->v[i] = variable;
			return;
		}
	if (e->n < ENV_MOST)
		e->v[e->n++] = variable;
}

static void env_printf(struct arena *a, struct env *e, const char *name, const char *value)
{
	env_put(e, str_of(arena_printf(a, "%s=%s", name, value)));
}

/* The code's env_vars, an object of texts. */
static enum err env_of_code(struct ctx *cx, struct str text, struct env *e)
{
	auto_json *vars = NULL;
	const char *name;
	json_t *value;

	if (!str_trim(text).n)
		return OK;
	TRY(json_read(cx, text, (struct json_limits){ 2, ENV_MOST }, &vars));
	json_object_foreach(vars, name, value) {
		if (json_is_string(value))
			env_put(e, str_of(arena_printf(&cx->arena, "%s=%s", name, json_string_value(value))));
	}
	return OK;
}

static enum err environment(struct ctx *cx, const struct job *j, const struct image *img, struct env *e)
{
	struct arena *a = &cx->arena;

	e->v = arena_array(a, ENV_MOST, sizeof *e->v);
	env_printf(a, e, "HOME", img->uid ? "/" : "/root");
	for (size_t i = 0; i < img->env_count; i++)
		env_put(e, img->env[i]);
	TRY(env_of_code(cx, j->claim.env, e));
	env_printf(a, e, "TASK_ID", id_format(&j->key.task).s);
	env_printf(a, e, "PAYLOAD_FILE", LAUNCH_PAYLOAD_FILE);
	env_printf(a, e, "TASK_DIR", LAUNCH_TASK_DIR "/");
	if (j->claim.config.n)
		env_printf(a, e, "CONFIG_FILE", LAUNCH_CONFIG_FILE);
	env_printf(a, e, "TASK_TIMEOUT", arena_printf(a, "%lld", (long long)j->timeout_s));
	env_printf(a, e, "TASK_MAXRAM", arena_printf(a, "%lldm", (long long)j->memory_mb));
	env_printf(a, e, "STOKER_ATTEMPT", arena_printf(a, "%u", j->key.attempt));
	if (j->claim.traceparent.n)
		env_printf(a, e, "TRACEPARENT", str_c(a, j->claim.traceparent));
	return OK;
}

/* --- launching ------------------------------------------------------------------------------------- */

/* An end without a container: there is no output and no monitor to wait for. */
static void end_without(struct job *j, enum task_state state, enum cause cause, const char *why)
{
	struct verdict v = verdict_make(state, cause, str_of(why));

	launch_over(j);
	j->monitor_gone = true;
	settle_end(j, &v);
}

static void refuse(struct job *j, enum cause cause, const char *why)
{
	end_without(j, TASK_ERROR, cause, why);
}

void launch_over(struct job *j)
{
	if (!j->is_launching)
		return;
	j->is_launching = false;
	j->runner->launching--;
}

static int64_t within(int64_t v, int64_t least, int64_t most)
{
	return v < least ? least : v > most ? most : v;
}

/* The launcher refuses what is out of its bounds; the settings know wider ones. */
static void set_limits(struct engine_launch *what, const struct job *j)
{
	const struct settings *set = j->runner->set;
	int64_t grace_s = j->claim.grace_s >= 0 ? j->claim.grace_s : set->node.grace_s;

	what->memory_bytes = within(j->memory_mb, MEMORY_LEAST_MB, LAUNCH_MEMORY_MAX / MB) * MB;
	what->is_on_disk = j->claim.is_on_disk;
	what->scratch_bytes = (what->is_on_disk ? set->node.disk_mb : set->node.scratch_mb) * MB;
	what->timeout_ms = within(j->timeout_s * 1000, 1, LAUNCH_TIMEOUT_MS_MAX);
	what->grace_ms = within(grace_s * 1000, 0, LAUNCH_GRACE_MS_MAX);
	what->head_max = set->limits.log_head_bytes;
	what->tail_max = set->limits.log_tail_bytes;
	what->pids = within(set->node.pids, 1, LAUNCH_PIDS_MAX);
	what->cpu_millis = set->node.cpu_millis ? within(set->node.cpu_millis, LAUNCH_CPU_MILLIS_MIN, LAUNCH_CPU_MILLIS_MAX) : 0;
}

static enum err ask(struct ctx *cx, struct job *j, const struct image *img, int payload, bool *taken)
{
	struct engine_launch what = {
		.key = j->key, .slot = j->slot, .workdir = img->workdir, .payload = payload,
		.uid = img->uid, .gid = img->gid, .network = j->claim.network, .relaxed = j->claim.relaxed,
		.is_merged = j->claim.is_merged,
	};
	struct env env = { 0 };
	struct str *argv;

	set_limits(&what, j);
	*taken = false;
	if (j->has_package) {
		TRY(package_words(cx, j, img, &argv, &what.argc));
		what.workdir = STR_LIT(LAUNCH_TASK_DIR);
		what.package = j->package;
	} else {
		TRY(command_argv(cx, img->entrypoint, img->entrypoint_count, img->cmd, img->cmd_count,
		                 j->claim.command, &argv, &what.argc));
	}
	TRY(environment(cx, j, img, &env));
	*taken = true;
	what.argv = argv;
	what.env = env.v;
	what.envc = env.n;
	if (j->claim.config.n)
		what.config = j->claim.config;
	memcpy(what.digest, img->digest, sizeof what.digest);
	memcpy(j->digest, img->digest, sizeof j->digest);
	return j->engine->launch(j->runner->host, cx, &what);
}

static bool has_not_begun(const struct job *j)
{
	return j->stage == JOB_CLAIMED || j->stage == JOB_UNPACKING || j->stage == JOB_PULLING ||
	       j->stage == JOB_FETCHING;
}

static void give_back(struct job *j, const char *why)
{
	char text[400];

	snprintf(text, sizeof text, "its node could not start it: %s", why);
	end_without(j, TASK_QUEUED, CAUSE_NODE_LOST, text);
}

void launch_give_back(struct runner *r, const char *why)
{
	struct job *next;

	for (struct job *j = r->jobs; j; j = next) {
		next = j->next;
		if (has_not_begun(j))
			give_back(j, why);
	}
}

/* The node's own fault is no end of a task. */
static void fail(struct job *j, bool is_nodes, enum cause cause, const char *why)
{
	char text[400];

	if (is_nodes && fault_note(j, why)) {
		if (j->stage != JOB_SETTLING) /* else it was among those that were given back */
			give_back(j, why);
		return;
	}
	snprintf(text, sizeof text, "%s%s", cause == CAUSE_LAUNCH ? "could not be started: " : "", why);
	refuse(j, cause, text);
}

void launch_without(struct job *j, enum err e, const char *why)
{
	fail(j, e == ERR_INTERNAL, CAUSE_LAUNCH, why);
}

void launch_refused(struct job *j, enum cause cause, const char *why)
{
	refuse(j, cause, why);
}

/* An image that cannot be read is its own fault, unless the node lacks what it takes to read. */
static bool is_want(int err)
{
	return err == ENOMEM || err == EMFILE || err == ENFILE || err == ENOSPC || err == EIO;
}

void launch_with(struct job *j, int payload)
{
	struct runner *r = j->runner;
	auto_ctx cx = { 0 };
	struct image img;
	struct str image;
	bool taken = false;

	if (j->memory_mb < MEMORY_LEAST_MB)
		j->memory_mb = MEMORY_LEAST_MB;
	if (j->timeout_s < 1)
		j->timeout_s = TASK_TIMEOUT_DEFAULT_S;
	j->stage = JOB_LAUNCHING;
	j->is_launching = true;
	r->launching++;
	if (!package_image(j, &image))
		refuse(j, CAUSE_IMAGE, "this node knows no image for the code's runtime or stack ([runtimes] images)");
	else if (!*j->pulled && !job_is_of_daemon(j) && image_is_fetched(image))
		refuse(j, CAUSE_IMAGE, "the image was fetched from a registry: a code names it as docker://SERVER/NAME@sha256:...");
	else if (j->engine->prepare(r->host, &cx, *j->pulled ? str_of(j->pulled) : image_known_as(j, image), &img) != OK)
		fail(j, cx.err == ERR_INTERNAL && is_want(errno), CAUSE_IMAGE, cx.message);
	else if (ask(&cx, j, &img, payload, &taken) != OK)
		fail(j, cx.err == ERR_INTERNAL, CAUSE_LAUNCH, cx.message);
	else
		arena_release(&j->arena); /* the launcher has it now */
	if (!taken)
		close(payload);
}

static bool may_launch(const struct runner *r)
{
	return r->launching + r->fetching < r->launching_most && r->fetching < FETCHES_MOST;
}

/* What an engine is asked for it does, or it refuses: no other takes its place. */
static bool engine_is_there(struct job *j)
{
	char why[160];

	if (j->engine)
		return true;
	snprintf(why, sizeof why, "this node has no engine " STR_FMT ", which its code wants ([node] engines)",
	         STR_ARG(j->claim.engine));
	refuse(j, CAUSE_LAUNCH, why);
	return false;
}

void launch_next(struct runner *r)
{
	struct job *next;

	if (r->held.state != LEASE_HELD || r->ending == END_STOP)
		return;
	for (struct job *j = r->jobs; j && may_launch(r); j = next) {
		next = j->next;
		if (j->stage == JOB_CLAIMED && engine_is_there(j) && image_is_there(j) && package_is_there(j) && slot_take(j))
			payload_fetch(j);
	}
}

/* Both, and in this order: the first reason is the one that is told. */
static void stop(struct job *j)
{
	struct runner *r = j->runner;

	r->engine->signal(r->host, &j->key, ENGINE_STOP);
	if (clock_boot_us() >= r->kill_us)
		r->engine->signal(r->host, &j->key, ENGINE_KILL);
}

void launch_answered(struct runner *r, struct job *j, enum engine_result how, int monitor, const char *why)
{
	if (j->stage != JOB_LAUNCHING)
		return;
	if (how == ENGINE_BUSY) { /* the launcher of the runner before got to it after all */
		adopt_running(j);
		return;
	}
	if (how != ENGINE_DONE) {
		log_warn("launch_failed", "attempt=%s why=\"%s\"", j->name, why);
		launch_over(j);
		j->monitor_gone = true;
		if (j->is_lost)
			settle_drop(j);
		else if (how == ENGINE_NO_IMAGE && *j->pulled) /* it went for want of room: fetched again with the next attempt */
			give_back(j, "its image has been removed meanwhile");
		else
			fail(j, how == ENGINE_NODE, how == ENGINE_NO_IMAGE ? CAUSE_IMAGE : CAUSE_LAUNCH,
			     *why ? why : "its image is not on this node");
		launch_next(r);
		return;
	}
	j->stage = JOB_FOLLOWED;
	if (job_is_of_daemon(j)) /* which may hang: the runtimes of our own wait for none */
		launch_over(j);
	follow_monitor(j, monitor);
	if (j->is_lost)
		r->engine->signal(r->host, &j->key, ENGINE_KILL);
	else if (j->cancel_asked)
		r->engine->signal(r->host, &j->key, ENGINE_CANCEL);
	else if (r->ending == END_STOP)
		stop(j);
}

/* --- ends that come from outside -------------------------------------------------------------------- */

void job_cancel(struct job *j)
{
	struct runner *r = j->runner;

	j->cancel_asked = true;
	if (has_not_begun(j))
		end_without(j, TASK_CANCELLED, CAUSE_CANCELLED, "cancelled");
	else if (j->stage == JOB_LAUNCHING || j->stage == JOB_FOLLOWED)
		r->engine->signal(r->host, &j->key, ENGINE_CANCEL);
}

void job_stop_for_node(struct job *j)
{
	if (has_not_begun(j))
		end_without(j, TASK_QUEUED, CAUSE_NODE_STOPPED, "node stopped");
	else if (j->stage == JOB_LAUNCHING || j->stage == JOB_FOLLOWED || j->stage == JOB_FOUND)
		stop(j);
}

void job_lose(struct job *j)
{
	struct runner *r = j->runner;

	j->is_lost = true;
	r->engine->signal(r->host, &j->key, ENGINE_KILL);
	if (has_not_begun(j)) {
		j->monitor_gone = true;
		settle_drop(j);
	} else if (j->stage == JOB_ENDED || j->stage == JOB_FOUND) {
		settle_drop(j);
	}
}
