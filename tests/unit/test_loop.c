#include "base/loop.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
	struct loop *loop;
	int order[200], n;
	struct loop_timer timers[100];
	struct loop_watch *other;
	int fd;
};

static void note(struct seen *s, int what)
{
	s->order[s->n++] = what;
}

struct numbered {
	struct seen *seen;
	int number;
};

static void on_time(void *arg)
{
	struct numbered *n = arg;

	note(n->seen, n->number);
}

static void on_last(void *arg)
{
	loop_end(((struct seen *)arg)->loop);
}

START_TEST(timers_run_in_order_of_time_and_stopped_ones_do_not)
{
	struct seen s = { .loop = loop_new() };
	struct numbered numbers[100];
	struct loop_timer last = { 0 };

	for (int i = 0; i < 100; i++) {
		numbers[i] = (struct numbered){ &s, i };
		loop_start(s.loop, &s.timers[i], 1000 + (i * 37 % 100) * 100, on_time, &numbers[i]);
	}
	for (int i = 0; i < 100; i += 3)
		loop_stop(s.loop, &s.timers[i]);
	loop_start(s.loop, &last, 30000, on_last, &s);
	ck_assert(loop_run(s.loop));
	ck_assert_int_eq(s.n, 66);
	for (int i = 1; i < s.n; i++)
		ck_assert_int_lt(s.order[i - 1] * 37 % 100, s.order[i] * 37 % 100);
	for (int i = 0; i < s.n; i++)
		ck_assert_int_ne(s.order[i] % 3, 0);
	loop_free(s.loop);
}
END_TEST

static void again(void *arg)
{
	struct seen *s = arg;

	note(s, 1);
	if (s->n < 5)
		loop_start(s->loop, &s->timers[0], 0, again, s);
	else
		loop_end(s->loop);
}

START_TEST(a_timer_may_set_itself_anew)
{
	struct seen s = { .loop = loop_new() };

	loop_start(s.loop, &s.timers[0], 0, again, &s);
	ck_assert(loop_run(s.loop));
	ck_assert_int_eq(s.n, 5);
	loop_free(s.loop);
}
END_TEST

static void read_and_remove_other(void *arg, uint32_t events)
{
	struct seen *s = arg;

	(void)events;
	note(s, 1);
	loop_remove(s->loop, s->other);
	s->other = NULL;
}

START_TEST(a_watch_that_another_removes_in_the_same_round_is_silent)
{
	struct seen s = { .loop = loop_new() };
	int a[2], b[2];
	struct loop_watch *first, *second;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
	first = loop_add(s.loop, a[0], EPOLLIN, read_and_remove_other, &s);
	second = loop_add(s.loop, b[0], EPOLLIN, read_and_remove_other, &s);
	ck_assert(first && second);
	ck_assert_int_eq(write(a[1], "x", 1), 1);
	ck_assert_int_eq(write(b[1], "x", 1), 1);
	s.other = second; /* whichever is first removes the second; if that is itself, it ran once */
	ck_assert(loop_turn(s.loop, 1000));
	ck_assert_int_eq(s.n, 1);
	loop_remove(s.loop, first);
	loop_free(s.loop);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}
END_TEST

static void on_signal(void *arg, const struct signalfd_siginfo *info)
{
	struct seen *s = arg;

	note(s, (int)info->ssi_signo);
	loop_end(s->loop);
}

START_TEST(signals_come_through_the_loop)
{
	static const int SIGNALS[] = { SIGTERM, SIGUSR1, 0 };
	struct seen s = { .loop = loop_new() };

	ck_assert(loop_signals(s.loop, SIGNALS, on_signal, &s));
	kill(getpid(), SIGUSR1);
	ck_assert(loop_run(s.loop));
	ck_assert_int_eq(s.order[0], SIGUSR1);
	loop_free(s.loop);
}
END_TEST

static void on_gone(void *arg, uint32_t events)
{
	struct seen *s = arg;

	(void)events;
	note(s, 7);
	loop_end(s->loop);
}

START_TEST(the_end_of_a_process_is_an_event)
{
	struct seen s = { .loop = loop_new() };
	struct loop_watch *w;
	pid_t pid = fork();

	if (pid == 0) {
		usleep(20000);
		_exit(3);
	}
	w = loop_process(s.loop, pid, on_gone, &s, &s.fd);
	ck_assert_ptr_nonnull(w);
	ck_assert(loop_run(s.loop));
	ck_assert_int_eq(s.order[0], 7);
	loop_remove(s.loop, w);
	close(s.fd);
	waitpid(pid, NULL, 0);
	ck_assert_ptr_null(loop_process(s.loop, pid, on_gone, &s, &s.fd));
	loop_free(s.loop);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loop");
	TCase *t = tcase_create("loop");
	SRunner *r;
	int failed;

	tcase_add_test(t, timers_run_in_order_of_time_and_stopped_ones_do_not);
	tcase_add_test(t, a_timer_may_set_itself_anew);
	tcase_add_test(t, a_watch_that_another_removes_in_the_same_round_is_silent);
	tcase_add_test(t, signals_come_through_the_loop);
	tcase_add_test(t, the_end_of_a_process_is_an_event);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
