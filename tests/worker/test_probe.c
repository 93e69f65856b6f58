#include "worker/runner/probe.h"

#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Servers as the prober may find them; real sockets. */
static char path[] = "/tmp/stoker-probe-XXXXXX";
static char socket_path[64];

static void set_up(void)
{
	snprintf(path, sizeof path, "/tmp/stoker-probe-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	snprintf(socket_path, sizeof socket_path, "%s/s", path);
}

static void tear_down(void)
{
	unlink(socket_path);
	rmdir(path);
}

static int listen_unix(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof at.sun_path, "%s", socket_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	return fd;
}

static int listen_tcp(int *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(listen(fd, 5), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static void greet_one(int fd)
{
	if (fork() == 0) {
		int c = accept(fd, NULL, NULL);

		_exit(c < 0 || write(c, "J", 1) != 1 || usleep(300000));
	}
}

static enum server_sight sight_unix(void)
{
	struct settings_database db = { .socket = socket_path, .host = (char *)"" };

	return probe_servers(&db);
}

static enum server_sight sight_tcp(const char *hosts, int port)
{
	struct settings_database db = { .socket = (char *)"", .host = (char *)hosts, .port = port, .user = (char *)"nobody",
		                        .name = (char *)"stoker", .password_file = (char *)"" };

	return probe_servers(&db);
}

START_TEST(a_socket_that_is_gone_or_refuses_is_a_server_away)
{
	ck_assert_int_eq(sight_unix(), SERVER_AWAY);
	close(listen_unix());
	ck_assert_int_eq(sight_unix(), SERVER_AWAY);
}
END_TEST

START_TEST(a_server_that_greets_lives)
{
	int fd = listen_unix();

	greet_one(fd);
	ck_assert_int_eq(sight_unix(), SERVER_LIVES);
	close(fd);
}
END_TEST

START_TEST(a_server_that_greets_nobody_is_away)
{
	int fd = listen_unix();

	ck_assert_int_eq(sight_unix(), SERVER_AWAY);
	close(fd);
}
END_TEST

START_TEST(one_living_server_of_several_is_enough)
{
	int port, fd = listen_tcp(&port);

	greet_one(fd);
	ck_assert_int_eq(sight_tcp("127.0.0.2, 127.0.0.1", port), SERVER_LIVES);
	close(fd);
	ck_assert_int_eq(sight_tcp("127.0.0.2, 127.0.0.1", port), SERVER_AWAY);
}
END_TEST

/* One after the other they would take ten seconds, and the jobs' deadline would be over. */
START_TEST(servers_that_greet_nobody_are_looked_at_together)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct timespec began, ended;
	int port, fd = listen_tcp(&port);

	close(fd);
	at.sin_port = htons((uint16_t)port);
	fd = socket(AF_INET, SOCK_STREAM, 0); /* on every address of the loopback */
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	clock_gettime(CLOCK_MONOTONIC, &began);
	ck_assert_int_eq(sight_tcp("127.0.0.1,127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5", port), SERVER_AWAY);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	ck_assert_int_lt(ended.tv_sec - began.tv_sec, 8);
	close(fd);
}
END_TEST

START_TEST(no_route_and_no_name_say_nothing_about_the_server)
{
	ck_assert_int_eq(sight_tcp("no-such-host.invalid", 3306), SERVER_UNSEEN);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("probe");
	TCase *t = tcase_create("probe");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 20);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a_socket_that_is_gone_or_refuses_is_a_server_away);
	tcase_add_test(t, a_server_that_greets_lives);
	tcase_add_test(t, a_server_that_greets_nobody_is_away);
	tcase_add_test(t, one_living_server_of_several_is_enough);
	tcase_add_test(t, servers_that_greet_nobody_are_looked_at_together);
	tcase_add_test(t, no_route_and_no_name_say_nothing_about_the_server);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
