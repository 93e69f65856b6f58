#include "worker/export/syslog.h"

#include "base/clock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct syslog_tls {
	SSL_CTX *cx;
};

void syslog_tls_free(struct syslog_tls *t)
{
	if (t)
		SSL_CTX_free(t->cx);
	free(t);
}

/* One connection, in its thread. */
struct peer {
	struct syslog_call *call;
	int fd;
	SSL *ssl; /* NULL = in clear */
	int64_t until_us;
};

static bool fail(struct peer *p, const char *what, const char *why)
{
	snprintf(p->call->error, sizeof p->call->error, "%s: %s", what, why);
	return false;
}

/* Waits for `events`; false: the time is up. */
static bool wait_for(struct peer *p, short events, int64_t until_us)
{
	struct pollfd fd = { p->fd, events, 0 };
	int64_t left;
	int n;

	do {
		left = (until_us - clock_boot_us()) / 1000;
		n = left > 0 ? poll(&fd, 1, (int)left) : 0;
	} while (n < 0 && errno == EINTR);
	return n > 0;
}

/* --- connecting ----------------------------------------------------------------------------------------------- */

static bool connect_to(struct peer *p, const struct addrinfo *to)
{
	int64_t until_us = clock_boot_us() + p->call->connect_ms * INT64_C(1000);
	socklen_t size = sizeof(int);
	int code = 0;

	if (!p->call->allow_private && !egress_may(p->call->allow, p->call->to.host, to->ai_addr))
		return fail(p, "connect", "its address is not a public one (courier.allow)");
	p->fd = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->ai_protocol);
	if (p->fd < 0)
		return fail(p, "connect", strerror(errno));
	if (connect(p->fd, to->ai_addr, to->ai_addrlen) == 0)
		return true;
	if (errno == EINPROGRESS && !wait_for(p, POLLOUT, until_us))
		code = ETIMEDOUT;
	else if (errno != EINPROGRESS || getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0)
		code = errno;
	if (!code)
		return true;
	close(p->fd);
	p->fd = -1;
	return fail(p, "connect", strerror(code));
}

static bool open_peer(struct peer *p)
{
	struct addrinfo want = { .ai_socktype = p->call->to.scheme == LOG_UDP ? SOCK_DGRAM : SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *all = NULL;
	bool is_open = false;
	char port[8];
	int code;

	snprintf(port, sizeof port, "%d", p->call->to.port);
	code = getaddrinfo(p->call->to.host, port, &want, &all);
	if (code)
		return fail(p, "look its name up", gai_strerror(code));
	for (const struct addrinfo *to = all; to && !is_open; to = to->ai_next)
		is_open = connect_to(p, to);
	freeaddrinfo(all);
	return is_open;
}

/* --- TLS -------------------------------------------------------------------------------------------------------- */

static const char *tls_reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "it broke off";
}

static bool trust(SSL_CTX *cx, struct str pem)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *one;
	int n = 0;

	while (in && (one = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		n += X509_STORE_add_cert(SSL_CTX_get_cert_store(cx), one);
		X509_free(one);
	}
	BIO_free(in);
	ERR_clear_error(); /* the end of the text is one */
	return n > 0;
}

static bool make_tls(struct peer *p)
{
	struct syslog_tls *t = calloc(1, sizeof *t);

	if (!t)
		abort();
	t->cx = SSL_CTX_new(TLS_client_method());
	if (!t->cx || !SSL_CTX_set_min_proto_version(t->cx, TLS1_2_VERSION) ||
	    !(p->call->ca.n ? trust(t->cx, p->call->ca) : SSL_CTX_load_verify_file(t->cx, p->call->ca_file))) {
		syslog_tls_free(t);
		return fail(p, "TLS", "the certificates to trust cannot be read");
	}
	SSL_CTX_set_verify(t->cx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(t->cx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	p->call->tls = t;
	return true;
}

/* After a call that gave `n`: true = try it again, what it waited for has come. */
static bool tls_waited(struct peer *p, int n)
{
	int what = SSL_get_error(p->ssl, n);

	if (what == SSL_ERROR_WANT_READ)
		return wait_for(p, POLLIN, p->until_us);
	if (what == SSL_ERROR_WANT_WRITE)
		return wait_for(p, POLLOUT, p->until_us);
	return false;
}

static bool name_peer(struct peer *p)
{
	struct sockaddr_storage address;
	const char *host = p->call->to.host;

	if (egress_address(host, &address))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(p->ssl), host) == 1;
	return SSL_set1_host(p->ssl, host) == 1 && SSL_set_tlsext_host_name(p->ssl, host) == 1;
}

static bool begin_tls(struct peer *p)
{
	long verdict;
	int n;

	if (!p->call->tls && !make_tls(p))
		return false;
	p->ssl = SSL_new(p->call->tls->cx);
	if (!p->ssl || !SSL_set_fd(p->ssl, p->fd) || !name_peer(p))
		return fail(p, "TLS", tls_reason());
	ERR_clear_error();
	while ((n = SSL_connect(p->ssl)) != 1)
		if (!tls_waited(p, n)) {
			verdict = SSL_get_verify_result(p->ssl);
			return fail(p, "TLS", verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : tls_reason());
		}
	return true;
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

static ssize_t put(struct peer *p, struct str s)
{
	return p->ssl ? SSL_write(p->ssl, s.p, (int)s.n) : send(p->fd, s.p, s.n, MSG_NOSIGNAL);
}

static bool send_stream(struct peer *p)
{
	struct str left = p->call->body;

	while (left.n) {
		ssize_t n = put(p, left);

		if (n > 0)
			left = str_bytes(left.p + n, left.n - (size_t)n);
		else if (p->ssl ? !tls_waited(p, (int)n) : errno != EAGAIN)
			return fail(p, "send", p->ssl ? "it takes nothing more" : strerror(errno));
		else if (!p->ssl && !wait_for(p, POLLOUT, p->until_us))
			return fail(p, "send", "it takes nothing more");
	}
	return true;
}

/* Says that this was all, and waits for the peer to say so, too. */
static bool close_stream(struct peer *p)
{
	char dropped[512];

	if (p->ssl)
		SSL_shutdown(p->ssl);
	shutdown(p->fd, SHUT_WR);
	for (;;) {
		ssize_t n;

		if (!wait_for(p, POLLIN, p->until_us))
			return fail(p, "close", "it did not close its side: nobody knows what it took");
		n = recv(p->fd, dropped, sizeof dropped, 0);
		if (n == 0)
			return true;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fail(p, "close", strerror(errno));
	}
}

/* What a host without the port says of it comes with the next call. */
static bool send_datagrams(struct peer *p)
{
	enum { AT_ONCE = 32, REST_US = 3000, LISTEN_US = 30000 };
	socklen_t size = sizeof(int);
	int code = 0;

	for (size_t i = 0; i < p->call->n; i++) {
		struct str s = p->call->datagrams[i];

		while (send(p->fd, s.p, s.n, MSG_NOSIGNAL) < 0)
			if (errno != EAGAIN || !wait_for(p, POLLOUT, p->until_us))
				return fail(p, "send", strerror(errno));
		if (i % AT_ONCE == AT_ONCE - 1)
			usleep(REST_US); /* a burst would be more than its buffer has room for */
	}
	if (wait_for(p, POLLIN, clock_boot_us() + LISTEN_US) &&
	    getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &code, &size) == 0 && code)
		return fail(p, "send", strerror(code));
	return true;
}

static void exchange(struct syslog_call *call)
{
	struct peer p = { .call = call, .fd = -1, .until_us = clock_boot_us() + call->total_ms * INT64_C(1000) };

	if (open_peer(&p)) {
		*call->error = '\0'; /* an address before this one may have failed */
		if (call->to.scheme == LOG_UDP)
			send_datagrams(&p);
		else if ((call->to.scheme == LOG_TCP || begin_tls(&p)) && send_stream(&p))
			close_stream(&p);
	}
	SSL_free(p.ssl);
	if (p.fd >= 0)
		close(p.fd);
}

/* --- its thread --------------------------------------------------------------------------------------------------- */

struct sending {
	struct syslog_call *call;
	struct loop *loop;
	struct loop_watch *watch;
	pthread_t thread;
	int bell;
	void (*done)(void *arg, struct syslog_call *call);
	void *arg;
};

static void *work(void *arg)
{
	struct sending *s = arg;
	uint64_t one = 1;

	exchange(s->call);
	if (write(s->bell, &one, sizeof one) < 0)
		abort(); /* an eventfd takes 2^64 - 2 of these */
	return NULL;
}

static void on_bell(void *arg, uint32_t events)
{
	struct sending *s = arg;

	(void)events;
	pthread_join(s->thread, NULL);
	loop_remove(s->loop, s->watch);
	close(s->bell);
	s->done(s->arg, s->call);
	free(s);
}

/* Signals are the loop's. */
static int start(struct sending *s)
{
	enum { STACK_BYTES = 256 << 10 };
	pthread_attr_t how;
	sigset_t all, before;
	int code;

	pthread_attr_init(&how);
	pthread_attr_setstacksize(&how, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&s->thread, &how, work, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&how);
	return code;
}

bool syslog_send(struct loop *l, struct syslog_call *call, void (*done)(void *arg, struct syslog_call *call), void *arg)
{
	struct sending *s = calloc(1, sizeof *s);

	if (!s)
		abort();
	*s = (struct sending){ .call = call, .loop = l, .done = done, .arg = arg, .bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	*call->error = '\0';
	s->watch = s->bell < 0 ? NULL : loop_add(l, s->bell, EPOLLIN, on_bell, s);
	errno = s->watch ? start(s) : errno;
	if (s->watch && !errno)
		return true;
	loop_remove(l, s->watch);
	if (s->bell >= 0)
		close(s->bell);
	free(s);
	return false;
}
