/* The engines docker, podman and swarm: a daemon makes the container (docs/engines.md). It is asked by the launcher's
 * children and by monitors, never by the runner, which holds the database's password. */
#include "worker/engine/launcher_link.h"

/* A daemon may be away now and there later: that is asked with each image. */
static enum err daemon_probe(struct engine *e, struct ctx *cx, struct str *runtime)
{
	(void)e;
	(void)cx;
	*runtime = STR_LIT("a daemon");
	return OK;
}

static enum err docker_prepare(struct engine *e, struct ctx *cx, struct str name, struct image *out)
{
	(void)e;
	return image_of_engine(cx, ".", "docker", name, out);
}

static enum err docker_launch(struct engine *e, struct ctx *cx, const struct engine_launch *what)
{
	return link_launch(e, cx, what, LAUNCH_ENGINE_DOCKER);
}

static enum err docker_fetch(struct engine *e, struct ctx *cx, struct str name, const unsigned char digest[SHA256_BYTES])
{
	return link_image(e, cx, name, digest, LAUNCH_ENGINE_DOCKER);
}

static enum err podman_prepare(struct engine *e, struct ctx *cx, struct str name, struct image *out)
{
	(void)e;
	return image_of_engine(cx, ".", "podman", name, out);
}

static enum err podman_launch(struct engine *e, struct ctx *cx, const struct engine_launch *what)
{
	return link_launch(e, cx, what, LAUNCH_ENGINE_PODMAN);
}

static enum err podman_fetch(struct engine *e, struct ctx *cx, struct str name, const unsigned char digest[SHA256_BYTES])
{
	return link_image(e, cx, name, digest, LAUNCH_ENGINE_PODMAN);
}

static enum err swarm_prepare(struct engine *e, struct ctx *cx, struct str name, struct image *out)
{
	(void)e;
	return image_of_engine(cx, ".", "swarm", name, out);
}

static enum err swarm_launch(struct engine *e, struct ctx *cx, const struct engine_launch *what)
{
	return link_launch(e, cx, what, LAUNCH_ENGINE_SWARM);
}

static enum err swarm_fetch(struct engine *e, struct ctx *cx, struct str name, const unsigned char digest[SHA256_BYTES])
{
	return link_image(e, cx, name, digest, LAUNCH_ENGINE_SWARM);
}

const struct engine_class ENGINE_DOCKER = {
	.name = "docker",
	.kind = LAUNCH_ENGINE_DOCKER,
	LINK_CALLS,
	.probe = daemon_probe,
	.prepare = docker_prepare,
	.launch = docker_launch,
	.fetch = docker_fetch,
};

const struct engine_class ENGINE_PODMAN = {
	.name = "podman",
	.kind = LAUNCH_ENGINE_PODMAN,
	LINK_CALLS,
	.probe = daemon_probe,
	.prepare = podman_prepare,
	.launch = podman_launch,
	.fetch = podman_fetch,
};

const struct engine_class ENGINE_SWARM = {
	.name = "swarm",
	.kind = LAUNCH_ENGINE_SWARM,
	.open = link_open,
	.close = link_close,
	.probe = daemon_probe,
	.prepare = swarm_prepare,
	.launch = swarm_launch,
	.signal = link_signal,
	.remove = link_remove,
	.fetch = swarm_fetch,
	.sweep = link_sweep,
};
