/* listen.h - opens every socket that the configuration names: in the main thread, before anything
 * else, so that a busy port or a missing right is told at once and by one line. */
#pragma once
#include <sys/types.h>

#include "proxy/door.h"
#include "proxy/inherit.h"

struct proxy_config;

/* addresses of all kinds together; workers */
enum { LISTEN_MAX = 16, LISTEN_WORKERS = 16 };

struct listen_at { /* one address: a socket for each worker, or one that they share */
	const struct door_kind *kind;
	char host[SOCKET_PATH]; /* or the path of a Unix socket */
	uint16_t port;          /* of the first socket; all others share it, also when it was 0 */
	bool local;             /* a Unix socket */
	bool shared;            /* all of fd are copies of one */
	/* worker i serves fd[i], fd[i + workers] ...: a predecessor may have had more of them */
	unsigned fds;
	int fd[LISTEN_WORKERS];
};

struct listen {
	struct listen_at at[LISTEN_MAX];
	unsigned count;
	bool inherited; /* some of the sockets were there before us */
};

/* Pure: the addresses of the configuration. 0, or -E_INVALID with *what (the text) and *why. */
int listen_read(struct listen *l, const struct proxy_config *config, const char **what,
                const char **why) MUST_CHECK;
/* Sockets whose name is the key of a kind stand in for the addresses of that kind. 0, or -E_* with
 * *what and *why: also when there is no door at all. */
int listen_named(struct listen *l, struct inherited *in, const char **what,
                 const char **why) MUST_CHECK;
/* Takes sockets of `in` that are at one of the addresses, opens the others. 0 or -E_*, with the
 * address in *what and a sentence in *why; listen_close in either case */
int listen_open(struct listen *l, unsigned workers, mode_t mode, struct inherited *in,
                const char **what, const char **why) MUST_CHECK;
/* Our own copies: workers have theirs (worker_add_door). Twice is fine. */
void listen_close(struct listen *l);
bool listen_any_tls(const struct listen *l);

/* The next of a list "a, b,c": false at its end. An empty entry is an entry. */
bool listen_next(struct str *list, struct str *item);
