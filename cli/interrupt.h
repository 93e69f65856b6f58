#pragma once
#include <stdbool.h>

#include "base/ctx.h"

/* Ctrl-C while a command waits for a job: the command ends, the job goes on. A second Ctrl-C ends
 * at once. */
void interrupt_catch(void);
bool interrupt_came(void);
/* Waits; false when interrupted. */
bool pause_ms(int ms);
/* The error for it. */
enum err interrupted(struct ctx *cx);
