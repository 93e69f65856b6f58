#pragma once
#include "base/loop.h"
#include "store/ready_store.h"

/* The node's lease (design.md 7, reliability.md 5.2). Two threads of its own, so that neither the loop
 * nor other database work can hold it up: one renews the row each renew_s, the other looks at the
 * server when renewals are overdue and, if the server itself is away, moves the deadline on, so that
 * a stopped MariaDB kills no job. The deadline is the file `lease` in the node's folder: monitors
 * kill their containers once it has passed, whatever has become of the runner.
 * The session is kept in the file `session`, so that the node's next runner takes it over. */
enum lease_state {
	LEASE_NONE, /* no session yet: the database could not be asked */
	LEASE_HELD,
	LEASE_LOST, /* the session was taken back: every job of it must die, then lease_renounce */
	LEASE_GIVEN, /* handed over or given up, as asked: the runner may end */
};

struct lease_view {
	enum lease_state state;
	struct node_claim who;  /* session: in `session` below */
	unsigned char session[16];
	bool resumed;           /* the session of the runner before; its jobs are ours */
	bool draining;          /* take no more */
	int64_t deadline_us;    /* CLOCK_BOOTTIME; past it every job is dead */
};

struct lease;
/* Opens the files in the current folder and starts the threads. `on_change(arg)` is called in the loop
 * whenever state, draining or session change. The settings and texts must outlive it. ERR_BUSY if
 * another runner serves this folder. */
enum err lease_start(struct ctx *cx, struct loop *l, const struct settings *set, const char *doorbell,
                     const char *runtime, void (*on_change)(void *arg), void *arg, struct lease **out);
/* What holds now. who.session points into *out. */
void lease_look(struct lease *ls, struct lease_view *out);
/* For the row: how many jobs there are. */
void lease_count(struct lease *ls, int64_t running);
/* The jobs of a lost session are gone: a new session may begin. */
void lease_renounce(struct lease *ls);
/* Writes a lease of 60 s into row and file, for the node's next runner; then LEASE_GIVEN. */
void lease_hand_over(struct lease *ls);
/* Gives the session up: no job is left; then LEASE_GIVEN. */
void lease_leave(struct lease *ls);
/* Ends the threads (waits for a statement under way: at most some seconds) and frees all. */
void lease_free(struct lease *ls);
