#include "model/relaxation.h"

#define X(name, word) word,
static const char *const WORDS[] = { RELAXATIONS(X) };
#undef X

bool relaxation_parse(struct str word, enum relaxation *out)
{
	for (int i = 0; i < RELAX_COUNT; i++)
		if (str_is(word, WORDS[i])) {
			*out = (enum relaxation)i;
			return true;
		}
	return false;
}

const char *relaxation_words(void)
{
#define X(name, word) ", " word
	static const char all[] = RELAXATIONS(X);
#undef X
	return all + 2;
}
