#include "base/buf.h"
#include "model/output_mask.h"
#include "tests/fuzz/fuzz.h"

/* Secret values in output: what comes out must not depend on how it was cut, must leave every byte in its
 * place, and must not have a value in it. The first byte says how to cut, the second which bytes belong to
 * stderr; then come values, ended by 0, up to an empty one; the rest is output. */

enum { VALUES_MOST = 8 };

/* Stream of the i-th byte: runs of up to 16. */
static int stream_of(size_t i, unsigned pattern)
{
	return pattern >> (i / 16 % 8) & 1 ? 2 : 1;
}

static void take_ready(struct mask_run *r, struct buf *out)
{
	size_t ready;
	struct str held = mask_run_held(r, &ready);

	must(ready <= held.n);
	buf_add(out, held.p, ready);
	mask_run_take(r, ready);
}

static void through(const struct output_mask *m, struct str text, unsigned pattern, size_t cut, struct buf *out)
{
	struct mask_run *r = mask_run_new(m);

	for (size_t at = 0; at < text.n;) {
		size_t n = 1;

		while (n < cut && at + n < text.n && stream_of(at + n, pattern) == stream_of(at, pattern))
			n++;
		mask_run_add(r, stream_of(at, pattern), str_bytes(text.p + at, n));
		if (cut < 64 || at % 3 == 0)
			take_ready(r, out);
		at += n;
	}
	mask_run_end(r);
	take_ready(r, out);
	must(out->n == text.n);
	mask_run_free(r);
}

static bool is_masked_or_itself(struct str text, const struct buf *out)
{
	for (size_t i = 0; i < text.n; i++)
		if (out->p[i] != text.p[i] && out->p[i] != '*')
			return false;
	return true;
}

/* Of a value without a star in it nothing may be left, in the text as it stands. */
static void look_for(struct str value, const struct buf *out)
{
	if (value.n < OUTPUT_MASK_LEAST || value.n > OUTPUT_MASK_MOST || memchr(value.p, '\n', value.n) ||
	    memchr(value.p, '\r', value.n) || memchr(value.p, '*', value.n))
		return;
	must(out->n < value.n || !memmem(out->p, out->n, value.p, value.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_bytes(data, size), values[VALUES_MOST];
	auto_buf whole = { 0 }, cut = { 0 };
	struct output_mask *m;
	size_t n = 0;

	if (size < 2)
		return 0;
	in = str_bytes(data + 2, size - 2);
	while (n < VALUES_MOST && (values[n] = fuzz_field(&in)).n)
		n++;
	for (size_t i = 0; i < n; i++)
		output_mask_takes(values[i]);
	m = output_mask_new(values, n);
	if (!m)
		return 0;
	through(m, in, data[1], 16, &whole);
	through(m, in, data[1], data[0] % 16 + 1, &cut);
	must(str_equal(buf_view(&whole), buf_view(&cut)));
	must(is_masked_or_itself(in, &whole));
	for (size_t i = 0; i < n && whole.n; i++)
		look_for(values[i], &whole);
	output_mask_free(m);
	return 0;
}
