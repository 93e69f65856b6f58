#pragma once
#include "base/crypt.h"
#include "base/loop.h"
#include "model/settings.h"

/* The node's packages: each unpacked once, however many tasks wait for it, and kept until the room of
 * [node] packages_mb is needed for others; the least recently used goes first, never one in use. All
 * waiting is done by threads of the cache's own. The node's folder is the current one. */

enum package_state {
	PACKAGE_READY,  /* it is there, whole */
	PACKAGE_COMING, /* `settled` will be called */
	PACKAGE_BAD,    /* it was tried before and cannot be unpacked, here as anywhere */
};

/* Called from the loop. */
struct package_events {
	/* What was coming is there (OK), or never will be: ERR_INPUT: the package is bad; ERR_NOT_FOUND: it is
	 * not stored; ERR_INTERNAL: this node cannot. */
	void (*settled)(void *arg, const unsigned char digest[SHA256_BYTES], enum err err, const char *why);
	/* Does a job need it, one that runs or one that waits? */
	bool (*is_needed)(void *arg, const unsigned char digest[SHA256_BYTES]);
	/* How the last try ended, for whoever tells of troubles with the database: OK or ERR_BUSY and such. */
	void (*tried)(void *arg, enum err err, const char *why);
};

struct package_cache;
/* Finds what an earlier runner unpacked, and begins to remove what it left half done. The settings must
 * outlive it. ERR_INTERNAL with a sentence. */
enum err package_cache_open(struct ctx *cx, struct loop *l, const struct settings *set,
                            const struct package_events *events, void *arg, struct package_cache **out);
/* Asks for a package, which counts as its use. PACKAGE_BAD: *why is a sentence, good until the next call. */
enum package_state package_cache_want(struct package_cache *c, const unsigned char digest[SHA256_BYTES], const char **why);
/* No more tries, and what is under way ends as soon as it can. `settled` is called no more. */
void package_cache_stop(struct package_cache *c);
/* Whether a thread still works. */
bool package_cache_is_busy(const struct package_cache *c);
/* Only when it is not busy; NULL is fine. Packages stay on the disk. */
void package_cache_close(struct package_cache *c);
