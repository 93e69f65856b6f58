#pragma once
#include "fcgi/request.h"

/* Tokens of the API: header `Authorization: OAuth|JWT|Bearer T` in any case, else the query's
 * `oauth`, else the JSON body's (IronWorker rule 10). Answers of the database are kept for at most a
 * second, so that a revoked token is out within one. */
struct token_cache *token_cache_new(void);
void token_cache_free(struct token_cache *cache);

/* The token of header or query; false if neither has one. */
bool auth_token(const struct request *rq, struct str *out);
/* Fills rq->who with the holder of a token and the role in `project` (NULL: none asked). ERR_AUTH for
 * one that the database does not know. */
enum err auth_look_up(struct request *rq, struct str token, const struct id *project);
/* Fills rq->who. ERR_AUTH without a token that the database knows. */
enum err auth_identify(struct request *rq, const struct id *project);
/* Notes the use of the token of the last request, at most once a minute. After the answer is out. */
void auth_touch(struct request *rq);
