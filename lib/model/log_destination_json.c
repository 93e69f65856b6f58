#include "model/log_destination_json.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

static enum err read_text(struct ctx *cx, const json_t *j, const char *field, size_t most, bool *has, struct str *out)
{
	TRY(json_get_text(cx, j, field, out));
	*has = out->p != NULL;
	if (out->n > most)
		return err_set(cx, ERR_INPUT, "field %s: is longer than %zu bytes", field, most);
	return OK;
}

static enum err read_word(struct ctx *cx, const json_t *j, const char *field, size_t most, bool *has, struct str *out)
{
	TRY(read_text(cx, j, field, most, has, out));
	if (out->n && text_has_controls(*out))
		return err_set(cx, ERR_INPUT, "field %s: must not have control characters", field);
	return OK;
}

static bool is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80 || !s.p[i])
			return false;
	return true;
}

enum err log_destination_order_from_json(struct ctx *cx, const json_t *j, struct log_destination_order *out)
{
	struct log_destination_order o = { 0 };
	struct log_address address;
	struct str template = { 0 };

	TRY(read_word(cx, j, "address", LOG_ADDRESS_BYTES, &o.has_address, &o.address));
	TRY(read_word(cx, j, "name", LOG_NAME_BYTES, &o.has_name, &o.name));
	TRY(read_word(cx, j, "template", LOG_NAME_BYTES, &o.has_template, &template));
	TRY(read_word(cx, j, "tenant", LOG_NAME_BYTES, &o.has_tenant, &o.tenant));
	TRY(read_word(cx, j, "secret", LOG_SECRET_BYTES, &o.has_secret, &o.secret));
	TRY(read_text(cx, j, "ca", LOG_CA_BYTES, &o.has_ca, &o.ca));
	if (o.has_address)
		TRY(log_address_read(cx, o.address, &address));
	if (o.has_template && !log_template_parse(template, &o.template))
		return err_set(cx, ERR_INPUT, "field template: must be ndjson, loki, elasticsearch, splunk or syslog");
	if (o.ca.n && (str_find(o.ca, "-----BEGIN CERTIFICATE-----") == (size_t)-1 || !is_ascii(o.ca)))
		return err_set(cx, ERR_INPUT, "field ca: must be certificates as PEM");
	*out = o;
	return OK;
}

static void put_time(json_t *j, const char *name, int64_t at)
{
	if (at != TIME_NONE)
		json_object_set_new(j, name, json_time(at));
}

static void put_number(json_t *j, const char *name, int64_t n)
{
	json_object_set_new(j, name, json_integer((json_int_t)n));
}

static json_t *ping_json(const struct log_destination *d)
{
	json_t *j = json_object();
	bool is_answered = d->pinged_at != TIME_NONE && d->pinged_at >= d->ping_at;

	json_object_set_new(j, "time", json_time(d->ping_at));
	json_object_set_new(j, "state", json_string(!is_answered ? "waiting" : d->ping_error.n ? "failed" : "sent"));
	if (is_answered && d->ping_error.n)
		json_object_set_new(j, "error", json_text(d->ping_error));
	return j;
}

static void put_health(json_t *j, const struct log_destination *d)
{
	put_number(j, "sent_lines", d->sent_lines);
	put_number(j, "refused_lines", d->refused_lines);
	put_time(j, "sent_at", d->sent_at);
	if (d->failing_at != TIME_NONE) {
		put_time(j, "failing_since", d->failing_at);
		put_number(j, "failures", d->failures);
		put_time(j, "next_try_at", d->open_at);
	}
	if (d->error.n)
		json_object_set_new(j, "error", json_text(d->error));
	if (d->lost_logs) {
		put_number(j, "lost_logs", d->lost_logs);
		put_number(j, "lost_bytes", d->lost_bytes);
		put_time(j, "lost_at", d->lost_at);
	}
	if (d->ping_at != TIME_NONE)
		json_object_set_new(j, "ping", ping_json(d));
}

json_t *log_destination_to_json(const struct log_destination *d)
{
	json_t *j = json_object();

	json_object_set_new(j, "id", json_string(id_format(&d->id).s));
	json_object_set_new(j, "name", json_text(d->name));
	json_object_set_new(j, "address", json_text(d->address));
	json_object_set_new(j, "template", json_string(log_template_name(d->template)));
	json_object_set_new(j, "tenant", json_text(d->tenant));
	json_object_set_new(j, "ca", json_text(d->ca));
	json_object_set_new(j, "has_secret", json_boolean(d->sealed.n));
	json_object_set_new(j, "state", json_string(d->paused_at != TIME_NONE ? "paused" : d->failing_at != TIME_NONE ? "failing" : "enabled"));
	put_health(j, d);
	json_object_set_new(j, "created_at", json_time(d->created_at));
	json_object_set_new(j, "updated_at", json_time(d->updated_at));
	return j;
}
