#include "cli/commands.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/follow.h"
#include "cli/output.h"

#include <stdio.h>
#include <unistd.h>

enum { PAYLOAD_BYTES = 64 << 20, DELAY_S_MOST = 2000000000 };

struct queue_options {
	const char *payload, *payload_file, *label, *cluster, *callback;
	int64_t priority, delay_s, timeout_s, expires_in_s;
	bool wait;
};

/* "-" is stdin. */
static enum err read_payload(struct cli *c, const char *path, struct str *out)
{
	auto_buf b = { .ceiling = PAYLOAD_BYTES };
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *room;
	size_t n = 1;

	if (!f)
		return err_errno(&c->cx, "read payload file %s", path);
	while (n && (room = buf_room(&b, 65536))) {
		n = fread(room, 1, 65536, f);
		b.n += n;
	}
	if (f != stdin)
		fclose(f);
	if (b.full)
		return err_set(&c->cx, ERR_TOO_LARGE, "payload file %s is larger than %d bytes", path, PAYLOAD_BYTES);
	*out = str_bytes(arena_copy(&c->cx.arena, b.p, b.n), b.n);
	return OK;
}

static enum err payload_of(struct cli *c, const struct queue_options *o, struct str *out)
{
	*out = str_of(o->payload ? o->payload : "");
	if (o->payload && o->payload_file)
		return cli_usage(c, "--payload and --payload-file exclude each other");
	if (o->payload_file)
		TRY(read_payload(c, o->payload_file, out));
	/* JSON carries text; changing bytes in silence would be worse than saying so */
	if (text_utf8(&c->cx.arena, *out).p != out->p)
		return err_set(&c->cx, ERR_INPUT, "the payload is not UTF-8: encode it, in base64 for one");
	return OK;
}

static void set_text(json_t *j, const char *key, const char *value)
{
	if (value)
		json_object_set_new(j, key, json_text(str_of(value)));
}

static json_t *order_json(const char *code, const struct queue_options *o, struct str payload)
{
	json_t *task = json_object();

	set_text(task, "code_name", code);
	json_object_set_new(task, "payload", json_text(payload));
	set_text(task, "label", o->label);
	set_text(task, "cluster", o->cluster);
	set_text(task, "callback", o->callback);
	if (o->priority >= 0)
		json_object_set_new(task, "priority", json_integer(o->priority));
	if (o->delay_s)
		json_object_set_new(task, "delay", json_integer(o->delay_s));
	if (o->expires_in_s)
		json_object_set_new(task, "expires_in", json_integer(o->expires_in_s));
	if (o->timeout_s)
		json_object_set_new(task, "timeout", json_integer(o->timeout_s));
	return json_pack("{s:[o]}", "tasks", task);
}

static enum err follow(struct cli *c, const struct client *to, const char *id)
{
	auto_json *task = NULL;

	cli_say(c, "task %s is queued", id);
	TRY(c->json ? job_wait(c, to, id, &task) : follow_log(c, to, id, &task));
	if (c->json)
		output_json(&c->cx, task);
	c->exit = job_verdict(task);
	if (c->exit)
		cli_say(c, "%s", job_sentence(c, task));
	return OK;
}

static enum err queue(struct cli *c, const struct queue_options *o)
{
	auto_json *body = NULL, *answer = NULL;
	struct client to;
	struct str payload;
	struct id_text id;
	const char *text;

	TRY(client_open(c, &to));
	TRY(payload_of(c, o, &payload));
	body = order_json(c->args[0], o, payload);
	TRY(client_call(c, &to, "POST", "/tasks", body, &answer));
	text = json_string_value(json_object_get(json_array_get(json_object_get(answer, "tasks"), 0), "id"));
	if (!text || client_id(c, text, &id) != OK)
		return err_set(&c->cx, ERR_INTERNAL, "the server's answer names no task");
	if (o->wait)
		return follow(c, &to, id.s);
	if (c->json)
		output_json(&c->cx, answer);
	else
		puts(id.s);
	if (isatty(1) && !c->json)
		cli_say(c, "follow it with: stoker log -f %s", id.s);
	return OK;
}

enum err queue_command(struct cli *c)
{
	struct queue_options o = { .priority = -1 };
	const struct cli_option options[] = {
		{ "payload", 'p', OPTION_TEXT, &o.payload, "TEXT", "what the job finds in $PAYLOAD_FILE", 0, 0 },
		{ "payload-file", 'f', OPTION_TEXT, &o.payload_file, "FILE", "the same out of a file; - is stdin", 0, 0 },
		{ "priority", 0, OPTION_INT, &o.priority, "N", "0, 1 or 2; higher ones start sooner", 0, 2 },
		{ "delay", 0, OPTION_INT, &o.delay_s, "S", "seconds before it may start", 0, DELAY_S_MOST },
		{ "expires-in", 0, OPTION_INT, &o.expires_in_s, "S", "seconds after which it is dropped if nothing has started it", 1, DELAY_S_MOST },
		{ "timeout", 0, OPTION_INT, &o.timeout_s, "S", "seconds it may run", 1, DELAY_S_MOST },
		{ "label", 0, OPTION_TEXT, &o.label, "TEXT", "free text to find it by", 0, 0 },
		{ "cluster", 0, OPTION_TEXT, &o.cluster, "NAME", "where it runs, default 'default'", 0, 0 },
		{ "callback", 0, OPTION_TEXT, &o.callback, "URL", "told when it is over", 0, 0 },
		{ "wait", 'w', OPTION_FLAG, &o.wait, NULL, "print its log, end with its verdict", 0, 0 },
	};

	TRY(cli_options(c, options, sizeof options / sizeof *options));
	c->follows = o.wait;
	return queue(c, &o);
}
