/* Stands before crun in the storm's mount namespace (tests/faults/storm.py): gives each container one
 * mount more, the file /evidence, to which the job itself appends what it does, outside of the database
 * and of everything that the product keeps. Then it is crun, or runc where it is called so (by daemons). Static,
 * like the monitor that runs it: the launcher makes a sealed copy of whatever is called crun. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER "/var/opt" /* the storm mounts its own there: the true crun and runc, and the file */
#define MOUNTS "\"mounts\":["
static const char MOUNT[] = "{\"destination\":\"/evidence\",\"type\":\"bind\",\"source\":\"" FOLDER
                            "/attempts\",\"options\":[\"bind\",\"nosuid\",\"nodev\",\"noexec\"]},";

static void die(const char *what)
{
	fprintf(stderr, "evidence_runtime: cannot %s: %s\n", what, strerror(errno));
	exit(125);
}

static char *read_all(const char *path, size_t *n)
{
	enum { ROOM = 1 << 20 };
	char *text = calloc(1, ROOM);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	*n = 0;
	if (!text || fd < 0)
		die("read the bundle");
	while ((got = read(fd, text + *n, ROOM - 1 - *n)) > 0)
		*n += (size_t)got;
	close(fd);
	return text;
}

static void add_mount(const char *bundle)
{
	char path[4096], *text, *at;
	size_t n, head;
	int fd;

	snprintf(path, sizeof path, "%s/config.json", bundle);
	text = read_all(path, &n);
	at = strstr(text, MOUNTS);
	if (!at)
		die("find the mounts of the bundle");
	head = (size_t)(at - text) + strlen(MOUNTS);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || write(fd, text, head) != (ssize_t)head || write(fd, MOUNT, strlen(MOUNT)) != (ssize_t)strlen(MOUNT) ||
	    write(fd, text + head, n - head) != (ssize_t)(n - head))
		die("write the bundle");
	close(fd);
	free(text);
}

int main(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--bundle") == 0)
			add_mount(argv[i + 1]);
	execv(strcmp(basename(argv[0]), "runc") == 0 ? FOLDER "/runc" : FOLDER "/crun", argv);
	die("start the runtime");
}
