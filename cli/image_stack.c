/* Images for the runtimes of zip packages, made of the Debian packages that are installed on this
 * machine: nothing is fetched. */
#include "cli/commands.h"

#include "base/json.h"
#include "cli/admin/program_output.h"
#include "cli/output.h"
#include "cli/settings_file.h"
#include "worker/image/image_import.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIST_BYTES = 32 << 20, PACKAGES_MOST = 8192, WORDS_MOST = PACKAGES_MOST + 4, BLOCK_BYTES = 65536 };

/* What a script expects besides its interpreter. */
static const char BASE[] = "base-files bash coreutils dash findutils grep gzip hostname libc-bin sed tar";

static const struct stack {
	const char *name;
	const char *packages; /* besides BASE */
	const char *program;  /* that runs a script; a link of the alternatives system is made whole */
	const char *alias;    /* another name that scripts call it by; NULL = none */
} STACKS[] = {
	{ "sh", "", "/usr/bin/sh", NULL },
	{ "python", "python3", "/usr/bin/python3", "usr/bin/python" },
	{ "ruby", "ruby", "/usr/bin/ruby", NULL },
	{ "php", "php-cli", "/usr/bin/php", NULL },
	{ "node", "nodejs", "/usr/bin/node", NULL },
	{ "perl", "perl", "/usr/bin/perl", NULL },
};

/* Nothing of it is needed to run a program. */
static const char *const LEFT_OUT[] = { "/usr/share/doc/", "/usr/share/man/", "/usr/share/info/", "/usr/share/locale/",
	                                "/usr/share/lintian/", "/usr/share/bug/", "/usr/share/doc-base/" };

#define CONFIG                                                                                      \
	"{\"Env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\","            \
	"\"LANG=C.UTF-8\"],\"Cmd\":[\"/bin/sh\"],\"WorkingDir\":\"/\"}"

/* --- which packages ----------------------------------------------------------------------------------- */

struct package {
	struct str name, provides, depends;
	bool is_taken;
};

struct packages {
	struct package *list;
	size_t n;
	struct str *pending; /* dependencies of taken ones, still to be looked at */
	size_t pending_n;
};

static enum err run(struct cli *c, char *const argv[], struct str *out)
{
	char *text = arena_take(&c->cx.arena, LIST_BYTES);

	if (!program_output(argv, text, LIST_BYTES))
		return err_set(&c->cx, ERR_INTERNAL, "ask dpkg-query what is installed: it failed (is this a Debian system?)");
	*out = str_of(text);
	return OK;
}

/* While triggers wait, as during somebody's apt-get install, all files of the package are in place. */
static bool has_its_files(struct str status)
{
	return str_is(status, "installed") || str_is(status, "triggers-pending") || str_is(status, "triggers-awaited");
}

static enum err read_installed(struct cli *c, struct packages *p)
{
	char query[] = "dpkg-query", show[] = "-W",
	     format[] = "-f=${db:Status-Status}\t${Package}\t${Provides}\t${Pre-Depends}, ${Depends}\n";
	char *const argv[] = { query, show, format, NULL };
	struct str text, line, status;

	TRY(run(c, argv, &text));
	p->list = arena_array(&c->cx.arena, PACKAGES_MOST, sizeof *p->list);
	p->pending = arena_array(&c->cx.arena, PACKAGES_MOST, sizeof *p->pending);
	while (p->n < PACKAGES_MOST && str_cut(&text, '\n', &line)) {
		struct package *one = &p->list[p->n];

		if (!str_cut(&line, '\t', &status) || !has_its_files(status) || !str_cut(&line, '\t', &one->name) ||
		    !str_cut(&line, '\t', &one->provides))
			continue;
		one->depends = line;
		p->n++;
	}
	return OK;
}

/* "libfoo:any (>= 1)" is "libfoo". */
static struct str bare_name(struct str word)
{
	size_t n = 0;

	word = str_trim(word);
	while (n < word.n && !memchr(" (:", word.p[n], 3))
		n++;
	return str_bytes(word.p, n);
}

static bool provides(const struct package *one, struct str name)
{
	struct str rest = one->provides, word;

	while (str_cut(&rest, ',', &word))
		if (str_equal(bare_name(word), name))
			return true;
	return false;
}

static struct package *find(const struct packages *p, struct str name)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_equal(p->list[i].name, name))
			return &p->list[i];
	for (size_t i = 0; i < p->n; i++)
		if (provides(&p->list[i], name))
			return &p->list[i];
	return NULL;
}

static void take(struct packages *p, struct package *one)
{
	if (one->is_taken)
		return;
	one->is_taken = true;
	p->pending[p->pending_n++] = one->depends;
}

/* Of "a | b" what is installed; what is not, dpkg has found no need for. */
static void take_needed(struct packages *p, struct str depends)
{
	struct str group, word;

	while (str_cut(&depends, ',', &group)) {
		struct package *one = NULL;

		while (!one && str_cut(&group, '|', &word))
			one = bare_name(word).n ? find(p, bare_name(word)) : NULL;
		if (one)
			take(p, one);
	}
}

static enum err take_all(struct cli *c, struct packages *p, const char *names)
{
	struct str rest = str_of(names), word;

	while (str_cut(&rest, ' ', &word)) {
		struct package *one = word.n ? find(p, word) : NULL;

		if (word.n && !one)
			return err_set(&c->cx, ERR_NOT_FOUND, "build the image: the package " STR_FMT " is not installed on this machine, "
			               "which it is made of: apt-get install " STR_FMT, STR_ARG(word), STR_ARG(word));
		if (one)
			take(p, one);
	}
	while (p->pending_n)
		take_needed(p, p->pending[--p->pending_n]);
	return OK;
}

/* --- their files, as a tar ------------------------------------------------------------------------------ */

struct tar {
	struct archive *out;
	struct archive_entry *entry;
};

static enum err tar_error(struct cli *c, const struct tar *t, const char *path)
{
	return err_set(&c->cx, ERR_INTERNAL, "write %s into the image: %s", path, archive_error_string(t->out));
}

static enum err put_header(struct cli *c, struct tar *t, const char *path, mode_t mode, const char *target, int64_t bytes)
{
	archive_entry_clear(t->entry);
	archive_entry_set_pathname(t->entry, path + (*path == '/'));
	archive_entry_set_mode(t->entry, mode);
	if (target)
		archive_entry_set_symlink(t->entry, target);
	archive_entry_set_size(t->entry, bytes);
	return archive_write_header(t->out, t->entry) < ARCHIVE_WARN ? tar_error(c, t, path) : OK;
}

static enum err put_text(struct cli *c, struct tar *t, const char *path, const char *text)
{
	TRY(put_header(c, t, path, S_IFREG | 0644, NULL, (int64_t)strlen(text)));
	return archive_write_data(t->out, text, strlen(text)) < 0 ? tar_error(c, t, path) : OK;
}

static enum err put_content(struct cli *c, struct tar *t, const char *path)
{
	char block[BLOCK_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;
	enum err e = OK;

	if (fd < 0)
		return err_errno(&c->cx, "read %s", path);
	while (!e && (n = read(fd, block, sizeof block)) > 0)
		if (archive_write_data(t->out, block, (size_t)n) < 0)
			e = tar_error(c, t, path);
	if (!e && n < 0)
		e = err_errno(&c->cx, "read %s", path);
	close(fd);
	return e;
}

/* Packages name /lib/x where the machine has it in /usr/lib. */
static const char *merged(struct arena *a, const char *path)
{
	const char *slash = strchr(path + 1, '/');
	struct stat st;

	if (!slash || lstat(arena_copy(a, path, (size_t)(slash - path)), &st) || !S_ISLNK(st.st_mode))
		return path;
	return arena_printf(a, "/usr%s", path);
}

static enum err put_path(struct cli *c, struct tar *t, const char *path)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (lstat(path, &st))
		return OK; /* a file that its package lost, or moved away */
	if (S_ISDIR(st.st_mode))
		return put_header(c, t, path, st.st_mode, NULL, 0);
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof target - 1);
		target[n > 0 ? n : 0] = '\0';
		return put_header(c, t, path, st.st_mode, target, 0);
	}
	if (!S_ISREG(st.st_mode))
		return OK;
	TRY(put_header(c, t, path, st.st_mode, NULL, st.st_size));
	return put_content(c, t, path);
}

static bool is_left_out(const char *path)
{
	for (size_t i = 0; i < sizeof LEFT_OUT / sizeof *LEFT_OUT; i++)
		if (strncmp(path, LEFT_OUT[i], strlen(LEFT_OUT[i])) == 0)
			return true;
	return false;
}

static enum err put_files(struct cli *c, struct tar *t, const struct packages *p)
{
	char query[] = "dpkg-query", list[] = "-L";
	char **argv = arena_array(&c->cx.arena, WORDS_MOST, sizeof *argv);
	struct str text, line;
	size_t n = 2;

	argv[0] = query;
	argv[1] = list;
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].is_taken)
			argv[n++] = str_c(&c->cx.arena, p->list[i].name);
	argv[n] = NULL;
	TRY(run(c, argv, &text));
	while (str_cut(&text, '\n', &line)) {
		const char *path = str_c(&c->cx.arena, line);

		if (line.n < 3 || path[0] != '/' || is_left_out(path)) /* "/." is the root */
			continue;
		TRY(put_path(c, t, merged(&c->cx.arena, path)));
	}
	return OK;
}

/* What no package owns: the links of merged /usr, users, and the interpreter's name. */
static enum err put_rest(struct cli *c, struct tar *t, const struct stack *s)
{
	static const char *const links[] = { "bin", "sbin", "lib", "lib64" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		TRY(put_header(c, t, links[i], S_IFLNK | 0777, arena_printf(&c->cx.arena, "usr/%s", links[i]), 0));
	TRY(put_header(c, t, "tmp", S_IFDIR | 01777, NULL, 0));
	TRY(put_header(c, t, "root", S_IFDIR | 0700, NULL, 0));
	TRY(put_text(c, t, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"));
	TRY(put_text(c, t, "etc/group", "root:x:0:\nnogroup:x:65534:\n"));
	if (!realpath(s->program, path))
		return err_errno(&c->cx, "find %s", s->program);
	if (strcmp(path, s->program) != 0)
		TRY(put_header(c, t, s->program, S_IFLNK | 0777, path, 0));
	if (s->alias)
		TRY(put_header(c, t, s->alias, S_IFLNK | 0777, path, 0));
	return OK;
}

static enum err write_tar(struct cli *c, int fd, const struct stack *s, const struct packages *p)
{
	struct tar t = { archive_write_new(), archive_entry_new() };
	enum err e = OK;

	archive_write_set_format_pax_restricted(t.out);
	if (archive_write_open_fd(t.out, fd) != ARCHIVE_OK)
		e = tar_error(c, &t, s->name);
	if (!e)
		e = put_files(c, &t, p);
	if (!e)
		e = put_rest(c, &t, s);
	if (!e && archive_write_close(t.out) != ARCHIVE_OK)
		e = tar_error(c, &t, s->name);
	archive_entry_free(t.entry);
	archive_write_free(t.out);
	return e;
}

/* --- the command ------------------------------------------------------------------------------------------ */

static const struct stack *find_stack(const char *name)
{
	for (size_t i = 0; i < sizeof STACKS / sizeof *STACKS; i++)
		if (strcmp(STACKS[i].name, name) == 0)
			return &STACKS[i];
	return NULL;
}

static enum err build(struct cli *c, const struct settings *set, const struct stack *s, const char *image, char *digest)
{
	char *path = arena_printf(&c->cx.arena, "%s/tmp-stack-XXXXXX", set->node.dir);
	struct packages p = { 0 };
	enum err e;
	int fd;

	TRY(read_installed(c, &p));
	TRY(take_all(c, &p, BASE));
	TRY(take_all(c, &p, s->packages));
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_errno(&c->cx, "make a file in %s (this needs root, on a node)", set->node.dir);
	e = write_tar(c, fd, s, &p);
	close(fd);
	if (!e)
		e = image_import(&c->cx, set->node.dir, str_of(image), path, str_of(CONFIG), &IMAGE_LIMITS_DEFAULT, digest);
	unlink(path);
	return e;
}

enum err image_build_stack_command(struct cli *c)
{
	struct settings set;
	const struct stack *s;
	const char *image;
	char digest[72] = "";

	TRY(cli_options(c, NULL, 0));
	TRY(settings_of(c, &set));
	s = find_stack(c->args[0]);
	if (!s)
		return cli_usage(c, "there is no stack %s: sh, python, ruby, php, node, perl", c->args[0]);
	image = c->arg_count > 1 ? c->args[1] : arena_printf(&c->cx.arena, "stack-%s", s->name);
	TRY(build(c, &set, s, image, digest));
	if (c->json) {
		auto_json *j = json_pack("{s:o,s:s}", "name", json_text(str_of(image)), "digest", digest);

		output_json(&c->cx, j);
		return OK;
	}
	puts(digest);
	if (!c->quiet)
		fprintf(stderr, "zip packages run in it with [runtimes] images = %s=%s\n", s->name, image);
	return OK;
}
