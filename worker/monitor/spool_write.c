#include "worker/monitor/spool_write.h"

#include <fcntl.h>
#include <unistd.h>

void spool_init(struct spool *s, int dir, unsigned gid, uint64_t head_max, uint64_t tail_max)
{
	*s = (struct spool){ .dir = dir, .gid = gid, .head_max = head_max, .tail_max = tail_max,
		             .head_fd = -1, .tail_fd = { -1, -1 } };
}

static int create(const struct spool *s, const char *name)
{
	int fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);

	if (fd >= 0 && fchown(fd, (uid_t)-1, s->gid)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Header and bytes at `offset` by one write; what was half written is taken back. */
static bool put_frame(int fd, uint64_t offset, int stream, uint8_t *data, size_t n, uint64_t now_us)
{
	struct spool_frame f = { .len = htole32((uint32_t)n), .stream = (uint8_t)stream,
		                 .boottime_us = htole64(now_us) };
	size_t whole = sizeof f + n;

	memcpy(data - sizeof f, &f, sizeof f);
	if (pwrite(fd, data - sizeof f, whole, (off_t)offset) == (ssize_t)whole)
		return true;
	if (ftruncate(fd, (off_t)offset))
		return false; /* nothing lost: a reader stops at a broken frame, the next write covers it */
	return false;
}

static uint64_t count_lines(const uint8_t *p, size_t n)
{
	const uint8_t *end = p + n;
	uint64_t lines = 0;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
		lines++;
		p++;
	}
	return lines;
}

static void count(struct spool *s, const uint8_t *data, size_t n)
{
	s->bytes += n;
	s->lines += count_lines(data, n);
}

/* As much as the head takes; once a write failed it takes no more, as it must stay a beginning. */
static size_t put_head(struct spool *s, int stream, uint8_t *data, size_t n, uint64_t now_us)
{
	uint64_t left = s->head_max - s->head;

	if (s->head_closed || left == 0)
		return 0;
	n = n < left ? n : (size_t)left;
	if (s->head_fd < 0)
		s->head_fd = create(s, "head");
	if (s->head_fd < 0 || !put_frame(s->head_fd, s->head_size, stream, data, n, now_us)) {
		s->head_closed = true;
		return 0;
	}
	s->head += n;
	s->head_size += SPOOL_FRAME_BYTES + n;
	count(s, data, n);
	return n;
}

static bool put_header(const struct spool *s, const struct spool_tail *h)
{
	return pwrite(s->tail_fd[s->tail], h, sizeof *h, 0) == (ssize_t)sizeof *h;
}

static bool tail_begin(struct spool *s, int which)
{
	static const char *const names[] = { "tail.0", "tail.1" };
	struct spool_tail h = { .first_byte = htole64(s->bytes), .first_line = htole64(s->lines) };

	if (s->tail_fd[which] < 0)
		s->tail_fd[which] = create(s, names[which]);
	s->tail = which;
	s->tail_first[which] = s->bytes;
	s->tail_data[which] = 0;
	s->tail_size[which] = sizeof h;
	s->tail_line = s->lines;
	s->marked = 0;
	return s->tail_fd[which] >= 0 && ftruncate(s->tail_fd[which], 0) == 0 && put_header(s, &h);
}

/* Before the frame that comes next. A mark that cannot be written stays where it was. */
static void tail_mark(struct spool *s)
{
	struct spool_tail h = { .first_byte = htole64(s->tail_first[s->tail]), .first_line = htole64(s->tail_line),
		                .mark_at = htole64(s->tail_size[s->tail]),
		                .mark_bytes = htole32((uint32_t)s->tail_data[s->tail]),
		                .mark_lines = htole32((uint32_t)(s->lines - s->tail_line)) };

	if (s->tail_data[s->tail] - s->marked >= SPOOL_MARK_BYTES && put_header(s, &h))
		s->marked = s->tail_data[s->tail];
}

/* Bytes of the older file do not join what comes after a gap: both begin anew. */
static void tail_lost(struct spool *s)
{
	for (int i = 0; i < 2; i++) {
		if (s->tail_fd[i] >= 0 && ftruncate(s->tail_fd[i], 0))
			unlinkat(s->dir, i ? "tail.1" : "tail.0", 0);
		s->tail_data[i] = s->tail_size[i] = 0;
	}
}

static size_t put_tail(struct spool *s, int stream, uint8_t *data, size_t n, uint64_t now_us)
{
	int w = s->tail;
	uint64_t left;

	if (s->tail_max == 0) {
		count(s, data, n);
		return n;
	}
	if (s->tail_size[w] && s->tail_data[w] == s->tail_max) {
		w = !w;
		s->tail_size[w] = 0; /* to be begun anew */
	}
	left = s->tail_size[w] ? s->tail_max - s->tail_data[w] : s->tail_max;
	n = n < left ? n : (size_t)left;
	if (s->tail_size[w])
		tail_mark(s);
	if ((s->tail_size[w] || tail_begin(s, w)) &&
	    put_frame(s->tail_fd[w], s->tail_size[w], stream, data, n, now_us)) {
		s->tail_data[w] += n;
		s->tail_size[w] += SPOOL_FRAME_BYTES + n;
	} else {
		tail_lost(s);
	}
	count(s, data, n);
	return n;
}

void spool_put(struct spool *s, int stream, uint8_t *data, size_t n, uint64_t now_us)
{
	size_t done = put_head(s, stream, data, n, now_us);

	while (done < n)
		done += put_tail(s, stream, data + done, n - done, now_us);
}

void spool_skip(struct spool *s, uint64_t bytes, uint64_t lines)
{
	s->head_closed = true;
	tail_lost(s);
	s->bytes += bytes;
	s->lines += lines;
}

uint64_t spool_missing(const struct spool *s)
{
	uint64_t kept = s->tail_data[0] + s->tail_data[1];

	if (kept > s->tail_max)
		kept = s->tail_max;
	return s->bytes - s->head - kept;
}
