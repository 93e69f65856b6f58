#pragma once
#include "fcgi/tail/feed.h"

/* Who hears of the changes of all tasks of a project, and the one reader for all of them: every [tail]
 * poll_ms, while anybody listens, one statement asks how far the events have got, and only when that is
 * further one for each 16 different places reads them. Who is at the end of his project's stands at the
 * same place as everybody, however he came. */
struct event_feed;

/* Loop and process must outlive it. */
struct event_feed *event_feed_new(struct loop *loop, struct process *process);
void event_feed_free(struct event_feed *f);
/* `at` (STREAM_EVENTS) and `conn` are set. */
void event_feed_add(struct event_feed *f, struct stream *s);
/* Of one that hears nothing too. */
void event_feed_remove(struct event_feed *f, struct stream *s);
