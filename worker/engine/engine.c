#include "worker/engine/engine.h"

#include <stdio.h>

static const struct engine_class *const ENGINES[] = {
	&ENGINE_OCI,    /* crun or runc on an unpacked image */
	&ENGINE_DOCKER, /* a daemon with Docker's API */
	&ENGINE_PODMAN, /* the same, where it differs from Docker */
	&ENGINE_SWARM,  /* a manager of Docker's swarm, whose nodes run the job */
};

const struct engine_class *engine_find(struct str name)
{
	for (size_t i = 0; i < sizeof ENGINES / sizeof *ENGINES; i++)
		if (str_is(name, ENGINES[i]->name))
			return ENGINES[i];
	return NULL;
}

const struct engine_class *engine_of_kind(uint8_t kind)
{
	for (size_t i = 0; i < sizeof ENGINES / sizeof *ENGINES; i++)
		if (ENGINES[i]->kind == kind)
			return ENGINES[i];
	return NULL;
}

void attempt_name(const struct attempt_key *key, char out[ATTEMPT_NAME])
{
	snprintf(out, ATTEMPT_NAME, "%s-%u", id_format(&key->task).s, key->attempt);
}

bool attempt_name_parse(const char *text, struct attempt_key *out)
{
	struct str s = str_of(text), id;
	int64_t attempt;
	struct attempt_key key = { 0 };

	if (!str_cut(&s, '-', &id) || !id_parse(id, &key.task) || !str_int(s, &attempt) || attempt < 1 ||
	    attempt > UINT32_MAX)
		return false;
	key.attempt = (uint32_t)attempt;
	*out = key;
	return true;
}
