/* transport_front.c - the PROXY protocol of a load balancer that the configuration names: its
 * header comes first, and must; then the layer takes itself away. The address in it is the client's
 * from here on, for limits, ips and logs alike (attack A22). */
#include "base/base.h"
#include "proxy/transport.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "proxy/conn.h"
#include "proxy/door.h"
#include "wire/proxy_protocol.h"

enum { ESCAPED = 200 };

struct lead { /* what comes before the client's first byte */
	struct conn *conn;
	struct buf bytes;
};

static int front_open(struct transport *t, struct conn *c)
{
	struct lead *l = mem_zalloc(sizeof(*l));

	if (!l)
		return -E_NOMEM;
	l->conn = c;
	t->layer = l;
	return 0;
}

static void front_end(struct transport *t)
{
	struct lead *l = t->layer;

	t->layer = NULL;
	if (!l)
		return;
	buf_free(&l->bytes);
	mem_free(l);
}

static int refused(struct lead *l, const char *why)
{
	LOG_INFO(conn_name(l->conn), "proxy-protocol", "why=\"%s\"", why);
	return -E_INVALID;
}

/* Who has ended TLS in front of us says whose certificate it was. What he shows us of his own on
 * the way to us is not his client's. */
static int take_tls(struct conn *c, const struct proxy_protocol *p)
{
	char version[ESCAPED], cn[ESCAPED];

	if (!p->ssl)
		return 0;
	/* log_esc has one room for all */
	(void)snprintf(version, sizeof(version), "%s", log_esc(p->ssl_version));
	(void)snprintf(cn, sizeof(cn), "%s", log_esc(p->ssl_cn));
	LOG_INFO(conn_name(c), "fronted", "tls=%s cn=%s verified=%d sni=%s",
	         (p->ssl_client & PROXY_SSL) ? version : "no", cn, proxy_protocol_verified(p),
	         log_esc(p->authority));
	c->cert_front = true;
	return conn_certify(c, proxy_protocol_verified(p) ? p->ssl_cn : STR_NONE);
}

static int take(struct transport *t, struct lead *l, uint8_t *room, struct str *plain)
{
	struct proxy_protocol p;
	enum parse parse = proxy_protocol_read(buf_str(&l->bytes), &p);
	struct str rest;
	int err = 0;

	if (parse == PARSE_MORE)
		return 0;
	if (parse == PARSE_BAD)
		return refused(l, "not a header of the PROXY protocol");
	if (!p.own && !p.source.local)
		err = door_came_from(l->conn, &p.source);
	if (err)
		return -E_DENIED;
	if (take_tls(l->conn, &p))
		return -E_NOMEM;
	rest = str_skip(buf_str(&l->bytes), p.size);
	MUST(rest.n <= TRANSPORT_READ); /* the header ended in the last recv */
	if (rest.n)
		memcpy(room, rest.p, rest.n);
	*plain = str_make(room, rest.n);
	front_end(t);
	t->partial = 0;
	t->ops = &transport_tcp;
	t->settled = true;
	return 0;
}

static int front_read_bytes(struct transport *t, int fd, uint8_t *room, struct str *plain)
{
	struct lead *l = t->layer;
	int err = transport_tcp.read(t, fd, room, plain);

	if (err)
		return err;
	buf_str_add(&l->bytes, *plain);
	t->partial = (uint32_t)buf_len(&l->bytes);
	*plain = STR_NONE;
	return buf_ok(&l->bytes) ? take(t, l, room, plain) : -E_NOMEM;
}

static int front_write(struct transport *t, int fd, struct buf *out)
{
	return transport_tcp.write(t, fd, out);
}

static void front_shut(struct transport *t, int fd)
{
	transport_tcp.shut(t, fd);
}

const struct transport_ops transport_front = {
	.open = front_open,
	.read = front_read_bytes,
	.write = front_write,
	.shut = front_shut,
	.end = front_end,
};
