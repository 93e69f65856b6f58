#pragma once
#include "base/str.h"

/* W3C Trace Context: what says whose work a task is part of. */
enum { TRACEPARENT_BYTES = 55 };

/* A `traceparent` that may be passed on: version (not ff), trace id and parent id (neither of them zero),
 * flags, in lower-case hex digits between hyphens; of a version after 00 only what has nothing more. Any
 * other is to be treated as if none had been sent. */
bool trace_is_parent(struct str s);
