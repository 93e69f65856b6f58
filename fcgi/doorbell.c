#include "fcgi/doorbell.h"

#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/node_store.h"

enum { CLUSTERS_KNOWN = 32, NODES_A_CLUSTER = 2, NOTES_MOST = 16, ADDRESS_BYTES = 64 };
static const int64_t KNOWN_US = 1000000;

struct cluster_bells {
	int64_t cluster_id, read_us; /* 0 = free */
	size_t n;
	char address[NODES_A_CLUSTER][ADDRESS_BYTES];
};

struct doorbells {
	int fd4, fd6;
	struct cluster_bells known[CLUSTERS_KNOWN];
	size_t oldest;
	int64_t clusters[NOTES_MOST];
	size_t cluster_count;
	char address[ADDRESS_BYTES]; /* of the node with something to stop; "" if none */
};

struct doorbells *doorbells_new(void)
{
	struct doorbells *bells = calloc(1, sizeof *bells);

	if (!bells)
		abort();
	bells->fd4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bells->fd6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return bells;
}

void doorbells_free(struct doorbells *bells)
{
	if (!bells)
		return;
	if (bells->fd4 >= 0)
		close(bells->fd4);
	if (bells->fd6 >= 0)
		close(bells->fd6);
	free(bells);
}

void doorbells_note(struct doorbells *bells, int64_t cluster_id)
{
	for (size_t i = 0; i < bells->cluster_count; i++)
		if (bells->clusters[i] == cluster_id)
			return;
	if (bells->cluster_count < NOTES_MOST)
		bells->clusters[bells->cluster_count++] = cluster_id;
}

static void keep_address(char into[ADDRESS_BYTES], struct str s)
{
	size_t n = s.n < ADDRESS_BYTES ? s.n : 0;

	if (n)
		memcpy(into, s.p, n);
	into[n] = 0;
}

void doorbells_note_address(struct doorbells *bells, struct str address)
{
	keep_address(bells->address, address);
}

/* "1.2.3.4:567" or "[::1]:567": numbers only, so that nothing waits for a name server. */
static void ring(struct doorbells *bells, const char *address)
{
	char host[ADDRESS_BYTES];
	const char *colon = strrchr(address, ':');
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM }, *to;
	size_t n = colon ? (size_t)(colon - address) : 0;

	if (!n)
		return;
	if (address[0] == '[' && address[n - 1] == ']')
		keep_address(host, str_bytes(address + 1, n - 2));
	else
		keep_address(host, str_bytes(address, n));
	if (getaddrinfo(host, colon + 1, &hints, &to) != 0)
		return;
	sendto(to->ai_family == AF_INET6 ? bells->fd6 : bells->fd4, "!", 1, MSG_DONTWAIT | MSG_NOSIGNAL,
	       to->ai_addr, to->ai_addrlen);
	freeaddrinfo(to);
}

static struct cluster_bells *find(struct doorbells *bells, int64_t cluster_id)
{
	for (size_t i = 0; i < CLUSTERS_KNOWN; i++)
		if (bells->known[i].read_us && bells->known[i].cluster_id == cluster_id)
			return &bells->known[i];
	return &bells->known[bells->oldest++ % CLUSTERS_KNOWN];
}

static void ring_cluster(struct doorbells *bells, struct db *db, struct ctx *cx, int64_t cluster_id)
{
	struct cluster_bells *known = find(bells, cluster_id);
	int64_t now = clock_boot_us();
	struct str address[NODES_A_CLUSTER];

	if (!known->read_us || known->cluster_id != cluster_id || now - known->read_us > KNOWN_US) {
		known->cluster_id = cluster_id;
		known->read_us = now;
		if (node_store_doorbells(db, cx, cluster_id, address, &known->n))
			known->n = 0;
		for (size_t i = 0; i < known->n; i++)
			keep_address(known->address[i], address[i]);
	}
	for (size_t i = 0; i < known->n; i++)
		ring(bells, known->address[i]);
}

void doorbells_ring(struct doorbells *bells, struct db *db, struct ctx *cx)
{
	for (size_t i = 0; i < bells->cluster_count; i++)
		ring_cluster(bells, db, cx, bells->clusters[i]);
	bells->cluster_count = 0;
	if (*bells->address)
		ring(bells, bells->address);
	bells->address[0] = 0;
}
