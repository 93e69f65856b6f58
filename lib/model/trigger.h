#pragma once
#include <jansson.h>

#include "base/ctx.h"
#include "base/egress.h"
#include "base/id.h"

/* A trigger: an incoming webhook that queues a task of one code. Pure: the clock is passed in. */
enum trigger_kind {
	TRIGGER_NONE,     /* whoever knows the URL */
	TRIGGER_GITHUB,   /* X-Hub-Signature-256 */
	TRIGGER_GITLAB,   /* X-Gitlab-Token */
	TRIGGER_STRIPE,   /* Stripe-Signature */
	TRIGGER_SLACK,    /* X-Slack-Signature */
	TRIGGER_STANDARD, /* Standard Webhooks */
	TRIGGER_HMAC,     /* HMAC-SHA256 of the body in a header of choice */
	TRIGGER_BASIC,    /* HTTP basic authentication; the secret is user:password */
	TRIGGER_KIND_COUNT,
};
enum { TRIGGER_TOLERANCE_S = 300, TRIGGER_SECRET_BYTES = 512, TRIGGER_TOKEN_BYTES = 32 };

struct trigger {
	struct id id, project_id, code_id;
	struct str code_name, name;
	enum trigger_kind kind;
	struct str sealed;   /* of the secret */
	struct str options;  /* JSON text */
	int64_t paused_at, created_at, updated_at;
};

const char *trigger_kind_name(enum trigger_kind kind);
bool trigger_kind_parse(struct str text, enum trigger_kind *out);

/* What came in. */
struct trigger_request {
	struct str (*header)(const void *arg, const char *name); /* "" if there is none */
	const void *arg;
	const char *address; /* of the sender */
	struct str body;
	int64_t now_s;       /* seconds since 1970 */
};

/* Is it from whom it says, and from an address that may? ERR_AUTH says why not. `options` is its JSON. */
enum err trigger_verify(struct ctx *cx, enum trigger_kind kind, struct str secret, const json_t *options,
                        const struct trigger_request *rq);
/* The sender's id of this delivery, "" if it has none: where `options` says, else where this kind has it. */
struct str trigger_delivery(struct ctx *cx, enum trigger_kind kind, const json_t *options, const struct trigger_request *rq,
                            const json_t *body);

/* Does the body pass the filter? Each entry is {"pointer": "/a/b", "equals": …}, "in": […] or
 * "exists": true; all must hold. */
bool trigger_passes(const json_t *options, const json_t *body);
/* A text field of the task by `map`, a pointer: absent or not in the body leaves *out. */
void trigger_map_text(struct ctx *cx, const json_t *options, const char *field, const json_t *body, struct str *out);
void trigger_map_int(struct ctx *cx, const json_t *options, const char *field, const json_t *body, int64_t *out);
/* The payload: by map.payload, a pointer or an object of pointers; without one the body as it is. */
struct str trigger_payload(struct ctx *cx, const json_t *options, const json_t *body, struct str raw);
/* What RFC 6901 says; NULL if it is not there. */
json_t *trigger_pointer(const json_t *j, const char *pointer);

/* Options of a request to make one: checked, and only what is known; as JSON text. ERR_INPUT names the field. */
enum err trigger_options_from_json(struct ctx *cx, const json_t *j, struct str *out);
/* A new reference; without secret and token. */
json_t *trigger_to_json(const struct trigger *t);
