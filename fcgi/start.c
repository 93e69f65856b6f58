#include "fcgi/start.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/version.h"

/* Where a web server starts us without arguments (mod_fcgid, CGI), the environment says which file:
 * STOKER_CONF, else this one if it is there. */
static const char CONF_PATH[] = "/etc/stoker/stoker.conf";

const char *start_conf_path(void)
{
	const char *path = getenv("STOKER_CONF");

	if (path && *path)
		return path;
	return access(CONF_PATH, R_OK) == 0 ? CONF_PATH : NULL;
}

bool start_arguments(int argc, char **argv, const char *name, const char *usage, const char **path, int *status)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
			*path = argv[++i];
			continue;
		}
		*status = strcmp(argv[i], "--help") && strcmp(argv[i], "--version") ? 2 : 0;
		if (strcmp(argv[i], "--version") == 0)
			printf("%s %s\n", name, STOKER_VERSION);
		else
			fputs(usage, *status ? stderr : stdout);
		return true;
	}
	return false;
}

static enum err find_user(struct ctx *cx, const char *name, uid_t *uid, gid_t *gid)
{
	struct passwd *known = getpwnam(name);
	int64_t number;

	if (!known && str_int(str_of(name), &number) && number > 0 && number < UINT32_MAX) {
		*uid = (uid_t)number;
		known = getpwuid(*uid);
		*gid = known ? known->pw_gid : (gid_t)number;
		return OK;
	}
	if (!known)
		return err_set(cx, ERR_INPUT, "api.user: there is no user '%s'", name);
	*uid = known->pw_uid;
	*gid = known->pw_gid;
	return OK;
}

enum err start_drop_privileges(struct ctx *cx, const char *name)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0 || !*name)
		return OK;
	TRY(find_user(cx, name, &uid, &gid));
	if (initgroups(name, gid) < 0 && setgroups(0, NULL) < 0)
		return err_errno(cx, "set the groups of user '%s'", name);
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_errno(cx, "become user '%s'", name);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return OK;
}
