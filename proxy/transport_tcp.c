/* transport_tcp.c - plain TCP: raw bytes are plain bytes, one recv and one send. */
#include "base/base.h"
#include "proxy/transport.h"

#include <errno.h>
#include <sys/socket.h>

static int tcp_open(struct transport *t, struct conn *c)
{
	(void)c;
	t->layer = NULL;
	t->settled = true;
	return 0;
}

static int tcp_error(int number)
{
	switch (number) {
	case EAGAIN:
	case EINTR:
	case ENOBUFS:
		return -E_AGAIN;
	case ECONNRESET:
	case EPIPE:
		return -E_CLOSED;
	default:
		return -E_IO;
	}
}

static int tcp_read(struct transport *t, int fd, uint8_t *room, struct str *plain)
{
	ssize_t n = recv(fd, room, TRANSPORT_READ, 0);

	(void)t;
	if (n < 0)
		return tcp_error(errno);
	if (n == 0)
		return -E_CLOSED;
	*plain = str_make(room, (size_t)n);
	return 0;
}

static int tcp_write(struct transport *t, int fd, struct buf *out)
{
	ssize_t n;

	(void)t;
	if (buf_len(out) == 0)
		return 0;
	n = send(fd, buf_data(out), buf_len(out), MSG_NOSIGNAL);
	if (n < 0)
		return tcp_error(errno);
	buf_consume(out, (size_t)n);
	return buf_len(out) ? -E_AGAIN : 0;
}

static void tcp_shut(struct transport *t, int fd)
{
	(void)t;
	(void)shutdown(fd, SHUT_WR); /* fails only when the peer is gone already */
}

static void tcp_end(struct transport *t)
{
	t->layer = NULL;
}

const struct transport_ops transport_tcp = {
	.open = tcp_open,
	.read = tcp_read,
	.write = tcp_write,
	.shut = tcp_shut,
	.end = tcp_end,
};
