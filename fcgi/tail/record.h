#pragma once
#include "base/buf.h"

/* Records of the FastCGI protocol (version 1), as a responder reads and writes them: an 8-byte head, at
 * most 65535 bytes, padding. */
enum record_type {
	RECORD_BEGIN = 1,
	RECORD_ABORT = 2,
	RECORD_END = 3,
	RECORD_PARAMS = 4,
	RECORD_STDIN = 5,
	RECORD_STDOUT = 6,
};
struct record {
	int type, request;
	struct str content; /* a view into what was read */
};
enum record_taken { RECORD_TAKEN, RECORD_UNFINISHED, RECORD_BROKEN };

/* Cuts the first record off `in`. Unfinished: *in is as it was; broken: no FastCGI. */
enum record_taken record_take(struct str *in, struct record *out);
/* The role that RECORD_BEGIN asks for, 0 when its content is too short. */
enum { RECORD_RESPONDER = 1 };
int record_role(struct str begin);
/* The next pair of a whole PARAMS stream; false at its end, or where it is broken (*rest is then not empty). */
bool record_pair(struct str *rest, struct str *name, struct str *value);

/* Appends the answer's bytes, cut into records. */
void record_put_stdout(struct buf *out, int request, struct str bytes);
/* Appends the end of the answer. `status`: 0 done, 2 overloaded, 3 unknown role. */
enum { RECORD_DONE = 0, RECORD_OVERLOADED = 2, RECORD_UNKNOWN_ROLE = 3 };
void record_put_end(struct buf *out, int request, int status);
