#include "fcgi/tail/event.h"

#include "base/clock.h"
#include "base/crypt.h"
#include "base/json.h"
#include "base/text.h"

enum { EVENT_BYTES = 16384, STDERR = 2 };

static int add_to_out(const char *p, size_t n, void *arg)
{
	buf_add(arg, p, n);
	return 0;
}

/* Takes the reference. JSON is one line whatever it holds. */
static void put(struct buf *out, const char *name, int64_t attempt, int64_t byte, json_t *data)
{
	buf_printf(out, "id: %lld-%lld\nevent: %s\ndata: ", (long long)attempt, (long long)byte, name);
	json_dump_callback(data, add_to_out, out, JSON_COMPACT);
	buf_text(out, "\n\n");
	json_decref(data);
}

static void put_output(struct buf *out, struct arena *a, int64_t attempt, int64_t byte, const struct log_piece *piece,
                       struct str bytes)
{
	json_t *text = json_stringn(bytes.p, bytes.n); /* NULL: that is no UTF-8 */
	const char *name = text ? "text" : "base64";

	if (!text)
		text = json_string(base64_format(a, bytes.p, bytes.n));
	put(out, "output", attempt, byte + (int64_t)bytes.n,
	    json_pack("{s:I, s:I, s:s, s:o, s:o}", "attempt", (json_int_t)attempt, "byte", (json_int_t)byte, "stream",
	              piece->stream == STDERR ? "stderr" : "stdout", "at", json_time(piece->at), name, text));
}

/* One piece, from its byte `byte` on. */
static void put_piece(struct buf *out, struct arena *a, int64_t attempt, int64_t byte, const struct log_piece *piece,
                      struct str bytes)
{
	while (bytes.n) {
		struct str front = text_cut(bytes, EVENT_BYTES);

		if (!front.n)
			front = str_bytes(bytes.p, bytes.n < EVENT_BYTES ? bytes.n : EVENT_BYTES);
		put_output(out, a, attempt, byte, piece, front);
		byte += (int64_t)front.n;
		bytes = str_bytes(bytes.p + front.n, bytes.n - front.n);
	}
}

static void put_gap(struct buf *out, int64_t attempt, int64_t from, int64_t to)
{
	put(out, "gap", attempt, to, json_pack("{s:I, s:I, s:I}", "attempt", (json_int_t)attempt, "byte", (json_int_t)from,
	                                       "missing", (json_int_t)(to - from)));
}

void event_put_chunk(struct buf *out, struct arena *a, int64_t attempt, const struct log_chunk *c, int64_t from)
{
	int64_t at = c->first_byte;
	struct str rest = c->plain;

	if (from < at)
		put_gap(out, attempt, from, at);
	for (size_t i = 0; i < c->piece_count && rest.n; i++) {
		size_t n = c->pieces[i].bytes < rest.n ? c->pieces[i].bytes : rest.n;
		size_t known = from <= at ? 0 : from - at < (int64_t)n ? (size_t)(from - at) : n;

		put_piece(out, a, attempt, at + (int64_t)known, &c->pieces[i], str_bytes(rest.p + known, n - known));
		at += (int64_t)n;
		rest = str_bytes(rest.p + n, rest.n - n);
	}
}

void event_put_end(struct buf *out, int64_t attempt, int64_t byte, const char *status)
{
	put(out, "end", attempt, byte, json_pack("{s:s?}", "status", status));
}

void event_put_news(struct buf *out, int64_t attempt, int64_t byte)
{
	put(out, "news", attempt, byte, json_pack("{s:I, s:I}", "attempt", (json_int_t)attempt, "bytes", (json_int_t)byte));
}

void event_put_place(struct buf *out, int64_t place)
{
	buf_printf(out, "id: %lld\n\n", (long long)place);
}

void event_put_change(struct buf *out, const struct event *e)
{
	json_t *data = event_to_json(e);

	buf_printf(out, "id: %lld\ndata: ", (long long)e->place);
	json_dump_callback(data, add_to_out, out, JSON_COMPACT);
	buf_text(out, "\n\n");
	json_decref(data);
}
