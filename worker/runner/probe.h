#pragma once
#include "model/settings.h"

/* Is the database server away, or only we? (reliability.md 5.2) */
enum server_sight {
	SERVER_LIVES, /* one of the configured servers greets a fresh connection */
	SERVER_AWAY,  /* each of them refuses, its socket is gone, or it greets nobody within 2 s */
	SERVER_UNSEEN, /* no route, no answer at all, no such name: it may be us who are cut off */
};
/* Looks at every configured server, without an account; waits at most about 2 s. Not for the loop. */
enum server_sight probe_servers(const struct settings_database *db);
