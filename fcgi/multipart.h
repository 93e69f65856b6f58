#pragma once
#include "base/ctx.h"

/* Takes a multipart body apart while it comes in, a file of any size through a window of fixed size. What
 * clients really send (ironworker-api.md 4.1) decides: the boundary is the body's first line, whatever
 * the header says; lines end in CRLF or in bare LF, as that first one, and exactly that is cut before the
 * next boundary; parts may have no name; nothing need follow the closing boundary. */
enum {
	MULTIPART_BOUNDARY_BYTES = 202, /* "--", RFC 2046's 70 characters, and room for those who use more */
	MULTIPART_HEADER_BYTES = 16384, /* of one part */
	MULTIPART_WINDOW_BYTES = 64 << 10,
};

/* The beginning of a part. Its texts last until the next call. */
struct part {
	struct str name;      /* "" if none was given (.NET) */
	struct str file_name; /* as given, "" if none */
	struct str type;      /* Content-Type, "" if none */
	bool is_file;         /* it has a file name, maybe an empty one */
};

/* Who is told. An error of theirs ends the reading. */
struct multipart_reader {
	enum err (*begin)(void *arg, const struct part *part);
	enum err (*bytes)(void *arg, struct str bytes); /* of the part, in order */
	enum err (*end)(void *arg);
	void *arg;
};

/* Zero-initialised is ready. */
struct multipart {
	enum {
		MULTIPART_FIRST,  /* the boundary's first line */
		MULTIPART_AFTER,  /* behind a boundary: "--", or the end of its line */
		MULTIPART_HEAD,
		MULTIPART_BYTES,
		MULTIPART_OVER,
	} state;
	bool crlf, at_start;  /* at_start: no byte of the part was passed on yet */
	char boundary[MULTIPART_BOUNDARY_BYTES];
	size_t boundary_n;
	char window[MULTIPART_WINDOW_BYTES];
	size_t n;             /* bytes in the window */
};

/* Does a body that begins so come in parts? It needs two bytes to tell, or all there are. */
bool multipart_is(struct str beginning);
/* Takes the next bytes of the body. ERR_INPUT if it cannot be read. */
enum err multipart_feed(struct ctx *cx, struct multipart *m, const struct multipart_reader *reader, struct str bytes);
/* The body is over: ERR_INPUT if it ended within a part. */
enum err multipart_end(struct ctx *cx, struct multipart *m, const struct multipart_reader *reader);
