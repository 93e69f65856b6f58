#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "model/event.h"
#include "store/log_store.h"

/* Server-sent events (docs/api.md). Of a log each has the id "ATTEMPT-BYTE": the first byte behind it,
 * counted in what the job wrote, so that who comes back with it misses nothing and gets nothing twice. */

/* What of the chunk comes from byte `from` on: `gap` when `from` lies before it, then `output`, one a
 * piece, at most 16 KiB each: "text" where that is UTF-8, else "base64". */
void event_put_chunk(struct buf *out, struct arena *a, int64_t attempt, const struct log_chunk *c, int64_t from);
/* `end`: the task is settled and this is all; no status when the task is gone. */
void event_put_end(struct buf *out, int64_t attempt, int64_t byte, const char *status);
/* `news`: there is output up to that byte. */
void event_put_news(struct buf *out, int64_t attempt, int64_t byte);
/* No event, but the id from which one goes on who has heard none yet (HTML, 9.2.6: an id counts without data). */
void event_put_place(struct buf *out, int64_t place);
/* A change of a task, as a CloudEvent; its id is its place. */
void event_put_change(struct buf *out, const struct event *e);
