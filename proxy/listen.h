/* listen.h - opens every socket that the configuration names: in the main thread, before anything
 * else, so that a busy port or a missing right is told at once and by one line. */
#pragma once
#include "proxy/door.h"

struct proxy_config;

/* addresses of all kinds together; workers */
enum { LISTEN_MAX = 16, LISTEN_WORKERS = 16, LISTEN_HOST = 64 };

struct listen_at { /* one address: a socket for each worker */
	const struct door_kind *kind;
	char host[LISTEN_HOST];
	uint16_t port; /* of the first socket; all others share it, also when it was 0 */
	int fd[LISTEN_WORKERS];
};

struct listen {
	struct listen_at at[LISTEN_MAX];
	unsigned count;
};

/* Pure: the addresses of the configuration. 0, or -E_INVALID with *what (the text) and *why. */
int listen_read(struct listen *l, const struct proxy_config *config, const char **what,
                const char **why) MUST_CHECK;
/* 0 or -E_*, with the address in *what and a sentence in *why; listen_close in either case */
int listen_open(struct listen *l, unsigned workers, const char **what, const char **why) MUST_CHECK;
void listen_close(struct listen *l); /* those that nobody took; twice is fine */
bool listen_any_tls(const struct listen *l);

/* The next of a list "a, b,c": false at its end. An empty entry is an entry. */
bool listen_next(struct str *list, struct str *item);
