#include "worker/launcher/spec.h"

#include <stdio.h>

#include "base/crypt.h"
#include "worker/launcher/seccomp.h"
#include "worker/monitor/init_link.h"

enum { CPU_PERIOD_US = 100000, CPU_QUOTA_MIN_US = 1000, CPU_SHARES = 1024 };
#define NOFILE_SOFT 1024ull
#define NOFILE_HARD 65536ull
#define FSIZE_BEYOND 65536ull

#define RO_BIND(to, from)                                                                          \
	"{\"destination\":\"" to "\",\"type\":\"bind\",\"source\":\"%s/" from "\","                    \
	"\"options\":[\"bind\",\"ro\",\"nosuid\",\"nodev\"]}"

/* Sizes are Docker's, but for /dev, where nobody stores files; the number of files is bounded too, since
 * empty ones take memory that no size tells. */
static const char MOUNTS[] =
	"\"mounts\":["
	"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\","
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"
	"{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","
	"\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=512k\",\"nr_inodes=256\"]},"
	"{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"nosuid\","
	"\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"]},"
	"{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\","
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\",\"nr_inodes=16384\"]},"
	"{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\","
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]},";

/* What the job may change: the overlay over its package. */
#define RW_BIND(to, from)                                                                          \
	"{\"destination\":\"" to "\",\"type\":\"bind\",\"source\":\"%s/" from "\","                    \
	"\"options\":[\"bind\",\"nosuid\",\"nodev\"]}"

static const char PATHS[] =
	"\"maskedPaths\":[" SPEC_MASKED_PATHS "],\"readonlyPaths\":[" SPEC_READONLY_PATHS "]";
/* /proc/sys by an operator's word: what is not of the job's own namespaces is root's outside, and stays so. */
static const char PATHS_RELAXED[] =
	"\"maskedPaths\":[" SPEC_MASKED_PATHS "],\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\","
	"\"/proc/sysrq-trigger\"]";

static const char NAMESPACES[] =
	"\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},"
	"{\"type\":\"mount\"},{\"type\":\"user\"},{\"type\":\"cgroup\"}],";

enum err spec_parts_open(struct ctx *cx, struct spec_parts *out)
{
	TRY(seccomp_bpf(cx, &out->bpf));
	seccomp_json(&out->seccomp);
	return OK;
}

void spec_parts_close(struct spec_parts *parts)
{
	buf_free(&parts->bpf);
	buf_free(&parts->seccomp);
}

void spec_file_limits(const struct host *host, const struct launch_request *rq, struct file_limits *out)
{
	unsigned long long hard = host->nofile_hard < NOFILE_HARD ? host->nofile_hard : NOFILE_HARD;
	/* a little more than there is room for, so that a full disk says ENOSPC */
	unsigned long long room = rq->scratch_bytes + FSIZE_BEYOND;

	out->open_hard = hard;
	out->open_soft = hard < NOFILE_SOFT ? hard : NOFILE_SOFT;
	out->size = room < host->fsize_hard ? room : host->fsize_hard;
}

/* The capabilities that an operator has given back, once for each set. */
static void add_capabilities(uint16_t relaxed, struct buf *out)
{
#define X(name, capability) capability,
	static const char *const names[] = { LAUNCH_RELAXATIONS(X) };
#undef X
	static const char *const sets[] = { "bounding", "effective", "inheritable", "permitted", "ambient" };

	buf_text(out, "\"capabilities\":{");
	for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++) {
		const char *comma = "";

		buf_printf(out, "%s\"%s\":[", s ? "," : "", sets[s]);
		for (unsigned i = 0; i < LAUNCH_RELAX_COUNT; i++) {
			if (!names[i] || !(relaxed & 1u << i))
				continue;
			buf_printf(out, "%s\"%s\"", comma, names[i]);
			comma = ",";
		}
		buf_text(out, "]");
	}
	buf_text(out, "},");
}

static void add_process(const struct host *host, const struct launch_request *rq, struct buf *out)
{
	struct file_limits f;

	spec_file_limits(host, rq, &f);
	buf_printf(out,
	           "\"process\":{\"terminal\":false,\"user\":{\"uid\":%u,\"gid\":%u},"
	           "\"args\":[\"" INIT_PATH "\"],\"env\":[\"" LAUNCH_PATH_DEFAULT "\"],\"cwd\":\"/\",",
	           rq->uid, rq->gid);
	add_capabilities(rq->relaxed, out);
	buf_printf(out,
	           "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":%llu,\"hard\":%llu},"
	           "{\"type\":\"RLIMIT_FSIZE\",\"soft\":%llu,\"hard\":%llu},"
	           "{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":0}],"
	           "\"noNewPrivileges\":true,\"oomScoreAdj\":%d},",
	           f.open_soft, f.open_hard, f.size, f.size, SPEC_OOM_SCORE);
}

static void add_mounts(const struct monitor_setup *setup, struct buf *out)
{
	buf_text(out, MOUNTS);
	buf_printf(out, RO_BIND(INIT_PATH, STAGE_INIT), setup->stage);
	if (setup->request.has_package) /* before what lies in it */
		buf_printf(out, "," RW_BIND(LAUNCH_TASK_DIR, STAGE_TASK), setup->stage);
	if (setup->request.payload_fd)
		buf_printf(out, "," RO_BIND(LAUNCH_PAYLOAD_FILE, STAGE_PAYLOAD), setup->stage);
	if (setup->request.config_fd)
		buf_printf(out, "," RO_BIND(LAUNCH_CONFIG_FILE, STAGE_CONFIG), setup->stage);
	buf_text(out, "],");
}

/* No swap: the limit of both together is that of memory alone. */
static void add_memory(const struct host *host, unsigned long long bytes, struct buf *out)
{
	buf_printf(out, "\"memory\":{\"limit\":%llu", bytes);
	if (host->has_swap)
		buf_printf(out, ",\"swap\":%llu", bytes);
	buf_text(out, "},");
}

void spec_cpu_quota(uint32_t millis, struct cpu_quota *out)
{
	unsigned long long quota = (unsigned long long)millis * CPU_PERIOD_US / 1000;

	*out = (struct cpu_quota){ .shares = CPU_SHARES, .period_us = CPU_PERIOD_US };
	if (millis)
		out->quota_us = quota < CPU_QUOTA_MIN_US ? CPU_QUOTA_MIN_US : quota;
}

static void add_cpu(uint32_t millis, struct buf *out)
{
	struct cpu_quota q;

	spec_cpu_quota(millis, &q);
	buf_printf(out, "\"cpu\":{\"shares\":%d", q.shares);
	if (q.quota_us)
		buf_printf(out, ",\"quota\":%llu,\"period\":%d", q.quota_us, q.period_us);
	buf_text(out, "},");
}

static void add_resources(const struct host *host, const struct launch_request *rq, struct buf *out)
{
	buf_text(out, "\"resources\":{");
	if (host->has_memory)
		add_memory(host, rq->memory_bytes, out);
	if (host->has_pids) /* one more for stoker-init */
		buf_printf(out, "\"pids\":{\"limit\":%u},", rq->pids + 1);
	if (host->has_cpu)
		add_cpu(rq->cpu_millis, out);
	/* On v2 the list of devices is a BPF program, which takes a raised RLIMIT_MEMLOCK. Without it
	 * they are kept out by the rest: no node of an image counts (nodev), none can be made. */
	buf_text(out, host->can_limit_devices ?
	                      "\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]}," :
	                      "\"devices\":[]},");
}

static void add_seccomp(const struct spec_parts *parts, bool is_crun, struct buf *out)
{
	buf_text(out, "\"seccomp\":");
	/* crun looks for the section, and then takes the compiled program instead of it */
	buf_text(out, is_crun ? "{\"defaultAction\":\"SCMP_ACT_ERRNO\"}" : parts->seccomp.p);
	buf_text(out, ",");
}

void spec_format(const struct spec_parts *parts, const struct host *host,
                 const struct monitor_setup *setup, struct buf *out)
{
	const struct launch_request *rq = &setup->request;
	bool is_filtered = !(rq->relaxed & 1u << LAUNCH_RELAX_SECCOMP_OFF);
	char host_name[2 * sizeof rq->task + 1];

	hex_format(rq->task, sizeof rq->task, host_name);
	buf_printf(out, "{\"ociVersion\":\"1.0.2\",\"hostname\":\"%s\",", host_name);
	buf_text(out, "\"root\":{\"path\":\"rootfs\",\"readonly\":false},");
	add_process(host, rq, out);
	add_mounts(setup, out);
	if (setup->is_crun && is_filtered)
		buf_printf(out, "\"annotations\":{\"run.oci.seccomp_bpf_data\":\"%s\"},", parts->bpf.p);
	buf_printf(out, "\"linux\":{\"cgroupsPath\":\"%s\",", setup->cgroup);
	buf_printf(out,
	           "\"uidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":%u}],"
	           "\"gidMappings\":[{\"containerID\":0,\"hostID\":%u,\"size\":%u}],",
	           setup->base, LAUNCH_UID_RANGE, setup->base, LAUNCH_UID_RANGE);
	add_resources(host, rq, out);
	if (is_filtered)
		add_seccomp(parts, setup->is_crun, out);
	buf_text(out, NAMESPACES);
	buf_text(out, rq->relaxed & 1u << LAUNCH_RELAX_WRITABLE_PROC_SYS ? PATHS_RELAXED : PATHS);
	buf_text(out, "}}");
}
