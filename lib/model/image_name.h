#pragma once
#include "base/ctx.h"

/* What an image may be called: the same law for who registers a code and for the nodes' stores. */

enum { IMAGE_NAME_MAX = 200 }; /* bytes; in a file name every '/' takes three */

/* 1 to IMAGE_NAME_MAX of A-Z a-z 0-9 . _ - : @ / +, beginning with a letter or digit, no part
 * between slashes empty, "." or "..". */
bool image_name_is_valid(struct str name);
/* The same of any length. */
bool image_name_is_clean(struct str name);
/* A code's field `image`: a valid name, or an image of a registry (image_ref.h). ERR_INPUT names the field
 * and says what it may be. */
enum err image_name_check(struct ctx *cx, struct str name);
