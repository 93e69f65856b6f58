#include "worker/runner/spool_take.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEAD, OLDER, NEWER, NOTHING };

void spool_reader_init(struct spool_reader *r, const char *folder)
{
	*r = (struct spool_reader){ .fd = -1, .tail_of = { -1, -1, -1 } };
	snprintf(r->folder, sizeof r->folder, "%s", folder);
}

void spool_reader_skip(struct spool_reader *r, int64_t byte)
{
	r->skip_to = byte;
}

void spool_close(struct spool_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

void spool_reader_close(struct spool_reader *r)
{
	spool_close(r);
	mask_run_free(r->run);
	free(r->waiting);
	r->run = NULL;
	r->waiting = NULL;
	r->waiting_first = r->waiting_count = r->waiting_room = 0;
}

int spool_open(const struct spool_reader *r, const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", r->folder, name);
	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* --- the tail ----------------------------------------------------------------------------------- */

const char *spool_tail_name(int which)
{
	return which ? "tail.1" : "tail.0";
}

/* Read twice: the monitor may be moving its mark. */
static bool read_header(int fd, struct spool_tail *out)
{
	struct spool_tail again;

	for (int try = 0; try < 10; try++)
		if (pread(fd, out, sizeof *out, 0) != (ssize_t)sizeof *out || pread(fd, &again, sizeof again, 0) != (ssize_t)sizeof again)
			return false;
		else if (memcmp(out, &again, sizeof again) == 0)
			return true;
	return false;
}

bool spool_tail_header(const struct spool_reader *r, int which, struct spool_tail *out)
{
	int fd = spool_open(r, spool_tail_name(which));
	struct spool_tail t;
	bool whole;

	if (fd < 0)
		return false;
	whole = read_header(fd, &t);
	close(fd);
	if (whole)
		*out = (struct spool_tail){ le64toh(t.first_byte), le64toh(t.first_line), le64toh(t.mark_at), le32toh(t.mark_bytes),
			                    le32toh(t.mark_lines) };
	return whole;
}

void spool_reader_end(struct spool_reader *r, const struct exit_file *end)
{
	struct spool_tail t[2];
	bool has[2];
	int64_t from = (int64_t)(end->head + end->missing);

	r->ended = true;
	for (int i = 0; i < 2; i++)
		has[i] = spool_tail_header(r, i, &t[i]);
	if (has[0] && has[1]) {
		bool first = t[0].first_byte < t[1].first_byte;

		r->tail_of[OLDER] = first ? 0 : 1;
		r->tail_of[NEWER] = first ? 1 : 0;
	} else if (has[0] || has[1]) {
		r->tail_of[NEWER] = has[0] ? 0 : 1;
	}
	r->gap_from = (int64_t)end->head;
	r->gap_to = from;
}

/* To the next file; what it begins with is known from its header. */
static void next_file(struct spool_reader *r)
{
	struct spool_tail t;
	int which;

	spool_close(r);
	do {
		r->file++;
		which = r->file < NOTHING ? r->tail_of[r->file] : -1;
	} while (r->file < NOTHING && (which < 0 || !spool_tail_header(r, which, &t)));
	if (r->file >= NOTHING)
		return;
	r->at = SPOOL_TAIL_BYTES;
	r->into = 0;
	if (spool_held(r))
		return; /* it joins: let_go */
	if (r->byte != (int64_t)t.first_byte)
		spool_jump(r, (int64_t)t.first_byte, (int64_t)t.first_line);
}

/* --- files ---------------------------------------------------------------------------------------- */

void spool_reader_mask(struct spool_reader *r, const struct output_mask *m)
{
	r->mask = m;
	if (m && !r->run)
		r->run = mask_run_new(m);
}

/* At the end of a file that the next one does not join, nothing may be held any more. */
static bool let_go(struct spool_reader *r)
{
	struct spool_tail t;

	if (!spool_held(r))
		return false;
	for (int file = r->file + 1; file < NOTHING; file++)
		if (r->tail_of[file] >= 0 && spool_tail_header(r, r->tail_of[file], &t)) {
			if ((int64_t)t.first_byte == r->byte + (int64_t)spool_held(r))
				return false;
			break;
		}
	mask_run_end(r->run);
	return true;
}

static enum err open_file(struct spool_reader *r, struct ctx *cx)
{
	const char *name = r->file == HEAD ? "head" : spool_tail_name(r->tail_of[r->file]);

	r->fd = spool_open(r, name);
	if (r->fd < 0 && errno != ENOENT)
		return err_errno(cx, "open %s/%s", r->folder, name);
	return OK;
}

enum err spool_read(struct spool_reader *r, struct ctx *cx, struct spool_batch *out)
{
	static uint8_t raw[SPOOL_READ_BYTES]; /* the loop's one thread */

	while (r->file != NOTHING && !spool_is_full(r, out)) {
		ssize_t n = 0;

		if (r->run && spool_take_decided(r, out))
			continue;
		if (r->fd < 0)
			TRY(open_file(r, cx));
		if (r->fd >= 0)
			n = pread(r->fd, raw, sizeof raw, r->at);
		if (n < 0)
			return err_errno(cx, "read the spool of %s", r->folder);
		if (n > 0 && spool_take_frames(r, out, raw, (size_t)n))
			continue;
		if (!r->ended)
			break;
		if (let_go(r))
			continue;
		if (out->plain.n)
			break; /* the next file may not join: a chunk of its own */
		next_file(r);
	}
	return OK;
}

int64_t spool_waiting(struct spool_reader *r)
{
	struct stat st;

	if (r->fd < 0)
		r->fd = r->file == HEAD ? spool_open(r, "head") : -1;
	if (r->fd < 0 || fstat(r->fd, &st))
		return 0;
	return st.st_size > r->at ? (int64_t)st.st_size - r->at : 0;
}
