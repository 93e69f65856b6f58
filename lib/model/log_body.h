#pragma once
#include "model/log_batch.h"
#include "model/log_destination.h"

/* How batches are written for their receivers (docs/logs.md). Pure. */

/* Of an HTTP template, `host` being who sends; in the batch's arena. */
struct str log_body(const struct log_batch *b, enum log_template t, const char *host);
const char *log_body_type(enum log_template t); /* Content-Type */

/* A message by RFC 5424, `host` being who sends: structured data `stoker@32473` (the number of RFC 5612 for
 * those without one), a BOM in front of a text that is not ASCII alone. */
void log_syslog(struct buf *b, const struct log_message *m, const char *host);
/* The same behind its length (RFC 6587 3.4.1, RFC 5425). */
void log_syslog_counted(struct buf *b, const struct log_message *m, const char *host);

/* What an Elasticsearch said of each entry: it answers 200 whatever became of them. */
struct log_bulk_answer {
	bool again;     /* some were turned away for now, or the answer is none */
	size_t refused; /* it will not have so many; one that it has already is not counted */
};
struct log_bulk_answer log_bulk_answer(struct ctx *cx, struct str body);
