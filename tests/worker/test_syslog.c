#include "worker/export/syslog.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* When a batch counts as taken, and where none may go. A real rsyslog is in tests/flow. */
static struct loop *loop;
static struct egress_list allow;

static void set_up(void)
{
	loop = loop_new();
	ck_assert_ptr_nonnull(loop);
	allow = (struct egress_list){ .nets = NULL };
}

static void tear_down(void)
{
	loop_free(loop);
}

/* A listener on the loopback; *port = where. */
static int given_listener(int type, int *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof in;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	ck_assert_int_eq(type == SOCK_STREAM ? listen(fd, 8) : 0, 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &size), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

static struct syslog_call given_call(enum log_scheme scheme, const char *host, int port)
{
	static const struct str MESSAGE = { "message", 7 };
	struct syslog_call c = { .to = { .scheme = scheme, .port = port }, .body = MESSAGE, .datagrams = &MESSAGE, .n = 1,
		                 .allow = &allow, .allow_private = true, .connect_ms = 3000, .total_ms = 700,
		                 .ca_file = "/etc/ssl/certs/ca-certificates.crt" };

	snprintf(c.to.host, sizeof c.to.host, "%s", host);
	return c;
}

static void on_done(void *arg, struct syslog_call *call)
{
	(void)call;
	*(bool *)arg = true;
}

/* Sends, and has `peer` treat the connection that comes to `listener`. */
static void send_to(struct syslog_call *c, int listener, void (*peer)(int fd))
{
	bool is_done = false;

	ck_assert(syslog_send(loop, c, on_done, &is_done));
	while (!is_done) {
		int fd = peer ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;

		if (fd >= 0)
			peer(fd);
		ck_assert(loop_turn(loop, 10));
	}
	syslog_tls_free(c->tls);
}

static void read_all_and_close(int fd)
{
	char bytes[64];
	size_t n = 0;
	ssize_t got;

	while ((got = recv(fd, bytes + n, sizeof bytes - n, 0)) > 0)
		n += (size_t)got;
	ck_assert_uint_eq(n, 7);
	ck_assert_int_eq(memcmp(bytes, "message", 7), 0);
	close(fd);
}

static void close_unread(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	close(fd); /* with something unread: its kernel resets the connection */
}

static void keep_open(int fd)
{
	(void)fd; /* until the test's process ends */
}

START_TEST(a_batch_is_taken_when_the_peer_has_read_to_its_end)
{
	int port, listener = given_listener(SOCK_STREAM, &port);
	struct syslog_call c = given_call(LOG_TCP, "127.0.0.1", port);

	send_to(&c, listener, read_all_and_close);
	ck_assert_str_eq(c.error, "");
	close(listener);
}
END_TEST

START_TEST(one_that_goes_away_with_something_unread_has_not_taken_it)
{
	int port, listener = given_listener(SOCK_STREAM, &port);
	struct syslog_call c = given_call(LOG_TCP, "127.0.0.1", port);

	send_to(&c, listener, close_unread);
	ck_assert_str_eq(c.error, "close: Connection reset by peer");
	close(listener);
}
END_TEST

START_TEST(one_that_says_nothing_ends_with_its_time)
{
	int port, listener = given_listener(SOCK_STREAM, &port);
	struct syslog_call c = given_call(LOG_TCP, "127.0.0.1", port);

	send_to(&c, listener, keep_open);
	ck_assert(str_starts(str_of(c.error), "close: it did not close its side"));
	c = given_call(LOG_TLS, "127.0.0.1", port);
	send_to(&c, listener, keep_open);
	ck_assert(str_starts(str_of(c.error), "TLS: "));
	close(listener);
	c = given_call(LOG_TCP, "127.0.0.1", port);
	send_to(&c, listener, NULL);
	ck_assert_str_eq(c.error, "connect: Connection refused");
	c = given_call(LOG_UDP, "127.0.0.1", port);
	send_to(&c, listener, NULL);
	ck_assert_str_eq(c.error, "send: Connection refused");
}
END_TEST

static const enum log_scheme SCHEMES[] = { LOG_UDP, LOG_TCP, LOG_TLS };
static const char *const INSIDE[] = { "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "::ffff:127.0.0.1", "0" };
enum { INSIDE_COUNT = sizeof INSIDE / sizeof *INSIDE };

START_TEST(no_spelling_of_an_address_inside_is_called)
{
	enum log_scheme scheme = SCHEMES[_i / INSIDE_COUNT];
	int port, listener = given_listener(scheme == LOG_UDP ? SOCK_DGRAM : SOCK_STREAM, &port);
	struct syslog_call c = given_call(scheme, INSIDE[_i % INSIDE_COUNT], port);
	char byte;

	c.allow_private = false;
	send_to(&c, listener, NULL);
	ck_assert_str_ne(c.error, "");
	if (scheme == LOG_UDP)
		ck_assert(recv(listener, &byte, 1, 0) < 0 && errno == EAGAIN);
	else
		ck_assert(accept(listener, NULL, NULL) < 0 && errno == EAGAIN);
	close(listener);
}
END_TEST

START_TEST(what_an_operator_allows_is_called)
{
	static char *HOSTS[] = { "localhost" };
	int port, listener = given_listener(SOCK_DGRAM, &port);
	struct syslog_call c = given_call(LOG_UDP, "localhost", port);
	struct pollfd p = { listener, POLLIN, 0 };

	allow = (struct egress_list){ .hosts = HOSTS, .host_n = 1 };
	c.allow_private = false;
	send_to(&c, listener, NULL);
	ck_assert_str_eq(c.error, "");
	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	close(listener);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("syslog");
	Suite *s = suite_create("syslog");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_batch_is_taken_when_the_peer_has_read_to_its_end);
	tcase_add_test(t, one_that_goes_away_with_something_unread_has_not_taken_it);
	tcase_add_test(t, one_that_says_nothing_ends_with_its_time);
	tcase_add_loop_test(t, no_spelling_of_an_address_inside_is_called, 0, 3 * INSIDE_COUNT);
	tcase_add_test(t, what_an_operator_allows_is_called);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
