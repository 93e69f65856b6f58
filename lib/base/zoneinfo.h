#pragma once
#include "base/ctx.h"

/* The system's folder of time zones. Read anew each time: a file that was exchanged is picked up. */

/* The bytes of folder/name, at most `most`, in the arena. The caller has checked that the name is no way
 * out of the folder. ERR_NOT_FOUND if there is no such file. */
enum err zoneinfo_read(struct ctx *cx, const char *folder, struct str name, size_t most, struct str *out);
