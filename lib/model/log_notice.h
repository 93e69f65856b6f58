#pragma once
#include "base/str.h"

struct arena;

/* The sentence that stands in a log where bytes of it are missing. It depends on the two positions
 * alone, so that /log, the pages and log_store_size agree byte for byte. `end` = where the chunk
 * before ended (0 before the first), `first` = the first byte of the one behind, both counted in what
 * the job wrote. "" when nothing is missing between them. */
struct str log_notice(struct arena *a, int64_t end, int64_t first);
