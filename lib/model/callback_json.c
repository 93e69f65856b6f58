#include "model/callback_json.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "model/code.h"
#include "model/task_state.h"

_Static_assert((int)CALLBACK_RETRIED == (int)TASK_STATE_COUNT, "kinds are the states and what is behind them");

enum { NAME_BYTES = 255 };

const char *callback_kind_name(enum callback_kind kind)
{
	static const char *const OTHERS[] = { "retried", "dead", "test" };

	return kind < CALLBACK_RETRIED ? task_state_name((enum task_state)kind) : OTHERS[kind - CALLBACK_RETRIED];
}

bool callback_kind_parse(struct str text, enum callback_kind *out)
{
	for (int i = 0; i < CALLBACK_KIND_COUNT; i++)
		if (str_is(text, callback_kind_name((enum callback_kind)i))) {
			*out = (enum callback_kind)i;
			return true;
		}
	return false;
}

enum err callback_states_from_json(struct ctx *cx, const json_t *j, const char *field, bool *has, unsigned *out)
{
	json_t *array = NULL, *one;
	unsigned states = 0;
	size_t i;

	TRY(json_get_array(cx, j, field, &array));
	if (!array)
		return OK;
	json_array_foreach(array, i, one) {
		enum callback_kind kind;

		if (!json_is_string(one) || !callback_kind_parse(str_of(json_string_value(one)), &kind) || kind == CALLBACK_TEST ||
		    kind == (enum callback_kind)TASK_PREPARING)
			return err_set(cx, ERR_INPUT, "field %s: must be an array of queued, running, complete, error, timeout, cancelled,"
			               " killed, expired, retried, dead", field);
		states |= 1u << kind;
	}
	if (!states)
		return err_set(cx, ERR_INPUT, "field %s: is empty", field);
	*has = true;
	*out = states;
	return OK;
}

static enum err read_text(struct ctx *cx, const json_t *j, const char *field, size_t most, bool *has, struct str *out)
{
	TRY(json_get_text(cx, j, field, out));
	*has = out->p != NULL;
	if (out->n > most)
		return err_set(cx, ERR_INPUT, "field %s: is longer than %zu bytes", field, most);
	if (out->n && text_has_controls(*out))
		return err_set(cx, ERR_INPUT, "field %s: must not have control characters", field);
	return OK;
}

enum err callback_order_from_json(struct ctx *cx, const json_t *j, struct callback_order *out)
{
	static const char *const FLAGS[] = { "ordered", "payload" };
	struct callback_order o = { 0 };

	TRY(read_text(cx, j, "url", CALLBACK_URL_BYTES, &o.has_url, &o.url));
	TRY(read_text(cx, j, "name", NAME_BYTES, &o.has_name, &o.name));
	TRY(read_text(cx, j, "code_name", CODE_NAME_BYTES, &o.has_code, &o.code_name));
	TRY(callback_states_from_json(cx, j, "states", &o.has_states, &o.states));
	for (int i = 0; i < 2; i++) {
		json_t *flag = json_object_get(j, FLAGS[i]);

		o.has_flag[i] = flag && !json_is_null(flag);
		TRY(json_get_bool(cx, j, FLAGS[i], &o.flag[i]));
	}
	if (o.has_url && !o.url.n)
		return err_set(cx, ERR_INPUT, "field url: is empty");
	if (o.has_url && callback_check(cx, o.url))
		return err_wrap(cx, "field url");
	*out = o;
	return OK;
}

static json_t *states_to_json(unsigned states)
{
	json_t *array = json_array();

	for (int i = 0; i < CALLBACK_TEST; i++)
		if (states & 1u << i)
			json_array_append_new(array, json_string(callback_kind_name((enum callback_kind)i)));
	return array;
}

json_t *callback_to_json(const struct callback *c)
{
	json_t *j = json_object();

	json_object_set_new(j, "id", json_string(id_format(&c->id).s));
	json_object_set_new(j, "name", json_text(c->name));
	json_object_set_new(j, "url", json_text(c->url));
	if (!id_is_zero(&c->code_id)) {
		json_object_set_new(j, "code_id", json_string(id_format(&c->code_id).s));
		json_object_set_new(j, "code_name", json_text(c->code_name));
	}
	json_object_set_new(j, "states", states_to_json(c->states));
	json_object_set_new(j, "ordered", json_boolean(c->flags & CALLBACK_ORDERED));
	json_object_set_new(j, "payload", json_boolean(c->flags & CALLBACK_WITH_PAYLOAD));
	json_object_set_new(j, "state", json_string(c->disabled_at != TIME_NONE ? "disabled" : c->paused_at != TIME_NONE ? "paused" : "enabled"));
	if (c->failing_at != TIME_NONE) {
		json_object_set_new(j, "failing_since", json_time(c->failing_at));
		json_object_set_new(j, "failures", json_integer((json_int_t)c->failures));
	}
	json_object_set_new(j, "created_at", json_time(c->created_at));
	json_object_set_new(j, "updated_at", json_time(c->updated_at));
	return j;
}
