/* inherit.h - listening sockets that were there before us: from whoever started us (systemd's
 * LISTEN_FDS, sd_listen_fds(3)), or from the proxy that we take over from (takeover.h). Main
 * thread. */
#pragma once
#include "base/base.h"

enum { INHERIT_MAX = 256, INHERIT_NAME = 64, SOCKET_PATH = 112 };

struct inherited_socket {
	int fd;                  /* -1: taken */
	char name[INHERIT_NAME]; /* LISTEN_FDNAMES; "" from a predecessor */
	/* "192.0.2.1", "::", or the path of a Unix socket */
	char host[SOCKET_PATH];
	uint16_t port;
	bool local;
};

struct inherited {
	struct inherited_socket at[INHERIT_MAX];
	unsigned count;
};

/* Takes fd, also on failure: -E_INVALID and *why when it does not listen, or is of no kind that we
 * know; -E_LIMIT. */
int inherit_add(struct inherited *in, int fd, struct str name, const char **why) MUST_CHECK;
/* LISTEN_FDS and its sisters, which are removed from the environment: 0, also when there are none,
 * or -E_* and *why. Before anything else opens descriptors. */
int inherit_from_parent(struct inherited *in, const char **why) MUST_CHECK;
/* The next one with this name, or at this address, from *i on (begin with 0); NULL at the end. */
struct inherited_socket *inherit_named(struct inherited *in, const char *name, unsigned *i);
struct inherited_socket *inherit_at(struct inherited *in, const char *host, uint16_t port,
                                    unsigned *i);
/* One that nobody has taken, or NULL. */
struct inherited_socket *inherit_left(struct inherited *in);
void inherit_close(struct inherited *in); /* those that nobody took */
