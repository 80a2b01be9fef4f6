/* door.h - the listening socket of one worker (SO_REUSEPORT: each has its own). Worker's thread only. */
#pragma once
#include "base/loop.h"

struct transport_ops;
struct worker;

struct door {
	struct worker *worker;
	const struct transport_ops *transport;
	struct watch watch;
	struct timer again;                     /* descriptors ran out: try once this fires, do not spin (attack R23) */
	int fd;                                 /* -1: no door */
};

void door_init(struct door *d, struct worker *w, const struct transport_ops *transport, int fd);        /* takes fd */
int door_open(struct door *d) MUST_CHECK;                       /* starts accepting */
void door_close(struct door *d);                                /* stops; twice is fine */
