#include "base/buf.h"
#include "base/text.h"
#include "fcgi/request.h"
#include "tests/fuzz/fuzz.h"

/* Forms and urlencoded registrations. Values come out as UTF-8; and any text that a client escapes
 * comes out as it was. */

enum { MOST = 16 };

static void read_any(struct ctx *cx, struct str text)
{
	struct request_pair pairs[MOST];
	size_t n = 0;

	if (request_pairs(cx, text, pairs, MOST, &n) != OK)
		must(n == MOST);
	for (size_t i = 0; i < n; i++) {
		must(str_equal(text_utf8(&cx->arena, pairs[i].value), pairs[i].value));
		must(pairs[i].name.n <= text.n);
	}
}

static void send_value(struct ctx *cx, struct str value)
{
	struct request_pair pairs[MOST];
	auto_buf text = { 0 };
	size_t n;

	value = text_utf8(&cx->arena, value);
	buf_text(&text, "first=1&data=");
	for (size_t i = 0; i < value.n; i++)
		buf_printf(&text, i % 3 ? "%%%02x" : "%%%02X", (unsigned char)value.p[i]);
	must(request_pairs(cx, buf_view(&text), pairs, MOST, &n) == OK && n == 2);
	must(str_is(pairs[1].name, "data") && str_equal(pairs[1].value, value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_bytes(data, size);
	static struct ctx cx;

	read_any(&cx, text);
	send_value(&cx, text);
	ctx_release(&cx);
	return 0;
}
