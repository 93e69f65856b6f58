#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fcgi/cgi.h"
#include "fcgi/fastcgi.h"
#include "fcgi/process.h"
#include "fcgi/start.h"
#include "fcgi/supervisor.h"

static const char USAGE[] =
	"usage: stoker-api [-c FILE] [--version] [--help]\n"
	"Stoker's API and dashboard. Started with a listening socket as fd 0 it serves FastCGI on it\n"
	"(mod_fcgid), with GATEWAY_INTERFACE in the environment one plain CGI request, else FastCGI on\n"
	"the socket of [api] with [api] processes children. TERM stops, HUP rereads FILE.\n";

static int serve_fastcgi(const struct settings *set, int listener)
{
	struct process process;
	int status;

	process_open(&process, set);
	status = fastcgi_serve(&process, listener);
	process_close(&process);
	return status;
}

static int serve_cgi(const struct settings *set)
{
	struct process process;
	int status;

	process_open(&process, set);
	status = cgi_serve(&process);
	process_close(&process);
	return status;
}

/* --- how we were started --------------------------------------------------------------------------- */
static bool is_listening(int fd)
{
	int yes = 0;
	socklen_t n = sizeof yes;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n) == 0 && yes;
}

int main(int argc, char **argv)
{
	auto_ctx cx = { 0 };
	struct settings set;
	bool is_cgi = getenv("GATEWAY_INTERFACE") != NULL && !is_listening(STDIN_FILENO);
	const char *path = start_conf_path();
	int status = 0;

	log_name("stoker-api");
	if (!is_cgi && start_arguments(argc, argv, "stoker-api", USAGE, &path, &status)) /* a CGI's arguments come from the query */
		return status;
	if (settings_read(&cx, path, &set) || start_drop_privileges(&cx, set.api.user)) {
		log_error("start", "error=\"%s\"", cx.message);
		return 1;
	}
	if (is_listening(STDIN_FILENO))
		return serve_fastcgi(&set, STDIN_FILENO);
	if (is_cgi)
		return serve_cgi(&set);
	return supervisor_run(&cx, path, &set, serve_fastcgi);
}
