#pragma once
#include "worker/package/package_cache.h"
#include "base/envelope.h"
#include "worker/runner/job.h"
#include "worker/runner/lease.h"
#include "worker/runner/runner.h"
#include "worker/store_thread.h"

/* The runner's state and the calls between its files; nothing of this is for others. */

enum { BUCKETS = 1024, BATCH_MOST = 50, SECOND_US = 1000000, FETCHES_MOST = 2 };

/* What waits for the next statement to the task tables. */
struct batch {
	struct job *first, **last;
	size_t n;
	bool open;   /* one is with the store */
	bool single; /* the last one failed, and not for want of a server: one by one */
	struct loop_timer timer;
};

/* Whose faults are told when they begin and when they are over, not at each try. */
enum trouble { TROUBLE_CLAIM, TROUBLE_STARTS, TROUBLE_ENDS, TROUBLE_LOGS, TROUBLE_PACKAGES, TROUBLE_COUNT };

enum runner_end {
	END_NONE,
	END_HAND_OVER, /* jobs stay */
	END_STOP,      /* jobs end and are given back */
};

enum { FAULTS_KNOWN = 64, FAULT_CLAIMS = 2 };

/* What the node itself lacks: room, memory, descriptors (fault.c). */
struct fault {
	bool is;           /* told; no launch has worked since */
	bool rests;        /* claims nothing until the timer */
	int64_t pause_us;
	struct loop_timer timer;
	uint64_t worked;   /* launches, ever */
	struct {
		struct id task;
		unsigned times;
		uint64_t worked; /* when it failed first */
	} known[FAULTS_KNOWN];
	size_t next;
};

/* The key that the cluster's payloads are opened with, as the store thread that needs it read it last. */
struct payload_key {
	int64_t number; /* 0 = none */
	struct envelope_key *key;
};

struct runner {
	struct loop *loop;
	const struct settings *set;
	const struct engine_class *engine; /* of jobs whose code names none */
	struct engine *host;               /* of all engines */
	struct store_pool *store;
	struct package_cache *packages;
	struct image_room *images;
	struct lease *lease;
	struct lease_view held; /* the lease as last told */
	bool adopted;           /* the jobs of the runner before are sorted out */
	bool sweeping, sweep_again;

	struct job *jobs, **jobs_end, *buckets[BUCKETS]; /* in the order they came */
	struct job **slots; /* by number; NULL = free */
	size_t slot_count, slots_used, launching, launching_most;
	size_t parked;          /* jobs without a slot */
	size_t fetching;        /* payloads that are being read */
	struct payload_key key; /* of STORE_CLAIM's thread alone */
	uint64_t removals;      /* jobs that went, ever */

	int events_fd, doorbell_fd; /* datagrams of monitors; of the API */
	struct loop_watch *events_watch, *doorbell_watch;
	char doorbell[64];

	struct { /* claims */
		bool open, rung, hungry; /* rung: asked to look while one was open; hungry: more waits */
		bool in_doubt;           /* a claim without an answer may have been done: ask what is ours */
		int64_t pause_us;        /* of the adaptive poll */
		int64_t rest_until_us;   /* after a claim that found nothing */
		struct loop_timer timer;
		bool stops_open;
		size_t most;             /* slots that the open one is for */
	} claim;
	struct fault fault;
	struct batch starts, ends;
	struct loop_timer tick, guard;
	bool in_trouble[TROUBLE_COUNT];
	enum runner_end ending;
	int64_t kill_us; /* of END_STOP: no job's grace lasts longer */
	bool giving;    /* the lease is being given back */
	enum err failed; /* what runner_play returns */
	char why[600];
};

/* --- job.c: the table of jobs and slots */
struct job *job_new(struct runner *r, const struct attempt_key *key, uint32_t slot);
struct job *job_find(struct runner *r, const struct attempt_key *key);
void job_free(struct job *j); /* leaves the table, frees its slot */
bool slot_find(const struct runner *r, uint32_t *slot);
bool slot_take(struct job *j);    /* it has one, or gets a free one */
void slot_give(struct job *j);    /* what it waits for may take long: others may have it meanwhile */
size_t slots_free(const struct runner *r); /* beside those that jobs wait for */

/* --- claim.c */
void claim_start(struct runner *r);
void claim_ring(struct runner *r);        /* something may be due: look now */
void claim_slot_freed(struct runner *r);
void claim_stop(struct runner *r);
void claim_ask_stops(struct runner *r);   /* whose end was asked for? */
bool claim_take(struct runner *r, const struct claimed *c); /* makes its job; false if it is there */

/* --- launch.c */
void launch_next(struct runner *r);       /* as many claimed jobs as may be launched at once */
void launch_answered(struct runner *r, struct job *j, enum engine_result how, int monitor, const char *why);
void launch_over(struct job *j);          /* the runtime has done its part */
void launch_with(struct job *j, int payload); /* its payload is there: a memfd, taken over */
void launch_without(struct job *j, enum err e, const char *why); /* it cannot be: the sentence */
void launch_refused(struct job *j, enum cause cause, const char *why); /* it cannot run, here or elsewhere */
void launch_give_back(struct runner *r, const char *why); /* all that waits for its launch */
void job_cancel(struct job *j);
void job_stop_for_node(struct job *j);
void job_lose(struct job *j);             /* it is not ours any more */

/* --- fault.c */
/* The node could not start the job, and rests from claims. False: this task failed so again and again
 * while others started, so it is its own fault after all. */
bool fault_note(struct job *j, const char *why);
void fault_over(struct runner *r);        /* a launch worked */

/* --- payload.c */
void payload_fetch(struct job *j);        /* then launch_with or launch_without */

/* --- secrets.c */
/* In a store thread: the mask of this code's declared secret values, NULL if there are none. */
enum err secrets_read(struct db *tasks, struct ctx *cx, const char *key_file, const struct id *project, const struct id *code,
                      struct output_mask **out);
/* Before its output is read; takes the mask over. */
void secrets_set(struct job *j, struct output_mask *mask);

/* --- image.c */
struct image_room;
enum err images_open(struct ctx *cx, struct runner *r);
void images_stop(struct runner *r);
bool images_are_busy(const struct runner *r);
void images_close(struct runner *r);
/* False: the image is of a registry, and it waits for it now (JOB_PULLING). */
bool image_is_there(struct job *j);
/* The name as its engine knows it. */
struct str image_known_as(const struct job *j, struct str image);
/* A daemon could not start what it said it has: it is asked again, not at once. */
void image_mistrust(struct job *j, const char *why);
/* Its engine is a daemon: what that lacks is not the node's fault. */
bool job_is_of_daemon(const struct job *j);
void image_unpacked(struct runner *r, const unsigned char digest[12], enum engine_result how, const char *why);

/* --- package.c */
enum err package_open(struct ctx *cx, struct runner *r);
/* False: it waits for its package now (JOB_UNPACKING), or that one is bad and it has been refused. */
bool package_is_there(struct job *j);
/* The image it runs in: the code's own, or that of its package's runtime; false if there is none. */
bool package_image(const struct job *j, struct str *image);
/* What is run in a package; in the ctx's arena. */
enum err package_words(struct ctx *cx, const struct job *j, const struct image *img, struct str **argv, size_t *argc);

/* --- follow.c */
int monitor_pid(const struct job *j);          /* of its monitor, by its folder; 0 if it is gone, or not there yet */
void follow_monitor(struct job *j, int pid);   /* watches it; gone already counts as its end */
void follow_without_folder(struct job *j);      /* it went: given back */
void follow_started(struct job *j, int64_t started_us);
void follow_output(struct job *j);             /* there may be more to read */
void follow_end(struct job *j);                /* the exit file may be there */
void follow_look(struct job *j);               /* once a second: what a lost datagram would have said */
void follow_swept(struct runner *r);
void follow_forget(struct job *j);             /* its memory, at the end of the runner */
void follow_adopted(struct job *j);            /* where does its log stand? then as above */

/* --- live.c */
bool live_is_due(struct job *j);               /* its head is full, and there is more than was shipped */
/* What is shipped next; false: nothing. *forget: shipped output that begins before this byte goes; 0 = none. */
bool live_read(struct job *j, struct spool_batch *out, int64_t *forget);
void live_stand_at(struct job *j, int64_t stored); /* so much was shipped; go on behind it */
void live_end(struct job *j);

/* --- settle.c */
void settle_init(struct runner *r);
void settle_start(struct job *j);                            /* its start waits to be stored */
void settle_end(struct job *j, const struct verdict *verdict); /* its output is stored: tell the verdict */
void settle_drop(struct job *j);                             /* nothing to tell: remove it */
void settle_remove(struct job *j);                           /* if its monitor has ended */
void settle_removed(struct job *j, enum engine_result how, const char *why);

/* --- adopt.c */
void adopt_find(struct runner *r);             /* jobs in the folder, slots taken */
void adopt_ask(struct runner *r);              /* which of them are ours */
void adopt_running(struct job *j);             /* one of ours whose folder is there */
void adopt_missed(struct runner *r, const struct claimed *c, size_t n); /* ours by the database: any unknown? */

/* --- runner.c */
void runner_fail(struct runner *r, enum err kind, const char *why);
void runner_tell(struct runner *r, enum trouble what, enum err now, const char *why);
void runner_look_at_end(struct runner *r);     /* a job or a piece of work went: is that all? */
