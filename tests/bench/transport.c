/* transport.c - TLS and the client's side of WebSocket for the generator (transport.h). The
 * certificate is not checked: nothing secret is said, and the checks of a client are not what is
 * measured. */
#include "tests/bench/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "wire/ws.h"

enum { RECORD = 16 << 10, READ_AHEAD = 256 << 10, HEAD_MOST = 2048, PATIENCE_MS = 30000 };

struct bench_pipe {
	int fd;
	SSL *ssl;
	bool web, more;
	struct buf out; /* frames that the socket did not take yet */
	uint64_t left;  /* of the payload of the frame that is coming */
	uint8_t head[WS_OWN_HEAD_MAX];
	unsigned heads; /* bytes of a frame's header that is not whole yet */
};

/* ---- Bytes of the socket, or of TLS ---- */

static ssize_t ssl_failed(struct bench_pipe *p, int n)
{
	switch (SSL_get_error(p->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		errno = EPROTO;
		return -1;
	}
}

static ssize_t under_recv(struct bench_pipe *p, uint8_t *room, size_t size)
{
	size_t got = 0;
	int n = 0;

	p->more = false;
	if (!p->ssl)
		return recv(p->fd, room, size, 0);
	while (size - got >= RECORD) {
		n = SSL_read(p->ssl, room + got, (int)(size - got));
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	p->more = size - got < RECORD;
	return got ? (ssize_t)got : ssl_failed(p, n);
}

static ssize_t under_send(struct bench_pipe *p, const uint8_t *bytes, size_t n)
{
	size_t sent = 0;
	int more = 0;

	if (!p->ssl)
		return send(p->fd, bytes, n, MSG_NOSIGNAL);
	while (sent < n) {
		more = SSL_write(p->ssl, bytes + sent, (int)(n - sent));
		if (more <= 0)
			break;
		sent += (size_t)more;
	}
	return sent ? (ssize_t)sent : ssl_failed(p, more);
}

/* ---- WebSocket ---- */

/* Takes the headers of the server's frames away, in place; all of them are binary, unmasked. */
static ssize_t unframe(struct bench_pipe *p, uint8_t *room, size_t n)
{
	uint8_t *at = room, *end = room + n, *to = room;

	while (at < end) {
		if (p->left) {
			size_t take = p->left < (size_t)(end - at) ? p->left : (size_t)(end - at);

			memmove(to, at, take);
			to += take;
			at += take;
			p->left -= take;
			continue;
		}
		p->head[p->heads++] = *at++;
		if (p->head[0] != (0x80 | WS_BINARY)) {
			errno = EPROTO;
			return -1;
		}
		if (p->heads < 2 || p->heads < (p->head[1] < 126    ? 2u
		                                : p->head[1] == 126 ? 4u
		                                                    : 10u))
			continue;
		p->left = p->head[1] < 126 ? p->head[1] : 0;
		for (unsigned i = 2; i < p->heads; i++)
			p->left = p->left << 8 | p->head[i];
		p->heads = 0;
	}
	return to - room;
}

/* One masked frame of all that waits, RFC 6455 5.2. */
static bool frame(struct bench_pipe *p, struct buf *out)
{
	static const uint8_t mask[4] = { 0x9a, 0x3c, 0x71, 0xe5 };
	uint8_t head[WS_HEAD_MAX];
	size_t n = buf_len(out), size = ws_head_size(n);

	if (!buf_reserve(&p->out, n + WS_HEAD_MAX))
		return false;
	MUST(ws_head_before(head + size, n) == size);
	head[1] |= 0x80;
	memcpy(head + size, mask, sizeof(mask));
	buf_bytes(&p->out, head, size + sizeof(mask));
	ws_unmask(p->out.p + p->out.head + buf_len(&p->out), buf_data(out), n, mask, 0);
	buf_commit(&p->out, n);
	buf_consume(out, n);
	return true;
}

ssize_t bench_pipe_recv(struct bench_pipe *p, void *room, size_t size)
{
	ssize_t n = under_recv(p, room, size);

	if (n <= 0 || !p->web)
		return n;
	n = unframe(p, room, (size_t)n);
	if (n == 0) {
		errno = EAGAIN;
		return -1;
	}
	return n;
}

ssize_t bench_pipe_send(struct bench_pipe *p, struct buf *out)
{
	struct buf *from = p->web ? &p->out : out;
	ssize_t n;

	if (p->web && buf_len(out) && !frame(p, out)) {
		errno = ENOMEM;
		return -1;
	}
	n = under_send(p, buf_data(from), buf_len(from));
	if (n > 0)
		buf_consume(from, (size_t)n);
	return n;
}

bool bench_pipe_more(const struct bench_pipe *p)
{
	return p->more;
}

size_t bench_pipe_kept(const struct bench_pipe *p)
{
	return buf_len(&p->out);
}

/* ---- Beginning ---- */

static bool await(struct bench_pipe *p, short events)
{
	struct pollfd f = { .fd = p->fd, .events = events };

	return poll(&f, 1, PATIENCE_MS) == 1;
}

static SSL_CTX *context(void)
{
	static SSL_CTX *one;

	if (one)
		return one;
	one = SSL_CTX_new(TLS_client_method());
	if (!one)
		return NULL;
	SSL_CTX_set_mode(one, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(one, 1);
	SSL_CTX_set_default_read_buffer_len(one, READ_AHEAD);
	SSL_CTX_set_options(one, SSL_OP_IGNORE_UNEXPECTED_EOF);
	return one;
}

static bool tls_open(struct bench_pipe *p, const char *kind)
{
	SSL_CTX *ctx = context();
	int n;

	p->ssl = ctx ? SSL_new(ctx) : NULL;
	if (!p->ssl || SSL_set_fd(p->ssl, p->fd) != 1)
		return false;
	if (kind && SSL_set1_sigalgs_list(p->ssl, strcmp(kind, "rsa") == 0
	                                              ? "rsa_pss_rsae_sha256:RSA+SHA256"
	                                              : "ECDSA+SHA256") != 1)
		return false;
	while ((n = SSL_connect(p->ssl)) != 1) {
		if (ssl_failed(p, n) == 0 || errno != EAGAIN ||
		    !await(p, SSL_want_write(p->ssl) ? POLLOUT : POLLIN))
			return false;
	}
	return true;
}

static bool upgrade(struct bench_pipe *p)
{
	static const char request[] = "GET /mqtt HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
				      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
				      "Sec-WebSocket-Key: YmVuY2ggYmVuY2ggYmVuYw==\r\n"
				      "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
	uint8_t answer[RECORD + 1];
	ssize_t n;

	if (under_send(p, (const uint8_t *)request, sizeof(request) - 1) !=
	    (ssize_t)sizeof(request) - 1)
		return false;
	do {
		if (!await(p, POLLIN))
			return false;
		n = under_recv(p, answer, RECORD);
	} while (n < 0 && errno == EAGAIN);
	/* it comes with one send, and nothing behind it before our CONNECT */
	return n > 12 && n < HEAD_MOST && memcmp(answer, "HTTP/1.1 101", 12) == 0 &&
	       memcmp(answer + n - 4, "\r\n\r\n", 4) == 0;
}

int bench_pipe_open(struct bench_pipe **out, int fd, enum bench_door door, const char *kind)
{
	struct bench_pipe *p = mem_zalloc(sizeof(*p));

	if (!p)
		return -E_NOMEM;
	p->fd = fd;
	p->web = door == BENCH_WS || door == BENCH_WSS;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && (door == BENCH_WS || tls_open(p, kind)) &&
	    (!p->web || upgrade(p))) {
		*out = p;
		return 0;
	}
	bench_pipe_free(&p);
	return -E_IO;
}

void bench_pipe_free(struct bench_pipe **slot)
{
	struct bench_pipe *p = *slot;

	*slot = NULL;
	if (!p)
		return;
	SSL_free(p->ssl);
	buf_free(&p->out);
	mem_free(p);
}
