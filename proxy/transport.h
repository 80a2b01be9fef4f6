/* transport.h - between the bytes of a socket and the plain bytes of MQTT. A door names the table
 * of its connections: plain TCP now, TLS and WebSocket come as tables of their own beside it.
 * Owner's thread only.
 *
 *   conn_io reads:    ops->read    one recv; plain bytes lie in the worker's room, or nothing was
 * plain (a handshake): *plain is empty conn_io writes:   ops->write   one send of what waits in
 * out, as far as the socket takes it
 *
 * A layer that has to say something itself (handshake, pong) does so inside read/write and keeps it
 * until it is gone: it then answers want_write, and conn_io calls write also when out is empty. */
#pragma once
#include "base/bytes.h"

/* most plain bytes of one read: what a greedy client gets of a turn */
enum { TRANSPORT_READ = 64 << 10 };

struct transport_ops;
struct transport {
	const struct transport_ops *ops;
	void *layer; /* the table's own state, or NULL */
};

struct transport_ops {
	/* "tcp", "tls", "ws", "wss": the word in log lines and events */
	const char *name;
	/* a connection begins: 0 or -E_* */
	int (*open)(struct transport *t, int fd);
	/* 0 and *plain (borrowed from room, which has TRANSPORT_READ bytes at least), -E_AGAIN,
	 * -E_CLOSED, -E_IO, -E_INVALID: not its language */
	int (*read)(struct transport *t, int fd, uint8_t *room, struct str *plain);
	/* Consumes from out what was taken. 0: all is gone; -E_AGAIN: call again when the socket is
	 * writable; -E_CLOSED, -E_IO. */
	int (*write)(struct transport *t, int fd, struct buf *out);
	/* we have said everything: tells the peer, keeps reading possible */
	void (*shut)(struct transport *t, int fd);
	void (*end)(struct transport *t); /* frees the layer */
};

extern const struct transport_ops transport_tcp;
