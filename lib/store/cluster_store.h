#pragma once
#include "base/seal.h"
#include "model/cluster.h"
#include "model/role.h"
#include "store/node_store.h"

/* Clusters as people see them: everybody's, their own, those shared with them; an admin sees all. */
struct cluster_filter {
	bool everybodys, own, shared;
};
enum err cluster_store_list(struct db *db, struct ctx *cx, const struct principal *who, struct cluster_filter which,
                            struct cluster **out, size_t *n);
/* By wire id or by name. ERR_NOT_FOUND also for what one may not see. */
enum err cluster_store_find(struct db *db, struct ctx *cx, const struct principal *who, struct str id_or_name,
                            struct cluster *out);
/* Owned by who makes it. ERR_CONFLICT if the name is taken. `key` seals the order's decryption key and may
 * be NULL when it has none; so too in cluster_store_change. */
enum err cluster_store_add(struct db *db, struct ctx *cx, const struct principal *who, const struct cluster_order *order,
                           const struct seal_key *key, int64_t *number);
enum err cluster_store_change(struct db *db, struct ctx *cx, int64_t number, const struct cluster_order *order,
                              const struct seal_key *key);
/* The private key that its payloads are opened with, as PEM, and its number; 0 = it has none. ERR_FORBIDDEN
 * or ERR_INTERNAL when it cannot be unsealed with `key_file` ([secrets]). */
enum err cluster_store_key(struct db *db, struct ctx *cx, int64_t number, const char *key_file, int64_t *key_number,
                           struct str *pem);
/* What its jobs may reach (CLUSTER_NETWORKS), and who said so. Holds for what is claimed afterwards. For an
 * account that may; the programs' own may only read it. ERR_NOT_FOUND. */
enum err cluster_store_set_network(struct db *db, struct ctx *cx, struct str name, struct str network, struct str by);
/* ERR_CONFLICT while it has live nodes or tasks. Its name is free afterwards. */
enum err cluster_store_delete(struct db *db, struct ctx *cx, int64_t number);
/* Users by id or name. ERR_NOT_FOUND names one who is not there. */
enum err cluster_store_share(struct db *db, struct ctx *cx, int64_t number, struct str user, bool share);
enum err cluster_store_shared_to(struct db *db, struct ctx *cx, int64_t number, struct id **out, size_t *n);
/* Its live and draining nodes. */
enum err cluster_store_nodes(struct db *db, struct ctx *cx, int64_t number, struct node **out, size_t *n);
/* Lets nodes of it drain; *n = how many began to. */
enum err cluster_store_drain(struct db *db, struct ctx *cx, int64_t number, const int64_t *nodes, size_t count, size_t *n);
/* What waits in it and is due, counted to at most 100,000. */
enum err cluster_store_waiting(struct db *db, struct ctx *cx, int64_t number, int64_t *n);
