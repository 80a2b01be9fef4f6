/* door.h - a listening socket of one worker (SO_REUSEPORT: each has its own), and what kinds of
 * doors there are. Worker's thread only. */
#pragma once
#include "base/loop.h"

struct conn;
struct listener;
struct sock_addr;
struct transport_ops;
struct worker;

/* One row per kind: everything that makes doors differ. */
struct door_kind {
	const char *name;   /* the word in log lines and events, and the key of the configuration */
	const char *option; /* which key lists its addresses */
	size_t listen;      /* offset of that key's text in struct proxy_config */
	const struct transport_ops *transport;
	bool tls;
	const char *alpn; /* the only protocol a client may name inside TLS */
};
enum { DOOR_KINDS = 4 };
extern const struct door_kind door_kinds[DOOR_KINDS];

struct door {
	struct worker *worker;
	const struct door_kind *kind;
	const struct listener *listener; /* its settings */
	struct watch watch;
	/* descriptors ran out: try once this fires, do not spin (attack R23) */
	struct timer again;
	int fd; /* -1: closed */
};

/* takes fd */
void door_init(struct door *d, struct worker *w, const struct door_kind *kind,
               const struct listener *listener, int fd);
int door_open(struct door *d) MUST_CHECK; /* starts accepting */
/* Accepts all that waits in its socket: closing it would reset them. */
void door_empty(struct door *d);
void door_close(struct door *d); /* stops; twice is fine */

/* What stands right on the socket of c: TCP, or the PROXY protocol of a peer that has to speak it.
 */
const struct transport_ops *door_base(const struct conn *c);
/* A peer in front of us has told whose connection it is: counted as that address from here on. 0,
 * or -E_LIMIT, -E_NOMEM as if it had come itself. */
int door_came_from(struct conn *c, const struct sock_addr *peer) MUST_CHECK;
