/* What a batch consists of, read and written in a store thread. */
#include "worker/export/inside.h"

#include "base/clock.h"
#include "store/log_follow.h"

enum {
	CURSORS_MOST = 200,
	READ_BYTES = 512 << 10, /* about so much is read at once */
	PART_HTTP = 16384,
	PART_STREAM = 2048,     /* of a line, so that with all else it stays under rsyslog's 8 KiB */
	PART_DATAGRAM = 1000,
};

/* --- lines --------------------------------------------------------------------------------------------------- */

/* Several logs that are read together. */
struct reading {
	struct log_cursor *cursor[LOG_FOLLOW_PLACES];
	struct log_gather gather[LOG_FOLLOW_PLACES];
	bool is_read[LOG_FOLLOW_PLACES]; /* to the end of what was there */
	size_t n;
};

static int64_t bytes_left(const struct log_cursor *c)
{
	int64_t sent = c->at.byte[0] < c->at.byte[1] ? c->at.byte[0] : c->at.byte[1], left = c->head.bytes - sent;

	return left < BATCH_BYTES ? left : BATCH_BYTES;
}

static bool take_chunk(struct log_gather *g, const struct log_chunk *c)
{
	int64_t byte = c->first_byte;
	size_t at = 0;

	for (size_t i = 0; i < c->piece_count && at < c->plain.n; i++) {
		size_t n = c->pieces[i].bytes < c->plain.n - at ? c->pieces[i].bytes : c->plain.n - at;

		if (!log_gather_add(g, c->number, byte, c->pieces[i].stream, c->pieces[i].at, str_bytes(c->plain.p + at, n)))
			return false;
		at += n;
		byte += (int64_t)n;
	}
	log_gather_chunk_end(g, c->number);
	return true;
}

/* A round for those that are not read to their ends; *left = how many are not. */
static enum err read_round(struct batch *b, struct db *logs, struct reading *r, size_t *left)
{
	struct log_place places[LOG_FOLLOW_PLACES];
	size_t of[LOG_FOLLOW_PLACES], n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (!r->is_read[i]) {
			const struct log_cursor *c = r->cursor[i];

			places[n] = (struct log_place){ .task = c->task, .attempt = c->attempt, .day = c->head.day,
				                        .number = r->gather[i].chunk };
			of[n++] = i;
		}
	if (log_follow_read(logs, &b->chunks, places, n) != OK)
		return err_set(&b->w.cx, b->chunks.err, "%s", b->chunks.message);
	*left = 0;
	for (size_t i = 0; i < n; i++) {
		struct log_gather *g = &r->gather[of[i]];
		size_t k = 0;

		while (k < places[i].n && take_chunk(g, &places[i].chunks[k]))
			k++;
		r->is_read[of[i]] = k == places[i].n && k < LOG_FOLLOW_CHUNKS;
		*left += !r->is_read[of[i]];
	}
	return OK;
}

static enum err read_some(struct batch *b, struct db *logs, struct reading *r)
{
	size_t left = r->n;

	enum err e = OK;

	while (e == OK && left && !log_batch_is_full(&b->lines)) {
		e = read_round(b, logs, r, &left);
		ctx_reset(&b->chunks);
	}
	for (size_t i = 0; i < r->n; i++) {
		struct log_cursor *c = r->cursor[i];

		if (r->is_read[i] && c->head.closed)
			log_gather_flush(&r->gather[i], false);
		log_gather_end(&r->gather[i], &c->at);
		c->is_done = r->is_read[i] && c->head.closed;
		c->seen = r->is_read[i] ? c->head.next : 0;
		b->has_more |= !r->is_read[i];
	}
	return e;
}

static struct log_source *sources_of(struct batch *b, const struct log_task *tasks)
{
	struct log_source *all = arena_array(&b->w.cx.arena, b->n, sizeof *all);

	for (size_t i = 0; i < b->n; i++)
		all[i] = (struct log_source){ .project = b->project, .task = b->cursors[i].task, .code = tasks[i].code,
			                      .attempt = b->cursors[i].attempt };
	return all;
}

/* Until the batch is full: cursors that were not reached are left as they are. */
static enum err read_lines(struct batch *b, struct db *tasks, struct db *logs)
{
	struct arena *a = &b->w.cx.arena;
	struct log_source *sources;
	struct log_task *of;
	size_t found, at = 0;
	struct id *ids;

	TRY(log_cursor_store_due(logs, &b->w.cx, &b->id, CURSORS_MOST, &b->cursors, &b->n));
	found = b->n;
	b->has_more = found == CURSORS_MOST;
	ids = arena_array(a, found, sizeof *ids);
	of = arena_array(a, found, sizeof *of);
	for (size_t i = 0; i < found; i++)
		ids[i] = b->cursors[i].task;
	TRY(log_cursor_store_tasks(tasks, &b->w.cx, ids, found, of));
	sources = sources_of(b, of);
	while (at < found && !log_batch_is_full(&b->lines)) {
		struct reading r = { .n = 0 };
		int64_t bytes = 0;

		for (; at < found && r.n < LOG_FOLLOW_PLACES && bytes < READ_BYTES; at++, r.n++) {
			bytes += bytes_left(&b->cursors[at]);
			r.cursor[r.n] = &b->cursors[at];
			log_gather_begin(&r.gather[r.n], &b->lines, &sources[at], &b->cursors[at].at);
		}
		TRY(read_some(b, logs, &r));
	}
	b->n = at;
	b->has_more |= at < found;
	return OK;
}

/* --- what they become ---------------------------------------------------------------------------------------- */

static void add_ping(struct batch *b)
{
	struct log_source *of = arena_take(&b->w.cx.arena, sizeof *of);

	*of = (struct log_source){ .project = b->project, .code = STR_LIT("stoker") };
	log_batch_add(&b->lines, (struct log_message){ .of = of, .stream = LOG_NOTICE, .at = clock_wall_us(), .sequence = 1,
	                                               .text = STR_LIT("a test message of Stoker's: this log destination was pinged") });
}

static void write_frames(struct batch *b)
{
	bool counted = b->address.scheme != LOG_UDP;
	struct arena *a = &b->w.cx.arena;
	auto_buf all = { 0 };

	b->datagrams = arena_array(a, b->lines.n, sizeof *b->datagrams);
	for (size_t i = 0; i < b->lines.n; i++) {
		if (counted) {
			log_syslog_counted(&all, &b->lines.messages[i], b->x->host);
			continue;
		}
		buf_clear(&all);
		log_syslog(&all, &b->lines.messages[i], b->x->host);
		b->datagrams[i] = str_bytes(arena_copy(a, all.p, all.n), all.n);
	}
	if (counted)
		b->body = str_bytes(arena_copy(a, all.p, all.n), all.n);
}

static size_t part_bytes(const struct log_address *to)
{
	return log_scheme_is_http(to->scheme) ? PART_HTTP : to->scheme == LOG_UDP ? PART_DATAGRAM : PART_STREAM;
}

static enum err open_secret(struct batch *b)
{
	if (b->to.sealed.n && !b->x->o.key)
		return err_set(&b->w.cx, ERR_INPUT, "its secret cannot be opened: the courier has no [secrets] key_file");
	return log_destination_store_secret(&b->w.cx, b->x->o.key, &b->to, &b->secret);
}

/* What is wrong with the destination itself is told as a failure to send. */
static enum err read_destination(struct batch *b, struct db *logs)
{
	enum err e = log_destination_store_hold(logs, &b->w.cx, &b->x->holder, &b->id, b->x->o.set->courier.timeout_s + HOLD_EXTRA_S);

	if (e == OK)
		e = log_destination_store_get(logs, &b->w.cx, &b->project, &b->id, &b->to);
	b->is_nothing = e == ERR_CONFLICT || e == ERR_NOT_FOUND;
	if (b->is_nothing || e != OK)
		return b->is_nothing ? OK : e;
	b->is_ping = b->to.ping_at != TIME_NONE && b->to.pinged_at == TIME_NONE;
	e = log_address_read(&b->w.cx, b->to.address, &b->address);
	if (e == OK)
		e = open_secret(b);
	if (e != OK)
		memcpy(b->error, b->w.cx.message, sizeof b->error - 1);
	return OK;
}

enum err batch_read(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct batch *b = (struct batch *)w;
	enum err e = OK;

	TRY(read_destination(b, logs));
	if (b->is_nothing || *b->error)
		return OK;
	b->lines.arena = &w->cx.arena;
	b->lines.bytes_most = b->is_suspect ? SUSPECT_BYTES : BATCH_BYTES;
	b->lines.part_bytes = part_bytes(&b->address);
	if (b->is_ping)
		add_ping(b);
	else
		e = read_lines(b, tasks, logs);
	ctx_release(&b->chunks);
	TRY(e);
	if (b->lines.n && log_scheme_is_http(b->address.scheme))
		b->body = log_body(&b->lines, b->to.template, b->x->host);
	else if (b->lines.n)
		write_frames(b);
	return OK;
}

/* --- what became of it ---------------------------------------------------------------------------------------- */

enum err batch_store(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct batch *b = (struct batch *)w;
	struct log_sent sent = { .destination = b->id, .holder = b->x->holder, .cursors = b->cursors, .n = b->n,
		                 .lines = (int64_t)(b->lines.n - b->refused), .refused = (int64_t)b->refused, .error = str_of(b->error) };

	(void)tasks;
	if (b->is_ping)
		return log_destination_store_pinged(logs, &w->cx, &b->x->holder, &b->id, str_of(b->error));
	if (!b->is_sent)
		return log_destination_store_failed(logs, &w->cx, &b->x->holder, &b->id, str_of(b->error), b->pause_s);
	return log_cursor_store_sent(logs, &w->cx, &sent);
}
