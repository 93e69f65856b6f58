#pragma once
#include "fcgi/page/page.h"
#include "model/fire.h"

/* How fires look: a sign, a word and the colours of a task's state, in the ledger and in the list. */
struct fire_look {
	const char *sign, *word, *class;
};
const struct fire_look *fire_look(const struct fire *f);
/* Appends the signs of `n` fires to `at`, and as their label how many are what: "30 fires: 28 ok, 2 failed". */
void fire_strip(struct page *p, struct html_at at, const struct fire *fires, size_t n);
