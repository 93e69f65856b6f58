#pragma once
#include "store/db.h"

/* The number of the newest migration that this program knows. */
enum { SCHEMA_VERSION = 28 };

/* OK if this program may run on that schema (its version is not below ours, and its oldest_program
 * not above); ERR_BUSY otherwise, and the sentence says what to do. */
enum err schema_store_check(struct db *db, struct ctx *cx);
/* Applies the numbered files of `folder` (0001_*.sql …; sections for the log database are in files
 * named NNNN_*.logs.sql) that are not applied yet; *applied = how many. Safe to run twice and
 * beside running programs (lock_wait_timeout 1, tried again). Then rights.sql, if it is there: grants, of
 * which those to accounts that do not exist are passed over. `db` and `logs` are of an account that may
 * do DDL, and grant. */
enum err schema_store_migrate(struct db *db, struct db *logs, struct ctx *cx, const char *folder, int *applied);
