#include "fcgi/page/log_part.h"

#include "fcgi/page/words.h"
#include "store/log_live.h"

enum { CHUNKS_MOST = 4000 };

/* --- reading ------------------------------------------------------------------------------------- */

static const struct log_head *head_of(const struct log_part *part, int64_t attempt)
{
	if (!attempt)
		return part->head_count ? &part->heads[part->head_count - 1] : NULL;
	for (size_t i = 0; i < part->head_count; i++)
		if (part->heads[i].attempt == attempt)
			return &part->heads[i];
	return NULL;
}

/* The chunk to begin with. */
static enum err seek(struct request *rq, const struct id *task, const struct log_head *head, const struct log_want *want, int64_t *number)
{
	struct db *db = rq->logs;

	*number = 0;
	if (want->from_byte >= 0)
		return want->from_byte == 0 ? OK : log_store_seek(db, &rq->cx, task, head, want->from_byte, number);
	if (want->from_line > 0) /* the line before: its end, and so our beginning, is in the chunk found */
		return log_store_seek_line(db, &rq->cx, task, head, want->from_line - 1, number);
	if (want->from_line == 0 || head->bytes <= LOG_PAGE_BYTES)
		return OK;
	if (head->live - head->bytes >= LOG_PAGE_BYTES) /* newer output fills the page */
		return log_store_seek(db, &rq->cx, task, head, head->bytes - 1, number);
	return log_store_seek(db, &rq->cx, task, head, head->bytes - LOG_PAGE_BYTES, number);
}

static void add_chunk(struct log_lines *l, const struct log_chunk *c)
{
	int64_t at = c->first_byte;
	struct str rest = c->plain;

	if (!l->began) /* who follows saw all before from_byte: if this is behind it, there is a gap */
		log_lines_begin(l, l->from_byte && l->from_byte < at ? l->from_byte : at, c->first_line);
	log_lines_jump(l, at, c->first_line);
	for (size_t i = 0; i < c->piece_count && rest.n; i++) {
		size_t n = c->pieces[i].bytes < rest.n ? c->pieces[i].bytes : rest.n;
		size_t known = at >= l->byte ? 0 : l->byte - at < (int64_t)n ? (size_t)(l->byte - at) : n;

		if (known < n)
			log_lines_add(l, at + (int64_t)known, c->pieces[i].stream, c->pieces[i].at, str_bytes(rest.p + known, n - known));
		at += (int64_t)n;
		rest = str_bytes(rest.p + n, rest.n - n);
	}
	if (rest.n)
		log_lines_add(l, at, 1, c->first_at, rest);
}

static bool is_of_end(const struct log_want *want)
{
	return want->from_line < 0 && want->from_byte < 0;
}

/* The newest output of an attempt that runs, behind all chunks; of the end as much as a page has. */
static enum err read_live(struct request *rq, const struct id *task, struct log_part *part, const struct log_want *want)
{
	int64_t from = part->head->bytes;
	struct log_chunk *chunks;
	size_t n;

	if (part->lines.full)
		return OK;
	if (is_of_end(want) && part->head->live - LOG_PAGE_BYTES > from)
		from = part->head->live - LOG_PAGE_BYTES;
	if (want->from_byte > from)
		from = want->from_byte;
	TRY(log_live_read(rq->logs, &rq->cx, task, part->head, from, CHUNKS_MOST, &chunks, &n));
	for (size_t i = 0; i < n; i++)
		if (!part->lines.began || part->lines.byte < chunks[i].first_byte + (int64_t)chunks[i].plain.n)
			add_chunk(&part->lines, &chunks[i]);
	return OK;
}

static enum err read_lines(struct request *rq, const struct id *task, struct log_part *part, const struct log_want *want)
{
	struct log_lines *l = &part->lines;
	struct log_chunk *chunks = NULL;
	int64_t number;
	size_t n = 0;

	TRY(seek(rq, task, part->head, want, &number));
	if (number < part->head->next)
		TRY(log_store_read(rq->logs, &rq->cx, task, part->head, number, CHUNKS_MOST, &chunks, &n));
	for (size_t i = 0; i < n; i++)
		add_chunk(l, &chunks[i]);
	TRY(read_live(rq, task, part, want));
	log_lines_end(l);
	if (!is_of_end(want))
		return OK;
	if (number > 0 && l->n > 1) { /* the chunk began somewhere in a line */
		l->lines++;
		l->n--;
	}
	log_lines_keep_last(l, want->lines);
	return OK;
}

enum err log_part_read(struct request *rq, const struct id *task, int64_t attempt, const struct log_want *want, struct log_part *out)
{
	struct log_head *heads = NULL;

	*out = (struct log_part){ .lines = { .arena = &rq->cx.arena, .style = want->style } };
	TRY(log_store_heads(rq->logs, &rq->cx, task, &heads, &out->head_count));
	out->heads = heads;
	out->head = head_of(out, attempt);
	if (attempt && !out->head)
		return err_set(&rq->cx, ERR_NOT_FOUND, "attempt %lld has no log", (long long)attempt);
	if (!out->head)
		return OK;
	out->lines.from_line = want->from_line > 0 ? want->from_line : 0;
	out->lines.from_byte = want->from_byte > 0 ? want->from_byte : 0;
	if (!is_of_end(want)) {
		out->lines.lines_most = want->lines;
		out->lines.bytes_most = LOG_PAGE_BYTES;
	}
	return read_lines(rq, task, out, want);
}

void log_part_release(struct log_part *part)
{
	log_lines_release(&part->lines);
}

/* --- filling ------------------------------------------------------------------------------------- */

static struct html_at add(struct html_at parent, const char *tag, const char *class)
{
	struct html_at at = html_add(parent, tag);

	html_attr(at, "class", str_of(class));
	return at;
}

static void fill_gap(struct page *p, struct html_at box, const struct log_line *l)
{
	if (l->gap > 0)
		html_put(add(box, "div", "gap"),
		         str_of(page_printf(p, "… %s bytes left out here: over the limit (head and tail are kept) …",
		                            words_number(p->html.arena, l->gap))));
}

static void fill_spans(struct html_at text, const struct log_line *l)
{
	char classes[ANSI_CLASSES];

	for (size_t i = 0; i < l->span_count; i++) {
		const char *class = ansi_classes(l->spans[i].style, classes);

		if (*class)
			html_put(add(text, "span", class), l->spans[i].text);
		else
			html_put(text, l->spans[i].text);
	}
	if (l->cut)
		html_put(add(text, "span", "f0"), STR_LIT(" … cut here, see raw"));
}

static void fill_line(struct page *p, struct html_at box, const struct log_line *l, const struct log_show *show)
{
	bool marked = show->mark >= 0 && l->number >= show->mark && l->number <= show->mark_to;
	struct html_at line = add(box, "div", marked ? "l mark" : "l"), number = add(line, "a", "n");
	long long n = (long long)l->number + 1;
	struct html_at text;

	html_attr(line, "id", str_of(page_printf(p, "L%lld", n)));
	if (l->open)
		html_attr(line, "data-open", STR_LIT(""));
	html_attr(number, "href", str_of(page_printf(p, "%s%cline=%lld#L%lld", show->url, strchr(show->url, '?') ? '&' : '?', n, n)));
	html_put(number, str_of(page_printf(p, "%lld", n)));
	html_put(add(line, "span", "t"), str_of(l->at == TIME_NONE ? "" : words_clock(p->html.arena, l->at)));
	html_put(add(line, "span", "e"), l->is_err ? STR_LIT("E") : STR_LIT(""));
	text = add(line, "span", l->is_err ? "x err" : "x");
	fill_spans(text, l);
}

/* What the script needs to go on. */
static void fill_cursor(struct page *p, struct html_at log, const struct log_part *part, const struct log_show *show)
{
	const struct log_lines *l = &part->lines;

	html_attr(log, "data-log", str_of(show->url));
	html_attr(log, "data-from", str_of(page_printf(p, "%lld", (long long)l->next_byte)));
	html_attr(log, "data-style", str_of(page_printf(p, "%lld", (long long)ansi_pack(l->next_style))));
	if (show->follow)
		html_attr(log, show->ended && !l->full ? "data-end" : "data-follow", STR_LIT(""));
}

void log_part_fill(struct page *p, struct html_at in, const char *name, const struct log_part *part, const struct log_show *show)
{
	struct html_at box = html_find(in, name), log;

	html_attr(box, "class", STR_LIT("logbox"));
	log = add(box, "div", "log");
	html_attr(log, "data-part", STR_LIT("lines"));
	html_attr(log, "id", STR_LIT("log"));
	html_attr(log, "tabindex", STR_LIT("0"));
	html_attr(log, "role", STR_LIT("region"));
	html_attr(log, "aria-label", STR_LIT("Log lines"));
	fill_cursor(p, log, part, show);
	for (size_t i = 0; i < part->lines.n; i++) {
		fill_gap(p, log, &part->lines.lines[i]);
		if (part->lines.lines[i].span_count || !part->lines.lines[i].open)
			fill_line(p, log, &part->lines.lines[i], show);
	}
	if (!part->lines.n)
		html_put(add(log, "div", "none"), str_of(show->ended ? "The job wrote nothing." : "Nothing was written yet."));
	html_put(add(box, "p", "logend"), str_of(show->ended && show->follow ? show->verdict : ""));
}

struct str log_part_last_err(struct arena *a, const struct log_part *part, size_t most)
{
	const struct log_lines *l = &part->lines;
	size_t from = l->n, found = 0;
	auto_buf b = { 0 };

	while (from && found < most)
		found += l->lines[--from].is_err;
	for (; from < l->n; from++) {
		if (!l->lines[from].is_err)
			continue;
		if (b.n)
			buf_char(&b, '\n');
		for (size_t i = 0; i < l->lines[from].span_count; i++)
			buf_str(&b, l->lines[from].spans[i].text);
	}
	return str_bytes(arena_copy(a, b.p, b.n), b.n);
}
