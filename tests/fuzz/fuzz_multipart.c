#include "base/buf.h"
#include "fcgi/multipart.h"
#include "fcgi/python_bytes.h"
#include "tests/fuzz/fuzz.h"

/* Uploads of code packages. A body says the same however it is cut into pieces; and what an honest client
 * sends arrives to the byte, whatever it is. */

struct seen {
	struct buf all;   /* everything that was told, in order */
	struct buf bytes; /* of the parts alone */
};

static enum err begin(void *arg, const struct part *p)
{
	struct seen *s = arg;

	buf_printf(&s->all, "[" STR_FMT "|" STR_FMT "|" STR_FMT "|%d]", STR_ARG(p->name), STR_ARG(p->file_name), STR_ARG(p->type), p->is_file);
	return OK;
}

static enum err bytes(void *arg, struct str b)
{
	struct seen *s = arg;

	buf_str(&s->all, b);
	buf_str(&s->bytes, b);
	return OK;
}

static enum err end(void *arg)
{
	buf_text(&((struct seen *)arg)->all, "[end]");
	return OK;
}

static enum err read_by(struct str body, size_t step, struct seen *s)
{
	const struct multipart_reader reader = { begin, bytes, end, s };
	static struct multipart m;
	auto_ctx cx = { 0 };

	m = (struct multipart){ 0 };
	for (size_t i = 0; i < body.n; i += step)
		TRY(multipart_feed(&cx, &m, &reader, str_bytes(body.p + i, body.n - i < step ? body.n - i : step)));
	return multipart_end(&cx, &m, &reader);
}

/* In few bytes at a time what has few; what fills the window more than once in pieces that end anywhere in it. */
static size_t step_of(size_t n, size_t least)
{
	return n > 4096 ? 991 + least : least;
}

static void read_parts(struct str body)
{
	struct seen whole = { 0 }, cut = { 0 };
	enum err e = read_by(body, body.n ? body.n : 1, &whole);

	must(e == read_by(body, step_of(body.n, 5), &cut));
	must(e != OK || str_equal(buf_view(&whole.all), buf_view(&cut.all)));
	buf_free(&whole.all);
	buf_free(&whole.bytes);
	buf_free(&cut.all);
	buf_free(&cut.bytes);
}

static void send_file(struct str file)
{
	static const char LINE_ENDS[][3] = { "\r\n", "\n" };

	for (int i = 0; i < 2; i++) {
		const char *e = LINE_ENDS[i];
		auto_buf body = { 0 };
		struct seen s = { 0 };

		buf_printf(&body, "--fuzz%sContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"%s%s", e, e, e);
		buf_str(&body, file);
		buf_printf(&body, "%s--fuzz--%s", e, e);
		must(read_by(buf_view(&body), step_of(file.n, 7), &s) == OK);
		must(str_equal(buf_view(&s.bytes), file));
		buf_free(&s.all);
		buf_free(&s.bytes);
	}
}

/* What Python makes of bytes becomes them again, in one piece or in many. */
static void undo_python(struct str text)
{
	struct python_bytes whole = { 0 }, cut = { 0 };
	auto_ctx cx = { 0 };
	char *a = arena_take(&cx.arena, text.n + 1), *b = arena_take(&cx.arena, text.n + 1);
	size_t n = python_bytes_feed(&whole, text, a), k = 0, step = step_of(text.n, 1);

	must(n <= text.n);
	for (size_t i = 0; i < text.n; i += step)
		k += python_bytes_feed(&cut, str_bytes(text.p + i, text.n - i < step ? text.n - i : step), b + k);
	must(n == k && memcmp(a, b, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str body = str_bytes(data, size);

	read_parts(body);
	undo_python(body);
	if (str_find(body, "--fuzz") == (size_t)-1)
		send_file(body);
	return 0;
}
