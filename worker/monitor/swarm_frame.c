#include "worker/monitor/swarm_frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const uint8_t *in, size_t n, char *out)
{
	char *at = out;

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);

		*at++ = DIGITS[v >> 18];
		*at++ = DIGITS[v >> 12 & 63];
		*at++ = left > 1 ? DIGITS[v >> 6 & 63] : '=';
		*at++ = left > 2 ? DIGITS[v & 63] : '=';
	}
	return (size_t)(at - out);
}

static int digit_of(char c)
{
	const char *at = c ? strchr(DIGITS, c) : NULL;

	return at ? (int)(at - DIGITS) : -1;
}

long base64_decode(const char *in, size_t n, uint8_t *out, size_t room)
{
	size_t done = 0;

	if (n % 4)
		return -1;
	for (size_t i = 0; i < n; i += 4) {
		size_t pad = i + 4 < n || in[i + 3] != '=' ? 0 : in[i + 2] == '=' ? 2 : 1;
		uint32_t v = 0;

		for (size_t k = 0; k < 4 - pad; k++) {
			int d = digit_of(in[i + k]);

			if (d < 0)
				return -1;
			v |= (uint32_t)d << (18 - 6 * k);
		}
		if (room - done < 3 - pad)
			return -1;
		for (size_t k = 0; k < 3 - pad; k++)
			out[done++] = (uint8_t)(v >> (16 - 8 * k));
	}
	return (long)done;
}

size_t swarm_frame_format(const struct swarm_frame *f, char *out)
{
	int n = snprintf(out, SWARM_LINE_MAX, "%llu %c %llu %llu %llu %llu ", (unsigned long long)f->seq, f->type,
	                 (unsigned long long)f->n[0], (unsigned long long)f->n[1], (unsigned long long)f->n[2],
	                 (unsigned long long)f->n[3]);
	size_t at = (size_t)n;

	at += base64_encode(f->data, f->length, out + at);
	out[at++] = '\n';
	return at;
}

/* A number and the blank behind it. */
static bool number(const char **at, const char *end, uint64_t *out)
{
	const char *from = *at;

	*out = 0;
	while (*at < end && **at >= '0' && **at <= '9' && *at - from < 20)
		*out = *out * 10 + (uint64_t)(*(*at)++ - '0');
	return *at > from && *at < end && *(*at)++ == ' ';
}

bool swarm_frame_parse(const char *line, size_t n, struct swarm_frame *out)
{
	const char *at = line, *end = line + n;
	long length;

	if (!number(&at, end, &out->seq) || end - at < 2 || at[1] != ' ' || !strchr("BOSFCWE", at[0]))
		return false;
	out->type = at[0];
	at += 2;
	for (int i = 0; i < 4; i++)
		if (!number(&at, end, &out->n[i]))
			return false;
	length = base64_decode(at, (size_t)(end - at), out->data, sizeof out->data);
	out->length = length < 0 ? 0 : (uint32_t)length;
	return length >= 0;
}
