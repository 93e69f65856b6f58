#pragma once
#include "base/ctx.h"
#include "base/id.h"
#include "model/task.h"

/* A URL that is told of a task's changes; or code:NAME, and a task of that code is queued. */
enum { CALLBACK_URL_BYTES = 2048, CALLBACK_ORIGIN_BYTES = 300 };

/* What a callback may be told of; also outbox.task_state and, as 1 << kind, callback.states. The first are
 * the states (model/task_state.h), in their order. */
enum callback_kind {
	CALLBACK_RETRIED = 9, /* it failed, and a new task was queued for it */
	CALLBACK_DEAD,        /* it failed, and nothing comes after it */
	CALLBACK_TEST,        /* somebody asked for one */
	CALLBACK_KIND_COUNT,
};
enum { CALLBACK_ORDERED = 1, CALLBACK_WITH_PAYLOAD = 2 }; /* flags */
/* In task.notify, above the kinds: the flags. */
enum { CALLBACK_NOTIFY_SHIFT = 14, CALLBACK_KINDS = 0x7ff };

/* A registered one. */
struct callback {
	struct id id, project_id, code_id; /* code_id zero = every code of the project */
	struct str code_name;              /* "" = every code */
	unsigned states, flags;            /* bits 1 << kind */
	struct str name, url;
	int64_t paused_at, disabled_at, created_at, updated_at; /* disabled: it answered 410 */
	int64_t failing_at, failures; /* its receiver: since when, and how often in a row; TIME_NONE, 0 = it is not */
};

/* OK for "" (none), for an absolute http or https URL without user info, blanks and control bytes, and
 * for code:NAME; ERR_INPUT "field callback: …" otherwise. Which addresses may be called is the courier's
 * to decide, at the time of the call. */
enum err callback_check(struct ctx *cx, struct str url);
/* The NAME of code:NAME; false if it is a URL. */
bool callback_code(struct str url, struct str *name);
/* The receiver of a checked URL in lower case: "https://host:8443", "code:". In the arena. */
struct str callback_origin(struct arena *a, struct str url);
/* The webhook-id of what a receiver (callback zero: the task's own URL) is told of a task's n-th change: "msg_" and 32
 * hexadecimal digits, a hash of them. The same for every try and in every copy of the database; nobody else's. */
char *callback_message_id(struct arena *a, const struct id *task, int64_t number, struct str kind, const struct id *callback);
/* Turns a task back to what it was as this was told: what began, ended or was said later is taken out. Ends stay
 * as they are. `attempt` -1: not known any more. */
void callback_task_then(struct task *t, struct str kind, int64_t at, int64_t attempt);
/* The lane of a project's receiver: a hash, never 0, so that one project cannot fill another's. */
int64_t callback_lane(const struct id *project, struct str origin);
