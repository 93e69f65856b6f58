#pragma once
#include "base/buf.h"
#include "worker/launcher/host.h"
#include "worker/monitor/setup.h"

/* What does not change from job to job, made once when the launcher starts. */
struct spec_parts {
	struct buf bpf;     /* base64 of the compiled seccomp program */
	struct buf seccomp; /* the same list as text */
};

enum err spec_parts_open(struct ctx *cx, struct spec_parts *out);
void spec_parts_close(struct spec_parts *parts);

/* The OCI spec of one attempt: our hardening, the request's checked numbers, and no byte that came
 * from a person. What the job is to run reaches it through stoker-init. */
void spec_format(const struct spec_parts *parts, const struct host *host,
                 const struct monitor_setup *setup, struct buf *out);
