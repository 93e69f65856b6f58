#include "fcgi/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "fcgi/multipart.h"
#include "fcgi/python_bytes.h"
#include "fcgi/request.h"

enum {
	PIECE_BYTES = 32 << 10,
	URLENCODED_BYTES = 3 * UPLOAD_DATA_BYTES, /* each byte of the JSON may be %XX */
	PYTHON_FACTOR = 4,                        /* each byte of a zip may be \xXX */
	BEGINNING_BYTES = 4,                      /* what tells a zip from Python's text */
	FIELDS = 16,
};

enum target {
	TO_NOBODY,
	TO_DATA,
	TO_FILE,
};

/* A body that is being read. */
struct reading {
	struct request *rq;
	struct upload *u;
	enum err (*admit)(struct request *rq); /* NULL = asked already */
	int64_t total, want, most;             /* bytes read; of CONTENT_LENGTH, -1 = unknown; allowed */
	enum target target;                    /* of the part that comes in */
	struct crypt_hash *sha256, *md5;       /* of the file while it comes in */
	char beginning[BEGINNING_BYTES];
	size_t beginning_n;
	bool is_python;
	struct python_bytes python;
	struct multipart multipart;
	char piece[PIECE_BYTES];
};

/* --- the file ---------------------------------------------------------------------------------------- */

static enum err no_room(struct ctx *cx, const char *what)
{
	if (errno == ENOSPC || errno == EDQUOT)
		return err_set(cx, ERR_BUSY, "the disk for uploads has no room for the package; nothing was done");
	return err_errno(cx, "%s a file for the package in [api] upload_dir", what);
}

/* Without a name from the first moment; where the file system cannot, its name goes at once. */
static enum err open_file(struct ctx *cx, const char *folder, int *fd)
{
	char *path;

	*fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (*fd >= 0)
		return OK;
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return no_room(cx, "make");
	path = arena_printf(&cx->arena, "%s/stoker-upload-XXXXXX", folder);
	*fd = mkostemp(path, O_CLOEXEC);
	if (*fd < 0)
		return no_room(cx, "make");
	unlink(path);
	return OK;
}

static enum err begin_file(struct reading *r, const struct part *part)
{
	struct str name = part->file_name;

	if (r->u->has_file)
		return err_set(&r->rq->cx, ERR_INPUT, "field file: there is more than one");
	for (size_t i = name.n; i-- > 0;)
		if (name.p[i] == '/' || name.p[i] == '\\') {
			name = str_bytes(name.p + i + 1, name.n - i - 1);
			break;
		}
	name = text_utf8(&r->rq->cx.arena, name);
	if (name.n <= UPLOAD_NAME_BYTES && !text_has_controls(name))
		snprintf(r->u->name, sizeof r->u->name, STR_FMT, STR_ARG(name));
	r->beginning_n = 0;
	r->is_python = false;
	r->python = (struct python_bytes){ 0 };
	return OK;
}

static enum err store(struct reading *r, struct str bytes)
{
	struct ctx *cx = &r->rq->cx;
	int64_t most = r->rq->set->limits.package_bytes;

	if (!bytes.n)
		return OK;
	if (!r->u->has_file) {
		TRY(open_file(cx, r->rq->set->api.upload_dir, &r->u->fd));
		r->u->has_file = true;
		r->sha256 = crypt_hash_new(CRYPT_SHA256);
		r->md5 = crypt_hash_new(CRYPT_MD5);
	}
	r->u->bytes += (int64_t)bytes.n;
	if (r->u->bytes > most)
		return err_set(cx, ERR_TOO_LARGE, "field file: is over %" PRId64 " bytes, the limit of a package "
		               "([limits] package)", most);
	crypt_hash_add(r->sha256, bytes);
	crypt_hash_add(r->md5, bytes);
	while (bytes.n) {
		ssize_t n = write(r->u->fd, bytes.p, bytes.n);

		if (n < 0 && errno != EINTR)
			return no_room(cx, "write");
		if (n > 0)
			bytes = str_bytes(bytes.p + n, bytes.n - (size_t)n);
	}
	return OK;
}

static enum err store_decoded(struct reading *r, struct str bytes)
{
	char out[PIECE_BYTES];

	while (r->is_python && bytes.n) {
		size_t n = bytes.n < sizeof out ? bytes.n : sizeof out;
		size_t made = python_bytes_feed(&r->python, str_bytes(bytes.p, n), out);

		TRY(store(r, str_bytes(out, made)));
		bytes = str_bytes(bytes.p + n, bytes.n - n);
	}
	return store(r, bytes);
}

/* The first bytes of a file tell whether it is one, or Python's words for it. */
static enum err take_file(struct reading *r, struct str bytes)
{
	while (r->beginning_n < BEGINNING_BYTES && bytes.n) {
		r->beginning[r->beginning_n++] = *bytes.p;
		bytes = str_bytes(bytes.p + 1, bytes.n - 1);
		if (r->beginning_n < BEGINNING_BYTES)
			continue;
		r->is_python = python_bytes_is(str_bytes(r->beginning, BEGINNING_BYTES));
		TRY(store_decoded(r, str_bytes(r->beginning, BEGINNING_BYTES)));
	}
	return store_decoded(r, bytes);
}

static enum err end_file(struct reading *r)
{
	if (r->beginning_n < BEGINNING_BYTES)
		TRY(store(r, str_bytes(r->beginning, r->beginning_n)));
	if (!r->u->has_file) /* an empty part is no file (4.1) */
		return OK;
	crypt_hash_end(r->sha256, r->u->sha256);
	crypt_hash_end(r->md5, r->u->md5);
	r->sha256 = r->md5 = NULL;
	return OK;
}

/* --- parts ------------------------------------------------------------------------------------------- */

static bool is_packed(struct str type)
{
	return str_starts(type, "application/zip") || str_starts(type, "application/x-zip") ||
	       str_starts(type, "application/octet-stream");
}

/* Parts without a name (.NET): the file is the one that says so or comes second. */
static enum target target_of(const struct upload *u, const struct part *p)
{
	if (str_is(p->name, "data"))
		return TO_DATA;
	if (str_is(p->name, "file") || p->is_file)
		return TO_FILE;
	if (p->name.n)
		return TO_NOBODY;
	return is_packed(p->type) || u->has_data ? TO_FILE : TO_DATA;
}

static enum err begin_part(void *arg, const struct part *part)
{
	struct reading *r = arg;

	r->target = target_of(r->u, part);
	if (r->target == TO_DATA && r->u->has_data)
		return err_set(&r->rq->cx, ERR_INPUT, "field data: there is more than one");
	return r->target == TO_FILE ? begin_file(r, part) : OK;
}

static enum err add_data(struct reading *r, struct str bytes)
{
	buf_str(&r->u->data, bytes);
	if (r->u->data.full)
		return err_set(&r->rq->cx, ERR_TOO_LARGE, "the JSON is longer than %d bytes", UPLOAD_DATA_BYTES);
	return OK;
}

static enum err take_part(void *arg, struct str bytes)
{
	struct reading *r = arg;

	if (r->target == TO_DATA)
		return add_data(r, bytes);
	return r->target == TO_FILE ? take_file(r, bytes) : OK;
}

static enum err end_part(void *arg)
{
	struct reading *r = arg;

	if (r->target == TO_DATA)
		r->u->has_data = true;
	return r->target == TO_FILE ? end_file(r) : OK;
}

/* --- the body ---------------------------------------------------------------------------------------- */

/* ERR_INPUT when the body broke off; *n = 0 at its end. */
static enum err next_piece(struct reading *r, size_t most, size_t *n)
{
	ssize_t got = r->rq->source.read(r->rq->source.arg, r->piece, most);

	if (got < 0)
		return err_set(&r->rq->cx, ERR_INPUT, "the body broke off after %" PRId64 " bytes", r->total);
	r->total += got;
	*n = (size_t)got;
	if (!got && r->want > r->total) /* under CGI a broken upload is a clean end */
		return err_set(&r->rq->cx, ERR_INPUT, "the body ended after %" PRId64 " of %" PRId64 " bytes", r->total, r->want);
	if (r->total > r->most)
		return err_set(&r->rq->cx, ERR_TOO_LARGE, "the body is longer than %" PRId64 " bytes", r->most);
	return OK;
}

static enum err ask_admission(struct reading *r, bool over)
{
	enum err (*admit)(struct request *rq) = r->admit;

	if (!admit || !(over || r->u->has_data || r->total > UPLOAD_DATA_BYTES))
		return OK;
	r->admit = NULL;
	return admit(r->rq);
}

static enum err read_parts(struct reading *r, size_t n)
{
	const struct multipart_reader reader = { begin_part, take_part, end_part, r };

	while (n) {
		TRY(multipart_feed(&r->rq->cx, &r->multipart, &reader, str_bytes(r->piece, n)));
		TRY(ask_admission(r, false));
		TRY(next_piece(r, sizeof r->piece, &n));
	}
	return multipart_end(&r->rq->cx, &r->multipart, &reader);
}

/* `data` out of an urlencoded body; JSON is what begins with a brace, whatever the header says. */
static enum err find_field(struct reading *r)
{
	struct request_pair fields[FIELDS];
	struct str body = buf_view(&r->u->data), data = { 0 };
	size_t n;

	if (!str_trim(body).n || str_trim(body).p[0] == '{')
		return OK;
	TRY(request_pairs(&r->rq->cx, body, fields, FIELDS, &n));
	for (size_t i = 0; i < n; i++)
		if (str_is(fields[i].name, "data"))
			data = str_bytes(arena_copy(&r->rq->cx.arena, fields[i].value.p, fields[i].value.n), fields[i].value.n);
	if (!data.p) /* let it be said that this is no JSON */
		return OK;
	buf_clear(&r->u->data);
	buf_str(&r->u->data, data);
	return OK;
}

static enum err read_whole(struct reading *r, size_t n)
{
	r->u->data.ceiling = URLENCODED_BYTES;
	while (n) {
		TRY(add_data(r, str_bytes(r->piece, n)));
		TRY(ask_admission(r, r->total > UPLOAD_DATA_BYTES));
		TRY(next_piece(r, sizeof r->piece, &n));
	}
	TRY(find_field(r));
	r->u->has_data = true;
	if (r->u->data.n > UPLOAD_DATA_BYTES)
		return err_set(&r->rq->cx, ERR_TOO_LARGE, "the JSON is longer than %d bytes", UPLOAD_DATA_BYTES);
	return OK;
}

static enum err read_body(struct reading *r)
{
	size_t n, more = 1;

	if (r->want > r->most)
		return err_set(&r->rq->cx, ERR_TOO_LARGE, "the body is longer than %" PRId64 " bytes", r->most);
	TRY(next_piece(r, sizeof r->piece, &n));
	if (n && n < BEGINNING_BYTES) { /* a slow sender: too little to tell the forms apart */
		char first[BEGINNING_BYTES];

		memcpy(first, r->piece, n);
		TRY(next_piece(r, sizeof r->piece - n, &more));
		memmove(r->piece + n, r->piece, more);
		memcpy(r->piece, first, n);
		n += more;
	}
	TRY(multipart_is(str_bytes(r->piece, n)) ? read_parts(r, n) : read_whole(r, n));
	return ask_admission(r, true);
}

enum err upload_read(struct request *rq, enum err (*admit)(struct request *rq))
{
	struct reading *r = arena_take(&rq->cx.arena, sizeof *r);
	enum err e;

	*r = (struct reading){ .rq = rq, .u = &rq->upload, .admit = admit, .want = -1 };
	r->most = rq->set->limits.package_bytes * PYTHON_FACTOR + URLENCODED_BYTES;
	rq->upload.data.ceiling = UPLOAD_DATA_BYTES;
	rq->body_read = true;
	str_int(request_env(rq, "CONTENT_LENGTH"), &r->want);
	e = read_body(r);
	crypt_hash_free(r->sha256);
	crypt_hash_free(r->md5);
	if (e != OK && r->admit && r->admit(rq)) /* who is nobody hears that first */
		e = rq->cx.err;
	if (e != OK)
		request_drop_body(rq);
	return e;
}

void upload_release(struct upload *u)
{
	if (u->has_file)
		close(u->fd);
	buf_free(&u->data);
	*u = (struct upload){ 0 };
}
