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
/* Of what the tree holds now: another one after every change, and never one that any tree of the
 * process had before. What was found under the same stamp would be found again. */
uint64_t tree_stamp(const struct tree *t);
size_t tree_nodes(const struct tree *t); /* for limits and tests */
bool tree_empty(const struct tree *t);
