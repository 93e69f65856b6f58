#pragma once
#include "worker/image/image_store.h"

/* What image_store.c and image_import.c share; nobody else's. */

/* The file in names/ of a valid name: '/' is "%2F". In the arena. */
char *image_file_name(struct arena *a, struct str name);

/* Opens NODE/images or what is `below` it ("" for itself). ERR_NOT_FOUND if there is none. */
enum err image_open_folder(struct ctx *cx, const char *node_dir, const char *below, int *fd);

/* Whether an attempt that has not told its end yet runs on the image; `jobs` is NODE/jobs. */
bool image_is_in_use(int jobs, const unsigned char digest[SHA256_BYTES]);

/* For cleanup attributes; -1 is nothing. */
void image_close(int *fd);

/* "sha256:<64 hex>". */
void image_digest_text(const unsigned char digest[SHA256_BYTES], char out[72]);
