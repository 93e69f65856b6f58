#include "fcgi/api/log_api.h"

#include "base/gzip.h"
#include "fcgi/api/stream_api.h"
#include "model/log_notice.h"
#include "store/log_live.h"
#include "store/task_store.h"

enum {
	STREAM_ALL = 0,
	STREAM_OUT = 1,
	STREAM_ERR = 2,
	CHUNKS_A_ROUND = 64,
	LIVE_MOST = 2 * LOG_LIVE_CHUNKS,
	PIECE_BYTES = 1 << 20, /* about so much is sent before more is read */
};

/* Where a reader stands. */
struct log_reader {
	struct id task;
	struct log_head *heads;
	size_t head_count, at; /* the attempt that is being read */
	int64_t chunk;         /* its next chunk */
	int64_t next_byte;     /* of what the job wrote; a chunk that begins later leaves a gap */
	int64_t skip, left;    /* bytes of the answer: still to be left out, still to be sent */
	int64_t after_attempt, after_byte; /* begins there; attempt 0 = with the first */
	struct log_chunk *live;            /* asked for what is new: the newest output, behind all chunks */
	size_t live_count;
	int stream;
	bool is_gzip;
};

static void add(struct log_reader *r, struct buf *out, struct str bytes)
{
	int64_t skipped = r->skip < (int64_t)bytes.n ? r->skip : (int64_t)bytes.n;

	r->skip -= skipped;
	bytes = str_bytes(bytes.p + skipped, bytes.n - (size_t)skipped);
	if ((int64_t)bytes.n > r->left)
		bytes.n = (size_t)r->left;
	r->left -= (int64_t)bytes.n;
	buf_str(out, bytes);
}

static void add_pieces(struct log_reader *r, struct buf *out, const struct log_chunk *c)
{
	size_t at = 0;

	for (size_t i = 0; i < c->piece_count; i++) {
		size_t n = c->pieces[i].bytes;

		if (n > c->plain.n - at)
			n = c->plain.n - at;
		if (c->pieces[i].stream == r->stream)
			add(r, out, str_bytes(c->plain.p + at, n));
		at += n;
	}
}

static void add_chunk(struct log_reader *r, struct buf *out, struct ctx *cx, const struct log_chunk *c)
{
	int64_t known = r->next_byte > c->first_byte ? r->next_byte - c->first_byte : 0;
	size_t from = known < (int64_t)c->plain.n ? (size_t)known : c->plain.n;

	add(r, out, log_notice(&cx->arena, r->next_byte, c->first_byte)); /* "" when nothing is missing */
	if (r->next_byte < c->first_byte + (int64_t)c->plain.n)
		r->next_byte = c->first_byte + (int64_t)c->plain.n;
	if (r->stream == STREAM_ALL)
		add(r, out, str_bytes(c->plain.p + from, c->plain.n - from));
	else
		add_pieces(r, out, c);
}

/* As long as nothing was left out, a byte of the answer is that byte of the job: the chunk can be
 * looked up. Else, and for one stream alone, everything before is read and left out. */
static enum err seek(struct log_reader *r, struct request *rq, struct ctx *cx)
{
	const struct log_head *head = &r->heads[r->at];
	int64_t number;
	struct log_chunk *chunk;
	size_t n;

	if (r->stream != STREAM_ALL || !r->skip || head->kept != head->bytes)
		return OK;
	if (r->skip >= head->kept) {
		r->skip -= head->kept;
		r->chunk = head->next;
		r->next_byte = head->bytes; /* what is live begins behind that */
		return OK;
	}
	TRY(log_store_seek(rq->logs, cx, &r->task, head, r->skip, &number));
	TRY(log_store_read(rq->logs, cx, &r->task, head, number, 1, &chunk, &n));
	if (!n)
		return OK;
	r->chunk = number;
	r->next_byte = chunk->first_byte;
	r->skip -= chunk->first_byte;
	return OK;
}

static enum err open_attempt(struct log_reader *r, struct request *rq, struct ctx *cx)
{
	const struct log_head *head = &r->heads[r->at];

	r->chunk = 0;
	r->next_byte = 0;
	if (head->attempt != r->after_attempt)
		return seek(r, rq, cx);
	r->next_byte = r->after_byte;
	return log_store_seek(rq->logs, cx, &r->task, head, r->after_byte, &r->chunk);
}

/* One round of reading; *end = the attempt is over. */
static enum err read_round(struct log_reader *r, struct request *rq, struct ctx *cx, struct buf *out, bool *end)
{
	const struct log_head *head = &r->heads[r->at];
	struct log_chunk *chunks;
	size_t n = 0;

	if (r->chunk < head->next)
		TRY(log_store_read(rq->logs, cx, &r->task, head, r->chunk, CHUNKS_A_ROUND, &chunks, &n));
	for (size_t i = 0; i < n && r->left && chunks[i].number < head->next; i++) {
		add_chunk(r, out, cx, &chunks[i]); /* no further than the head said: that is the place told */
		r->chunk = chunks[i].number + 1;
	}
	*end = n == 0 || r->chunk >= head->next;
	return OK;
}

/* A piece is a member of its own: together they are the file. */
static enum err pack(struct request *rq, struct reply *rp)
{
	auto_buf member = { 0 };

	TRY(gzip_member(&rq->cx, buf_view(&rp->body), &member));
	buf_clear(&rp->body);
	buf_str(&rp->body, buf_view(&member));
	return OK;
}

static enum err read_more(struct request *rq, struct reply *rp)
{
	struct log_reader *r = rp->more_arg;
	bool end;

	while (r->at < r->head_count && r->left && rp->body.n < PIECE_BYTES) {
		auto_ctx cx = { 0 }; /* what a round takes is given back after it */

		if (read_round(r, rq, &cx, &rp->body, &end))
			return err_set(&rq->cx, cx.err, "%s", cx.message);
		if (!end)
			continue;
		if (++r->at < r->head_count && open_attempt(r, rq, &cx))
			return err_set(&rq->cx, cx.err, "%s", cx.message);
		for (size_t i = 0; i < r->live_count && r->at == r->head_count; i++)
			add_chunk(r, &rp->body, &cx, &r->live[i]);
	}
	if (r->at == r->head_count || !r->left)
		rp->more = NULL;
	return r->is_gzip ? pack(rq, rp) : OK;
}

static enum err choose_attempt(struct request *rq, struct log_reader *r)
{
	int64_t attempt = 0;

	TRY(request_query_int(rq, "attempt", &attempt));
	if (!attempt)
		return OK;
	for (size_t i = 0; i < r->head_count; i++)
		if (r->heads[i].attempt == attempt) {
			r->heads += i;
			r->head_count = 1;
			return OK;
		}
	return err_set(&rq->cx, ERR_NOT_FOUND, "there is no log of attempt %lld", (long long)attempt);
}

/* What is live makes an answer so much longer, with the notices of what is missing before it and within: as add_chunk adds it. */
static int64_t live_size(struct request *rq, const struct log_reader *r)
{
	int64_t bytes = 0, next = r->live_count ? r->heads[r->head_count - 1].bytes : 0;

	for (size_t i = 0; i < r->live_count; i++) {
		int64_t first = r->live[i].first_byte, end = first + (int64_t)r->live[i].plain.n;

		bytes += (int64_t)log_notice(&rq->cx.arena, next, first).n;
		first = next > first ? next : first;
		bytes += end > first ? end - first : 0;
		next = end > next ? end : next;
	}
	return bytes;
}

/* --- which bytes ------------------------------------------------------------------------------------ */
static enum err read_tail(struct request *rq, struct log_reader *r)
{
	int64_t tail = -1, size;

	TRY(request_query_int(rq, "tail", &tail));
	if (tail < 0)
		return OK;
	if (r->stream != STREAM_ALL || r->skip || r->after_attempt)
		return err_set(&rq->cx, ERR_INPUT, "query field tail: goes with /log alone, and without offset, stream and after");
	TRY(log_store_size_of(rq->logs, &rq->cx, &r->task, r->heads, r->head_count, &size));
	size += live_size(rq, r);
	r->skip = tail < size ? size - tail : 0;
	return OK;
}

/* "bytes=5-9", "bytes=5-" and "bytes=-5" (RFC 9110) of `size` bytes; false: to be ignored. *n = 0: there are
 * none of them. */
static bool parse_range(struct str text, int64_t size, int64_t *from, int64_t *n)
{
	struct str first;
	int64_t last = size - 1, count;

	if (!str_starts(text, "bytes=") || str_find(text, ",") != (size_t)-1 || str_find(text, "-") == (size_t)-1)
		return false;
	text = str_bytes(text.p + 6, text.n - 6);
	str_cut(&text, '-', &first);
	if (!first.n) {
		if (!str_int(text, &count) || count < 0)
			return false;
		*from = count < size ? size - count : 0;
	} else if (!str_int(first, from) || *from < 0 || (text.n && (!str_int(text, &last) || last < *from))) {
		return false;
	}
	last = last < size ? last : size - 1;
	*n = last < *from ? 0 : last - *from + 1;
	return true;
}

/* A log grows, so its size is told when it does no more. */
static enum err heed_range(struct request *rq, struct reply *rp, struct log_reader *r, bool is_whole)
{
	struct str text = str_trim(request_header(rq, "Range"));
	struct arena *a = &rq->cx.arena;
	int64_t size, from = 0, n = 0;
	const char *of;

	if (!text.n || rq->query_count || r->stream != STREAM_ALL || rq->method != METHOD_GET)
		return OK;
	TRY(log_store_size_of(rq->logs, &rq->cx, &r->task, r->heads, r->head_count, &size));
	if (!parse_range(text, size, &from, &n))
		return OK;
	of = is_whole ? arena_printf(a, "%lld", (long long)size) : "*";
	rp->status = n ? 206 : 416;
	reply_header(rp, "Content-Range", str_of(n ? arena_printf(a, "bytes %lld-%lld/%s", (long long)from, (long long)(from + n - 1), of)
	                                           : arena_printf(a, "bytes */%lld", (long long)size)));
	r->skip = from;
	r->left = n;
	return OK;
}

/* ?after=: where an event of the stream, or the answer before, ended. */
static enum err heed_after(struct request *rq, struct log_reader *r)
{
	struct str text;

	if (!request_query(rq, "after", &text))
		return OK;
	if (r->stream != STREAM_ALL || r->skip || r->left != INT64_MAX) /* X-Log-Next is behind all of it, not where a limit cut */
		return err_set(&rq->cx, ERR_INPUT, "query field after: goes with /log alone, and without offset, limit, stream and tail");
	if (!stream_place_parse(text, &r->after_attempt, &r->after_byte))
		return err_set(&rq->cx, ERR_INPUT, "query field after: must be the id of an event or X-Log-Next, such as 1-4096");
	while (r->head_count && r->heads->attempt < r->after_attempt) {
		r->heads++;
		r->head_count--;
	}
	return OK;
}

/* IronWorker's /log, whole and by offset or Range, only grows, and waits for the end. */
static bool wants_live(const struct request *rq)
{
	static const char *const FIELDS[] = { "after", "tail", "download", "stream" };
	struct str text;

	for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++)
		if (request_query(rq, FIELDS[i], &text))
			return true;
	return false;
}

/* Who asks for what is new gets what is new while the job runs, too: read here and now, since it goes when what is
 * kept of it comes. */
static enum err read_live(struct request *rq, struct log_reader *r)
{
	const struct log_head *last = r->head_count ? &r->heads[r->head_count - 1] : NULL;

	if (!last || !wants_live(rq))
		return OK;
	return log_live_read(rq->logs, &rq->cx, &r->task, last, last->attempt == r->after_attempt ? r->after_byte : 0, LIVE_MOST, &r->live,
	                     &r->live_count);
}

/* What comes behind all that there is. */
static void tell_next(struct request *rq, struct reply *rp, const struct log_reader *r)
{
	const struct log_head *last = r->head_count ? &r->heads[r->head_count - 1] : NULL;
	int64_t attempt = last ? last->attempt : r->after_attempt, byte = last ? last->bytes : r->after_byte;

	if (r->live_count)
		byte = r->live[r->live_count - 1].first_byte + (int64_t)r->live[r->live_count - 1].plain.n;
	if (attempt == r->after_attempt && byte < r->after_byte)
		byte = r->after_byte;
	reply_header(rp, "X-Log-Next", str_of(arena_printf(&rq->cx.arena, "%lld-%lld", (long long)attempt, (long long)byte)));
}

static enum err read_stream(struct request *rq, struct log_reader *r)
{
	struct str name;

	if (!request_query(rq, "stream", &name))
		return OK;
	if (!str_is(name, "stdout") && !str_is(name, "stderr"))
		return err_set(&rq->cx, ERR_INPUT, "query field stream: must be stdout or stderr");
	r->stream = str_is(name, "stderr") ? STREAM_ERR : STREAM_OUT;
	return OK;
}

static enum err read_form(struct request *rq, struct reply *rp, struct log_reader *r)
{
	struct str form;
	struct id_text id = id_format(&r->task);

	if (!request_query(rq, "download", &form))
		return OK;
	r->is_gzip = str_is(form, "gzip");
	if (!r->is_gzip && !str_is(form, "plain"))
		return err_set(&rq->cx, ERR_INPUT, "query field download: must be plain or gzip");
	if (r->is_gzip)
		rp->type = "application/gzip";
	reply_header(rp, "Content-Disposition", str_of(arena_printf(&rq->cx.arena, "attachment; filename=\"%s.log%s\"", id.s,
	                                                            r->is_gzip ? ".gz" : "")));
	return OK;
}

static enum err read_range(struct request *rq, struct log_reader *r)
{
	r->left = INT64_MAX;
	TRY(request_query_int(rq, "offset", &r->skip));
	TRY(request_query_int(rq, "limit", &r->left));
	if (r->skip < 0)
		return err_set(&rq->cx, ERR_INPUT, "query field offset: must not be negative");
	if (r->left < 0)
		return err_set(&rq->cx, ERR_INPUT, "query field limit: must not be negative");
	return OK;
}

static enum err serve(struct request *rq, struct reply *rp, int stream)
{
	struct log_reader *r = arena_take(&rq->cx.arena, sizeof *r);
	struct task task;

	r->stream = stream;
	TRY(request_id(rq, "id", "task", &r->task));
	TRY(read_stream(rq, r));
	TRY(read_range(rq, r));
	/* state first: if it is final, the log read after it is complete */
	TRY(task_store_get(rq->db, &rq->cx, &rq->project_id, &r->task, &task));
	TRY(log_store_heads(rq->logs, &rq->cx, &r->task, &r->heads, &r->head_count));
	if (!r->head_count && !task_state_is_settled(task.state))
		return err_set(&rq->cx, ERR_NOT_FOUND, "there is no log yet: the task is %s", task_state_wire(task.state));
	TRY(choose_attempt(rq, r));
	TRY(heed_after(rq, r));
	TRY(read_live(rq, r));
	TRY(read_tail(rq, r));
	reply_text(rp, 200, STR_LIT(""));
	if (stream == STREAM_ALL)
		reply_header(rp, "Accept-Ranges", STR_LIT("bytes"));
	tell_next(rq, rp, r);
	TRY(heed_range(rq, rp, r, task_state_is_settled(task.state)));
	TRY(read_form(rq, rp, r));
	reply_header(rp, "X-Task-Status", str_of(task_state_wire(task.state)));
	rp->more = read_more;
	rp->more_arg = r;
	if (r->head_count)
		TRY(open_attempt(r, rq, &rq->cx));
	return read_more(rq, rp); /* the first piece before the status is out, so that it can be a 503 */
}

enum err log_api_log(struct request *rq, struct reply *rp)
{
	return serve(rq, rp, STREAM_ALL);
}

enum err log_api_outlog(struct request *rq, struct reply *rp)
{
	return serve(rq, rp, STREAM_OUT);
}
