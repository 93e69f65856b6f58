#include "model/settings.h"

#include <stdio.h>
#include <unistd.h>

#define AT(field) offsetof(struct settings, field)
#define TEXT(section, key, value, field, what) { section, key, CONF_TEXT, value, 0, 0, AT(field), what }
#define INT(section, key, value, least, most, field, what) \
	{ section, key, CONF_INT, value, least, most, AT(field), what }
#define BOOL(section, key, value, field, what) { section, key, CONF_BOOL, value, 0, 0, AT(field), what }

static const struct conf_key KEYS[] = {
	TEXT("database", "socket", "/run/mysqld/mysqld.sock", database.socket, "unix socket of MariaDB; empty = use host and port"),
	TEXT("database", "host", "", database.host, "host name or address, used when socket is empty; several, comma separated, in order of preference"),
	INT("database", "port", "3306", 1, 65535, database.port, "TCP port of MariaDB"),
	BOOL("database", "spread", "no", database.spread, "yes: connections prefer any server of the list, not its first; Galera then undoes and repeats much"),
	TEXT("database", "name", "stoker", database.name, "database with the task tables"),
	TEXT("database", "user", "stoker", database.user, "MariaDB account"),
	TEXT("database", "password_file", "", database.password_file, "file whose first line is the password; empty = none"),
	TEXT("logs", "socket", "", logs.socket, "the same for the logs' database; empty = as in [database]"),
	TEXT("logs", "host", "", logs.host, "empty = as in [database]"),
	INT("logs", "port", "3306", 1, 65535, logs.port, "TCP port of the logs' MariaDB, used with logs.host"),
	TEXT("logs", "name", "stoker_logs", logs.name, "database with the log tables"),
	TEXT("logs", "user", "", logs.user, "empty = as in [database]"),
	TEXT("logs", "password_file", "", logs.password_file, "empty = as in [database]"),
	TEXT("api", "socket", "/run/stoker/api.sock", api.socket, "unix socket that the web server connects to"),
	TEXT("api", "user", "", api.user, "numeric uid, or name, to run as when started by root; empty = stay"),
	TEXT("api", "base_path", "", api.base_path, "path prefix below which the web server mounts Stoker, such as /stoker"),
	TEXT("api", "www", "www", api.www, "folder with templates and static files"),
	TEXT("api", "upload_dir", "/var/tmp", api.upload_dir, "folder on a disk where an uploaded package lies, without a name, while it is checked"),
	INT("api", "processes", "16", 1, 256, api.processes, "single-threaded processes on the socket"),
	INT("api", "recycle_requests", "10000", 1, 1000000000, api.recycle_requests, "a process is replaced after so many requests"),
	INT("api", "recycle_mb", "128", 16, 65536, api.recycle_mb, "or when its resident memory passes so many MiB"),
	INT("api", "backlog", "64", 1, 4096, api.backlog, "connections that may wait on the socket"),
	TEXT("tail", "socket", "/run/stoker/tail.sock", tail.socket, "unix socket of stoker-tail, which answers requests with Prefer: wait and streams logs"),
	INT("tail", "watchers", "500", 1, 100000, tail.watchers, "requests that may wait and logs that may be followed at the same time; more are answered at once"),
	INT("tail", "poll_ms", "200", 10, 60000, tail.poll_ms, "how often it asks where the tasks stand that somebody waits for, in milliseconds"),
	INT("limits", "payload", "3145728", 0, 16777216, limits.payload_bytes, "bytes of one task's payload"),
	INT("limits", "request", "33554432", 1024, 1073741824, limits.request_bytes, "bytes of a request that queues tasks; any other JSON body may have 1 MiB"),
	INT("limits", "package", "268435456", 1024, 1073741824, limits.package_bytes, "bytes of a zip package; raise the web server's limit with it"),
	INT("limits", "tasks_per_request", "10000", 1, 100000, limits.tasks_per_request, "tasks in one request"),
	INT("limits", "json_depth", "32", 2, 512, limits.json_depth, "nesting of JSON"),
	INT("limits", "timeout_s", "86400", 1, 31536000, limits.timeout_s, "longest timeout of a task in seconds, of projects without a quota of their own (stoker admin project set); above: clamped"),
	INT("limits", "run_every_min", "1", 1, 86400, limits.run_every_min, "least seconds between two runs of a schedule; 60 is IronWorker's"),
	INT("limits", "schedules", "100000", 1, 100000000, limits.schedules, "schedules of a project that are not over"),
	INT("limits", "waiting", "0", 0, 1000000000, limits.waiting, "waiting tasks of a project; more are refused with 429; 0 = no limit"),
	INT("limits", "log_head", "5242880", 4096, 1073741824, limits.log_head_bytes, "first bytes of output that are kept"),
	INT("limits", "log_tail", "5242880", 4096, 1073741824, limits.log_tail_bytes, "last bytes of output that are kept"),
	INT("limits", "log_live", "131072", 0, 67108864, limits.log_live_bytes, "bytes a second of a running job's output past log_head that followers see; 0 = none until its end"),
	TEXT("secrets", "key_file", "", secrets.key_file, "file whose first line is 64 hex digits: the key that seals registry logins and clusters' tokens; empty = those are refused"),
	TEXT("images", "plain_http", "", images.plain_http, "registries that nodes may ask without TLS, such as localhost:5000, comma separated"),
	TEXT("images", "cert_dir", "", images.cert_dir, "folder with the CAs of registries (*.crt) besides the system's; empty = none"),
	INT("images", "fetch_s", "3600", 1, 86400, images.fetch_s, "most seconds to fetch an image from its registry"),
	INT("images", "tries", "8", 1, 100, images.tries, "times a registry is asked that is away or answers 429 or 5xx, 1 s apart and then ever longer up to 60"),
	INT("images", "cache_mb", "20480", 0, 4294967294, images.cache_mb, "MiB that images of registries may take on a node; the least recently used go, never one that jobs run on"),
	TEXT("runtimes", "images", "sh=busybox", runtimes.images, "runtimes and stacks of zip packages and the images they run in, such as sh=busybox, python=python:3.11, python-2.7=python:2.7; GET /2/stacks lists them"),
	TEXT("node", "name", "", node.name, "name of this machine; empty = its host name"),
	TEXT("node", "dir", "/var/lib/stoker/node", node.dir, "images, job folders, lease"),
	TEXT("node", "cluster", "default", node.cluster, "the cluster whose tasks this node runs"),
	TEXT("node", "doorbell", "127.0.0.1:0", node.doorbell, "UDP address that wakes the runner; port 0 = any free one"),
	TEXT("node", "runtime", "auto", node.runtime, "auto, crun or runc"),
	TEXT("node", "engines", "oci", node.engines, "which of oci, docker, podman and swarm this node has, comma separated; the first runs what no code says otherwise of"),
	TEXT("node", "docker_socket", "/run/docker.sock", node.docker_socket, "socket of the daemon of the engine docker"),
	TEXT("node", "podman_socket", "/run/podman/podman.sock", node.podman_socket, "socket of the service of the engine podman"),
	TEXT("node", "swarm_socket", "/run/docker.sock", node.swarm_socket, "socket of the daemon that manages the swarm of the engine swarm"),
	TEXT("node", "isolation", "usual", node.isolation, "usual: what the host cannot give is done without, and stoker admin doctor tells it; strict: then it runs no job"),
	TEXT("node", "cgroup", "stoker", node.cgroup, "cgroup below which jobs get theirs"),
	TEXT("node", "resolvers", "", node.resolvers, "addresses, comma separated, that jobs of clusters with a network may ask for names; empty = this host's own that are not on its loopback"),
	INT("node", "slots", "16", 1, 10000, node.slots, "jobs at the same time"),
	INT("node", "uid_base", "1048576", 65536, 4000000000, node.uid_base, "first of the uid ranges, 65536 wide, one a slot"),
	INT("node", "memory_mb", "512", 4, 1048576, node.memory_mb, "memory of a job in MiB unless its code says otherwise"),
	INT("node", "pids", "256", 4, 4194304, node.pids, "processes and threads of a job"),
	INT("node", "cpu_millis", "0", 0, 1024000, node.cpu_millis, "CPU of a job in thousandths of a core; 0 = no quota"),
	INT("node", "scratch_mb", "1024", 1, 1048576, node.scratch_mb, "writable space of a job in MiB"),
	INT("node", "disk_mb", "10240", 4, 16777216, node.disk_mb, "the same of a job whose code has scratch: disk; its room is taken when it starts"),
	INT("node", "packages_mb", "4096", 1, 1073741824, node.packages_mb, "MiB of unpacked code packages that are kept; above, the least recently used go, never one in use"),
	INT("node", "grace_s", "10", 0, 3600, node.grace_s, "seconds between TERM and KILL"),
	INT("node", "stop_grace_s", "30", 0, 3600, node.stop_grace_s, "most seconds of grace when the node stops, whatever its jobs' own; make down kills what lasts longer than 45"),
	TEXT("runner", "user", "", runner.user, "numeric uid, or name, of the runner when started by root"),
	TEXT("runner", "launcher", "", runner.launcher, "path of stoker-launcher; empty = beside stoker-worker"),
	TEXT("runner", "monitor", "", runner.monitor, "path of stoker-monitor; empty = beside stoker-worker"),
	TEXT("runner", "init", "", runner.init, "path of stoker-init; empty = beside stoker-worker"),
	TEXT("runner", "unpack", "", runner.unpack, "path of stoker-unpack; empty = beside stoker-worker"),
	INT("runner", "lease_s", "12", 3, 600, runner.lease_s, "a node's lease, in seconds"),
	INT("runner", "renew_s", "3", 1, 200, runner.renew_s, "renewed every so many seconds"),
	INT("runner", "fence_s", "8", 2, 500, runner.fence_s, "jobs are killed so many seconds after the last good renewal"),
	INT("runner", "poll_ms", "1000", 10, 60000, runner.poll_ms, "longest wait between polls at rest, in milliseconds"),
	INT("runner", "store_threads", "3", 1, 64, runner.store_threads, "threads that speak to MariaDB"),
	TEXT("scheduler", "user", "", scheduler.user, "numeric uid, or name, of the scheduler when started by root"),
	INT("scheduler", "poll_ms", "1000", 10, 60000, scheduler.poll_ms, "wait between rounds, in milliseconds"),
	INT("scheduler", "log_days", "30", 1, 3650, scheduler.log_days, "days that logs are kept; older partitions are dropped"),
	INT("scheduler", "fire_days", "400", 1, 36500, scheduler.fire_days, "days that the ledger of schedules is kept"),
	INT("scheduler", "delivery_days", "90", 1, 36500, scheduler.delivery_days, "days that deliveries of callbacks that are over are kept, with their tries"),
	TEXT("zones", "folder", "/usr/share/zoneinfo", zones.folder, "time zones of schedules (TZif files of tzdata); a file that is exchanged is picked up"),
	TEXT("courier", "user", "", courier.user, "numeric uid, or name, of the courier when started by root"),
	TEXT("courier", "retry_s", "5,300,1800,7200,18000,36000,50400,72000,86400", courier.retry_s, "seconds between tries of a callback, each plus or minus a fifth"),
	TEXT("courier", "ca_file", "/etc/ssl/certs/ca-certificates.crt", courier.ca_file, "certificates (PEM) that receivers' are checked against"),
	BOOL("courier", "allow_private", "no", courier.allow_private, "callbacks to loopback, link-local and private addresses"),
	TEXT("courier", "allow", "", courier.allow, "networks and hosts that callbacks may go to besides public addresses: 10.1.0.0/16, hooks.intern, .corp.example"),
	TEXT("courier", "proxy", "", courier.proxy, "URL of an HTTP proxy for callbacks, which then has to guard internal addresses; the environment's are never used"),
	INT("courier", "connect_timeout_s", "3", 1, 60, courier.connect_timeout_s, "seconds to connect"),
	INT("courier", "timeout_s", "15", 1, 300, courier.timeout_s, "seconds for a whole delivery"),
	INT("courier", "parallel", "2048", 8, 65536, courier.parallel, "deliveries at the same time"),
	INT("courier", "redirects", "0", 0, 10, courier.redirects, "redirects of a receiver that are followed, each where calls may go; never from https to http"),
	INT("courier", "lane", "8", 1, 1024, courier.lane, "deliveries at the same time to one receiver of a project"),
};
enum { KEY_COUNT = sizeof KEYS / sizeof *KEYS };

static void inherit(char **field, char *from)
{
	if (!**field)
		*field = from;
}

static void logs_as_database(struct settings *s)
{
	if (!*s->logs.socket && !*s->logs.host) {
		s->logs.socket = s->database.socket;
		s->logs.host = s->database.host;
		s->logs.port = s->database.port;
	}
	s->logs.spread = s->database.spread; /* has no key of its own */
	if (!*s->logs.user)
		inherit(&s->logs.password_file, s->database.password_file);
	inherit(&s->logs.user, s->database.user);
}

bool settings_has_engine(const struct settings *set, struct str name)
{
	struct str rest = str_of(set->node.engines), one;

	while (str_cut(&rest, ',', &one))
		if (str_equal(str_trim(one), name))
			return true;
	return false;
}

char *settings_engine_socket(const struct settings *set, const char *name)
{
	const struct {
		const char *name;
		char *socket;
	} daemons[] = { { "docker", set->node.docker_socket }, { "podman", set->node.podman_socket },
		        { "swarm", set->node.swarm_socket } };

	for (size_t i = 0; i < sizeof daemons / sizeof *daemons; i++)
		if (strcmp(daemons[i].name, name) == 0 && settings_has_engine(set, str_of(name)))
			return daemons[i].socket;
	return NULL;
}

static enum err check_engines(struct ctx *cx, const struct settings *out)
{
	struct str rest = str_of(out->node.engines), one;

	while (str_cut(&rest, ',', &one)) {
		one = str_trim(one);
		if (!str_is(one, "oci") && !str_is(one, "docker") && !str_is(one, "podman") && !str_is(one, "swarm"))
			return err_set(cx, ERR_INPUT, "node.engines must name oci, docker, podman or swarm, not \"" STR_FMT "\"", STR_ARG(one));
	}
	return OK;
}

enum err settings_read(struct ctx *cx, const char *path, struct settings *out)
{
	TRY(conf_read(cx, KEYS, KEY_COUNT, path, out));
	logs_as_database(out);
	if (!*out->node.name) {
		char host[256] = "";

		gethostname(host, sizeof host - 1);
		out->node.name = arena_text(&cx->arena, host);
	}
	if (strcmp(out->node.runtime, "auto") != 0 && strcmp(out->node.runtime, "crun") != 0 &&
	    strcmp(out->node.runtime, "runc") != 0)
		return err_set(cx, ERR_INPUT, "node.runtime must be auto, crun or runc, not \"%s\"", out->node.runtime);
	if (strcmp(out->node.isolation, "usual") != 0 && strcmp(out->node.isolation, "strict") != 0)
		return err_set(cx, ERR_INPUT, "node.isolation must be usual or strict, not \"%s\"", out->node.isolation);
	TRY(check_engines(cx, out));
	if (out->runner.fence_s >= out->runner.lease_s || out->runner.renew_s >= out->runner.fence_s)
		return err_set(cx, ERR_INPUT, "runner.renew_s < runner.fence_s < runner.lease_s must hold");
	return OK;
}

struct str settings_sample(struct arena *a)
{
	return conf_sample(a, KEYS, KEY_COUNT);
}
