#include "cli/admin/findings.h"

#include "base/clock.h"
#include "model/settings.h"
#include "store/db_connect.h"
#include "store/doctor_store.h"

enum { WAIT_S = 5, SETTLED_S = 10, SILENCE_MOST_US = 5000000 };

struct server {
	const char *host;
	bool answers;
	struct doctor_galera g;
};

static void ask(struct findings *f, const struct settings *set, struct server *s, int64_t until)
{
	struct settings one = *set;
	struct db *db;

	if (s->host)
		one.database.host = arena_text(&f->cx->arena, s->host);
	else
		s->host = "this server";
	db = db_new(&one, DB_TASKS, WAIT_S);
	s->answers = doctor_store_galera(db, f->cx, until, &s->g) == OK;
	if (!s->answers && db_server_is_outside(&set->database, s->host))
		finding_add(f, FINDING_FAIL, "galera", "%s: it is outside of the primary component, cut off from most of its cluster", s->host);
	else if (!s->answers)
		finding_add(f, FINDING_FAIL, "galera", "%s: %s", s->host, f->cx->message);
	db_free(db);
}

/* What each server's own settings may lose. */
static void judge_settings(struct findings *f, const struct server *s)
{
	const struct doctor_galera *g = &s->g;

	if (g->flush != 1)
		finding_add(f, FINDING_FAIL, "galera", "%s: innodb_flush_log_at_trx_commit = %lld: accepted tasks are lost when all"
		            " nodes go down; set 1", s->host, (long long)g->flush);
	if (!str_is(g->binlog_format, "ROW"))
		finding_add(f, FINDING_FAIL, "galera", "%s: binlog_format = " STR_FMT ": Galera replicates rows; set ROW", s->host,
		            STR_ARG(g->binlog_format));
	if (g->autoinc_mode != 2)
		finding_add(f, FINDING_FAIL, "galera", "%s: innodb_autoinc_lock_mode = %lld: set 2", s->host, (long long)g->autoinc_mode);
	if (g->silence_us > SILENCE_MOST_US)
		finding_add(f, FINDING_WARN, "galera", "%s: evs.inactive_timeout = %lld s: a node that falls silent stops all writes for"
		            " that long, and jobs are killed when runners cannot renew; see conf/mariadb/galera.cnf", s->host,
		            (long long)(g->silence_us / 1000000));
}

static void judge_standing(struct findings *f, const struct server *s, size_t listed)
{
	const struct doctor_galera *g = &s->g;
	bool well = str_is(g->component, "Primary") && str_is(g->state, "Synced");

	finding_add(f, well ? FINDING_OK : FINDING_FAIL, "galera", "%s: " STR_FMT ", " STR_FMT ", sees %lld of %lld nodes", s->host,
	            STR_ARG(g->component), STR_ARG(g->state), (long long)g->size, (long long)g->nodes);
	if (g->size < g->nodes)
		finding_add(f, 2 * g->size > g->nodes ? FINDING_WARN : FINDING_FAIL, "galera", "%s: %lld nodes are missing: %s", s->host,
		            (long long)(g->nodes - g->size), 2 * g->size > g->nodes ? "one more that goes may stop the cluster" :
		            "it is no majority of its cluster, what it accepts others may not have");
	if (g->nodes % 2 == 0)
		finding_add(f, FINDING_WARN, "galera", "%s: wsrep_cluster_address names %lld nodes: halves of an even number stop each"
		            " other; name all of an odd number", s->host, (long long)g->nodes);
	if ((int64_t)listed < g->nodes)
		finding_add(f, FINDING_FAIL, "galera", "[database] names %zu of the %lld nodes: a runner that cannot reach those believes"
		            " that the database is away, and others start its jobs anew; name all", listed, (long long)g->nodes);
}

/* One history, and the same in it. A node that was started without its position calls itself synced and
 * stays behind: only its rows tell. */
static void compare(struct findings *f, const struct server *list, size_t n)
{
	const struct server *first = NULL;
	bool equal = true;

	for (size_t i = 0; i < n; i++) {
		const struct server *s = &list[i];

		if (!s->answers || !s->g.on || !s->g.recent.n)
			continue;
		first = first ? first : s;
		if (!str_equal(s->g.history, first->g.history))
			finding_add(f, FINDING_FAIL, "galera", "%s and %s are of two clusters: decide which one counts, and empty the data"
			            " folder of the other", first->host, s->host);
		else if (!str_equal(s->g.recent, first->g.recent))
			finding_add(f, FINDING_FAIL, "galera", "%s and %s have different tasks: one was started without its position"
			            " (conf/mariadb/galera-recover.sh); stop it, remove its grastate.dat, and it gets all anew", first->host, s->host);
		else
			continue;
		equal = false;
	}
	if (first && equal && n > 1)
		finding_add(f, FINDING_OK, "galera", "the newest tasks are the same on all servers");
}

void doctor_galera(const struct settings *set, struct findings *f)
{
	struct server list[DB_SERVERS_MOST] = { { 0 } };
	const char *hosts[DB_SERVERS_MOST];
	size_t listed = db_servers(f->cx, &set->database, hosts), n = listed ? listed : 1, of_cluster = 0;
	int64_t until = clock_wall_us() - SETTLED_S * 1000000LL;

	for (size_t i = 0; i < n; i++) {
		list[i].host = listed ? hosts[i] : NULL;
		ask(f, set, &list[i], until);
		of_cluster += list[i].answers && list[i].g.on;
	}
	for (size_t i = 0; i < n && of_cluster; i++) {
		if (!list[i].answers)
			continue;
		if (!list[i].g.on) {
			finding_add(f, FINDING_FAIL, "galera", "%s: wsrep_on = OFF: it replicates nothing, as others of the list do", list[i].host);
			continue;
		}
		judge_settings(f, &list[i]);
		judge_standing(f, &list[i], n);
	}
	compare(f, list, n);
}
