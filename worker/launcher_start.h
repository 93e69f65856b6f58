#pragma once
#include "model/settings.h"
#include "worker/account.h"

/* Starts stoker-launcher, the privileged half of a node, with one end of a SOCK_SEQPACKET pair as its
 * fd 3; *channel is the other. It ends when that one is closed. Needs root. */
enum err launcher_start(struct ctx *cx, const struct settings *set, const struct account *runner, int *channel);
