/* System calls that speak to the whole kernel, not to one's own processes and files. */
#include "tests/escape/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/acct.h>
#include <sys/fanotify.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static bool trace_a_process(void)
{
	return worked(ptrace(PTRACE_ATTACH, sleeper(), NULL, NULL));
}

static bool read_a_process(void)
{
	char here[8], there[8] = "";
	struct iovec to = { here, sizeof here }, from = { there, sizeof there };

	return worked(process_vm_readv(sleeper(), &to, 1, &from, 1, 0));
}

static bool take_a_descriptor(void)
{
	int fd = (int)syscall(SYS_pidfd_open, sleeper(), 0);

	return worked(fd) && worked(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

static bool session_keyring(void)
{
	return worked(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1, 0, 0));
}

static bool add_a_key(void)
{
	return worked(syscall(SYS_add_key, "user", "stoker-escape", "x", 1, KEY_SPEC_PROCESS_KEYRING));
}

static bool load_bpf(void)
{
	union bpf_attr a = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };

	return worked(syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof a));
}

static bool watch_performance(void)
{
	struct perf_event_attr a = { .type = PERF_TYPE_SOFTWARE, .size = sizeof a,
		                     .config = PERF_COUNT_SW_CPU_CLOCK };

	return worked(syscall(SYS_perf_event_open, &a, 0, -1, -1, 0));
}

static bool io_uring(void)
{
	struct io_uring_params p = { 0 };

	return worked(syscall(SYS_io_uring_setup, 4, &p));
}

static bool handle_faults(void)
{
	return worked(syscall(SYS_userfaultfd, 0));
}

static bool load_a_module(void)
{
	return passed_the_guard(syscall(SYS_init_module, "", 0, ""));
}

static bool unload_a_module(void)
{
	return passed_the_guard(syscall(SYS_delete_module, "stoker-no-such-module", O_NONBLOCK));
}

/* More segments than there can be: refused, but only once it is known who asks. */
static bool load_a_kernel(void)
{
	return passed_the_guard(syscall(SYS_kexec_load, 0, 1000, NULL, 0));
}

static bool reboot_the_host(void)
{
	return passed_the_guard(syscall(SYS_reboot, 1, 2, 3, NULL)); /* no magic numbers: nothing happens */
}

static bool set_the_clock(void)
{
	struct timex t = { .modes = ADJ_TICK, .tick = 1 }; /* out of bounds */

	return passed_the_guard(adjtimex(&t));
}

static bool set_the_host_name(void)
{
	return worked(sethostname("escaped", 7));
}

static bool read_the_kernel_log(void)
{
	return worked(klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0)) &&
	       worked(klogctl(3 /* SYSLOG_ACTION_READ_ALL */, (char[16]){ 0 }, 16));
}

static bool turn_off_swap(void)
{
	return passed_the_guard(swapoff("/stoker-no-such-file"));
}

static bool account_processes(void)
{
	return passed_the_guard(acct("/stoker-no-such-file"));
}

static bool ports_of_the_machine(void)
{
	return worked(ioperm(0x80, 1, 1));
}

static bool watch_all_files(void)
{
	return worked(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY));
}

static bool compare_processes(void)
{
	return worked(syscall(SYS_kcmp, getpid(), sleeper(), 0, 0, 0));
}

static bool run_in_real_time(void)
{
	struct sched_param p = { .sched_priority = 1 };

	return worked(sched_setscheduler(0, SCHED_FIFO, &p));
}

static bool go_before_others(void)
{
	return worked(setpriority(PRIO_PROCESS, 0, -20));
}

static bool raise_a_limit(void)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_max++;
	return worked(setrlimit(RLIMIT_NOFILE, &r));
}

static bool never_killed_for_memory(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	return worked(fd) && worked(write(fd, "-1000", 5));
}

static bool leave_a_core(void)
{
	struct rlimit r;
	int status;
	pid_t pid;

	getrlimit(RLIMIT_CORE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_CORE, &r);
	pid = fork();
	if (pid == 0) {
		if (chdir("/tmp"))
			_exit(1);
		abort();
	}
	waitpid(pid, &status, 0);
	told("at most %lld bytes of core", (long long)r.rlim_max);
	return r.rlim_max > 0 && WIFSIGNALED(status);
}

static bool has_capabilities(void)
{
	for (int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_READ, cap) == 1) {
			told("capability %d is in the bounding set", cap);
			return true;
		}
	told("none");
	return false;
}

static bool may_gain_privileges(void)
{
	told("no_new_privs is %d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
}

static bool become_another(void)
{
	return worked(setuid(1)) && worked(getuid() == 1 ? 0 : -1);
}

/* A file of another user that whoever runs it becomes. */
static bool set_id_file(void)
{
	int fd = open("/tmp/escape-setid", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	bool done = fd >= 0 && fchown(fd, 1, 1) == 0 && fchmod(fd, 06755) == 0;

	worked(done ? 0 : -1);
	unlink("/tmp/escape-setid");
	return done;
}

static bool file_capabilities(void)
{
	static const unsigned char data[20] = { 0, 0, 0, 2, 0xff }; /* version 2, some rights */
	int fd = open("/tmp/escape-caps", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	bool done = fd >= 0 && fsetxattr(fd, "security.capability", data, sizeof data, 0) == 0;

	worked(done ? 0 : -1);
	unlink("/tmp/escape-caps");
	return done;
}

static bool raw_socket(void)
{
	return worked(socket(AF_INET, SOCK_RAW, 1));
}

static bool packet_socket(void)
{
	return worked(socket(AF_PACKET, SOCK_RAW, 0));
}

static bool rare_sockets(void)
{
	static const int families[] = { AF_ALG, AF_VSOCK, AF_KEY, AF_TIPC, AF_CAN, AF_RDS, AF_BLUETOOTH, AF_XDP };

	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
		if (worked(socket(families[i], SOCK_DGRAM, 0)) || worked(socket(families[i], SOCK_SEQPACKET, 0)) ||
		    worked(socket(families[i], SOCK_RAW, 2)))
			return true;
	return false;
}

/* Many processors' worth of the machine's memory, hidden from limits, by a mode of a system call. */
static bool other_machine(void)
{
	long result = syscall(SYS_personality, 0x0400000 /* READ_IMPLIES_EXEC */);

	return worked(result);
}

const struct attack KERNEL_ATTACKS[] = {
	{ "trace a process", trace_a_process, NULL, false },
	{ "read a process", read_a_process, NULL, false },
	{ "take a descriptor", take_a_descriptor, NULL, false },
	{ "session keyring", session_keyring, NULL, false },
	{ "add a key", add_a_key, NULL, false },
	{ "load BPF", load_bpf, NULL, false },
	{ "watch performance", watch_performance, NULL, false },
	{ "io_uring", io_uring, NULL, false },
	{ "handle page faults", handle_faults, NULL, false },
	{ "load a module", load_a_module, "sys_module", false },
	{ "unload a module", unload_a_module, "sys_module", false },
	{ "load a kernel", load_a_kernel, "sys_boot", false },
	{ "reboot", reboot_the_host, "sys_boot", false },
	{ "set the clock", set_the_clock, "sys_time", false },
	{ "set the host name", set_the_host_name, NULL, false },
	{ "read the kernel's log", read_the_kernel_log, "syslog", false },
	{ "turn off swap", turn_off_swap, NULL, false },
	{ "account processes", account_processes, "sys_pacct", false },
	{ "ports of the machine", ports_of_the_machine, "sys_rawio", false },
	{ "watch all files", watch_all_files, NULL, false },
	{ "compare processes", compare_processes, NULL, false },
	{ "run in real time", run_in_real_time, "sys_nice", false },
	{ "go before others", go_before_others, "sys_nice", false },
	{ "raise a limit", raise_a_limit, "sys_resource", false },
	{ "never killed for memory", never_killed_for_memory, "sys_resource", false },
	{ "leave a core", leave_a_core, NULL, false },
	{ "have capabilities", has_capabilities, NULL, false },
	{ "gain privileges", may_gain_privileges, NULL, false },
	{ "become another user", become_another, NULL, false },
	{ "set-id file", set_id_file, NULL, false },
	{ "file capabilities", file_capabilities, NULL, false },
	{ "raw socket", raw_socket, NULL, false },
	{ "packet socket", packet_socket, NULL, false },
	{ "rare sockets", rare_sockets, NULL, false },
	{ "executable data", other_machine, NULL, false },
	{ 0 },
};
