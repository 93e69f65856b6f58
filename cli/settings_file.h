#pragma once
#include "cli/cli.h"
#include "model/settings.h"

/* The settings of commands that work on this machine: -c FILE, else /etc/stoker/stoker.conf if it is
 * there, else the defaults; environment over all. */
enum err settings_of(struct cli *c, struct settings *out);
