#include "cli/admin/verify.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { YOUNG_US = 60 * 1000000 };

/* What lies below a folder under an attempt's name. */
struct found_attempts {
	struct verify_attempt *list;
	size_t n, room;
};

/* "<24 hex>-<number>" */
static bool attempt_of_name(const char *name, struct verify_attempt *out)
{
	struct str text = str_of(name);

	return text.n > 25 && name[24] == '-' && id_parse(str_bytes(name, 24), &out->task_id) &&
	       str_int(str_bytes(name + 25, text.n - 25), &out->attempt) && out->attempt > 0;
}

static void add_attempt(struct ctx *cx, struct found_attempts *f, struct verify_attempt one)
{
	if (f->n == f->room) {
		struct verify_attempt *more = arena_array(&cx->arena, 2 * f->room + 64, sizeof *more);

		if (f->n)
			memcpy(more, f->list, f->n * sizeof *more);
		f->list = more;
		f->room = 2 * f->room + 64;
	}
	f->list[f->n++] = one;
}

static bool is_old(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       clock_wall_us() - (int64_t)st.st_mtim.tv_sec * 1000000 > YOUNG_US;
}

static enum err look_into(struct db *db, struct ctx *cx, struct verify *v, const char *folder)
{
	struct found_attempts f = { 0 };
	struct verify_attempt one;
	struct dirent *entry;
	DIR *d = opendir(folder);
	bool *live;

	if (!d && errno == ENOENT)
		return OK;
	if (!d)
		return err_errno(cx, "look into %s", folder);
	while ((entry = readdir(d)))
		if (attempt_of_name(entry->d_name, &one) && is_old(dirfd(d), entry->d_name))
			add_attempt(cx, &f, one);
	closedir(d);
	live = arena_array(&cx->arena, f.n + 1, sizeof *live);
	TRY(verify_store_live(db, cx, f.list, f.n, live));
	for (size_t i = 0; i < f.n; i++)
		if (!live[i])
			verify_tell(v, "I10", "what a node has belongs to attempts under way",
			            str_of(arena_printf(&cx->arena, "%s/%s-%lld", folder, id_format(&f.list[i].task_id).s,
			                                (long long)f.list[i].attempt)));
	return OK;
}

/* cgroups v2, and every hierarchy of v1. */
static enum err look_into_cgroups(struct db *db, struct ctx *cx, const char *cgroup, struct verify *v)
{
	static const char TOP[] = "/sys/fs/cgroup";
	DIR *d = opendir(TOP);
	struct dirent *entry;
	enum err e;

	if (!d)
		return OK; /* no cgroups, no containers */
	e = look_into(db, cx, v, arena_printf(&cx->arena, "%s/%s", TOP, cgroup));
	while (e == OK && (entry = readdir(d)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && strcmp(entry->d_name, cgroup) != 0)
			e = look_into(db, cx, v, arena_printf(&cx->arena, "%s/%s/%s", TOP, entry->d_name, cgroup));
	closedir(d);
	return e;
}

enum err verify_node(struct db *db, struct ctx *cx, const struct settings *set, struct verify *v)
{
	if (!*set->node.dir)
		return OK;
	TRY(look_into(db, cx, v, arena_printf(&cx->arena, "%s/jobs", set->node.dir)));
	return look_into_cgroups(db, cx, set->node.cgroup, v);
}
