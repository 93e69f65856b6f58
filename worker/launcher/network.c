#include "worker/launcher/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"

enum { NFT_MS = 10000, OWN_MOST = 1024 };

/* Never reached, whatever a cluster allows: what is of this host alone, of its link (metadata services among
 * it), of no single machine, or carries an IPv4 address in disguise; jobs' own addresses; and the metadata
 * services that hide elsewhere. */
#define NEVER4                                                                                             \
	"0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 192.0.0.0/24, 198.18.0.0/15, 224.0.0.0/3, 168.63.129.16, "      \
	"100.100.100.200"
#define PRIVATE4 "10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16"
#define NEVER6                                                                                             \
	"::/3, fe00::/7, 2001::/32, 2002::/16, fd73:746f:6b65::/48, fd00:ec2::/32, fd20:ce::/32"
#define PRIVATE6 "fc00::/7"
#define REJECT " reject with icmpx admin-prohibited\n"

/* --- addresses ------------------------------------------------------------------------------------------ */

static bool is_v6(const char *address)
{
	return strchr(address, ':') != NULL;
}

/* As inet_ntop has it: no byte of it is anybody's but ours. */
static bool parse_address(const char *text, char out[46])
{
	unsigned char raw[16];
	int family = is_v6(text) ? AF_INET6 : AF_INET;

	return inet_pton(family, text, raw) == 1 && inet_ntop(family, raw, out, 46) != NULL;
}

static bool is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static enum err read_list(struct ctx *cx, const char *option, const char *text, char (*out)[46], size_t most, size_t *n)
{
	struct str rest = str_of(text ? text : ""), one;

	*n = 0;
	while (str_cut(&rest, ',', &one)) {
		one = str_trim(one);
		if (!one.n)
			continue;
		if (*n >= most)
			return err_set(cx, ERR_INPUT, "--%s: at most %zu addresses", option, most);
		if (!parse_address(str_c(&cx->arena, one), out[*n]))
			return err_set(cx, ERR_INPUT, "--%s: " STR_FMT " is no address", option, STR_ARG(one));
		++*n;
	}
	return OK;
}

/* The host's own, but for what listens on its loopback alone: jobs cannot reach that. */
static bool read_resolv_conf(const char *path, struct network *n)
{
	char line[256], address[64];
	FILE *f = fopen(path, "re");

	while (f && n->resolver_count < NETWORK_RESOLVERS_MOST && fgets(line, sizeof line, f))
		if (sscanf(line, "nameserver %63s", address) == 1 &&
		    parse_address(address, n->resolvers[n->resolver_count]) &&
		    !is_loopback(n->resolvers[n->resolver_count]))
			n->resolver_count++;
	if (f)
		fclose(f);
	return n->resolver_count > 0;
}

/* --- what the host can give ------------------------------------------------------------------------------- */

static bool file_says_one(const char *path)
{
	char byte = '0';
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, &byte, 1) != 1)
		byte = '0';
	if (fd >= 0)
		close(fd);
	return byte == '1';
}

static bool may_change_network(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = { 0 };

	return syscall(SYS_capget, &h, d) == 0 && (d[0].effective >> CAP_NET_ADMIN & 1);
}

/* A veth needs a host that passes packets on; to switch that on is the operator's affair, it is the whole
 * host's. */
static void choose(struct network *n)
{
	const char *lack = NULL;

	n->has_v6 = file_says_one("/proc/sys/net/ipv6/conf/all/forwarding");
	if (!*n->nft) {
		snprintf(n->why, sizeof n->why, "nft is not installed");
		return;
	}
	if (!may_change_network())
		lack = "the launcher lacks CAP_NET_ADMIN";
	else if (!file_says_one("/proc/sys/net/ipv4/ip_forward"))
		lack = "sysctl net.ipv4.ip_forward is 0";
	n->how = !lack ? MONITOR_NETWORK_VETH : *n->slirp ? MONITOR_NETWORK_SLIRP : MONITOR_NETWORK_NONE;
	if (n->how == MONITOR_NETWORK_VETH && !n->has_v6)
		snprintf(n->why, sizeof n->why, "IPv4 alone: sysctl net.ipv6.conf.all.forwarding is 0");
	else if (n->how == MONITOR_NETWORK_SLIRP)
		snprintf(n->why, sizeof n->why, "by slirp4netns, IPv4 alone: %s", lack);
	else if (lack)
		snprintf(n->why, sizeof n->why, "%s, and slirp4netns is not installed", lack);
}

enum err network_open(struct ctx *cx, const struct launcher_options *opt, struct network *n)
{
	*n = (struct network){ .how = MONITOR_NETWORK_NONE };
	snprintf(n->table, sizeof n->table, "stoker_%x", opt->uid_base / LAUNCH_UID_RANGE);
	host_find_program("nft", n->nft);
	host_find_program("slirp4netns", n->slirp);
	TRY(read_list(cx, "closed", opt->closed, n->closed, NETWORK_CLOSED_MOST, &n->closed_count));
	TRY(read_list(cx, "resolvers", opt->resolvers, n->resolvers, NETWORK_RESOLVERS_MOST, &n->resolver_count));
	if (!n->resolver_count && !read_resolv_conf("/run/systemd/resolve/resolv.conf", n))
		read_resolv_conf("/etc/resolv.conf", n);
	choose(n);
	return OK;
}

/* --- rules --------------------------------------------------------------------------------------------------- */

static void add_address(struct buf *out, const char *address, const char *verdict)
{
	buf_printf(out, "\t\t%s daddr %s%s", is_v6(address) ? "ip6" : "ip", address, verdict);
}

/* What is closed by name comes first: a resolver may not be the way to it. */
static void add_destinations(const struct network *n, bool may_private, struct buf *out)
{
	for (size_t i = 0; i < n->closed_count; i++)
		add_address(out, n->closed[i], REJECT);
	for (size_t i = 0; i < n->resolver_count; i++)
		if (!is_loopback(n->resolvers[i]))
			add_address(out, n->resolvers[i], " meta l4proto { tcp, udp } th dport 53 accept\n");
	buf_text(out, "\t\tip daddr { " NEVER4 " }" REJECT "\t\tip6 daddr { " NEVER6 " }" REJECT);
	if (!may_private)
		buf_text(out, "\t\tip daddr { " PRIVATE4 " }" REJECT "\t\tip6 daddr " PRIVATE6 REJECT);
}

/* Whatever this host is called: with slirp4netns no other wall would see it. */
static enum err add_own(struct ctx *cx, struct buf *out)
{
	struct ifaddrs *all, *a;
	char text[46];
	size_t n = 0;

	if (getifaddrs(&all))
		return err_errno(cx, "list this host's addresses");
	for (a = all; a; a = a->ifa_next) {
		const void *raw = NULL;

		if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET)
			raw = &((const struct sockaddr_in *)a->ifa_addr)->sin_addr;
		else if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET6)
			raw = &((const struct sockaddr_in6 *)a->ifa_addr)->sin6_addr;
		if (!raw || strncmp(a->ifa_name, "stk", 3) == 0 || strncmp(a->ifa_name, "stp", 3) == 0)
			continue;
		if (inet_ntop(a->ifa_addr->sa_family, raw, text, sizeof text) && n++ < OWN_MOST)
			add_address(out, text, REJECT);
	}
	freeifaddrs(all);
	return n <= OWN_MOST ? OK : err_set(cx, ERR_INTERNAL, "list this host's addresses: it has more than %d", OWN_MOST);
}

/* In the job's own namespace. Routers' neighbours must be found, and itself reached. */
static enum err job_rules(struct ctx *cx, const struct network *n, bool may_private, struct buf *out)
{
	buf_text(out, "table inet stoker {\n\tchain output {\n\t\ttype filter hook output priority 0; policy drop;\n"
	              "\t\toifname \"lo\" accept\n"
	              "\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept\n");
	TRY(add_own(cx, out));
	add_destinations(n, may_private, out);
	buf_text(out, "\t\taccept\n\t}\n}\n");
	return OK;
}

/* On the host, for the interfaces of this node alone: other bridges and routes are none of our business. */
static void node_rules(const struct network *n, const struct launcher_options *opt, struct buf *out)
{
	unsigned number = opt->uid_base / LAUNCH_UID_RANGE;
	uint32_t first = MONITOR_NETWORK_FIRST4 + 2 * number, last = first + 2 * (opt->slots + 1) - 1;
	char from[16], to[16];

	first = htonl(first);
	last = htonl(last);
	inet_ntop(AF_INET, &first, from, sizeof from);
	inet_ntop(AF_INET, &last, to, sizeof to);
	buf_printf(out, "table inet %s {}\ndelete table inet %s\ntable inet %s {\n", n->table, n->table, n->table);
	buf_text(out, "\tchain public {\n");
	add_destinations(n, false, out);
	buf_text(out, "\t\taccept\n\t}\n\tchain private {\n");
	add_destinations(n, true, out);
	buf_printf(out,
	           "\t\taccept\n\t}\n\tchain forward {\n\t\ttype filter hook forward priority -10; policy accept;\n"
	           "\t\tiifname \"stk%x-*\" jump public\n\t\tiifname \"stp%x-*\" jump private\n"
	           "\t\toifname { \"stk%x-*\", \"stp%x-*\" } ct state established,related accept\n"
	           "\t\toifname { \"stk%x-*\", \"stp%x-*\" } drop\n\t}\n",
	           number, number, number, number, number, number);
	buf_printf(out,
	           "\tchain input {\n\t\ttype filter hook input priority -10; policy accept;\n"
	           "\t\tiifname != { \"stk%x-*\", \"stp%x-*\" } accept\n"
	           "\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept\n"
	           "\t\treject with icmpx admin-prohibited\n\t}\n",
	           number, number);
	buf_printf(out,
	           "\tchain translate {\n\t\ttype nat hook postrouting priority 100; policy accept;\n"
	           "\t\tip saddr %s-%s oifname != { \"stk%x-*\", \"stp%x-*\" } masquerade\n"
	           "\t\tip6 saddr fd73:746f:6b65:%x::-fd73:746f:6b65:%x:ffff:ffff:ffff:ffff masquerade\n\t}\n}\n",
	           from, to, number, number, number, number + opt->slots);
}

/* --- nft --------------------------------------------------------------------------------------------------------- */

static int memfd_of(const struct buf *text)
{
	int fd = memfd_create("rules", MFD_CLOEXEC);

	if (fd >= 0 && (text->full || write(fd, text->p, text->n) != (ssize_t)text->n || lseek(fd, 0, SEEK_SET))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void become_nft(const struct network *n, int rules, int words)
{
	char *argv[] = { (char *)n->nft, "-f", "-", NULL }, *envp[] = { NULL };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(rules, STDIN_FILENO) == STDIN_FILENO && dup2(words, STDERR_FILENO) == STDERR_FILENO)
		execve(n->nft, argv, envp);
	_exit(125);
}

/* What it says, at most `room` bytes, until it ends; false if that takes too long. */
static bool hear(int fd, char *words, size_t room)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n = 0;
	ssize_t got = 1;

	while (got > 0 && poll(&p, 1, NFT_MS) == 1) {
		char rest[256];

		got = n < room - 1 ? read(fd, words + n, room - 1 - n) : read(fd, rest, sizeof rest);
		n += n < room - 1 && got > 0 ? (size_t)got : 0;
	}
	words[n] = '\0';
	words[strcspn(words, "\n")] = '\0';
	return got == 0;
}

static enum err run_nft(struct ctx *cx, const struct network *n, const struct buf *text)
{
	char words[160];
	int rules = memfd_of(text), pair[2], status = -1;
	pid_t pid;

	if (rules < 0 || pipe2(pair, O_CLOEXEC)) {
		if (rules >= 0)
			close(rules);
		return err_errno(cx, "write the rules of the jobs' network");
	}
	pid = fork();
	if (pid == 0)
		become_nft(n, rules, pair[1]);
	close(rules);
	close(pair[1]);
	if (pid > 0 && !hear(pair[0], words, sizeof words))
		kill(pid, SIGKILL);
	close(pair[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return OK;
	return err_set(cx, ERR_INTERNAL, "set up the rules of the jobs' network: nft: %s", pid > 0 ? words : strerror(errno));
}

/* --- a launch ------------------------------------------------------------------------------------------------------ */

static void put_resolvers(const struct network *n, struct monitor_outbound *out)
{
	size_t at = 0;

	for (size_t i = 0; i < n->resolver_count; i++)
		at += (size_t)snprintf(out->resolvers + at, sizeof out->resolvers - at, "nameserver %s\n", n->resolvers[i]);
}

static void describe(const struct network *n, const struct launcher_options *opt, const struct launch_request *rq,
                     struct monitor_outbound *out)
{
	unsigned number = opt->uid_base / LAUNCH_UID_RANGE;

	*out = (struct monitor_outbound){ .how = (uint8_t)n->how, .has_v6 = n->has_v6,
		                          .number = (uint16_t)(number + rq->slot) };
	snprintf(out->name, sizeof out->name, "%s%x-%x", rq->network == LAUNCH_NETWORK_PRIVATE ? "stp" : "stk", number,
	         rq->slot);
	snprintf(out->nft, sizeof out->nft, "%s", n->nft);
	snprintf(out->slirp, sizeof out->slirp, "%s", n->slirp);
	put_resolvers(n, out);
}

enum err network_prepare(struct ctx *cx, struct network *n, const struct launcher_options *opt,
                         const struct launch_request *rq, struct monitor_outbound *out, int *rules)
{
	auto_buf host = { 0 }, job = { 0 };

	*rules = -1;
	*out = (struct monitor_outbound){ .how = MONITOR_NETWORK_NONE };
	if (rq->network == LAUNCH_NETWORK_NONE)
		return OK;
	if (n->how == MONITOR_NETWORK_NONE)
		return err_set(cx, ERR_INTERNAL, "the cluster gives its jobs a way out, and this node cannot: %s", n->why);
	if (n->how == MONITOR_NETWORK_VETH) {
		node_rules(n, opt, &host);
		TRY(run_nft(cx, n, &host));
		n->has_table = true;
	}
	TRY(job_rules(cx, n, rq->network == LAUNCH_NETWORK_PRIVATE, &job));
	*rules = memfd_of(&job);
	if (*rules < 0)
		return err_errno(cx, "write the rules of the job's network");
	describe(n, opt, rq, out);
	return OK;
}

void network_sweep(struct network *n)
{
	auto_ctx cx = { 0 };
	auto_buf text = { 0 };

	n->has_table = false;
	if (!*n->nft || !may_change_network())
		return;
	buf_printf(&text, "table inet %s {}\ndelete table inet %s\n", n->table, n->table);
	run_nft(&cx, n, &text); /* on a host without nf_tables there is none to sweep */
}
