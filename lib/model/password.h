#pragma once
#include "base/ctx.h"

/* Passwords of those who sign in by name: scrypt (N 2^14, r 8, p 1, 16 MiB), kept as "scrypt$<salt>$<hash>"
 * in hex. */
enum { PASSWORD_LEAST = 8, PASSWORD_MOST = 256 };

/* ERR_INPUT if it is too short or too long; the text in the ctx's arena. */
enum err password_hash(struct ctx *cx, struct str password, struct str *out);
/* Does it fit? Takes as long for a kept text that is "" or no such hash. */
bool password_fits(struct str password, struct str kept);
