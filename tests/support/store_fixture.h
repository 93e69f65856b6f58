#pragma once
#include "store/db.h"

/* A migrated database of the test program's own, for tests of lib/store and of what stands on it. */
struct store_fixture {
	struct settings set;
	struct ctx cx;
	struct db *db, *logs;
};

/* In main, before the tests run: starts the throw-away MariaDB (none where STOKER_TEST_CLUSTER is in the
 * environment: then the settings there name empty databases, see tests/faults/test_galera.py) and applies the migrations in sql/
 * (found from the working folder or above the program). Exits with a sentence when it cannot. */
void store_fixture_serve(void);
/* In a test: connections of its own. The settings name the throw-away server. */
void store_fixture_open(struct store_fixture *f);
void store_fixture_close(struct store_fixture *f);

/* A fresh project with a name that nobody else has. */
struct id given_project(struct store_fixture *f);
/* A code named `name` with image "busybox" in it. */
struct id given_code(struct store_fixture *f, const struct id *project, const char *name);
/* A task of that code as a plain INSERT through the trigger; `callback` "" = none. */
struct id given_task(struct store_fixture *f, const struct id *project, const char *code, const char *callback);
/* One number out of the database, by a query without parameters. */
int64_t number_in(struct store_fixture *f, struct db *db, const char *query);
/* A statement as it stands (DDL, set-up); exits when it is refused. */
void run_in(struct store_fixture *f, struct db *db, const char *statement);
