#include "worker/runner/spool_live.h"

#include "worker/runner/spool_take.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_MOST = 8 << 20 }; /* of files, by one call that looks for its place */

/* --- files ---------------------------------------------------------------------------------------- */

/* The tail that is being filled; -1 = there is none. */
static int newest(const struct spool_reader *r, struct spool_tail *out)
{
	struct spool_tail t[2];
	bool has[2];
	int which;

	for (int i = 0; i < 2; i++)
		has[i] = spool_tail_header(r, i, &t[i]);
	if (!has[0] && !has[1])
		return -1;
	which = !has[0] || (has[1] && t[1].first_byte > t[0].first_byte);
	*out = t[which];
	return which;
}

static int64_t size_of(const struct spool_reader *r, int which)
{
	int fd = spool_open(r, spool_tail_name(which));
	struct stat st = { 0 };

	if (fd < 0)
		return 0;
	if (fstat(fd, &st))
		st.st_size = 0;
	close(fd);
	return (int64_t)st.st_size;
}

/* Was the tail in hand not begun anew by now? Then all that was read from it before is as it was written. */
static bool is_same(const struct spool_live *l)
{
	uint64_t begins;

	return pread(l->r.fd, &begins, sizeof begins, 0) == (ssize_t)sizeof begins && le64toh(begins) == l->begins;
}

/* Stands in that tail, at its mark or its beginning. */
static bool stand_in(struct spool_live *l, int which, const struct spool_tail *t, bool at_mark)
{
	struct spool_reader *r = &l->r;
	int64_t byte = (int64_t)t->first_byte, line = (int64_t)t->first_line;

	spool_close(r);
	r->fd = spool_open(r, spool_tail_name(which));
	l->which = r->fd < 0 ? -1 : which;
	l->begins = t->first_byte;
	l->seen_newer = false;
	r->at = at_mark ? (int64_t)t->mark_at : SPOOL_TAIL_BYTES;
	r->into = 0;
	if (at_mark) {
		byte += t->mark_bytes;
		line += t->mark_lines;
	}
	if (byte != r->byte + (int64_t)spool_held(r))
		spool_jump(r, byte, line);
	return l->which >= 0;
}

/* Before a jump all that is held is given; true: nothing of the old place is left. */
static bool leave(struct spool_live *l, struct spool_batch *out)
{
	if (l->r.run) {
		mask_run_end(l->r.run);
		spool_take_decided(&l->r, out);
	}
	return !out->plain.n && !spool_held(&l->r);
}

/* --- the place ------------------------------------------------------------------------------------ */

/* Where the reader begins: in the tail that holds the byte it wants, else in the newest. */
static bool find_tail(struct spool_live *l, struct spool_batch *out)
{
	struct spool_reader *r = &l->r;
	int64_t stands = r->byte + (int64_t)spool_held(r), from = r->skip_to > stands ? r->skip_to : stands;
	struct spool_tail t[2], *best = NULL;

	for (int i = 0; i < 2; i++)
		if (spool_tail_header(r, i, &t[i]) && (int64_t)t[i].first_byte <= from &&
		    (!best || t[i].first_byte > best->first_byte))
			best = &t[i];
	if (best && (int64_t)best->first_byte == stands)
		return stand_in(l, best == &t[1], best, false);
	if (!leave(l, out))
		return false;
	if (best)
		return stand_in(l, best == &t[1], best, false);
	l->which = newest(r, &t[0]);
	return l->which >= 0 && stand_in(l, l->which, &t[0], false);
}

/* The tail in hand is read to its end: true if there is more, of it or of the newer one. */
static bool next_tail(struct spool_live *l, struct spool_batch *out)
{
	struct spool_tail t;
	int which = newest(&l->r, &t);

	if (which < 0 || which == l->which)
		return false;
	if (!l->seen_newer) {
		l->seen_newer = true; /* the monitor may have written to this one since we looked */
		return true;
	}
	if ((int64_t)t.first_byte != l->r.byte + (int64_t)spool_held(&l->r) && !leave(l, out))
		return false;
	return stand_in(l, which, &t, false);
}

/* It was begun anew while we read it. */
static bool lost_tail(struct spool_live *l, struct spool_batch *out)
{
	struct spool_tail t;
	int which;

	if (!leave(l, out))
		return false;
	which = newest(&l->r, &t);
	return which >= 0 && stand_in(l, which, &t, false);
}

/* Who is too far behind goes on near the end. Only the newest tail's mark, or beginning, leads there. */
static bool catch_up(struct spool_live *l, struct spool_batch *out)
{
	struct spool_tail t;
	int which;

	if (l->r.byte < l->r.skip_to || spool_live_waiting(l) <= SPOOL_LIVE_BEHIND)
		return true;
	which = newest(&l->r, &t);
	if (which < 0 || (which == l->which && (int64_t)t.mark_at <= l->r.at))
		return true;
	return leave(l, out) && stand_in(l, which, &t, t.mark_at != 0);
}

/* --- reading -------------------------------------------------------------------------------------- */

enum err spool_live_read(struct spool_live *l, struct ctx *cx, struct spool_batch *out)
{
	static uint8_t raw[SPOOL_READ_BYTES]; /* the loop's one thread */
	int64_t most = READ_MOST;
	bool more = l->which >= 0 ? catch_up(l, out) : find_tail(l, out);

	while (more && most > 0 && !spool_is_full(&l->r, out)) {
		ssize_t n;

		if (l->r.run && spool_take_decided(&l->r, out))
			continue;
		n = pread(l->r.fd, raw, sizeof raw, l->r.at);
		if (n < 0)
			return err_errno(cx, "read the spool of %s", l->r.folder);
		most -= n;
		if (!is_same(l))
			more = lost_tail(l, out);
		else if (n == 0 || !spool_take_frames(&l->r, out, raw, (size_t)n))
			more = next_tail(l, out);
	}
	return OK;
}

int64_t spool_live_waiting(struct spool_live *l)
{
	struct spool_tail t;
	struct stat st;
	int which = newest(&l->r, &t);
	int64_t bytes = 0;

	if (l->which >= 0 && fstat(l->r.fd, &st) == 0 && st.st_size > l->r.at)
		bytes = (int64_t)st.st_size - l->r.at;
	return which >= 0 && which != l->which ? bytes + size_of(&l->r, which) : bytes;
}

bool spool_live_is_due(struct spool_reader *head)
{
	struct spool_tail t;

	return head->file == 0 && newest(head, &t) >= 0 && !spool_waiting(head);
}

void spool_live_begin(struct spool_live *l, const struct spool_reader *head, int64_t from)
{
	struct spool_reader *r = &l->r;

	*l = (struct spool_live){ .r = *head, .which = -1 };
	r->fd = -1;
	r->skip_to = from;
	r->waiting = NULL;
	r->waiting_first = r->waiting_count = r->waiting_room = 0;
	if (!r->run)
		return;
	r->run = mask_run_copy(head->run);
	for (size_t i = head->waiting_first; i < head->waiting_count; i++)
		spool_hold_piece(r, &head->waiting[i]);
}

void spool_live_end(struct spool_live *l)
{
	spool_reader_close(&l->r);
}
