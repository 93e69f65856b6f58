#pragma once
#include "store/db.h"

struct project {
	struct id id;
	struct str name;
	int64_t created_at;
	bool paused;
	struct str payload_keys; /* words of payload keys whose values are not shown (model/payload_mask.h) */
	int64_t timeout_most_s; /* the longest timeout of its tasks; 0 = [limits] timeout_s */
};

/* Makes one; ERR_CONFLICT if the name is taken. Gives `id` and created_at. */
enum err project_store_add(struct db *db, struct ctx *cx, struct str name, struct project *out);
enum err project_store_get(struct db *db, struct ctx *cx, const struct id *id, struct project *out);
enum err project_store_find(struct db *db, struct ctx *cx, struct str name, struct project *out);
/* Its quota; 0 = [limits] timeout_s again. */
enum err project_store_set_timeout_most(struct db *db, struct ctx *cx, const struct id *id, int64_t most_s);
/* Its words of payload keys, as payload_words gives them. */
enum err project_store_set_payload_keys(struct db *db, struct ctx *cx, const struct id *id, struct str words);
/* Those that the user is a member of (an admin, or user NULL: all), by name, at most 1,000. */
enum err project_store_list(struct db *db, struct ctx *cx, const struct id *user, struct project **out, size_t *n);
