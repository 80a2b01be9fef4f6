/* handshakes.c - connections that begin and end: TCP connect, TLS handshake, the ticket, close; as
 * many as go in the time, a few at once. With --resume every handshake but the first goes on with
 * the first one's ticket. On the door tcp there is no handshake: what a connection costs without.
 */
#include "tests/bench/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 16, SOURCES = 200 };

struct slot {
	SSL *ssl;
	bool done; /* the handshake is, and its ticket is here */
};

static SSL_SESSION *kept; /* the first, with --resume */

/* TLS 1.3 sends it when the server has seen our end of the handshake. */
static int ticket_came(SSL *ssl, SSL_SESSION *session)
{
	struct slot *s = SSL_get_app_data(ssl);

	s->done = true;
	if (kept)
		return 0;
	kept = session;
	return 1;
}

static SSL_CTX *context(const struct bench_options *o)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, ticket_came);
	if (o->key &&
	    SSL_CTX_set1_sigalgs_list(ctx, strcmp(o->key, "rsa") == 0 ? "rsa_pss_rsae_sha256"
	                                                              : "ECDSA+SHA256") != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* Another source address each time: ports of connections that have ended are not free at once. */
static int dial(const struct bench_options *o, unsigned serial)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)o->port) };
	struct sockaddr_in from = { .sin_family = AF_INET,
		                    .sin_addr.s_addr = htonl(0x7f000002u + serial % SOURCES) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && inet_pton(AF_INET, o->host, &to.sin_addr) == 1 &&
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A copy: OpenSSL uses a session of TLS 1.3 only once. */
static bool use_ticket(SSL *ssl)
{
	SSL_SESSION *copy = SSL_SESSION_dup(kept);
	bool used = copy && SSL_set_session(ssl, copy) == 1;

	SSL_SESSION_free(copy);
	return used;
}

static bool begin(const struct bench_options *o, SSL_CTX *ctx, struct slot *s, struct pollfd *f,
                  unsigned serial)
{
	*s = (struct slot){ .done = !ctx };
	*f = (struct pollfd){ .fd = dial(o, serial), .events = POLLIN };
	if (f->fd < 0 || !ctx)
		return f->fd >= 0;
	s->ssl = SSL_new(ctx);
	if (!s->ssl || SSL_set_fd(s->ssl, f->fd) != 1)
		return false;
	SSL_set_app_data(s->ssl, s);
	SSL_set_connect_state(s->ssl);
	return !o->resume || !kept || use_ticket(s->ssl);
}

/* false: the server broke off */
static bool go_on(struct slot *s)
{
	uint8_t byte;
	int n = s->ssl && !s->done ? SSL_read(s->ssl, &byte, 1) : 0, why;

	if (!s->ssl || s->done)
		return true;
	/* a ticket that is still good is not replaced */
	s->done = SSL_is_init_finished(s->ssl) && SSL_session_reused(s->ssl);
	why = SSL_get_error(s->ssl, n);
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static void end(struct slot *s, struct pollfd *f)
{
	if (s->ssl && s->done)
		(void)SSL_shutdown(s->ssl);
	SSL_free(s->ssl);
	s->ssl = NULL;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

struct tally {
	uint64_t all, resumed;
	const char *why;
};

static void run_for(const struct bench_options *o, SSL_CTX *ctx, double seconds, struct tally *t)
{
	uint64_t until = bench_now() + (uint64_t)(seconds * 1e9);
	struct slot slot[AT_ONCE];
	struct pollfd poller[AT_ONCE];
	unsigned serial = 0;

	for (unsigned i = 0; i < AT_ONCE; i++)
		if (!begin(o, ctx, &slot[i], &poller[i], serial++))
			t->why = "cannot connect";
	while (!t->why && bench_now() < until) {
		(void)poll(poller, AT_ONCE, ctx ? 100 : 0);
		for (unsigned i = 0; i < AT_ONCE && !t->why; i++) {
			if (!go_on(&slot[i]))
				t->why = "a handshake failed";
			if (!slot[i].done || t->why)
				continue;
			t->all++;
			t->resumed += slot[i].ssl && SSL_session_reused(slot[i].ssl);
			end(&slot[i], &poller[i]);
			if (!begin(o, ctx, &slot[i], &poller[i], serial++))
				t->why = "cannot connect";
		}
	}
	for (unsigned i = 0; i < AT_ONCE; i++)
		end(&slot[i], &poller[i]);
}

int bench_handshakes(const struct bench_options *o)
{
	bool tls = o->door == BENCH_TLS || o->door == BENCH_WSS;
	SSL_CTX *ctx = tls ? context(o) : NULL;
	struct tally warm = { 0 }, t = { 0 };
	double seconds, cpu;

	if (tls && !ctx)
		return 2;
	run_for(o, ctx, o->warmup, &warm);
	t.why = warm.why;
	cpu = -bench_cpu(o->pid, o->pids);
	seconds = -(double)bench_now() / 1e9;
	run_for(o, ctx, o->seconds, &t);
	seconds += (double)bench_now() / 1e9;
	cpu += bench_cpu(o->pid, o->pids);
	if (!t.why && o->resume && t.resumed != t.all)
		t.why = "not every handshake was resumed";
	printf("{\"scenario\":\"handshakes\",\"handshakes\":%llu,\"resumed\":%llu,\"seconds\":%.3f,"
	       "\"per_second\":%.0f,\"server_cpu_us\":%.2f,\"server_cpu\":%.3f,\"valid\":%s,"
	       "\"why\":\"%s\"}\n",
	       (unsigned long long)t.all, (unsigned long long)t.resumed, seconds,
	       (double)t.all / seconds, t.all ? cpu * 1e6 / (double)t.all : 0, cpu / seconds,
	       t.why ? "false" : "true", t.why ? t.why : "");
	SSL_SESSION_free(kept);
	SSL_CTX_free(ctx);
	return t.why ? 1 : 0;
}
