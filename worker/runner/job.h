#pragma once
#include "model/cause.h"
#include "store/ready_store.h"
#include "worker/engine/engine.h"
#include "worker/runner/spool_live.h"
#include "worker/runner/verdict.h"

/* One attempt on this node, from its claim to the removal of its folder. */
enum job_stage {
	JOB_FOUND,     /* a folder of the runner before; whose it is, is being asked */
	JOB_CLAIMED,   /* ours; waits for its launch */
	JOB_UNPACKING, /* its package is being fetched, or waits for it */
	JOB_PULLING,   /* its image is being fetched from a registry */
	JOB_FETCHING,  /* its payload is being read */
	JOB_LAUNCHING, /* the engine was asked */
	JOB_FOLLOWED,  /* its monitor is there; output is read */
	JOB_ENDED,     /* its end is known; the rest of its output is being stored */
	JOB_SETTLING,  /* its verdict waits for, or is in, a settlement */
	JOB_SETTLED,   /* nothing is left to tell; its monitor may still live */
	JOB_REMOVING,  /* the engine removes what is left; then the slot is free */
};

#define SLOT_NONE UINT32_MAX
struct log_work;
struct live;
struct job {
	struct runner *runner;
	struct job *next, **back;        /* of the runner's list */
	struct job *next_in_bucket;
	struct job *next_waiting; /* in a batch; of one at a time */
	struct attempt_key key;
	const struct engine_class *engine; /* NULL = its code wants one that this node has not */
	char name[ATTEMPT_NAME];
	enum job_stage stage;
	uint32_t slot;           /* SLOT_NONE while it waits for its package, or then for a free one */
	struct arena arena;      /* the claim's texts, until the launch */
	struct claimed claim;    /* its texts in the arena; a large payload is read at its launch */
	int64_t lane_id, day, timeout_s, memory_mb;
	unsigned char digest[SHA256_BYTES];  /* of its image */
	char pulled[72];                     /* "sha256:<hex>" of an image of a registry, once it is here */
	bool image_asked;                    /* while it waited, what its image means was asked for */
	bool has_package;
	unsigned char package[SHA256_BYTES]; /* of its zip; kept on this node as long as the job is here */

	int monitor_fd;          /* pidfd, -1 = none */
	struct loop_watch *monitor_watch;
	bool monitor_gone;

	bool is_launching;       /* counts among runner.launching */
	bool is_lost;            /* not ours any more: kill, drop, remove */
	bool was_dead;           /* found dead when this runner began */
	bool cancel_asked;
	int64_t started_us;      /* CLOCK_BOOTTIME; 0 = has not begun */
	enum { START_UNKNOWN, START_WAITS, START_STORED } start;

	struct output_mask *mask; /* of its declared secret values; NULL = none */
	struct spool_reader spool;
	struct log_work *log;    /* the chunk under way; NULL = none */
	bool log_begun, log_closed;
	int64_t next_chunk, shipped_us;
	struct live *live;       /* NULL until its head is full */
	int64_t live_stored, live_due_us; /* end of what was shipped of its newest output; not before */
	struct loop_timer flush;

	bool has_end;
	struct exit_file end;
	int64_t ended_us;        /* CLOCK_BOOTTIME, of the end that the verdict tells */
	struct verdict verdict;
	struct loop_timer again; /* a payload not read, a chunk not stored, a removal that was refused */
};
