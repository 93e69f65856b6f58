#pragma once
#include "base/id.h"
#include "store/db.h"

/* URLs whose receiver asked for patience (Retry-After): what waits for one is not tried before (table url_hold). */
enum { URL_HOLD_S_MOST = 3600 }; /* the delivery that was told so waits as long as it was told */

/* The key of a URL of a project in url_hold, of the SQL expressions for both. */
#define URL_HOLD_ID(project, url) "UNHEX(LEFT(SHA2(CONCAT(HEX(" project "), " url "), 256), 32))"

/* Holds it for so many seconds more, at least, with all that is due in its lane. In the caller's transaction. */
enum err url_hold_set(struct db *db, struct ctx *cx, const struct id *project, struct str url, int64_t lane, int64_t s);
/* Ends that; what waited for it is due. In the caller's transaction. */
enum err url_hold_lift(struct db *db, struct ctx *cx, const struct id *project, struct str url);
