#include "base/unzip.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"

/* A zip written field by field, so that each of them can lie. */
struct zip {
	struct buf files, list;
	int n;
};

/* Content that is packed already: a gibibyte is made of few of them. */
struct ready {
	struct str bytes;
	size_t n;
	unsigned crc;
};

struct given {
	const char *name;
	size_t name_n;       /* 0 = strlen */
	unsigned mode;       /* with its type; 0 = none said */
	const char *content;
	size_t content_n;    /* 0 = strlen */
	int method;          /* 0 stored, 8 deflated */
	int flags;
	long long size_more; /* added to what is stated as its size */
	unsigned crc_xor;
	const struct ready *ready; /* instead of content, deflated */
};

static void put(struct buf *b, unsigned long long n, int bytes)
{
	for (; bytes--; n >>= 8)
		buf_char(b, (char)(n & 255));
}

static struct str deflated(struct arena *a, const char *content, size_t n)
{
	z_stream z = { .next_in = (unsigned char *)(uintptr_t)content, .avail_in = (unsigned)n };
	char *room;

	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, 0), Z_OK);
	room = arena_take(a, deflateBound(&z, n));
	z.next_out = (unsigned char *)room;
	z.avail_out = (unsigned)deflateBound(&z, n);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return str_bytes(room, z.total_out);
}

static struct ready ready_of(struct arena *a, const struct given *g, size_t n)
{
	return (struct ready){ g->method == 8 ? deflated(a, g->content, n) : str_bytes(g->content, n), n,
		               (unsigned)crc32(0, (const unsigned char *)g->content, (unsigned)n) };
}

/* What local header and list both say. */
static void put_fields(struct buf *b, const struct given *g, const struct ready *r, size_t name_n)
{
	put(b, 20, 2);
	put(b, (unsigned)g->flags, 2);
	put(b, (unsigned)g->method, 2);
	put(b, 0x58210000, 4);
	put(b, r->crc ^ g->crc_xor, 4);
	put(b, r->bytes.n, 4);
	put(b, (unsigned long long)((long long)r->n + g->size_more), 4);
	put(b, name_n, 2);
	put(b, 0, 2);
}

static void add(struct zip *z, struct given g)
{
	auto_ctx cx = { 0 };
	size_t at = z->files.n, name_n = g.name_n ? g.name_n : strlen(g.name);
	size_t n = g.content_n ? g.content_n : strlen(g.content = g.content ? g.content : "");
	struct ready r = g.ready ? *g.ready : ready_of(&cx.arena, &g, n);

	buf_text(&z->files, "PK\3\4");
	put_fields(&z->files, &g, &r, name_n);
	buf_add(&z->files, g.name, name_n);
	buf_str(&z->files, r.bytes);
	buf_text(&z->list, "PK\1\2");
	put(&z->list, 3 << 8 | 20, 2);
	put_fields(&z->list, &g, &r, name_n);
	put(&z->list, 0, 2 + 2 + 2);
	put(&z->list, (unsigned long long)g.mode << 16, 4);
	put(&z->list, at, 4);
	buf_add(&z->list, g.name, name_n);
	z->n++;
}

static void end(struct zip *z, int entries, const char *comment)
{
	size_t at = z->files.n;

	buf_str(&z->files, buf_view(&z->list));
	buf_text(&z->files, "PK\5\6");
	put(&z->files, 0, 4);
	put(&z->files, (unsigned)entries, 2);
	put(&z->files, (unsigned)entries, 2);
	put(&z->files, z->list.n, 4);
	put(&z->files, at, 4);
	put(&z->files, strlen(comment), 2);
	buf_text(&z->files, comment);
	buf_free(&z->list);
}

static struct unzip_sum sum;

/* "" or the sentence; frees the zip. */
static const char *verdict(struct zip *z)
{
	static char text[600];
	auto_ctx cx = { 0 };
	enum err e;

	if (z->list.n)
		end(z, z->n, "");
	e = unzip_check(&cx, buf_view(&z->files), 60000000, &sum);
	ck_assert_msg(e == OK || e == ERR_INPUT, "%s", cx.message);
	snprintf(text, sizeof text, "%s", e == OK ? "" : cx.message);
	buf_free(&z->files);
	return text;
}

#define says(got, wanted) ck_assert_msg(strstr(got, wanted) != NULL, "'%s' does not say '%s'", got, wanted)

static const char *verdict_of(struct given g)
{
	struct zip z = { 0 };

	add(&z, (struct given){ .name = "first", .content = "x" });
	add(&z, g);
	return verdict(&z);
}

/* --- what is good ------------------------------------------------------------------------------- */

struct seen {
	char text[4096];
	size_t n;
};

static enum err note_entry(struct ctx *cx, void *arg, const struct unzip_entry *e)
{
	struct seen *s = arg;

	(void)cx;
	s->n += (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, "%s" STR_FMT "%s" STR_FMT " %o:", s->n ? "|" : "",
	                         STR_ARG(e->path), e->kind == UNZIP_FOLDER ? "/" : e->kind == UNZIP_LINK ? " -> " : "",
	                         STR_ARG(e->target), e->mode);
	return OK;
}

static enum err note_piece(struct ctx *cx, void *arg, struct str bytes)
{
	struct seen *s = arg;

	(void)cx;
	s->n += (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, STR_FMT, STR_ARG(bytes));
	return OK;
}

START_TEST(a_visitor_sees_paths_kinds_modes_and_bytes)
{
	auto_ctx cx = { 0 };
	struct seen seen = { 0 };
	const struct unzip_visitor visitor = { note_entry, note_piece, &seen };
	struct zip z = { 0 };
	int fd = memfd_create("zip", MFD_CLOEXEC);

	add(&z, (struct given){ .name = "./" });
	add(&z, (struct given){ .name = "bin/run.sh", .mode = S_IFREG | 0755, .content = "echo hi", .method = 8 });
	add(&z, (struct given){ .name = "bin/", .mode = S_IFDIR | 0700 });
	add(&z, (struct given){ .name = ".//a//b", .content = "two" });
	add(&z, (struct given){ .name = "bin/up", .mode = S_IFLNK | 0777, .content = "../a/b" });
	end(&z, z.n, "a comment");
	ck_assert_int_eq(write(fd, z.files.p, z.files.n), (ssize_t)z.files.n);
	ck_assert_msg(unzip_read(&cx, fd, 5000000, &visitor, &sum) == OK, "%s", cx.message);
	ck_assert_str_eq(seen.text, "bin/run.sh 755:echo hi|bin/ 700:|a/b 644:two|bin/up -> ../a/b 777:");
	ck_assert_int_eq(sum.entries, 5);
	ck_assert_int_eq(sum.bytes, 7 + 3 + 6);
	buf_free(&z.files);
	close(fd);
}
END_TEST

START_TEST(a_zip_within_a_zip_is_a_file_like_others)
{
	struct zip inner = { 0 }, outer = { 0 };

	add(&inner, (struct given){ .name = "x", .content = "y" });
	end(&inner, 1, "");
	add(&outer, (struct given){ .name = "inner.zip", .content = inner.files.p, .content_n = inner.files.n });
	ck_assert_str_eq(verdict(&outer), "");
	buf_free(&inner.files);
}
END_TEST

/* --- what is refused ------------------------------------------------------------------------------ */

START_TEST(paths_that_lead_out_are_refused_by_name)
{
	says(verdict_of((struct given){ .name = "../evil" }), "entry '../evil' of the package leads out of it");
	says(verdict_of((struct given){ .name = "a/../../evil" }), "leads out of it");
	says(verdict_of((struct given){ .name = "a/.." }), "leads out of it");
	says(verdict_of((struct given){ .name = "/etc/passwd" }), "entry '/etc/passwd' of the package has an absolute path");
	says(verdict_of((struct given){ .name = "a\\b" }), "has a backslash in its path");
	says(verdict_of((struct given){ .name = "a\0b", .name_n = 3 }), "holds a NUL");
	says(verdict_of((struct given){ .name = "." }), "has no name");
	ck_assert_str_eq(verdict_of((struct given){ .name = "a/..b/c.." }), "");
}
END_TEST

START_TEST(names_that_come_twice_are_refused)
{
	says(verdict_of((struct given){ .name = "first" }), "entry 'first' of the package is there twice");
	says(verdict_of((struct given){ .name = "first/" }), "is there twice");
	says(verdict_of((struct given){ .name = "./first" }), "is there twice");
	says(verdict_of((struct given){ .name = "first/below" }), "entry 'first/below' of the package lies below a file or a link");
	ck_assert_str_eq(verdict_of((struct given){ .name = "FIRST" }), "");
}
END_TEST

static const char *link_verdict(const char *name, const char *target)
{
	return verdict_of((struct given){ .name = name, .mode = S_IFLNK | 0777, .content = target });
}

START_TEST(links_stay_inside_whatever_other_links_do)
{
	struct zip z = { 0 };

	ck_assert_str_eq(link_verdict("l", "a/b"), "");
	ck_assert_str_eq(link_verdict("a/b/l", "../../x"), "");
	says(link_verdict("l", "/etc"), "is a link that leads out of it");
	says(link_verdict("l", ".."), "is a link that leads out of it");
	says(link_verdict("a/l", "../../x"), "is a link that leads out of it");
	says(link_verdict("a/l", "b/../x"), "is a link that leads out of it"); /* b may be a link itself */
	says(link_verdict("l", ""), "is a link without a target");
	add(&z, (struct given){ .name = "l", .mode = S_IFLNK | 0777, .content = "a" });
	add(&z, (struct given){ .name = "l/x", .content = "through it" });
	says(verdict(&z), "lies below a file or a link");
}
END_TEST

START_TEST(what_is_no_file_folder_or_link_is_refused)
{
	static const unsigned MODES[] = { S_IFCHR | 0666, S_IFBLK | 0666, S_IFIFO | 0666, S_IFSOCK | 0666 };

	for (size_t i = 0; i < sizeof MODES / sizeof *MODES; i++)
		says(verdict_of((struct given){ .name = "odd", .mode = MODES[i] }), "entry 'odd' of the package is neither a file");
	says(verdict_of((struct given){ .name = "odd", .mode = S_IFREG | S_ISUID | 0755 }), "is a setuid");
	says(verdict_of((struct given){ .name = "odd", .mode = S_IFREG | S_ISGID | 0755 }), "is a setuid");
	ck_assert_str_eq(verdict_of((struct given){ .name = "shared/", .mode = S_IFDIR | S_ISGID | 0775 }), "");
}
END_TEST

START_TEST(bombs_are_refused)
{
	size_t n = 1 << 20;
	char *zeros = calloc(1, n);
	struct zip z = { 0 };

	says(verdict_of((struct given){ .name = "bomb", .content = zeros, .content_n = n, .method = 8 }), "entry 'bomb' of the package unpacks to over 100 times");
	says(verdict_of((struct given){ .name = "small", .content = zeros, .content_n = UNZIP_RATIO_FROM, .method = 8 }), "the package unpacks to over 100 times its size");
	ck_assert_str_eq(verdict_of((struct given){ .name = "10k", .content = zeros, .content_n = 10 << 10, .method = 8 }), "");
	for (int i = 0; i < 20; i++) { /* each small enough, all of them not */
		char name[16];

		snprintf(name, sizeof name, "%d", i);
		add(&z, (struct given){ .name = name, .content = zeros, .content_n = UNZIP_RATIO_FROM, .method = 8 });
	}
	says(verdict(&z), "the package unpacks to over 100 times its size");
	says(verdict_of((struct given){ .name = "big", .content = "x", .size_more = 1 << 30 }), "is more than can be unpacked");
	free(zeros);
}
END_TEST

/* A stored entry and so many blanks. */
static struct zip stored_and_blanks(const char *stored, const char *blanks, size_t n)
{
	struct zip z = { 0 };

	add(&z, (struct given){ .name = "stored", .content = stored, .content_n = 100 });
	add(&z, (struct given){ .name = "blanks", .content = blanks, .content_n = n, .method = 8 });
	end(&z, z.n, "");
	return z;
}

/* No entry is over the size from which its own ratio matters. */
START_TEST(a_package_may_unpack_to_a_hundred_times_its_size_and_not_one_byte_more)
{
	char stored[100], *blanks = calloc(1, UNZIP_RATIO_FROM);
	struct zip at = { 0 }, over;
	size_t n = 1;

	memset(stored, 'x', sizeof stored);
	for (;; n++) { /* where a byte more does not make the package longer */
		ck_assert_uint_lt(n, UNZIP_RATIO_FROM);
		at = stored_and_blanks(stored, blanks, n);
		over = stored_and_blanks(stored, blanks, n + 1);
		if (n + sizeof stored == 100 * at.files.n && at.files.n == over.files.n)
			break;
		n += n + sizeof stored + 1 < 100 * at.files.n ? 100 * at.files.n - n - sizeof stored - 1 : 0;
		buf_free(&at.files);
		buf_free(&over.files);
	}
	ck_assert_str_eq(verdict(&at), "");
	ck_assert_int_eq(sum.bytes, (int64_t)(n + sizeof stored));
	ck_assert_str_eq(verdict(&over), "the package unpacks to over 100 times its size");
	free(blanks);
}
END_TEST

/* Beside enough other content, so that the whole is far from it. */
static const char *beside_noise(const char *content, size_t n)
{
	static char noise[2 * UNZIP_RATIO_FROM];
	struct zip z = { 0 };

	add(&z, (struct given){ .name = "noise", .content = noise, .content_n = sizeof noise });
	add(&z, (struct given){ .name = "entry", .content = content, .content_n = n, .method = 8 });
	return verdict(&z);
}

START_TEST(an_entry_may_unpack_to_a_hundred_times_its_size_and_not_one_byte_more)
{
	char *content = calloc(1, 4 * UNZIP_RATIO_FROM);
	auto_ctx cx = { 0 };
	unsigned noise = 1;
	size_t n;

	ck_assert_str_eq(beside_noise(content, UNZIP_RATIO_FROM), ""); /* up to here it does not matter */
	says(beside_noise(content, UNZIP_RATIO_FROM + 1), "entry 'entry' of the package unpacks to over 100 times its size");
	for (size_t i = 0; i < 700; i++)
		content[i] = (char)((noise = noise * 1664525 + 1013904223) >> 24);
	for (n = UNZIP_RATIO_FROM + 1;; n++) {
		size_t packed = deflated(&cx.arena, content, n).n;

		ck_assert_uint_lt(n, 4 * UNZIP_RATIO_FROM - 1);
		if (n == 100 * packed && deflated(&cx.arena, content, n + 1).n == packed)
			break;
		n += n + 1 < 100 * packed ? 100 * packed - n - 1 : 0;
	}
	ck_assert_str_eq(beside_noise(content, n), "");
	says(beside_noise(content, n + 1), "entry 'entry' of the package unpacks to over 100 times its size");
	free(content);
}
END_TEST

/* So much that sixty-four of them are all that may be unpacked, at a ratio of some ninety. */
static struct ready a_sixty_fourth(struct arena *a, size_t n)
{
	struct given g = { .content = arena_take(a, n), .method = 8 };
	char *text = (char *)(uintptr_t)g.content;
	unsigned noise = 1;

	for (size_t i = 0; i < n; i += 800)
		for (size_t k = i; k < i + 5 && k < n; k++)
			text[k] = (char)((noise = noise * 1664525 + 1013904223) >> 24);
	return ready_of(a, &g, n);
}

static void add_gibibyte(struct zip *z, const struct ready *first, const struct ready *other, long long first_more)
{
	char name[16];

	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof name, "%d", i);
		add(z, (struct given){ .name = name, .method = 8, .ready = i ? other : first, .size_more = i ? 0 : first_more });
	}
}

START_TEST(a_gibibyte_is_unpacked_and_a_byte_more_is_refused)
{
	const size_t n = (size_t)(UNZIP_BYTES_MOST / 64);
	struct zip exact = { 0 }, stated = { 0 }, hidden = { 0 };
	auto_ctx cx = { 0 };
	struct ready other = a_sixty_fourth(&cx.arena, n), longer = a_sixty_fourth(&cx.arena, n + 1);

	add_gibibyte(&exact, &other, &other, 0);
	ck_assert_str_eq(verdict(&exact), "");
	ck_assert_int_eq(sum.bytes, UNZIP_BYTES_MOST);
	add_gibibyte(&stated, &other, &other, 0);
	add(&stated, (struct given){ .name = "more", .content = "x" });
	says(verdict(&stated), "entry 'more' of the package is more than can be unpacked: 1 GiB in all");
	add_gibibyte(&hidden, &longer, &other, -1); /* by what is stated just as much as may be */
	says(verdict(&hidden), "entry '0' of the package");
}
END_TEST

START_TEST(entries_that_share_their_bytes_are_refused)
{
	struct zip z = { 0 };
	static char text[60000];

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(i * i % 251);
	add(&z, (struct given){ .name = "one", .content = text, .content_n = sizeof text });
	add(&z, (struct given){ .name = "two", .content = text, .content_n = sizeof text });
	z.files.n -= 30 + 3 + sizeof text; /* the second says where the first is */
	z.list.p[z.list.n - 3 - 4] = z.list.p[z.list.n - 3 - 3] = z.list.p[z.list.n - 3 - 2] = 0;
	says(verdict(&z), "is larger, with those before it, than the package");
}
END_TEST

START_TEST(sizes_and_checksums_that_lie_are_refused)
{
	says(verdict_of((struct given){ .name = "f", .content = "text", .size_more = 1 }), "entry 'f' of the package");
	says(verdict_of((struct given){ .name = "f", .content = "text", .size_more = -1 }), "entry 'f' of the package");
	says(verdict_of((struct given){ .name = "f", .content = "texttext", .size_more = -1, .method = 8 }), "entry 'f' of the package");
	says(verdict_of((struct given){ .name = "f", .content = "texttext", .size_more = 1, .method = 8 }), "entry 'f' of the package");
	says(verdict_of((struct given){ .name = "f", .content = "text", .crc_xor = 1 }), "is damaged");
	says(verdict_of((struct given){ .name = "f/", .content = "text" }), "is a folder with content");
}
END_TEST

START_TEST(encrypted_and_oddly_compressed_entries_are_refused)
{
	says(verdict_of((struct given){ .name = "f", .content = "0123456789abcdef", .flags = 1 }), "entry 'f' of the package is encrypted");
	says(verdict_of((struct given){ .name = "f", .content = "text", .method = 14 }), "is compressed in another way than deflate");
	says(verdict_of((struct given){ .name = "f", .content = "text", .method = 95 }), "is compressed in another way than deflate");
}
END_TEST

static void add_many(struct zip *z, int n)
{
	char name[16];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "d/%d", i);
		add(z, (struct given){ .name = name });
	}
}

START_TEST(so_many_entries_are_read_and_one_more_is_refused)
{
	struct zip z = { 0 };

	add_many(&z, UNZIP_ENTRIES_MOST);
	ck_assert_str_eq(verdict(&z), "");
	ck_assert_int_eq(sum.entries, UNZIP_ENTRIES_MOST);
	z = (struct zip){ 0 };
	add_many(&z, UNZIP_ENTRIES_MOST + 1);
	says(verdict(&z), "the package has over 20000 entries");
}
END_TEST

START_TEST(what_is_no_zip_is_refused)
{
	struct zip z = { 0 };

	says(verdict(&z), "the package is not a zip");
	buf_text(&z.files, "#!/bin/sh\necho this is no zip at all\n");
	says(verdict(&z), "the package is not a zip");
	z = (struct zip){ 0 };
	end(&z, 0, "");
	says(verdict(&z), "the package is empty");
	z = (struct zip){ 0 };
	add(&z, (struct given){ .name = "f" });
	end(&z, 1, "");
	buf_text(&z.files, "more");
	says(verdict(&z), "the package is not a zip");
	z = (struct zip){ 0 };
	add(&z, (struct given){ .name = "f" });
	end(&z, 2, ""); /* one entry less than it says */
	says(verdict(&z), "the package");
}
END_TEST

START_TEST(a_zip_that_two_readers_would_read_differently_is_refused)
{
	struct zip z = { 0 }, inner = { 0 };

	/* an end of its own, whole and first, in the comment */
	add(&inner, (struct given){ .name = "other", .content = "y" });
	end(&inner, 1, "");
	add(&z, (struct given){ .name = "good", .content = "x" });
	add(&z, (struct given){ .name = "more", .content = "x" });
	end(&z, 2, "");
	z.files.p[z.files.n - 2] = 22; /* the comment follows */
	buf_text(&z.files, "PK\5\6");
	put(&z.files, 0, 4);
	put(&z.files, 1, 2);
	put(&z.files, 1, 2);
	put(&z.files, 50, 4);
	put(&z.files, 70, 4);
	put(&z.files, 0, 2);
	ck_assert_str_ne(verdict(&z), "");
	buf_free(&inner.files);
}
END_TEST

START_TEST(no_prefix_and_no_flipped_byte_of_a_zip_does_harm)
{
	struct zip z = { 0 };
	auto_ctx cx = { 0 };

	add(&z, (struct given){ .name = "a/one", .content = "some text some text", .method = 8, .mode = S_IFREG | 0644 });
	add(&z, (struct given){ .name = "two", .content = "../x", .mode = S_IFLNK | 0777 });
	end(&z, 2, "");
	for (size_t n = 0; n < z.files.n; n++) {
		ck_assert_int_eq(unzip_check(&cx, str_bytes(z.files.p, n), 1000000, &sum), ERR_INPUT);
		for (int bit = 0; bit < 8; bit++) {
			z.files.p[n] = (char)(z.files.p[n] ^ 1 << bit);
			unzip_check(&cx, buf_view(&z.files), 1000000, &sum);
			z.files.p[n] = (char)(z.files.p[n] ^ 1 << bit);
		}
		ctx_reset(&cx);
	}
	buf_free(&z.files);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("unzip");
	Suite *s = suite_create("unzip");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_visitor_sees_paths_kinds_modes_and_bytes);
	tcase_add_test(t, a_zip_within_a_zip_is_a_file_like_others);
	tcase_add_test(t, paths_that_lead_out_are_refused_by_name);
	tcase_add_test(t, names_that_come_twice_are_refused);
	tcase_add_test(t, links_stay_inside_whatever_other_links_do);
	tcase_add_test(t, what_is_no_file_folder_or_link_is_refused);
	tcase_add_test(t, bombs_are_refused);
	tcase_add_test(t, a_package_may_unpack_to_a_hundred_times_its_size_and_not_one_byte_more);
	tcase_add_test(t, an_entry_may_unpack_to_a_hundred_times_its_size_and_not_one_byte_more);
	tcase_add_test(t, a_gibibyte_is_unpacked_and_a_byte_more_is_refused);
	tcase_add_test(t, entries_that_share_their_bytes_are_refused);
	tcase_add_test(t, sizes_and_checksums_that_lie_are_refused);
	tcase_add_test(t, encrypted_and_oddly_compressed_entries_are_refused);
	tcase_add_test(t, so_many_entries_are_read_and_one_more_is_refused);
	tcase_add_test(t, what_is_no_zip_is_refused);
	tcase_add_test(t, a_zip_that_two_readers_would_read_differently_is_refused);
	tcase_add_test(t, no_prefix_and_no_flipped_byte_of_a_zip_does_harm);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
