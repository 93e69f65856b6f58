#include "worker/launcher/seccomp.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypt.h"

/* Sorted by what they are for, so that a newcomer sees what is missing and why. */
static const char *const ALLOWED[] = {
	/* files */
	"access", "chdir", "chmod", "chown", "close", "close_range", "copy_file_range", "creat", "dup",
	"dup2", "dup3", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod",
	"fchmodat", "fchmodat2", "fchown", "fchownat", "fcntl", "fdatasync", "fgetxattr", "flistxattr",
	"flock", "fremovexattr", "fsetxattr", "fstat", "fstatfs", "fsync", "ftruncate", "futimesat",
	"getcwd", "getdents", "getdents64", "getxattr", "inotify_add_watch", "inotify_init",
	"inotify_init1", "inotify_rm_watch", "lchown", "lgetxattr", "link", "linkat", "listxattr",
	"llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "mkdir", "mkdirat", "mknod",
	"mknodat", "newfstatat", "open", "openat", "openat2", "pread64", "preadv", "preadv2", "pwrite64",
	"pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "removexattr",
	"rename", "renameat", "renameat2", "rmdir", "sendfile", "setxattr", "splice", "stat", "statfs",
	"statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "tee", "truncate", "umask",
	"unlink", "unlinkat", "utime", "utimensat", "utimes", "vmsplice", "write", "writev",
	"memfd_create", "ioctl",
	/* waiting */
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
	"eventfd", "eventfd2", "pause", "pipe", "pipe2", "poll", "ppoll", "pselect6", "select",
	"signalfd", "signalfd4", "timerfd_create", "timerfd_gettime", "timerfd_settime",
	"io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup", "io_submit",
	/* memory */
	"brk", "cachestat", "get_mempolicy", "madvise", "map_shadow_stack", "mbind", "membarrier",
	"mincore", "mlock", "mlock2", "mlockall", "mmap", "mprotect", "mremap", "msync", "munlock",
	"munlockall", "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect", "process_madvise",
	"process_mrelease", "remap_file_pages", "set_mempolicy", "set_mempolicy_home_node",
	/* processes, threads, their rights */
	"arch_prctl", "capget", "capset", "execve", "execveat", "exit", "exit_group", "fork", "futex",
	"futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "get_robust_list", "get_thread_area",
	"getcpu", "getegid", "geteuid", "getgid", "getgroups", "getpgid", "getpgrp", "getpid", "getppid",
	"getpriority", "getresgid", "getresuid", "getrlimit", "getrusage", "getsid", "gettid", "getuid",
	"ioprio_get", "ioprio_set", "kill", "landlock_add_rule", "landlock_create_ruleset",
	"landlock_restrict_self", "pidfd_open", "pidfd_send_signal", "prctl", "prlimit64", "rseq",
	"rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn",
	"rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_get_priority_max",
	"sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam",
	"sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity", "sched_setattr",
	"sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "set_robust_list",
	"set_thread_area", "set_tid_address", "setfsgid", "setfsuid", "setgid", "setgroups", "setpgid",
	"setpriority", "setregid", "setresgid", "setresuid", "setreuid", "setrlimit", "setsid", "setuid",
	"sigaltstack", "tgkill", "tkill", "uname", "vfork", "wait4", "waitid", "sysinfo", "getrandom",
	"restart_syscall", "times",
	/* time */
	"alarm", "clock_getres", "clock_gettime", "clock_nanosleep", "getitimer", "gettimeofday",
	"nanosleep", "setitimer", "time", "timer_create", "timer_delete", "timer_getoverrun",
	"timer_gettime", "timer_settime",
	/* talk */
	"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen",
	"recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
	"socketpair", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend",
	"mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop",
	"shmat", "shmctl", "shmdt", "shmget",
};

/* Known, and refused with EPERM rather than ENOSYS, as programs expect without privileges. */
static const char *const REFUSED[] = {
	"acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_settime", "delete_module",
	"fanotify_init", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module",
	"io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load",
	"kexec_load", "keyctl", "lookup_dcookie", "mount", "mount_setattr", "move_mount",
	"name_to_handle_at", "open_by_handle_at", "open_tree", "perf_event_open", "pidfd_getfd",
	"pivot_root", "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "reboot",
	"request_key", "setdomainname", "sethostname", "setns", "settimeofday", "swapoff", "swapon",
	"syslog", "umount2", "unshare", "userfaultfd", "vhangup",
};

/* Allowed with one argument in bounds: (value & mask) == equals. */
static const struct rule {
	const char *name;
	unsigned arg;
	uint64_t mask, equals;
} BY_ARGUMENT[] = {
	{ "clone", 0, 0x7e020080, 0 }, /* no namespace: CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET,TIME} */
	{ "personality", 0, 0xffffffff, 0x0 },
	{ "personality", 0, 0xffffffff, 0x8 },
	{ "personality", 0, 0xffffffff, 0x20000 },
	{ "personality", 0, 0xffffffff, 0x20008 },
	{ "personality", 0, 0xffffffff, 0xffffffff },
	/* families of sockets: those a program needs, not the rarely tried rest of the kernel */
	{ "socket", 0, 0xffffffff, 1 },  /* unix */
	{ "socket", 0, 0xffffffff, 2 },  /* inet */
	{ "socket", 0, 0xffffffff, 10 }, /* inet6 */
	{ "socket", 0, 0xffffffff, 16 }, /* netlink: what addresses there are */
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static int add_rules(scmp_filter_ctx f)
{
	int err = 0;

	for (size_t i = 0; !err && i < COUNT(ALLOWED) + COUNT(REFUSED); i++) {
		bool is_allowed = i < COUNT(ALLOWED);
		const char *name = is_allowed ? ALLOWED[i] : REFUSED[i - COUNT(ALLOWED)];
		int nr = seccomp_syscall_resolve_name(name);

		if (nr >= 0) /* others are of another machine or a later kernel than libseccomp knows */
			err = seccomp_rule_add(f, is_allowed ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM), nr, 0);
	}
	for (size_t i = 0; !err && i < COUNT(BY_ARGUMENT); i++) {
		const struct rule *r = &BY_ARGUMENT[i];

		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(r->name), 1,
		                       SCMP_CMP(r->arg, SCMP_CMP_MASKED_EQ, r->mask, r->equals));
	}
	return err;
}

static enum err export_bpf(struct ctx *cx, scmp_filter_ctx f, struct buf *out)
{
	int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;
	char *program;
	int err = fd < 0 ? -errno : seccomp_export_bpf(f, fd);

	if (err || fstat(fd, &st)) {
		if (fd >= 0)
			close(fd);
		return err_set(cx, ERR_INTERNAL, "compile the list of system calls: %s",
		               strerror(err ? -err : errno));
	}
	program = arena_take(&cx->arena, (size_t)st.st_size);
	if (pread(fd, program, (size_t)st.st_size, 0) != st.st_size) {
		close(fd);
		return err_errno(cx, "read the compiled list of system calls");
	}
	close(fd);
	buf_text(out, base64_format(&cx->arena, program, (size_t)st.st_size));
	return OK;
}

enum err seccomp_bpf(struct ctx *cx, struct buf *out)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	enum err e;
	int err;

	if (!f)
		return err_set(cx, ERR_INTERNAL, "compile the list of system calls: no memory");
	seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: 8 comparisons instead of 300 */
	err = add_rules(f);
	e = err ? err_set(cx, ERR_INTERNAL, "list the system calls: %s", strerror(-err)) :
	          export_bpf(cx, f, out);
	seccomp_release(f);
	return e;
}

static void add_names(struct buf *out, const char *const *names, size_t n, const char *action)
{
	const char *comma = "";

	buf_text(out, "{\"names\":[");
	for (size_t i = 0; i < n; i++) {
		if (seccomp_syscall_resolve_name(names[i]) < 0)
			continue;
		buf_printf(out, "%s\"%s\"", comma, names[i]);
		comma = ",";
	}
	buf_printf(out, "],%s}", action);
}

void seccomp_json(struct buf *out)
{
	buf_printf(out, "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":%d,\"syscalls\":[", ENOSYS);
	add_names(out, ALLOWED, COUNT(ALLOWED), "\"action\":\"SCMP_ACT_ALLOW\"");
	buf_text(out, ",");
	add_names(out, REFUSED, COUNT(REFUSED), "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1");
	for (size_t i = 0; i < COUNT(BY_ARGUMENT); i++)
		buf_printf(out,
		           ",{\"names\":[\"%s\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":%u,"
		           "\"value\":%llu,\"valueTwo\":%llu,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}",
		           BY_ARGUMENT[i].name, BY_ARGUMENT[i].arg, (unsigned long long)BY_ARGUMENT[i].mask,
		           (unsigned long long)BY_ARGUMENT[i].equals);
	/* a library that finds clone3 missing takes clone; not every engine has a default errno */
	buf_printf(out, ",{\"names\":[\"clone3\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":%d}", ENOSYS);
	buf_text(out, "]}");
}
