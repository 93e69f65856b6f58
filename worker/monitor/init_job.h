#pragma once
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker/monitor/init_link.h"

/* The job as a child of stoker-init. */
struct job {
	char **argv;
	char **envp;
	const char *workdir;
	const char *path; /* value of its PATH */
	char tried[PATH_MAX]; /* the file of which exec said that it is no program */
	pid_t pid;
	int output[2];    /* what becomes its stdout and stderr; -1 = ours */
	bool is_remote;   /* a daemon made the container */
};

/* Why it could not begin; step 0 = it has begun. */
struct init_failure {
	enum init_step step;
	int err; /* errno, or what the step says */
};

/* argc, then envc strings, then the working directory, each ended by NUL: `n` bytes that stay where they are. */
struct init_failure job_read_spec(struct job *job, uint32_t argc, uint32_t envc, char *text, size_t n);

/* Starts it in its working directory, with the signal mask `before`. */
struct init_failure job_start(struct job *job, const sigset_t *before);
