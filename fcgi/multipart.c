#include "fcgi/multipart.h"

/* --- headers of a part --------------------------------------------------------------------------- */

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
	struct str one, key;

	while (str_cut(&line, ';', &one)) {
		if (!str_cut(&one, '=', &key) || !str_is_nocase(str_trim(key), name))
			continue;
		one = str_trim(one);
		if (one.n && one.p[0] == '"') {
			one = str_bytes(one.p + 1, one.n - 1);
			str_cut(&one, '"', out);
		} else {
			*out = one;
		}
		return true;
	}
	return false;
}

static struct part read_head(struct str head)
{
	struct part part = { .name = STR_LIT("") };
	struct str line, key;

	while (next_line(&head, &line) && str_cut(&line, ':', &key)) {
		if (str_is_nocase(str_trim(key), "Content-Disposition")) {
			parameter(line, "name", &part.name);
			part.is_file = parameter(line, "filename", &part.file_name);
		} else if (str_is_nocase(str_trim(key), "Content-Type")) {
			part.type = str_trim(line);
		}
	}
	return part;
}

/* --- the window ------------------------------------------------------------------------------------ */

static void consume(struct multipart *m, size_t n)
{
	m->n -= n;
	memmove(m->window, m->window + n, m->n);
}

static enum err broken(struct ctx *cx, const char *what)
{
	return err_set(cx, ERR_INPUT, "the multipart body %s", what);
}

/* What a step found. */
enum step {
	STEP_MORE,   /* it needs more bytes */
	STEP_ON,     /* on with the state that is now */
};

static enum err take_first(struct ctx *cx, struct multipart *m, enum step *step)
{
	const char *end;
	struct str line;
	size_t blank = 0;

	while (blank < m->n && (m->window[blank] == '\r' || m->window[blank] == '\n'))
		blank++;
	consume(m, blank);
	end = memchr(m->window, '\n', m->n);
	if (end ? end - m->window > MULTIPART_BOUNDARY_BYTES : m->n > MULTIPART_BOUNDARY_BYTES)
		return broken(cx, "begins with no boundary");
	*step = end ? STEP_ON : STEP_MORE;
	if (!end)
		return OK;
	line = str_trim(str_bytes(m->window, (size_t)(end - m->window)));
	if (line.n < 3 || line.n > MULTIPART_BOUNDARY_BYTES || !str_starts(line, "--"))
		return broken(cx, "begins with no boundary");
	m->crlf = end > m->window && end[-1] == '\r';
	memcpy(m->boundary, line.p, line.n);
	m->boundary_n = line.n;
	consume(m, (size_t)(end - m->window) + 1);
	m->state = MULTIPART_HEAD;
	return OK;
}

static enum err take_after(struct ctx *cx, struct multipart *m, enum step *step)
{
	const char *end = memchr(m->window, '\n', m->n);

	*step = STEP_ON;
	if (end && end - m->window > MULTIPART_BOUNDARY_BYTES) /* as it is when it comes piece by piece */
		end = NULL;
	if (m->n >= 2 && memcmp(m->window, "--", 2) == 0) {
		m->state = MULTIPART_OVER;
	} else if (end) {
		consume(m, (size_t)(end - m->window) + 1);
		m->state = MULTIPART_HEAD;
	} else {
		*step = STEP_MORE;
		if (m->n > MULTIPART_BOUNDARY_BYTES)
			return broken(cx, "has a boundary without an end");
	}
	return OK;
}

/* The empty line behind the headers; 0 if it is not there yet, else the bytes up to behind it. */
static size_t head_bytes(const struct multipart *m)
{
	struct str rest = str_bytes(m->window, m->n), line;

	while (memchr(rest.p, '\n', rest.n) && next_line(&rest, &line))
		if (!line.n)
			return (size_t)(line.p - m->window) + (m->window[line.p - m->window] == '\r' ? 2 : 1);
	return 0;
}

static enum err take_head(struct ctx *cx, struct multipart *m, const struct multipart_reader *reader, enum step *step)
{
	size_t n = head_bytes(m);
	struct part part;

	*step = n ? STEP_ON : STEP_MORE;
	if (n > MULTIPART_HEADER_BYTES || (!n && m->n > MULTIPART_HEADER_BYTES))
		return broken(cx, "has a part with over 16 KiB of headers");
	if (!n)
		return OK;
	part = read_head(str_bytes(m->window, n));
	TRY(reader->begin(reader->arg, &part));
	consume(m, n);
	m->state = MULTIPART_BYTES;
	m->at_start = true;
	return OK;
}

/* Is this the whole boundary? Behind it comes "--" or the end of its line. -1 = it is too short to tell. */
static int is_boundary(const struct multipart *m, size_t at)
{
	size_t behind = at + m->boundary_n;

	if (behind + 2 > m->n)
		return -1;
	return memchr("\r\n \t", m->window[behind], 4) != NULL || memcmp(m->window + behind, "--", 2) == 0;
}

/* The place where the bytes of the part end: at the line end before the next boundary. `keep` = from
 * where on it may still turn out to be one. */
static bool find_boundary(const struct multipart *m, size_t *end, size_t *boundary, size_t *keep)
{
	size_t from = 0;

	*keep = m->n > m->boundary_n + 4 ? m->n - m->boundary_n - 4 : 0;
	while (from < m->n) {
		const char *hit = memmem(m->window + from, m->n - from, m->boundary, m->boundary_n);
		size_t at = hit ? (size_t)(hit - m->window) : 0;
		int is;

		if (!hit)
			return false;
		from = at + 1;
		if (at ? m->window[at - 1] != '\n' : !m->at_start)
			continue;
		is = is_boundary(m, at);
		if (is == 0)
			continue;
		*boundary = at;
		*end = at ? at - 1 : 0;
		if (m->crlf && *end && m->window[*end - 1] == '\r')
			--*end;
		*keep = *end;
		return is > 0;
	}
	return false;
}

static enum err take_bytes(struct multipart *m, const struct multipart_reader *reader, enum step *step)
{
	size_t end = 0, boundary = 0, keep = 0;
	bool found = find_boundary(m, &end, &boundary, &keep);
	size_t n = found ? end : keep;

	*step = found ? STEP_ON : STEP_MORE;
	if (n) {
		TRY(reader->bytes(reader->arg, str_bytes(m->window, n)));
		m->at_start = false;
	}
	consume(m, found ? boundary + m->boundary_n : n);
	if (!found)
		return OK;
	m->state = MULTIPART_AFTER;
	return reader->end(reader->arg);
}

static enum err take(struct ctx *cx, struct multipart *m, const struct multipart_reader *reader)
{
	enum step step = STEP_ON;

	while (step == STEP_ON && m->state != MULTIPART_OVER) {
		switch (m->state) {
		case MULTIPART_FIRST:
			TRY(take_first(cx, m, &step));
			break;
		case MULTIPART_AFTER:
			TRY(take_after(cx, m, &step));
			break;
		case MULTIPART_HEAD:
			TRY(take_head(cx, m, reader, &step));
			break;
		default:
			TRY(take_bytes(m, reader, &step));
			break;
		}
	}
	if (m->state == MULTIPART_OVER) /* what follows means nothing */
		m->n = 0;
	return OK;
}

bool multipart_is(struct str beginning)
{
	while (beginning.n && (beginning.p[0] == '\r' || beginning.p[0] == '\n'))
		beginning = str_bytes(beginning.p + 1, beginning.n - 1);
	return str_starts(beginning, "--");
}

enum err multipart_feed(struct ctx *cx, struct multipart *m, const struct multipart_reader *reader, struct str bytes)
{
	while (bytes.n) {
		size_t room = sizeof m->window - m->n, n = bytes.n < room ? bytes.n : room;

		memcpy(m->window + m->n, bytes.p, n);
		m->n += n;
		bytes = str_bytes(bytes.p + n, bytes.n - n);
		TRY(take(cx, m, reader));
	}
	return OK;
}

enum err multipart_end(struct ctx *cx, struct multipart *m, const struct multipart_reader *reader)
{
	if (m->state == MULTIPART_BYTES || (m->state == MULTIPART_AFTER && m->n)) /* "--x" alone may end it */
		TRY(multipart_feed(cx, m, reader, STR_LIT("--")));
	if (m->state == MULTIPART_AFTER && !m->n)
		return OK;
	return m->state == MULTIPART_OVER ? OK : broken(cx, "ends within a part");
}
