#include "cli/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

static volatile sig_atomic_t came; /* the one signal flag of this program */

static void note(int number)
{
	came = number;
}

void interrupt_catch(void)
{
	struct sigaction act = { .sa_handler = note, .sa_flags = (int)SA_RESETHAND };

	sigemptyset(&act.sa_mask);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
}

bool interrupt_came(void)
{
	return came != 0;
}

bool pause_ms(int ms)
{
	struct timespec left = { ms / 1000, (long)(ms % 1000) * 1000000 };

	while (!came && nanosleep(&left, &left) != 0 && errno == EINTR)
		;
	return !came;
}

enum err interrupted(struct ctx *cx)
{
	return err_set(cx, ERR_BUSY, "interrupted");
}
