#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ctx.h"

/* What every target begins with. A target takes bytes of a stranger through one parser; besides crashes,
 * leaks and hangs it finds what breaks a law that it states with `must`. libFuzzer's own copy of the input
 * ends where the input ends, so that the sanitizer sees a read past it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(law)                                                                     \
	do {                                                                          \
		if (!(law)) {                                                         \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #law); \
			abort();                                                      \
		}                                                                     \
	} while (0)

/* Does `part` lie within `whole`? */
static inline bool fuzz_within(struct str part, struct str whole)
{
	return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

/* The bytes up to the first NUL; the rest stays in *in. */
static inline struct str fuzz_field(struct str *in)
{
	struct str field = STR_LIT("");

	str_cut(in, '\0', &field);
	return field;
}
