#pragma once
#include "base/ctx.h"
#include "model/settings.h"

#include <mysql.h>
#include <stdbool.h>

/* Servers and how they stand: for db.c and whoever looks at each of several servers. */
enum { DB_SERVERS_MOST = 16 };

/* The servers of [database] host in their order, at most DB_SERVERS_MOST; 0 when a socket is used. */
size_t db_servers(struct ctx *cx, const struct settings_database *set, const char *out[DB_SERVERS_MOST]);

/* A connection with our session's settings, or NULL with a sentence and MariaDB's number in *number.
 * `host` NULL = the socket. `connect_s` bounds connecting, `wait_s` each answer, both in seconds. */
MYSQL *db_dial(struct ctx *cx, const struct settings_database *set, const char *host, unsigned connect_s,
               unsigned wait_s, unsigned *number);

/* How a server that answers stands to its cluster. One of no cluster is always DB_SYNCED. */
enum db_standing {
	DB_SILENT,  /* it did not say */
	DB_OUTSIDE, /* not in the primary component: whatever one asks, it answers 1047 */
	DB_BEHIND,  /* in it, but it gets or gives a copy of the data, or has not caught up yet */
	DB_SYNCED,
};
enum db_standing db_standing(MYSQL *my);

/* Whether one of several configured servers answers that it is DB_OUTSIDE. Waits at most about 2 s for
 * each of its answers. With a single configured server it is never said: the others of its cluster may be
 * at work elsewhere. */
bool db_server_is_outside(const struct settings_database *set, const char *host);
