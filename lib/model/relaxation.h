#pragma once
#include "base/str.h"

/* What an operator may relax of the isolation of one code's jobs, item by item; nothing else can be. A row: C
 * name, word. The order is that of the bits, in the database and in a launch request (LAUNCH_RELAXATIONS): rows
 * are only added. None of the capabilities is worth anything outside of the job's own user namespace, nor in its
 * network namespace. */
#define RELAXATIONS(X) \
	X(SECCOMP_OFF, "seccomp=off") \
	X(WRITABLE_PROC_SYS, "writable=proc-sys") \
	X(CAP_CHOWN, "capability=chown") \
	X(CAP_DAC_OVERRIDE, "capability=dac_override") \
	X(CAP_FOWNER, "capability=fowner") \
	X(CAP_KILL, "capability=kill") \
	X(CAP_SETGID, "capability=setgid") \
	X(CAP_SETUID, "capability=setuid") \
	X(CAP_NET_BIND_SERVICE, "capability=net_bind_service")

#define X(name, word) RELAX_##name,
enum relaxation { RELAXATIONS(X) RELAX_COUNT };
#undef X

static inline unsigned relax_bit(enum relaxation r)
{
	return 1u << r;
}

/* False if there is no such item. */
bool relaxation_parse(struct str word, enum relaxation *out);
/* The words of all items, separated by ", ". */
const char *relaxation_words(void);
