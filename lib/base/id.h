#pragma once
#include "base/str.h"

/* Ids: 12 bytes, 48 bits of milliseconds since 1970 then 48 random bits; 24 lower-case hex digits
 * on the wire (IronWorker rule 2), BINARY(12) in the database. Cannot be changed later. */
enum { ID_BYTES = 12, ID_TEXT = 25 };

struct id {
	unsigned char b[ID_BYTES];
};
struct id_text {
	char s[ID_TEXT];
};

/* A new id stamped with `wall_us` (microseconds since 1970). */
struct id id_make(int64_t wall_us);
/* `n` new ids in ascending order, so that rows made together keep the order given. */
void id_make_many(int64_t wall_us, struct id *out, size_t n);
struct id_text id_format(const struct id *id);
/* Exactly 24 hex digits, either case; false on anything else. */
bool id_parse(struct str text, struct id *out);
/* Milliseconds since 1970 that the id carries. */
int64_t id_ms(const struct id *id);
static inline bool id_equal(const struct id *a, const struct id *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}
/* Twelve zero bytes: no id. */
bool id_is_zero(const struct id *id);
static inline struct str id_view(const struct id *id)
{
	return str_bytes(id->b, ID_BYTES);
}
