#include "model/callback.h"

static bool is_printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] == 0x7f)
			return false;
	return true;
}

static size_t scheme_bytes(struct str url)
{
	if (url.n > 7 && str_is_nocase(str_bytes(url.p, 7), "http://"))
		return 7;
	if (url.n > 8 && str_is_nocase(str_bytes(url.p, 8), "https://"))
		return 8;
	return 0;
}

/* "host:port" between the scheme and the first of / ? # */
static struct str authority(struct str url, size_t scheme)
{
	struct str a = { url.p + scheme, 0 };

	while (scheme + a.n < url.n && !memchr("/?#", a.p[a.n], 3))
		a.n++;
	return a;
}

enum err callback_check(struct ctx *cx, struct str url)
{
	struct str host;
	size_t scheme;

	if (!url.n)
		return OK;
	if (url.n > CALLBACK_URL_BYTES)
		return err_set(cx, ERR_INPUT, "field callback: is longer than %d bytes", CALLBACK_URL_BYTES);
	scheme = scheme_bytes(url);
	if (!scheme || !is_printable(url))
		return err_set(cx, ERR_INPUT, "field callback: must be an http or https URL");
	host = authority(url, scheme);
	if (!host.n || host.p[0] == ':')
		return err_set(cx, ERR_INPUT, "field callback: the URL has no host");
	if (memchr(host.p, '@', host.n))
		return err_set(cx, ERR_INPUT, "field callback: a URL with a user name is not taken");
	return OK;
}
