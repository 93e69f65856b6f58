#include "worker/unpack/confine.h"

#include <errno.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CPU_S_MOST = 900, FILES_MOST = 64 };

/* Every right that Landlock's first version knows; what is not granted below is gone. */
#define RIGHTS (LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1)
#define RIGHTS_BELOW                                                                               \
	(LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM |      \
	 LANDLOCK_ACCESS_FS_WRITE_FILE)

static enum err confine_files(struct ctx *cx, int files)
{
	struct landlock_ruleset_attr all = { .handled_access_fs = RIGHTS };
	struct landlock_path_beneath_attr below = { .allowed_access = RIGHTS_BELOW, .parent_fd = files };
	int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
	enum err e = OK;

	if (rules < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
		return OK;
	if (rules < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) ||
	    syscall(SYS_landlock_restrict_self, rules, 0))
		e = err_errno(cx, "confine the unpacking to its folder");
	if (rules >= 0)
		close(rules);
	return e;
}

enum err confine(struct ctx *cx, int files, int64_t file_bytes)
{
	const struct {
		__rlimit_resource_t what;
		rlim_t most;
	} limits[] = {
		{ RLIMIT_FSIZE, (rlim_t)file_bytes },
		{ RLIMIT_CPU, CPU_S_MOST },
		{ RLIMIT_NOFILE, FILES_MOST },
		{ RLIMIT_CORE, 0 },
	};

	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
		if (setrlimit(limits[i].what, &(struct rlimit){ limits[i].most, limits[i].most }))
			return err_errno(cx, "limit the unpacking");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return err_errno(cx, "confine the unpacking");
	return confine_files(cx, files);
}
