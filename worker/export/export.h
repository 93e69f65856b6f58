#pragma once
#include "base/egress.h"
#include "base/loop.h"
#include "base/seal.h"
#include "model/settings.h"

/* Sends output to the log destinations of projects, at least once, in order within an attempt. Part of the
 * courier, in its loop: a batch at a time for each destination, which a stalled one alone waits for. */
struct export;
struct export_options {
	const struct settings *set;
	const struct seal_key *key;       /* NULL = there is none */
	const struct egress_list *allow;
	void (*on_rest)(void *arg);       /* export_end, and nothing is under way any more */
	void *arg;
};
/* What the options point to must outlive it. NULL with errno. */
struct export *export_new(struct loop *l, const struct export_options *options);
/* Begins nothing new; what is under way goes on. */
void export_end(struct export *x);
bool export_is_at_rest(const struct export *x);
/* False when it is not at rest: what is under way keeps its memory, and the settings; the process is about to end. */
bool export_free(struct export *x);
