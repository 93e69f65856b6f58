#pragma once
#include <stdbool.h>
#include <stdint.h>

/* What a swarm's container gets instead of a link: stoker-init, called with INIT_ORDERS, finds its orders in
 * secrets of the swarm, which are at hand as files, INIT_ORDERS_PATH with a number from 0 behind it. Put together
 * they are struct init_orders, then the bytes it counts: the spec, the payload, the config, the seccomp program.
 * It tells what happens by lines of its standard output (swarm_frame.h).
 *
 * It begins as root with what follows, and has none of it when the job begins: CAP_SYS_ADMIN for a network
 * namespace of the job's own and the tmpfs of /tmp, /task and /mnt, CAP_NET_ADMIN for its loopback, CAP_SETUID,
 * CAP_SETGID and CAP_SETPCAP to become the job's user. */

#define INIT_ORDERS "--orders"
#define INIT_ORDERS_PATH "/dev/.stoker-orders." /* where they are mounted */
#define INIT_ORDERS_MAGIC 0x53544b4fu
enum { INIT_ORDERS_PIECE = 490000, INIT_ORDERS_PIECES = 10 }; /* bytes of a secret: 500 KiB is the most; and how many */

struct init_orders {
	uint32_t magic, argc, envc;
	uint32_t spec_bytes, payload_bytes, config_bytes, filter_bytes;
	uint32_t uid, gid, grace_ms;
	uint32_t has_payload, has_config, flags; /* LAUNCH_MERGED_OUTPUT */
	uint32_t reserved;
	uint64_t scratch_bytes, timeout_ms, head_max, tail_max;
};

/* The whole of such a container, as its process 1. */
_Noreturn void init_by_orders(void);

/* Reads the orders and gives up what they no longer need: a network, the writable folders, all rights. What
 * follows the struct is at *rest. Returns 0 or an errno, and at *what which step it was. */
int init_take_orders(struct init_orders *o, const uint8_t **rest, const char **what);
