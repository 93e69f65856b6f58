#pragma once
#include "base/id.h"
#include "store/db.h"

/* Callbacks that are due, as couriers take them (docs/schema.md, "Callbacks"). A new row is in lane 0;
 * the courier that meets it first gives it the lane of its receiver and holds it, or leaves it there when
 * that lane has no room. So a receiver that is dead keeps nobody waiting, however many rows it has. */
struct outbox_row {
	int64_t id, number, tries, plan_from; /* plan_from: tries before it was redelivered */
	struct id task_id, project_id, callback_id; /* callback_id zero: the URL is the task's own */
	struct str url, kind; /* "complete", "retried", …; in the arena */
	int64_t at;           /* of the event */
	int64_t lane;
	unsigned flags;       /* of model/callback */
	int64_t attempt;      /* as of the event, -1 = not known any more */
	bool is_named;        /* its webhook-id is callback_message_id's; else, from before, its number */
	enum outbox_gone { OUTBOX_THERE, OUTBOX_GONE_FOR_TASK, OUTBOX_GONE_FOR_CODE } gone; /* its URL answered 410 before */
	unsigned by_hand;     /* 1 = redelivered, 2 = alone or a test: tried even where the receiver rests */
	int64_t lane_failures; /* as stored for the lane, when it was asked for by its time; else -1 */
};

/* What a courier has room for: in lanes that it knows, and in each that it does not. */
struct outbox_lane {
	int64_t lane;
	size_t room;
	int64_t wait_s; /* with room 0: look again after that */
	size_t probes;  /* with room 0, since the receiver rests: room for rows by hand */
	bool more;      /* rows of it are known to wait: they are asked for, whatever receiver.next_at says */
	bool is_met, is_full; /* outbox_store_take's own */
};
struct outbox_want {
	struct outbox_lane *lanes; /* by rising lane */
	size_t n, room_of_unknown, most;
	int64_t hold_s; /* what is taken comes back after that, should the courier die */
};
struct outbox_taken {
	struct outbox_row *rows;
	size_t n;
	int64_t *full; /* lanes of which rows were left for want of room */
	size_t full_n;
};
/* Takes rows that are due by that room, rows of others skipped (SKIP LOCKED). `want->lanes` is copied,
 * the copy's room is counted down. */
enum err outbox_store_take(struct db *db, struct ctx *cx, struct outbox_want *want, struct outbox_taken *out);

/* Why a row is not due: outbox.waits. */
enum outbox_wait { OUTBOX_WAITS_FOR_NOTHING, OUTBOX_WAITS_RETRY, OUTBOX_WAITS_RETRY_AFTER, OUTBOX_WAITS_RECEIVER, OUTBOX_WAITS_PAUSED };

enum outbox_end {
	OUTBOX_DELIVERED,
	OUTBOX_AGAIN,    /* failed: tried again in next_s */
	OUTBOX_GIVEN_UP,
	OUTBOX_RELEASED, /* not tried: due again in next_s */
};
/* What became of one that was taken. */
struct outbox_outcome {
	enum outbox_end end;
	struct outbox_row row;
	bool tried;    /* a call was made: it goes into the log of tries */
	bool gone;     /* 410: the registered callback is disabled, or that URL of the task, and of its code */
	int64_t next_s;
	enum outbox_wait waits; /* until then */
	int64_t asked_s; /* its receiver's Retry-After: its URL is held so long */
	int64_t status, took_ms, lookup_ms, connect_ms, first_byte_ms; /* status 0 = no answer */
	struct str error, address, answer; /* answer: its first bytes */
	struct str request, body;          /* what was sent: its headers, a line each; n 0 = nothing */
	struct str answer_headers;         /* a line each */
};
enum { OUTBOX_ANSWER_BYTES = 1024, OUTBOX_BODY_BYTES = 16384, OUTBOX_LINES_BYTES = 4096 }; /* more is not kept */
/* How a lane fares: failures in a row, and the seconds for which it is not called (0 = it is). */
struct outbox_health {
	int64_t lane, failures, open_s;
};
/* Stores outcomes and lanes, all or none. An outcome told twice, or late, changes nothing. */
enum err outbox_store_tell(struct db *db, struct ctx *cx, const struct outbox_outcome *outcomes, size_t n,
                           const struct outbox_health *lanes, size_t lanes_n);

/* A callback that queues a task of `code` instead of a call, with `payload`; the task and the row's end
 * are one transaction: exactly once. ERR_NOT_FOUND when there is no such code, ERR_LIMIT when the chain of
 * such tasks is too long, ERR_CONFLICT when the row is over. */
enum { OUTBOX_HOPS_MOST = 100 };
enum err outbox_store_queue(struct db *db, struct ctx *cx, const struct outbox_row *row, struct str code,
                            struct str payload, struct str traceparent);
