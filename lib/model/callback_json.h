#pragma once
#include <jansson.h>

#include "model/callback.h"

const char *callback_kind_name(enum callback_kind kind);
bool callback_kind_parse(struct str text, enum callback_kind *out);

/* What a request says of a registered callback; what it does not say stays as it is. */
struct callback_order {
	bool has_url, has_name, has_code, has_states, has_flag[2]; /* flags: in order, with payload */
	struct str url, name, code_name;
	unsigned states; /* bits 1 << kind */
	bool flag[2];
};
/* Texts are views into `j`. ERR_INPUT names the field. */
enum err callback_order_from_json(struct ctx *cx, const json_t *j, struct callback_order *out);
/* The array `field` of kinds, as bits; absent leaves *out. ERR_INPUT names what is none. */
enum err callback_states_from_json(struct ctx *cx, const json_t *j, const char *field, bool *has, unsigned *out);
/* A new reference. */
json_t *callback_to_json(const struct callback *c);
