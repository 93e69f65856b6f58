/* The image store: what a hostile archive may not do, and what a name leads to. Needs root. */
#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tree.h"
#include "worker/image/image_import.h"

static char dir[64], tar[96];
static struct ctx cx;

struct entry {
	const char *path;
	unsigned type; /* AE_IF…; 0 = a hard link */
	const char *text; /* content, or what a link points at */
	unsigned mode;
};

static void write_tar(const struct entry *list, size_t n)
{
	struct archive *a = archive_write_new();

	archive_write_set_format_pax_restricted(a);
	ck_assert_int_eq(archive_write_open_filename(a, tar), ARCHIVE_OK);
	for (size_t i = 0; i < n; i++) {
		struct archive_entry *e = archive_entry_new();
		size_t size = list[i].type == AE_IFREG && list[i].text ? strlen(list[i].text) : 0;

		archive_entry_set_pathname(e, list[i].path);
		archive_entry_set_filetype(e, list[i].type ? list[i].type : AE_IFREG);
		archive_entry_set_perm(e, list[i].mode ? list[i].mode : 0755);
		archive_entry_set_size(e, (la_int64_t)size);
		if (list[i].type == AE_IFLNK)
			archive_entry_set_symlink(e, list[i].text);
		if (list[i].type == 0)
			archive_entry_set_hardlink(e, list[i].text);
		ck_assert_int_ge(archive_write_header(a, e), ARCHIVE_WARN);
		if (size)
			ck_assert_int_eq(archive_write_data(a, list[i].text, size), (la_ssize_t)size);
		archive_entry_free(e);
	}
	archive_write_close(a);
	archive_write_free(a);
}

static struct image_limits limits_of(uint64_t bytes, uint64_t entries)
{
	struct image_limits limits = IMAGE_LIMITS_DEFAULT;

	limits.bytes = bytes;
	limits.entries = entries;
	return limits;
}

static enum err import(const char *name, const char *config, struct image_limits limits, char digest[72])
{
	return image_import(&cx, dir, str_of(name), tar, str_of(config), &limits, digest);
}

#define TAR(...)                                                                                   \
	do {                                                                                           \
		const struct entry tar_[] = { __VA_ARGS__ };                                               \
		write_tar(tar_, sizeof tar_ / sizeof tar_[0]);                                             \
	} while (0)

static void is_refused(const char *why)
{
	char digest[72];

	ck_assert_int_eq(import("bad", "", IMAGE_LIMITS_DEFAULT, digest), ERR_INPUT);
	ck_assert_msg(strstr(cx.message, why), "\"%s\" does not say \"%s\"", cx.message, why);
}

/* A failed import leaves nothing half there. */
static int images_there(void)
{
	char path[96];
	struct stat st;

	snprintf(path, sizeof path, "%s/images", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	return (int)st.st_nlink - 3; /* itself, its name, names/ */
}

START_TEST(archives_that_lead_out_are_refused)
{
	TAR({ "../evil", AE_IFREG, "x", 0 });
	is_refused("leads out");
	TAR({ "/evil", AE_IFREG, "x", 0 });
	is_refused("leads out");
	TAR({ "a/../../evil", AE_IFREG, "x", 0 });
	is_refused("leads out");
	TAR({ "h", 0, "../../etc/passwd", 0 });
	is_refused("leads out");
	TAR({ "h", 0, "/etc/passwd", 0 });
	is_refused("leads out");
	TAR({ "manifest.json", AE_IFREG, "[]", 0 });
	is_refused("layers");
	ck_assert_int_eq(images_there(), 0);
}
END_TEST

START_TEST(too_large_and_too_many_is_refused)
{
	char digest[72];

	TAR({ "a", AE_IFREG, "0123456789", 0 }, { "b", AE_IFREG, "0123456789", 0 });
	ck_assert_int_eq(import("n", "", limits_of(15, 10), digest), ERR_INPUT);
	ck_assert_int_eq(import("n", "", limits_of(100, 1), digest), ERR_INPUT);
	ck_assert_int_eq(import("n", "", limits_of(20, 2), digest), OK);
}
END_TEST

START_TEST(links_stay_inside_and_no_device_or_set_id_bit_is_unpacked)
{
	char digest[72], path[256];
	struct stat st;

	TAR({ "bin", AE_IFDIR, NULL, 0 }, { "bin/su", AE_IFREG, "x", 06755 }, { "l", AE_IFLNK, "/tmp", 0 },
	    { "l/evil-of-stoker", AE_IFREG, "x", 0 }, { "dev/null", AE_IFCHR, NULL, 0 },
	    { "./bin/sh", 0, "bin/su", 0 });
	ck_assert_msg(import("im", "", IMAGE_LIMITS_DEFAULT, digest) == OK, "%s", cx.message);
	ck_assert_int_ne(access("/tmp/evil-of-stoker", F_OK), 0);
	snprintf(path, sizeof path, "%s/images/sha256-%.64s/rootfs/bin/sh", dir, digest + 7);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0755);
	ck_assert_uint_eq(st.st_nlink, 2);
	snprintf(path, sizeof path, "%s/images/sha256-%.64s/rootfs/dev/null", dir, digest + 7);
	ck_assert_int_ne(lstat(path, &st), 0);
}
END_TEST

START_TEST(a_name_leads_to_digest_config_and_user)
{
	static const char config[] = "{\"config\":{\"Entrypoint\":[\"/bin/x\"],\"Cmd\":[\"a\",\"b\"],"
		                     "\"Env\":[\"A=1\"],\"WorkingDir\":\"/w\",\"User\":\"job:staff\"}}";
	struct image im;
	struct image_name *list;
	char digest[72];
	size_t n;

	TAR({ "etc", AE_IFDIR, NULL, 0 }, { "etc/passwd", AE_IFREG, "root:x:0:0::/:/bin/sh\njob:x:7:8::/:\n", 0 },
	    { "etc/group", AE_IFREG, "staff:x:50:\n", 0 });
	ck_assert_int_eq(import("team/job:1", config, IMAGE_LIMITS_DEFAULT, digest), OK);
	ck_assert_int_eq(import("again", config, IMAGE_LIMITS_DEFAULT, digest), OK);
	ck_assert_int_eq(image_find(&cx, dir, STR_LIT("team/job:1"), &im), OK);
	ck_assert_str_eq(im.digest_text, digest);
	ck_assert(str_is(im.entrypoint[0], "/bin/x") && im.cmd_count == 2 && str_is(im.cmd[1], "b"));
	ck_assert(str_is(im.env[0], "A=1") && str_is(im.workdir, "/w"));
	ck_assert_uint_eq(im.uid, 7);
	ck_assert_uint_eq(im.gid, 50);
	ck_assert_int_eq(image_find(&cx, dir, str_of(digest), &im), OK);
	ck_assert_int_eq(image_list(&cx, dir, &list, &n), OK);
	ck_assert_uint_eq(n, 2);
	ck_assert(str_is(list[0].name, "again") && str_is(list[1].name, "team/job:1"));
	ck_assert_int_eq(image_remove(&cx, dir, STR_LIT("again")), OK);
	ck_assert_int_eq(image_find(&cx, dir, STR_LIT("again"), &im), ERR_NOT_FOUND);
	ck_assert_int_eq(image_find(&cx, dir, STR_LIT("team/job:1"), &im), OK);
	ck_assert_int_eq(image_remove(&cx, dir, STR_LIT("team/job:1")), OK);
	ck_assert_int_eq(image_find(&cx, dir, str_of(digest), &im), ERR_NOT_FOUND);
}
END_TEST

START_TEST(names_are_checked)
{
	static const char *const wrong[] = { "", ".", "../x", "a//b", "a/", "/a", "a/../b", "a b", "a%2Fb", "-x",
		                             "a\n", "a/./b" };

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		ck_assert_msg(!image_name_is_valid(str_of(wrong[i])), "taken: %s", wrong[i]);
	ck_assert(image_name_is_valid(STR_LIT("registry.example:5000/team/app@v1+2_x-y")));
}
END_TEST

static void set_up(void)
{
	const char *tmp = getenv("STOKER_TEST_TMP");

	cx = (struct ctx){ 0 };
	snprintf(dir, sizeof dir, "%.40s/image-XXXXXX", tmp && *tmp && strlen(tmp) <= 40 ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(tar, sizeof tar, "%s/x.tar", dir);
}

static void tear_down(void)
{
	tree_remove(AT_FDCWD, dir);
	ctx_release(&cx);
}

int main(void)
{
	Suite *s = suite_create("image");
	TCase *t = tcase_create("image");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, archives_that_lead_out_are_refused);
	tcase_add_test(t, too_large_and_too_many_is_refused);
	tcase_add_test(t, links_stay_inside_and_no_device_or_set_id_bit_is_unpacked);
	tcase_add_test(t, a_name_leads_to_digest_config_and_user);
	tcase_add_test(t, names_are_checked);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
