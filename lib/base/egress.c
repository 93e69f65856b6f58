#include "base/egress.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* IANA's special-purpose registries; documentation ranges lead nowhere and are closed with them. */
static const struct {
	uint32_t net;
	int bits;
} CLOSED4[] = {
	{ 0x00000000, 8 },  { 0x0a000000, 8 },  { 0x64400000, 10 }, { 0x7f000000, 8 },  { 0xa9fe0000, 16 },
	{ 0xac100000, 12 }, { 0xc0000000, 24 }, { 0xc0000200, 24 }, { 0xc0586300, 24 }, { 0xc0a80000, 16 },
	{ 0xc6120000, 15 }, { 0xc6336400, 24 }, { 0xcb007100, 24 }, { 0xe0000000, 4 },  { 0xf0000000, 4 },
};

static bool is_public4(uint32_t host_order)
{
	for (size_t i = 0; i < sizeof CLOSED4 / sizeof *CLOSED4; i++)
		if ((host_order ^ CLOSED4[i].net) >> (32 - CLOSED4[i].bits) == 0)
			return false;
	return true;
}

static uint32_t embedded(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool is_public6(const uint8_t a[16])
{
	static const uint8_t MAPPED[12] = { [10] = 0xff, [11] = 0xff }, NAT64[12] = { 0, 0x64, 0xff, 0x9b };

	if (memcmp(a, MAPPED, 12) == 0 || memcmp(a, NAT64, 12) == 0)
		return is_public4(embedded(a + 12));
	if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 */
		return is_public4(embedded(a + 2));
	if ((a[0] & 0xe0) != 0x20) /* global unicast is 2000::/3, all else is local or reserved */
		return false;
	/* Teredo, benchmarking, ORCHID and documentation: 2001:0000::/23, 2001:db8::/32 */
	return !(a[0] == 0x20 && a[1] == 0x01 && (a[2] < 0x02 || (a[2] == 0x0d && a[3] == 0xb8)));
}

bool egress_is_public(const struct sockaddr *to)
{
	if (to->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, to, sizeof in);
		return is_public4(ntohl(in.sin_addr.s_addr));
	}
	if (to->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, to, sizeof in6);
		return is_public6(in6.sin6_addr.s6_addr);
	}
	return false;
}
