#include "cli/settings_file.h"

#include <unistd.h>

#define DEFAULT_FILE "/etc/stoker/stoker.conf"

enum err settings_of(struct cli *c, struct settings *out)
{
	const char *path = c->settings ? c->settings : access(DEFAULT_FILE, F_OK) == 0 ? DEFAULT_FILE : NULL;

	return settings_read(&c->cx, path, out);
}
