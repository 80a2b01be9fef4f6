/* door.h - the listening socket of one worker (SO_REUSEPORT: each has its own). Worker's thread
 * only. */
#pragma once
#include "base/loop.h"

struct transport_ops;
struct worker;

struct door {
	struct worker *worker;
	const struct transport_ops *transport;
	struct watch watch;
	/* descriptors ran out: try once this fires, do not spin (attack R23) */
	struct timer again;
	int fd; /* -1: no door */
};

/* takes fd */
void door_init(struct door *d, struct worker *w, const struct transport_ops *transport, int fd);
int door_open(struct door *d) MUST_CHECK; /* starts accepting */
void door_close(struct door *d);          /* stops; twice is fine */
