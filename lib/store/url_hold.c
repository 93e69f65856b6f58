#include "store/url_hold.h"

#include "model/callback.h"

static const struct sql SET = {
	"INSERT INTO url_hold (url_id, until) VALUES (" URL_HOLD_ID("?", "?") ", NOW(6) + INTERVAL ? SECOND)"
	" ON DUPLICATE KEY UPDATE until = GREATEST(until, VALUES(until))", "ssi" };
/* Else those would be read one by one, before what the same host is to be told elsewhere. */
static const struct sql HOLD_DUE = {
	"UPDATE outbox FORCE INDEX (lane) SET next_at = NOW(6) + INTERVAL ? SECOND, waits = 'retry_after'"
	" WHERE lane = ? AND next_at <= NOW(6) AND project_id = ? AND url = ? AND state = 'waiting'", "iiss" };
static const struct sql FORGET = { "DELETE FROM url_hold WHERE until < NOW(6) ORDER BY until LIMIT 100", "" };
static const struct sql LIFT = { "DELETE FROM url_hold WHERE url_id = " URL_HOLD_ID("?", "?"), "ss" };
/* By lane 0 a courier looks at them at once. */
static const struct sql WAKE = {
	"UPDATE outbox FORCE INDEX (lane) SET next_at = NOW(6), lane = 0, waits = NULL WHERE lane = ? AND next_at > NOW(6)"
	" AND project_id = ? AND url = ? AND state = 'waiting' AND waits = 'retry_after'", "iss" };

enum err url_hold_set(struct db *db, struct ctx *cx, const struct id *project, struct str url, int64_t lane, int64_t s)
{
	TRY(db_exec(db, cx, &FORGET, NULL, 0));
	TRY(db_exec(db, cx, &SET, VALS(v_id(project), v_s(url), v_i(s))));
	return db_exec(db, cx, &HOLD_DUE, VALS(v_i(s), v_i(lane), v_id(project), v_s(url)));
}

enum err url_hold_lift(struct db *db, struct ctx *cx, const struct id *project, struct str url)
{
	TRY(db_exec(db, cx, &LIFT, VALS(v_id(project), v_s(url))));
	if (!db_changed(db))
		return OK;
	return db_exec(db, cx, &WAKE, VALS(v_i(callback_lane(project, callback_origin(&cx->arena, url))), v_id(project), v_s(url)));
}
