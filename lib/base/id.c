#include "base/id.h"

#include "base/crypt.h"

static void put48(unsigned char *out, uint64_t v)
{
	for (int i = 5; i >= 0; i--, v >>= 8)
		out[i] = (unsigned char)v;
}

static uint64_t get48(const unsigned char *in)
{
	uint64_t v = 0;

	for (int i = 0; i < 6; i++)
		v = v << 8 | in[i];
	return v;
}

void id_make_many(int64_t wall_us, struct id *out, size_t n)
{
	uint64_t low = 0;

	crypt_random(&low, 6);
	low &= 0x7fffffffffff; /* room to count upward without a carry into the time */
	for (size_t i = 0; i < n; i++) {
		put48(out[i].b, (uint64_t)(wall_us / 1000));
		put48(out[i].b + 6, low + i);
	}
}

struct id id_make(int64_t wall_us)
{
	struct id id;

	put48(id.b, (uint64_t)(wall_us / 1000));
	crypt_random(id.b + 6, 6);
	return id;
}

struct id_text id_format(const struct id *id)
{
	struct id_text t;

	hex_format(id->b, ID_BYTES, t.s);
	return t;
}

bool id_parse(struct str text, struct id *out)
{
	return hex_parse(text, out->b, ID_BYTES);
}

int64_t id_ms(const struct id *id)
{
	return (int64_t)get48(id->b);
}

bool id_is_zero(const struct id *id)
{
	static const struct id ZERO;

	return id_equal(id, &ZERO);
}
