/* The guard where it counts: calls that must not be made, and a listener that hears nothing of them. */
#include "base/http_pool.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ways to write 127.0.0.1 and what stands for it; %d is the port. */
static const char *const SPELLINGS[] = {
	"http://127.0.0.1:%d/", "http://127.1:%d/", "http://127.0.1:%d/", "http://127.000.000.001:%d/", "http://0177.0.0.1:%d/",
	"http://0177.0.0.01:%d/", "http://0x7f.0.0.1:%d/", "http://0x7f.0x0.0x0.0x1:%d/", "http://0x7f000001:%d/",
	"http://0X7F000001:%d/", "http://2130706433:%d/", "http://017700000001:%d/", "http://0x7f.1:%d/", "http://0177.1:%d/",
	"http://127.0.0.1.:%d/", "http://127.1.1.1:%d/", "http://127.255.255.254:%d/", "http://127.0.0.2:%d/",
	"http://0.0.0.0:%d/", "http://0:%d/", "http://0x0:%d/", "http://00:%d/", "http://0.0:%d/", "http://0.1:%d/",
	"http://[::1]:%d/", "http://[0:0:0:0:0:0:0:1]:%d/", "http://[0000:0000:0000:0000:0000:0000:0000:0001]:%d/",
	"http://[::]:%d/", "http://[0::0]:%d/", "http://[::ffff:127.0.0.1]:%d/", "http://[::FFFF:127.0.0.1]:%d/",
	"http://[::ffff:7f00:1]:%d/", "http://[0:0:0:0:0:ffff:7f00:0001]:%d/", "http://[::127.0.0.1]:%d/", "http://[::7f00:1]:%d/",
	"http://[64:ff9b::127.0.0.1]:%d/", "http://[64:ff9b::7f00:1]:%d/", "http://[2002:7f00:1::]:%d/", "http://[2002:7f00:1::1]:%d/",
	"http://[fe80::1]:%d/", "http://[fe80::1%%25lo]:%d/", "http://[fc00::1]:%d/", "http://[fd00::1]:%d/", "http://[ff02::1]:%d/",
	"http://localhost:%d/", "http://LOCALHOST:%d/", "http://LocalHost.:%d/", "http://localhost.localdomain:%d/",
	"http://ip6-localhost:%d/", "http://foo.localhost:%d/", "http://127%%2e0%%2e0%%2e1:%d/", "http://%%31%%32%%37.0.0.1:%d/",
	"http://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1:%d/", "http://127\xe3\x80\x82" "0\xe3\x80\x82" "0\xe3\x80\x82" "1:%d/",
	"HTTP://127.0.0.1:%d/", "https://127.0.0.1:%d/", "http://x@127.0.0.1:%d/", "http://example.com@127.0.0.1:%d/",
	"http://127.0.0.1:%d\\@example.com/", "http://127.0.0.1:%d#@example.com/", "http://127.0.0.1:%d?@example.com/",
	"http:127.0.0.1:%d/", "http:/127.0.0.1:%d/", "http:///127.0.0.1:%d/", "http://169.254.169.254:%d/", "http://[::ffff:a9fe:a9fe]:%d/",
	"http://10.0.0.1:%d/", "http://192.168.0.1:%d/", "http://172.16.0.1:%d/", "http://100.64.0.1:%d/", "file:///etc/passwd#%d",
	"gopher://127.0.0.1:%d/x", "dict://127.0.0.1:%d/x", "ftp://127.0.0.1:%d/", "127.0.0.1:%d", "//127.0.0.1:%d/", "ldap://127.0.0.1:%d/",
};
enum { SPELLING_COUNT = sizeof SPELLINGS / sizeof *SPELLINGS };
_Static_assert(SPELLING_COUNT >= 60, "sixty at least");

struct tries {
	struct loop *loop;
	int left, answered;
	char error[200];
};

static void on_done(void *arg, const struct http_outcome *how)
{
	struct tries *t = arg;

	t->answered += how->status != 0;
	snprintf(t->error, sizeof t->error, STR_FMT, STR_ARG(how->error));
	if (--t->left == 0)
		loop_end(t->loop);
}

static int listen_on_all(int *port)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0); /* IPv4, too */
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(listen(fd, 128), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin6_port);
	return fd;
}

static bool heard(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 20) != 0;
}

static void call(struct tries *t, const char *url, bool allow_private)
{
	struct http_pool_options o = { .allow_private = allow_private, .connect_ms = 1000, .total_ms = 1500, .user_agent = "guard" };
	struct http_pool *p = http_pool_new(t->loop, &o);

	t->left = 1;
	http_pool_post(p, url, NULL, STR_LIT("{}"), on_done, t);
	ck_assert(loop_run(t->loop));
	http_pool_free(p);
}

/* Names that are asked for may take their time where no name server answers: none is in this. */
static void without_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS))
		return; /* without root: as the machine is */
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ioctl(fd, SIOCSIFFLAGS, &lo);
	close(fd);
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

START_TEST(no_spelling_of_an_internal_address_is_connected_to)
{
	struct tries t = { .loop = NULL };
	char url[300];
	int port, fd;

	without_network();
	fd = listen_on_all(&port);
	t.loop = loop_new();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(url, sizeof url, SPELLINGS[_i], port);
#pragma GCC diagnostic pop
	call(&t, url, false);
	ck_assert_msg(!t.answered && t.error[0], "%s", url);
	ck_assert_msg(!heard(fd), "%s: %s", url, t.error);
	loop_free(t.loop);
	close(fd);
}
END_TEST

START_TEST(the_listener_would_have_heard)
{
	static const char *const HEARD[] = { "http://127.0.0.1:%d/", "http://0x7f.1:%d/", "http://2130706433:%d/" };

	for (size_t i = 0; i < sizeof HEARD / sizeof *HEARD; i++) {
		struct tries t = { .loop = loop_new() };
		char url[100];
		int port, fd = listen_on_all(&port);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(url, sizeof url, HEARD[i], port);
#pragma GCC diagnostic pop
		call(&t, url, true);
		ck_assert_msg(heard(fd), "%s: %s", url, t.error);
		loop_free(t.loop);
		close(fd);
	}
}
END_TEST

START_TEST(proxies_of_the_environment_are_not_used)
{
	struct tries t = { .loop = loop_new() };
	char proxy[64];
	int port, fd = listen_on_all(&port);

	snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", port);
	setenv("http_proxy", proxy, 1);
	setenv("ALL_PROXY", proxy, 1);
	setenv("HTTPS_PROXY", proxy, 1);
	call(&t, "http://192.0.2.1/", false);
	ck_assert(!heard(fd));
	loop_free(t.loop);
	close(fd);
}
END_TEST

START_TEST(a_configured_proxy_is)
{
	struct tries t = { .loop = loop_new(), .left = 1 };
	char proxy[64];
	int port, fd = listen_on_all(&port);
	struct http_pool_options o = { .proxy = proxy, .connect_ms = 500, .total_ms = 500, .user_agent = "guard" };
	struct http_pool *p;

	snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", port);
	p = http_pool_new(t.loop, &o);
	http_pool_post(p, "http://hooks.example/", NULL, STR_LIT("{}"), on_done, &t);
	ck_assert(loop_run(t.loop));
	ck_assert(heard(fd));
	http_pool_free(p);
	loop_free(t.loop);
	close(fd);
}
END_TEST

/* --- redirects ----------------------------------------------------------------------------------------------- */

/* Answers each call on `fd` with a redirect to `to`. */
static pid_t redirecting(int fd, const char *to)
{
	char answer[300], asked[4096];
	pid_t pid = fork();
	int n;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	n = snprintf(answer, sizeof answer, "HTTP/1.1 307 x\r\nLocation: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", to);
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c < 0 || read(c, asked, sizeof asked) <= 0 || write(c, answer, (size_t)n) != n)
			_exit(1);
		shutdown(c, SHUT_WR);
		while (read(c, asked, sizeof asked) > 0)
			;
		close(c);
	}
}

/* Only the name localhost may be called; what it redirects to is judged by itself. */
static bool is_followed(int redirects, const char *to_host)
{
	struct tries t = { .loop = loop_new(), .left = 1 };
	auto_ctx cx = { 0 };
	struct egress_list allow;
	int from_port, to_port, from = listen_on_all(&from_port), to = listen_on_all(&to_port);
	struct http_pool_options o = { .allow = &allow, .redirects = redirects, .connect_ms = 1000, .total_ms = 1000, .user_agent = "guard" };
	char url[100], target[100];
	struct http_pool *p = http_pool_new(t.loop, &o);
	bool was_heard;
	pid_t pid;

	ck_assert_int_eq(egress_list_read(&cx, "localhost", &allow), OK);
	snprintf(url, sizeof url, "http://localhost:%d/", from_port);
	snprintf(target, sizeof target, "http://%s:%d/", to_host, to_port);
	pid = redirecting(from, target);
	http_pool_post(p, url, NULL, STR_LIT("{}"), on_done, &t);
	ck_assert(loop_run(t.loop));
	was_heard = heard(to);
	http_pool_free(p);
	loop_free(t.loop);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(from);
	close(to);
	return was_heard;
}

START_TEST(redirects_are_judged_like_calls)
{
	ck_assert(!is_followed(0, "localhost"));
	ck_assert(is_followed(3, "localhost"));
	ck_assert(!is_followed(3, "127.0.0.1"));
	ck_assert(!is_followed(3, "[::1]"));
}
END_TEST

/* --- a name server that changes its mind -------------------------------------------------------------------- */

/* Answers each question for an A record: the first with a public address, all others with 127.0.0.1. */
static void serve_names(int fd)
{
	static const unsigned char PUBLIC[4] = { 93, 184, 216, 34 }, LOCAL[4] = { 127, 0, 0, 1 };
	static const unsigned char RECORD[] = { 0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int asked = 0;;) {
		unsigned char q[512];
		struct sockaddr_in from;
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(fd, q, sizeof q - 32, 0, (struct sockaddr *)&from, &len);
		size_t end = 12;
		bool is_a;

		if (n < 17)
			continue;
		while (end < (size_t)n && q[end])
			end += q[end] + 1u;
		is_a = q[end + 2] == 1;
		end += 5;
		q[2] = 0x81;
		q[3] = 0x80;
		q[7] = is_a;
		q[9] = q[11] = 0;
		if (is_a) {
			memcpy(q + end, RECORD, sizeof RECORD);
			memcpy(q + end + sizeof RECORD, asked++ ? LOCAL : PUBLIC, 4);
			end += sizeof RECORD + 4;
		}
		sendto(fd, q, end, 0, (struct sockaddr *)&from, len);
	}
}

static pid_t given_name_server(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(53), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	char file[] = "/tmp/stoker-resolv-XXXXXX";
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), conf = mkstemp(file);
	pid_t pid;

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_gt(write(conf, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", 50), 0);
	fchmod(conf, 0644);
	close(conf);
	ck_assert_msg(mount(file, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0, "%s", strerror(errno));
	unlink(file);
	pid = fork();
	if (pid == 0)
		serve_names(fd);
	close(fd);
	return pid;
}

START_TEST(a_name_that_turns_internal_between_two_looks_is_not_connected_to)
{
	struct tries t = { .loop = NULL };
	char url[100];
	int port, fd;
	pid_t server;

	if (geteuid() != 0)
		return;
	without_network();
	server = given_name_server();
	fd = listen_on_all(&port);
	t.loop = loop_new();
	snprintf(url, sizeof url, "http://rebinding.test:%d/", port);
	call(&t, url, false); /* public now: no way there from here */
	ck_assert_ptr_null(strstr(t.error, "not a public one"));
	for (int i = 0; i < 3; i++) {
		call(&t, url, false);
		ck_assert_msg(strstr(t.error, "not a public one") != NULL, "%s", t.error);
	}
	ck_assert(!t.answered && !heard(fd));
	call(&t, url, true);
	ck_assert(heard(fd)); /* so the name did lead there */
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	loop_free(t.loop);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("egress_guard");
	TCase *t = tcase_create("egress_guard");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 20);
	tcase_add_loop_test(t, no_spelling_of_an_internal_address_is_connected_to, 0, SPELLING_COUNT);
	tcase_add_test(t, the_listener_would_have_heard);
	tcase_add_test(t, proxies_of_the_environment_are_not_used);
	tcase_add_test(t, a_configured_proxy_is);
	tcase_add_test(t, redirects_are_judged_like_calls);
	tcase_add_test(t, a_name_that_turns_internal_between_two_looks_is_not_connected_to);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
