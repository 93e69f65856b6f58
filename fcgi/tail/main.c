#include "base/log.h"
#include "fcgi/start.h"
#include "fcgi/tail/tail.h"

static const char USAGE[] =
	"usage: stoker-tail [-c FILE] [--version] [--help]\n"
	"Serves FastCGI on the socket of [tail] for requests whose answers come late (Prefer: wait=N).\n"
	"TERM answers all that wait with what there is, and stops.\n";

int main(int argc, char **argv)
{
	auto_ctx cx = { 0 };
	struct settings set;
	struct process process;
	const char *path = start_conf_path();
	int status = 0;

	log_name("stoker-tail");
	if (start_arguments(argc, argv, "stoker-tail", USAGE, &path, &status))
		return status;
	if (settings_read(&cx, path, &set) || start_drop_privileges(&cx, set.api.user)) {
		log_error("start", "error=\"%s\"", cx.message);
		return 1;
	}
	process_open(&process, &set);
	status = tail_run(&cx, &process);
	process_close(&process);
	return status;
}
