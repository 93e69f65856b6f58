#include "base/egress.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *address;
	bool is_public;
} ROWS[] = {
	{ "8.8.8.8", true }, { "1.1.1.1", true }, { "172.15.0.1", true }, { "172.32.0.1", true },
	{ "100.63.255.255", true }, { "100.128.0.1", true }, { "192.167.1.1", true }, { "223.255.255.254", true },
	{ "0.0.0.0", false }, { "0.1.2.3", false }, { "127.0.0.1", false }, { "127.255.255.255", false },
	{ "10.0.0.1", false }, { "172.16.0.1", false }, { "172.31.255.255", false }, { "192.168.1.1", false },
	{ "169.254.169.254", false }, { "100.64.0.1", false }, { "192.0.0.8", false }, { "198.18.0.1", false },
	{ "198.19.255.255", false }, { "224.0.0.1", false }, { "255.255.255.255", false }, { "240.0.0.1", false },
	{ "2606:4700::1111", true }, { "2a00:1450:4001::200e", true }, { "::ffff:8.8.8.8", true },
	{ "64:ff9b::8.8.8.8", true }, { "2002:808:808::1", true },
	{ "::", false }, { "::1", false }, { "fe80::1", false }, { "fc00::1", false }, { "fd12:3456::1", false },
	{ "ff02::1", false }, { "::ffff:127.0.0.1", false }, { "::ffff:169.254.169.254", false },
	{ "64:ff9b::10.0.0.1", false }, { "2002:7f00:1::1", false }, { "2001:db8::1", false }, { "2001::1", false },
	{ "::127.0.0.1", false }, { "fec0::1", false },
};

START_TEST(only_addresses_of_the_public_internet_are_called)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const struct sockaddr *to = (struct sockaddr *)&in;

	if (strchr(ROWS[_i].address, ':')) {
		ck_assert_int_eq(inet_pton(AF_INET6, ROWS[_i].address, &in6.sin6_addr), 1);
		to = (struct sockaddr *)&in6;
	} else {
		ck_assert_int_eq(inet_pton(AF_INET, ROWS[_i].address, &in.sin_addr), 1);
	}
	ck_assert_msg(egress_is_public(to) == ROWS[_i].is_public, "%s", ROWS[_i].address);
}
END_TEST

START_TEST(a_unix_socket_is_not_public)
{
	struct sockaddr to = { .sa_family = AF_UNIX };

	ck_assert(!egress_is_public(&to));
}
END_TEST

static struct sockaddr_storage address_of(const char *text)
{
	struct sockaddr_storage at = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&at;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&at;

	at.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	ck_assert_int_eq(inet_pton(at.ss_family, text, at.ss_family == AF_INET ? (void *)&in->sin_addr : (void *)&in6->sin6_addr), 1);
	return at;
}

static bool may(const struct egress_list *list, const char *host, const char *address)
{
	struct sockaddr_storage at = address_of(address);

	return egress_may(list, host, (struct sockaddr *)&at);
}

START_TEST(an_operator_opens_networks_and_hosts_and_nothing_beside_them)
{
	auto_ctx cx = { 0 };
	struct egress_list list;

	ck_assert_int_eq(egress_list_read(&cx, "10.1.0.0/16, fd00:1::/33 ,192.168.7.7,Hooks.Intern,.corp.example,", &list), OK);
	ck_assert(may(&list, "x", "10.1.255.255") && !may(&list, "x", "10.2.0.0") && !may(&list, "x", "10.0.255.255"));
	ck_assert(may(&list, "x", "fd00:1:7fff::1") && !may(&list, "x", "fd00:1:8000::1") && !may(&list, "x", "fd00:2::1"));
	ck_assert(may(&list, "x", "192.168.7.7") && !may(&list, "x", "192.168.7.6"));
	ck_assert(!may(&list, "x", "::ffff:10.1.0.1")); /* only as it was written */
	ck_assert(may(&list, "hooks.intern", "127.0.0.1") && may(&list, "HOOKS.INTERN", "10.9.9.9"));
	ck_assert(!may(&list, "a.hooks.intern", "127.0.0.1") && !may(&list, "hooks.intern.evil", "127.0.0.1"));
	ck_assert(may(&list, "a.corp.example", "10.9.9.9") && may(&list, "corp.example", "10.9.9.9"));
	ck_assert(!may(&list, "notcorp.example", "10.9.9.9") && !may(&list, "", "10.9.9.9"));
	ck_assert(may(&list, "x", "93.184.216.34"));
	ck_assert_int_eq(egress_list_read(&cx, "", &list), OK);
	ck_assert(!may(&list, "x", "127.0.0.1"));
}
END_TEST

START_TEST(what_is_no_network_and_no_host_is_refused)
{
	static const char *const BAD[] = { "10.0.0.0/33", "10.0.0.0/x", "fd00::/129", "a b", "http://x", "10.0.0.0/-1", "*" };

	for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
		auto_ctx cx = { 0 };
		struct egress_list list;

		ck_assert_msg(egress_list_read(&cx, BAD[i], &list) == ERR_INPUT, "%s", BAD[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("egress");
	TCase *t = tcase_create("egress");
	SRunner *r;
	int failed;

	tcase_add_loop_test(t, only_addresses_of_the_public_internet_are_called, 0, sizeof ROWS / sizeof *ROWS);
	tcase_add_test(t, a_unix_socket_is_not_public);
	tcase_add_test(t, an_operator_opens_networks_and_hosts_and_nothing_beside_them);
	tcase_add_test(t, what_is_no_network_and_no_host_is_refused);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
