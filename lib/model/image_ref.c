#include "model/image_ref.h"

#include "model/image_name.h"

#define SCHEME "docker://"
enum { TAG_MAX = 128 };

bool image_ref_is(struct str image)
{
	return str_starts(image, SCHEME);
}

/* The last `c` behind the last slash. */
static bool cut_last(struct str *s, char c, struct str *behind)
{
	for (size_t i = s->n; i > 0 && s->p[i - 1] != '/'; i--)
		if (s->p[i - 1] == c) {
			*behind = str_bytes(s->p + i, s->n - i);
			s->n = i - 1;
			return true;
		}
	return false;
}

/* Registries know lower case alone; the server may have what it likes. */
static bool is_path(struct str path)
{
	for (size_t i = 0; i < path.n; i++)
		if (path.p[i] >= 'A' && path.p[i] <= 'Z')
			return false;
	return path.n && !memchr(path.p, ':', path.n) && !memchr(path.p, '@', path.n) && !memchr(path.p, '+', path.n);
}

bool image_ref_parse(struct str image, struct image_ref *out)
{
	struct image_ref r = { .tag = { 0 } };
	struct str digest, rest;

	if (!image_ref_is(image) || image.n > IMAGE_REF_MAX)
		return false;
	r.repository = str_bytes(image.p + sizeof SCHEME - 1, image.n - sizeof SCHEME + 1);
	if (!image_name_is_clean(r.repository))
		return false;
	if (cut_last(&r.repository, '@', &digest)) {
		r.has_digest = true;
		if (!str_starts(digest, "sha256:") || !hex_parse(str_bytes(digest.p + 7, digest.n - 7), r.digest, sizeof r.digest))
			return false;
	} else if (cut_last(&r.repository, ':', &r.tag) && (!r.tag.n || r.tag.n > TAG_MAX)) {
		return false;
	}
	rest = r.repository;
	/* without a dot or a port the first part would be a name at Docker Hub: that is said in full */
	if (!str_cut(&rest, '/', &r.server) || !is_path(rest) || memchr(r.server.p, '@', r.server.n) ||
	    !(memchr(r.server.p, '.', r.server.n) || memchr(r.server.p, ':', r.server.n) || str_is(r.server, "localhost")))
		return false;
	*out = r;
	return true;
}
