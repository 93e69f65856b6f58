#include "base/unzip.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/clock.h"
#include "base/unzip_directory.h"

/* One entry, and what is needed to hold it against the others. */
struct item {
	struct str path;
	enum unzip_kind kind;
	unsigned mode;
};

struct reading {
	struct ctx *cx;
	zip_t *zip;
	struct item *items; /* in the zip's order */
	size_t n;
	int64_t size;       /* of the zip */
	int64_t packed;     /* bytes of its entries, as stated */
	int64_t unpacked;
	int64_t until_us;
	const struct unzip_visitor *visitor;
	char piece[UNZIP_PIECE_BYTES];
};

/* --- one entry by itself ------------------------------------------------------------------------- */

static enum err refuse(struct reading *r, struct str path, const char *why)
{
	return err_set(r->cx, ERR_INPUT, "entry '" STR_FMT "' of the package %s", STR_ARG(path), why);
}

/* Empties "." and doubled slashes out of a path; false if it climbs. */
static bool clean_path(struct arena *a, struct str name, struct str *out)
{
	char *p = arena_take(a, name.n + 1);
	struct str rest = name, part;
	size_t n = 0;

	while (str_cut(&rest, '/', &part)) {
		if (!part.n || str_is(part, "."))
			continue;
		if (str_is(part, ".."))
			return false;
		if (n)
			p[n++] = '/';
		memcpy(p + n, part.p, part.n);
		n += part.n;
	}
	*out = str_bytes(p, n);
	return true;
}

static enum err take_path(struct reading *r, struct str name, struct item *item)
{
	if (name.p[0] == '/')
		return refuse(r, name, "has an absolute path");
	if (memchr(name.p, '\\', name.n))
		return refuse(r, name, "has a backslash in its path");
	if (!clean_path(&r->cx->arena, name, &item->path))
		return refuse(r, name, "leads out of it");
	if (name.p[name.n - 1] == '/')
		item->kind = UNZIP_FOLDER;
	else if (!item->path.n)
		return refuse(r, name, "has no name");
	return OK;
}

/* Unix modes stand in the upper half of the attributes; other systems have none. */
static enum err take_mode(struct reading *r, zip_uint64_t i, struct item *item)
{
	zip_uint32_t attributes = 0;
	zip_uint8_t system = 0;
	unsigned mode = 0;

	zip_file_get_external_attributes(r->zip, i, 0, &system, &attributes);
	if (system == ZIP_OPSYS_UNIX || system == ZIP_OPSYS_OS_X)
		mode = attributes >> 16;
	if (S_ISLNK(mode) && item->kind == UNZIP_FILE)
		item->kind = UNZIP_LINK;
	else if (S_ISDIR(mode))
		item->kind = UNZIP_FOLDER;
	else if (mode & S_IFMT && !S_ISREG(mode))
		return refuse(r, item->path, "is neither a file nor a folder nor a link");
	if (item->kind == UNZIP_FILE && mode & (S_ISUID | S_ISGID))
		return refuse(r, item->path, "is a setuid or setgid file");
	item->mode = mode & 0777;
	if (!mode)
		item->mode = item->kind == UNZIP_FOLDER ? 0755 : 0644;
	return OK;
}

static enum err check_method(struct reading *r, zip_uint64_t i, const struct item *item, bool encrypted, zip_stat_t *st)
{
	const zip_uint64_t need = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;

	if (zip_stat_index(r->zip, i, 0, st) || (st->valid & need) != need)
		return refuse(r, item->path, "cannot be read");
	if (encrypted || (st->valid & ZIP_STAT_ENCRYPTION_METHOD && st->encryption_method != ZIP_EM_NONE))
		return refuse(r, item->path, "is encrypted");
	if (st->comp_method != ZIP_CM_STORE && st->comp_method != ZIP_CM_DEFLATE)
		return refuse(r, item->path, "is compressed in another way than deflate");
	return OK;
}

static enum err check_sizes(struct reading *r, const struct item *item, const zip_stat_t *st)
{
	if (item->kind == UNZIP_FOLDER && st->size)
		return refuse(r, item->path, "is a folder with content");
	if (item->kind == UNZIP_LINK && (!st->size || st->size > UNZIP_TARGET_BYTES))
		return refuse(r, item->path, "is a link without a target, or with one over 1024 bytes");
	if (st->size > (zip_uint64_t)UNZIP_BYTES_MOST || r->unpacked + (int64_t)st->size > UNZIP_BYTES_MOST)
		return refuse(r, item->path, "is more than can be unpacked: 1 GiB in all");
	if (st->size > UNZIP_RATIO_FROM && (st->size - 1) / UNZIP_RATIO_MOST >= st->comp_size)
		return refuse(r, item->path, "unpacks to over 100 times its size");
	if (st->comp_size > (zip_uint64_t)(r->size - r->packed)) /* entries that share bytes, or lie */
		return refuse(r, item->path, "is larger, with those before it, than the package");
	r->packed += (int64_t)st->comp_size;
	r->unpacked += (int64_t)st->size;
	return OK;
}

static enum err take_item(struct reading *r, zip_uint64_t i, const struct unzip_record *record, struct item *item)
{
	const char *name = zip_get_name(r->zip, i, ZIP_FL_ENC_RAW);
	zip_stat_t st;

	if (!name || !str_is(record->name, name))
		return err_set(r->cx, ERR_INPUT, "the package's list of entries can be read in two ways");
	*item = (struct item){ .kind = UNZIP_FILE };
	TRY(take_path(r, record->name, item));
	TRY(take_mode(r, i, item));
	TRY(check_method(r, i, item, record->encrypted, &st));
	return check_sizes(r, item, &st);
}

/* --- all of them ---------------------------------------------------------------------------------- */

static enum err take_items(struct reading *r, struct unzip_directory *d)
{
	char name[UNZIP_PATH_BYTES];
	struct unzip_record record;

	if (zip_get_num_entries(r->zip, 0) != d->entries)
		return err_set(r->cx, ERR_INPUT, "the package's list of entries can be read in two ways");
	r->n = (size_t)d->entries;
	r->items = arena_array(&r->cx->arena, r->n, sizeof *r->items);
	for (size_t i = 0; i < r->n; i++) {
		TRY(unzip_directory_next(r->cx, d, name, &record));
		TRY(take_item(r, i, &record, &r->items[i]));
	}
	if (r->unpacked > UNZIP_RATIO_MOST * r->size)
		return err_set(r->cx, ERR_INPUT, "the package unpacks to over %d times its size", UNZIP_RATIO_MOST);
	return OK;
}

static int by_path(const void *a, const void *b)
{
	const struct item *x = *(const struct item *const *)a, *y = *(const struct item *const *)b;
	int order = memcmp(x->path.p, y->path.p, x->path.n < y->path.n ? x->path.n : y->path.n);

	return order ? order : (x->path.n > y->path.n) - (x->path.n < y->path.n);
}

/* Folders that are above the entry must be none or folders. */
static enum err check_above(struct reading *r, const struct item **sorted, const struct item *item)
{
	struct item above = { .path = item->path }, *key = &above;

	for (size_t i = 1; i < item->path.n; i++) {
		const struct item **hit;

		if (item->path.p[i] != '/')
			continue;
		above.path.n = i;
		hit = bsearch(&key, sorted, r->n, sizeof *sorted, by_path);
		if (hit && (*hit)->kind != UNZIP_FOLDER)
			return refuse(r, item->path, "lies below a file or a link");
	}
	return OK;
}

static enum err check_names(struct reading *r)
{
	const struct item **sorted = arena_array(&r->cx->arena, r->n + 1, sizeof *sorted);

	for (size_t i = 0; i < r->n; i++)
		sorted[i] = &r->items[i];
	qsort(sorted, r->n, sizeof *sorted, by_path);
	for (size_t i = 0; i < r->n; i++) {
		if (i && str_equal(sorted[i]->path, sorted[i - 1]->path))
			return refuse(r, sorted[i]->path, "is there twice");
		TRY(check_above(r, sorted, sorted[i]));
	}
	return OK;
}

/* --- contents ------------------------------------------------------------------------------------- */

/* ".." at the beginning alone, and no more of them than folders above the link: then every link leads
 * inside as long as all others do, whatever they are. */
static bool stays_inside(struct str path, struct str target)
{
	struct str rest = target, part;
	int64_t depth = 0;
	bool down = false;

	for (size_t i = 0; i < path.n; i++)
		depth += path.p[i] == '/';
	if (target.p[0] == '/')
		return false;
	while (str_cut(&rest, '/', &part)) {
		if (str_is(part, "..") && (down || --depth < 0))
			return false;
		down |= part.n && !str_is(part, ".") && !str_is(part, "..");
	}
	return true;
}

/* Reads on until `n` bytes are there or the entry ends. */
static enum err read_some(struct reading *r, zip_file_t *f, const struct item *item, zip_uint64_t n, zip_uint64_t *got)
{
	zip_int64_t now = 1;

	for (*got = 0; *got < n && now > 0; *got += now > 0 ? (zip_uint64_t)now : 0) {
		now = zip_fread(f, r->piece + *got, n - *got);
		if (now < 0)
			return refuse(r, item->path, "is damaged, or its size or checksum is wrong");
	}
	if (clock_boot_us() > r->until_us)
		return err_set(r->cx, ERR_INPUT, "the package takes too long to unpack");
	return OK;
}

static enum err read_link(struct reading *r, zip_file_t *f, const struct item *item, int64_t bytes)
{
	struct unzip_entry e = { item->path, item->kind, item->mode, 0, STR_LIT("") };
	zip_uint64_t got;

	TRY(read_some(r, f, item, UNZIP_TARGET_BYTES + 1, &got));
	e.target = str_bytes(r->piece, got);
	if ((int64_t)got != bytes)
		return refuse(r, item->path, "is damaged, or its size or checksum is wrong");
	if (memchr(r->piece, 0, got) || !stays_inside(item->path, e.target))
		return refuse(r, item->path, "is a link that leads out of it");
	return r->visitor->entry ? r->visitor->entry(r->cx, r->visitor->arg, &e) : OK;
}

static enum err read_file(struct reading *r, zip_file_t *f, const struct item *item, int64_t bytes)
{
	const struct unzip_visitor *v = r->visitor;
	struct unzip_entry e = { item->path, item->kind, item->mode, bytes, STR_LIT("") };
	zip_uint64_t got = 1;
	int64_t all = 0;

	if (v->entry)
		TRY(v->entry(r->cx, v->arg, &e));
	while (got) {
		TRY(read_some(r, f, item, UNZIP_PIECE_BYTES, &got));
		all += (int64_t)got;
		if (all > bytes || (!got && all < bytes))
			return refuse(r, item->path, "does not have the size that the package says");
		if (got && v->piece)
			TRY(v->piece(r->cx, v->arg, str_bytes(r->piece, got)));
	}
	return OK;
}

static enum err read_item(struct reading *r, size_t i)
{
	const struct item *item = &r->items[i];
	struct unzip_entry folder = { item->path, item->kind, item->mode, 0, STR_LIT("") };
	zip_file_t *f;
	zip_stat_t st;
	enum err e;

	if (item->kind == UNZIP_FOLDER)
		return item->path.n && r->visitor->entry ? r->visitor->entry(r->cx, r->visitor->arg, &folder) : OK;
	if (zip_stat_index(r->zip, i, 0, &st) || !(f = zip_fopen_index(r->zip, i, 0)))
		return refuse(r, item->path, "cannot be read");
	e = item->kind == UNZIP_LINK ? read_link(r, f, item, (int64_t)st.size) : read_file(r, f, item, (int64_t)st.size);
	zip_fclose(f);
	return e;
}

static enum err read_all(struct reading *r, struct unzip_directory *d)
{
	TRY(take_items(r, d));
	TRY(check_names(r));
	for (size_t i = 0; i < r->n; i++)
		TRY(read_item(r, i));
	return OK;
}

/* libzip takes a descriptor away with it. An empty zip, which it takes for a new one, has nothing to run. */
static enum err open_zip(struct ctx *cx, int fd, zip_t **out)
{
	int own = dup(fd), why = 0;

	if (own < 0)
		return err_errno(cx, "read the package");
	*out = zip_fdopen(own, 0, &why);
	if (*out)
		return OK;
	close(own);
	if (why == ZIP_ER_READ || why == ZIP_ER_SEEK)
		return err_set(cx, ERR_INTERNAL, "the package's file cannot be read");
	if (why == ZIP_ER_MEMORY)
		abort(); /* as an arena does */
	return err_set(cx, ERR_INPUT, "the package is not a zip, or a damaged one");
}

enum err unzip_read(struct ctx *cx, int fd, int64_t time_us, const struct unzip_visitor *visitor, struct unzip_sum *sum)
{
	struct reading *r;
	struct unzip_directory d;
	struct stat st;
	enum err e;

	if (fstat(fd, &st))
		return err_errno(cx, "read the package");
	TRY(unzip_directory_find(cx, fd, st.st_size, &d));
	if (!d.entries)
		return err_set(cx, ERR_INPUT, "the package is empty");
	r = arena_take(&cx->arena, sizeof *r);
	*r = (struct reading){ .cx = cx, .size = st.st_size, .until_us = clock_boot_us() + time_us, .visitor = visitor };
	TRY(open_zip(cx, fd, &r->zip));
	e = read_all(r, &d);
	zip_discard(r->zip);
	*sum = (struct unzip_sum){ (int64_t)r->n, r->unpacked };
	return e;
}

enum err unzip_check(struct ctx *cx, struct str bytes, int64_t time_us, struct unzip_sum *sum)
{
	static const struct unzip_visitor NOBODY = { 0 };
	int fd = memfd_create("package", MFD_CLOEXEC);
	enum err e;

	if (fd < 0)
		return err_errno(cx, "make a file in memory");
	while (bytes.n) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n <= 0) {
			close(fd);
			return err_errno(cx, "fill a file in memory");
		}
		bytes = str_bytes(bytes.p + n, bytes.n - (size_t)n);
	}
	e = unzip_read(cx, fd, time_us, &NOBODY, sum);
	close(fd);
	return e;
}
