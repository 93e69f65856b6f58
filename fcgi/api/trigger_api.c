#include "fcgi/api/trigger_api.h"
#include "fcgi/api/trigger_body.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "fcgi/doorbell.h"
#include "fcgi/quota.h"
#include "fcgi/targets.h"
#include "fcgi/timeout.h"
#include "model/code.h"
#include "model/order_json.h"
#include "store/code_store.h"
#include "store/task_store.h"
#include "store/trigger_store.h"

#include <stdlib.h>

/* --- keeping them ---------------------------------------------------------------------------------------------- */

static const char TOKEN_PREFIX[] = "sth_";

static char *new_token(struct arena *a, unsigned char hash[SHA256_BYTES])
{
	unsigned char bytes[TRIGGER_TOKEN_BYTES];
	char hex[2 * TRIGGER_TOKEN_BYTES + 1], *text;

	crypt_random(bytes, sizeof bytes);
	hex_format(bytes, sizeof bytes, hex);
	text = arena_printf(a, "%s%s", TOKEN_PREFIX, hex);
	crypt_sha256(str_of(text), hash);
	return text;
}

/* The token is in this answer and in no other. */
static enum err show(struct request *rq, struct reply *rp, const struct id *id, const char *token)
{
	struct trigger t;
	json_t *j;

	TRY(trigger_store_get(rq->db, &rq->cx, &rq->project_id, id, &t));
	j = trigger_to_json(&t);
	if (token) {
		json_object_set_new(j, "token", json_string(token));
		json_object_set_new(j, "path", json_string(arena_printf(&rq->cx.arena, STR_FMT "/hooks/%s", STR_ARG(request_base(rq)), token)));
	}
	return reply_json(rp, 200, j);
}

static enum err read_name(struct request *rq, struct str *name)
{
	TRY(json_get_text(&rq->cx, rq->json, "name", name));
	if (!name->n || name->n > CODE_NAME_BYTES || text_has_controls(*name))
		return err_set(&rq->cx, ERR_INPUT, "field name: must have 1 to %d bytes, and no control characters", CODE_NAME_BYTES);
	return OK;
}

/* Verification and its secret go together: who changes one says the other. */
static enum err read_verify(struct request *rq, struct trigger *t, struct str *secret)
{
	struct str word = { 0 };

	TRY(json_get_text(&rq->cx, rq->json, "verify", &word));
	TRY(json_get_text(&rq->cx, rq->json, "secret", secret));
	if (word.n && !trigger_kind_parse(word, &t->kind))
		return err_set(&rq->cx, ERR_INPUT, "field verify: must be none, github, gitlab, stripe, slack, standard, hmac or basic");
	if (t->kind == TRIGGER_NONE && secret->n)
		return err_set(&rq->cx, ERR_INPUT, "field secret: is given, and field verify does not say for what");
	if (secret->n > TRIGGER_SECRET_BYTES)
		return err_set(&rq->cx, ERR_INPUT, "field secret: is longer than %d bytes", TRIGGER_SECRET_BYTES);
	if (t->kind != TRIGGER_NONE && !secret->n && (word.n || !t->sealed.n))
		return err_set(&rq->cx, ERR_INPUT, "field secret: is missing; %s is verified with one", trigger_kind_name(t->kind));
	if (t->kind == TRIGGER_BASIC && secret->n && !memchr(secret->p, ':', secret->n))
		return err_set(&rq->cx, ERR_INPUT, "field secret: must be user:password");
	return OK;
}

static enum err seal_key(struct request *rq, struct str secret, struct seal_key *out)
{
	return secret.n ? seal_key_read(&rq->cx, rq->set->secrets.key_file, out) : OK;
}

enum err trigger_api_add(struct request *rq, struct reply *rp)
{
	static const char *const NAMES[] = { "code_name", "name", "verify", "secret", "header", "prefix", "encoding", "ips",
		                             "delivery", "filter", "map", NULL };
	struct trigger t = { .id = id_make(clock_wall_us()), .project_id = rq->project_id, .name = STR_LIT("default") };
	unsigned char hash[SHA256_BYTES];
	struct str code_name = STR_LIT(""), secret = STR_LIT("");
	struct seal_key key = { { 0 } };
	struct code code;
	const char *token;

	TRY(json_only(&rq->cx, rq->json, NAMES)); /* a misspelt "verify" would leave it open to everybody */
	TRY(json_get_text(&rq->cx, rq->json, "code_name", &code_name));
	if (!code_name.n)
		return err_set(&rq->cx, ERR_REQUIRED, "field code_name: is missing");
	TRY(code_store_find(rq->db, &rq->cx, &rq->project_id, code_name, &code));
	t.code_id = code.id;
	TRY(read_name(rq, &t.name));
	TRY(read_verify(rq, &t, &secret));
	TRY(trigger_options_from_json(&rq->cx, rq->json, &t.options));
	TRY(seal_key(rq, secret, &key));
	token = new_token(&rq->cx.arena, hash);
	TRY(trigger_store_add(rq->db, &rq->cx, &t, hash, &key, secret));
	return show(rq, rp, &t.id, token);
}

static enum err the_trigger(struct request *rq, struct trigger *out)
{
	struct id id;

	TRY(request_id(rq, "id", "trigger", &id));
	return trigger_store_get(rq->db, &rq->cx, &rq->project_id, &id, out);
}

enum err trigger_api_list(struct request *rq, struct reply *rp)
{
	struct trigger *all;
	json_t *array;
	size_t n;

	TRY(trigger_store_list(rq->db, &rq->cx, &rq->project_id, &all, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, trigger_to_json(&all[i]));
	return reply_json(rp, 200, json_pack("{s:o}", "triggers", array));
}

enum err trigger_api_get(struct request *rq, struct reply *rp)
{
	struct trigger t;

	TRY(the_trigger(rq, &t));
	return reply_json(rp, 200, trigger_to_json(&t));
}

/* What is said of options is all of them: filter and map are whole things. */
enum err trigger_api_change(struct request *rq, struct reply *rp)
{
	struct seal_key key = { { 0 } };
	struct str secret = { 0 };
	struct trigger t;

	TRY(the_trigger(rq, &t));
	TRY(read_name(rq, &t.name));
	TRY(read_verify(rq, &t, &secret));
	TRY(trigger_options_from_json(&rq->cx, rq->json, &t.options));
	TRY(seal_key(rq, secret, &key));
	TRY(trigger_store_change(rq->db, &rq->cx, &t, &key, secret));
	return show(rq, rp, &t.id, NULL);
}

enum err trigger_api_delete(struct request *rq, struct reply *rp)
{
	struct id id;

	TRY(request_id(rq, "id", "trigger", &id));
	TRY(trigger_store_delete(rq->db, &rq->cx, &rq->project_id, &id));
	return reply_msg(rp, 200, "Deleted", NULL);
}

enum err trigger_api_rotate(struct request *rq, struct reply *rp)
{
	unsigned char hash[SHA256_BYTES];
	struct trigger t;
	const char *token;

	TRY(the_trigger(rq, &t));
	token = new_token(&rq->cx.arena, hash);
	TRY(trigger_store_rotate(rq->db, &rq->cx, &rq->project_id, &t.id, hash));
	return show(rq, rp, &t.id, token);
}

static enum err set_paused(struct request *rq, struct reply *rp, bool paused)
{
	struct trigger t;

	TRY(the_trigger(rq, &t));
	TRY(trigger_store_pause(rq->db, &rq->cx, &rq->project_id, &t.id, paused));
	return reply_msg(rp, 200, paused ? "Paused" : "Resumed", NULL);
}

enum err trigger_api_pause(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, true);
}

enum err trigger_api_resume(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, false);
}

enum err trigger_api_requests(struct request *rq, struct reply *rp)
{
	struct trigger_note *notes;
	struct trigger t;
	json_t *array;
	size_t n;

	TRY(the_trigger(rq, &t));
	TRY(trigger_store_notes(rq->db, &rq->cx, &t.id, &notes, &n));
	array = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *j = json_object();

		json_object_set_new(j, "time", json_time(notes[i].at));
		json_object_set_new(j, "address", json_text(notes[i].address));
		json_object_set_new(j, "verdict", json_text(notes[i].verdict));
		json_object_set_new(j, "reason", json_text(notes[i].reason));
		json_object_set_new(j, "delivery", json_text(notes[i].delivery));
		json_object_set_new(j, "body", json_text(notes[i].body));
		if (!id_is_zero(&notes[i].task_id))
			json_object_set_new(j, "task_id", json_string(id_format(&notes[i].task_id).s));
		json_array_append_new(array, j);
	}
	return reply_json(rp, 200, json_pack("{s:o}", "requests", array));
}

/* --- what senders call ------------------------------------------------------------------------------------------ */

/* One request to a trigger. */
struct receiving {
	struct trigger trigger;
	struct trigger_request in;
	json_t *options, *body;
	const char *unread; /* why `body` is only {}; NULL: it was read */
	struct trigger_note note;
};

static void receiving_free(struct receiving *r)
{
	json_decref(r->options);
	json_decref(r->body);
}
#define auto_receiving __attribute__((cleanup(receiving_free))) struct receiving

static struct str header_of(const void *rq, const char *name)
{
	return request_header(rq, name);
}

/* What became of it is for people: it is told when the answer is sure, and changes nothing of it. */
static void note(struct request *rq, struct receiving *r, const char *verdict, const char *reason)
{
	auto_ctx cx = { 0 };

	r->note.verdict = str_of(verdict);
	r->note.reason = str_of(reason);
	if (trigger_store_note(rq->db, &cx, &r->trigger.id, &r->note))
		log_warn("trigger_not_noted", "why=\"%s\"", cx.message);
}

static enum err find(struct request *rq, struct receiving *r)
{
	struct str token = request_param(rq, "token");
	unsigned char hash[SHA256_BYTES];

	crypt_sha256(token, hash);
	TRY(trigger_store_of_token(rq->db, &rq->cx, hash, &r->trigger));
	rq->project_id = r->trigger.project_id;
	r->options = json_loadb(r->trigger.options.p, r->trigger.options.n, 0, NULL);
	if (trigger_body_read(rq, &r->body)) { /* nothing to blame, where neither filter nor map look into it */
		r->unread = arena_text(&rq->cx.arena, rq->cx.message);
		r->body = json_object();
	}
	r->in = (struct trigger_request){ header_of, rq, str_c(&rq->cx.arena, request_env(rq, "REMOTE_ADDR")), rq->body,
		                          clock_wall_us() / 1000000 };
	r->note = (struct trigger_note){ .address = str_of(r->in.address), .body = rq->body };
	return OK;
}

static enum err verify(struct request *rq, struct receiving *r)
{
	struct seal_key key;
	struct str secret = STR_LIT("");
	enum err e;

	if (r->trigger.sealed.n) {
		TRY(seal_key_read(&rq->cx, rq->set->secrets.key_file, &key));
		TRY(trigger_store_secret(&rq->cx, &key, &r->trigger, &secret));
	}
	e = trigger_verify(&rq->cx, r->trigger.kind, secret, r->options, &r->in);
	if (e == ERR_AUTH)
		note(rq, r, "refused", rq->cx.message);
	return e;
}

/* The same delivery of a sender queues once, for a day. */
static void once_of(const struct receiving *r, struct idempotency *out)
{
	auto_ctx cx = { 0 };
	const char *text = arena_printf(&cx.arena, "trigger %s " STR_FMT, id_format(&r->trigger.id).s, STR_ARG(r->note.delivery));

	crypt_sha256(str_of(text), out->key);
	crypt_sha256(STR_LIT(""), out->body); /* the same id is the same delivery, whatever else a sender says */
}

static enum err say_duplicate(struct request *rq, struct reply *rp, struct receiving *r, struct str answer)
{
	auto_json *j = json_loadb(answer.p, answer.n, 0, NULL);
	const char *id = json_string_value(json_object_get(j, "id"));

	if (id)
		id_parse(str_of(id), &r->note.task_id);
	note(rq, r, "duplicate", "the delivery was taken before");
	return reply_json(rp, 200, json_pack("{s:s, s:s?}", "msg", "Duplicate", "id", id));
}

static enum err add(struct request *rq, struct reply *rp, struct receiving *r, struct task_order *order,
                    const struct code_target *target)
{
	struct idempotency once = { .answer = str_bytes(arena_copy(&rq->cx.arena, rp->body.p, rp->body.n), rp->body.n) };
	bool found = false, taken = false;
	struct str answer;
	enum err e;

	if (!r->note.delivery.n)
		return task_store_add(rq->db, &rq->cx, &rq->project_id, order, target, 1);
	once_of(r, &once);
	TRY(idempotency_store_find(rq->db, &rq->cx, &rq->project_id, &once, &found, &answer));
	if (!found) {
		e = task_store_add_once(rq->db, &rq->cx, &rq->project_id, order, target, 1, &once, &taken);
		if (!taken)
			return e;
		TRY(idempotency_store_find(rq->db, &rq->cx, &rq->project_id, &once, &found, &answer));
		if (!found)
			return err_set(&rq->cx, ERR_BUSY, "the same delivery is being taken");
	}
	order->id = (struct id){ { 0 } }; /* nothing was queued */
	return say_duplicate(rq, rp, r, answer);
}

static enum err read_order(struct request *rq, const struct receiving *r, struct task_order *out)
{
	struct task_order o = { .code_name = r->trigger.code_name, .priority = TASK_PRIORITY_UNSET };

	o.payload = trigger_payload(&rq->cx, r->options, r->body, rq->body);
	trigger_map_text(&rq->cx, r->options, "label", r->body, &o.label);
	trigger_map_int(&rq->cx, r->options, "priority", r->body, &o.priority);
	trigger_map_int(&rq->cx, r->options, "timeout", r->body, &o.timeout_s);
	trigger_map_int(&rq->cx, r->options, "delay", r->body, &o.delay_s);
	o.label = text_cut(o.label, TASK_LABEL_BYTES);
	TRY(order_check(&rq->cx, rq->set, &o));
	o.id = id_make(clock_wall_us());
	*out = o;
	return OK;
}

static enum err queue(struct request *rq, struct reply *rp, struct receiving *r)
{
	struct code_target target;
	struct task_order order;

	TRY(read_order(rq, r, &order));
	TRY(quota_check(rq, rp, 1));
	TRY(targets_find(rq->process->targets, rq->db, &rq->cx, &rq->project_id, order.code_name, STR_LIT(""), &target));
	target.timeout_most_s = timeout_most(rq, target.timeout_most_s); /* nobody there to be told that it is cut */
	reply_msg(rp, 200, "Queued up.", &order.id);
	TRY(add(rq, rp, r, &order, &target));
	if (id_is_zero(&order.id))
		return OK;
	r->note.task_id = order.id;
	note(rq, r, "accepted", "");
	targets_heard(rq->process->targets);
	quota_add(rq, 1);
	if (!order.delay_s)
		doorbells_note(rq->process->bells, target.cluster_id);
	return OK;
}

/* Slack asks whether the URL is ours. */
static bool is_challenge(const struct receiving *r)
{
	const char *type = json_string_value(json_object_get(r->body, "type"));

	return r->trigger.kind == TRIGGER_SLACK && type && strcmp(type, "url_verification") == 0 &&
	       json_is_string(json_object_get(r->body, "challenge"));
}

enum err trigger_api_receive(struct request *rq, struct reply *rp)
{
	auto_receiving r = { 0 };
	enum err e;

	TRY(find(rq, &r));
	TRY(verify(rq, &r));
	if (is_challenge(&r))
		return reply_json(rp, 200, json_pack("{s:O}", "challenge", json_object_get(r.body, "challenge")));
	r.note.delivery = trigger_delivery(&rq->cx, r.trigger.kind, r.options, &r.in, r.body);
	if (r.unread && (json_object_get(r.options, "filter") || json_object_get(r.options, "map"))) {
		note(rq, &r, "refused", r.unread);
		return err_set(&rq->cx, ERR_INPUT, "%s", r.unread);
	}
	if (!trigger_passes(r.options, r.body)) {
		note(rq, &r, "filtered", "the body does not pass the filter");
		return reply_msg(rp, 200, "Filtered", NULL);
	}
	e = queue(rq, rp, &r);
	if (e != OK && e < ERR_INTERNAL)
		note(rq, &r, "refused", rq->cx.message);
	return e;
}
