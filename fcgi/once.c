#include "fcgi/once.h"

#include "base/buf.h"
#include "base/crypt.h"

/* What is asked is the same whichever way the token came. */
static void add_query(const struct request *rq, struct buf *out)
{
	for (size_t i = 0; i < rq->query_count; i++) {
		if (str_is(rq->query[i].name, "oauth"))
			continue;
		buf_str(out, rq->query[i].name);
		buf_char(out, '=');
		buf_str(out, rq->query[i].value);
		buf_char(out, 0);
	}
}

enum err once_read(struct request *rq, struct idempotency *once, bool *has)
{
	struct str key = request_header(rq, "Idempotency-Key");
	auto_buf all = { 0 }, asked = { 0 };

	*has = key.n > 0;
	if (key.n > ONCE_KEY_BYTES)
		return err_set(&rq->cx, ERR_INPUT, "header Idempotency-Key: is longer than %d bytes", ONCE_KEY_BYTES);
	buf_str(&all, id_view(&rq->who.user_id));
	buf_str(&all, rq->path);
	buf_char(&all, 0);
	buf_str(&all, key);
	crypt_sha256(buf_view(&all), once->key);
	add_query(rq, &asked);
	buf_str(&asked, rq->body);
	crypt_sha256(buf_view(&asked), once->body);
	return OK;
}

enum err once_replay(struct request *rq, struct reply *rp, const struct idempotency *once, bool *found)
{
	struct str answer;

	TRY(idempotency_store_find(rq->db, &rq->cx, &rq->project_id, once, found, &answer));
	if (!*found)
		return OK;
	reply_header(rp, "Idempotency-Replayed", STR_LIT("true"));
	reply_text(rp, 200, answer);
	rp->type = "application/json";
	return OK;
}

enum err once_end(struct request *rq, struct reply *rp, const struct idempotency *once, bool taken, enum err e, bool *replayed)
{
	*replayed = false;
	if (!taken)
		return e;
	TRY(once_replay(rq, rp, once, replayed));
	return *replayed ? OK : err_set(&rq->cx, ERR_BUSY, "the same request is being done");
}
