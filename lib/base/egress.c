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

/* --- what an operator allows -------------------------------------------------------------------------- */

static bool read_net(struct ctx *cx, struct str text, struct egress_net *out)
{
	struct str rest = text, address;
	struct egress_net net = { .family = AF_INET };
	int64_t bits;
	char *host;

	str_cut(&rest, '/', &address);
	host = str_c(&cx->arena, address);
	if (inet_pton(AF_INET, host, net.address) != 1) {
		net.family = AF_INET6;
		if (inet_pton(AF_INET6, host, net.address) != 1)
			return false;
	}
	bits = net.family == AF_INET ? 32 : 128;
	if (address.n < text.n && (!str_int(rest, &bits) || bits < 0 || bits > (net.family == AF_INET ? 32 : 128)))
		return false;
	net.bits = (int)bits;
	*out = net;
	return true;
}

static bool is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
		      s.p[i] == '-' || s.p[i] == '.' || s.p[i] == '_'))
			return false;
	return s.n > 0;
}

static char *lower(struct arena *a, struct str s)
{
	char *text = arena_copy(a, s.p, s.n);

	for (char *p = text; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return text;
}

enum err egress_list_read(struct ctx *cx, const char *text, struct egress_list *out)
{
	struct str rest = str_of(text), one;
	size_t most = rest.n / 2 + 1;
	struct egress_list list = { .nets = arena_array(&cx->arena, most, sizeof *list.nets),
		                    .hosts = arena_array(&cx->arena, most, sizeof *list.hosts) };

	while (str_cut(&rest, ',', &one)) {
		one = str_trim(one);
		if (!one.n)
			continue;
		if (read_net(cx, one, &list.nets[list.net_n]))
			list.net_n++;
		else if (is_name(one))
			list.hosts[list.host_n++] = lower(&cx->arena, one);
		else
			return err_set(cx, ERR_INPUT, "\"" STR_FMT "\" is no network such as 10.1.0.0/16 and no name of a host", STR_ARG(one));
	}
	*out = list;
	return OK;
}

static bool is_in(const struct egress_net *net, const unsigned char *address)
{
	int whole = net->bits / 8, rest = net->bits % 8;
	unsigned char mask = (unsigned char)(0xff << (8 - rest));

	return memcmp(net->address, address, (size_t)whole) == 0 &&
	       (!rest || ((net->address[whole] ^ address[whole]) & mask) == 0);
}

bool egress_is_listed(const struct egress_list *list, const struct sockaddr *to)
{
	unsigned char address[16];
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (to->sa_family == AF_INET) {
		memcpy(&in, to, sizeof in);
		memcpy(address, &in.sin_addr, 4);
	} else if (to->sa_family == AF_INET6) {
		memcpy(&in6, to, sizeof in6);
		memcpy(address, &in6.sin6_addr, 16);
	} else {
		return false;
	}
	for (size_t i = 0; i < list->net_n; i++)
		if (list->nets[i].family == to->sa_family && is_in(&list->nets[i], address))
			return true;
	return false;
}

static bool is_named(const struct egress_list *list, const char *host)
{
	struct str h = str_of(host);

	for (size_t i = 0; i < list->host_n; i++) {
		struct str name = str_of(list->hosts[i]);

		if (str_is_nocase(h, list->hosts[i]))
			return true;
		if (name.p[0] == '.' && (str_is_nocase(h, list->hosts[i] + 1) ||
		    (h.n > name.n && str_is_nocase(str_bytes(h.p + h.n - name.n, name.n), list->hosts[i]))))
			return true;
	}
	return false;
}

bool egress_may(const struct egress_list *list, const char *host, const struct sockaddr *to)
{
	return egress_is_public(to) || egress_is_listed(list, to) || is_named(list, host);
}

bool egress_address(const char *text, struct sockaddr_storage *out)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	*out = (struct sockaddr_storage){ 0 };
	if (inet_pton(AF_INET, text, &in.sin_addr) == 1 ||
	    (strncasecmp(text, "::ffff:", 7) == 0 && inet_pton(AF_INET, text + 7, &in.sin_addr) == 1)) {
		memcpy(out, &in, sizeof in);
		return true;
	}
	if (inet_pton(AF_INET6, text, &in6.sin6_addr) != 1)
		return false;
	memcpy(out, &in6, sizeof in6);
	return true;
}
