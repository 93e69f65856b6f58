#pragma once
#include "base/conf.h"

/* The one table of configuration keys; conf/stoker.conf is printed from it. */
struct settings_database {
	char *socket, *host, *name, *user, *password_file;
	int64_t port;
	bool spread; /* each connection prefers any of the servers, not the first */
};
struct settings {
	struct settings_database database, logs; /* logs: empty fields are taken from database */
	struct {
		char *socket, *user, *base_path, *www, *upload_dir;
		int64_t processes, recycle_requests, recycle_mb, backlog;
	} api;
	struct {
		char *socket;
		int64_t watchers, poll_ms;
	} tail;
	struct {
		int64_t payload_bytes, request_bytes, package_bytes, tasks_per_request, json_depth, timeout_s, run_every_min, schedules, waiting;
		int64_t log_head_bytes, log_tail_bytes, log_live_bytes;
	} limits;
	struct {
		char *key_file;
	} secrets;
	struct {
		char *plain_http, *cert_dir;
		int64_t fetch_s, tries, cache_mb;
	} images;
	struct {
		char *images;
	} runtimes;
	struct {
		char *name, *dir, *cluster, *doorbell, *runtime, *engines, *docker_socket, *podman_socket, *swarm_socket, *isolation, *cgroup, *resolvers;
		int64_t slots, uid_base, memory_mb, pids, cpu_millis, scratch_mb, disk_mb, packages_mb, grace_s, stop_grace_s;
	} node;
	struct {
		char *user, *launcher, *monitor, *init, *unpack;
		int64_t lease_s, renew_s, fence_s, poll_ms, store_threads;
	} runner;
	struct {
		char *user;
		int64_t poll_ms, log_days, fire_days, delivery_days;
	} scheduler;
	struct {
		char *folder;
	} zones;
	struct {
		char *user, *retry_s, *ca_file, *allow, *proxy;
		bool allow_private;
		int64_t connect_timeout_s, timeout_s, parallel, lane, redirects;
	} courier;
};

/* Reads file (NULL = none) and environment over the defaults, fills [logs] from [database].
 * Texts live in the ctx's arena. */
enum err settings_read(struct ctx *cx, const char *path, struct settings *out);
/* Is it one of [node] engines? */
bool settings_has_engine(const struct settings *set, struct str name);
/* The socket of the daemon docker, podman or swarm; NULL if that is none of this node's engines. */
char *settings_engine_socket(const struct settings *set, const char *name);
/* The commented sample file. */
struct str settings_sample(struct arena *a);
