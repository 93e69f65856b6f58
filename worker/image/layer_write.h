#pragma once
#include <archive.h>
#include <stdbool.h>

#include "base/ctx.h"
#include "worker/image/image_unpack.h"

/* Writes layers, the lowest first, into the current folder, which must be the root folder too: whatever
 * a link says, there is nothing else to reach. Refused: absolute paths, "..", links that lead out, more
 * than the limits; left out: devices, sockets, set-id bits, extended attributes. */
struct layer_writer {
	const struct image_limits *limits;
	uint64_t bytes, entries;
	size_t layers;
	struct arena arena; /* of one entry */
};

/* `tar` is read from its beginning. What it hides of the layers below (".wh.") goes first. ERR_INPUT. */
enum err layer_write(struct ctx *cx, struct layer_writer *w, int tar);
