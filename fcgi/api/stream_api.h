#pragma once
#include "fcgi/reply.h"

/* Where a reader of a stream stands. */
struct stream_place {
	enum { STREAM_LOG, STREAM_NEWS, STREAM_EVENTS } kind; /* NEWS: not the output, only that there is more */
	/* of a log: the byte of that attempt that comes next, counted in what the job wrote, and the chunk
	 * that holds it */
	struct id task;
	int64_t attempt, chunk, byte; /* attempt 0 = the first there is */
	/* of events: the last one that was heard */
	struct id project;
	int64_t place;
};

/* The head of a stream's answer, which stoker-tail goes on with from `at` (in the ctx's arena). */
void stream_api_begin(struct request *rq, struct reply *rp, const struct stream_place *at);

/* "2-1048576"; false on anything else. */
bool stream_place_parse(struct str text, int64_t *attempt, int64_t *byte);

/* GET P/tasks/{id}/log/stream: the output as server-sent events, while it is written; resumed behind
 * Last-Event-ID (or ?after=, for who cannot send that header) "ATTEMPT-BYTE". It leaves rp->stream for
 * stoker-tail to go on with; where there is no place for that, 503: the log is polled instead. */
enum err stream_api_log(struct request *rq, struct reply *rp);
/* The same for the dashboard, which renders output on the server: event `news` when there is more. */
enum err stream_api_news(struct request *rq, struct reply *rp);
