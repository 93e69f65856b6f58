#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "base/ctx.h"
#include "base/id.h"
#include "fcgi/process.h"
#include "fcgi/upload.h"
#include "model/role.h"

/* One request, the same whether it came by FastCGI or as plain CGI. Handlers read it; nothing in
 * it outlives the request. Views point into the arena of `cx` or into the web server's variables. */

enum method {
	METHOD_GET = 1, /* a row for GET also answers HEAD: reply cuts the body off */
	METHOD_HEAD = 2,
	METHOD_POST = 4,
	METHOD_PUT = 8,
	METHOD_PATCH = 16,
	METHOD_DELETE = 32,
	METHOD_OPTIONS = 64,
	METHOD_OTHER = 128,
};

struct request_pair {
	struct str name, value;
};

/* Where variables and body come from: FCGX_Request, the environment and stdin, or a test. */
struct request_source {
	char **env; /* "NAME=value", NULL-terminated, as CGI/1.1 names them */
	/* At most n bytes of body; 0 at its end, -1 when the connection broke. */
	ssize_t (*read)(void *arg, char *p, size_t n);
	void *arg;
};

enum { REQUEST_SEGMENTS_MOST = 16, REQUEST_QUERY_BYTES = 8192, REQUEST_QUERY_PAIRS = 64, REQUEST_PATH_BYTES = 2048 };

struct route;

struct request {
	struct ctx cx;
	struct process *process;
	const struct settings *set; /* = process->set, and so on: handlers name them often */
	struct db *db, *logs;
	struct request_source source;

	enum method method;
	struct str path;       /* REQUEST_URI less scheme, host, query and base path; still encoded */
	struct str query_text; /* behind the '?', encoded */
	struct str segment[REQUEST_SEGMENTS_MOST]; /* decoded one by one ("a%2Fb" is one), UTF-8 */
	size_t segment_count;
	struct request_pair query[REQUEST_QUERY_PAIRS];
	size_t query_count;

	const struct route *route; /* NULL when nothing answers here */
	struct principal who;      /* set unless the row says AUTH_NONE */
	struct id project_id;      /* {project} of the path; `who.role` is the role in it */

	struct buf raw;            /* owns the body */
	struct str body;           /* raw bytes, as far as the row allows */
	bool body_read;            /* the source is at its end */
	struct upload upload;      /* BODY_CODE: what came, its JSON in `json` too */
	json_t *json;              /* BODY_JSON, BODY_TASKS, BODY_CODE: always an object; owned by the request */
	struct request_pair *form; /* BODY_FORM */
	size_t form_count;
	int64_t begun_us;          /* CLOCK_BOOTTIME */
};

/* Reads method, path and query of `source` into *rq, which is zeroed but for its ctx. ERR_INPUT for
 * a path or query over the limits above or with a broken escape. */
enum err request_init(struct request *rq, struct process *process, const struct request_source *source);
/* Frees the body, raw and as JSON, of a request whose answer was put off: views into it are gone. */
void request_forget_body(struct request *rq);
/* Frees what it holds and resets the ctx for the next one. */
void request_release(struct request *rq);

/* A variable of the web server, "" if there is none. */
struct str request_env(const struct request *rq, const char *name);
/* A header by its name on the wire, such as "Cookie", in any case; "" if there is none. */
struct str request_header(const struct request *rq, const char *name);
/* First query field of that name; false and *out untouched if there is none. */
bool request_query(const struct request *rq, const char *name, struct str *out);
/* The same for a form (BODY_FORM). */
bool request_form(const struct request *rq, const char *name, struct str *out);
/* A whole number from the query; absent or empty leaves *out. ERR_INPUT names the field. */
enum err request_query_int(struct request *rq, const char *name, int64_t *out);
/* The same by json_get_amount: 0.2 is 1, 1e300 is as much as there is. */
enum err request_query_amount(struct request *rq, const char *name, int64_t *out);
/* page from 0 to 100, per_page 1 to 100, 30 if not given (IronWorker section 2). */
enum err request_page(struct request *rq, int64_t *page, int64_t *per_page);
/* Seconds since 1970 → microseconds; absent leaves *out, what does not fit is an end of time. */
enum err request_query_time(struct request *rq, const char *name, int64_t *out);
/* The decoded segment that the row's pattern calls {name}; "" if the pattern has none. */
struct str request_param(const struct request *rq, const char *name);
/* The same as an id; ERR_NOT_FOUND "there is no <what> '…'" when it is not 24 hex digits. */
enum err request_id(struct request *rq, const char *name, const char *what, struct id *out);
/* The path prefix that links must begin with: settings' base path, "" or "/stoker". */
struct str request_base(const struct request *rq);
/* Decodes "a=b&c=d" with + and %XX (urlencoded) into UTF-8; at most `most` pairs. ERR_INPUT above. */
enum err request_pairs(struct ctx *cx, struct str text, struct request_pair *out, size_t most, size_t *n);
/* Reads the body into rq->body. ERR_TOO_LARGE past `most` bytes, after dropping a bounded rest;
 * ERR_INPUT when it ended before CONTENT_LENGTH. */
enum err request_read_body(struct request *rq, size_t most);
/* Reads and drops a body that nobody asked for, up to a bound: under mod_cgid ending with unread
 * input resets the connection, and the client never sees the answer. */
void request_drop_body(struct request *rq);
/* "GET" …; "OTHER". */
const char *method_name(enum method m);
