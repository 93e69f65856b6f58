#include "fcgi/once.h"

#include "base/buf.h"
#include "base/crypt.h"

enum err once_read(struct request *rq, struct idempotency *once, bool *has)
{
	struct str key = request_header(rq, "Idempotency-Key");
	auto_buf all = { 0 };

	*has = key.n > 0;
	if (key.n > ONCE_KEY_BYTES)
		return err_set(&rq->cx, ERR_INPUT, "header Idempotency-Key: is longer than %d bytes", ONCE_KEY_BYTES);
	buf_str(&all, id_view(&rq->who.user_id));
	buf_str(&all, rq->path);
	buf_char(&all, 0);
	buf_str(&all, rq->query_text);
	buf_char(&all, 0);
	buf_str(&all, key);
	crypt_sha256(buf_view(&all), once->key);
	crypt_sha256(rq->body, once->body);
	return OK;
}
