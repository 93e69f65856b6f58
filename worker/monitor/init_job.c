#include "worker/monitor/init_job.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/launcher/launch_request.h"

/* Points `out[n]` at `n` strings from *at; false if they do not end before `end`. */
static bool strings(char **at, char *end, uint32_t n, char **out)
{
	for (uint32_t i = 0; i < n; i++) {
		char *nul = memchr(*at, '\0', (size_t)(end - *at));

		if (!nul)
			return false;
		out[i] = *at;
		*at = nul + 1;
	}
	return true;
}

static const char *find_path(char **envp)
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return NULL;
}

struct init_failure job_read_spec(struct job *job, uint32_t argc, uint32_t envc, char *text, size_t n)
{
	static char path_default[] = LAUNCH_PATH_DEFAULT;
	size_t pointers = ((size_t)argc + envc + 3) * sizeof(char *);
	char *at = text, *end = text + n;
	char **table;

	if (argc < 1 || argc > LAUNCH_STRINGS_MAX || envc > LAUNCH_STRINGS_MAX)
		return (struct init_failure){ INIT_STEP_SPEC, EINVAL };
	table = mmap(NULL, pointers, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (table == MAP_FAILED)
		return (struct init_failure){ INIT_STEP_SPEC, errno };
	job->argv = table;
	job->envp = table + argc + 1;
	if (!strings(&at, end, argc, job->argv) || !strings(&at, end, envc, job->envp) || at >= end ||
	    !memchr(at, '\0', (size_t)(end - at)))
		return (struct init_failure){ INIT_STEP_SPEC, EINVAL };
	job->workdir = *at ? at : "/";
	job->path = find_path(job->envp);
	if (!job->path) {
		job->envp[envc] = path_default;
		job->path = path_default + 5;
	}
	return (struct init_failure){ 0, 0 };
}

/* Engines make a missing working directory; with the job's own rights this can fail, as it should. */
static int enter_workdir(const char *dir)
{
	char path[PATH_MAX];
	size_t n = strlen(dir);

	if (chdir(dir) == 0)
		return 0;
	if (errno != ENOENT || n >= sizeof path)
		return errno == ENOENT ? ENAMETOOLONG : errno;
	memcpy(path, dir, n + 1);
	for (size_t i = 1; i <= n; i++)
		if (path[i] == '/' || path[i] == '\0') {
			char was = path[i];

			path[i] = '\0';
			mkdir(path, 0755);
			path[i] = was;
		}
	return chdir(dir) ? errno : 0;
}

/* Like execve, which only comes back with an error. */
static int exec_file(struct job *job, const char *file)
{
	int err;

	execve(file, job->argv, job->envp);
	err = errno;
	if (err == ENOEXEC)
		snprintf(job->tried, sizeof job->tried, "%s", file);
	return err;
}

/* execvpe without its shell for files that are no program: engines say "exec format error". */
static int exec_job(struct job *job)
{
	const char *name = job->argv[0];
	const char *at = job->path;
	char file[PATH_MAX];
	int err = ENOENT;

	if (*name == '\0')
		return ENOENT;
	if (strchr(name, '/'))
		return exec_file(job, name);
	while (at) {
		const char *end = strchrnul(at, ':');
		size_t dir = (size_t)(end - at), len = strlen(name);

		if (dir + len + 3 <= sizeof file) {
			memcpy(file, dir ? at : ".", dir ? dir : 1);
			dir = dir ? dir : 1;
			file[dir] = '/';
			memcpy(file + dir + 1, name, len + 1);
			int failed = exec_file(job, file);

			if (failed != ENOENT && failed != ENOTDIR)
				err = failed;
		}
		at = *end ? end + 1 : NULL;
	}
	return err;
}

/* The machine that a program is for, by its ELF header; EM_NONE if it is none or for this one. */
static uint32_t foreign_machine(const char *file)
{
#if defined(__x86_64__)
	const uint16_t ours = EM_X86_64;
#elif defined(__aarch64__)
	const uint16_t ours = EM_AARCH64;
#else
	const uint16_t ours = EM_NONE; /* then every program says at least what it is for */
#endif
	Elf64_Ehdr head; /* up to e_machine the same in 32 bits */
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, &head, sizeof head);

	if (fd >= 0)
		close(fd);
	if (n < 20 || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_machine == ours)
		return EM_NONE;
	return head.e_machine;
}

/* When memory runs out it is the job that goes, not stoker-init, which has to tell why: files that are only in
 * memory are nobody's, and both look alike small. Where /proc cannot be written to they stay equal. */
static void go_first(void)
{
	static const char FIRST[] = "1000";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, FIRST, sizeof FIRST - 1) < 0)
		errno = 0; /* so be it */
	close(fd);
}

struct init_failure job_start(struct job *job, const sigset_t *before)
{
	volatile int err = 0; /* the child shares our memory until it execs or ends */
	int failed = enter_workdir(job->workdir);

	if (failed)
		return (struct init_failure){ INIT_STEP_WORKDIR, failed };
	job->pid = vfork();
	if (job->pid == 0) {
		setsid();
		go_first();
		sigprocmask(SIG_SETMASK, before, NULL);
		for (int i = 0; i < 2; i++)
			if (job->output[i] >= 0 && dup2(job->output[i], 1 + i) < 0)
				_exit(127);
		err = exec_job(job);
		_exit(127);
	}
	failed = job->pid < 0 ? errno : err;
	for (int i = 0; i < 2; i++)
		if (job->output[i] >= 0)
			close(job->output[i]);
	if (failed == ENOEXEC && foreign_machine(job->tried) != EM_NONE)
		return (struct init_failure){ INIT_STEP_PLATFORM, (int)foreign_machine(job->tried) };
	return (struct init_failure){ failed ? INIT_STEP_EXEC : 0, failed };
}
