#pragma once
#include "cli/client.h"

/* Server-sent events of the API, as they come. */
struct stream_event {
	struct str id, name, data; /* "" = not said; until on_event returns */
};

struct event_stream {
	/* Not OK ends the stream with that error. */
	enum err (*on_event)(void *arg, const struct stream_event *e);
	void *arg;
	struct buf line, id, name, data; /* of the event that is being read */
	struct cli *cli;
	enum err err;
	int64_t heard_us;
};

/* Reads the stream at `path` below the project, from behind `last_id` ("" = its beginning), until the
 * server ends it: OK. ERR_BUSY: broken off, silent for 40 s, interrupted, or there is none at the moment;
 * else what on_event said, or why it was refused. *came (may be NULL) = it had begun. */
enum err event_stream_read(struct cli *c, const struct client *to, const char *path, const char *last_id,
                           struct event_stream *s, bool *came);
