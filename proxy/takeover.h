/* takeover.h - one proxy hands its listening sockets to the next one, so that no connection is ever
 * refused: both hold the same sockets, and whoever accepts, accepts. Main thread.
 *
 *   old                                  new, started with the same `takeover` path
 *   listens on the path                  connects to it
 *   sends every listening socket  ---->  keeps them, makes its workers, reaches the core
 *   goes on accepting                    ready: says so, begins to accept
 *   stops accepting, gives up     <----
 *   the path, closes              ---->  listens on the path
 *   lets its clients go (drain.h)
 *
 * If the new one dies before it is ready, nothing has happened. Both must be of the same user. */
#pragma once
#include <poll.h>

#include "base/base.h"

struct inherited;
struct listen;

struct takeover {
	const char *path; /* NULL: not configured */
	int listener;     /* where a successor comes */
	int other;        /* the successor, or the predecessor until we are ready */
	bool from;        /* other is our predecessor */
};

/* Asks whoever is there for his sockets. 0, also when there is nobody; -E_* and *why. */
int takeover_ask(struct takeover *t, const char *path, struct inherited *in,
                 const char **why) MUST_CHECK;
/* We serve: the predecessor is told, and a successor can come from now on. */
void takeover_serve(struct takeover *t);

/* For the wait of main: fills two, and looks at them afterwards. True: a successor has all. */
void takeover_wait(const struct takeover *t, struct pollfd two[2]);
bool takeover_look(struct takeover *t, const struct pollfd two[2],
                   const struct listen *l) MUST_CHECK;
void takeover_end(struct takeover *t); /* twice is fine */
