#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"
#include "fcgi/auth.h"
#include "fcgi/cgi.h"
#include "fcgi/doorbell.h"
#include "fcgi/fastcgi.h"
#include "fcgi/page/page.h"
#include "fcgi/quota.h"
#include "fcgi/supervisor.h"
#include "fcgi/targets.h"

/* Where a web server starts us without arguments (mod_fcgid, CGI), the environment says which file:
 * STOKER_CONF, else this one if it is there. */
static const char CONF_PATH[] = "/etc/stoker/stoker.conf";

static const char USAGE[] =
	"usage: stoker-api [-c FILE] [--version] [--help]\n"
	"Stoker's API and dashboard. Started with a listening socket as fd 0 it serves FastCGI on it\n"
	"(mod_fcgid), with GATEWAY_INTERFACE in the environment one plain CGI request, else FastCGI on\n"
	"the socket of [api] with [api] processes children. TERM stops, HUP rereads FILE.\n";

static void fill_process(struct process *p, const struct settings *set)
{
	*p = (struct process){ .set = set };
	p->db = db_new(set, DB_TASKS, DB_WAIT_API_S);
	p->logs = db_new(set, DB_LOGS, DB_WAIT_API_S);
	p->tokens = token_cache_new();
	p->targets = targets_new();
	p->quota = quota_new();
	p->bells = doorbells_new();
}

static void empty_process(struct process *p)
{
	db_free(p->db);
	db_free(p->logs);
	token_cache_free(p->tokens);
	page_kit_free(p->pages);
	targets_free(p->targets);
	quota_free(p->quota);
	doorbells_free(p->bells);
}

static int serve_fastcgi(const struct settings *set, int listener)
{
	struct process process;
	int status;

	fill_process(&process, set);
	status = fastcgi_serve(&process, listener);
	empty_process(&process);
	return status;
}

static int serve_cgi(const struct settings *set)
{
	struct process process;
	int status;

	fill_process(&process, set);
	status = cgi_serve(&process);
	empty_process(&process);
	return status;
}

/* --- who we are ------------------------------------------------------------------------------------ */
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

/* Before anything is opened; never back. */
static enum err drop_privileges(struct ctx *cx, const char *name)
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

/* --- how we were started --------------------------------------------------------------------------- */
static bool is_listening(int fd)
{
	int yes = 0;
	socklen_t n = sizeof yes;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n) == 0 && yes;
}

static const char *default_path(void)
{
	const char *path = getenv("STOKER_CONF");

	if (path && *path)
		return path;
	return access(CONF_PATH, R_OK) == 0 ? CONF_PATH : NULL;
}

/* 0 = go on; else the program ends with *status. */
static bool read_arguments(int argc, char **argv, const char **path, int *status)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
			*path = argv[++i];
			continue;
		}
		*status = strcmp(argv[i], "--help") && strcmp(argv[i], "--version") ? 2 : 0;
		if (strcmp(argv[i], "--version") == 0)
			printf("stoker-api %s\n", STOKER_VERSION);
		else
			fputs(USAGE, *status ? stderr : stdout);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	auto_ctx cx = { 0 };
	struct settings set;
	bool is_cgi = getenv("GATEWAY_INTERFACE") != NULL && !is_listening(STDIN_FILENO);
	const char *path = default_path();
	int status = 0;

	log_name("stoker-api");
	if (!is_cgi && read_arguments(argc, argv, &path, &status)) /* a CGI's arguments come from the query */
		return status;
	if (settings_read(&cx, path, &set) || drop_privileges(&cx, set.api.user)) {
		log_error("start", "error=\"%s\"", cx.message);
		return 1;
	}
	if (is_listening(STDIN_FILENO))
		return serve_fastcgi(&set, STDIN_FILENO);
	if (is_cgi)
		return serve_cgi(&set);
	return supervisor_run(&cx, path, &set, serve_fastcgi);
}
