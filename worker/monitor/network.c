#include "worker/monitor/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/monitor/tool.h"

enum { SLIRP_MS = 10000, PREFIX4 = 31, PREFIX6 = 64, HOST_END = 0, JOB_END = 1, MESSAGE_BYTES = 512 };
#define INSIDE "eth0"

/* --- messages to the kernel ------------------------------------------------------------------------ */

struct message {
	union {
		struct nlmsghdr head;
		char bytes[MESSAGE_BYTES]; /* every message of ours is far shorter */
	} u;
};

static void begin(struct message *m, uint16_t type, uint16_t flags, const void *body, size_t n)
{
	memset(m, 0, sizeof *m);
	m->u.head = (struct nlmsghdr){ .nlmsg_len = (uint32_t)NLMSG_LENGTH(n), .nlmsg_type = type,
		                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags, .nlmsg_seq = 1 };
	memcpy(NLMSG_DATA(&m->u.head), body, n);
}

static struct rtattr *add(struct message *m, uint16_t type, const void *value, size_t n)
{
	struct rtattr *a = (struct rtattr *)(m->u.bytes + NLMSG_ALIGN(m->u.head.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(n);
	if (n)
		memcpy(RTA_DATA(a), value, n);
	m->u.head.nlmsg_len = NLMSG_ALIGN(m->u.head.nlmsg_len) + (uint32_t)RTA_ALIGN(a->rta_len);
	return a;
}

/* What was added since belongs into `a`. */
static void enclose(struct message *m, struct rtattr *a)
{
	a->rta_len = (uint16_t)(m->u.bytes + m->u.head.nlmsg_len - (char *)a);
}

/* 0, or -1 with errno as the kernel says. */
static int talk(int sock, struct message *m)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[MESSAGE_BYTES];
	} answer;

	if (send(sock, m, m->u.head.nlmsg_len, 0) < 0 || recv(sock, &answer, sizeof answer, 0) < 0)
		return -1;
	if (answer.head.nlmsg_type != NLMSG_ERROR) {
		errno = EPROTO;
		return -1;
	}
	errno = -answer.error.error;
	return errno ? -1 : 0;
}

/* --- the pair of interfaces -------------------------------------------------------------------------- */

static int make_pair(int sock, const char *name, int inside)
{
	struct ifinfomsg body = { .ifi_family = AF_UNSPEC };
	struct rtattr *info, *data, *peer;
	struct message m;

	begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
	add(&m, IFLA_IFNAME, name, strlen(name) + 1);
	info = add(&m, IFLA_LINKINFO, NULL, 0);
	add(&m, IFLA_INFO_KIND, "veth", 4);
	data = add(&m, IFLA_INFO_DATA, NULL, 0);
	peer = add(&m, VETH_INFO_PEER, &body, sizeof body);
	add(&m, IFLA_IFNAME, INSIDE, sizeof INSIDE);
	add(&m, IFLA_NET_NS_FD, &inside, sizeof inside);
	enclose(&m, peer);
	enclose(&m, data);
	enclose(&m, info);
	return talk(sock, &m);
}

static int drop_pair(int sock, const char *name)
{
	struct ifinfomsg body = { .ifi_family = AF_UNSPEC };
	struct message m;

	begin(&m, RTM_DELLINK, 0, &body, sizeof body);
	add(&m, IFLA_IFNAME, name, strlen(name) + 1);
	return talk(sock, &m);
}

static int switch_on(int sock, int index)
{
	struct ifinfomsg body = { .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP,
		                  .ifi_change = IFF_UP };
	struct message m;

	begin(&m, RTM_NEWLINK, 0, &body, sizeof body);
	return talk(sock, &m);
}

struct address {
	uint8_t family, prefix;
	size_t bytes;
	uint8_t b[16];
};

/* Everything follows from the number of the slot's uid range, which no two jobs of a host share. */
static struct address address4(const struct monitor_outbound *o, int end)
{
	uint32_t at = htonl(MONITOR_NETWORK_FIRST4 + 2u * o->number + (uint32_t)end);
	struct address a = { .family = AF_INET, .prefix = PREFIX4, .bytes = 4 };

	memcpy(a.b, &at, 4);
	return a;
}

static struct address address6(const struct monitor_outbound *o, int end)
{
	struct address a = { .family = AF_INET6, .prefix = PREFIX6, .bytes = 16,
		             .b = { 0xfd, 0x73, 0x74, 0x6f, 0x6b, 0x65, (uint8_t)(o->number >> 8),
		                    (uint8_t)o->number, [15] = (uint8_t)(end + 1) } };

	return a;
}

static int give_address(int sock, int index, const struct address *a)
{
	struct ifaddrmsg body = { .ifa_family = a->family, .ifa_prefixlen = a->prefix, .ifa_index = (uint32_t)index };
	uint32_t flags = IFA_F_NODAD | IFA_F_PERMANENT; /* nobody else can have it: no second of waiting */
	struct message m;

	begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
	add(&m, IFA_LOCAL, a->b, a->bytes);
	add(&m, IFA_ADDRESS, a->b, a->bytes);
	add(&m, IFA_FLAGS, &flags, sizeof flags);
	return talk(sock, &m);
}

static int lead_out(int sock, int index, const struct address *by)
{
	struct rtmsg body = { .rtm_family = by->family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
		              .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST };
	struct message m;

	begin(&m, RTM_NEWROUTE, NLM_F_CREATE, &body, sizeof body);
	add(&m, RTA_GATEWAY, by->b, by->bytes);
	add(&m, RTA_OIF, &index, sizeof index);
	return talk(sock, &m);
}

static int index_of(int sock, const char *name)
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	return ioctl(sock, SIOCGIFINDEX, &r) ? -1 : r.ifr_ifindex;
}

static int give_addresses(const struct monitor_outbound *o, int sock, int index, int end)
{
	const struct address four = address4(o, end), six = address6(o, end);

	if (give_address(sock, index, &four))
		return -1;
	return o->has_v6 ? give_address(sock, index, &six) : 0;
}

static const char *make_ends(const struct monitor_outbound *o, int outer, int inner)
{
	const struct address gate4 = address4(o, HOST_END), gate6 = address6(o, HOST_END);
	int out = index_of(outer, o->name), in = index_of(inner, INSIDE);

	if (out < 0 || in < 0)
		return "find the job's network interface";
	if (switch_on(outer, out) || switch_on(inner, in))
		return "switch the job's network interface on";
	if (give_addresses(o, outer, out, HOST_END) || give_addresses(o, inner, in, JOB_END))
		return "give the job's network interface its address";
	if (lead_out(inner, in, &gate4) || (o->has_v6 && lead_out(inner, in, &gate6)))
		return "make the job's way out";
	return NULL;
}

static const char *connect_pair(const struct monitor_outbound *o, int outer, int inner, int inside)
{
	int done = make_pair(outer, o->name, inside);

	/* of the slot's last job, whose namespace the kernel still takes down */
	if (done && errno == EEXIST && drop_pair(outer, o->name) == 0)
		done = make_pair(outer, o->name, inside);
	return done ? "make the job's network interface" : make_ends(o, outer, inner);
}

/* A socket that was made in the namespace speaks for it, wherever its holder goes. */
static int socket_in(int namespace)
{
	int ours = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int sock = -1, err;

	if (ours >= 0 && setns(namespace, CLONE_NEWNET) == 0) {
		sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
		err = errno;
		if (setns(ours, CLONE_NEWNET))
			_exit(125); /* else we would speak for the job */
		errno = err;
	}
	if (ours >= 0)
		close(ours);
	return sock;
}

static const char *make_veth(const struct monitor_outbound *o, int inside)
{
	int outer = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), inner = socket_in(inside);
	const char *failed = "open the network of the job";
	int err;

	if (outer >= 0 && inner >= 0)
		failed = connect_pair(o, outer, inner, inside);
	err = errno;
	if (outer >= 0)
		close(outer);
	if (inner >= 0)
		close(inner);
	errno = err;
	return failed;
}

/* --- programs of others ---------------------------------------------------------------------------------- */

static const char *make_wall(const struct monitor_outbound *o, int inside)
{
	char *argv[] = { (char *)o->nft, "-f", "-", NULL }, *envp[] = { NULL };
	pid_t pid = fork();

	if (pid == 0) {
		tool_begin();
		if (setns(inside, CLONE_NEWNET) == 0 && dup2(MONITOR_FD_RULES, 0) == 0)
			execve(o->nft, argv, envp);
		_exit(125);
	}
	return pid > 0 && tool_ended_well(pid) ? NULL : "set up the rules of the job's network (nft)";
}

enum { READY_FD = 3, EXIT_FD = 4 };

static _Noreturn void become_slirp(const struct monitor_outbound *o, pid_t init, int ready, int end)
{
	char of[24];
	char *argv[] = { (char *)o->slirp, "--configure", "--mtu=65520", "--disable-host-loopback", "--disable-dns",
		         "--enable-sandbox", "--enable-seccomp", "--ready-fd=3", "--exit-fd=4", of, INSIDE, NULL };
	char *envp[] = { NULL };
	/* above the numbers that they get, so that neither takes the other's place */
	int r = fcntl(ready, F_DUPFD_CLOEXEC, MONITOR_FD_END), e = fcntl(end, F_DUPFD_CLOEXEC, MONITOR_FD_END);

	snprintf(of, sizeof of, "%d", (int)init);
	tool_begin();
	if (r >= 0 && e >= 0 && dup2(r, READY_FD) >= 0 && dup2(e, EXIT_FD) >= 0)
		execve(o->slirp, argv, envp);
	_exit(125);
}

/* Our end of `end` stays open as long as we live, and slirp4netns no longer. */
static const char *start_slirp(const struct monitor_outbound *o, pid_t init, pid_t *helper)
{
	int ready[2], end[2];
	struct pollfd p = { .events = POLLIN };
	char byte;

	if (pipe2(ready, O_CLOEXEC) || pipe2(end, O_CLOEXEC) || (*helper = fork()) < 0)
		return "start slirp4netns";
	if (*helper == 0)
		become_slirp(o, init, ready[1], end[0]);
	close(ready[1]);
	close(end[0]);
	p.fd = ready[0];
	byte = 0;
	if (poll(&p, 1, SLIRP_MS) != 1 || read(ready[0], &byte, 1) != 1) {
		errno = EIO;
		return "have slirp4netns connect the job's network";
	}
	close(ready[0]);
	return NULL;
}

const char *network_make(const struct monitor_setup *setup, pid_t init, pid_t *helper)
{
	const struct monitor_outbound *o = &setup->outbound;
	char file[48];
	const char *failed;
	int inside, err;

	snprintf(file, sizeof file, "/proc/%d/ns/net", (int)init);
	inside = open(file, O_RDONLY | O_CLOEXEC);
	if (inside < 0)
		return "open the job's network namespace";
	failed = make_wall(o, inside);
	if (!failed)
		failed = o->how == MONITOR_NETWORK_VETH ? make_veth(o, inside) : start_slirp(o, init, helper);
	err = errno;
	close(inside);
	errno = err;
	return failed;
}
