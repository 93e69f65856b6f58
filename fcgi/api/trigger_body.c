#include "fcgi/api/trigger_body.h"

#include "base/json.h"

enum { FIELDS_MOST = 1000, VALUES_MOST = 100000 };

static bool is_form(const struct request *rq)
{
	struct str type = request_header(rq, "Content-Type"), first = STR_LIT("");

	str_cut(&type, ';', &first);
	return str_is_nocase(str_trim(first), "application/x-www-form-urlencoded");
}

static enum err read_json(struct request *rq, struct str text, json_t **out)
{
	return json_read(&rq->cx, text, (struct json_limits){ (int)rq->set->limits.json_depth, VALUES_MOST }, out);
}

static enum err read_form(struct request *rq, json_t **out)
{
	struct request_pair *fields = arena_array(&rq->cx.arena, FIELDS_MOST, sizeof *fields);
	json_t *j;
	size_t n;

	if (request_pairs(&rq->cx, rq->body, fields, FIELDS_MOST, &n))
		return err_wrap(&rq->cx, "the body is a form");
	for (size_t i = 0; i < n; i++)
		if (str_is(fields[i].name, "payload"))
			return read_json(rq, fields[i].value, out) ? err_wrap(&rq->cx, "the body is a form, and its field payload no JSON") : OK;
	j = json_object();
	for (size_t i = n; i-- > 0;) /* of two of a name the first */
		json_object_set_new(j, str_c(&rq->cx.arena, fields[i].name), json_text(fields[i].value));
	*out = j;
	return OK;
}

enum err trigger_body_read(struct request *rq, json_t **out)
{
	if (is_form(rq))
		return read_form(rq, out);
	return read_json(rq, rq->body, out) ? err_wrap(&rq->cx, "the body is no JSON") : OK;
}
