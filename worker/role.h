#pragma once
#include "base/ctx.h"
#include "model/settings.h"

/* The roles of stoker-worker: one process plays one. */
struct role {
	const char *name;
	const char *what;     /* one sentence for --help */
	bool needs_launcher;  /* started by root: starts the privileged half before it drops its rights */
	/* Plays until a signal ends it. `launcher`: the descriptor to the privileged half, or -1. */
	enum err (*play)(struct ctx *cx, const struct settings *set, int launcher);
};

/* All rows, ended by one without a name. */
extern const struct role WORKER_ROLES[];
/* NULL if none has that name. */
const struct role *worker_role_find(const char *name);
/* The account that the role runs as when root starts it; "" = it stays root. */
const char *worker_role_user(const struct role *role, const struct settings *set);
