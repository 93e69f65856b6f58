#include "base/http_pool.h"

#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
	struct loop *loop;
	int left;
	long status[8];
	int retry_after_s;
	char error[8][200], answer[64];
	int n;
};

static void on_done(void *arg, const struct http_outcome *how)
{
	struct seen *s = arg;

	s->status[s->n] = how->status;
	s->retry_after_s = how->retry_after_s;
	snprintf(s->error[s->n], sizeof s->error[0], STR_FMT, STR_ARG(how->error));
	snprintf(s->answer, sizeof s->answer, STR_FMT, STR_ARG(how->answer));
	s->n++;
	if (--s->left == 0)
		loop_end(s->loop);
}

static int listen_on(char url[64])
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	snprintf(url, 64, "http://127.0.0.1:%d/hook", ntohs(at.sin_port));
	return fd;
}

/* A child that takes `n` connections, checks that the body arrived, answers with `answer`. */
static pid_t serve(int fd, int n, const char *answer)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	alarm(10);
	for (int i = 0; i < n; i++) {
		char text[4096] = "";
		size_t got = 0;
		int c = accept(fd, NULL, NULL);

		while (!strstr(text, "the body") && got < sizeof text - 1) {
			ssize_t r = read(c, text + got, sizeof text - 1 - got);

			if (r <= 0)
				_exit(1);
			got += (size_t)r;
			text[got] = '\0';
		}
		if (strncmp(text, "POST /hook ", 11) || !strstr(text, "X-Test: yes") || !strstr(text, "User-Agent: tester"))
			_exit(2);
		if (write(c, answer, strlen(answer)) < 0)
			_exit(3);
		close(c);
	}
	_exit(0);
}

static struct http_pool *pool_of(struct loop *l, bool allow_private, size_t answer_max)
{
	struct http_pool_options o = { .allow_private = allow_private, .connect_ms = 1000, .total_ms = 1000,
		                       .answer_max = answer_max, .user_agent = "tester" };

	return http_pool_new(l, &o);
}

static void post(struct http_pool *p, struct seen *s, const char *url)
{
	static const char *const HEADERS[] = { "X-Test: yes", NULL };

	s->left++;
	http_pool_post(p, url, HEADERS, STR_LIT("the body"), on_done, s);
}

START_TEST(several_posts_at_once_each_get_their_answer)
{
	struct seen s = { .loop = loop_new() };
	struct http_pool *p = pool_of(s.loop, true, 0);
	char url[64];
	int fd = listen_on(url), status;
	pid_t server = serve(fd, 4, "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");

	for (int i = 0; i < 4; i++)
		post(p, &s, url);
	ck_assert_uint_eq(http_pool_open(p), 4);
	ck_assert(loop_run(s.loop));
	ck_assert_int_eq(s.n, 4);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(s.status[i], 503);
	ck_assert_int_eq(s.retry_after_s, 7);
	ck_assert_uint_eq(http_pool_open(p), 0);
	ck_assert_int_eq(waitpid(server, &status, 0), server);
	ck_assert_int_eq(status, 0);
	http_pool_free(p);
	loop_free(s.loop);
	close(fd);
}
END_TEST

START_TEST(an_address_that_is_not_public_is_never_connected)
{
	struct seen s = { .loop = loop_new() };
	struct http_pool *p = pool_of(s.loop, false, 0);
	char url[64], by_name[64];
	int fd = listen_on(url);
	struct pollfd nobody = { .fd = fd, .events = POLLIN };

	snprintf(by_name, sizeof by_name, "http://localhost:%s", strrchr(url, ':') + 1);
	post(p, &s, url);
	post(p, &s, by_name);
	ck_assert(loop_run(s.loop));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(s.status[i], 0);
		ck_assert_ptr_nonnull(strstr(s.error[i], "not a public one"));
	}
	ck_assert_int_eq(poll(&nobody, 1, 50), 0);
	http_pool_free(p);
	loop_free(s.loop);
	close(fd);
}
END_TEST

START_TEST(a_redirect_is_an_answer_and_not_followed)
{
	struct seen s = { .loop = loop_new() };
	struct http_pool *p = pool_of(s.loop, true, 0);
	char url[64];
	int fd = listen_on(url);
	pid_t server = serve(fd, 1, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");

	post(p, &s, url);
	ck_assert(loop_run(s.loop));
	ck_assert_int_eq(s.status[0], 302);
	waitpid(server, NULL, 0);
	http_pool_free(p);
	loop_free(s.loop);
	close(fd);
}
END_TEST

START_TEST(a_long_answer_is_cut_and_a_silent_receiver_is_an_error)
{
	struct seen s = { .loop = loop_new() };
	struct http_pool *p = pool_of(s.loop, true, 4);
	char url[64], silent[64];
	int fd = listen_on(url), quiet = listen_on(silent);
	pid_t server = serve(fd, 1, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n123456789");

	post(p, &s, url);
	ck_assert(loop_run(s.loop));
	ck_assert_int_eq(s.status[0], 200);
	ck_assert_str_eq(s.answer, "123456789");
	post(p, &s, silent);
	ck_assert(loop_run(s.loop));
	ck_assert_int_eq(s.status[1], 0);
	ck_assert(s.error[1][0]);
	waitpid(server, NULL, 0);
	http_pool_free(p);
	loop_free(s.loop);
	close(fd);
	close(quiet);
}
END_TEST

START_TEST(what_is_under_way_is_dropped_with_the_pool)
{
	struct seen s = { .loop = loop_new() };
	struct http_pool *p = pool_of(s.loop, true, 0);
	char url[64];
	int fd = listen_on(url);

	post(p, &s, url);
	for (int i = 0; i < 5; i++)
		ck_assert(loop_turn(s.loop, 10));
	http_pool_free(p);
	ck_assert_int_eq(s.n, 0);
	loop_free(s.loop);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http_pool");
	TCase *t = tcase_create("http_pool");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 20);
	tcase_add_test(t, several_posts_at_once_each_get_their_answer);
	tcase_add_test(t, an_address_that_is_not_public_is_never_connected);
	tcase_add_test(t, a_redirect_is_an_answer_and_not_followed);
	tcase_add_test(t, a_long_answer_is_cut_and_a_silent_receiver_is_an_error);
	tcase_add_test(t, what_is_under_way_is_dropped_with_the_pool);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
