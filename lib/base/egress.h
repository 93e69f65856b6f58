#pragma once
#include <stdbool.h>
#include <sys/socket.h>

/* May this address be called on somebody's behalf? False for all that is not the public internet:
 * loopback, private, shared, link-local (cloud metadata among it), unique local, multicast,
 * reserved, and IPv6 forms that carry such an IPv4 address. Judged is the address of the socket, not
 * a name: names change their meaning between two looks. */
bool egress_is_public(const struct sockaddr *to);
