/* tree.h - the subscription index: which subscriptions match this name? One tree per customer
 * (names without the prefix), and one for the trusted world's filters (whole inner names). One
 * thread. Iterative; nodes shrink away with their last filter (attack R10).
 *
 * A subscription has a set of inner filters (design section 3); each is a `tree_leaf` in the tree.
 * The matcher calls `hit` once per leaf; the caller makes "once per subscription" of it with a
 * stamp. The root rule of wire/topic.h is applied here: a wildcard in the first level never matches
 * a level that begins with '$', and `flespi` only if the leaf is marked `system`. */
#pragma once
#include "base/list.h"
#include "wire/topic.h"

struct tree;
struct tree_node;

/* embedded in the owner of a filter; owner's memory */
struct tree_leaf {
	struct list node;     /* in its tree_node */
	struct tree_node *at; /* NULL: not in a tree */
	bool system;
	bool shared;    /* of a set that several subscriptions share (set.c); sub is NULL then */
	uint32_t index; /* in that set */
	struct subscription *sub;
};

int tree_new(struct tree **out) MUST_CHECK;
void tree_free(struct tree **t); /* MUST be empty */
int tree_add(struct tree *t, struct tree_leaf *leaf, struct str filter)
    MUST_CHECK; /* filter is copied level by level; 0, -E_NOMEM or -E_INVALID
                           ('#' not last, over 130 levels); then the tree is unchanged */
/* harmless when it is in no tree (at == NULL) */
void tree_del(struct tree *t, struct tree_leaf *leaf);
/* hit MUST NOT change this tree: collect what is hit, act afterwards. Other trees, and matching
 * within hit, are fine. */
void tree_match(struct tree *t, struct str name, void (*hit)(void *arg, struct tree_leaf *leaf),
                void *arg);
/* ---- The same walk, in slices ----
 * It holds pointers into the tree and into the name: it goes on only while tree_stamp() is what it
 * was at the beginning, and begins anew otherwise. */

/* the trusted world's names have "customer/<id>/" before 128 levels */
enum { TREE_DEPTH = TOPIC_LEVELS_MAX + 2, TREE_PENDING = 4 };

struct tree_step { /* a node whose path matches the first `depth` levels of the name */
	const struct tree_node *node;
	uint16_t depth;
	bool marked; /* reached through a root wildcard that only `system` leaves may use */
};
struct tree_leaves { /* of a node that matches, and which is next */
	const struct list *head, *at;
	bool marked;
};
struct tree_walk {
	struct levels rest;       /* of the name, not yet cut */
	unsigned known;           /* levels cut so far */
	unsigned height;          /* of the stack */
	unsigned pending, served; /* of leaves */
	struct tree_leaves leaves[TREE_PENDING];
	struct tree_step stack[TREE_DEPTH + 1];
	/* one more than the deepest filter has: to see that a name goes on */
	struct str level[TREE_DEPTH + 1];
	uint32_t hash[TREE_DEPTH + 1];
	bool have[TREE_DEPTH + 1]; /* hash[] is computed when a table asks for it */
};
void tree_walk_begin(struct tree_walk *w, const struct tree *t, struct str name);
/* Until *spent, which `hit` may raise too, reaches `until`, but at least a node or a leaf. A node
 * and a leaf are a unit of work each. True: there is more. */
bool tree_walk_on(struct tree_walk *w, void (*hit)(void *arg, struct tree_leaf *leaf), void *arg,
                  uint64_t *spent, uint64_t until);

/* Of what the tree holds now: another one after every change, and never one that any tree of the
 * process had before. What was found under the same stamp would be found again. */
uint64_t tree_stamp(const struct tree *t);
size_t tree_nodes(const struct tree *t); /* for limits and tests */
bool tree_empty(const struct tree *t);
