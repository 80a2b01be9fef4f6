/* auth_queue.h - credentials that wait for a slot at the endpoint, by the address that asked (IPv6:
 * its /64). Addresses are served in turn, so whoever asks about thousands waits behind itself. An
 * address may have so many waiting; when all places are taken, one that has less than half of what
 * the largest has gets a place of it. Authentication thread only. */
#pragma once
#include "base/hash.h"
#include "base/list.h"
#include "base/sock.h"

struct known;

enum { AUTH_QUEUE_LEVELS = 32 };

struct auth_queue {
	struct list all;   /* known.queue, the one that came first at the head */
	struct list turns; /* askers, the next one to be served at the head */
	/* askers by their count's highest bit */
	struct list level[AUTH_QUEUE_LEVELS];
	struct map askers;
	size_t count;
};

void auth_queue_init(struct auth_queue *q);
void auth_queue_free(struct auth_queue *q); /* MUST be empty */
/* Does this address have so many waiting already? */
bool auth_queue_has(const struct auth_queue *q, const struct sock_addr *peer, size_t most);
/* The last that came of the address that has most, if that is more than twice what this one has. */
struct known *auth_queue_give_way(const struct auth_queue *q, const struct sock_addr *peer);
/* first: it goes before all others. 0 or -E_NOMEM */
int auth_queue_add(struct auth_queue *q, struct known *k, const struct sock_addr *peer,
                   bool first) MUST_CHECK;
void auth_queue_del(struct auth_queue *q, struct known *k); /* its address goes behind the others */
struct known *auth_queue_next(const struct auth_queue *q);  /* NULL: nobody waits */
