#pragma once
#include "fcgi/page/page.h"
#include "model/week.h"
#include "store/calendar_store.h"
#include "store/schedule_store.h"

/* A week by the hour: how many fires come, and what they will take of the nodes; and the calendars of excluded dates. */

/* A schedule in it. */
struct calendar_row {
	const struct schedule *schedule;
	int64_t hours[WEEK_HOURS];
	int64_t run_us; /* median of its last runs; 0 = not known */
	int64_t first;  /* in the hour that is looked at; TIME_NONE = none */
};
struct calendar_view {
	struct calendar_row *rows;
	size_t n;
	bool more, is_cut;  /* schedules, or fires, that were not looked at */
	size_t broken;      /* schedules of which nothing can be said */
	int64_t week;       /* from 0, this one */
	int64_t from;       /* its first hour */
	int64_t hour;       /* that is looked at, from 0; -1 = none */
	const struct calendar *calendars;
	size_t calendar_count;
	const char *result, *wrong; /* what was just done, or why not */
	struct str typed_name, typed_dates;
};
void calendar_page_fill(struct page *p, const struct calendar_view *v);
enum err calendar_page(struct request *rq, struct reply *rp);
/* Saves or deletes a calendar of dates. */
enum err calendar_page_change(struct request *rq, struct reply *rp);
