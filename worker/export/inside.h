#pragma once
/* Inside worker/export: what its files share. */
#include "base/http_pool.h"
#include "model/log_body.h"
#include "store/log_cursor_store.h"
#include "store/log_destination_store.h"
#include "worker/courier/lane.h"
#include "worker/export/export.h"
#include "worker/export/syslog.h"
#include "worker/store_thread.h"

/* One destination as this courier knows it, while it is used. */
struct receiver {
	struct receiver *next;
	struct id id;
	int64_t updated_at;      /* of what is below: another one is made anew */
	struct http_pool *http;
	struct syslog_tls *tls;
	char *ca;
	struct lane health;
	size_t lines_most;       /* in a batch; fewer after it was refused */
	int64_t refusals;        /* of one and the same line */
	bool is_busy;
	int64_t used_us;         /* CLOCK_BOOTTIME */
};

struct export {
	struct export_options o;
	struct loop *loop;
	struct store_pool *store;
	struct id holder;
	char host[LOG_HOST_BYTES + 1];
	struct receiver *receivers;
	size_t turn;
	size_t busy, suspects;   /* batches under way; those to receivers that do not fare well */
	struct loop_timer poll;
	bool is_looking, is_ending, is_failing;
};

/* What is sent in one piece, from its reading to the storing of what became of it. */
struct batch {
	struct store_work w;
	struct export *x;
	struct receiver *r;
	struct id id, project;   /* of the destination */
	struct log_destination to;
	struct log_address address;
	struct str secret;       /* in clear, until it is sent */
	bool is_ping, is_suspect;
	struct log_batch lines;
	struct log_cursor *cursors;
	size_t n;
	struct ctx chunks;       /* as they were read; freed before the batch is sent */
	bool is_nothing;         /* somebody else holds it, or it is gone */
	bool has_more;           /* the batch was full */
	struct str body;         /* of HTTP, TCP and TLS */
	struct str *datagrams;   /* of UDP, lines.n of them */
	/* the outcome */
	bool is_sent;
	size_t refused;
	int64_t pause_s;
	char error[400];
	int tries;               /* to store it */
	struct loop_timer again;
};

/* A suspect's is smaller: many of them may stand for as long as a call may take. */
enum { BATCH_LINES = 1000, BATCH_BYTES = 256 << 10, SUSPECT_LINES = 250, SUSPECT_BYTES = 64 << 10, HOLD_EXTRA_S = 15 };

/* batch.c: in a store thread. */
enum err batch_read(struct store_work *w, struct db *tasks, struct db *logs);
enum err batch_store(struct store_work *w, struct db *tasks, struct db *logs);
/* send.c: calls batch_sent when it is over, never from within. */
void batch_send(struct batch *b);
/* export.c */
void batch_sent(struct batch *b);
