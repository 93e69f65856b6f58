#pragma once
#include <stdbool.h>

#include "base/ctx.h"
#include "worker/launcher/host.h"
#include "worker/launcher/launch_request.h"
#include "worker/monitor/setup.h"

/* The way out of jobs whose cluster has one. Two walls, written by us as text for nft, with nothing in it
 * but addresses that were parsed as such:
 *  - in each job's own network namespace, put up by its monitor before the job begins;
 *  - for interfaces of ours on the host, a table of the node's own, which also translates addresses. It is
 *    written anew with each launch, so that whoever flushes the host's rules costs the jobs their way out
 *    until then, and nobody his wall. It goes when no job of the node is alive any more. */

enum { NETWORK_RESOLVERS_MOST = 3, NETWORK_CLOSED_MOST = 64 };

struct network {
	enum monitor_network how; /* MONITOR_NETWORK_NONE: this host can give none */
	bool has_v6;
	bool has_table;           /* the node's table stands, or may */
	char why[240];            /* what it cannot give; "" if all */
	char nft[64], slirp[64];  /* paths; "" = not installed */
	char table[24];           /* "stoker_<hex>", of the first range of uids */
	char resolvers[NETWORK_RESOLVERS_MOST][46];
	char closed[NETWORK_CLOSED_MOST][46];
	size_t resolver_count, closed_count;
};

/* Looks at what the host can give, and reads the two lists of addresses. ERR_INPUT names what is none. */
enum err network_open(struct ctx *cx, const struct launcher_options *opt, struct network *out);

/* For one launch: the node's table stands; *rules becomes a memfd of the rules of the job's own namespace, and
 * *out what its monitor needs to know. Without a network *rules is -1. ERR_INTERNAL: this host cannot. */
enum err network_prepare(struct ctx *cx, struct network *n, const struct launcher_options *opt,
                         const struct launch_request *rq, struct monitor_outbound *out, int *rules);

/* Takes the node's table away, if there is one: nothing of the node may be alive. */
void network_sweep(struct network *n);
