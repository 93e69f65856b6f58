#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "worker/launcher/launcher.h"

/* The launcher's part of the engines that are daemons. Whatever asks a daemon is a child of its own: one that
 * hangs keeps nobody else waiting. */

/* "docker", "podman"; "oci" for the runtimes of our own. */
const char *docker_engine_name(enum launch_engine engine);

/* Writes what a daemon must be given as a file. */
enum err docker_open(struct ctx *cx, struct launcher *l);

/* The container of one attempt, as the API's JSON: our hardening, the request's checked numbers, and no byte
 * that came from a person. */
enum err docker_format(struct ctx *cx, const struct launcher *l, const struct monitor_setup *setup, struct buf *out);

/* The socket that stoker-init will connect to, in the job's folder, listening. */
enum err docker_listen(struct ctx *cx, int dir, int *out);

/* LAUNCH_IMAGE: *child answers to the socket `runner`, and ends with 0 then. An error: there is none. */
enum err docker_image(struct ctx *cx, const struct launcher *l, const struct launch_request *rq,
                      const struct launch_fds *fds, int runner, pid_t *child);

/* Its limits of files and processes, as the API has them; the caller's. */
json_t *docker_limits(const struct host *host, const struct launch_request *rq);

/* Is the attempt without a living monitor? */
bool docker_is_stray(const struct launcher *l, const char *attempt);

/* Starts a child for each daemon, unless its last one still works, that removes containers of this node, known
 * by their label, whose attempt has no living monitor. */
void docker_sweep(struct launcher *l);

/* A line for each daemon of this node, appended to `text`: "ok docker: version …" or "no docker: why". */
void docker_probe(const struct launcher *l, char *text, size_t room);
