#pragma once
#include "base/ctx.h"

/* What the programs of the front door do before anything else. */

/* The configuration file when no -c names one: STOKER_CONF of the environment, else /etc/stoker/stoker.conf
 * if it can be read, else NULL. */
const char *start_conf_path(void);
/* -c FILE into *path, --version, --help; true: the program ends with *status. */
bool start_arguments(int argc, char **argv, const char *name, const char *usage, const char **path, int *status);
/* Becomes the user of [api] user, by name or number, when started by root; before anything is opened, and
 * never back. "" = stay. */
enum err start_drop_privileges(struct ctx *cx, const char *name);
