#pragma once
#include "base/ctx.h"

#include <sys/socket.h>

/* May this address be called on somebody's behalf? False for all that is not the public internet:
 * loopback, private, shared, link-local (cloud metadata among it), unique local, multicast,
 * reserved, and IPv6 forms that carry such an IPv4 address. Judged is the address of the socket, not
 * a name: names change their meaning between two looks. */
bool egress_is_public(const struct sockaddr *to);

/* What an operator allows besides: networks and names. */
struct egress_list {
	struct egress_net {
		int family, bits;
		unsigned char address[16];
	} *nets;
	char **hosts; /* lower case; ".intern" = that and all below */
	size_t net_n, host_n;
};
/* Reads "10.1.0.0/16, fd00::/8, 192.0.2.7, hooks.intern, .corp.example" into the ctx's arena; "" = nothing.
 * ERR_INPUT names what is neither. */
enum err egress_list_read(struct ctx *cx, const char *text, struct egress_list *out);
/* Public, in a net of the list, or connected to for a URL whose host the list names. */
bool egress_may(const struct egress_list *list, const char *host, const struct sockaddr *to);
/* In a net of the list. */
bool egress_is_listed(const struct egress_list *list, const struct sockaddr *to);
/* Reads an address as text, IPv4 or IPv6; IPv4 in IPv6 (::ffff:…) is IPv4. */
bool egress_address(const char *text, struct sockaddr_storage *out);
