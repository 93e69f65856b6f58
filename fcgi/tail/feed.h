#pragma once
#include "fcgi/api/stream_api.h"
#include "fcgi/tail/watch.h"

/* Who follows logs, and the one reader for all of them: after each poll of watch.h one statement asks
 * how long all followed logs are, and one for each 16 different places reads what is new there (where a log
 * is live, lib/store/log_live.h, behind its last chunk, another one). Readers
 * that stand at the same place share what was read and its events; one whose buffer is full is left out
 * until it has taken some. */
struct feed;
struct conn;

/* One reader. Inside its connection. */
struct stream {
	struct stream *next, **back; /* NULL back = follows nothing */
	struct conn *conn;
	struct stream_place at;
	struct watcher watcher;
	struct task_standing task;
	int64_t day, until;          /* of the attempt: where its chunks are, and its next one */
	int64_t live;                /* end of its newest output, behind the chunks; 0 = there is none */
	bool wants;                  /* in this round */
	size_t place;                /* among those that are being read */
};

/* The process and the watch must outlive it. */
struct feed *feed_new(struct process *process, struct watch *watch);
void feed_free(struct feed *f);
/* `at` and `conn` are set. */
void feed_add(struct feed *f, struct stream *s);
/* Of one that follows nothing too. */
void feed_remove(struct feed *f, struct stream *s);
