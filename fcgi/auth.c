#include "fcgi/auth.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "fcgi/route.h"
#include "store/token_store.h"

enum { CACHE_ENTRIES = 64, CACHE_NAME_BYTES = 128 };
static const int64_t CACHE_US = 1000000, TOUCH_US = 60000000;

struct token_entry {
	unsigned char hash[SHA256_BYTES];
	struct id project; /* zero = none asked */
	int64_t until_us, touched_us; /* CLOCK_BOOTTIME */
	struct principal who;         /* its texts are the two below */
	char user_name[CACHE_NAME_BYTES], token_name[CACHE_NAME_BYTES];
};

struct token_cache {
	struct token_entry entries[CACHE_ENTRIES];
	size_t oldest; /* the next to be replaced */
};

struct token_cache *token_cache_new(void)
{
	struct token_cache *cache = calloc(1, sizeof *cache);

	if (!cache)
		abort();
	return cache;
}

void token_cache_free(struct token_cache *cache)
{
	free(cache);
}

/* --- where a token may stand ------------------------------------------------------------------ */
static bool header_token(struct str header, struct str *out)
{
	struct str scheme;

	header = str_trim(header);
	if (!str_cut(&header, ' ', &scheme))
		return false;
	if (!str_is_nocase(scheme, "OAuth") && !str_is_nocase(scheme, "JWT") && !str_is_nocase(scheme, "Bearer"))
		return false;
	*out = str_trim(header);
	return out->n > 0;
}

bool auth_token(const struct request *rq, struct str *out)
{
	struct str query;

	if (header_token(request_header(rq, "Authorization"), out))
		return true;
	if (!request_query(rq, "oauth", &query) || !query.n)
		return false;
	*out = query;
	return true;
}

static bool body_token(struct request *rq, struct str *out)
{
	json_t *oauth = json_object_get(rq->json, "oauth");

	if (!json_is_string(oauth) || !json_string_length(oauth))
		return false;
	*out = str_bytes(json_string_value(oauth), json_string_length(oauth));
	return true;
}

/* --- who holds it ----------------------------------------------------------------------------- */
static struct token_entry *cache_find(struct token_cache *cache, const unsigned char *hash, const struct id *project)
{
	for (size_t i = 0; i < CACHE_ENTRIES; i++) {
		struct token_entry *e = &cache->entries[i];

		if (e->until_us && crypt_equal(e->hash, hash, SHA256_BYTES) && id_equal(&e->project, project))
			return e;
	}
	return NULL;
}

static struct str keep_text(char *into, struct str s)
{
	size_t n = s.n < CACHE_NAME_BYTES ? s.n : CACHE_NAME_BYTES;

	if (n)
		memcpy(into, s.p, n);
	return str_bytes(into, n);
}

static void cache_put(struct token_cache *cache, struct token_entry *e, const unsigned char *hash,
                      const struct id *project, const struct principal *who)
{
	if (!e) {
		e = &cache->entries[cache->oldest++ % CACHE_ENTRIES];
		*e = (struct token_entry){ .touched_us = -TOUCH_US };
	}
	memcpy(e->hash, hash, SHA256_BYTES);
	e->project = *project;
	e->who = *who;
	e->who.user_name = keep_text(e->user_name, who->user_name);
	e->who.token_name = keep_text(e->token_name, who->token_name);
	e->until_us = clock_boot_us() + CACHE_US;
}

enum err auth_look_up(struct request *rq, struct str token, const struct id *project)
{
	struct token_cache *cache = rq->process->tokens;
	unsigned char hash[SHA256_BYTES];
	struct id key = project ? *project : (struct id){ 0 };
	struct token_entry *e;

	token_hash(token, hash);
	/* in the cache the zero id means that no project was asked for: as a project it has no entry */
	if (project && id_is_zero(project))
		return token_store_find(rq->db, &rq->cx, hash, project, &rq->who);
	e = cache_find(cache, hash, &key);
	if (e && e->until_us > clock_boot_us()) {
		rq->who = e->who;
		return OK;
	}
	if (token_store_find(rq->db, &rq->cx, hash, project, &rq->who)) {
		if (e && rq->cx.err == ERR_AUTH)
			e->until_us = 0;
		return rq->cx.err;
	}
	cache_put(cache, e, hash, &key, &rq->who);
	return OK;
}

enum err auth_identify(struct request *rq, const struct id *project)
{
	struct str token;

	if (!auth_token(rq, &token) && !body_token(rq, &token))
		return err_set(&rq->cx, ERR_AUTH, "no token: send the header Authorization: OAuth <token>");
	return auth_look_up(rq, token, project);
}

void auth_touch(struct request *rq)
{
	struct token_cache *cache = rq->process->tokens;
	int64_t now = clock_boot_us();

	for (size_t i = 0; i < CACHE_ENTRIES; i++) {
		struct token_entry *e = &cache->entries[i];

		if (!e->until_us || !id_equal(&e->who.token_id, &rq->who.token_id) || now - e->touched_us < TOUCH_US)
			continue;
		e->touched_us = now;
		token_store_touch(rq->db, &rq->cx, &e->who.token_id); /* costs nothing when it fails */
	}
}

const struct surface API = { auth_identify, reply_error, NULL };
