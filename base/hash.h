/* hash.h - keyed hashing (SipHash-1-3) and an intrusive hash table for whatever strangers may name.
 * The key is drawn from getrandom() once per process, so that nobody can choose colliding names
 * (attack R21). */
#pragma once
#include "base/base.h"

uint64_t hash_bytes(const void *p, size_t n);   /* keyed; any thread after hash_start() */
uint64_t hash_mix(uint64_t a, uint64_t b);      /* keyed combination of two numbers or hashes */
void hash_start(void);                          /* once, before threads; idempotent */
void hash_start_with(uint64_t k0, uint64_t k1); /* tests: a known key */
uint64_t hash_sip13(uint64_t k0, uint64_t k1, const void *p, size_t n);

/* Intrusive table: chained buckets, one thread at a time. The node holds its hash; the caller
 * compares the key. It grows by a bucket or two with an addition (linear hashing): a table of a
 * million nodes that moves all of them at once would stop its thread for half a second. */
struct map_node {
	struct map_node *next;
	uint64_t hash;
};

struct map {
	struct map_node **bucket; /* mask + 1; those from `used` on hold nothing yet */
	/* zeroed struct = empty map without memory; mask / 2 < used <= mask + 1 */
	size_t mask, used, count;
};

/* 0 or -E_NOMEM; does not look for duplicates */
int map_add(struct map *m, struct map_node *node, uint64_t hash) MUST_CHECK;
void map_del(struct map *m, struct map_node *node); /* node MUST be in m */
/* first node with this hash, or NULL */
struct map_node *map_first(const struct map *m, uint64_t hash);
struct map_node *map_next(const struct map_node *node); /* next node with the same hash, or NULL */
void map_free(struct map *m);                           /* the buckets; nodes are the caller's */

/* Walks all nodes in no order; the body may delete the current node (no shrinking happens in
 * between: see map_trim). */
struct map_node *map_walk(const struct map *m, size_t *bucket, struct map_node *after);
#define map_each(node, m) \
	for (size_t node##_b = 0, node##_once = 1; node##_once; node##_once = 0) \
		for (struct map_node *node = map_walk(m, &node##_b, NULL), *node##_n; \
		     node && ((node##_n = map_walk(m, &node##_b, node)), true); node = node##_n)
/* gives memory back after many deletions, for a thousand buckets at a time */
void map_trim(struct map *m);
