#include "cli/client.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/version.h"
#include "cli/client_config.h"
#include "cli/interrupt.h"
#include "cli/output.h"

#include <stdio.h>

enum { TRIES = 5, CALL_MS = 30000, UPLOAD_MS = 600000, FILE_BYTES = 1 << 30, JSON_DEPTH = 64, JSON_NODES = 2000000, ANSWER_BYTES = 512 << 20 };

static enum err missing(struct cli *c, const char *what, const char *option)
{
	return cli_usage(c, "no %s: set IRON_WORKER_%s or IRON_%s, write it into iron.json, or give --%s", what,
	                 strcmp(what, "project id") == 0 ? "PROJECT_ID" : strcmp(what, "host") == 0 ? "HOST" : "TOKEN",
	                 strcmp(what, "project id") == 0 ? "PROJECT_ID" : strcmp(what, "host") == 0 ? "HOST" : "TOKEN",
	                 option);
}

/* A host may carry the path that a web server mounts Stoker below: "example.org/stoker". */
static enum err make_base(struct cli *c, const struct client_config *conf, struct client *out)
{
	const char *scheme = conf->scheme ? conf->scheme : "https";
	struct str path = str_of(conf->host), host = { "", 0 };
	int64_t port = strcmp(scheme, "http") == 0 ? 80 : 443;
	struct id project;

	if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		return cli_usage(c, "the scheme must be http or https, not '%s'", scheme);
	if (conf->port && (!str_int(str_of(conf->port), &port) || port < 1 || port > 65535))
		return cli_usage(c, "the port must be 1 to 65535, not '%s'", conf->port);
	if (!id_parse(str_of(conf->project), &project))
		return cli_usage(c, "the project id must be 24 hex digits, not '%s'", conf->project);
	str_cut(&path, '/', &host);
	while (path.n && path.p[path.n - 1] == '/')
		path.n--;
	out->base = arena_printf(&c->cx.arena, "%s://" STR_FMT ":%d%s" STR_FMT "/2/projects/%s", scheme, STR_ARG(host),
	                         (int)port, path.n ? "/" : "", STR_ARG(path), id_format(&project).s);
	return OK;
}

enum err client_open(struct cli *c, struct client *out)
{
	struct client_config conf;

	TRY(client_config_read(c, &conf));
	if (!conf.host)
		return missing(c, "host", "host");
	if (!conf.token)
		return missing(c, "token", "token");
	if (!conf.project)
		return missing(c, "project id", "project-id");
	if (strpbrk(conf.token, "\r\n"))
		return cli_usage(c, "the token must be one line");
	TRY(make_base(c, &conf, out));
	out->headers[0] = arena_printf(&c->cx.arena, "Authorization: OAuth %s", conf.token);
	out->headers[1] = "Content-Type: application/json";
	out->headers[2] = "User-Agent: stoker/" STOKER_VERSION;
	out->headers[3] = NULL;
	return OK;
}

static enum err kind_of(long status)
{
	switch (status) {
	case 400: case 406: return ERR_INPUT;
	case 401: return ERR_AUTH;
	case 403: return ERR_FORBIDDEN;
	case 404: return ERR_NOT_FOUND;
	case 409: return ERR_CONFLICT;
	case 413: return ERR_TOO_LARGE;
	case 502: case 503: case 504: return ERR_BUSY;
	default: return ERR_INTERNAL;
	}
}

static enum err refused(struct cli *c, const struct http_answer *answer)
{
	static const struct json_limits LIMITS = { 8, 1000 };
	auto_json *j = NULL;
	const char *msg = NULL;

	c->cx.retry_after_s = answer->retry_after_s;
	if (json_read(&c->cx, answer->body, LIMITS, &j) == OK)
		msg = json_string_value(json_object_get(j, "msg"));
	return err_set(&c->cx, kind_of(answer->status), "the server answers %ld%s%s", answer->status, msg ? ": " : "",
	               msg ? msg : "");
}

static struct http_request request(struct cli *c, const struct client *to, const char *method, const char *path)
{
	return (struct http_request){ .method = method, .url = arena_printf(&c->cx.arena, "%s%s", to->base, path),
		                      .headers = to->headers, .connect_ms = 3000, .total_ms = CALL_MS,
		                      .answer_max = ANSWER_BYTES };
}

static enum err once_within(struct cli *c, const struct client *to, const char *method, const char *path, struct str body,
                            int most_ms, struct http_answer *answer)
{
	struct http_request rq = request(c, to, method, path);

	rq.body = body;
	rq.total_ms = most_ms;
	c->cx.retry_after_s = 0;
	TRY(http_call(&c->cx, &rq, answer));
	return answer->status == 200 ? OK : refused(c, answer);
}

static enum err once(struct cli *c, const struct client *to, const char *method, const char *path, struct str body,
                     struct http_answer *answer)
{
	return once_within(c, to, method, path, body, CALL_MS, answer);
}

static enum err parse(struct cli *c, const struct http_answer *answer, json_t **out)
{
	static const struct json_limits LIMITS = { JSON_DEPTH, JSON_NODES };

	if (json_read(&c->cx, answer->body, LIMITS, out) != OK)
		return err_wrap(&c->cx, "read the server's answer");
	if (json_is_object(*out))
		return OK;
	json_decref(*out);
	*out = NULL;
	return err_set(&c->cx, ERR_INTERNAL, "the server's answer is no JSON object: is it a Stoker?");
}

enum err client_get_once(struct cli *c, const struct client *to, const char *path, json_t **out)
{
	struct http_answer answer;

	TRY(once(c, to, "GET", path, (struct str){ 0 }, &answer));
	return parse(c, &answer, out);
}

enum err client_get_bytes(struct cli *c, const struct client *to, const char *path, struct str *out)
{
	struct str header;

	return client_get_bytes_and(c, to, path, NULL, out, &header);
}

enum err client_get_bytes_and(struct cli *c, const struct client *to, const char *path, const char *name, struct str *out,
                              struct str *header)
{
	struct http_request rq = request(c, to, "GET", path);
	struct http_answer answer;

	rq.wanted = name;
	c->cx.retry_after_s = 0;
	TRY(http_call(&c->cx, &rq, &answer));
	*out = answer.body;
	*header = answer.wanted;
	return answer.status == 200 ? OK : refused(c, &answer);
}

enum err client_stream(struct cli *c, const struct client *to, const char *path, const char *last_id,
                       const struct http_sink *sink, struct http_answer *answer)
{
	struct http_request rq = request(c, to, "GET", path);
	const char *headers[] = { to->headers[0], to->headers[2], "Accept: text/event-stream", NULL, NULL };

	if (*last_id)
		headers[3] = arena_printf(&c->cx.arena, "Last-Event-ID: %s", last_id);
	rq.headers = headers;
	c->cx.retry_after_s = 0;
	TRY(http_stream(&c->cx, &rq, sink, answer));
	return answer->status == 200 ? OK : refused(c, answer);
}

static enum err call(struct cli *c, const struct client *to, const char *method, const char *path, struct str body,
                     int most_ms, json_t **out)
{
	struct http_answer answer;
	json_t *j = NULL;
	enum err e;

	for (int try = 1; ; try++) {
		answer = (struct http_answer){ 0 };
		e = once_within(c, to, method, path, body, most_ms, &answer);
		/* only 503 promises that nothing was done; after a broken connection nobody knows */
		if (e != ERR_BUSY || answer.status != 503 || try == TRIES)
			break;
		cli_say(c, "%s; trying again", c->cx.message);
		if (!pause_ms(1000 * (c->cx.retry_after_s ? c->cx.retry_after_s : 1)))
			return interrupted(&c->cx);
	}
	if (e != OK)
		return e;
	TRY(parse(c, &answer, &j));
	if (out)
		*out = j;
	else
		json_decref(j);
	return OK;
}

enum err client_call(struct cli *c, const struct client *to, const char *method, const char *path, const json_t *body,
                     json_t **out)
{
	return call(c, to, method, path, body ? json_write(&c->cx.arena, body) : (struct str){ 0 }, CALL_MS, out);
}

static enum err add_file(struct cli *c, const char *path, struct buf *to)
{
	FILE *f = fopen(path, "re");
	char *room;
	size_t n = 1;

	if (!f)
		return err_errno(&c->cx, "read %s", path);
	while (n && (room = buf_room(to, 1 << 20))) {
		n = fread(room, 1, 1 << 20, f);
		to->n += n;
	}
	if (ferror(f)) {
		fclose(f);
		return err_errno(&c->cx, "read %s", path);
	}
	fclose(f);
	return to->full ? err_set(&c->cx, ERR_TOO_LARGE, "%s is over 1 GiB", path) : OK;
}

enum err client_upload(struct cli *c, const struct client *to, const char *path, const json_t *data,
                       const char *path_of_file, json_t **out)
{
	const char *name = strrchr(path_of_file, '/') ? strrchr(path_of_file, '/') + 1 : path_of_file;
	struct id id = id_make(clock_wall_us()); /* nothing in the file looks like it */
	struct id_text boundary = id_format(&id);
	struct client form = *to;
	auto_buf body = { .ceiling = FILE_BYTES };

	if (strpbrk(name, "\"\r\n"))
		return cli_usage(c, "the name of the file %s has a quote or a line end in it", name);
	form.headers[1] = arena_printf(&c->cx.arena, "Content-Type: multipart/form-data; boundary=%s", boundary.s);
	buf_printf(&body, "--%s\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n", boundary.s);
	buf_str(&body, json_write(&c->cx.arena, data));
	buf_printf(&body, "\r\n--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n"
	           "Content-Type: application/zip\r\n\r\n", boundary.s, name);
	TRY(add_file(c, path_of_file, &body));
	buf_printf(&body, "\r\n--%s--\r\n", boundary.s);
	return call(c, &form, "POST", path, buf_view(&body), UPLOAD_MS, out);
}

char *client_query(struct arena *a, const char *name, const char *value)
{
	static const char PLAIN[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	auto_buf b = { 0 };

	buf_printf(&b, "%s=", name);
	for (; *value; value++) {
		if (strchr(PLAIN, *value))
			buf_char(&b, *value);
		else
			buf_printf(&b, "%%%02X", (unsigned char)*value);
	}
	return arena_copy(a, b.p, b.n);
}

enum err client_id(struct cli *c, const char *text, struct id_text *out)
{
	struct id id;

	if (!id_parse(str_of(text), &id))
		return cli_usage(c, "'%s' is no task id (24 hex digits)", text);
	*out = id_format(&id);
	return OK;
}

enum err client_list(struct cli *c, const char *path, void (*print)(struct cli *c, const json_t *answer))
{
	int64_t page = 0;
	const struct cli_option options[] = {
		{ "page", 0, OPTION_INT, &page, "N", "page of 100, from 0", 0, 1000000 },
	};
	auto_json *answer = NULL;
	struct client to;

	TRY(cli_options(c, options, 1));
	TRY(client_open(c, &to));
	TRY(client_call(c, &to, "GET", arena_printf(&c->cx.arena, "%s?per_page=100&page=%lld", path, (long long)page), NULL, &answer));
	if (c->json)
		output_json(&c->cx, answer);
	else
		print(c, answer);
	return OK;
}
