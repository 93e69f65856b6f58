#pragma once
#include "base/ctx.h"
#include "base/id.h"

/* Where a project's output goes besides: a receiver of batches by HTTP, or of syslog. */
enum log_template {
	LOG_NDJSON,        /* HTTP: an object a line */
	LOG_LOKI,          /* HTTP: Grafana Loki, /loki/api/v1/push */
	LOG_ELASTICSEARCH, /* HTTP: Elasticsearch and OpenSearch, …/_bulk */
	LOG_SPLUNK,        /* HTTP: Splunk's HTTP Event Collector, /services/collector/event */
	LOG_SYSLOG,        /* RFC 5424 over UDP, TCP or TLS */
	LOG_TEMPLATE_COUNT,
};
enum log_scheme { LOG_HTTP, LOG_HTTPS, LOG_UDP, LOG_TCP, LOG_TLS, LOG_SCHEME_COUNT };
enum {
	LOG_ADDRESS_BYTES = 2048,
	LOG_SECRET_BYTES = 4096,
	LOG_CA_BYTES = 262144,
	LOG_NAME_BYTES = 255,
	LOG_HOST_BYTES = 255,
};

struct log_destination {
	struct id id, project_id;
	struct str name, address;
	enum log_template template;
	struct str tenant; /* "" = none */
	struct str sealed; /* of the secret; "" = none */
	struct str ca;     /* PEM; "" = the system's */
	int64_t paused_at, created_at, updated_at;
	/* how it fares; TIME_NONE, "" and 0 = never */
	int64_t failures, failing_at, open_at, sent_at, sent_lines, refused_lines, lost_logs, lost_bytes, lost_at;
	int64_t ping_at, pinged_at;
	struct str error, ping_error;
};

const char *log_template_name(enum log_template t);
bool log_template_parse(struct str text, enum log_template *out);

/* "tls://logs.example:6514" in its parts; without a port the scheme's own (syslog: 514, 601, 6514). */
struct log_address {
	enum log_scheme scheme;
	char host[LOG_HOST_BYTES + 1]; /* IPv6 without its brackets */
	int port;
	struct str rest;               /* path and query of http and https */
};
/* ERR_INPUT "field address: …" for what is none: another scheme, no host, a user name, blanks; a path
 * behind syslog's. Which addresses may be called is the courier's to decide, when it connects. */
enum err log_address_read(struct ctx *cx, struct str text, struct log_address *out);
static inline bool log_scheme_is_http(enum log_scheme s)
{
	return s == LOG_HTTP || s == LOG_HTTPS;
}
/* What the secret says in the header Authorization: itself when it names a scheme ("Basic …"), else behind the
 * one that the template's receivers want. In the arena. */
char *log_authorization(struct arena *a, enum log_template t, struct str secret);
