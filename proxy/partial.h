/* partial.h - bytes of packets that have not wholly come. Whoever begins packets and does not end
 * them holds memory: so their sum has a limit, one for customers and one for connections that have
 * shown no token yet. In each pool the bytes belong to holders: a customer, or an address (IPv6:
 * its /64). When a pool is full, the holder of most loses its oldest connections with a packet
 * begun, until there is room: who holds less than half of an equal part never loses one (of fewer
 * than 64 holders: less than an equal part). Worker's thread only. */
#pragma once
#include "base/hash.h"
#include "base/list.h"

struct conn;
struct worker;

struct partial_holder {
	struct list node;  /* pool->holders[level], while it holds something */
	struct list conns; /* conn.partial_node, the oldest first */
	size_t bytes;
	uint8_t level; /* of bytes: their highest bit */
};

enum { PARTIAL_LEVELS = 40 };

struct partial_pool {
	/* by level: the largest is found however many there are */
	struct list holders[PARTIAL_LEVELS];
	size_t bytes, most;
	uint64_t looked;      /* holders that were compared, ever */
	struct map addresses; /* holders of the strangers' pool */
};

void partial_init(struct worker *w);
void partial_free(struct worker *w); /* no connection may be left */
void partial_holder_init(struct partial_holder *h);
/* So much of c has not wholly come now; may close it, or others. 0 or -E_NOMEM */
int partial_set(struct conn *c, size_t bytes) MUST_CHECK;
void partial_drop(struct conn *c); /* it holds nothing any more */
