#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "worker/monitor/swarm_frame.h"

/* The service log as it comes: Docker's frames of both streams, in them the lines of stoker-init. It is read from
 * its begin each time; what is known already is passed over. */
struct swarm_log {
	int fd;           /* -1 = none is open */
	bool has_header;  /* of the HTTP answer */
	bool is_refused;  /* it was no 200 */
	char line[2 * SWARM_LINE_MAX];
	uint32_t line_n, left; /* left: of Docker's frame */
	uint8_t head[8];
	uint32_t head_n;
	uint64_t seq;     /* of the last line that was told */
	char words[256];  /* the end of what came by stderr: the runtime's, since init says nothing there */
	uint32_t words_n;
	struct swarm_frame frame;
};

void swarm_log_open(struct swarm_log *l, const char *socket, const char *service, bool follow);
void swarm_log_close(struct swarm_log *l);

/* Reads what there is; `told` is called with each new line in turn. False at its end. */
bool swarm_log_read(struct swarm_log *l, void (*told)(void *arg, const struct swarm_frame *f), void *arg);
