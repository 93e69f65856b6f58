#pragma once
#include "worker/engine/engine.h"
#include "worker/launcher/launch_request.h"

/* What engines share: all of them ask the launcher, over one seqpacket socket (launch_request.h). A node's
 * engines have one struct engine together. The calls are those of engine.h. */
enum err link_open(struct ctx *cx, struct loop *l, const struct settings *set, int channel,
                   const struct engine_events *events, void *arg, struct engine **out);
void link_close(struct engine *e);
enum err link_probe(struct engine *e, struct ctx *cx, struct str *runtime);
enum err link_launch(struct engine *e, struct ctx *cx, const struct engine_launch *what, enum launch_engine engine);
bool link_signal(struct engine *e, const struct attempt_key *key, enum engine_signal what);
void link_remove(struct engine *e, const struct attempt_key *key);
void link_unpack(struct engine *e, const unsigned char digest[SHA256_BYTES]);
/* LAUNCH_IMAGE; answered by `unpacked` with the begin of `key`. */
enum err link_image(struct engine *e, struct ctx *cx, struct str name, const unsigned char key[SHA256_BYTES],
                    enum launch_engine engine);
void link_sweep(struct engine *e);

/* What no engine of the launcher's has of its own. */
#define LINK_CALLS .open = link_open, .close = link_close, .signal = link_signal, .remove = link_remove, .sweep = link_sweep
