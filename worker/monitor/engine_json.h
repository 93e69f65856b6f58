#pragma once
#include <stddef.h>
#include <stdint.h>

/* Reading the answers of an engine: well-formed JSON, of which single values are wanted. NULL goes in and out:
 * what is not there has nothing in it. */

/* The value of `key` in the object that begins at `object`. */
const char *engine_json_find(const char *object, const char *key);

/* The first element of the array that begins at `array`; the one behind `element`. */
const char *engine_json_first(const char *array);
const char *engine_json_next(const char *element);

/* A text, its escapes as they are, cut to out[room]; "" for anything else. Returns `out`. */
const char *engine_json_text(const char *value, char *out, size_t room);

/* 0 for anything but a number. */
int64_t engine_json_number(const char *value);
