#include "fcgi/api/log_destination_api.h"

#include "base/clock.h"
#include "base/json.h"
#include "model/log_destination_json.h"
#include "store/log_destination_store.h"

static enum err the_destination(struct request *rq, struct log_destination *out)
{
	struct id id;

	TRY(request_id(rq, "id", "log destination", &id));
	return log_destination_store_get(rq->logs, &rq->cx, &rq->project_id, &id, out);
}

static json_t *to_json(const struct log_destination *d, const struct log_lag *lag, int64_t now)
{
	json_t *j = log_destination_to_json(d);

	json_object_set_new(j, "waiting_logs", json_integer((json_int_t)lag->logs));
	json_object_set_new(j, "waiting_bytes", json_integer((json_int_t)lag->bytes));
	json_object_set_new(j, "lag", json_integer(lag->since == TIME_NONE || lag->since > now ? 0 : (json_int_t)((now - lag->since) / 1000000)));
	return j;
}

/* What waits is read before what was sent: whoever sees nothing wait sees all of it counted. */
static enum err show(struct request *rq, struct reply *rp, const struct id *id)
{
	struct log_destination d;
	struct log_lag lag;
	int64_t now;

	TRY(log_destination_store_lag(rq->logs, &rq->cx, id, &lag));
	TRY(db_now(rq->logs, &rq->cx, &now));
	TRY(log_destination_store_get(rq->logs, &rq->cx, &rq->project_id, id, &d));
	return reply_json(rp, 200, to_json(&d, &lag, now));
}

/* What was sealed for one receiver goes to no other without having been said again: whoever may change an
 * address may not read secrets. */
static enum err check_secret(struct request *rq, const struct log_destination_order *o, const struct log_destination *d)
{
	if (o->has_address && !o->has_secret && d->sealed.n && !str_equal(o->address, d->address))
		return err_set(&rq->cx, ERR_INPUT, "field secret: has to be said again with another address (\"\" takes it away)");
	return OK;
}

static enum err apply(struct request *rq, const struct log_destination_order *o, struct log_destination *d)
{
	struct log_address address;

	if (o->has_address)
		d->address = o->address;
	if (o->has_name)
		d->name = o->name;
	if (o->has_tenant)
		d->tenant = o->tenant;
	if (o->has_ca)
		d->ca = o->ca;
	TRY(log_address_read(&rq->cx, d->address, &address));
	if (o->has_template)
		d->template = o->template;
	else if (o->has_address && log_scheme_is_http(address.scheme) != (d->template != LOG_SYSLOG))
		d->template = log_scheme_is_http(address.scheme) ? LOG_NDJSON : LOG_SYSLOG;
	if (log_scheme_is_http(address.scheme) != (d->template != LOG_SYSLOG))
		return err_set(&rq->cx, ERR_INPUT, "field template: syslog goes to udp, tcp and tls, the others to http and https");
	return OK;
}

static enum err key_for(struct request *rq, struct str secret, struct seal_key *out)
{
	return secret.n ? seal_key_read(&rq->cx, rq->set->secrets.key_file, out) : OK;
}

enum err log_destination_api_make(struct request *rq, const json_t *j, struct id *out)
{
	struct log_destination d = { .id = id_make(clock_wall_us()), .project_id = rq->project_id, .name = STR_LIT(""),
		                     .tenant = STR_LIT(""), .ca = STR_LIT(""), .sealed = STR_LIT("") };
	struct log_destination_order order;
	struct seal_key key = { { 0 } };

	TRY(log_destination_order_from_json(&rq->cx, j, &order));
	if (!order.has_address)
		return err_set(&rq->cx, ERR_REQUIRED, "field address: is missing");
	TRY(apply(rq, &order, &d));
	TRY(key_for(rq, order.secret, &key));
	*out = d.id;
	return log_destination_store_add(rq->logs, &rq->cx, &d, &key, order.secret);
}

enum err log_destination_api_add(struct request *rq, struct reply *rp)
{
	struct id id;

	TRY(log_destination_api_make(rq, rq->json, &id));
	return show(rq, rp, &id);
}

enum err log_destination_api_list(struct request *rq, struct reply *rp)
{
	struct log_destination *all;
	auto_json *array = json_array();
	int64_t now;
	size_t n;

	TRY(log_destination_store_list(rq->logs, &rq->cx, &rq->project_id, &all, &n));
	TRY(db_now(rq->logs, &rq->cx, &now));
	for (size_t i = 0; i < n; i++) {
		struct log_lag lag;

		TRY(log_destination_store_lag(rq->logs, &rq->cx, &all[i].id, &lag));
		json_array_append_new(array, to_json(&all[i], &lag, now));
	}
	return reply_json(rp, 200, json_pack("{s:O}", "log_destinations", array));
}

enum err log_destination_api_get(struct request *rq, struct reply *rp)
{
	struct id id;

	TRY(request_id(rq, "id", "log destination", &id));
	return show(rq, rp, &id);
}

enum err log_destination_api_change(struct request *rq, struct reply *rp)
{
	struct log_destination_order order;
	struct seal_key key = { { 0 } };
	struct log_destination d;

	TRY(the_destination(rq, &d));
	TRY(log_destination_order_from_json(&rq->cx, rq->json, &order));
	TRY(check_secret(rq, &order, &d));
	TRY(apply(rq, &order, &d));
	TRY(key_for(rq, order.secret, &key));
	TRY(log_destination_store_change(rq->logs, &rq->cx, &d, &key, order.has_secret ? &order.secret : NULL));
	return show(rq, rp, &d.id);
}

enum err log_destination_api_delete(struct request *rq, struct reply *rp)
{
	struct id id;

	TRY(request_id(rq, "id", "log destination", &id));
	TRY(log_destination_store_delete(rq->logs, &rq->cx, &rq->project_id, &id));
	return reply_msg(rp, 200, "Deleted", NULL);
}

static enum err set_paused(struct request *rq, struct reply *rp, bool paused)
{
	struct id id;

	TRY(request_id(rq, "id", "log destination", &id));
	TRY(log_destination_store_pause(rq->logs, &rq->cx, &rq->project_id, &id, paused));
	return reply_msg(rp, 200, paused ? "Paused" : "Resumed", NULL);
}

enum err log_destination_api_pause(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, true);
}

enum err log_destination_api_resume(struct request *rq, struct reply *rp)
{
	return set_paused(rq, rp, false);
}

enum err log_destination_api_ping(struct request *rq, struct reply *rp)
{
	struct id id;

	TRY(request_id(rq, "id", "log destination", &id));
	TRY(log_destination_store_ping(rq->logs, &rq->cx, &rq->project_id, &id));
	return reply_msg(rp, 200, "Pinged", NULL);
}
