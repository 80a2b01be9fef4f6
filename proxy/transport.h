/* transport.h - between the bytes of a socket and the plain bytes of MQTT. A door names the table
 * of its connections: plain TCP, TLS, WebSocket; one may stand on another, and calls it as conn_io
 * calls the topmost. Owner's thread only.
 *
 *   conn_io reads:    ops->read    one recv; the plain bytes lie in room, or nothing was plain (a
 *                                  handshake): *plain is empty
 *   conn_io writes:   ops->write   one send of what waits in out, as far as the socket takes it
 *
 * A layer that has to say something itself (handshake, pong, an alert) keeps it and counts it in
 * `held`: conn_io then calls write at the end of the turn, also when out is empty. What a layer
 * keeps for one connection is bounded by TRANSPORT_READ. */
#pragma once
#include "base/bytes.h"

enum {
	TRANSPORT_READ = 64 << 10, /* most bytes of one recv: what a greedy client gets of a turn */
	/* A layer decrypts to the front of the room what lies behind TRANSPORT_PLAIN: as much as
	 * came, and the beginning of a record that it had kept. */
	TRANSPORT_PLAIN = TRANSPORT_READ + (32 << 10),
	TRANSPORT_ROOM = TRANSPORT_PLAIN + TRANSPORT_READ,
};

struct conn;
struct transport_ops;
struct transport {
	const struct transport_ops *ops;
	void *layer; /* the table's own state, or NULL */
	/* Layer: bytes it keeps until the socket takes them */
	uint32_t held;
	/* Layer: bytes it keeps of what has not wholly come: a request, a record, a handshake */
	uint32_t partial;
	/* Layer: 0, or -E_* as of read: behind the plain bytes just handed over the stream ended */
	int8_t over;
	/* Layer: all handshakes are done; what comes from now on is MQTT */
	bool settled;
	/* conn_io: the connection ends, with this MQTT reason; the layer says goodbye in its
	 * language with the next write that leaves nothing */
	bool ending;
	uint8_t reason;
};

struct transport_ops {
	bool lingers; /* the peer answers our goodbye, and is waited for */
	/* A connection begins: 0 or -E_*. c outlives the layer. */
	int (*open)(struct transport *t, struct conn *c);
	/* 0 and *plain (borrowed from room, which has TRANSPORT_ROOM bytes at least), -E_AGAIN,
	 * -E_CLOSED, -E_IO, -E_INVALID: not its language, -E_DENIED: it has answered and refused.
	 */
	int (*read)(struct transport *t, int fd, uint8_t *room, struct str *plain);
	/* Consumes from out what was taken. 0: all is gone, held too; -E_AGAIN: call again when the
	 * socket is writable; -E_CLOSED, -E_IO. */
	int (*write)(struct transport *t, int fd, struct buf *out);
	/* we have said everything: tells the peer, keeps reading possible */
	void (*shut)(struct transport *t, int fd);
	void (*end)(
	    struct transport *t); /* frees the layer; harmless if open failed or never was */
};

extern const struct transport_ops transport_tcp, transport_front, transport_ws;
