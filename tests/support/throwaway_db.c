#include "tests/support/throwaway_db.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mysql.h>

#define MARIADBD "/usr/sbin/mariadbd"
#define START_MS_MAX 30000

/* One per test program; the test's child processes see the parent's. */
static struct {
	pid_t owner;  /* who started it: only its end ends the server */
	pid_t keeper; /* kills the server and removes the folder */
	pid_t server;
	int to_keeper; /* a byte here: stop now */
	char folder[64];
	char socket[96];
} db;

static void die(const char *what, const char *on)
{
	fprintf(stderr, "throwaway_db: cannot %s %s: %s\n", what, on, strerror(errno));
	exit(1);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Runs a program with its output in a file; true when it ended with 0. */
static bool run(const char *output, char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

		dup2(fd, 1);
		dup2(fd, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* build/tests/db-template-MTIME: beside the test programs, made once for a version of mariadbd. */
static void template_path(char *out, size_t size)
{
	char exe[3500];
	struct stat st;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n < 0)
		die("read", "/proc/self/exe");
	exe[n] = '\0';
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(exe, '/');

		if (slash)
			*slash = '\0';
	}
	if (stat(MARIADBD, &st))
		die("find", MARIADBD);
	snprintf(out, size, "%s/db-template-%lld", exe, (long long)st.st_mtime);
}

static void make_template(const char *template)
{
	char fresh[4096], log[4096], datadir[4096], tmpdir[4096];

	snprintf(fresh, sizeof(fresh), "%.4000s.new", template);
	snprintf(log, sizeof(log), "%.4000s.log", template);
	snprintf(datadir, sizeof(datadir), "--datadir=%.4000s", fresh);
	/* one of its own: a mariadbd that starts removes every temporary table that it finds there */
	snprintf(tmpdir, sizeof(tmpdir), "--tmpdir=%.4000s", fresh);
	remove_tree(fresh);
	unlink(log);
	if (mkdir(fresh, 0700))
		die("make the folder", fresh);
	if (!run(log, (char *[]){ "mariadb-install-db", "--no-defaults", datadir, tmpdir,
	                          "--auth-root-authentication-method=normal", "--skip-test-db",
	                          "--innodb-log-file-size=32M", geteuid() ? NULL : "--user=root",
	                          NULL }))
		die("make a database, see", log);
	if (rename(fresh, template))
		die("rename", fresh);
}

/* The lock makes test programs that start together wait for the one that makes it. */
static void copy_template(const char *folder)
{
	char template[4096], lock[4096], datadir[96], log[96];
	int fd;

	template_path(template, sizeof(template));
	snprintf(lock, sizeof(lock), "%.4000s.lock", template);
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX))
		die("lock", lock);
	if (access(template, F_OK))
		make_template(template);
	close(fd);
	snprintf(datadir, sizeof(datadir), "%s/data", folder);
	snprintf(log, sizeof(log), "%s/cp.log", folder);
	if (!run(log, (char *[]){ "cp", "-a", "--sparse=always", template, datadir, NULL }))
		die("copy the database to", datadir);
}

static void exec_server(const char *folder)
{
	char datadir[96], socket_arg[96], pid_file[96], tmpdir[96], log[96], flush[64];
	const char *level = getenv("THROWAWAY_DB_FLUSH");
	int fd;

	snprintf(datadir, sizeof(datadir), "--datadir=%s/data", folder);
	snprintf(socket_arg, sizeof(socket_arg), "--socket=%s/s", folder);
	snprintf(pid_file, sizeof(pid_file), "--pid-file=%s/pid", folder);
	snprintf(tmpdir, sizeof(tmpdir), "--tmpdir=%s", folder);
	snprintf(log, sizeof(log), "%s/log", folder);
	snprintf(flush, sizeof(flush), "--innodb-flush-log-at-trx-commit=%s",
	         level && *level == '0' ? "0" : "1");
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	execl(MARIADBD, "mariadbd", "--no-defaults", datadir, socket_arg, pid_file, tmpdir, flush,
	      "--skip-networking", "--skip-log-bin", "--skip-name-resolve", "--performance-schema=OFF",
	      "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M",
	      "--innodb-buffer-pool-dump-at-shutdown=OFF", "--innodb-buffer-pool-load-at-startup=OFF",
	      "--aria-pagecache-buffer-size=8M", "--key-buffer-size=1M", "--max-connections=200",
	      "--max-allowed-packet=64M", "--character-set-server=utf8mb4",
	      "--collation-server=utf8mb4_nopad_bin", geteuid() ? NULL : "--user=root", NULL);
	_exit(127);
}

/* The keeper: parent of the server, leader of its own session so that a Ctrl-C or Check's kill of
 * a process group does not reach it before it has tidied up. */
static void keep(pid_t owner_pid, int owner, int words)
{
	struct pollfd wait_for[] = { { .fd = owner, .events = POLLIN },
		                     { .fd = words, .events = POLLIN } };
	pid_t keeper = getpid();
	pid_t server;

	setsid();
	signal(SIGPIPE, SIG_IGN);
	server = fork();
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != keeper || kill(owner_pid, 0))
			_exit(127);
		exec_server(db.folder);
	}
	if (send(words, &server, sizeof(server), MSG_NOSIGNAL) == sizeof(server))
		while (poll(wait_for, 2, -1) < 0 && errno == EINTR)
			;
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	remove_tree(db.folder);
	_exit(0);
}

static void start_keeper(void)
{
	int pair[2];
	int owner = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (owner < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		die("make", "the keeper's socket pair");
	db.keeper = fork();
	if (db.keeper < 0)
		die("fork", "the keeper");
	if (db.keeper == 0)
		keep(db.owner, owner, pair[1]);
	close(owner);
	close(pair[1]);
	db.to_keeper = pair[0];
	if (recv(pair[0], &db.server, sizeof(db.server), 0) != sizeof(db.server))
		die("start", MARIADBD);
}

/* Runs in Check's forked children as well, hence the look at who we are. */
static void stop(void)
{
	if (getpid() != db.owner)
		return;
	if (db.keeper <= 0) {
		remove_tree(db.folder);
		return;
	}
	send(db.to_keeper, "", 1, MSG_NOSIGNAL);
	waitpid(db.keeper, NULL, 0);
}

static void show_log(void)
{
	char path[96], line[512];
	FILE *log;

	snprintf(path, sizeof(path), "%s/log", db.folder);
	log = fopen(path, "re");
	while (log && fgets(line, sizeof(line), log))
		fputs(line, stderr);
	if (log)
		fclose(log);
}

static bool make_databases(void)
{
	static const char *const QUERIES[] = { "CREATE DATABASE stoker", "CREATE DATABASE stoker_logs" };
	MYSQL *my = mysql_init(NULL);
	bool up = mysql_real_connect(my, NULL, "root", NULL, NULL, 0, db.socket, 0) != NULL;

	for (size_t i = 0; up && i < sizeof(QUERIES) / sizeof(QUERIES[0]); i++)
		if (mysql_query(my, QUERIES[i])) {
			fprintf(stderr, "throwaway_db: %s\n", mysql_error(my));
			exit(1);
		}
	mysql_close(my);
	return up;
}

static void wait_until_ready(void)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };

	for (int ms = 0; ms < START_MS_MAX; ms += 5) {
		if (!access(db.socket, F_OK) && make_databases())
			return;
		nanosleep(&pause, NULL);
	}
	show_log();
	fprintf(stderr, "throwaway_db: mariadbd was not ready within %d ms\n", START_MS_MAX);
	exit(1);
}

const char *throwaway_db_start(void)
{
	const char *parent = getenv("STOKER_TEST_TMP"); /* tests/run.sh sets it, and looks into it at its end */

	if (db.server)
		return db.socket;
	snprintf(db.folder, sizeof(db.folder), "%.40s/stoker-test-XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(db.folder))
		die("make the folder", db.folder);
	snprintf(db.socket, sizeof(db.socket), "%s/s", db.folder);
	db.owner = getpid();
	atexit(stop);
	copy_template(db.folder);
	start_keeper();
	wait_until_ready();
	return db.socket;
}

pid_t throwaway_db_pid(void)
{
	return db.server;
}

static bool has_stopped(const char *thread)
{
	char path[300], line[512] = "";
	FILE *f;
	char *behind_name;

	snprintf(path, sizeof path, "/proc/%d/task/%s/stat", (int)db.server, thread);
	f = fopen(path, "re");
	if (!f)
		return true; /* ended */
	if (!fgets(line, sizeof line, f))
		line[0] = 0;
	fclose(f);
	behind_name = strrchr(line, ')');
	return !behind_name || behind_name[1] == 0 || behind_name[2] == 'T';
}

static bool all_have_stopped(void)
{
	char path[64];
	struct dirent *entry;
	bool all = true;
	DIR *threads;

	snprintf(path, sizeof path, "/proc/%d/task", (int)db.server);
	threads = opendir(path);
	while (threads && all && (entry = readdir(threads)))
		all = entry->d_name[0] == '.' || has_stopped(entry->d_name);
	if (threads)
		closedir(threads);
	return all;
}

void throwaway_db_stop(void)
{
	struct timespec moment = { 0, 1000000 };

	kill(db.server, SIGSTOP);
	while (!all_have_stopped())
		nanosleep(&moment, NULL);
}

const char *throwaway_db_folder(void)
{
	return db.folder;
}
