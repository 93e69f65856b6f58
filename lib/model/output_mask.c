#include "model/output_mask.h"

#include "base/buf.h"

#include <stdlib.h>

/* The automaton of Aho and Corasick. Node 0 is the root; a node is reached by one byte from its parent. */
struct node {
	uint32_t child, sibling; /* 0 = none */
	uint32_t fail;           /* the longest end of this beginning that is a beginning itself */
	uint16_t depth;
	uint16_t ends;           /* length of the longest line that ends here, 0 = none */
	unsigned char byte;
};

struct output_mask {
	struct node *nodes;
	uint32_t n, room;
	uint32_t first[256]; /* children of the root */
	size_t longest;
};

static void *must_have(void *p)
{
	if (!p)
		abort();
	return p;
}

/* --- the automaton --------------------------------------------------------------------------------- */
static uint32_t child_of(const struct output_mask *m, uint32_t node, unsigned char byte)
{
	uint32_t c;

	if (!node)
		return m->first[byte];
	for (c = m->nodes[node].child; c && m->nodes[c].byte != byte; c = m->nodes[c].sibling)
		;
	return c;
}

static uint32_t step(const struct output_mask *m, uint32_t node, unsigned char byte)
{
	uint32_t next;

	while (!(next = child_of(m, node, byte)) && node)
		node = m->nodes[node].fail;
	return next;
}

static uint32_t add_child(struct output_mask *m, uint32_t parent, unsigned char byte)
{
	uint32_t c = m->n++;

	if (m->n > m->room) {
		m->room = m->n * 2;
		m->nodes = must_have(realloc(m->nodes, m->room * sizeof *m->nodes));
	}
	m->nodes[c] = (struct node){ .byte = byte, .depth = (uint16_t)(m->nodes[parent].depth + 1) };
	if (parent) {
		m->nodes[c].sibling = m->nodes[parent].child;
		m->nodes[parent].child = c;
	} else {
		m->first[byte] = c;
	}
	return c;
}

static void add_line(struct output_mask *m, struct str line)
{
	uint32_t at = 0;

	for (size_t i = 0; i < line.n; i++) {
		unsigned char byte = (unsigned char)line.p[i];
		uint32_t next = child_of(m, at, byte);

		at = next ? next : add_child(m, at, byte);
	}
	m->nodes[at].ends = (uint16_t)line.n;
	m->longest = line.n > m->longest ? line.n : m->longest;
}

static void link_one(struct output_mask *m, uint32_t parent, uint32_t c)
{
	struct node *n = &m->nodes[c];

	n->fail = parent ? step(m, m->nodes[parent].fail, n->byte) : 0;
	if (m->nodes[n->fail].ends > n->ends)
		n->ends = m->nodes[n->fail].ends;
}

/* Level by level: a node's fail lies above it. */
static void link_all(struct output_mask *m)
{
	uint32_t *queue = must_have(calloc(m->n, sizeof *queue));
	uint32_t n = 0;

	for (int i = 0; i < 256; i++)
		if (m->first[i])
			queue[n++] = m->first[i];
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t c = m->nodes[queue[i]].child; c; c = m->nodes[c].sibling) {
			link_one(m, queue[i], c);
			queue[n++] = c;
		}
	free(queue);
}

/* The next line of a value that is looked for; false at its end. */
static bool next_line(struct str *value, struct str *line)
{
	while (str_cut(value, '\n', line)) {
		while (line->n && line->p[line->n - 1] == '\r')
			line->n--;
		if (line->n >= OUTPUT_MASK_LEAST)
			return true;
	}
	return false;
}

bool output_mask_takes(struct str value)
{
	struct str line;
	bool any = false;

	while (next_line(&value, &line)) {
		any = true;
		if (line.n > OUTPUT_MASK_MOST)
			return false;
	}
	return any;
}

struct output_mask *output_mask_new(const struct str *values, size_t n)
{
	struct output_mask *m = must_have(calloc(1, sizeof *m));
	struct str line;

	m->nodes = must_have(calloc(1, sizeof *m->nodes));
	m->n = m->room = 1;
	for (size_t i = 0; i < n; i++)
		for (struct str value = values[i]; next_line(&value, &line);)
			if (line.n <= OUTPUT_MASK_MOST)
				add_line(m, line);
	if (m->n == 1) {
		output_mask_free(m);
		return NULL;
	}
	link_all(m);
	return m;
}

void output_mask_free(struct output_mask *m)
{
	if (!m)
		return;
	explicit_bzero(m->nodes, m->n * sizeof *m->nodes);
	free(m->nodes);
	free(m);
}

/* --- a run ----------------------------------------------------------------------------------------- */
/* One of the sequences in which values are looked for. `at` remembers where its last bytes are: they need
 * not lie side by side. */
struct track {
	uint32_t node;
	uint64_t count;         /* bytes of it so far */
	uint64_t *at;           /* of the last `longest`, by count */
	uint64_t marked, marked_to; /* these of its bytes are marked already, by count */
	uint64_t given;         /* what lies before this byte is held no more */
	uint32_t *cut;          /* behind a gap: the places in lines where all its bytes since then may stand */
	size_t cut_n;
	uint64_t cut_from;      /* since then, by count */
};

enum { BOTH, OUT, ERR, TRACKS };
struct mask_run {
	const struct output_mask *m;
	struct buf held;
	uint64_t first;         /* byte of the output that held begins with */
	struct track tracks[TRACKS];
};

struct mask_run *mask_run_new(const struct output_mask *m)
{
	struct mask_run *r = must_have(calloc(1, sizeof *r));

	r->m = m;
	for (int i = 0; i < TRACKS; i++)
		r->tracks[i].at = must_have(calloc(m->longest, sizeof *r->tracks[i].at));
	return r;
}

void mask_run_free(struct mask_run *r)
{
	if (!r)
		return;
	for (int i = 0; i < TRACKS; i++) {
		free(r->tracks[i].at);
		free(r->tracks[i].cut);
	}
	buf_free(&r->held);
	free(r);
}

/* Its last n bytes. What was marked a byte ago is not marked again, or a value of one letter would cost its
 * length for each byte. */
static void mark(struct mask_run *r, struct track *t, size_t n)
{
	uint64_t from = t->count - n;

	if (from >= t->marked && from <= t->marked_to)
		from = t->marked_to;
	else
		t->marked = from;
	for (uint64_t i = from; i < t->count; i++) {
		uint64_t at = t->at[i % r->m->longest];

		if (at >= r->first)
			r->held.p[at - r->first] = '*';
	}
	t->marked_to = t->count;
}

/* Where the first byte is of what waits: of the part of a value that it stands in, or of what may be the rest of one. */
static uint64_t waits_from(const struct mask_run *r, const struct track *t, uint64_t end)
{
	size_t depth = r->m->nodes[t->node].depth;
	uint64_t least = depth ? t->at[(t->count - depth) % r->m->longest] : end;

	if (t->cut_n && t->count > t->cut_from && t->at[t->cut_from % r->m->longest] < least)
		least = t->at[t->cut_from % r->m->longest];
	return least;
}

/* The first byte that it holds: of what waits, if that was not given up. */
static uint64_t held_from(const struct mask_run *r, const struct track *t, uint64_t end)
{
	uint64_t at = waits_from(r, t, end);

	return at < t->given ? t->given : at;
}

/* Behind a gap: do the bytes since then end a line of a value? */
static void pass_cut(struct mask_run *r, struct track *t, unsigned char byte)
{
	size_t n = 0, since = t->count - t->cut_from;
	bool ends = false;

	for (size_t i = 0; i < t->cut_n; i++) {
		uint32_t next = child_of(r->m, t->cut[i], byte);

		if (!next)
			continue;
		ends |= r->m->nodes[next].ends == r->m->nodes[next].depth;
		if (r->m->nodes[next].child)
			t->cut[n++] = next;
	}
	t->cut_n = n;
	if (ends && since >= OUTPUT_MASK_PART)
		mark(r, t, since);
}

/* What waits for more may be a part of a value, and is masked as one. */
static void mark_waiting(struct mask_run *r, struct track *t)
{
	size_t depth = r->m->nodes[t->node].depth, since = t->cut_n ? t->count - t->cut_from : 0;

	if (depth >= OUTPUT_MASK_PART)
		mark(r, t, depth);
	if (since >= OUTPUT_MASK_PART)
		mark(r, t, since);
	t->cut_n = 0;
}

/* One that has waited for too long is masked whatever it is, and given. */
static void give_up(struct mask_run *r, struct track *t, uint64_t at)
{
	if (at - waits_from(r, t, at) <= OUTPUT_MASK_HOLD)
		return;
	if (r->m->nodes[t->node].depth)
		mark(r, t, r->m->nodes[t->node].depth);
	mark_waiting(r, t);
	t->given = at + 1;
}

static void pass(struct mask_run *r, struct track *t, unsigned char byte, uint64_t at)
{
	const struct node *node;

	t->at[t->count++ % r->m->longest] = at;
	t->node = step(r->m, t->node, byte);
	node = &r->m->nodes[t->node];
	if (node->ends)
		mark(r, t, node->ends);
	if (t->cut_n)
		pass_cut(r, t, byte);
	give_up(r, t, at);
}

void mask_run_add(struct mask_run *r, int stream, struct str bytes)
{
	struct track *own = &r->tracks[stream == 1 ? OUT : ERR], *other = &r->tracks[stream == 1 ? ERR : OUT];
	uint64_t at = r->first + r->held.n;

	buf_str(&r->held, bytes);
	for (size_t i = 0; i < bytes.n; i++) {
		pass(r, &r->tracks[BOTH], (unsigned char)bytes.p[i], at + i);
		pass(r, own, (unsigned char)bytes.p[i], at + i);
		if (waits_from(r, other, at + i) >= other->given)
			give_up(r, other, at + i);
	}
}

void mask_run_end(struct mask_run *r)
{
	for (int i = 0; i < TRACKS; i++) {
		mark_waiting(r, &r->tracks[i]);
		r->tracks[i].node = 0;
	}
}

void mask_run_gap(struct mask_run *r)
{
	mask_run_end(r);
	for (int i = 0; i < TRACKS; i++) {
		struct track *t = &r->tracks[i];

		t->cut = must_have(realloc(t->cut, r->m->n * sizeof *t->cut));
		t->cut_n = 0;
		t->cut_from = t->count;
		for (uint32_t node = 1; node < r->m->n; node++)
			if (r->m->nodes[node].child)
				t->cut[t->cut_n++] = node;
	}
}

struct mask_run *mask_run_copy(const struct mask_run *r)
{
	struct mask_run *c = mask_run_new(r->m);

	c->first = r->first;
	buf_str(&c->held, buf_view(&r->held));
	for (int i = 0; i < TRACKS; i++) {
		const struct track *t = &r->tracks[i];
		uint64_t *at = c->tracks[i].at;

		memcpy(at, t->at, r->m->longest * sizeof *at);
		c->tracks[i] = *t;
		c->tracks[i].at = at;
		c->tracks[i].cut = must_have(calloc(t->cut_n + 1, sizeof *t->cut));
		if (t->cut_n)
			memcpy(c->tracks[i].cut, t->cut, t->cut_n * sizeof *t->cut);
	}
	return c;
}

struct str mask_run_held(const struct mask_run *r, size_t *ready)
{
	uint64_t end = r->first + r->held.n, least = end;

	for (int i = 0; i < TRACKS; i++) {
		uint64_t at = held_from(r, &r->tracks[i], end);

		least = at < least ? at : least;
	}
	*ready = least > r->first ? (size_t)(least - r->first) : 0;
	return buf_view(&r->held);
}

void mask_run_take(struct mask_run *r, size_t n)
{
	r->first += n;
	buf_drop(&r->held, n);
	if (!r->held.n)
		buf_free(&r->held);
}
