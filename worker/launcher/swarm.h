#pragma once
#include "base/buf.h"
#include "worker/launcher/launcher.h"

/* The launcher's part of the engine swarm. As with the other daemons, whatever asks the manager is a child. */

/* Reads what all services share: the name of stoker-init's config. */
enum err swarm_open(struct ctx *cx, struct launcher *l);

/* What the monitor's agent is told (worker/monitor/swarm.h): our hardening, the request's checked numbers, and no
 * byte that came from a person. */
enum err swarm_format(struct ctx *cx, const struct launcher *l, const struct monitor_setup *setup, struct buf *out);

/* Notes by which name ("NAME@sha256:…", NULL = none) the swarm's nodes can fetch the image of that id. Where it
 * cannot be noted only nodes run it that have it. */
void swarm_note_reference(const struct launcher *l, const char *id, const char *reference);

/* Removes services and secrets of this node, known by their label, whose attempt has no living monitor. In a child;
 * asks by `ask`. */
void swarm_sweep(const struct launcher *l);

/* A line of the doctor's about the swarm, where the manager answers: "ok swarm: …" or "no swarm: why". */
void swarm_probe(const struct launcher *l, char *text, size_t room);
