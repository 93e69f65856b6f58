#pragma once
#include <jansson.h>

#include "model/log_destination.h"

/* What a request says of a destination; what it does not say stays as it is. */
struct log_destination_order {
	bool has_address, has_name, has_template, has_tenant, has_ca, has_secret;
	struct str address, name, tenant, ca, secret; /* an empty secret or ca takes it away */
	enum log_template template;
};
/* Texts are views into `j`. ERR_INPUT names the field. */
enum err log_destination_order_from_json(struct ctx *cx, const json_t *j, struct log_destination_order *out);
/* A new reference; the secret is not in it. */
json_t *log_destination_to_json(const struct log_destination *d);
