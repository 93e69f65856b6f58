#pragma once
#include "base/ctx.h"

/* Whom an audited change is put down to: the account of this process, and who became it by sudo. In the arena. */
struct str operator_name(struct ctx *cx);
