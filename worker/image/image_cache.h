#pragma once
#include "worker/image/image_store.h"

/* Images that were fetched, not imported: nobody gave them a name, and they may go when room is wanted.
 *   NODE/images/sha256-<hex>/fetched   the bytes it takes, in decimal; its time is that of the last use
 * The launcher sets that time with each launch. */
#define IMAGE_FETCHED "fetched"

/* Writes the file above for an image below `images`. */
enum err image_cache_note(struct ctx *cx, int images, const unsigned char digest[SHA256_BYTES]);
/* Removes fetched images, the least recently used first, until all of them together take at most `most`
 * bytes; never one that a job runs on (`jobs` is NODE/jobs), nor that was used within the last minute,
 * since its launch may be under way. */
void image_cache_shrink(struct ctx *cx, int images, int jobs, int64_t most);
