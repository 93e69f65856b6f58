#include "fcgi/cgi.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "fcgi/exchange.h"

static ssize_t read_stdin(void *arg, char *p, size_t n)
{
	ssize_t got;

	(void)arg;
	do
		got = read(STDIN_FILENO, p, n);
	while (got < 0 && errno == EINTR);
	return got;
}

static bool write_stdout(void *arg, const char *p, size_t n)
{
	(void)arg;
	while (n) {
		ssize_t done = write(STDOUT_FILENO, p, n);

		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return true;
}

int cgi_serve(struct process *process)
{
	struct request rq = { 0 };
	struct request_source source = { environ, read_stdin, NULL };
	struct reply_sink sink = { write_stdout, NULL, NULL };

	signal(SIGPIPE, SIG_IGN);
	exchange(process, &rq, &source, &sink);
	ctx_release(&rq.cx);
	return 0;
}
