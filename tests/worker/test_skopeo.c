#include "worker/image/skopeo.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

START_TEST(words_of_the_registry_say_whether_to_ask_again)
{
	static const struct {
		const char *words;
		enum err means;
	} rows[] = {
		{ "reading manifest 1 in h/x: toomanyrequests: slow down", ERR_LIMIT },
		{ "pinging container registry h: received unexpected HTTP status: 503 Service Unavailable", ERR_LIMIT },
		{ "pinging container registry h: Get \"https://h/v2/\": dial tcp 127.0.0.1:1: connect: connection refused", ERR_LIMIT },
		{ "Requesting bearer token: invalid status code from registry 503 (Service Unavailable)", ERR_LIMIT },
		{ "reading blob sha256:0: Error fetching blob: invalid status code from registry 502 (Bad Gateway)", ERR_LIMIT },
		{ "reading blob sha256:0: Error fetching blob: invalid status code from registry 404 (Not Found)", ERR_INPUT },
		{ "initializing source docker://h/x:1: Get \"https://h/v2/x/manifests/1\": EOF", ERR_LIMIT },
		{ "reading manifest 1 in h/x: manifest unknown: EOF", ERR_INPUT },
		{ "Get \"https://h/v2/\": dial tcp 192.0.2.1:443: connect: connection timed out", ERR_LIMIT },
		{ "reading manifest 1 in h/x: unauthorized: authentication required", ERR_INPUT },
		{ "reading manifest 1 in h/x: manifest unknown: manifest unknown", ERR_INPUT },
		{ "writing blob: happened during read: Digest did not match, expected sha256:1, got sha256:2", ERR_INPUT },
		{ "writing blob: write /x: no space left on device", ERR_INTERNAL },
		{ "", ERR_INPUT },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_msg(skopeo_judge(str_of(rows[i].words)) == rows[i].means, "%s", rows[i].words);
}
END_TEST

START_TEST(a_failure_is_told_in_skopeos_own_words)
{
	auto_ctx cx = { 0 };
	char folder[] = "/tmp/stoker-skopeo-XXXXXX";
	struct skopeo_ask ask = { .source = "oci:/nonexistent/layout:x", .bytes_most = 1 << 20, .seconds_most = 20 };

	ck_assert_ptr_nonnull(mkdtemp(folder));
	ask.folder = folder;
	ck_assert_int_eq(skopeo_copy(&cx, &ask), ERR_INPUT);
	ck_assert_ptr_nonnull(strstr(cx.message, "oci:/nonexistent/layout:x"));
	ck_assert_ptr_nonnull(strstr(cx.message, "no such file or directory"));
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(one_that_must_end_is_killed)
{
	auto_ctx cx = { 0 };
	atomic_bool stop = true;
	const struct skopeo_ask ask = { .source = "docker://127.0.0.1:1/x", .is_plain = true, .bytes_most = 1 << 20,
		                        .seconds_most = 20, .stop = &stop };
	unsigned char digest[SHA256_BYTES];

	ck_assert_int_eq(skopeo_digest(&cx, &ask, digest), ERR_BUSY);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("skopeo");
	TCase *t = tcase_create("all");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, words_of_the_registry_say_whether_to_ask_again);
	tcase_add_test(t, a_failure_is_told_in_skopeos_own_words);
	tcase_add_test(t, one_that_must_end_is_killed);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
