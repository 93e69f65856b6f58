#include "fcgi/api/calendar_api.h"

#include "base/buf.h"
#include "base/json.h"
#include "store/calendar_store.h"

static json_t *calendar_to_json(struct str dates)
{
	json_t *array = json_array();
	struct str line;

	while (str_cut(&dates, '\n', &line))
		if (line.n)
			json_array_append_new(array, json_text(line));
	return array;
}

enum err calendar_api_list(struct request *rq, struct reply *rp)
{
	json_t *array = json_array();
	struct calendar *calendars;
	size_t n;
	enum err e = calendar_store_list(rq->db, &rq->cx, &rq->project_id, &calendars, &n);

	for (size_t i = 0; e == OK && i < n; i++)
		json_array_append_new(array, json_pack("{s:o, s:o, s:o}", "name", json_text(calendars[i].name), "dates",
		                                       calendar_to_json(calendars[i].dates), "updated_at",
		                                       json_time(calendars[i].updated_at)));
	if (e == OK)
		return reply_json(rp, 200, json_pack("{s:o}", "calendars", array));
	json_decref(array);
	return e;
}

enum err calendar_api_put(struct request *rq, struct reply *rp)
{
	json_t *array = NULL;
	auto_buf dates = { 0 };

	TRY(json_get_array(&rq->cx, rq->json, "dates", &array));
	if (!array || json_array_size(array) > CALENDAR_DATES_MOST)
		return err_set(&rq->cx, array ? ERR_INPUT : ERR_REQUIRED, "field dates: must be an array of at most %d dates",
		               CALENDAR_DATES_MOST);
	for (size_t i = 0; i < json_array_size(array); i++) {
		buf_str(&dates, str_of(json_string_value(json_array_get(array, i))));
		buf_char(&dates, '\n');
	}
	TRY(calendar_store_put(rq->db, &rq->cx, &rq->project_id, request_param(rq, "name"), buf_view(&dates)));
	return reply_msg(rp, 200, "Updated", NULL);
}

enum err calendar_api_delete(struct request *rq, struct reply *rp)
{
	TRY(calendar_store_delete(rq->db, &rq->cx, &rq->project_id, request_param(rq, "name")));
	return reply_msg(rp, 200, "Deleted", NULL);
}
