#pragma once
#include "fcgi/exchange.h"
#include "fcgi/listener.h"
#include "fcgi/tail/feed.h"
#include "fcgi/tail/watch.h"

/* stoker-tail: answers that come late, without a process for each. One thread and one loop hold all
 * connections; what a request needs of the database it gets in its turn, like a process of stoker-api. */

/* One request of the web server's, from its connection to the end of the answer. */
struct conn {
	struct tail *tail;
	struct conn *next, **back;
	int fd;
	struct loop_watch *on_fd;
	enum conn_stage {
		CONN_READS,
		CONN_WAITS,  /* its answer is put off: on_change, the timer or the peer's end is next */
		CONN_STREAMS, /* its answer goes on, event by event */
		CONN_WRITES,
	} stage;
	struct loop_timer timer; /* the peer's patience or ours; waiting: the client's */
	struct buf in;           /* read, not taken yet */
	int request;             /* its number, 0 = not begun */
	bool has_params;
	struct buf params, body;
	struct str unread;       /* of the body */
	struct arena arena;      /* variables and watched tasks */
	struct request rq;
	struct reply rp;
	bool is_held;            /* rq and rp hold something */
	struct watcher watcher;  /* CONN_WAITS */
	struct stream stream;    /* CONN_STREAMS */
	struct buf out;
	size_t sent;             /* of `out` */
	uint64_t sent_in_all, sent_at_beat;
};

struct tail {
	struct loop *loop;
	struct process *process;
	const struct settings *set;
	struct watch *watch;
	struct feed *feed;
	struct event_feed *events;
	struct listener listener;
	struct loop_watch *on_listener; /* NULL: nobody is let in */
	struct conn *conns;
	size_t count, waiting;
	size_t body_bytes;              /* that all of them hold */
	struct loop_timer last;         /* of the end */
	bool ending;
};

/* Serves until TERM; the exit status. */
int tail_run(struct ctx *cx, struct process *process);

/* --- tail.c, for conn.c */
void tail_left(struct tail *t); /* a connection has gone */

/* --- conn.c */
void conn_new(struct tail *t, int fd);
/* What there is to say, now: sends the answer that was put off and ends. */
void conn_answer(struct conn *c);
/* Says that nothing follows, sends what there is and ends. */
void conn_finish(struct conn *c);
/* Sends what can be sent now; false: the connection is gone. */
bool conn_flush(struct conn *c);
void conn_close(struct conn *c);

/* --- wait.c: a watcher whose tasks' end the answer waits for */
void wait_begin(struct conn *c);
void wait_end(struct conn *c); /* of one that does not wait too */

/* --- stream.c: a log or a project that is followed */
void stream_begin(struct conn *c, const struct stream_place *at);
void stream_end(struct conn *c); /* of one that does not stream too */
/* For the feeds. May more be put? */
bool stream_has_room(const struct stream *s);
void stream_put(struct stream *s, struct str events);
void stream_put_news(struct stream *s);
void stream_put_end(struct stream *s, const char *status);
/* Sends what was put, and may close it. */
void stream_send(struct stream *s);
/* The end was put: removes it from the feed. */
void stream_finish(struct stream *s);
