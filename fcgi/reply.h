#pragma once
#include "fcgi/request.h"

struct stream_place;

/* The answer. Built whole, sent once: an error on the way replaces all of it. Only logs come in
 * pieces: `more` refills the body after each was sent, when the status is out already. */
struct reply {
	int status;          /* 0 = 200 */
	const char *type;    /* Content-Type */
	struct buf headers;  /* further "Name: value\r\n" lines, by reply_header only */
	struct buf lasting;  /* those that an error keeps, by reply_lasting_header */
	struct buf body;
	/* Called when the body was sent and emptied; adds the next bytes, and sets itself to NULL when
	 * those are the last. An error breaks the connection off, so that nobody takes the piece for
	 * the whole. */
	enum err (*more)(struct request *rq, struct reply *rp);
	void *more_arg;
	/* Set by a handler whose answer is better when it comes late (prefer.h), where the process can wait:
	 * what it built is then not sent. When the tasks are over, or the time, `later` builds the answer. */
	enum err (*later)(struct request *rq, struct reply *rp);
	const struct id *awaited; /* tasks, in the ctx's arena */
	size_t awaited_count;
	int wait_s;
	/* Set by a handler whose answer goes on when it was sent (api/stream_api.h): events, by fcgi/tail. */
	const struct stream_place *stream;
};

/* Where the answer goes: false when nobody listens any more. */
struct reply_sink {
	bool (*write)(void *arg, const char *p, size_t n);
	void (*finish)(void *arg); /* nothing follows: let the client have it; may be NULL */
	void *arg;
};

/* Adds a header; bytes below 0x20 in the value are left out, so nothing can forge a second one. */
void reply_header(struct reply *rp, const char *name, struct str value);
/* The same for one that stays when the answer turns into an error. */
void reply_lasting_header(struct reply *rp, const char *name, struct str value);
/* JSON with this status; takes the reference to `j`. Always OK. */
enum err reply_json(struct reply *rp, int status, json_t *j);
/* {"msg": msg}, and with an id {"id": …, "msg": …}. Always OK. */
enum err reply_msg(struct reply *rp, int status, const char *msg, const struct id *id);
/* text/plain; charset=utf-8. */
enum err reply_text(struct reply *rp, int status, struct str text);
/* 303 to base path + `path`. */
enum err reply_see_other(struct request *rq, struct reply *rp, const char *path);
/* Throws away what was built and answers what the ctx says: status of the kind, {"msg": sentence},
 * WWW-Authenticate with 401, Retry-After with 429 and 503. */
void reply_error(struct request *rq, struct reply *rp);
/* HTTP status of an error kind. */
int reply_status_of(enum err e);
/* Writes status, headers and body in CGI's form. False: nobody listens, or `more` failed. */
bool reply_send(struct request *rq, struct reply *rp, const struct reply_sink *sink);
void reply_release(struct reply *rp);
