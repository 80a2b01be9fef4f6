/* listen.h - opens every socket that the configuration names: in the main thread, before anything
 * else, so that a busy port or a missing right is told at once and by one line. */
#pragma once
#include "proxy/config.h"
#include "proxy/door.h"
#include "proxy/front.h"
#include "proxy/inherit.h"

/* addresses of all kinds together; workers */
enum { LISTEN_MAX = 32, LISTEN_WORKERS = 16 };

/* What doors have in common that stand in one section: [proxy], or a [listener NAME]. */
struct listener {
	const char *name; /* "" of [proxy] */
	const struct proxy_config *config;
	struct front front;
	int tls; /* which of a worker's contexts; -1: none of its doors has TLS */
	/* where its connections of an address are counted (caps.h), and how often they come: 0 is
	 * that of [proxy]; its own when it has said the limit itself */
	uint8_t count_ledger, rate_ledger;
};

struct listen_at { /* one address: a socket for each worker, or one that they share */
	const struct door_kind *kind;
	const struct listener *listener;
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
	struct listener listener[1 + LISTENERS_MAX];
	unsigned listeners;
	unsigned tls;   /* listeners with TLS */
	bool inherited; /* some of the sockets were there before us */
};

/* Pure: the addresses of the configuration, and what its doors look at. Borrows config. 0, or
 * -E_INVALID with *what (the text) and *why. */
int listen_read(struct listen *l, const struct proxy_config *config, const char **what,
                const char **why) MUST_CHECK;
/* Sockets whose name is the key of a kind, or of a listener, stand in for its addresses. 0, or -E_*
 * with *what and *why: also when there is no door at all. */
int listen_named(struct listen *l, struct inherited *in, const char **what,
                 const char **why) MUST_CHECK;
/* Takes sockets of `in` that are at one of the addresses, opens the others. 0 or -E_*, with the
 * address in *what and a sentence in *why; listen_close in either case */
int listen_open(struct listen *l, unsigned workers, struct inherited *in, const char **what,
                const char **why) MUST_CHECK;
/* Our own copies: workers have theirs (worker_add_door). Twice is fine. */
void listen_close(struct listen *l);

/* The next of a list "a, b,c": false at its end. An empty entry is an entry. */
bool listen_next(struct str *list, struct str *item);
