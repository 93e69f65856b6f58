#pragma once
#include "store/db.h"

/* Inside lib/store: payloads on a page of tasks or schedules. All up to the size that IronWorker took are there, and
 * of larger ones, in order, as many as are bearable: a hundred at our limit would be 300 MiB. */
#define PAYLOAD_SMALL(column) "IF(OCTET_LENGTH(" column ") <= 65536, " column ", NULL)"
enum { PAYLOADS_LARGE_BYTES = 16 << 20 };
/* Reads one that is not there (payload->p is NULL, yet it has `bytes`) by `read`, whose one value is the id, if it fits
 * into *left, which becomes less by it. */
enum err large_payload_read(struct db *db, struct ctx *cx, const struct sql *read, const struct id *id, int64_t bytes,
                            int64_t *left, struct str *payload);
