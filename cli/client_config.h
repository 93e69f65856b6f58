#pragma once
#include "cli/cli.h"

/* Where the server is and who asks, by the precedence of IronWorker's clients (ironworker-api.md
 * section 12), strongest first: options, IRON_WORKER_*, IRON_*, ./iron.json, ~/.iron.json,
 * ~/.config/stoker/config. */
struct client_config {
	const char *host, *port, *scheme, *token, *project; /* NULL = nowhere said */
};

/* Texts live in the ctx's arena. ERR_INPUT names the file that makes no sense. */
enum err client_config_read(struct cli *c, struct client_config *out);
