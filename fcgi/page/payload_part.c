#include "fcgi/page/payload_part.h"

#include "base/text.h"
#include "fcgi/page/words.h"
#include "base/json.h"
#include "model/payload_mask.h"

enum { OPEN_LEVELS = 2, DEPTH_MOST = 64 };

struct tree {
	struct page *page;
	size_t nodes;
};

static struct html_at add(struct html_at parent, const char *tag, const char *class)
{
	struct html_at at = html_add(parent, tag);

	if (*class)
		html_attr(at, "class", str_of(class));
	return at;
}

static void put_key(struct html_at at, const char *key)
{
	if (!key)
		return;
	html_put(add(at, "span", "k"), str_of(key));
	html_put(at, STR_LIT(": "));
}

static void put_leaf(struct tree *t, struct html_at at, const json_t *j)
{
	struct str text;

	if (json_is_string(j)) {
		text = str_bytes(json_string_value(j), json_string_length(j));
		html_put(add(at, "span", str_is(text, PAYLOAD_MASK) ? "m" : "s"), text);
		return;
	}
	html_put(add(at, "span", "v"), json_write(t->page->html.arena, j));
}

static void put_value(struct tree *t, struct html_at parent, const char *key, json_t *j, int depth);

static void put_children(struct tree *t, struct html_at at, json_t *j, int depth)
{
	if (json_is_array(j)) {
		for (size_t i = 0; i < json_array_size(j); i++)
			put_value(t, at, page_printf(t->page, "%zu", i), json_array_get(j, i), depth);
		return;
	}
	for (void *i = json_object_iter(j); i; i = json_object_iter_next(j, i))
		put_value(t, at, json_object_iter_key(i), json_object_iter_value(i), depth);
}

static void put_value(struct tree *t, struct html_at parent, const char *key, json_t *j, int depth)
{
	bool folds = (json_is_object(j) && json_object_size(j)) || (json_is_array(j) && json_array_size(j));
	struct html_at at, summary;
	size_t n = json_is_array(j) ? json_array_size(j) : json_object_size(j);

	if (++t->nodes > PAYLOAD_NODES_MOST || depth > DEPTH_MOST)
		return;
	if (!folds) {
		at = html_add(parent, "p");
		put_key(at, key);
		put_leaf(t, at, j);
		return;
	}
	at = html_add(parent, "details");
	if (depth < OPEN_LEVELS)
		html_attr(at, "open", STR_LIT("open"));
	summary = html_add(at, "summary");
	put_key(summary, key);
	html_put(add(summary, "span", "quiet"), str_of(page_printf(t->page, json_is_array(j) ? "[%zu]" : "{%zu}", n)));
	put_children(t, at, j, depth + 1);
}

static void fill_text(struct page *p, struct html_at box, struct str payload)
{
	bool masked = false;
	struct str text = payload_mask_text(p->html.arena, payload, p->frame->project->payload_keys, &masked), shown = text_cut(text, PAYLOAD_TEXT_BYTES);

	html_put(html_piece(box, "raw"), shown);
	if (masked)
		html_piece(box, "masked");
	if (shown.n < text.n)
		html_text(html_piece(box, "cut"), "text", STR_LIT("Only the beginning is shown."));
}

static void fill_tree(struct page *p, struct html_at box, json_t *j)
{
	struct tree t = { .page = p };
	bool masked = false;

	payload_mask(j, p->frame->project->payload_keys, &masked);
	put_value(&t, html_piece(box, "tree"), NULL, j, 0);
	if (masked)
		html_piece(box, "masked");
	if (t.nodes > PAYLOAD_NODES_MOST)
		html_text(html_piece(box, "cut"), "text", STR_LIT("Only the first 2,000 values are shown."));
}

void payload_part_fill(struct page *p, struct str payload)
{
	struct html_at box = html_find(p->main, "payload");
	struct json_limits limits = { DEPTH_MOST, 100000 };
	auto_json *j = NULL;
	auto_ctx cx = { 0 };
	struct str trimmed = str_trim(payload);

	if (!trimmed.n) {
		html_piece(box, "none");
		return;
	}
	html_text(p->main, "payload-size", str_of(words_bytes(p->html.arena, (int64_t)payload.n)));
	if ((*trimmed.p == '{' || *trimmed.p == '[') && json_read_unique(&cx, payload, limits, &j) == OK)
		fill_tree(p, box, j);
	else
		fill_text(p, box, payload);
}
