#pragma once
#include "base/ctx.h"

/* How a zip package is run (IronWorker 9.2 to 9.4). */
struct package_run {
	struct str runtime;   /* of the code; with file_name it says what is run, unless there is a command */
	struct str file_name; /* in the package */
	struct str command;   /* of the code; "" = none */
	const struct str *entrypoint, *cmd; /* the image's own words */
	size_t entrypoint_n, cmd_n;
	bool image_is_own;    /* the code names it; else it is the runtime's, whose entry point is of no use */
	/* what the program is told */
	const char *dir;      /* ends in a slash: Ruby workers append to it */
	const char *payload_file, *config_file; /* config_file NULL = no config */
	const char *task_id, *schedule_id;      /* schedule_id NULL = no schedule made the task */
};

/* The words to run, in the arena: the program, then "-d DIR -payload FILE -id TASK -e production", with
 * "-config FILE" and "-schedule_id ID" where there is something to tell.
 *   command                  the image's entry point, then sh -c COMMAND; a command that is nothing but
 *                            one program and its words gets the arguments appended, any other finds them
 *                            as $1, $2, …
 *   sh, ruby, php, node, …   that interpreter (python without buffers), the file
 *   binary, or none          the file itself
 *   none of all              the image's entry point and words
 * ERR_INPUT: the runtime is not known; or there is nothing to run. */
enum err package_run_argv(struct ctx *cx, const struct package_run *run, struct str **argv, size_t *argc);
