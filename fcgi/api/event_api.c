#include "fcgi/api/event_api.h"

#include "fcgi/api/stream_api.h"
#include "store/event_store.h"

static enum err read_place(struct request *rq, bool *has, int64_t *place)
{
	struct str text = str_trim(request_header(rq, "Last-Event-ID"));

	if (!text.n)
		request_query(rq, "after", &text);
	*has = text.n > 0;
	if (*has && (!str_int(text, place) || *place < 0))
		return err_set(&rq->cx, ERR_INPUT, "Last-Event-ID and query field after: must be the place of an event, a whole number");
	return OK;
}

/* Whoever says nothing hears what happens from now on. */
static enum err stream(struct request *rq, struct reply *rp)
{
	struct stream_place *at = arena_take(&rq->cx.arena, sizeof *at);
	bool has;

	at->kind = STREAM_EVENTS;
	at->project = rq->project_id;
	TRY(read_place(rq, &has, &at->place));
	if (!rq->process->may_wait)
		return err_set(&rq->cx, ERR_BUSY, "events are not streamed at the moment, ask for pages instead");
	if (!has)
		TRY(event_store_end(rq->db, &rq->cx, &at->place));
	TRY(event_store_ask(rq->db, &rq->cx));
	stream_api_begin(rq, rp, at);
	return OK;
}

static enum err page(struct request *rq, struct reply *rp)
{
	struct event_place at = { .project = rq->project_id };
	int64_t ignored, most, end;
	json_t *array;
	bool has;

	TRY(request_page(rq, &ignored, &most));
	TRY(read_place(rq, &has, &at.place));
	TRY(event_store_ask(rq->db, &rq->cx));
	TRY(event_store_end(rq->db, &rq->cx, &end)); /* before the events: there are none below it that are not seen */
	TRY(event_store_follow(rq->db, &rq->cx, &at, 1));
	array = json_array();
	for (size_t i = 0; i < at.n && i < (size_t)most; i++) {
		json_array_append_new(array, event_to_json(&at.events[i]));
		at.place = at.events[i].place;
	}
	if (json_array_size(array) == at.n && at.n < EVENT_PIECE && at.place < end)
		at.place = end;
	return reply_json(rp, 200, json_pack("{s:o, s:s, s:s}", "events", array,
	                                     "next", arena_printf(&rq->cx.arena, "%lld", (long long)at.place),
	                                     "end", arena_printf(&rq->cx.arena, "%lld", (long long)end)));
}

enum err event_api_list(struct request *rq, struct reply *rp)
{
	struct str accept = request_header(rq, "Accept");

	return str_find(accept, "text/event-stream") != (size_t)-1 ? stream(rq, rp) : page(rq, rp);
}
