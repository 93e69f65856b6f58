#pragma once
#include <jansson.h>

#include "base/ctx.h"

/* Face of jansson. Documents that come in are strict: one value, no trailing data, bounded depth and
 * nodes. What the decoder of IronWorker's service took is taken: of a key given twice the last value, bytes
 * that are not UTF-8 (Java's client sends ISO-8859-1) and lone halves of \ud83d\ude00 as U+FFFD; and a
 * byte order mark, which other programs write (RFC 8259, 8.1). */
#define auto_json __attribute__((cleanup(json_unref))) json_t
void json_unref(json_t **j);

struct json_limits {
	int depth; /* nested arrays and objects */
	int nodes; /* values of any kind */
};

/* Reads a whole document; an empty or blank one is {}. *out is a new reference (auto_json).
 * ERR_INPUT says where it stopped making sense. */
enum err json_read(struct ctx *cx, struct str text, struct json_limits limits, json_t **out);
/* The same, but a key given twice is ERR_INPUT: for who shows the text itself, and must have seen all of it. */
enum err json_read_unique(struct ctx *cx, struct str text, struct json_limits limits, json_t **out);
/* The text under `key` in the outermost object, the last one if it is there twice; false if there is none. Reads over the
 * rest, which may be large and anything: nothing is said about it. *out is in the arena. */
bool json_peek_text(struct arena *a, struct str text, const char *key, struct str *out);
/* The value as compact UTF-8 text in the arena; control bytes escaped. */
struct str json_write(struct arena *a, const json_t *j);
/* A new JSON string; bytes that are not UTF-8 become U+FFFD. */
json_t *json_text(struct str s);
/* A new JSON string of a time by time_rfc3339. */
json_t *json_time(int64_t us);

/* Typed fields of an object. Absent and null leave *out as it is (the default) and are OK; another
 * type is ERR_INPUT "field NAME: must be …". Texts are views into the object. */
enum err json_get_text(struct ctx *cx, const json_t *object, const char *name, struct str *out);
/* A whole number; a float is cut towards zero, a text of digits is taken (IronWorker's clients). */
enum err json_get_int(struct ctx *cx, const json_t *object, const char *name, int64_t *out);
/* The same where 0 stands for "not given" or "no limit": more than 0 and less than 1 is 1, and what no
 * int64_t holds is its end, for the caller to clamp or refuse. */
enum err json_get_amount(struct ctx *cx, const json_t *object, const char *name, int64_t *out);
enum err json_get_bool(struct ctx *cx, const json_t *object, const char *name, bool *out);
/* ERR_INPUT that names a key of the object which is not among `names` (ended by NULL): where what is not understood
 * would do more than was asked for. The body's token may always be there. */
enum err json_only(struct ctx *cx, const json_t *object, const char *const *names);
/* An object or array; *out is a borrowed reference or stays NULL. */
enum err json_get_object(struct ctx *cx, const json_t *object, const char *name, json_t **out);
enum err json_get_array(struct ctx *cx, const json_t *object, const char *name, json_t **out);
