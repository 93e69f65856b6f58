#pragma once
#include "base/ctx.h"

/* A time zone out of the bytes of a TZif file (RFC 8536, version 2 and up), its POSIX footer included,
 * so that it says what holds in any year. The process's own zone (TZ) is never touched. Times are
 * whole seconds since 1970, UTC; offsets are seconds east of UTC. */
struct zone;

/* The time between two changes of the offset; neighbours differ in it. from is INT64_MIN before the
 * first change, to INT64_MAX after the last. */
struct zone_span {
	int64_t from, to;
	int32_t offset;
};

enum { ZONE_NAME_BYTES = 64, ZONE_DIGEST_BYTES = 8, ZONE_FILE_BYTES = 65536 };

/* May this be the name of a zone (Europe/Berlin)? No path out of the folder of zones, none of its files
 * that are no zones of the IANA's. "" = UTC is none. */
bool zone_name_is_valid(struct str name);
/* Reads a zone into the arena of `cx`. ERR_INPUT when the bytes are no such file or count leap seconds
 * (right/…). `name` is kept as a view. */
enum err zone_read(struct ctx *cx, struct str name, struct str bytes, const struct zone **out);
/* UTC, for ever. */
const struct zone *zone_utc(void);
struct str zone_name(const struct zone *z);
/* First bytes of the file's SHA-256: which edition of the zone this is; zeroes for zone_utc. */
const unsigned char *zone_digest(const struct zone *z);
struct zone_span zone_span_at(const struct zone *z, int64_t at);
/* "CET", "+0330" … as the zone calls that time. */
struct str zone_abbreviation(const struct zone *z, int64_t at);
