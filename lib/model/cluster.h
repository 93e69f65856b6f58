#pragma once
#include "base/clock.h"
#include "base/id.h"

/* A named pool of nodes. On the wire its id is its number as 24 hex digits. memory, disk_space,
 * cpu_share and autoscale are kept for clients as they were given; nodes say themselves what they have. */
struct cluster {
	int64_t number;
	struct str name;
	struct id user_id;      /* whose; zero = everybody's */
	bool is_shared;         /* with who asks */
	int64_t memory, disk_space; /* bytes */
	int64_t cpu_share;
	struct str autoscale;   /* JSON object or "" */
	int64_t created_at, updated_at;
	int64_t slots, running; /* of its live nodes */
	struct str network;     /* what its jobs may reach: a CLUSTER_NETWORKS; only an operator says it */
	struct str public_key;  /* PEM, whose other half its nodes open payloads with; "" = none */
};

/* What a client says of one; what it does not say stays, or is the default. */
struct cluster_order {
	struct str name, autoscale;
	int64_t memory, disk_space, cpu_share; /* -1 = not said */
	bool says_key;                         /* decryption_key was sent; "" takes it away */
	struct str decryption_key, public_key; /* PEM; the second follows from the first */
};

/* none: nothing. outbound: public addresses. private: private ones too. Never the node's own, the database's
 * or a metadata service's. In this order, as numbers: the order of the launcher's. */
#define CLUSTER_NETWORKS { "none", "outbound", "private" }
/* False if there is no such policy. */
bool cluster_network_parse(struct str text, int *out);

struct id cluster_wire_id(int64_t number);
/* False if no cluster can have this id. */
bool cluster_number(const struct id *id, int64_t *number);
