/* acl_set.h - a set of filters that answers "does one of you cover this?" without asking each.
 * For acl/ and core/rights.c.
 *
 * Made once, then read-only: any number of threads may ask at once. Texts are borrowed and must
 * live as long as the set. */
#pragma once
#include "wire/topic.h"

struct acl_item {
	struct filter f;
	unsigned entry; /* whose it is: position in the token's list, for explanations */
};

struct acl_node;

struct acl_set {
	struct acl_item *items; /* sorted by levels; none covers another */
	unsigned count;
	bool system;            /* the mark of those that start with a wildcard: the same for all */
	struct acl_node *nodes; /* the items' levels as a tree; NULL without items */
};

/* Copies the items, drops what others cover. 0 or -E_NOMEM; *out is untouched then. Items that
 * start with a wildcard MUST agree in their mark. */
int acl_set_make(struct acl_set *out, const struct acl_item *items, unsigned count) MUST_CHECK;
void acl_set_free(struct acl_set *s); /* a zeroed one is fine */
/* An item that covers f, or -1. A name is a filter without wildcards: then it is an item that
 * matches. No allocation; at most one look at each node whatever f is. */
int acl_set_find(const struct acl_set *s, struct filter f);
/* and counts the nodes that were looked at into *looked */
int acl_set_look(const struct acl_set *s, struct filter f, size_t *looked);
/* Each item whose levels can have a name in common with f's, and perhaps some that only the root
 * rule keeps apart: filter_intersect judges. Looks at each node once at most, and at none that the
 * literal levels of f exclude, and counts them into *looked. Ends when visit says false; was it
 * true to the end? */
bool acl_set_meet(const struct acl_set *s, struct str f,
                  bool (*visit)(void *arg, const struct acl_item *item), void *arg, size_t *looked);
bool acl_set_same(const struct acl_set *a, const struct acl_set *b);
