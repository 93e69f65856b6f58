#include "fcgi/api/package_api.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/unzip.h"
#include "store/code_store.h"
#include "store/package_store.h"

/* Unpacking is what takes long of a registration; 1 GiB takes some seconds. */
static const int64_t CHECK_US = 30000000;

/* --- taking ------------------------------------------------------------------------------------------ */

static enum err read_piece(struct ctx *cx, int fd, int64_t number, char *p, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t now = pread(fd, p + got, n - got, number * PACKAGE_PIECE_BYTES + (int64_t)got);

		if (now < 0 && errno == EINTR)
			continue;
		if (now <= 0)
			return err_errno(cx, "read the uploaded package again");
		got += (size_t)now;
	}
	return OK;
}

static enum err store_pieces(struct request *rq, const struct id *upload, const struct package *p)
{
	char *piece = arena_take(&rq->cx.arena, PACKAGE_PIECE_BYTES);

	for (int64_t i = 0; i < p->pieces; i++) {
		int64_t left = p->bytes - i * PACKAGE_PIECE_BYTES;
		size_t n = left < PACKAGE_PIECE_BYTES ? (size_t)left : PACKAGE_PIECE_BYTES;

		TRY(read_piece(&rq->cx, rq->upload.fd, i, piece, n));
		TRY(package_store_add(rq->db, &rq->cx, upload, i, str_bytes(piece, n)));
	}
	return package_store_finish(rq->db, &rq->cx, upload, p);
}

/* What a broken upload leaves is swept away in an hour at the latest. */
static void give_up(struct request *rq, const struct id *upload)
{
	auto_ctx cx = { 0 };

	package_store_drop(rq->db, &cx, upload);
}

static enum err store(struct request *rq, const struct package *p)
{
	struct id upload;
	bool there;
	enum err e;

	TRY(package_store_keep(rq->db, &rq->cx, str_bytes(p->digest, sizeof p->digest), &there));
	if (there)
		return OK;
	TRY(package_store_begin(rq->db, &rq->cx, &rq->project_id, &upload));
	e = store_pieces(rq, &upload, p);
	if (e != OK)
		give_up(rq, &upload);
	return e;
}

static enum err check(struct request *rq)
{
	static const struct unzip_visitor NOBODY = { 0 };
	struct unzip_sum sum;

	if (unzip_read(&rq->cx, rq->upload.fd, CHECK_US, &NOBODY, &sum))
		return err_wrap(&rq->cx, "field file");
	return OK;
}

enum err package_api_take(struct request *rq, struct code_order *order)
{
	const struct upload *u = &rq->upload;
	struct package p = { .bytes = u->bytes, .pieces = (u->bytes + PACKAGE_PIECE_BYTES - 1) / PACKAGE_PIECE_BYTES };

	if (!u->has_file)
		return OK;
	memcpy(p.digest, u->sha256, sizeof p.digest);
	memcpy(p.md5, u->md5, sizeof p.md5);
	TRY(check(rq));
	TRY(store(rq, &p));
	order->has_package = true;
	order->package = str_bytes(u->sha256, sizeof u->sha256);
	order->package_name = str_of(u->name);
	return OK;
}

/* --- giving back ------------------------------------------------------------------------------------- */

/* Where a download stands. */
struct download {
	unsigned char digest[SHA256_BYTES];
	int64_t next, pieces;
};

static enum err send_piece(struct request *rq, struct reply *rp)
{
	struct download *d = rp->more_arg;
	auto_ctx cx = { 0 }; /* what a piece takes is given back after it */
	struct str piece;

	if (package_store_piece(rq->db, &cx, str_bytes(d->digest, sizeof d->digest), d->next, &piece))
		return err_set(&rq->cx, cx.err, "%s", cx.message);
	buf_str(&rp->body, piece);
	if (++d->next == d->pieces)
		rp->more = NULL;
	return OK;
}

/* Exactly `filename=NAME_REV.zip`: clients take all that follows the equals sign (4.3). A slash, which
 * the name of an image may have, would be a folder for them. */
static void name_file(struct request *rq, struct reply *rp, const struct code *c, int64_t revision)
{
	char *text = arena_printf(&rq->cx.arena, "filename=" STR_FMT "_%" PRId64 ".zip", STR_ARG(c->name), revision);

	for (char *p = text; *p; p++)
		if (*p == '/' || *p == '\\')
			*p = '_';
	reply_header(rp, "Content-Disposition", str_of(text));
}

enum err package_api_download(struct request *rq, struct reply *rp)
{
	struct download *d = arena_take(&rq->cx.arena, sizeof *d);
	struct code_revision was;
	struct package package;
	int64_t revision = 0;
	struct code code;
	struct id id;

	TRY(request_id(rq, "id", "code", &id));
	TRY(request_query_int(rq, "revision", &revision));
	TRY(code_store_revision(rq->db, &rq->cx, &rq->project_id, &id, revision, &code, &was));
	if (!was.package.n)
		return err_set(&rq->cx, ERR_NOT_FOUND, "revision %" PRId64 " of this code has no zip package", was.number);
	TRY(package_store_find(rq->db, &rq->cx, was.package, &package));
	memcpy(d->digest, package.digest, sizeof d->digest);
	d->pieces = package.pieces;
	rp->type = "application/zip";
	name_file(rq, rp, &code, was.number);
	reply_header(rp, "Content-Length", str_of(arena_printf(&rq->cx.arena, "%" PRId64, package.bytes)));
	rp->more = send_piece;
	rp->more_arg = d;
	return OK;
}
