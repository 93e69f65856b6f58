#pragma once
#include <stddef.h>

/* Docker's API, and Podman's that is compatible, over a unix socket: one question, one connection. Used by
 * the monitor, which links nothing, and by the launcher's children; never by a process that others wait for. */

#define ENGINE_SOCKET_MAX 108 /* bytes of its path, as sockaddr_un has them */
#define DOCKER_NAME "stoker-" /* then task and attempt: the name of a container */
#define DOCKER_LABEL_NODE "stoker.node" /* label: the folder of the node that it is of */

struct engine_question {
	const char *socket; /* path */
	const char *method; /* "GET" */
	const char *target; /* "/containers/x/start" */
	const char *type;   /* of the body; NULL = application/json */
	const void *body;   /* of `length` bytes; NULL = the file `file` from its begin, if length is not 0 */
	int file;
	size_t length;
	int timeout_ms;     /* for each step: connecting, writing, each read */
};

/* The status of the answer, whose body is then in out[room], cut where it is longer and ended by NUL; or
 * -errno if there was no whole answer: whether the question was acted upon is then not known. */
int engine_ask(const struct engine_question *q, char *out, size_t room);

/* The text of the key "message" in an engine's answer, or the answer itself, on one line of out[room]. */
void engine_message(const char *body, char *out, size_t room);

/* A connection on which the question has been sent and whose answer the caller reads when it comes; it
 * never waits. -errno if the engine does not take it now. */
int engine_begin(const char *socket, const char *method, const char *target);
