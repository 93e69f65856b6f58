#pragma once
#include "fcgi/page/page.h"

/* A payload on a page: JSON as a tree that folds, anything else as text; what looks secret masked
 * (model/payload_mask). */
enum { PAYLOAD_NODES_MOST = 2000, PAYLOAD_TEXT_BYTES = 64 * 1024 };
void payload_part_fill(struct page *p, struct str payload);
