#pragma once
#include "model/settings.h"

/* The image that a zip package without one of its own runs in: that of its stack if it names one, else
 * that of its runtime, out of [runtimes] images. False if the configuration knows no such name. */
bool runtime_image(const struct settings *set, struct str runtime, struct str stack, struct str *image);
/* Takes the next "NAME=IMAGE" off *rest, which begins as [runtimes] images; false at its end. */
bool runtime_next(struct str *rest, struct str *name, struct str *image);
