/* The packages of zip codes: a task waits here until its own is unpacked on this node, then it is given
 * to the launch; and what is run in it. */
#include "worker/runner/inside.h"

#include "base/log.h"
#include "model/package_run.h"
#include "model/runtime.h"
#include "worker/launcher/launch_request.h"

static bool needs(const struct job *j, const unsigned char *digest)
{
	return j->has_package && memcmp(j->package, digest, SHA256_BYTES) == 0;
}

static void settled(void *arg, const unsigned char *digest, enum err err, const char *why)
{
	struct runner *r = arg;
	struct job *next;

	for (struct job *j = r->jobs; j; j = next) {
		next = j->next;
		if (j->stage != JOB_UNPACKING || !needs(j, digest))
			continue;
		if (err == OK)
			j->stage = JOB_CLAIMED;
		else if (err == ERR_INTERNAL)
			launch_without(j, err, why);
		else
			launch_refused(j, CAUSE_PACKAGE, why);
	}
	launch_next(r);
	runner_look_at_end(r);
}

static bool is_needed(void *arg, const unsigned char *digest)
{
	const struct runner *r = arg;

	for (const struct job *j = r->jobs; j; j = j->next)
		if (needs(j, digest))
			return true;
	return false;
}

static void tried(void *arg, enum err err, const char *why)
{
	runner_tell(arg, TROUBLE_PACKAGES, err, why);
}

enum err package_open(struct ctx *cx, struct runner *r)
{
	static const struct package_events EVENTS = { settled, is_needed, tried };

	return package_cache_open(cx, r->loop, r->set, &EVENTS, r, &r->packages);
}

bool package_is_there(struct job *j)
{
	const char *why;

	if (!j->has_package)
		return true;
	switch (package_cache_want(j->runner->packages, j->package, &why)) {
	case PACKAGE_READY:
		return true;
	case PACKAGE_BAD:
		launch_refused(j, CAUSE_PACKAGE, why);
		return false;
	default:
		j->stage = JOB_UNPACKING;
		slot_give(j);
		claim_slot_freed(j->runner);
		return false;
	}
}

bool package_image(const struct job *j, struct str *image)
{
	*image = j->claim.image;
	if (image->n || !j->has_package)
		return true;
	return runtime_image(j->runner->set, j->claim.runtime, j->claim.stack, image);
}

enum err package_words(struct ctx *cx, const struct job *j, const struct image *img, struct str **argv, size_t *argc)
{
	const struct id *schedule = &j->claim.schedule_id;
	const struct package_run run = {
		.runtime = j->claim.runtime, .file_name = j->claim.file_name, .command = j->claim.command,
		.entrypoint = img->entrypoint, .entrypoint_n = img->entrypoint_count,
		.cmd = img->cmd, .cmd_n = img->cmd_count, .image_is_own = j->claim.image.n > 0,
		.dir = LAUNCH_TASK_DIR "/", .payload_file = LAUNCH_PAYLOAD_FILE,
		.config_file = j->claim.config.n ? LAUNCH_CONFIG_FILE : NULL,
		.task_id = arena_text(&cx->arena, id_format(&j->key.task).s),
		.schedule_id = id_is_zero(schedule) ? NULL : arena_text(&cx->arena, id_format(schedule).s),
	};

	return package_run_argv(cx, &run, argv, argc);
}
