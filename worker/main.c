/* stoker-worker ROLE -c FILE: one program, several roles (role.c has the table).
 *
 * Signals of the role `runner`:
 *   SIGTERM, SIGINT  hand over: claim no more, leave the jobs running under their monitors with a
 *                    lease of 60 s, end. The node's next runner takes them over: an upgrade kills no
 *                    job.
 *   SIGUSR1          stop the node: claim no more, end every job (TERM, its grace but at most
 *                    node.stop_grace_s, 30 s, KILL), give each back for its next attempt (cause "node_stopped"), give up the session, end.
 *   SIGKILL          costs nothing either, if the next runner starts before the lease is over.
 * Of the other roles: SIGTERM, SIGINT and SIGUSR1 end them after what they are doing.
 *
 * Exit status: 0 ended as asked, 1 could not go on (the sentence is on stderr), 2 called wrongly. */
#include "base/log.h"
#include "base/version.h"
#include "store/schema_store.h"
#include "worker/launcher_start.h"
#include "worker/role.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int usage(FILE *to, int status)
{
	fputs("usage: stoker-worker ROLE -c FILE\n\nroles:\n", to);
	for (const struct role *r = WORKER_ROLES; r->name; r++)
		fprintf(to, "  %-10s %s\n", r->name, r->what);
	return status;
}

/* Jobs, connections and spools are descriptors: as many as we may. */
static void raise_descriptors(void)
{
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) == 0) {
		most.rlim_cur = most.rlim_max;
		setrlimit(RLIMIT_NOFILE, &most);
	}
}

/* Root's part: the privileged half, then no root at all. */
static enum err drop_rights(struct ctx *cx, const struct settings *set, const struct role *role, int *launcher)
{
	const char *user = worker_role_user(role, set);
	struct account who = { getuid(), getgid() };

	if (getuid() != 0)
		return OK;
	if (!*user)
		return err_set(cx, ERR_INPUT, "%s.user is empty: say which account the %s is to become", role->name, role->name);
	TRY(account_find(cx, user, &who));
	if (role->needs_launcher)
		TRY(launcher_start(cx, set, &who, launcher));
	return account_become(cx, &who);
}

/* Nobody works on a schema that wants newer programs. A database that is away is no reason not to begin:
 * there may be jobs to look after; with its first lease or round the role asks again. */
static enum err check_schema(struct ctx *cx, const struct settings *set)
{
	struct db *db = db_new(set, DB_TASKS, DB_WAIT_API_S);
	enum err e = schema_store_check(db, cx);
	bool is_away = e != OK && db_is_lost(db);

	db_free(db);
	return is_away ? OK : e;
}

static enum err work(struct ctx *cx, const struct role *role, const char *file)
{
	struct settings set;
	int launcher = -1;

	TRY(settings_read(cx, file, &set));
	TRY(drop_rights(cx, &set, role, &launcher));
	raise_descriptors();
	TRY(check_schema(cx, &set));
	return role->play(cx, &set, launcher);
}

int main(int argc, char **argv)
{
	static const struct option LONG[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	auto_ctx cx = { 0 };
	const struct role *role;
	const char *file = NULL;
	char program[40];

	for (int c; (c = getopt_long(argc, argv, "c:hV", LONG, NULL)) != -1;) {
		if (c == 'c')
			file = optarg;
		else if (c == 'h')
			return usage(stdout, 0);
		else if (c == 'V')
			return printf("stoker-worker %s\n", STOKER_VERSION) < 0;
		else
			return usage(stderr, 2);
	}
	if (optind != argc - 1)
		return usage(stderr, 2);
	role = worker_role_find(argv[optind]);
	if (!role)
		return usage(stderr, 2);
	snprintf(program, sizeof program, "stoker-%s", role->name);
	log_name(program);
	signal(SIGPIPE, SIG_IGN);
	if (work(&cx, role, file) == OK)
		return 0;
	log_error("failed", "why=\"%s\"", cx.message);
	return 1;
}
