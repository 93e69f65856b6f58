#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The file `exit` of a job's folder: how an attempt ended, told once, by rename. The monitor writes
 * it, or the launcher for an attempt whose monitor is gone; the runner reads it. Lines key=value,
 * unknown keys are for later versions. This file depends on nothing but libc's memory functions, since
 * the monitor has no more. */

#define EXIT_VERDICTS(X)                                                                           \
	X(EXITED, "exited")               /* by itself; code */                                        \
	X(SIGNALED, "signaled")           /* by a signal nobody of ours sent; signal */                \
	X(TIMEOUT, "timeout")             /* its time was over */                                      \
	X(CANCELLED, "cancelled")         /* 'C' or 'K' */                                             \
	X(STOPPED, "stopped")             /* 'D': the node stops */                                    \
	X(FENCED, "fenced")               /* the node's lease had passed */                            \
	X(LAUNCH_FAILED, "launch_failed") /* the job never began; message */                           \
	X(LOST, "lost")                   /* its monitor died; code and output may be incomplete */

#define X(name, text) EXIT_##name,
enum exit_verdict { EXIT_VERDICTS(X) EXIT_VERDICT_COUNT };
#undef X

/* For timeout, cancelled, stopped and fenced, code or signal say how the main process ended (a job
 * may catch TERM and end with 0). A program that could not be started is `exited` with code 127 (not
 * found) or 126 (found, not runnable), and the message says why. Killed for memory is `signaled` with
 * signal 9 and oom_kills > 0; `exited` with oom_kills > 0 means that a child was killed for it. */
struct exit_file {
	enum exit_verdict verdict;
	uint64_t started_us; /* CLOCK_BOOTTIME, microseconds; 0 = the job never began */
	uint64_t ended_us;
	int32_t code;   /* exit status 0 .. 255, or -1 if a signal ended it or it never began */
	int32_t signal; /* signal that ended the main process, or 0 */
	uint64_t oom_kills; /* processes killed at the memory limit */
	uint64_t pids_hits; /* forks refused at the process limit */
	uint64_t max_rss;   /* bytes, peak of the whole cgroup, files in scratch included */
	uint64_t cpu_us;
	uint64_t bytes;   /* of output, both streams */
	uint64_t lines;   /* '\n' among them */
	uint64_t head;    /* of the bytes, in `head` */
	uint64_t missing; /* between head and the last tail_max: in neither */
	uint64_t node_fault; /* 1 = launch_failed for want of what the node lacks, not by the task's fault */
	uint64_t wrong_platform; /* 1 = exited with 126 because its program is for another machine */
	uint64_t engine_restarted; /* 1 = signaled by the restart of the daemon that kept its container */
	char message[256]; /* one line, ended by NUL; control bytes have become blanks */
};

#define EXIT_FILE_MAX 1024 /* bytes of the longest file */

/* The name of a verdict as it stands in the file. */
const char *exit_verdict_name(enum exit_verdict v);

/* Writes `f` to out[size]; returns the bytes written without a NUL, 0 if size < EXIT_FILE_MAX. */
size_t exit_file_format(const struct exit_file *f, char *out, size_t size);

/* Reads text[size]; false, `out` untouched, if it is not a whole exit file of version 1. */
bool exit_file_parse(const char *text, size_t size, struct exit_file *out);

/* Writes `exit.tmp` in the folder `dirfd` with mode 0640 and group gid ((gid_t)-1: leave it), syncs
 * and renames it to `exit`. Returns 0 or -errno; then no `exit` was made. */
int exit_file_write(int dirfd, const struct exit_file *f, unsigned gid);
