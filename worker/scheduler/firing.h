#pragma once
#include "base/ctx.h"
#include "model/settings.h"

/* Fires schedules, in a thread and on a connection of its own, so that nothing else that a scheduler does
 * delays them. It wakes when the next one is due, and sees new ones within scheduler.poll_ms. */
struct firing;

/* The settings must outlive it. ERR_INTERNAL if the system gives no thread or descriptors. */
enum err firing_start(struct ctx *cx, const struct settings *set, struct firing **out);
/* Ends it after the transaction under way, and frees it. NULL is fine. */
void firing_stop(struct firing *f);
