#include "worker/package/package_cache.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/tree.h"
#include "worker/package/package_fetch.h"
#include "worker/store_thread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUCKETS = 256, THREADS = 2, RETRY_US = 1000000, WHY_BYTES = 600, BAD_MOST = 256 };
#define MB (INT64_C(1) << 20)

struct package_entry {
	struct package_entry *next; /* in its bucket */
	struct package_cache *cache;
	unsigned char digest[SHA256_BYTES];
	enum package_state state;
	int64_t bytes, used_us; /* of a ready one; wall clock, as the folder's time is */
	char *why;              /* of a bad one */
	struct loop_timer again;
};

struct package_cache {
	struct loop *loop;
	const struct settings *set;
	const struct package_events *events;
	void *arg;
	struct store_pool *pool;
	struct package_entry *buckets[BUCKETS];
	int64_t bytes; /* of all that are ready */
	size_t bad;
	atomic_bool stop;
};

/* --- the table ----------------------------------------------------------------------------------- */

static struct package_entry *find(const struct package_cache *c, const unsigned char *digest)
{
	struct package_entry *e = c->buckets[digest[0]];

	while (e && memcmp(e->digest, digest, SHA256_BYTES) != 0)
		e = e->next;
	return e;
}

static struct package_entry *add(struct package_cache *c, const unsigned char *digest)
{
	struct package_entry *e = calloc(1, sizeof *e);

	if (!e)
		abort();
	e->cache = c;
	e->state = PACKAGE_COMING;
	memcpy(e->digest, digest, SHA256_BYTES);
	e->next = c->buckets[digest[0]];
	c->buckets[digest[0]] = e;
	return e;
}

static void drop(struct package_entry *e)
{
	struct package_cache *c = e->cache;
	struct package_entry **p = &c->buckets[e->digest[0]];

	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	if (e->state == PACKAGE_READY)
		c->bytes -= e->bytes;
	c->bad -= e->state == PACKAGE_BAD;
	loop_stop(c->loop, &e->again);
	free(e->why);
	free(e);
}

static void set_ready(struct package_entry *e, int64_t bytes, int64_t used_us)
{
	e->state = PACKAGE_READY;
	e->bytes = bytes;
	e->used_us = used_us;
	e->cache->bytes += bytes;
}

/* --- removal: out of sight at once, gone when a thread has the time ------------------------------ */

struct removal {
	struct store_work w;
	const char **names; /* below PACKAGE_FOLDER */
	size_t n;
};

static enum err removal_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	const struct removal *r = (const struct removal *)w;
	int packages = open(PACKAGE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)tasks;
	(void)logs;
	for (size_t i = 0; packages >= 0 && i < r->n; i++)
		tree_remove(packages, r->names[i]);
	if (packages >= 0)
		close(packages);
	return OK;
}

static void removal_done(void *arg, struct store_work *w)
{
	(void)arg;
	store_work_free(w);
}

static struct removal *removal_new(size_t most)
{
	struct removal *r = store_work_new(sizeof *r);

	r->w.run = removal_run;
	r->w.done = removal_done;
	r->names = arena_array(&r->w.cx.arena, most + 1, sizeof *r->names);
	return r;
}

static void evict(struct package_entry *e)
{
	struct package_cache *c = e->cache;
	struct removal *r = removal_new(1);
	char name[PACKAGE_NAME], was[sizeof PACKAGE_FOLDER + PACKAGE_NAME], now[sizeof was];
	unsigned char random[8];
	char hex[2 * sizeof random + 1];

	package_folder_name(e->digest, name);
	crypt_random(random, sizeof random);
	hex_format(random, sizeof random, hex);
	r->names[r->n++] = arena_printf(&r->w.cx.arena, "tmp-%s", hex);
	snprintf(was, sizeof was, PACKAGE_FOLDER "/%s", name);
	snprintf(now, sizeof now, PACKAGE_FOLDER "/%s", r->names[0]);
	if (rename(was, now) && errno != ENOENT)
		log_warn("package_stays", "package=%s why=\"%s\"", name, strerror(errno));
	drop(e);
	store_pool_add(c->pool, STORE_ANY, 0, &r->w);
}

/* The least recently used that nobody needs; NULL if all are needed. */
static struct package_entry *oldest(const struct package_cache *c)
{
	struct package_entry *found = NULL;

	for (size_t i = 0; i < BUCKETS; i++)
		for (struct package_entry *e = c->buckets[i]; e; e = e->next)
			if (e->state == PACKAGE_READY && (!found || e->used_us < found->used_us) &&
			    !c->events->is_needed(c->arg, e->digest))
				found = e;
	return found;
}

/* Makes room until `most` bytes are taken, as far as what is in use lets it. */
static void shrink(struct package_cache *c, int64_t most)
{
	struct package_entry *e;

	while (c->bytes > most && (e = oldest(c)))
		evict(e);
}

/* A bad one costs its digest and a sentence, but somebody may make many. */
static void forget_bad(struct package_cache *c)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct package_entry *e = c->buckets[i], *next; e; e = next) {
			next = e->next;
			if (e->state == PACKAGE_BAD)
				drop(e);
		}
}

/* --- fetching ------------------------------------------------------------------------------------ */

struct fetch {
	struct store_work w;
	struct package_cache *cache;
	unsigned char digest[SHA256_BYTES];
	int64_t bytes;
};

static enum err fetch_run(struct store_work *w, struct db *tasks, struct db *logs)
{
	struct fetch *f = (struct fetch *)w;
	const struct package_source from = { tasks, f->cache->set->runner.unpack, &f->cache->stop };

	(void)logs;
	return package_fetch(&w->cx, &from, f->digest, &f->bytes);
}

static void begin(struct package_entry *e);

static void on_again(void *arg)
{
	struct package_entry *e = arg;
	const struct package_cache *c = e->cache;

	if (c->events->is_needed(c->arg, e->digest))
		begin(e);
	else
		drop(e);
}

static void remember(struct package_entry *e, enum err err, const char *why)
{
	struct package_cache *c = e->cache;

	if (err != ERR_INPUT) {
		drop(e);
		return;
	}
	if (c->bad >= BAD_MOST)
		forget_bad(c);
	e->state = PACKAGE_BAD;
	e->why = strdup(why);
	c->bad++;
}

static void fetch_ended(struct package_entry *e, const struct fetch *f)
{
	struct package_cache *c = e->cache;
	enum err err = f->w.err;
	char why[WHY_BYTES], name[PACKAGE_NAME];

	package_folder_name(f->digest, name);
	snprintf(why, sizeof why, "%s", f->w.cx.message);
	if (err == OK) {
		set_ready(e, f->bytes, clock_wall_us());
		log_info("package_unpacked", "package=%s bytes=%lld", name, (long long)f->bytes);
		c->events->tried(c->arg, OK, "");
	} else if (err == ERR_INPUT || err == ERR_NOT_FOUND || err == ERR_INTERNAL) {
		log_warn("package_failed", "package=%s why=\"%s\"", name, why);
		if (strstr(why, strerrordesc_np(ENOSPC)) || strstr(why, strerrordesc_np(EDQUOT)))
			shrink(c, 0); /* so that the next try finds room */
		remember(e, err, why);
	} else {
		c->events->tried(c->arg, err, why);
		loop_start(c->loop, &e->again, RETRY_US, on_again, e);
		return;
	}
	c->events->settled(c->arg, f->digest, err, why);
	shrink(c, c->set->node.packages_mb * MB);
}

static void fetch_done(void *arg, struct store_work *w)
{
	struct package_cache *c = arg;
	const struct fetch *f = (const struct fetch *)w;
	struct package_entry *e = find(c, f->digest);

	if (e && !atomic_load(&c->stop))
		fetch_ended(e, f);
	store_work_free(w);
}

static void begin(struct package_entry *e)
{
	struct package_cache *c = e->cache;
	struct fetch *f = store_work_new(sizeof *f);

	f->w.run = fetch_run;
	f->w.done = fetch_done;
	f->cache = c;
	memcpy(f->digest, e->digest, SHA256_BYTES);
	store_pool_add(c->pool, STORE_ANY, e->digest[1], &f->w);
}

/* Its folder's time is that of its last use, for the next runner. False if somebody removed it. */
static bool touch(struct package_entry *e)
{
	char name[PACKAGE_NAME], path[sizeof PACKAGE_FOLDER + PACKAGE_NAME];

	package_folder_name(e->digest, name);
	snprintf(path, sizeof path, PACKAGE_FOLDER "/%s", name);
	e->used_us = clock_wall_us();
	return utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

enum package_state package_cache_want(struct package_cache *c, const unsigned char digest[SHA256_BYTES], const char **why)
{
	struct package_entry *e = find(c, digest);

	if (e && e->state == PACKAGE_READY && !touch(e)) {
		drop(e);
		e = NULL;
	}
	if (!e && !atomic_load(&c->stop)) {
		e = add(c, digest);
		begin(e);
	}
	*why = e && e->why ? e->why : "";
	return e ? e->state : PACKAGE_COMING;
}

/* --- life ----------------------------------------------------------------------------------------- */

static bool read_bytes(int packages, const char *name, int64_t *bytes)
{
	char path[NAME_MAX + sizeof "/bytes"], text[32];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof path, "%s/bytes", name);
	fd = openat(packages, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, text, sizeof text);
	if (fd >= 0)
		close(fd);
	return n > 0 && str_int(str_trim(str_bytes(text, (size_t)n)), bytes) && *bytes >= 0;
}

/* True for a whole package, which it takes up. */
static bool take_up(struct package_cache *c, int packages, const char *name)
{
	unsigned char digest[SHA256_BYTES];
	struct stat st;
	int64_t bytes;

	if (strncmp(name, "sha256-", 7) != 0 || !hex_parse(str_of(name + 7), digest, sizeof digest) ||
	    !read_bytes(packages, name, &bytes) || fstatat(packages, name, &st, AT_SYMLINK_NOFOLLOW))
		return false;
	set_ready(add(c, digest), bytes, st.st_mtim.tv_sec * INT64_C(1000000) + st.st_mtim.tv_nsec / 1000);
	return true;
}

static enum err look_around(struct ctx *cx, struct package_cache *c)
{
	struct removal *r;
	size_t count = 0;
	struct dirent *d;
	DIR *dir = opendir(PACKAGE_FOLDER);

	if (!dir)
		return err_errno(cx, "list the node's packages");
	while ((d = readdir(dir)))
		count++;
	rewinddir(dir);
	r = removal_new(count);
	while (r->n < count && (d = readdir(dir)))
		if (d->d_name[0] != '.' && !take_up(c, dirfd(dir), d->d_name))
			r->names[r->n++] = arena_text(&r->w.cx.arena, d->d_name);
	closedir(dir);
	store_pool_add(c->pool, STORE_ANY, 0, &r->w);
	return OK;
}

enum err package_cache_open(struct ctx *cx, struct loop *l, const struct settings *set,
                            const struct package_events *events, void *arg, struct package_cache **out)
{
	struct package_cache *c = calloc(1, sizeof *c);
	enum err e;

	if (!c)
		abort();
	c->loop = l;
	c->set = set;
	c->events = events;
	c->arg = arg;
	c->pool = store_pool_new(l, set, THREADS, c);
	if (!c->pool) {
		free(c);
		return err_errno(cx, "start the threads for packages");
	}
	*out = c;
	e = look_around(cx, c);
	return e;
}

void package_cache_stop(struct package_cache *c)
{
	atomic_store(&c->stop, true);
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct package_entry *e = c->buckets[i]; e; e = e->next)
			loop_stop(c->loop, &e->again);
}

bool package_cache_is_busy(const struct package_cache *c)
{
	return c && store_pool_open(c->pool) > 0;
}

void package_cache_close(struct package_cache *c)
{
	if (!c)
		return;
	store_pool_free(c->pool);
	for (size_t i = 0; i < BUCKETS; i++)
		while (c->buckets[i])
			drop(c->buckets[i]);
	free(c);
}
