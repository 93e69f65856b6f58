#include "model/runtime.h"

bool runtime_next(struct str *rest, struct str *name, struct str *image)
{
	struct str one;

	while (str_cut(rest, ',', &one)) {
		str_cut(&one, '=', name);
		*name = str_trim(*name);
		*image = str_trim(one);
		if (name->n)
			return true;
	}
	return false;
}

bool runtime_image(const struct settings *set, struct str runtime, struct str stack, struct str *image)
{
	struct str rest = str_of(set->runtimes.images), name, of_it;
	struct str wanted = stack.n ? stack : runtime;

	while (runtime_next(&rest, &name, &of_it))
		if (of_it.n && str_equal(name, wanted)) {
			*image = of_it;
			return true;
		}
	return false;
}
