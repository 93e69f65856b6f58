#pragma once
#include "base/id.h"
#include "base/loop.h"
#include "model/settings.h"
#include "worker/image/image_store.h"

/* What a container engine can do: at most ten calls. Launching, removing and sweeping are asked for
 * and answered later, in the runner's one loop; nothing here waits but open and probe. An attempt's
 * output and end do not pass through the engine: they are the files of its job folder
 * (worker/monitor). Each call says what it guarantees when it comes twice or late. */

/* Names an attempt everywhere on a node. */
struct attempt_key {
	struct id task;
	uint32_t attempt;
};
/* Name of its job folder below NODE/jobs: "<24 hex>-<attempt>". */
enum { ATTEMPT_NAME = 40 };
void attempt_name(const struct attempt_key *key, char out[ATTEMPT_NAME]);
bool attempt_name_parse(const char *text, struct attempt_key *out);
static inline bool attempt_equal(const struct attempt_key *a, const struct attempt_key *b)
{
	return a->attempt == b->attempt && id_equal(&a->task, &b->task);
}

/* What is to run. Views are read during the call only. */
struct engine_launch {
	struct attempt_key key;
	uint32_t slot; /* no two living attempts in one */
	unsigned char digest[SHA256_BYTES]; /* of the image */
	const unsigned char *package;       /* SHA-256 of an unpacked package, mounted at /task; NULL = none */
	const struct str *argv, *env; /* env: "NAME=value" */
	size_t argc, envc;
	struct str workdir, config; /* config.p NULL = none */
	int payload;                /* a memfd that holds it, made with MFD_ALLOW_SEALING */
	uint32_t uid, gid;
	bool is_on_disk; /* its scratch */
	bool is_merged;  /* one pipe for both streams: their order is exact, who wrote what is not told */
	int64_t relaxed; /* bits of model/relaxation.h */
	int64_t network; /* what it may reach: CLUSTER_NETWORKS, by number */
	int64_t memory_bytes, scratch_bytes, timeout_ms, grace_ms, head_max, tail_max, pids, cpu_millis;
};

enum engine_result {
	ENGINE_DONE,
	ENGINE_NO_IMAGE, /* not unpacked on this node */
	ENGINE_BUSY,     /* launch: that attempt is there already; remove: it still lives */
	ENGINE_FAILED,   /* the reason says why */
	ENGINE_NODE,     /* launch: this node cannot now, whatever the task is; the reason says why */
};

enum engine_signal {
	ENGINE_GO = 'G',     /* begin a job that waits created */
	ENGINE_CANCEL = 'C', /* TERM, grace, KILL; verdict cancelled */
	ENGINE_STOP = 'D',   /* the same because the node stops; verdict stopped */
	ENGINE_KILL = 'K',   /* KILL now */
};

/* Answers, called from the loop. */
struct engine_events {
	void (*launched)(void *arg, const struct attempt_key *key, enum engine_result how, int monitor, const char *why);
	void (*removed)(void *arg, const struct attempt_key *key, enum engine_result how, const char *why);
	void (*swept)(void *arg, int lost);
	/* ENGINE_FAILED: that image is bad, here as anywhere; ENGINE_NODE: this node cannot now. `digest` is its
	 * first 12 bytes. */
	void (*unpacked)(void *arg, const unsigned char digest[12], enum engine_result how, const char *why);
	/* The engine itself is gone: containers live on, but nothing can be launched. */
	void (*broken)(void *arg, const char *why);
};

struct engine;
struct engine_class {
	const char *name;
	uint8_t kind; /* enum launch_engine: it is what an attempt's folder says */
	/* One for all engines of a node, whichever opens it. Takes `channel` (a descriptor to the engine's privileged half, or -1). */
	enum err (*open)(struct ctx *cx, struct loop *l, const struct settings *set, int channel,
	                 const struct engine_events *events, void *arg, struct engine **out);
	/* NULL is fine; asks still open are dropped, containers live on. */
	void (*close)(struct engine *e);
	/* Can jobs run here? Waits for the answer (at most 60 s). ERR_INTERNAL: no, and the sentence says
	 * why. *runtime in the arena. Before any other ask. */
	enum err (*probe)(struct engine *e, struct ctx *cx, struct str *runtime);
	/* Makes the image of that name ready; may be repeated. ERR_NOT_FOUND, ERR_INPUT: never will be. */
	enum err (*prepare)(struct engine *e, struct ctx *cx, struct str name, struct image *out);
	/* Asks for a start; answered by `launched`. Twice: ENGINE_BUSY for the second. The payload's memfd
	 * is sealed and is the engine's from then on, also when this fails. */
	enum err (*launch)(struct engine *e, struct ctx *cx, const struct engine_launch *what);
	/* To a living attempt; false if nobody listens (not yet, or no more). May be repeated. */
	bool (*signal)(struct engine *e, const struct attempt_key *key, enum engine_signal what);
	/* Asks to remove what is left of an attempt whose monitor has ended; answered by `removed`, with
	 * ENGINE_DONE also if nothing was there. */
	void (*remove)(struct engine *e, const struct attempt_key *key);
	/* Asks to make an image ready; answered by `unpacked`, also if it is ready already. oci: the one of that
	 * digest, whose layers the runner has fetched (image_fetch.h). A daemon: the one that it has by that name, or
	 * that the node's store has; `digest` is then only what the answer is known by. An error: nothing was asked. */
	enum err (*fetch)(struct engine *e, struct ctx *cx, struct str name, const unsigned char digest[SHA256_BYTES]);
	/* Asks to end what lost its monitor and to write its exit file; answered by `swept`. */
	void (*sweep)(struct engine *e);
};

extern const struct engine_class ENGINE_OCI, ENGINE_DOCKER, ENGINE_PODMAN, ENGINE_SWARM;
/* The table: NULL if none has that name. */
const struct engine_class *engine_find(struct str name);
const struct engine_class *engine_of_kind(uint8_t kind);
