#include "fcgi/api/callback_api.h"

#include "base/clock.h"
#include "base/json.h"
#include "fcgi/targets.h"
#include "model/callback_json.h"
#include "model/task_state.h"
#include "store/callback_store.h"
#include "store/code_store.h"
#include "store/delivery_store.h"

enum { KEEP_S = 86400, KEEP_S_MOST = 30 * 86400, REDELIVER_MOST = 1000, ENDS = 0x1f8 };
_Static_assert(TASK_COMPLETE == 3 && TASK_STATE_COUNT == 9, "ENDS has the bits of the settled states");

/* --- registered ------------------------------------------------------------------------------------------------ */

static const char *const CALLBACK_FIELDS[] = { "url", "name", "code_name", "states", "ordered", "payload", "secret", "signature", NULL };

static enum err find_code(struct request *rq, struct str name, struct id *out)
{
	struct code code = { 0 };

	if (name.n)
		TRY(code_store_find(rq->db, &rq->cx, &rq->project_id, name, &code));
	*out = code.id;
	return OK;
}

static enum err apply(struct request *rq, const struct callback_order *o, struct callback *c)
{
	static const unsigned FLAGS[] = { CALLBACK_ORDERED, CALLBACK_WITH_PAYLOAD };

	if (o->has_url)
		c->url = o->url;
	if (o->has_name)
		c->name = o->name;
	if (o->has_states)
		c->states = o->states;
	for (int i = 0; i < 2; i++)
		if (o->has_flag[i])
			c->flags = (c->flags & ~FLAGS[i]) | (o->flag[i] ? FLAGS[i] : 0);
	return o->has_code ? find_code(rq, o->code_name, &c->code_id) : OK;
}

/* The secret of a request, or a new one of the kind it names; *text = how it is shown, a private key by its
 * public half. */
static enum err secret_of(struct request *rq, struct str *key, const char **text)
{
	struct arena *a = &rq->cx.arena;
	struct str given = STR_LIT(""), kind = STR_LIT("v1");
	char *public;

	TRY(json_get_text(&rq->cx, rq->json, "secret", &given));
	TRY(json_get_text(&rq->cx, rq->json, "signature", &kind));
	if (!str_is(kind, "v1") && !str_is(kind, "v1a"))
		return err_set(&rq->cx, ERR_INPUT, "field signature: must be v1 or v1a");
	*text = given.n ? str_c(a, given) : str_is(kind, "v1a") ? signature_private_new(a) : signature_secret_new(a);
	if (!signature_secret_parse(a, str_of(*text), key))
		return err_set(&rq->cx, ERR_INPUT, "field secret: must be whsec_ and base64 of %d to %d bytes, or whsk_ and base64 of an"
		               " Ed25519 key", SIGNATURE_KEY_LEAST, SIGNATURE_KEY_MOST);
	public = signature_public(a, *key);
	*text = public ? public : *text;
	return OK;
}

/* What receivers check with: a secret's own text, shown once, or a public key. */
static void show_key(json_t *j, const char *text)
{
	json_object_set_new(j, str_starts(str_of(text), "whpk_") ? "public_key" : "secret", json_string(text));
}

/* The public key that it signs with now, "" if there is none. */
static enum err read_public(struct request *rq, const struct id *owner, const char **out)
{
	struct signature_keys keys;
	struct seal_key seal;

	*out = "";
	if (!rq->set->secrets.key_file || !*rq->set->secrets.key_file)
		return OK;
	TRY(seal_key_read(&rq->cx, rq->set->secrets.key_file, &seal));
	TRY(callback_store_keys(rq->db, &rq->cx, &seal, owner, &keys));
	if (keys.n && (*out = signature_public(&rq->cx.arena, keys.key[0])) == NULL)
		*out = "";
	return OK;
}

static enum err show(struct request *rq, struct reply *rp, const struct id *id, const char *text)
{
	struct callback c;
	json_t *j;

	TRY(callback_store_get(rq->db, &rq->cx, &rq->project_id, id, &c));
	if (!text)
		TRY(read_public(rq, id, &text));
	j = callback_to_json(&c);
	if (*text)
		show_key(j, text);
	return reply_json(rp, 200, j);
}

enum err callback_api_add(struct request *rq, struct reply *rp)
{
	struct callback c = { .id = id_make(clock_wall_us()), .project_id = rq->project_id, .states = ENDS,
		              .name = STR_LIT(""), .url = STR_LIT("") };
	struct callback_order order;
	struct seal_key seal;
	const char *text;
	struct str key;

	TRY(json_only(&rq->cx, rq->json, CALLBACK_FIELDS)); /* a misspelt "states" would tell of other ones */
	TRY(callback_order_from_json(&rq->cx, rq->json, &order));
	if (!order.has_url)
		return err_set(&rq->cx, ERR_REQUIRED, "field url: is missing");
	TRY(apply(rq, &order, &c));
	TRY(seal_key_read(&rq->cx, rq->set->secrets.key_file, &seal));
	TRY(secret_of(rq, &key, &text));
	TRY(callback_store_add(rq->db, &rq->cx, &c, &seal, key));
	targets_outlast(rq->process->targets);
	return show(rq, rp, &c.id, text);
}

static enum err the_callback(struct request *rq, struct callback *out)
{
	struct id id;

	TRY(request_id(rq, "id", "callback", &id));
	return callback_store_get(rq->db, &rq->cx, &rq->project_id, &id, out);
}

enum err callback_api_list(struct request *rq, struct reply *rp)
{
	json_t *array;
	struct callback *all;
	size_t n;

	TRY(callback_store_list(rq->db, &rq->cx, &rq->project_id, &all, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, callback_to_json(&all[i]));
	return reply_json(rp, 200, json_pack("{s:o}", "callbacks", array));
}

enum err callback_api_get(struct request *rq, struct reply *rp)
{
	struct id id;

	TRY(request_id(rq, "id", "callback", &id));
	return show(rq, rp, &id, NULL);
}

enum err callback_api_change(struct request *rq, struct reply *rp)
{
	struct callback_order order;
	struct callback c;

	TRY(json_only(&rq->cx, rq->json, CALLBACK_FIELDS));
	TRY(the_callback(rq, &c));
	TRY(callback_order_from_json(&rq->cx, rq->json, &order));
	TRY(apply(rq, &order, &c));
	TRY(callback_store_change(rq->db, &rq->cx, &c));
	targets_outlast(rq->process->targets);
	return show(rq, rp, &c.id, NULL);
}

enum err callback_api_delete(struct request *rq, struct reply *rp)
{
	struct callback c;

	TRY(the_callback(rq, &c));
	TRY(callback_store_delete(rq->db, &rq->cx, &rq->project_id, &c.id));
	return reply_msg(rp, 200, "Deleted", NULL);
}

static enum err set_paused(struct request *rq, struct reply *rp, bool paused)
{
	struct callback c;

	TRY(the_callback(rq, &c));
	TRY(callback_store_pause(rq->db, &rq->cx, &c, paused));
	targets_outlast(rq->process->targets);
	return reply_msg(rp, 200, paused ? "Paused" : "Resumed", NULL);
}

enum err callback_api_pause(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, true);
}

enum err callback_api_resume(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, false);
}

enum err callback_api_test(struct request *rq, struct reply *rp)
{
	struct callback c;
	int64_t number;

	TRY(the_callback(rq, &c));
	TRY(callback_store_test(rq->db, &rq->cx, &c, &number));
	return reply_json(rp, 200, json_pack("{s:s, s:I}", "msg", "Test queued", "delivery_id", (json_int_t)number));
}

/* --- secrets ------------------------------------------------------------------------------------------------------ */

static enum err rotate(struct request *rq, struct reply *rp, const struct id *owner)
{
	static const char *const FIELDS[] = { "keep", "secret", "signature", NULL };
	int64_t keep_s = KEEP_S;
	struct seal_key seal;
	const char *text;
	struct str key;
	json_t *j;

	TRY(json_only(&rq->cx, rq->json, FIELDS));
	TRY(json_get_int(&rq->cx, rq->json, "keep", &keep_s));
	if (keep_s < 0 || keep_s > KEEP_S_MOST)
		return err_set(&rq->cx, ERR_INPUT, "field keep: must be 0 to %d seconds", KEEP_S_MOST);
	TRY(seal_key_read(&rq->cx, rq->set->secrets.key_file, &seal));
	TRY(secret_of(rq, &key, &text));
	TRY(callback_store_rotate(rq->db, &rq->cx, &seal, owner, key, keep_s));
	j = json_pack("{s:s}", "msg", "Rotated");
	show_key(j, text);
	return reply_json(rp, 200, j);
}

enum err callback_api_rotate(struct request *rq, struct reply *rp)
{
	struct callback c;

	TRY(the_callback(rq, &c));
	return rotate(rq, rp, &c.id);
}

enum err callback_api_rotate_project(struct request *rq, struct reply *rp)
{
	return rotate(rq, rp, &rq->project_id);
}

/* --- deliveries ----------------------------------------------------------------------------------------------------- */

static const char *webhook_id(struct arena *a, const struct delivery_entry *e)
{
	if (!e->is_named)
		return arena_printf(a, "%lld", (long long)e->id);
	return callback_message_id(a, &e->task_id, e->number, e->kind, &e->callback_id);
}

static json_t *entry_json(struct arena *a, const struct delivery_entry *e)
{
	json_t *j = json_pack("{s:I, s:I}", "id", (json_int_t)e->id, "tries", (json_int_t)e->tries);
	bool is_test = str_is(e->kind, "test");

	json_object_set_new(j, "webhook_id", json_string(webhook_id(a, e)));
	json_object_set_new(j, "event", json_text(e->kind));
	json_object_set_new(j, "state", json_text(e->state));
	json_object_set_new(j, "url", json_text(e->url));
	if (!is_test)
		json_object_set_new(j, "task_id", json_string(id_format(&e->task_id).s));
	if (!id_is_zero(&e->callback_id))
		json_object_set_new(j, "callback_id", json_string(id_format(&e->callback_id).s));
	json_object_set_new(j, "time", json_time(e->at));
	if (e->status)
		json_object_set_new(j, "status", json_integer((json_int_t)e->status));
	if (e->error.n)
		json_object_set_new(j, "error", json_text(e->error));
	if (e->waiting_for.n)
		json_object_set_new(j, "waiting_for", json_text(e->waiting_for));
	if (e->waiting_until != TIME_NONE)
		json_object_set_new(j, "waiting_until", json_time(e->waiting_until));
	if (e->next_at != TIME_NONE)
		json_object_set_new(j, "next_try_at", json_time(e->next_at));
	if (e->delivered_at != TIME_NONE)
		json_object_set_new(j, "delivered_at", json_time(e->delivered_at));
	if (!id_is_zero(&e->queued_task_id))
		json_object_set_new(j, "queued_task_id", json_string(id_format(&e->queued_task_id).s));
	return j;
}

static json_t *lines_json(struct str text)
{
	json_t *array = json_array();
	struct str line;

	while (str_cut(&text, '\n', &line))
		if (line.n)
			json_array_append_new(array, json_text(line));
	return array;
}

static json_t *try_json(const struct delivery_try *t)
{
	json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:I}", "number", (json_int_t)t->number, "lookup_ms", (json_int_t)t->lookup_ms,
	                      "connect_ms", (json_int_t)t->connect_ms, "first_byte_ms", (json_int_t)t->first_byte_ms, "took_ms",
	                      (json_int_t)t->took_ms);

	json_object_set_new(j, "time", json_time(t->at));
	if (t->status)
		json_object_set_new(j, "status", json_integer((json_int_t)t->status));
	json_object_set_new(j, "address", json_text(t->address));
	if (t->error.n)
		json_object_set_new(j, "error", json_text(t->error));
	if (t->request.n) {
		json_object_set_new(j, "request_headers", lines_json(t->request));
		json_object_set_new(j, "request_body", json_text(t->body));
		json_object_set_new(j, "request_bytes", json_integer((json_int_t)t->body_bytes));
	}
	if (t->answer_headers.n)
		json_object_set_new(j, "answer_headers", lines_json(t->answer_headers));
	json_object_set_new(j, "answer", json_text(t->answer));
	return j;
}

static enum err check_state(struct ctx *cx, struct str state)
{
	static const char *const STATES[] = { "", "waiting", "failing", "delivered", "exhausted" };

	for (size_t i = 0; i < sizeof STATES / sizeof *STATES; i++)
		if (str_is(state, STATES[i]))
			return OK;
	return err_set(cx, ERR_INPUT, "field state: must be waiting, failing, delivered or exhausted");
}

static enum err id_or_none(struct ctx *cx, struct str text, const char *field, struct id *out)
{
	if (text.n && !id_parse(text, out))
		return err_set(cx, ERR_INPUT, "field %s: must be an id", field);
	return OK;
}

enum err callback_api_deliveries(struct request *rq, struct reply *rp)
{
	struct delivery_filter f = { .from = TIME_NONE, .to = TIME_NONE };
	struct str callback = STR_LIT(""), task = STR_LIT("");
	struct delivery_entry *all;
	int64_t page, searched_to;
	json_t *array, *j;
	size_t n;

	TRY(request_page(rq, &page, &f.most));
	request_query(rq, "state", &f.state);
	request_query(rq, "callback", &callback);
	request_query(rq, "task", &task);
	TRY(check_state(&rq->cx, f.state));
	TRY(id_or_none(&rq->cx, callback, "callback", &f.callback_id));
	TRY(id_or_none(&rq->cx, task, "task", &f.task_id));
	TRY(request_query_int(rq, "before", &f.before));
	TRY(request_query_time(rq, "from_time", &f.from));
	TRY(request_query_time(rq, "to_time", &f.to));
	TRY(delivery_store_list(rq->db, &rq->cx, &rq->project_id, &f, &all, &n, &searched_to));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, entry_json(&rq->cx.arena, &all[i]));
	j = json_pack("{s:o}", "deliveries", array);
	if (searched_to)
		json_object_set_new(j, "next_before", json_integer((json_int_t)searched_to));
	return reply_json(rp, 200, j);
}

static enum err number_of(struct request *rq, int64_t *out)
{
	struct str text = request_param(rq, "id");

	if (!str_int(text, out) || *out <= 0)
		return err_set(&rq->cx, ERR_NOT_FOUND, "there is no delivery '" STR_FMT "'", STR_ARG(text));
	return OK;
}

enum err callback_api_delivery(struct request *rq, struct reply *rp)
{
	struct delivery_entry entry;
	struct delivery_try *tries;
	json_t *array, *j;
	int64_t id;
	size_t n;

	TRY(number_of(rq, &id));
	TRY(delivery_store_get(rq->db, &rq->cx, &rq->project_id, id, &entry, &tries, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, try_json(&tries[i]));
	j = entry_json(&rq->cx.arena, &entry);
	json_object_set_new(j, "log", array);
	return reply_json(rp, 200, j);
}

enum err callback_api_redeliver(struct request *rq, struct reply *rp)
{
	int64_t id, changed;

	TRY(number_of(rq, &id));
	TRY(delivery_store_again(rq->db, &rq->cx, &rq->project_id, &id, 1, &changed));
	if (!changed)
		return err_set(&rq->cx, ERR_NOT_FOUND, "there is no such delivery in this project");
	return reply_msg(rp, 200, "Redelivering", NULL);
}

/* At most a thousand a request: `next_before` says where to go on. */
enum err callback_api_redeliver_some(struct request *rq, struct reply *rp)
{
	static const char *const NAMES[] = { "state", "callback", "task", "from", "to", "before", NULL };
	struct delivery_filter f = { .from = TIME_NONE, .to = TIME_NONE, .most = REDELIVER_MOST };
	struct str callback = STR_LIT(""), task = STR_LIT(""), from = STR_LIT(""), to = STR_LIT("");
	struct ctx *cx = &rq->cx;
	struct delivery_entry *all;
	int64_t *ids, changed, searched_to;
	json_t *j;
	size_t n;

	TRY(json_only(cx, rq->json, NAMES)); /* one that is misspelt would be no filter at all */
	TRY(json_get_text(cx, rq->json, "state", &f.state));
	TRY(json_get_text(cx, rq->json, "callback", &callback));
	TRY(json_get_text(cx, rq->json, "task", &task));
	TRY(json_get_text(cx, rq->json, "from", &from));
	TRY(json_get_text(cx, rq->json, "to", &to));
	TRY(json_get_int(cx, rq->json, "before", &f.before));
	if (!f.state.n)
		f.state = STR_LIT("exhausted");
	TRY(check_state(cx, f.state));
	TRY(id_or_none(cx, callback, "callback", &f.callback_id));
	TRY(id_or_none(cx, task, "task", &f.task_id));
	if ((from.n && !time_parse(from, &f.from)) || (to.n && !time_parse(to, &f.to)))
		return err_set(cx, ERR_INPUT, "fields from and to: must be times such as 2026-11-23T14:00:00Z");
	TRY(delivery_store_list(rq->db, cx, &rq->project_id, &f, &all, &n, &searched_to));
	ids = arena_array(&cx->arena, n, sizeof *ids);
	for (size_t i = 0; i < n; i++)
		ids[i] = all[i].id;
	TRY(delivery_store_again(rq->db, cx, &rq->project_id, ids, n, &changed));
	j = json_pack("{s:s, s:I}", "msg", "Redelivering", "count", (json_int_t)changed);
	if (searched_to)
		json_object_set_new(j, "next_before", json_integer((json_int_t)searched_to));
	return reply_json(rp, 200, j);
}
