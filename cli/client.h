#pragma once
#include <jansson.h>

#include "base/http.h"
#include "base/id.h"
#include "cli/cli.h"

/* The HTTP API as commands see it. */
struct client {
	const char *base;    /* "http://host:port/2/projects/<id>" */
	const char *headers[4];
};

/* From options, environment and files; ERR_INPUT says what is missing and where it may stand. */
enum err client_open(struct cli *c, struct client *out);
/* One exchange below the project: `path` such as "/tasks". A status other than 200 becomes an error
 * with the server's own sentence; `body` NULL = none. *out (may be NULL) is a new reference.
 * 503 says that nothing was done: it is tried again, as the server asks, up to five times. */
enum err client_call(struct cli *c, const struct client *to, const char *method, const char *path,
                     const json_t *body, json_t **out);
/* A command that lists: GET of a page (--page N) of 100 of "/codes", "/schedules" …, printed by `print`,
 * or as it came with --json. */
enum err client_list(struct cli *c, const char *path, void (*print)(struct cli *c, const json_t *answer));
/* POST of a form: `data` as JSON and the file at `path_of_file`, tried and answered as by client_call. */
enum err client_upload(struct cli *c, const struct client *to, const char *path, const json_t *data,
                       const char *path_of_file, json_t **out);
/* GET of something that is no JSON, tried once. ERR_BUSY (with cx->retry_after_s) when it may be
 * asked again. */
enum err client_get_bytes(struct cli *c, const struct client *to, const char *path, struct str *out);
/* The same with the answer's header `name` ("" = it has none). */
enum err client_get_bytes_and(struct cli *c, const struct client *to, const char *path, const char *name, struct str *out,
                              struct str *header);
/* GET of a stream of events, tried once: into the sink as long as it lasts, from behind `last_id` ("" =
 * its beginning). answer->status is 0 when there was no answer. */
enum err client_stream(struct cli *c, const struct client *to, const char *path, const char *last_id,
                       const struct http_sink *sink, struct http_answer *answer);
/* GET of JSON, tried once: for those who have a loop of their own. */
enum err client_get_once(struct cli *c, const struct client *to, const char *path, json_t **out);

/* "name=value" with the value percent-encoded, in the arena. */
char *client_query(struct arena *a, const char *name, const char *value);
/* An argument that must be a task id. */
enum err client_id(struct cli *c, const char *text, struct id_text *out);
