#pragma once
#include "base/ctx.h"
#include "model/settings.h"

#include <mysql.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which of several servers a connection uses: db.c alone has one of these for each of its connections.
 * Everybody prefers the first of the list, because a cluster's certification would undo what is written on
 * two servers at once; connections that are spread (`spread = on`) prefer any, and keep to that. */
struct db_place {
	size_t at, home;        /* places in the list: the one connected to, the preferred one */
	size_t first;           /* where to begin while `first_until_us` (CLOCK_BOOTTIME) is ahead */
	int64_t first_until_us;
	int64_t back_us;        /* when to look for the preferred one again, */
	int64_t away_us;        /* which is later the longer it is away */
};

void db_place_init(struct db_place *p, const struct settings_database *set);

/* A connection to the first server that stands well enough, in the order of the list: one that has just failed
 * is asked last, one that is behind its cluster only if no other is there. NULL: a sentence in cx and MariaDB's
 * number, 0 = ours, in *number. `wait_s` bounds each answer, in seconds. */
MYSQL *db_place_connect(struct db_place *p, struct ctx *cx, const struct settings_database *set, int wait_s,
                        unsigned *number);

/* The next connection begins with the server behind the one in use, for a while. */
void db_place_pass_over(struct db_place *p);

/* Whether the connection is to another server than the preferred one, and it is time to look for that. */
bool db_place_may_go_home(const struct db_place *p);

/* A connection to the preferred server if it has caught up with its cluster, else NULL, and no error. */
MYSQL *db_place_home(struct db_place *p, struct ctx *cx, const struct settings_database *set, int wait_s);
