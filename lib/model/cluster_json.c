#include "model/cluster_json.h"

#include "base/envelope.h"
#include "base/json.h"
#include "base/text.h"

enum { NAME_BYTES = 200, AUTOSCALE_BYTES = 65536, KEY_BYTES = 16384 };

bool cluster_network_parse(struct str text, int *out)
{
	static const char *const names[] = CLUSTER_NETWORKS;

	for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
		if (str_is(text, names[i])) {
			*out = i;
			return true;
		}
	return false;
}

struct id cluster_wire_id(int64_t number)
{
	struct id id = { { 0 } };

	for (int i = ID_BYTES - 1; i >= ID_BYTES - 4; i--, number >>= 8)
		id.b[i] = (unsigned char)number;
	return id;
}

bool cluster_number(const struct id *id, int64_t *number)
{
	*number = 0;
	for (int i = 0; i < ID_BYTES; i++) {
		if (i < ID_BYTES - 4 && id->b[i])
			return false;
		*number = *number << 8 | id->b[i];
	}
	return *number > 0 && *number <= INT32_MAX;
}

static void set_id(json_t *j, const char *key, const struct id *id)
{
	struct id_text text = id_format(id);

	json_object_set_new(j, key, json_string(id_is_zero(id) ? "" : text.s));
}

static void set_int(json_t *j, const char *key, int64_t i)
{
	json_object_set_new(j, key, json_integer(i));
}

json_t *cluster_to_json(const struct cluster *c)
{
	struct id id = cluster_wire_id(c->number);
	json_t *j = json_object();

	set_id(j, "id", &id);
	json_object_set_new(j, "name", json_text(c->name));
	set_id(j, "user_id", &c->user_id);
	set_int(j, "memory", c->memory);
	set_int(j, "disk_space", c->disk_space);
	set_int(j, "cpu_share", c->cpu_share);
	json_object_set_new(j, "network", json_text(c->network));
	set_int(j, "runners_total", c->slots);
	set_int(j, "runners_available", c->slots > c->running ? c->slots - c->running : 0);
	json_object_set_new(j, "created_at", json_time(c->created_at));
	json_object_set_new(j, "updated_at", json_time(c->updated_at));
	if (c->autoscale.n) {
		json_t *autoscale = json_loadb(c->autoscale.p, c->autoscale.n, 0, NULL);

		json_object_set_new(j, "autoscale", autoscale ? autoscale : json_object());
	}
	if (c->public_key.n)
		json_object_set_new(j, "public_key", json_text(c->public_key));
	return j;
}

/* 0 is unset in disguise (rule 20). */
static enum err read_amount(struct ctx *cx, const json_t *j, const char *key, int64_t *out)
{
	int64_t i = 0;

	TRY(json_get_amount(cx, j, key, &i));
	if (i < 0 || i > INT64_C(1) << 50)
		return err_set(cx, ERR_INPUT, "field %s: is out of range", key);
	if (i > 0)
		*out = i;
	return OK;
}

static void key_free(struct envelope_key **key)
{
	envelope_key_free(*key);
}

/* null says nothing, "" takes the key away. */
static enum err read_key(struct ctx *cx, const json_t *j, struct cluster_order *o)
{
	__attribute__((cleanup(key_free))) struct envelope_key *key = NULL;
	const json_t *text = json_object_get(j, "decryption_key");

	if (!text || json_is_null(text))
		return OK;
	o->says_key = true;
	TRY(json_get_text(cx, j, "decryption_key", &o->decryption_key));
	if (!o->decryption_key.n)
		return OK;
	if (o->decryption_key.n > KEY_BYTES)
		return err_set(cx, ERR_INPUT, "field decryption_key: is longer than %d bytes", KEY_BYTES);
	if (envelope_key_read(cx, o->decryption_key, &key))
		return err_wrap(cx, "field decryption_key");
	o->public_key = envelope_key_public(cx, key);
	return OK;
}

enum err cluster_order_from_json(struct ctx *cx, const json_t *j, struct cluster_order *out)
{
	struct cluster_order o = { .memory = -1, .disk_space = -1, .cpu_share = -1 };
	json_t *autoscale = NULL;

	TRY(json_get_text(cx, j, "name", &o.name));
	if (o.name.n > NAME_BYTES)
		return err_set(cx, ERR_INPUT, "field name: is longer than %d bytes", NAME_BYTES);
	if (text_has_controls(o.name))
		return err_set(cx, ERR_INPUT, "field name: must not have control characters");
	TRY(read_amount(cx, j, "memory", &o.memory));
	TRY(read_amount(cx, j, "disk", &o.disk_space)); /* docs and Node say disk, Go and Ruby disk_space */
	TRY(read_amount(cx, j, "disk_space", &o.disk_space));
	TRY(read_amount(cx, j, "cpu_share", &o.cpu_share));
	if (o.cpu_share > INT32_MAX)
		return err_set(cx, ERR_INPUT, "field cpu_share: is out of range");
	TRY(json_get_object(cx, j, "autoscale", &autoscale));
	if (autoscale)
		o.autoscale = json_write(&cx->arena, autoscale);
	if (o.autoscale.n > AUTOSCALE_BYTES)
		return err_set(cx, ERR_INPUT, "field autoscale: is longer than %d bytes", AUTOSCALE_BYTES);
	TRY(read_key(cx, j, &o));
	*out = o;
	return OK;
}
