#include "store/large_payload.h"

enum err large_payload_read(struct db *db, struct ctx *cx, const struct sql *read, const struct id *id, int64_t bytes,
                            int64_t *left, struct str *payload)
{
	struct rows r;

	if (payload->p || !bytes || bytes > *left)
		return OK;
	TRY(db_query(db, cx, read, VALS(v_id(id)), &r));
	if (r.n)
		*payload = val_str(&row(&r, 0)[0]);
	*left -= bytes;
	return OK;
}
