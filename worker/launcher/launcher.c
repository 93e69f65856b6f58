#include "worker/launcher/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "worker/launcher/docker.h"
#include "worker/launcher/swarm.h"
#include "worker/monitor/cgroup.h"

enum { LEASE_BYTES = 8 };

/* A folder of the node: root's, entered by the runner's group, changed by nobody else. */
static enum err open_folder(struct ctx *cx, const struct launcher_options *opt, int at,
                            const char *name, mode_t mode, int *out)
{
	if (mkdirat(at, name, mode) && errno != EEXIST)
		return err_errno(cx, "make the folder %s", name);
	*out = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*out < 0 || fchown(*out, 0, opt->runner_gid) || fchmod(*out, mode))
		return err_errno(cx, "open the folder %s", name);
	return OK;
}

/* The one folder that is the runner's own: it unpacks there, and nobody else enters. */
static enum err open_packages(struct ctx *cx, const struct launcher_options *opt, struct launcher *l)
{
	TRY(open_folder(cx, opt, l->node, "packages", 0700, &l->packages));
	if (fchown(l->packages, opt->runner_uid, opt->runner_gid))
		return err_errno(cx, "give the folder packages to the runner");
	return OK;
}

/* Written in place by the runner's group; being root's in a sticky folder it cannot be replaced. */
static enum err open_lease(struct ctx *cx, const struct launcher_options *opt, struct launcher *l)
{
	static const char none[LEASE_BYTES] = { 0 }; /* past: nothing runs before the runner has one */
	struct stat st;

	l->lease = openat(l->node, "lease", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
	if (l->lease < 0 || fstat(l->lease, &st))
		return err_errno(cx, "open the node's lease file");
	if (st.st_uid != 0 || st.st_nlink != 1 || !S_ISREG(st.st_mode))
		return err_set(cx, ERR_INTERNAL, "open the node's lease file: it is not root's own");
	if (fchown(l->lease, 0, opt->runner_gid) || fchmod(l->lease, 0660))
		return err_errno(cx, "give the node's lease file to the runner");
	if (st.st_size != LEASE_BYTES && (ftruncate(l->lease, 0) ||
	                                  pwrite(l->lease, none, sizeof none, 0) != LEASE_BYTES))
		return err_errno(cx, "write the node's lease file");
	return OK;
}

/* The monitor and init lie beside the launcher itself. */
static enum err open_program(struct ctx *cx, const char *name, char *opened, int *out)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	char *slash;

	if (n < 0)
		return err_errno(cx, "find the launcher's own folder");
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash || (size_t)(slash - path) + strlen(name) + 2 > sizeof path)
		return err_set(cx, ERR_INTERNAL, "find %s: the path of its folder is too long", name);
	snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "%s", name);
	*out = open(path, O_PATH | O_CLOEXEC);
	if (opened)
		memcpy(opened, path, strlen(path) + 1);
	return *out >= 0 ? OK : err_errno(cx, "open %s", path);
}

static enum err make_tables(struct ctx *cx, struct launcher *l)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	l->starting_max = cores > 0 ? 2 * (size_t)cores : 2;
	l->starting = calloc(l->starting_max + 1, sizeof *l->starting);
	l->userns = calloc(l->opt.slots + 1, sizeof *l->userns); /* one more for test containers */
	l->holder = calloc(l->opt.slots + 1, sizeof *l->holder);
	l->lets_out = calloc(l->opt.slots + 1, sizeof *l->lets_out);
	l->owners = calloc(l->opt.slots + 1, sizeof *l->owners);
	if (!l->starting || !l->userns || !l->holder || !l->lets_out || !l->owners)
		return err_set(cx, ERR_INTERNAL, "make the table of slots: no memory");
	for (uint32_t i = 0; i <= l->opt.slots; i++)
		l->userns[i] = l->owners[i].userns = -1;
	return OK;
}

enum err launcher_open(struct ctx *cx, const struct launcher_options *opt, struct launcher *l)
{
	int names;

	*l = (struct launcher){ .opt = *opt, .chosen = -1 };
	/* for the files we make others get what we say, whatever the umask was */
	umask(0);
	/* first: mounts that are opened before would be those of another namespace */
	TRY(host_open(cx, opt, &l->host));
	/* the runner puts its socket there; sticky, so that it cannot touch what is root's */
	TRY(open_folder(cx, opt, AT_FDCWD, opt->node_dir, 01770, &l->node));
	TRY(open_folder(cx, opt, l->node, "jobs", 0750, &l->jobs));
	TRY(open_folder(cx, opt, l->node, "images", 0750, &l->images));
	TRY(open_folder(cx, opt, l->images, "names", 0755, &names));
	close(names);
	TRY(open_packages(cx, opt, l));
	TRY(open_lease(cx, opt, l));
	TRY(open_program(cx, "stoker-monitor", NULL, &l->monitor));
	TRY(open_program(cx, "stoker-init", l->init_path, &l->init));
	TRY(open_program(cx, "stoker-layers", NULL, &l->layers));
	if (!realpath(opt->node_dir, l->node_path))
		return err_errno(cx, "name the folder %s", opt->node_dir);
	TRY(network_open(cx, &l->opt, &l->network));
	TRY(make_tables(cx, l));
	attempt_find_holders(l);
	TRY(spec_parts_open(cx, &l->parts));
	TRY(docker_open(cx, l));
	return swarm_open(cx, l);
}

void launcher_close(struct launcher *l)
{
	/* without jobs the node's cgroup is empty; with jobs it stays */
	cgroup_drop_empty(l->opt.cgroup, l->host.cgroup_v2);
	spec_parts_close(&l->parts);
	free(l->starting);
	free(l->userns);
	free(l->owners);
	free(l->holder);
	free(l->lets_out);
}

bool launcher_answer(int runner, const void *reply, size_t n)
{
	const struct timespec pause = { 0, 10000000 };

	while (send(runner, reply, n, MSG_NOSIGNAL) < 0) {
		if (errno != ENOBUFS && errno != ENOMEM && errno != EINTR)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}
