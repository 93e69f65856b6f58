#pragma once
#include "fcgi/reply.h"

/* The dashboard's session: a cookie that holds the API token itself (HttpOnly, SameSite=Lax), so
 * that there is no second table of secrets and a revoked token is out at once. Forms carry
 * HMAC(token, "csrf"); before sign-in the key is a random cookie instead. */
enum { SESSION_IDLE_S = 1800, SESSION_TOKEN_BYTES = 512 };

/* The token in the cookie; "" if there is none. */
struct str session_token(const struct request *rq);
/* Sets the cookie, or sets it anew so that its 30 idle minutes begin again. ERR_AUTH for a token
 * that cannot stand in a cookie (such a one was never made by us). */
enum err session_keep(struct request *rq, struct reply *rp, struct str token);
/* Ends the session in this browser. */
void session_end(struct request *rq, struct reply *rp);
/* What forms carry in the field `csrf`, in the arena; sets the random cookie when the browser has
 * neither that nor a session. */
const char *session_csrf(struct request *rq, struct reply *rp);
/* The guard of pages that change something: the form's `csrf`, and Origin and Sec-Fetch-Site where
 * the browser sends them. ERR_FORBIDDEN. */
enum err session_guard(struct request *rq);
/* Fills rq->who from the cookie. ERR_AUTH. */
enum err session_identify(struct request *rq, const struct id *project);
/* The theme that was chosen: "light", "dark", or "" = as the browser says. */
struct str session_theme(const struct request *rq);
void session_set_theme(struct request *rq, struct reply *rp, struct str theme);
/* Where to go after signing in: `wanted` if it is a page of ours, else the front page; in the arena. */
const char *session_next(struct request *rq, struct str wanted);
