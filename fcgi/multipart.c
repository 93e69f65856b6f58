#include "fcgi/multipart.h"

#include <string.h>

enum { BOUNDARY_BYTES = 202 }; /* "--", RFC 2046's 70 characters, and room for those who use more */

struct str multipart_boundary(struct str body)
{
	struct str line = body;

	if (!str_starts(body, "--") || !str_cut(&body, '\n', &line))
		return STR_LIT("");
	line = str_trim(line);
	return line.n > 2 && line.n <= BOUNDARY_BYTES ? line : STR_LIT("");
}

/* A line without its end; false when nothing is left. */
static bool next_line(struct str *rest, struct str *line)
{
	if (!str_cut(rest, '\n', line))
		return false;
	if (line->n && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

/* The value of name="…" in a Content-Disposition line. */
static bool parameter(struct str line, const char *name, struct str *out)
{
	size_t at = str_find(line, name);
	struct str value;

	if (at == (size_t)-1)
		return false;
	value = str_bytes(line.p + at + strlen(name), line.n - at - strlen(name));
	if (value.n && value.p[0] == '"') {
		value = str_bytes(value.p + 1, value.n - 1);
		str_cut(&value, '"', out);
	} else {
		str_cut(&value, ';', out);
	}
	return true;
}

static bool read_headers(struct str *rest, struct part *out)
{
	struct str line, ignored;

	while (next_line(rest, &line)) {
		if (!line.n)
			return true;
		if (line.n < 20 || !str_is_nocase(str_bytes(line.p, 20), "Content-Disposition:"))
			continue;
		parameter(line, " name=", &out->name);
		out->is_file = parameter(line, "filename=", &ignored);
	}
	return false;
}

/* The next boundary at the start of a line; NULL if there is none. */
static const char *find_boundary(struct str in, struct str boundary)
{
	const char *from = in.p, *end = in.p + in.n, *hit;

	while (from < end && (hit = memmem(from, (size_t)(end - from), boundary.p, boundary.n))) {
		if (hit == in.p || hit[-1] == '\n')
			return hit;
		from = hit + 1;
	}
	return NULL;
}

bool multipart_next(struct str *rest, struct str boundary, struct part *out)
{
	struct part part = { .name = STR_LIT("") };
	bool crlf;
	struct str line;
	const char *end;

	if (!boundary.n || !str_cut(rest, '\n', &line) || !str_equal(str_trim(line), boundary))
		return false; /* the closing one has "--" behind */
	crlf = line.p[line.n - 1] == '\r';
	if (!read_headers(rest, &part))
		return false;
	end = find_boundary(*rest, boundary);
	if (!end)
		return false;
	part.bytes = str_bytes(rest->p, (size_t)(end - rest->p));
	*rest = str_bytes(end, rest->n - part.bytes.n);
	if (part.bytes.n)
		part.bytes.n--; /* exactly the line end that the sender uses: a zip may end in one of its own */
	if (crlf && part.bytes.n && part.bytes.p[part.bytes.n - 1] == '\r')
		part.bytes.n--;
	*out = part;
	return true;
}
