#include "model/image_ref.h"

#include <check.h>
#include <stdlib.h>

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

START_TEST(parts_are_told_apart)
{
	struct image_ref r;

	ck_assert(image_ref_parse(str_of("docker://localhost:5000/team/job:1.2"), &r));
	ck_assert(str_is(r.server, "localhost:5000"));
	ck_assert(str_is(r.repository, "localhost:5000/team/job"));
	ck_assert(str_is(r.tag, "1.2") && !r.has_digest);
	ck_assert(image_ref_parse(str_of("docker://registry.example/job"), &r));
	ck_assert(str_is(r.repository, "registry.example/job") && r.tag.n == 0);
	ck_assert(image_ref_parse(str_of("docker://registry.example/a/b@sha256:" HEX), &r));
	ck_assert(r.has_digest && r.digest[1] == 0x11 && str_is(r.repository, "registry.example/a/b"));
}
END_TEST

START_TEST(what_is_no_image_of_a_registry_is_refused)
{
	static const char *const bad[] = {
		"busybox", "docker://", "docker://busybox", "docker://team/job", "docker://registry.example/", "oci:/etc:x",
		"docker://registry.example/Team", "docker://registry.example/a//b", "docker://registry.example/../etc",
		"docker://registry.example/job:", "docker://registry.example/job@sha256:12", "docker://registry.example/job@md5:12",
		"docker://registry.example/job 1", "docker://registry.example/job;x", "docker://-registry.example/job",
		"docker://user@registry.example/job", "docker-archive:/etc/passwd", "docker://registry.example/a:b/c",
	};
	struct image_ref r = { .tag = STR_LIT("untouched") };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(!image_ref_parse(str_of(bad[i]), &r), "%s", bad[i]);
	ck_assert(str_is(r.tag, "untouched"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("image_ref");
	TCase *t = tcase_create("all");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, parts_are_told_apart);
	tcase_add_test(t, what_is_no_image_of_a_registry_is_refused);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
