#pragma once
#include "base/egress.h"
#include "base/loop.h"
#include "model/log_destination.h"

/* Syslog over UDP, TCP and TLS, a thread for each batch under way: names are looked up and peers waited for
 * there, so that one that stalls holds up nobody else.
 *
 * A batch is a connection. Syslog has no answers; but a receiver that has read to our end closes its side, and
 * one that dies with something unread resets it. So a batch is taken when the peer has closed after us. */
struct syslog_tls; /* whom to trust, and sessions; used again for the next batch */
void syslog_tls_free(struct syslog_tls *t);

struct syslog_call {
	struct log_address to;
	struct str body;             /* of TCP and TLS */
	const struct str *datagrams; /* of UDP */
	size_t n;
	const struct egress_list *allow;
	bool allow_private;
	int connect_ms, total_ms;
	struct str ca;               /* PEM; n 0 = ca_file */
	const char *ca_file;
	struct syslog_tls *tls;      /* NULL at first; what was made stands here afterwards */
	char error[300];             /* "" = it was taken */
};
/* `done` is called once, in the loop; the call and all it points to must stay until then. False with errno when
 * no thread can be had. */
bool syslog_send(struct loop *l, struct syslog_call *call, void (*done)(void *arg, struct syslog_call *call), void *arg);
