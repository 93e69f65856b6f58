#pragma once
#include "fcgi/reply.h"

/* The least that somebody must be. The roles are those in the project of the path. */
enum auth {
	AUTH_NONE = 1,  /* anybody */
	AUTH_KNOWN,     /* any valid token or session */
	AUTH_VIEWER,    /* from here on the pattern must have {project} */
	AUTH_DEVELOPER,
	AUTH_OPERATOR,
	AUTH_ADMIN,     /* of the whole instance; needs no {project} */
};

enum body {
	BODY_NONE = 1, /* read and dropped: clients send {} with GET and DELETE (IronWorker rule 8) */
	BODY_JSON,     /* an object of at most 1 MiB; none or blanks = {}; any Content-Type (rule 7) */
	BODY_TASKS,    /* an object of at most limits.request bytes */
	BODY_PAYLOAD,  /* raw bytes, at most limits.payload */
	BODY_CODE,     /* the six forms of a registration (rule 11), with or without a zip: rq->upload */
	BODY_FORM,     /* urlencoded, at most 1 MiB: pages */
};

/* The two faces of the front door: how they know people, and how they say no. */
struct surface {
	/* Who asks? Fills rq->who with the role in `project` (NULL: none asked); ERR_AUTH if nobody
	 * we know. Called before the body is read, and again after it when `in_body` said so. */
	enum err (*identify)(struct request *rq, const struct id *project);
	/* Answers the error in rq->cx. */
	void (*fail)(struct request *rq, struct reply *rp);
	/* Runs between identity, body and handler for requests that change something (CSRF); may be
	 * NULL. */
	enum err (*guard)(struct request *rq);
};
extern const struct surface API;  /* fcgi/auth.c: tokens and {"msg"} */
extern const struct surface PAGE; /* fcgi/page/: session cookie and pages */

struct route {
	enum method method;
	const char *path; /* "/2/projects/{project}/tasks/{id}": a {name} takes one whole segment */
	const struct surface *surface;
	enum auth who;
	enum body body;
	enum err (*handler)(struct request *rq, struct reply *rp);
	const char *title; /* pages: its word in the menu; NULL = not in the menu */
};

/* Everything one can ask for (fcgi/routes.c); a literal segment beats a {name}, so the order of the
 * rows says nothing. */
extern const struct route ROUTES[];
extern const size_t ROUTE_COUNT;

/* Finds the row for method and path. ERR_NOT_FOUND; ERR_METHOD with *allowed = the methods that
 * would do. */
enum err route_find(struct request *rq, unsigned *allowed);
/* From a parsed request to a finished reply, errors included: what the row demands is checked here,
 * once. */
void route_serve(struct request *rq, struct reply *rp);
/* The answer that route_serve left to rp->later. */
void route_serve_later(struct request *rq, struct reply *rp);
