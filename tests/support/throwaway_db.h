#pragma once
#include <sys/types.h>

/* A MariaDB of the test program's own, thrown away with it.
 *
 * The first call starts mariadbd on a fresh data folder and a socket in /tmp/stoker-test-XXXXXX,
 * with the empty databases `stoker` and `stoker_logs` (utf8mb4, collation utf8mb4_nopad_bin);
 * further calls return the same server. Log in as root without a password.
 *
 * Call it in the test program itself (main, before srunner_run_all, or an unchecked fixture), not
 * in a checked fixture: Check forks a process per test, and all of them then share the server.
 * It ends when the calling process ends, however that ends: a keeper process holds a pidfd on it,
 * kills the server and removes the folder. Networking is off, every commit is flushed unless
 * THROWAWAY_DB_FLUSH=0 is in the environment.
 *
 * Returns the socket's path, valid for the life of the process. There is no error return: without
 * a server no test can say anything, so the reason goes to stderr and the program exits with 1. */
const char *throwaway_db_start(void);

/* The server's process, for tests that stop (SIGSTOP), resume or kill it; after a kill it stays
 * dead. 0 before throwaway_db_start. */
pid_t throwaway_db_pid(void);

/* Stops the server with SIGSTOP and returns when its last thread has really stopped; it goes on with
 * kill(throwaway_db_pid(), SIGCONT). */
void throwaway_db_stop(void);

/* The folder that goes away with the server: room for a test's own files. */
const char *throwaway_db_folder(void);
