#pragma once
#include "base/str.h"

/* One part of a multipart body; views into it. */
struct part {
	struct str name; /* "" if none was given (.NET) */
	struct str bytes;
	bool is_file;    /* it has a file name */
};

/* Takes the next part off *rest. `boundary` is the body's first line without its line end: clients
 * add to the header's parameter or leave it out, the line itself is always right. Lines end in CRLF
 * or bare LF; exactly that is cut before the next boundary (ironworker-api.md 4.1). False at the end. */
bool multipart_next(struct str *rest, struct str boundary, struct part *out);
/* The boundary line of a body, "" if it does not begin with one. */
struct str multipart_boundary(struct str body);
