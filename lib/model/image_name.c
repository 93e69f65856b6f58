#include "model/image_name.h"

#include "base/text.h"
#include "model/image_ref.h"

bool image_name_is_clean(struct str name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		                      "._-:@/+";
	struct str rest = name, part;

	if (name.n < 1 || name.p[name.n - 1] == '/')
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!memchr(letters, name.p[i], sizeof letters - 1))
			return false;
	while (str_cut(&rest, '/', &part))
		if (part.n == 0 || str_is(part, ".") || str_is(part, ".."))
			return false;
	return memchr(letters, name.p[0], 62) != NULL; /* a letter or digit */
}

bool image_name_is_valid(struct str name)
{
	return name.n <= IMAGE_NAME_MAX && image_name_is_clean(name);
}

enum err image_name_check(struct ctx *cx, struct str name)
{
	struct image_ref ref;

	if (text_has_controls(name))
		return err_set(cx, ERR_INPUT, "field image: must not have control characters");
	if (image_ref_parse(name, &ref))
		return OK;
	if (name.n > 3 && memmem(name.p, name.n, "://", 3))
		return err_set(cx, ERR_INPUT, "field image: '" STR_FMT "' is no image of a registry: docker://SERVER/NAME, then :TAG "
		               "or @sha256:<64 hex digits>", STR_ARG(name));
	if (!image_name_is_valid(name))
		return err_set(cx, ERR_INPUT, "field image: '" STR_FMT "' is no name of an image: 1 to %d of A-Z a-z 0-9 . _ - : "
		               "@ / +, beginning with a letter or digit, no part of the path empty, . or ..", STR_ARG(name),
		               IMAGE_NAME_MAX);
	return OK;
}
