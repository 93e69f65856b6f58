#pragma once
#include "base/buf.h"
#include "worker/launcher/host.h"
#include "worker/monitor/setup.h"

#define SPEC_OOM_SCORE 500 /* before anything of the host */
/* What Docker hides and freezes, and keys and interrupts besides. */
#define SPEC_MASKED_PATHS                                                                              \
	"\"/proc/acpi\",\"/proc/asound\",\"/proc/interrupts\",\"/proc/kcore\","                            \
	"\"/proc/keys\",\"/proc/key-users\",\"/proc/latency_stats\",\"/proc/sched_debug\",\"/proc/scsi\","  \
	"\"/proc/timer_list\",\"/proc/timer_stats\",\"/sys/devices/virtual/powercap\",\"/sys/firmware\""
#define SPEC_READONLY_PATHS                                                                            \
	"\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\""

/* Limits of a job's files. */
struct file_limits {
	unsigned long long open_soft, open_hard, size;
};
void spec_file_limits(const struct host *host, const struct launch_request *rq, struct file_limits *out);

/* All jobs share alike; a quota only if one is asked for. */
struct cpu_quota {
	int shares, period_us;
	unsigned long long quota_us; /* 0 = none */
};
void spec_cpu_quota(uint32_t millis, struct cpu_quota *out);

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
