#include "worker/monitor/init_orders.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/launcher/launch_request.h"

enum { CAPABILITIES_END = 64, MNT_BYTES = 65536, BYTES_A_FILE = 4096 };

/* --- reading ------------------------------------------------------------------------------------------- */

/* As many bytes as `n`, or as there are. */
static size_t read_piece(unsigned number, uint8_t *out, size_t n)
{
	char path[sizeof INIT_ORDERS_PATH + 12];
	size_t done = 0;
	ssize_t got = 1;
	int fd;

	snprintf(path, sizeof path, INIT_ORDERS_PATH "%u", number);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	while (fd >= 0 && done < n && got > 0) {
		got = read(fd, out + done, n - done);
		done += got > 0 ? (size_t)got : 0;
	}
	close(fd);
	return done;
}

static bool read_orders(struct init_orders *o, const uint8_t **rest)
{
	size_t room = (size_t)INIT_ORDERS_PIECE * INIT_ORDERS_PIECES, n = 0, got = INIT_ORDERS_PIECE;
	uint8_t *all = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (all == MAP_FAILED)
		return false;
	for (unsigned i = 0; i < INIT_ORDERS_PIECES && got == INIT_ORDERS_PIECE; i++)
		n += got = read_piece(i, all + n, INIT_ORDERS_PIECE);
	errno = EINVAL;
	if (n < sizeof *o)
		return false;
	memcpy(o, all, sizeof *o);
	*rest = all + sizeof *o;
	return o->magic == INIT_ORDERS_MAGIC &&
	       n == sizeof *o + (uint64_t)o->spec_bytes + o->payload_bytes + o->config_bytes + o->filter_bytes;
}

/* --- what needs rights ------------------------------------------------------------------------------------ */

/* Services cannot be without a network: the job is put into one of its own, with nothing but loopback. */
static bool leave_network(void)
{
	struct ifreq up = { .ifr_name = "lo" };
	int fd;
	bool done;

	if (unshare(CLONE_NEWNET))
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	done = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &up) == 0;
	up.ifr_flags |= IFF_UP;
	done = done && ioctl(fd, SIOCSIFFLAGS, &up) == 0;
	close(fd);
	return done;
}

/* Services know neither owner nor number of files of a tmpfs, and none that programs may be run from. Where the
 * host's security module forbids mounts, theirs stays. */
static void mount_writable(const struct init_orders *o)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV;
	unsigned long long size = o->scratch_bytes, files = size / BYTES_A_FILE;
	char options[160];

	snprintf(options, sizeof options, "mode=1777,size=%llu,nr_inodes=%llu", size, files);
	mount("tmpfs", "/tmp", "tmpfs", flags, options);
	snprintf(options, sizeof options, "mode=755,uid=%u,gid=%u,size=%llu,nr_inodes=%llu", o->uid, o->gid, size, files);
	mount("tmpfs", LAUNCH_TASK_DIR, "tmpfs", flags, options);
	snprintf(options, sizeof options, "mode=1777,size=%d,uid=%u,gid=%u", MNT_BYTES, o->uid, o->gid);
	mount("tmpfs", "/mnt", "tmpfs", flags, options);
}

/* All of them, for good. */
static bool drop_rights(const struct init_orders *o)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[2] = { 0 };

	for (int i = 0; i < CAPABILITIES_END; i++)
		if (prctl(PR_CAPBSET_DROP, i) && errno != EINVAL) /* EINVAL: this kernel has not so many */
			return false;
	if (setgroups(0, NULL) || setresgid(o->gid, o->gid, o->gid) || setresuid(o->uid, o->uid, o->uid) ||
	    syscall(SYS_capset, &header, none))
		return false;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0;
}

static bool filter_calls(const uint8_t *bytes, size_t n)
{
	struct sock_fprog filter = { .len = (unsigned short)(n / sizeof(struct sock_filter)) };
	/* aligned as the kernel reads it */
	void *copy = mmap(NULL, n ? n : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (copy == MAP_FAILED || n % sizeof(struct sock_filter) || n / sizeof(struct sock_filter) > BPF_MAXINSNS) {
		errno = EINVAL;
		return false;
	}
	memcpy(copy, bytes, n);
	filter.filter = copy;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

int init_take_orders(struct init_orders *o, const uint8_t **rest, const char **what)
{
	errno = 0;
	*what = "read its orders";
	if (!read_orders(o, rest))
		return errno ? errno : EINVAL;
	*what = "leave the service's network";
	if (!leave_network())
		return errno;
	mount_writable(o);
	*what = "give up its rights";
	if (!drop_rights(o))
		return errno;
	*what = "install the list of system calls";
	return filter_calls(*rest + o->spec_bytes + o->payload_bytes + o->config_bytes, o->filter_bytes) ? 0 : errno;
}
