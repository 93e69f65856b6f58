#include "model/image_name.h"

#include "base/text.h"

bool image_name_is_valid(struct str name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		                      "._-:@/+";
	struct str rest = name, part;

	if (name.n < 1 || name.n > IMAGE_NAME_MAX || name.p[name.n - 1] == '/')
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!memchr(letters, name.p[i], sizeof letters - 1))
			return false;
	while (str_cut(&rest, '/', &part))
		if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
			return false;
	return memchr(letters, name.p[0], 62) != NULL; /* a letter or digit */
}

enum err image_name_check(struct ctx *cx, struct str name)
{
	if (text_has_controls(name))
		return err_set(cx, ERR_INPUT, "field image: must not have control characters");
	if (name.n > 3 && memmem(name.p, name.n, "://", 3))
		return err_set(cx, ERR_INPUT, "field image: '" STR_FMT "' has a scheme; this release fetches no images, give the "
		               "name of one in the nodes' own store (stoker image import)", STR_ARG(name));
	if (!image_name_is_valid(name))
		return err_set(cx, ERR_INPUT, "field image: '" STR_FMT "' is no name of an image: 1 to %d of A-Z a-z 0-9 . _ - : "
		               "@ / +, beginning with a letter or digit, no part of the path empty, . or ..", STR_ARG(name),
		               IMAGE_NAME_MAX);
	return OK;
}
