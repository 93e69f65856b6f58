/* The engine oci: crun or runc on an image that is unpacked in the node's store. */
#include "worker/engine/launcher_link.h"

static enum err oci_prepare(struct engine *e, struct ctx *cx, struct str name, struct image *out)
{
	(void)e;
	return image_find(cx, ".", name, out);
}

static enum err oci_launch(struct engine *e, struct ctx *cx, const struct engine_launch *what)
{
	return link_launch(e, cx, what, LAUNCH_ENGINE_OCI);
}

static enum err oci_fetch(struct engine *e, struct ctx *cx, struct str name, const unsigned char digest[SHA256_BYTES])
{
	(void)cx;
	(void)name;
	link_unpack(e, digest);
	return OK;
}

const struct engine_class ENGINE_OCI = {
	.name = "oci",
	.kind = LAUNCH_ENGINE_OCI,
	LINK_CALLS,
	.probe = link_probe,
	.prepare = oci_prepare,
	.launch = oci_launch,
	.fetch = oci_fetch,
};
