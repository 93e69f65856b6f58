#pragma once
#include "base/clock.h"
#include "base/id.h"

/* What a job runs: a name in a project, and revisions that never change. */
struct code {
	struct id id, project_id, revision_id; /* revision_id: IronWorker's latest_history_id */
	struct str name;
	int64_t revision;         /* current number, from 1 */
	struct str image;         /* as given; without a scheme a name in the nodes' own store */
	struct str command;       /* text as given; "" = the image's own */
	struct str env;           /* JSON object of texts, "{}" if none */
	struct str config;        /* text for CONFIG_FILE, "" if none */
	struct str package;       /* SHA-256 of its zip, 32 bytes; "" = none */
	struct str package_name;  /* of the file as it was uploaded */
	struct str package_md5;   /* 16 bytes; "" if there is none, or it was swept away */
	int64_t package_bytes;
	struct str runtime, stack, file_name; /* how the zip is run; in `image`, else in theirs (runtime.h) */
	struct str callback;      /* URL or "" */
	int64_t callback_gone_at; /* it answered 410: not called for its tasks; not above 0 = it is */
	struct str engine;        /* oci, docker, podman or swarm; "" = the first of its node */
	int64_t max_concurrency;  /* 0 = no limit */
	int64_t retries, retries_delay_s;
	int64_t default_priority; /* 0..2 */
	int64_t timeout_s;        /* 0 = TASK_TIMEOUT_DEFAULT_S */
	int64_t memory_mb;        /* 0 = the node's default */
	int64_t grace_s;          /* between TERM and KILL; -1 = the node's default */
	int64_t follow_tag_s;     /* what its image's tag means is looked up so often at most; 0 = once a revision */
	int64_t created_at, updated_at;
	bool paused;
	bool is_on_disk;          /* what its jobs write: on a disk of the node's, else in their memory */
	bool is_merged;           /* its jobs have one pipe for both streams */
	bool fails_on_node_loss;  /* a task whose node is lost is never started again */
};

/* One field that a registration sends; what it does not send stays (or is the default). */
struct code_order {
	struct str name;
	bool has_image, has_package, has_runtime, has_stack, has_file_name, has_command, has_env, has_config, has_callback,
		has_max_concurrency, has_retries, has_retries_delay, has_priority, has_timeout, has_memory, has_grace,
		has_on_node_loss, has_scratch, has_engine, has_follow_tag, has_output;
	bool fails_on_node_loss, is_on_disk, is_merged;
	struct str image, package, package_name, runtime, stack, file_name, command, env, config, callback, engine;
	int64_t max_concurrency, retries, retries_delay_s, default_priority, timeout_s, memory_mb, grace_s, follow_tag_s;
};

enum { CODE_NAME_BYTES = 255, CODE_RETRIES_MOST = 10, CODE_CONFIG_BYTES = 65536 };
