#pragma once
#include "base/buf.h"
#include "base/ctx.h"

/* The list of system calls a job may make: our own, since the usual one allows mount, unshare, keyctl
 * and ptrace. Compiled once when the launcher starts (crun takes the result as it is, and so spends
 * 1 ms instead of 26 at each start); for runc the same list as text. Unknown calls get ENOSYS, so that
 * libraries fall back, known dangerous ones EPERM. */

/* The BPF program as base64, for crun's annotation run.oci.seccomp_bpf_data. */
enum err seccomp_bpf(struct ctx *cx, struct buf *out);

/* The value of linux.seccomp of an OCI spec, for runtimes that compile it themselves. */
void seccomp_json(struct buf *out);
