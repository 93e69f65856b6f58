#pragma once
#include "base/ctx.h"

/* The machinery of configuration: a table of keys into a struct. The table itself is the
 * project's (model/settings). INI files; environment STOKER_<SECTION>_<KEY> overrides; unknown keys
 * and bad values are errors with file and line. */
enum conf_type {
	CONF_TEXT,  /* char * */
	CONF_INT,   /* int64_t, least..most */
	CONF_BOOL,  /* bool: yes, no, true, false, on, off, 1, 0 */
};

struct conf_key {
	const char *section, *key;
	enum conf_type type;
	const char *value;   /* default, as text */
	int64_t least, most; /* for CONF_INT */
	size_t offset;       /* of the field in the struct */
	const char *what;    /* one sentence: meaning and unit */
};

/* Fills the struct at `into` with defaults, then the file at `path` (NULL = none), then the
 * environment. Texts live in the arena of `cx`. ERR_INPUT says file, line, key and why. */
enum err conf_read(struct ctx *cx, const struct conf_key *keys, size_t n, const char *path, void *into);
/* The commented sample file, in the order of the table. */
struct str conf_sample(struct arena *a, const struct conf_key *keys, size_t n);
/* A secret out of a file: its first line without the line end. ERR_INPUT if unreadable or empty. */
enum err conf_secret(struct ctx *cx, const char *path, char **out);
