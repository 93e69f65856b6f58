#include "worker/courier/retry.h"

enum { GONE = 410, PAUSE_MOST_S = 30 * 86400 };

enum err retry_plan_parse(struct ctx *cx, const char *text, struct retry_plan *out)
{
	struct str list = str_of(text), one;
	struct retry_plan plan = { .n = 0 };

	while (str_cut(&list, ',', &one)) {
		int64_t s;

		if (plan.n == RETRY_TRIES_MOST)
			return err_set(cx, ERR_INPUT, "courier.retry_s: more than %d pauses", RETRY_TRIES_MOST);
		if (!str_int(str_trim(one), &s) || s < 1 || s > PAUSE_MOST_S)
			return err_set(cx, ERR_INPUT, "courier.retry_s: \"" STR_FMT "\" is not a number of seconds from 1 to %d",
			               STR_ARG(one), PAUSE_MOST_S);
		plan.pause_s[plan.n++] = s;
	}
	*out = plan;
	return OK;
}

bool retry_is_success(long status)
{
	return status >= 200 && status < 300;
}

int64_t retry_next(const struct retry_plan *plan, int64_t tries, long status, int64_t asked_s, uint32_t random)
{
	int64_t pause, spread;

	if (status == GONE || tries < 0 || (size_t)tries >= plan->n)
		return -1;
	pause = plan->pause_s[tries];
	spread = pause / 5;
	pause += (int64_t)(random % (uint32_t)(2 * spread + 1)) - spread;
	return pause > asked_s ? pause : asked_s;
}
