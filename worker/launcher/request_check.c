#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "worker/launcher/docker.h"
#include "worker/launcher/launcher.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static const char *const FD_NAMES[] = { "spec", "payload", "config" };

static enum err check_range(struct ctx *cx, const char *field, uint64_t v, uint64_t min, uint64_t max)
{
	if (v >= min && v <= max)
		return OK;
	return err_set(cx, ERR_INPUT, "launch request: %s is %llu, not %llu to %llu", field,
	               (unsigned long long)v, (unsigned long long)min, (unsigned long long)max);
}

static enum err check_engine(struct ctx *cx, const struct launcher *l, const struct launch_request *rq)
{
	if (rq->engine == LAUNCH_ENGINE_OCI)
		return OK;
	if (!l->opt.engine[rq->engine][0])
		return err_set(cx, ERR_INPUT, "launch request: this node has no engine %s", docker_engine_name(rq->engine));
	if (l->opt.is_strict)
		return err_set(cx, ERR_INPUT, "launch request: isolation is strict, and the engine %s gives jobs no user ids of their own",
		               docker_engine_name(rq->engine));
	if (rq->network != LAUNCH_NETWORK_NONE)
		return err_set(cx, ERR_INPUT, "launch request: the engine %s gives jobs no network but loopback, and the cluster wants one",
		               docker_engine_name(rq->engine));
	if (rq->relaxed)
		return err_set(cx, ERR_INPUT, "launch request: the engine %s relaxes nothing, and the code was relaxed",
		               docker_engine_name(rq->engine));
	if (rq->on_disk)
		return err_set(cx, ERR_INPUT, "launch request: the engine %s gives jobs no scratch on a disk, and the code wants one",
		               docker_engine_name(rq->engine));
	if (rq->engine == LAUNCH_ENGINE_SWARM && rq->has_package)
		return err_set(cx, ERR_INPUT, "launch request: the engine swarm brings no package to its nodes, and the code has one");
	return OK;
}

static enum err check_numbers(struct ctx *cx, const struct launcher *l,
                              const struct launch_request *rq)
{
	const struct {
		const char *field;
		uint64_t v, min, max;
	} rows[] = {
		{ "attempt", rq->attempt, 1, UINT32_MAX },
		{ "slot", rq->slot, 0, l->opt.slots - 1 },
		{ "flags", rq->flags, 0, LAUNCH_WAIT_FOR_GO | LAUNCH_MERGED_OUTPUT },
		{ "memory_bytes", rq->memory_bytes, LAUNCH_MEMORY_MIN, LAUNCH_MEMORY_MAX },
		{ "scratch_bytes", rq->scratch_bytes, rq->on_disk ? LAUNCH_DISK_MIN : LAUNCH_SCRATCH_MIN, LAUNCH_SCRATCH_MAX },
		{ "timeout_ms", rq->timeout_ms, 1, LAUNCH_TIMEOUT_MS_MAX },
		{ "head_max", rq->head_max, 0, LAUNCH_SPOOL_MAX },
		{ "tail_max", rq->tail_max, 0, LAUNCH_SPOOL_MAX },
		{ "grace_ms", rq->grace_ms, 0, LAUNCH_GRACE_MS_MAX },
		{ "pids", rq->pids, 1, LAUNCH_PIDS_MAX },
		{ "uid", rq->uid, 0, LAUNCH_ID_MAX },
		{ "gid", rq->gid, 0, LAUNCH_ID_MAX },
		{ "argc", rq->argc, 1, LAUNCH_STRINGS_MAX },
		{ "envc", rq->envc, 0, LAUNCH_STRINGS_MAX },
		{ "payload_fd", rq->payload_fd, 0, 1 },
		{ "config_fd", rq->config_fd, 0, 1 },
		{ "has_package", rq->has_package, 0, 1 },
		{ "on_disk", rq->on_disk, 0, 1 },
		{ "relaxed", rq->relaxed, 0, (1u << LAUNCH_RELAX_COUNT) - 1 },
		{ "network", rq->network, LAUNCH_NETWORK_NONE, LAUNCH_NETWORK_PRIVATE },
		{ "engine", rq->engine, 0, LAUNCH_ENGINE_END - 1 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		TRY(check_range(cx, rows[i].field, rows[i].v, rows[i].min, rows[i].max));
	TRY(check_engine(cx, l, rq));
	for (size_t i = 0; i < sizeof rq->reserved; i++)
		TRY(check_range(cx, "reserved", rq->reserved[i], 0, 0));
	for (size_t i = 0; !rq->has_package && i < sizeof rq->package_digest; i++)
		TRY(check_range(cx, "package_digest without a package", rq->package_digest[i], 0, 0));
	if (rq->cpu_millis == 0)
		return OK;
	return check_range(cx, "cpu_millis", rq->cpu_millis, LAUNCH_CPU_MILLIS_MIN,
	                   LAUNCH_CPU_MILLIS_MAX);
}

/* Sealed: what was checked is what will be used, and nobody can change or cut it meanwhile. */
static enum err check_memfd(struct ctx *cx, const char *name, int fd, uint32_t max, uint32_t *size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS)
		return err_set(cx, ERR_INPUT, "launch request: the %s is not a sealed memfd", name);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return err_set(cx, ERR_INPUT, "launch request: the %s is no file", name);
	TRY(check_range(cx, name, (uint64_t)st.st_size, 0, max));
	*size = (uint32_t)st.st_size;
	return OK;
}

static enum err check_spec(struct ctx *cx, const struct launch_request *rq, int fd, uint32_t size)
{
	const char *text = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	size_t nuls = 0;

	if (text == MAP_FAILED)
		return err_set(cx, ERR_INPUT, "launch request: the spec is empty");
	for (const char *p = text; (p = memchr(p, '\0', (size_t)(text + size - p))); p++)
		nuls++;
	if (nuls != (size_t)rq->argc + rq->envc + 1 || text[size - 1] != '\0')
		nuls = 0;
	munmap((void *)text, size);
	return nuls ? OK : err_set(cx, ERR_INPUT, "launch request: the spec does not hold argc + envc + 1 "
	                           "strings");
}

enum err request_check(struct ctx *cx, const struct launcher *l, const struct launch_request *rq,
                       const struct launch_fds *fds, uint32_t sizes[LAUNCH_FDS_MAX])
{
	bool given[LAUNCH_FDS_MAX] = { true, rq->payload_fd, rq->config_fd };
	size_t next = 0;

	TRY(check_numbers(cx, l, rq));
	TRY(check_range(cx, "number of descriptors", fds->count, 1u + rq->payload_fd + rq->config_fd,
	                1u + rq->payload_fd + rq->config_fd));
	for (size_t i = 0; i < LAUNCH_FDS_MAX; i++) {
		sizes[i] = 0;
		if (given[i])
			TRY(check_memfd(cx, FD_NAMES[i], fds->fd[next++], i ? LAUNCH_FILE_MAX : LAUNCH_SPEC_MAX,
			                &sizes[i]));
	}
	return check_spec(cx, rq, fds->fd[0], sizes[0]);
}

enum err request_check_image(struct ctx *cx, const struct launcher *l, const struct launch_request *rq,
                             const struct launch_fds *fds)
{
	uint32_t size;

	TRY(check_range(cx, "engine", rq->engine, LAUNCH_ENGINE_OCI + 1, LAUNCH_ENGINE_END - 1));
	TRY(check_engine(cx, l, rq));
	TRY(check_range(cx, "number of descriptors", fds->count, 1, 1));
	return check_memfd(cx, "name", fds->fd[0], LAUNCH_IMAGE_NAME_MAX, &size);
}
