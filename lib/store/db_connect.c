#include "store/db_connect.h"

#include "base/conf.h"
#include "store/db_error.h"

#include <stdlib.h>

/* wsrep_sync_wait: a read sees what was committed on any server of a cluster before it began, and so do an
 * UPDATE or DELETE that compares before it sets, and the triggers of an INSERT. Without a cluster it means
 * nothing. */
static const char SESSION[] =
	"SET SESSION tx_isolation='READ-COMMITTED', time_zone='+00:00',"
	" sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO',"
	" innodb_lock_wait_timeout=3, wsrep_sync_wait=7";
/* A node that is outside answers SHOW STATUS, and hardly anything else. */
static const char STANDING[] = "SHOW GLOBAL STATUS WHERE Variable_name IN"
                               " ('wsrep_provider_name', 'wsrep_ready', 'wsrep_local_state')";

static const char LOCAL_STATE_SYNCED[] = "4";

enum { LOOK_S = 2 };

size_t db_servers(struct ctx *cx, const struct settings_database *set, const char *out[DB_SERVERS_MOST])
{
	struct str rest = str_of(*set->socket ? "" : set->host), host;
	size_t n = 0;

	while (n < DB_SERVERS_MOST && str_cut(&rest, ',', &host))
		if (str_trim(host).n)
			out[n++] = str_c(&cx->arena, str_trim(host));
	return n;
}

static void set_options(MYSQL *my, unsigned connect_s, unsigned wait_s)
{
	unsigned off = 0;
	my_bool no = 0;

	mysql_options(my, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
	mysql_options(my, MYSQL_OPT_READ_TIMEOUT, &wait_s);
	mysql_options(my, MYSQL_OPT_WRITE_TIMEOUT, &wait_s);
	mysql_options(my, MYSQL_OPT_RECONNECT, &no);
	mysql_options(my, MYSQL_OPT_LOCAL_INFILE, &off);
	mysql_options(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_options(my, MYSQL_INIT_COMMAND, SESSION);
}

MYSQL *db_dial(struct ctx *cx, const struct settings_database *set, const char *host, unsigned connect_s,
               unsigned wait_s, unsigned *number)
{
	char *password = NULL;
	MYSQL *my;

	*number = 0;
	if (*set->password_file && conf_secret(cx, set->password_file, &password) != OK) {
		cx->err = ERR_INTERNAL; /* not the fault of whoever asks */
		return NULL;
	}
	my = mysql_init(NULL);
	if (!my)
		abort();
	set_options(my, connect_s, wait_s);
	if (mysql_real_connect(my, host, set->user, password, set->name, host ? (unsigned)set->port : 0,
	                       host ? NULL : set->socket, 0))
		return my;
	*number = mysql_errno(my);
	err_set(cx, ERR_BUSY, "the database %s: %s (%u)",
	        db_error_kind(db_error_action(*number)) == ERR_BUSY ? "does not answer" : "refuses", mysql_error(my), *number);
	mysql_close(my);
	return NULL;
}

enum db_standing db_standing(MYSQL *my)
{
	bool in_cluster = false, ready = false, synced = false;
	MYSQL_RES *r;

	if (mysql_real_query(my, STANDING, sizeof STANDING - 1))
		return DB_SILENT;
	r = mysql_store_result(my);
	if (!r)
		return DB_SILENT;
	for (MYSQL_ROW row; (row = mysql_fetch_row(r));) {
		in_cluster |= strcasecmp(row[0], "wsrep_provider_name") == 0 && *row[1];
		ready |= strcasecmp(row[0], "wsrep_ready") == 0 && strcasecmp(row[1], "ON") == 0;
		synced |= strcasecmp(row[0], "wsrep_local_state") == 0 && strcmp(row[1], LOCAL_STATE_SYNCED) == 0;
	}
	mysql_free_result(r);
	return !in_cluster || (ready && synced) ? DB_SYNCED : ready ? DB_BEHIND : DB_OUTSIDE;
}

bool db_server_is_outside(const struct settings_database *set, const char *host)
{
	const char *servers[DB_SERVERS_MOST];
	auto_ctx cx = { 0 };
	enum db_standing s;
	unsigned number;
	MYSQL *my;

	if (db_servers(&cx, set, servers) < 2)
		return false;
	my = db_dial(&cx, set, host, LOOK_S, LOOK_S, &number);
	if (!my)
		return false;
	s = db_standing(my);
	mysql_close(my);
	return s == DB_OUTSIDE;
}
