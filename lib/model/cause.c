#include "model/cause.h"

static const char *const NAMES[] = {
#define X(name, text) text,
	CAUSES(X)
#undef X
};

const char *cause_name(enum cause c)
{
	return NAMES[c];
}

bool cause_parse(struct str text, enum cause *out)
{
	for (int c = 0; c < CAUSE_COUNT; c++) {
		if (str_is(text, NAMES[c])) {
			*out = (enum cause)c;
			return true;
		}
	}
	return false;
}
