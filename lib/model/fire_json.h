#pragma once
#include <jansson.h>

#include "model/fire.h"

/* A row of the ledger for the API. A new reference. */
json_t *fire_to_json(const struct fire *f);
/* A coming time, with the time of day of its zone and what there is to say of it. A new reference. */
json_t *nominal_to_json(struct arena *a, const struct schedule *s, const struct timetable *t, const struct nominal *n);
/* "2031-03-30T03:00:00+02:00", in the arena. */
const char *nominal_local(struct arena *a, const struct zone *z, int64_t at);
/* What is unusual about a time: a clock change, an excluded date; "" = nothing. In the arena. */
const char *nominal_note(struct arena *a, const struct timetable *t, const struct nominal *n);
/* What holds for all that comes of a schedule: that it is paused, or its code; that H is not settled before it has
 * its id (zero = not saved yet); and `unowed`. "" = nothing. In the arena, or constant. */
const char *coming_note(struct arena *a, const struct schedule *s, const struct timetable *t, const char *unowed);
/* A pause: from when to when (the zero time = it goes on), who and why at either end. A new reference. */
json_t *pause_to_json(const struct pause *p);
/* "at 09:00 on Monday to Friday, Europe/Berlin", "every 90 seconds", "once"; in the arena. */
const char *schedule_words(struct arena *a, const struct schedule *s);
