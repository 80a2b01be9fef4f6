/* tree_parts.h - the nodes of the subscription index, for tree.c (adding and deleting) and
 * tree_match.c (walking) only.
 *
 * A node stands for one level or several in a row: a filter that is alone from some level on is one
 * node from there, which is split when another filter leaves it halfway. So a filter costs two
 * nodes at most, however deep it is, and a walk compares bytes that lie side by side (10,000
 * filters of 128 levels full of `+` are the worst case of issue 5).
 *
 * A million filters of a customer must fit, so a node is 48 bytes and its label: an only child
 * hangs at the node itself, and a `struct fan` comes in between when there is a second one. In a
 * fan, a few literal children are one chain that is searched by comparing (no hash is computed for
 * a tree of a handful of filters), more are a table under the keyed hash (attack R21). */
#pragma once
#include "base/hash.h"
#include "core/tree.h"

enum kind { LITERAL, PLUS, HASH };

struct fan;
struct tree_node {
	/* the next in its chain; literal children of a fan only */
	struct tree_node *next;
	struct tree_node *parent; /* NULL: the root */
	struct list leaves;
	union {
		struct tree_node *only; /* child of any kind, or NULL; !fanned */
		struct fan *fan;        /* fanned: two children at least */
	};
	/* of the first level; valid once the fan above has a table */
	uint32_t hash;
	/* bytes of label; kind of its first level */
	uint32_t size : 24, kind : 7, fanned : 1;
	/* levels: 16 bits of length, that many bytes. A `#` can only be the last */
	char label[];
};

struct fan {
	struct tree_node *plus, *pound;
	/* mask + 1 chains, of which `used` are; `chain` itself while mask is 0 */
	struct tree_node **table;
	struct tree_node *chain;
	/* mask / 2 < used <= mask + 1; literal children */
	uint32_t mask, used, count;
};

struct tree {
	size_t nodes;          /* without the root */
	uint64_t stamp;        /* tree_stamp() */
	struct tree_node root; /* last: ends in label[] */
};

enum { TREE_LENGTH = sizeof(uint16_t) }; /* before each level of a label */

static inline struct str label_level(const struct tree_node *n, size_t at)
{
	uint16_t length;

	memcpy(&length, n->label + at, TREE_LENGTH);
	return str_make(n->label + at + TREE_LENGTH, length);
}

static inline struct str first_level(const struct tree_node *n)
{
	return label_level(n, 0);
}

static inline uint32_t level_hash(struct str level)
{
	return (uint32_t)hash_bytes(level.p, level.n);
}

/* As struct map (base/hash.h): chains that are not in use yet have their nodes in the one that will
 * be split. Only when `mask` is set does the hash count, so it need not be known for a chain. */
static inline struct tree_node **fan_chain(const struct fan *f, uint32_t hash)
{
	uint32_t i = hash & f->mask;

	return &f->table[i < f->used ? i : i & f->mask >> 1];
}

static inline struct tree_node *fan_find(const struct fan *f, struct str level, uint32_t hash)
{
	struct tree_node *n = *fan_chain(f, hash);

	while (n && !str_eq(first_level(n), level))
		n = n->next;
	return n;
}
