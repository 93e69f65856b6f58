#pragma once
#include "base/str.h"

/* What an operator may relax of the isolation of one code's jobs, item by item; nothing else can be. A row: C
 * name, word, capability of the runtime's spec or NULL. The order is that of the bits, in the database and in a
 * launch request: rows are only added. None of the capabilities is worth anything outside of the job's own user
 * namespace, nor in its network namespace. */
#define RELAXATIONS(X)                                                                \
	X(SECCOMP_OFF, "seccomp=off", NULL)                                               \
	X(WRITABLE_PROC_SYS, "writable=proc-sys", NULL)                                   \
	X(CAP_CHOWN, "capability=chown", "CAP_CHOWN")                                     \
	X(CAP_DAC_OVERRIDE, "capability=dac_override", "CAP_DAC_OVERRIDE")                \
	X(CAP_FOWNER, "capability=fowner", "CAP_FOWNER")                                  \
	X(CAP_KILL, "capability=kill", "CAP_KILL")                                        \
	X(CAP_SETGID, "capability=setgid", "CAP_SETGID")                                  \
	X(CAP_SETUID, "capability=setuid", "CAP_SETUID")                                  \
	X(CAP_NET_BIND_SERVICE, "capability=net_bind_service", "CAP_NET_BIND_SERVICE")

#define X(name, word, capability) RELAX_##name,
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
