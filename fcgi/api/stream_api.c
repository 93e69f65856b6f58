#include "fcgi/api/stream_api.h"

#include "store/log_store.h"
#include "store/task_store.h"

bool stream_place_parse(struct str text, int64_t *attempt, int64_t *byte)
{
	struct str first = STR_LIT("");

	str_cut(&text, '-', &first);
	return str_int(first, attempt) && str_int(text, byte) && *attempt >= 0 && *byte >= 0;
}

static enum err read_place(struct request *rq, struct stream_place *place)
{
	struct str text = str_trim(request_header(rq, "Last-Event-ID"));

	if (!text.n)
		request_query(rq, "after", &text);
	if (text.n && !stream_place_parse(text, &place->attempt, &place->byte))
		return err_set(&rq->cx, ERR_INPUT, "Last-Event-ID: must be that of an event of this stream, such as 1-4096");
	return OK;
}

/* Behind all that there is: a mistake, or a log that was lost meanwhile. It goes on at the end, and is told. */
static const char *go_to_end(struct request *rq, struct stream_place *place, const struct log_head *last)
{
	struct stream_place asked = *place;

	place->attempt = last ? last->attempt : 0;
	place->byte = !last ? 0 : last->live > last->bytes ? last->live : last->bytes;
	place->chunk = last ? last->next : 0;
	return arena_printf(&rq->cx.arena, "id: %lld-%lld\nevent: reset\ndata: {\"asked\":\"%lld-%lld\",\"attempt\":%lld,\"byte\":%lld}\n\n",
	                    (long long)place->attempt, (long long)place->byte, (long long)asked.attempt, (long long)asked.byte,
	                    (long long)place->attempt, (long long)place->byte);
}

/* The chunk to go on with; of an attempt without a log the first. */
static enum err find_chunk(struct request *rq, struct stream_place *place, const char **said)
{
	const struct log_head *last;
	struct log_head *heads;
	size_t n;

	if (!place->attempt && !place->byte)
		return OK;
	TRY(log_store_heads(rq->logs, &rq->cx, &place->task, &heads, &n));
	last = n ? &heads[n - 1] : NULL;
	if (!last || place->attempt > last->attempt ||
	    (place->attempt == last->attempt && place->byte > last->bytes && place->byte > last->live)) {
		*said = go_to_end(rq, place, last);
		return OK;
	}
	for (size_t i = 0; i < n; i++)
		if (heads[i].attempt == place->attempt)
			return log_store_seek(rq->logs, &rq->cx, &place->task, &heads[i], place->byte, &place->chunk);
	return OK;
}

void stream_api_begin(struct request *rq, struct reply *rp, const struct stream_place *at)
{
	reply_text(rp, 200, STR_LIT("retry: 2000\n\n"));
	rp->type = "text/event-stream";
	reply_header(rp, "X-Accel-Buffering", STR_LIT("no")); /* nginx: hand on what comes */
	if (rq->method == METHOD_GET)
		rp->stream = at;
}

static enum err serve(struct request *rq, struct reply *rp, bool is_news)
{
	struct stream_place *place = arena_take(&rq->cx.arena, sizeof *place);
	const char *said = "";
	struct task task;

	place->kind = is_news ? STREAM_NEWS : STREAM_LOG;
	TRY(request_id(rq, "id", "task", &place->task));
	TRY(read_place(rq, place));
	TRY(task_store_get(rq->db, &rq->cx, &rq->project_id, &place->task, &task));
	if (!rq->process->may_wait)
		return err_set(&rq->cx, ERR_BUSY, "this log is not streamed at the moment, read /log?after=ID instead");
	TRY(find_chunk(rq, place, &said));
	stream_api_begin(rq, rp, place);
	if (!is_news)
		buf_text(&rp->body, said);
	return OK;
}

enum err stream_api_log(struct request *rq, struct reply *rp)
{
	return serve(rq, rp, false);
}

enum err stream_api_news(struct request *rq, struct reply *rp)
{
	return serve(rq, rp, true);
}
