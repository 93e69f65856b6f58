#include "fcgi/page/page.h"
#include "fcgi/page/words.h"

void show_icon(struct page *p, struct html_at at, const char *name)
{
	struct html_at svg = html_add(at, "svg");

	html_attr(svg, "class", STR_LIT("icon"));
	html_attr(svg, "width", STR_LIT("12"));
	html_attr(svg, "height", STR_LIT("12"));
	html_attr(svg, "aria-hidden", STR_LIT("true"));
	html_attr(html_add(svg, "use"), "href", str_of(page_printf(p, "%s#i-%s", p->icons, name)));
}

void show_time(struct page *p, struct html_at in, const char *name, int64_t us)
{
	struct arena *a = p->html.arena;
	struct html_at at = html_find(in, name);

	html_text(in, name, str_of(words_time(a, us, p->now_us)));
	if (us == TIME_NONE)
		return;
	html_attr(at, "datetime", str_of(time_rfc3339(a, us)));
	html_attr(at, "title", str_of(words_time_exact(a, us)));
	html_put(at, STR_LIT(" "));
	html_put(html_add(at, "span"), str_of(words_ago(a, us, p->now_us)));
}

void show_state(struct page *p, struct html_at in, const char *name, enum task_state s)
{
	const char *word = task_state_name(s);
	struct html_at badge;

	html_text(in, name, STR_LIT(""));
	badge = html_add(html_find(in, name), "span");
	html_attr(badge, "class", str_of(page_printf(p, "badge s-%s", word)));
	show_icon(p, badge, word);
	html_put(badge, str_of(word));
}

void show_task(struct page *p, struct html_at in, const char *name, const struct id *task)
{
	struct id_text text = id_format(task);

	show_link(in, name, words_id(p->html.arena, task), page_printf(p, "%s/tasks/%s", p->project, text.s));
	html_attr(html_find(in, name), "title", str_of(text.s));
}

void show_link(struct html_at in, const char *name, const char *text, const char *url)
{
	html_text(in, name, str_of(text));
	html_attr(html_find(in, name), "href", str_of(url));
}

void show_notice(struct page *p, struct html_at notice, const char *kind, const char *text)
{
	const char *icon = !strcmp(kind, "good") ? "complete" : !strcmp(kind, "bad") ? "error" : !strcmp(kind, "warn") ? "warning" : "info";

	html_attr(notice, "class", str_of(page_printf(p, "notice %s", kind)));
	show_icon(p, html_find(notice, "icon"), icon);
	html_text(notice, "text", str_of(text));
}

void show_value(struct html_at in, const char *name, struct str value)
{
	html_attr(html_find(in, name), "value", value);
}

const char *page_quote(struct page *p, struct str s)
{
	return query_quote(p->html.arena, s);
}

const char *query_quote(struct arena *a, struct str s)
{
	static const char HEX[] = "0123456789ABCDEF";
	char *out = arena_take(a, 3 * s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		             (c && strchr("-._~:/*,", c));

		if (plain) {
			out[n++] = (char)c;
		} else if (c == ' ') {
			out[n++] = '+';
		} else {
			out[n++] = '%';
			out[n++] = HEX[c >> 4];
			out[n++] = HEX[c & 15];
		}
	}
	return out;
}
