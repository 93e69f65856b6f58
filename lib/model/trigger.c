#include "model/trigger.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "base/text.h"
#include "model/signature.h"

static const char *const KINDS[] = { "none", "github", "gitlab", "stripe", "slack", "standard", "hmac", "basic" };
_Static_assert(sizeof KINDS / sizeof *KINDS == TRIGGER_KIND_COUNT, "a word for each");

const char *trigger_kind_name(enum trigger_kind kind)
{
	return KINDS[kind];
}

bool trigger_kind_parse(struct str text, enum trigger_kind *out)
{
	for (int i = 0; i < TRIGGER_KIND_COUNT; i++)
		if (str_is(text, KINDS[i])) {
			*out = (enum trigger_kind)i;
			return true;
		}
	return false;
}

/* --- who sent it --------------------------------------------------------------------------------------------- */

static const char *option(const json_t *options, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(options, name));

	return text && *text ? text : otherwise;
}

static struct str header(const struct trigger_request *rq, const char *name)
{
	return rq->header(rq->arg, name);
}

static enum err refused(struct ctx *cx, const char *why)
{
	return err_set(cx, ERR_AUTH, "%s", why);
}

static bool is_hex_mac(struct str text, const unsigned char mac[SHA256_BYTES])
{
	unsigned char given[SHA256_BYTES];

	return hex_parse(text, given, sizeof given) && crypt_equal(given, mac, sizeof given);
}

static bool is_base64_mac(struct ctx *cx, struct str text, const unsigned char mac[SHA256_BYTES])
{
	struct str given;

	return base64_parse(&cx->arena, text, &given) && given.n == SHA256_BYTES && crypt_equal(given.p, mac, SHA256_BYTES);
}

/* HMAC over `head` and the body. */
static void mac_of(struct ctx *cx, struct str key, const char *head, struct str body, unsigned char out[SHA256_BYTES])
{
	size_t n = strlen(head);
	char *text = arena_take(&cx->arena, n + body.n + 1);

	memcpy(text, head, n);
	if (body.n)
		memcpy(text + n, body.p, body.n);
	crypt_hmac_sha256(key, str_bytes(text, n + body.n), out);
}

static bool is_fresh(struct str seconds, int64_t now_s)
{
	int64_t at;

	return str_int(seconds, &at) && at >= now_s - TRIGGER_TOLERANCE_S && at <= now_s + TRIGGER_TOLERANCE_S;
}

static enum err verify_hmac(struct ctx *cx, struct str key, const char *name, const char *prefix, const char *encoding,
                            const struct trigger_request *rq)
{
	struct str given = header(rq, name);
	unsigned char mac[SHA256_BYTES];
	size_t n = strlen(prefix);

	if (!given.n)
		return err_set(cx, ERR_AUTH, "header %s is missing", name);
	if (!str_starts(given, prefix))
		return err_set(cx, ERR_AUTH, "header %s does not begin with %s", name, prefix);
	given = str_bytes(given.p + n, given.n - n);
	mac_of(cx, key, "", rq->body, mac);
	if (strcmp(encoding, "base64") == 0 ? is_base64_mac(cx, given, mac) : is_hex_mac(given, mac))
		return OK;
	return refused(cx, "the signature is wrong");
}

/* "t=1492774577,v1=5257…,v0=…": any v1 will do. */
static enum err verify_stripe(struct ctx *cx, struct str key, const struct trigger_request *rq)
{
	struct str list = header(rq, "Stripe-Signature"), rest = list, part, name, time = STR_LIT("");
	unsigned char mac[SHA256_BYTES];

	while (str_cut(&rest, ',', &part))
		if (str_cut(&part, '=', &name) && str_is(str_trim(name), "t"))
			time = part;
	if (!time.n)
		return refused(cx, "header Stripe-Signature is missing, or has no time");
	if (!is_fresh(time, rq->now_s))
		return refused(cx, "the time of the signature is over five minutes off");
	mac_of(cx, key, arena_printf(&cx->arena, STR_FMT ".", STR_ARG(time)), rq->body, mac);
	for (rest = list; str_cut(&rest, ',', &part);)
		if (str_cut(&part, '=', &name) && str_is(str_trim(name), "v1") && is_hex_mac(part, mac))
			return OK;
	return refused(cx, "the signature is wrong");
}

static enum err verify_slack(struct ctx *cx, struct str key, const struct trigger_request *rq)
{
	struct str given = header(rq, "X-Slack-Signature"), time = header(rq, "X-Slack-Request-Timestamp");
	unsigned char mac[SHA256_BYTES];

	if (!str_starts(given, "v0="))
		return refused(cx, "header X-Slack-Signature is missing");
	if (!is_fresh(time, rq->now_s))
		return refused(cx, "the time of the signature is over five minutes off");
	mac_of(cx, key, arena_printf(&cx->arena, "v0:" STR_FMT ":", STR_ARG(time)), rq->body, mac);
	return is_hex_mac(str_bytes(given.p + 3, given.n - 3), mac) ? OK : refused(cx, "the signature is wrong");
}

static enum err verify_standard(struct ctx *cx, struct str secret, const struct trigger_request *rq)
{
	struct str id = header(rq, "webhook-id"), time = header(rq, "webhook-timestamp"), list = header(rq, "webhook-signature");
	unsigned char mac[SHA256_BYTES];
	struct str one, key;

	if (!id.n || !time.n || !list.n)
		return refused(cx, "one of the headers webhook-id, webhook-timestamp and webhook-signature is missing");
	if (!is_fresh(time, rq->now_s))
		return refused(cx, "the time of the signature is over five minutes off");
	if (!str_starts(secret, "whsec_") || !signature_secret_parse(&cx->arena, secret, &key))
		key = secret;
	mac_of(cx, key, arena_printf(&cx->arena, STR_FMT "." STR_FMT ".", STR_ARG(id), STR_ARG(time)), rq->body, mac);
	while (str_cut(&list, ' ', &one))
		if (str_starts(one, "v1,") && is_base64_mac(cx, str_bytes(one.p + 3, one.n - 3), mac))
			return OK;
	return refused(cx, "the signature is wrong");
}

/* Equal in time that says nothing of where they differ. */
static bool is_secret(struct str given, struct str secret)
{
	unsigned char a[SHA256_BYTES], b[SHA256_BYTES];

	crypt_sha256(given, a);
	crypt_sha256(secret, b);
	return crypt_equal(a, b, sizeof a);
}

static enum err verify_basic(struct ctx *cx, struct str secret, const struct trigger_request *rq)
{
	struct str given = header(rq, "Authorization"), scheme, text;

	if (!str_cut(&given, ' ', &scheme) || !str_is_nocase(scheme, "Basic") || !base64_parse(&cx->arena, str_trim(given), &text))
		return refused(cx, "there is no basic authentication");
	return is_secret(text, secret) ? OK : refused(cx, "user or password is wrong");
}

static enum err verify_address(struct ctx *cx, const json_t *options, const char *address)
{
	struct egress_list list;
	const char *ips = option(options, "ips", "");
	struct sockaddr_storage at;

	if (!*ips)
		return OK;
	TRY(egress_list_read(cx, ips, &list));
	return egress_address(address, &at) && egress_is_listed(&list, (struct sockaddr *)&at)
	       ? OK : err_set(cx, ERR_AUTH, "the address %s is not among those allowed", address);
}

enum err trigger_verify(struct ctx *cx, enum trigger_kind kind, struct str secret, const json_t *options,
                        const struct trigger_request *rq)
{
	TRY(verify_address(cx, options, rq->address));
	switch (kind) {
	case TRIGGER_GITHUB:
		return verify_hmac(cx, secret, "X-Hub-Signature-256", "sha256=", "hex", rq);
	case TRIGGER_GITLAB:
		return is_secret(header(rq, "X-Gitlab-Token"), secret) ? OK : refused(cx, "header X-Gitlab-Token is missing or wrong");
	case TRIGGER_STRIPE:
		return verify_stripe(cx, secret, rq);
	case TRIGGER_SLACK:
		return verify_slack(cx, secret, rq);
	case TRIGGER_STANDARD:
		return verify_standard(cx, secret, rq);
	case TRIGGER_HMAC:
		return verify_hmac(cx, secret, option(options, "header", "X-Signature"), option(options, "prefix", ""),
		                   option(options, "encoding", "hex"), rq);
	case TRIGGER_BASIC:
		return verify_basic(cx, secret, rq);
	case TRIGGER_NONE:
	case TRIGGER_KIND_COUNT:
		break;
	}
	return OK;
}

/* X-Gitlab-Event-UUID is none: all that one request, or a webhook's own doing, sets off there has the same. */
struct str trigger_delivery(struct ctx *cx, enum trigger_kind kind, const json_t *options, const struct trigger_request *rq,
                            const json_t *body)
{
	static const char *const OF_KIND[TRIGGER_KIND_COUNT] = {
		[TRIGGER_GITHUB] = "X-GitHub-Delivery", [TRIGGER_GITLAB] = "Idempotency-Key", [TRIGGER_STRIPE] = "/id",
		[TRIGGER_SLACK] = "/event_id", [TRIGGER_STANDARD] = "webhook-id" };
	const char *where = option(options, "delivery", OF_KIND[kind] ? OF_KIND[kind] : "");
	json_t *found;

	if (!*where)
		return STR_LIT("");
	if (where[0] != '/')
		return header(rq, where);
	found = trigger_pointer(body, where);
	if (json_is_string(found))
		return str_of(json_string_value(found));
	return json_is_integer(found) ? str_of(arena_printf(&cx->arena, "%lld", (long long)json_integer_value(found))) : STR_LIT("");
}

/* --- what it says -------------------------------------------------------------------------------------------- */

/* One step of a pointer: "a~1b" is the key "a/b". */
static json_t *step(const json_t *j, const char *name, size_t n)
{
	char key[256];
	size_t k = 0;
	int64_t index;

	if (json_is_array(j))
		return str_int(str_bytes(name, n), &index) && index >= 0 ? json_array_get(j, (size_t)index) : NULL;
	for (size_t i = 0; i < n && k < sizeof key - 1; i++) {
		bool escaped = name[i] == '~' && i + 1 < n && (name[i + 1] == '0' || name[i + 1] == '1');

		key[k++] = !escaped ? name[i] : name[i + 1] == '0' ? '~' : '/';
		i += escaped;
	}
	key[k] = '\0';
	return json_object_get(j, key);
}

json_t *trigger_pointer(const json_t *j, const char *pointer)
{
	const json_t *at = j;

	while (at && *pointer == '/') {
		size_t n = strcspn(++pointer, "/");

		at = step(at, pointer, n);
		pointer += n;
	}
	return *pointer ? NULL : (json_t *)at;
}

static bool holds(const json_t *condition, const json_t *body)
{
	json_t *found = trigger_pointer(body, option(condition, "pointer", "")), *equals = json_object_get(condition, "equals");
	json_t *in = json_object_get(condition, "in"), *exists = json_object_get(condition, "exists"), *one;
	size_t i;

	if (exists && json_is_true(exists) != (found != NULL))
		return false;
	if (equals && !(found && json_equal(found, equals)))
		return false;
	if (!in)
		return true;
	json_array_foreach(in, i, one)
		if (found && json_equal(found, one))
			return true;
	return false;
}

bool trigger_passes(const json_t *options, const json_t *body)
{
	json_t *filter = json_object_get(options, "filter"), *one;
	size_t i;

	json_array_foreach(filter, i, one)
		if (!holds(one, body))
			return false;
	return true;
}

static json_t *mapped(const json_t *options, const char *field, const json_t *body)
{
	const char *pointer = json_string_value(json_object_get(json_object_get(options, "map"), field));

	return pointer ? trigger_pointer(body, pointer) : NULL;
}

static struct str text_of(struct ctx *cx, const json_t *j)
{
	if (json_is_string(j))
		return str_of(arena_copy(&cx->arena, json_string_value(j), json_string_length(j)));
	return json_write(&cx->arena, j);
}

void trigger_map_text(struct ctx *cx, const json_t *options, const char *field, const json_t *body, struct str *out)
{
	json_t *found = mapped(options, field, body);

	if (found && !json_is_null(found))
		*out = text_of(cx, found);
}

void trigger_map_int(struct ctx *cx, const json_t *options, const char *field, const json_t *body, int64_t *out)
{
	json_t *found = mapped(options, field, body);
	int64_t n;

	if (found && (json_is_integer(found) || json_is_string(found)) && str_int(text_of(cx, found), &n))
		*out = n;
}

struct str trigger_payload(struct ctx *cx, const json_t *options, const json_t *body, struct str raw)
{
	json_t *map = json_object_get(json_object_get(options, "map"), "payload"), *one;
	auto_json *made = NULL;
	const char *key;

	if (json_is_string(map)) {
		json_t *found = trigger_pointer(body, json_string_value(map));

		return found ? text_of(cx, found) : STR_LIT("");
	}
	if (!json_is_object(map))
		return raw;
	made = json_object();
	json_object_foreach(map, key, one) {
		json_t *found = trigger_pointer(body, json_string_value(one));

		json_object_set(made, key, found ? found : json_null());
	}
	return json_write(&cx->arena, made);
}

/* --- as JSON --------------------------------------------------------------------------------------------------- */

enum { OPTION_BYTES = 255, FILTER_MOST = 20, MAP_MOST = 50 };

static bool is_pointer(const json_t *j)
{
	const char *text = json_string_value(j);

	return text && (text[0] == '/' || !text[0]) && strlen(text) <= OPTION_BYTES;
}

static enum err check_filter(struct ctx *cx, const json_t *filter)
{
	json_t *one;
	size_t i;

	if (filter && !(json_is_array(filter) && json_array_size(filter) <= FILTER_MOST))
		return err_set(cx, ERR_INPUT, "field filter: must be an array of at most %d conditions", FILTER_MOST);
	json_array_foreach(filter, i, one) {
		json_t *in = json_object_get(one, "in");

		if (!json_is_object(one) || !is_pointer(json_object_get(one, "pointer")) || (in && !json_is_array(in)) ||
		    !(in || json_object_get(one, "equals") || json_is_boolean(json_object_get(one, "exists"))))
			return err_set(cx, ERR_INPUT, "field filter: condition %zu must have pointer and one of equals, in, exists", i);
	}
	return OK;
}

static enum err check_map(struct ctx *cx, const json_t *map)
{
	static const char *const FIELDS[] = { "payload", "label", "priority", "delay", "timeout" };
	const char *key, *inner;
	json_t *one, *two;

	if (map && !json_is_object(map))
		return err_set(cx, ERR_INPUT, "field map: must be an object");
	json_object_foreach((json_t *)map, key, one) {
		bool known = false, fine = is_pointer(one);

		for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++)
			known |= strcmp(key, FIELDS[i]) == 0;
		if (!known)
			return err_set(cx, ERR_INPUT, "field map: there is no %s; payload, label, priority, delay and timeout are", key);
		if (json_is_object(one) && strcmp(key, "payload") == 0 && json_object_size(one) <= MAP_MOST) {
			fine = true;
			json_object_foreach(one, inner, two)
				fine &= is_pointer(two);
		}
		if (!fine)
			return err_set(cx, ERR_INPUT, "field map.%s: must be a JSON pointer such as /repository/name", key);
	}
	return OK;
}

enum err trigger_options_from_json(struct ctx *cx, const json_t *j, struct str *out)
{
	static const char *const TEXTS[] = { "header", "prefix", "encoding", "ips", "delivery" };
	json_t *filter = json_object_get(j, "filter"), *map = json_object_get(j, "map");
	auto_json *made = json_object();
	struct egress_list list;

	for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
		struct str text = STR_LIT("");

		TRY(json_get_text(cx, j, TEXTS[i], &text));
		if (text.n > OPTION_BYTES * 4 || text_has_controls(text))
			return err_set(cx, ERR_INPUT, "field %s: is too long, or has control characters", TEXTS[i]);
		if (text.n)
			json_object_set_new(made, TEXTS[i], json_text(text));
	}
	if (strcmp(option(made, "encoding", "hex"), "hex") != 0 && strcmp(option(made, "encoding", "hex"), "base64") != 0)
		return err_set(cx, ERR_INPUT, "field encoding: must be hex or base64");
	if (egress_list_read(cx, option(made, "ips", ""), &list))
		return err_wrap(cx, "field ips");
	if (list.host_n)
		return err_set(cx, ERR_INPUT, "field ips: \"%s\" is no network such as 10.1.0.0/16", list.hosts[0]);
	TRY(check_filter(cx, filter));
	TRY(check_map(cx, map));
	if (filter)
		json_object_set(made, "filter", filter);
	if (map)
		json_object_set(made, "map", map);
	*out = json_write(&cx->arena, made);
	return OK;
}

json_t *trigger_to_json(const struct trigger *t)
{
	json_t *j = json_object(), *options = json_loadb(t->options.p, t->options.n, 0, NULL);

	json_object_set_new(j, "id", json_string(id_format(&t->id).s));
	json_object_set_new(j, "name", json_text(t->name));
	json_object_set_new(j, "code_id", json_string(id_format(&t->code_id).s));
	json_object_set_new(j, "code_name", json_text(t->code_name));
	json_object_set_new(j, "verify", json_string(trigger_kind_name(t->kind)));
	if (options)
		json_object_update_missing_new(j, options);
	json_object_set_new(j, "state", json_string(t->paused_at != TIME_NONE ? "paused" : "enabled"));
	json_object_set_new(j, "created_at", json_time(t->created_at));
	json_object_set_new(j, "updated_at", json_time(t->updated_at));
	return j;
}
