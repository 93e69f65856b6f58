#include "cli/admin/findings.h"

#include "cli/admin/program_output.h"
#include "model/settings.h"

#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool is_magic(const char *path, long magic)
{
	struct statfs s;

	return statfs(path, &s) == 0 && (long)s.f_type == magic;
}

static void cgroups(struct findings *f)
{
	if (is_magic("/sys/fs/cgroup", CGROUP2_SUPER_MAGIC))
		finding_add(f, FINDING_OK, "cgroups", "version 2");
	else if (is_magic("/sys/fs/cgroup/unified", CGROUP2_SUPER_MAGIC))
		finding_add(f, FINDING_OK, "cgroups", "hybrid of versions 1 and 2: jobs are limited by version 1");
	else if (is_magic("/sys/fs/cgroup/memory", CGROUP_SUPER_MAGIC))
		finding_add(f, FINDING_WARN, "cgroups", "version 1 alone: old, but memory and pids can be limited");
	else
		finding_add(f, FINDING_FAIL, "cgroups", "none is mounted at /sys/fs/cgroup: jobs cannot be limited");
}

int64_t number_in_file(const char *path)
{
	char text[64] = "";
	int64_t value = -1;
	FILE *f = fopen(path, "re");

	if (!f)
		return -1;
	if (fgets(text, sizeof text, f) && !str_int(str_trim(str_of(text)), &value))
		value = -1;
	fclose(f);
	return value;
}

static void kernel(struct findings *f)
{
	struct utsname u;
	int major = 0, minor = 0;

	if (uname(&u) != 0 || sscanf(u.release, "%d.%d", &major, &minor) != 2)
		return;
	if (major < 5 || (major == 5 && minor < 19))
		finding_add(f, FINDING_FAIL, "kernel", "%s: 5.19 is needed (overlay on id-mapped mounts)", u.release);
	else
		finding_add(f, FINDING_OK, "kernel", "%s", u.release);
	if (number_in_file("/proc/sys/user/max_user_namespaces") == 0 || access("/proc/self/ns/user", F_OK) != 0)
		finding_add(f, FINDING_FAIL, "namespaces", "user namespaces are off: set sysctl user.max_user_namespaces");
	else
		finding_add(f, FINDING_OK, "namespaces", "user namespaces are on");
	if (access("/proc/sys/kernel/seccomp/actions_avail", F_OK) != 0)
		finding_add(f, FINDING_FAIL, "seccomp", "the kernel has none");
	else
		finding_add(f, FINDING_OK, "seccomp", "the kernel has it");
}

/* "runc version 1.1.5+ds1" → 1, 1, 5 */
static bool version_of(const char *text, int v[3])
{
	const char *digit = strpbrk(text, "0123456789");

	return digit && sscanf(digit, "%d.%d.%d", &v[0], &v[1], &v[2]) >= 2;
}

static bool runc_is_fixed(const int v[3])
{
	int number = v[0] * 1000000 + v[1] * 1000 + v[2];

	return number >= 1003003 || (number >= 1002008 && number < 1003000);
}

static char *launcher_path(struct ctx *cx, const struct settings *set)
{
	char self[4096] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash = n > 0 ? strrchr(self, '/') : NULL;

	if (*set->runner.launcher)
		return set->runner.launcher;
	return arena_printf(&cx->arena, "%.*s/stoker-launcher", slash ? (int)(slash - self) : 0, self);
}

static bool runtime(struct findings *f, char *name)
{
	char *argv[] = { name, (char[]){ "--version" }, NULL };
	char text[256];
	int v[3] = { 0, 0, 0 };

	if (!program_output(argv, text, sizeof text))
		return false;
	text[strcspn(text, "\n")] = 0;
	if (strcmp(name, "runc") == 0 && version_of(text, v) && !runc_is_fixed(v))
		finding_add(f, FINDING_WARN, arena_text(&f->cx->arena, name),
		            "%s: below 1.2.8 and 1.3.3, which mend ways out of containers; jobs run in user namespaces", text);
	else
		finding_add(f, FINDING_OK, arena_text(&f->cx->arena, name), "%s", text);
	return true;
}

static void runtimes(struct findings *f)
{
	char crun[] = "crun", runc[] = "runc";
	bool any = runtime(f, crun);

	any = runtime(f, runc) || any;
	if (!any)
		finding_add(f, FINDING_FAIL, "runtime", "neither crun nor runc is installed: jobs cannot start");
}

/* "ok crun: a hardened test container ran" */
static void add_probe_line(const struct settings *set, struct str line, struct findings *f)
{
	bool is_strict = strcmp(set->node.isolation, "strict") == 0;
	struct str verdict, name;

	if (!str_cut(&line, ' ', &verdict) || !str_cut(&line, ':', &name))
		return;
	/* no job has these unless its cluster or code says so: to have none to give is no lack */
	is_strict = is_strict && !str_starts(name, "network") && !str_starts(name, "disk for");
	finding_add(f, str_equal(verdict, STR_LIT("ok")) ? FINDING_OK : is_strict ? FINDING_FAIL : FINDING_WARN,
	            str_c(&f->cx->arena, name), STR_FMT, STR_ARG(str_trim(line)));
}

/* The launcher itself tries what a job needs, in containers of its own below the node's folder. */
static void isolation(const struct settings *set, struct findings *f)
{
	char text[4096];
	struct str rest, line;
	char daemons[][sizeof "--docker"] = { "--docker", "--podman", "--swarm" };
	enum { DAEMONS = sizeof daemons / sizeof *daemons, WORDS = 10 };
	char *argv[WORDS + 2 * DAEMONS + 1] = {
		launcher_path(f->cx, set), (char[]){ "--probe" }, (char[]){ "--node" }, set->node.dir, (char[]){ "--cgroup" },
		set->node.cgroup, (char[]){ "--runtime" }, set->node.runtime, (char[]){ "--isolation" }, set->node.isolation,
	};
	size_t n = WORDS;

	if (geteuid() != 0) {
		finding_add(f, FINDING_WARN, "isolation", "only root can try containers: run this as root on each node");
		return;
	}
	if (access(set->node.dir, F_OK) != 0 || access(argv[0], X_OK) != 0)
		return; /* no node here */
	for (size_t i = 0; i < DAEMONS; i++) {
		argv[n] = daemons[i];
		argv[n + 1] = settings_engine_socket(set, daemons[i] + strlen("--"));
		n += argv[n + 1] ? 2 : 0;
	}
	argv[n] = NULL;
	if (!program_output(argv, text, sizeof text))
		finding_add(f, FINDING_FAIL, "isolation", "no job can run here: see the lines below");
	rest = str_of(text);
	while (str_cut(&rest, '\n', &line))
		add_probe_line(set, line, f);
}

/* CVE-2025-23016: an overflow in reading parameters, mended in Debian's 2.4.2-2+deb12u1 and in 2.4.5. */
static void libfcgi(struct findings *f)
{
	char query[] = "dpkg-query", show[] = "-W", format[] = "-f=${Version}", package[] = "libfcgi0ldbl";
	char *const ask[] = { query, show, format, package, NULL };
	char dpkg[] = "dpkg", compare[] = "--compare-versions", version[128], ge[] = "ge", fixed[] = "2.4.2-2+deb12u1";
	char *const judge[] = { dpkg, compare, version, ge, fixed, NULL };
	char nothing[8];

	if (!program_output(ask, version, sizeof version))
		finding_add(f, FINDING_WARN, "libfcgi", "its version cannot be found out: it should be 2.4.2-2+deb12u1, 2.4.5 or newer");
	else if (!program_output(judge, nothing, sizeof nothing))
		finding_add(f, FINDING_FAIL, "libfcgi", "%s has CVE-2025-23016: upgrade to 2.4.2-2+deb12u1 or newer", version);
	else
		finding_add(f, FINDING_OK, "libfcgi", "%s", version);
}

static void api_socket(const struct settings *set, struct findings *f)
{
	struct stat st;

	if (stat(set->api.socket, &st) != 0)
		finding_add(f, FINDING_WARN, "api socket", "%s is not there: no stoker-api runs here", set->api.socket);
	else if (!S_ISSOCK(st.st_mode))
		finding_add(f, FINDING_FAIL, "api socket", "%s is no socket", set->api.socket);
	else if (st.st_mode & 0007)
		finding_add(f, FINDING_WARN, "api socket", "%s is open to everyone (mode %04o): 0660 is meant", set->api.socket,
		            st.st_mode & 07777);
	else
		finding_add(f, FINDING_OK, "api socket", "%s has mode %04o", set->api.socket, st.st_mode & 07777);
}

static void secret_file(const char *path, struct findings *f)
{
	struct stat st;

	if (!*path)
		return;
	if (stat(path, &st) != 0)
		finding_add(f, FINDING_FAIL, "password", "%s cannot be read", path);
	else if (st.st_mode & 0007)
		finding_add(f, FINDING_FAIL, "password", "%s is open to everyone (mode %04o)", path, st.st_mode & 07777);
	else
		finding_add(f, FINDING_OK, "password", "%s has mode %04o", path, st.st_mode & 07777);
}

static void disk(const struct settings *set, struct findings *f)
{
	enum { WARN_MIB = 1024 };
	struct statvfs s;
	unsigned long long free_mib;

	if (statvfs(set->node.dir, &s) != 0) {
		finding_add(f, FINDING_WARN, "node folder", "%s is not there: no runner has run here", set->node.dir);
		return;
	}
	free_mib = (unsigned long long)s.f_bavail * s.f_frsize >> 20;
	finding_add(f, free_mib < WARN_MIB ? FINDING_WARN : FINDING_OK, "node folder", "%s has %llu MiB free", set->node.dir, free_mib);
}

void doctor_host(const struct settings *set, struct findings *f)
{
	kernel(f);
	cgroups(f);
	runtimes(f);
	isolation(set, f);
	libfcgi(f);
	api_socket(set, f);
	secret_file(set->database.password_file, f);
	if (strcmp(set->database.password_file, set->logs.password_file) != 0)
		secret_file(set->logs.password_file, f);
	disk(set, f);
}
