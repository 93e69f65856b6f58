#include "fcgi/page/fire_look.h"

#include "base/buf.h"

enum look { OK_RUN, FAILED, RUNNING, QUEUED, CAUGHT_UP, MISSED, OVERLAP, DST, EXCLUDED, PAUSED, REFUSED, WAITING, FORGOTTEN, LOOKS };

static const struct fire_look LOOK[LOOKS] = {
	[OK_RUN] = { "✓", "ok", "s-complete" },
	[FAILED] = { "✕", "failed", "s-error" },
	[RUNNING] = { "▶", "running", "s-running" },
	[QUEUED] = { "○", "queued", "s-queued" },
	[CAUGHT_UP] = { "↻", "caught up", "s-complete" },
	[MISSED] = { "!", "missed", "s-timeout" },
	[OVERLAP] = { "–", "overlap", "s-cancelled" },
	[DST] = { "◇", "left out by the clock", "s-cancelled" },
	[EXCLUDED] = { "×", "excluded", "s-cancelled" },
	[PAUSED] = { "‖", "paused", "s-cancelled" },
	[REFUSED] = { "?", "refused", "s-error" },
	[WAITING] = { "…", "waiting", "s-queued" },
	[FORGOTTEN] = { "·", "run, its task is gone", "s-cancelled" },
};

static enum look of_task(enum task_state s, enum fire_outcome o)
{
	if (s == TASK_COMPLETE)
		return o == FIRE_CAUGHT_UP ? CAUGHT_UP : OK_RUN;
	if (task_state_is_settled(s))
		return FAILED;
	return s == TASK_QUEUED ? QUEUED : RUNNING;
}

static enum look look_of(const struct fire *f)
{
	static const enum look OUTCOMES[FIRE_OUTCOMES] = {
		[FIRE_FIRED] = FORGOTTEN, [FIRE_CAUGHT_UP] = FORGOTTEN, [FIRE_RUN_NOW] = FORGOTTEN, [FIRE_BACKFILLED] = FORGOTTEN,
		[FIRE_MISSED] = MISSED, [FIRE_OVERLAP] = OVERLAP, [FIRE_DST] = DST, [FIRE_EXCLUDED] = EXCLUDED,
		[FIRE_PAUSED] = PAUSED, [FIRE_REFUSED] = REFUSED, [FIRE_WAITING] = WAITING,
	};
	enum task_state s;

	return task_state_parse(f->task_state, &s) ? of_task(s, f->outcome) : OUTCOMES[f->outcome];
}

const struct fire_look *fire_look(const struct fire *f)
{
	return &LOOK[look_of(f)];
}

/* Neighbours that look alike share an element. */
static void add_signs(struct html_at at, const struct fire_look *look, size_t n)
{
	struct html_at run = html_add(at, "span");
	auto_buf signs = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_text(&signs, look->sign);
	html_attr(run, "class", str_of(look->class));
	html_put(run, buf_view(&signs));
}

void fire_strip(struct page *p, struct html_at at, const struct fire *fires, size_t n)
{
	struct html_at signs = html_add(at, "span");
	const char *said = page_printf(p, "%zu fires", n), *comma = ": ";
	size_t count[LOOKS] = { 0 }, same = 0;

	html_attr(signs, "class", STR_LIT("strip"));
	html_attr(signs, "role", STR_LIT("img"));
	for (size_t i = 0; i < n; i++) {
		count[look_of(&fires[i])]++;
		same++;
		if (i + 1 < n && look_of(&fires[i + 1]) == look_of(&fires[i]))
			continue;
		add_signs(signs, fire_look(&fires[i]), same);
		same = 0;
	}
	for (int i = 0; i < LOOKS; i++)
		if (count[i]) {
			said = page_printf(p, "%s%s%zu %s", said, comma, count[i], LOOK[i].word);
			comma = ", ";
		}
	html_attr(signs, "aria-label", str_of(said));
	html_attr(signs, "title", str_of(said));
}
