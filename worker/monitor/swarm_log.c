#include "worker/monitor/swarm_log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/monitor/engine_http.h"

enum { STREAM_ERR = 2 };

void swarm_log_close(struct swarm_log *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

void swarm_log_open(struct swarm_log *l, const char *socket, const char *service, bool follow)
{
	char target[160];

	swarm_log_close(l);
	snprintf(target, sizeof target, "/services/%s/logs?stdout=1&stderr=1&tail=all%s", service, follow ? "&follow=1" : "");
	l->fd = engine_begin(socket, "GET", target);
	l->fd = l->fd < 0 ? -1 : l->fd;
	l->has_header = l->is_refused = false;
	l->line_n = l->left = l->head_n = 0;
}

static void keep_words(struct swarm_log *l, char c)
{
	if (l->words_n == sizeof l->words - 1)
		memmove(l->words, l->words + 1, --l->words_n);
	l->words[l->words_n++] = c == '\n' || c == '\r' ? ' ' : c;
	l->words[l->words_n] = '\0';
}

static void end_line(struct swarm_log *l, void (*told)(void *, const struct swarm_frame *), void *arg)
{
	if (swarm_frame_parse(l->line, l->line_n, &l->frame) && l->frame.seq == l->seq + 1) {
		l->seq++;
		told(arg, &l->frame);
	}
	l->line_n = 0;
}

/* The head of the answer ends with an empty line. */
static void take_header(struct swarm_log *l, char c)
{
	if (c == '\r')
		return;
	if (c != '\n') {
		if (l->line_n < sizeof l->line - 1)
			l->line[l->line_n++] = c;
		return;
	}
	l->line[l->line_n] = '\0';
	if (strncmp(l->line, "HTTP/", 5) == 0 && !strstr(l->line, " 200"))
		l->is_refused = true;
	l->has_header = l->line_n == 0;
	l->line_n = 0;
}

static void take_byte(struct swarm_log *l, uint8_t c, void (*told)(void *, const struct swarm_frame *), void *arg)
{
	if (l->left == 0) {
		l->head[l->head_n++] = c;
		if (l->head_n == sizeof l->head) {
			l->left = (uint32_t)l->head[4] << 24 | (uint32_t)l->head[5] << 16 | (uint32_t)l->head[6] << 8 | l->head[7];
			l->head_n = 0;
		}
		return;
	}
	l->left--;
	if (l->head[0] == STREAM_ERR)
		keep_words(l, (char)c);
	else if (l->head[0] != 1)
		return; /* the manager's own, of logs it cannot have now */
	else if (c == '\n')
		end_line(l, told, arg);
	else if (l->line_n < sizeof l->line)
		l->line[l->line_n++] = (char)c;
}

bool swarm_log_read(struct swarm_log *l, void (*told)(void *arg, const struct swarm_frame *f), void *arg)
{
	uint8_t block[16384];
	ssize_t n = recv(l->fd, block, sizeof block, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	for (ssize_t i = 0; i < n; i++)
		if (!l->has_header)
			take_header(l, (char)block[i]);
		else if (!l->is_refused)
			take_byte(l, block[i], told, arg);
	return n > 0;
}
