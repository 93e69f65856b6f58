#pragma once
#include "cli/settings_file.h"
#include "store/db.h"

/* What commands of `admin` have open. Zeroed is closed. */
struct admin {
	struct settings set;
	struct db *db, *logs; /* logs connects only when it is used */
};
#define auto_admin __attribute__((cleanup(admin_close))) struct admin

/* Settings, and a connection to the task database, whose schema this program must know. */
enum err admin_open(struct cli *c, struct admin *out);
/* The same without asking for the schema. */
enum err admin_open_any(struct cli *c, struct admin *out);
void admin_close(struct admin *a);

/* A project by its id (24 hex digits) or its name. */
struct project;
enum err admin_project(struct cli *c, struct db *db, const char *id_or_name, struct project *out);
