#include "model/log_destination.h"

#include <stdio.h>

static const char *const TEMPLATES[LOG_TEMPLATE_COUNT] = { "ndjson", "loki", "elasticsearch", "splunk", "syslog" };
static const struct {
	const char *prefix;
	int port;
} SCHEMES[LOG_SCHEME_COUNT] = {
	{ "http://", 80 }, { "https://", 443 }, { "udp://", 514 }, { "tcp://", 601 }, { "tls://", 6514 },
};

const char *log_template_name(enum log_template t)
{
	return TEMPLATES[t];
}

bool log_template_parse(struct str text, enum log_template *out)
{
	for (int i = 0; i < LOG_TEMPLATE_COUNT; i++)
		if (str_is(text, TEMPLATES[i])) {
			*out = (enum log_template)i;
			return true;
		}
	return false;
}

static bool read_scheme(struct str *text, struct log_address *out)
{
	for (int i = 0; i < LOG_SCHEME_COUNT; i++) {
		size_t n = strlen(SCHEMES[i].prefix);

		if (text->n > n && str_is_nocase(str_bytes(text->p, n), SCHEMES[i].prefix)) {
			out->scheme = (enum log_scheme)i;
			out->port = SCHEMES[i].port;
			*text = str_bytes(text->p + n, text->n - n);
			return true;
		}
	}
	return false;
}

/* "host", "host:port", "[::1]:port" */
static bool read_host(struct str authority, struct log_address *out)
{
	struct str host = authority, port = STR_LIT("");
	const char *end;
	int64_t number;

	if (authority.n && authority.p[0] == '[') {
		end = memchr(authority.p, ']', authority.n);
		if (!end)
			return false;
		host = str_bytes(authority.p + 1, (size_t)(end - authority.p) - 1);
		port = str_bytes(end + 1, authority.n - host.n - 2);
	} else if ((end = memchr(authority.p, ':', authority.n))) {
		host = str_bytes(authority.p, (size_t)(end - authority.p));
		port = str_bytes(end, authority.n - host.n);
	}
	if (port.n) {
		if (port.p[0] != ':' || !str_int(str_bytes(port.p + 1, port.n - 1), &number) || number < 1 || number > 65535)
			return false;
		out->port = (int)number;
	}
	if (!host.n || host.n > LOG_HOST_BYTES || memchr(host.p, '@', host.n) || memchr(host.p, '[', host.n))
		return false;
	snprintf(out->host, sizeof out->host, STR_FMT, STR_ARG(host));
	return true;
}

static bool is_printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return true;
}

enum err log_address_read(struct ctx *cx, struct str text, struct log_address *out)
{
	struct log_address a = { 0 };
	struct str rest = text, authority;

	if (text.n > LOG_ADDRESS_BYTES)
		return err_set(cx, ERR_INPUT, "field address: is longer than %d bytes", LOG_ADDRESS_BYTES);
	if (!is_printable(text) || !read_scheme(&rest, &a))
		return err_set(cx, ERR_INPUT, "field address: must be a URL of http, https, udp, tcp or tls");
	authority = str_bytes(rest.p, 0);
	while (authority.n < rest.n && !memchr("/?#", rest.p[authority.n], 3))
		authority.n++;
	a.rest = str_bytes(rest.p + authority.n, rest.n - authority.n);
	if (memchr(authority.p, '@', authority.n))
		return err_set(cx, ERR_INPUT, "field address: a URL with a user name is not taken");
	if (!read_host(authority, &a))
		return err_set(cx, ERR_INPUT, "field address: its host or port is none");
	if (!log_scheme_is_http(a.scheme) && a.rest.n && !str_is(a.rest, "/"))
		return err_set(cx, ERR_INPUT, "field address: nothing may stand behind the port of a syslog receiver");
	*out = a;
	return OK;
}

char *log_authorization(struct arena *a, enum log_template t, struct str secret)
{
	static const char *const WORDS[LOG_TEMPLATE_COUNT] = { "Bearer", "Bearer", "ApiKey", "Splunk", "Bearer" };

	if (memchr(secret.p, ' ', secret.n))
		return str_c(a, secret);
	return arena_printf(a, "%s " STR_FMT, WORDS[t], STR_ARG(secret));
}
