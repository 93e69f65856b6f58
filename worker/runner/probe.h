#pragma once
#include "model/settings.h"

/* Is the database server away, or only we? (reliability.md 5.2) */
enum server_sight {
	SERVER_LIVES, /* one of the configured servers greets a fresh connection */
	SERVER_AWAY,  /* each of them refuses, its socket is gone, it greets nobody within 2 s, or it is one
	               * of several and has no part in its Galera cluster */
	SERVER_UNSEEN, /* no route, no answer at all, no such name: it may be us who are cut off */
};
/* Looks at every configured server at the same time, with the account only at those of several that greet;
 * waits about 2 s, where a server greets and then hangs up to 6. Not for the loop. */
enum server_sight probe_servers(const struct settings_database *db);
