#pragma once
#include "base/buf.h"
#include "base/crypt.h"
#include "base/ctx.h"

struct request;

/* The body of a registration, in any of the six forms that clients send (ironworker-api.md 4.1): its
 * JSON in memory, its zip in a file without a name, which is gone with the process however that ends. */
enum { UPLOAD_DATA_BYTES = 1 << 20, UPLOAD_NAME_BYTES = 255 };

struct upload {
	struct buf data;  /* the JSON; empty if there was none */
	bool has_data;    /* all of it is there */
	bool has_file;    /* a file came that is not empty */
	int fd;           /* the file's, if there is one */
	int64_t bytes;    /* of the file */
	char name[UPLOAD_NAME_BYTES + 1]; /* of the file as the client calls it, without folders; may be "" */
	unsigned char sha256[SHA256_BYTES], md5[MD5_BYTES];
};

/* Reads the body of `rq` into rq->upload. `admit` (may be NULL) is asked once, as soon as the JSON is
 * there, whether the client may go on: nobody unknown sends more than UPLOAD_DATA_BYTES. ERR_TOO_LARGE
 * names the limit, ERR_BUSY a full disk. */
enum err upload_read(struct request *rq, enum err (*admit)(struct request *rq));
/* Closes the file and frees the data; a zeroed one is fine. */
void upload_release(struct upload *u);
