#pragma once
#include <stdbool.h>
#include <stddef.h>

/* A hostile job: a static program that tries what a job must not be able to do, one attack after the
 * other, each in a process of its own. It is known to be able to succeed: the test runs it first in a
 * container that was opened on purpose.
 *
 * What it is to look for comes by environment (test_escape.py):
 *   ESCAPE_NODE      the node's folder as the host sees it
 *   ESCAPE_DB        the database's socket
 *   ESCAPE_MARK      text in another job's payload
 *   ESCAPE_PORT      a listener on the host's 127.0.0.1
 *   ESCAPE_ABSTRACT  a listener on an abstract unix socket of the host
 *   ESCAPE_SHM       key of a System V segment of the host
 *   ESCAPE_VICTIM    name of a process of the host that may be killed
 *   ESCAPE_STARTER   number of the process that started the job: 1
 *   ESCAPE_PIDS, ESCAPE_MEMORY, ESCAPE_SCRATCH   the job's limits: processes, bytes, bytes */

struct attack {
	const char *name;
	bool (*run)(void);  /* true: it got through. Says by `told` why not */
	const char *needs;  /* capability without which not even the opened container lets it through */
	bool is_deadly;     /* it ends the job as a whole: left out of "all" */
};

extern const struct attack MOUNT_ATTACKS[], KERNEL_ATTACKS[], FILE_ATTACKS[], NEIGHBOUR_ATTACKS[],
	LIMIT_ATTACKS[]; /* each ends with a row without a name */

/* What is told about the attack that runs: the last one counts. */
void told(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Did the call work? If not, its errno is told. */
bool worked(long result);

/* A call that judges who asks before what is asked: with the right it fails for another reason. */
bool passed_the_guard(long result);

/* The value of a variable above; ends the attack if it is not set. */
const char *given(const char *name);
long given_number(const char *name);

/* Can it be opened so? What was opened is closed again. */
bool opens(const char *path, int flags);
