/* Declared secret values, masked in a job's output on its way from the spool to the logs, and in the last
 * lines that its verdict tells. The spool itself stays on the node. */
#include "worker/runner/inside.h"

#include "store/secret_store.h"

#include <string.h>

enum err secrets_read(struct db *tasks, struct ctx *cx, const char *key_file, const struct id *project, const struct id *code,
                      struct output_mask **out)
{
	struct str *values = NULL;
	size_t n = 0;

	if (secret_store_values(tasks, cx, project, code, key_file, &values, &n)) {
		if (cx->err == ERR_FORBIDDEN) /* the node's key file: its own fault */
			cx->err = ERR_INTERNAL;
		return err_wrap(cx, "the values that its output must not show cannot be opened");
	}
	*out = n ? output_mask_new(values, n) : NULL;
	for (size_t i = 0; i < n; i++)
		explicit_bzero((char *)values[i].p, values[i].n);
	return OK;
}

void secrets_set(struct job *j, struct output_mask *mask)
{
	j->mask = mask;
	spool_reader_mask(&j->spool, mask);
}
