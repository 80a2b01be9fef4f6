/* tree_match.c - one walk of the subscription index per message.
 *
 * Depth first, with an explicit stack. A visited node pushes at most two children, its `+` and the
 * one that is spelled like the name's next level, and one of them is taken off at once: so the
 * stack never holds more than a node per level and one, whatever the filters are, and no node is
 * visited twice. The name is cut into levels only as deep as the tree goes.
 *
 * A walk holds pointers into the tree: tree_add and tree_del MUST NOT be called from `hit`. Callers
 * collect what was hit. Leaves of a node that matches are pending until the node was done: its own,
 * and at most those of three children that end in `#`. */
#include "base/base.h"
#include "core/tree_parts.h"

/* Is there a level number d in the name? If so it is in level[d]. All levels before d are known
 * already. */
static inline bool level_at(struct tree_walk *w, unsigned d)
{
	if (d < w->known)
		return true;
	if (!levels_next(&w->rest, &w->level[d]))
		return false;
	w->have[d] = false;
	w->known++;
	return true;
}

static uint32_t hash_at(struct tree_walk *w, unsigned d)
{
	if (!w->have[d]) {
		w->hash[d] = level_hash(w->level[d]);
		w->have[d] = true;
	}
	return w->hash[d];
}

static inline void push(struct tree_walk *w, const struct tree_node *node, unsigned depth,
                        bool marked)
{
	w->stack[w->height++] = (struct tree_step){ node, (uint16_t)depth, marked };
}

/* Hit before the next node is looked at. */
static inline void hit_all(struct tree_walk *w, const struct tree_node *n, bool marked)
{
	w->leaves[w->pending++] = (struct tree_leaves){ &n->leaves, n->leaves.next, marked };
}

static inline bool is_wild(struct str level, char sign)
{
	return level.n == 1 && level.p[0] == sign;
}

/* Goes along the label of n, whose first level is the name's level `depth`. To its end: n is a step
 * to go on from. */
static inline void enter(struct tree_walk *w, const struct tree_node *n, unsigned depth,
                         bool marked)
{
	struct str level;

	for (size_t at = 0; at < n->size; at += TREE_LENGTH + level.n, depth++) {
		level = label_level(n, at);
		if (is_wild(level, '#')) { /* "a/#" matches "a" too, MQTT5 4.7.1.2 */
			hit_all(w, n, marked);
			return;
		}
		if (!level_at(w, depth) || !(is_wild(level, '+') || str_eq(level, w->level[depth])))
			return;
	}
	push(w, n, depth, marked);
}

/* What may follow at the children of this step; wild: may `+` and `#` (the root rule says no to
 * some). */
static inline void follow(struct tree_walk *w, const struct tree_step *s, bool wild, bool marked)
{
	const struct tree_node *n = s->node, *same;
	const struct fan *f = n->fan;

	if (!n->fanned) {
		if (n->only && (wild || n->only->kind == LITERAL))
			enter(w, n->only, s->depth, n->only->kind == LITERAL ? s->marked : marked);
		return;
	}
	if (f->pound && wild)
		enter(w, f->pound, s->depth, marked);
	if (!level_at(w, s->depth))
		return;
	if (f->plus && wild)
		enter(w, f->plus, s->depth, marked);
	same = fan_find(f, w->level[s->depth], f->mask ? hash_at(w, s->depth) : 0);
	if (same)
		enter(w, same, s->depth, s->marked);
}

/* The root rule of wire/topic.h: it is about the first level only, and everything below a wildcard
 * there inherits the mark. */
static void follow_root(struct tree_walk *w, const struct tree *t, struct str name)
{
	struct tree_step root = { &t->root, 0, false };

	follow(w, &root, name.p[0] != '$', topic_is_system(name));
}

/* False: `until` came first. */
static inline bool hit_pending(struct tree_walk *w, void (*hit)(void *arg, struct tree_leaf *leaf),
                               void *arg, uint64_t *spent, uint64_t until)
{
	for (; w->served < w->pending; w->served++) {
		struct tree_leaves *l = &w->leaves[w->served];

		while (l->at != l->head) {
			struct tree_leaf *leaf = list_entry(l->at, struct tree_leaf, node);

			l->at = l->at->next;
			++*spent;
			if (!l->marked || leaf->system)
				hit(arg, leaf);
			if (unlikely(*spent >= until))
				return false;
		}
	}
	w->served = w->pending = 0;
	return true;
}

void tree_walk_begin(struct tree_walk *w, const struct tree *t, struct str name)
{
	w->rest = levels_of(name);
	w->known = w->height = 0;
	w->pending = w->served = 0;
	if (name.n && t->nodes)
		follow_root(w, t, name);
}

bool tree_walk_on(struct tree_walk *w, void (*hit)(void *arg, struct tree_leaf *leaf), void *arg,
                  uint64_t *spent, uint64_t until)
{
	for (;;) {
		struct tree_step s;

		if (w->pending && !hit_pending(w, hit, arg, spent, until))
			return true;
		if (w->height == 0)
			return false;
		s = w->stack[--w->height];
		++*spent;
		if (!list_empty(&s.node->leaves) && !level_at(w, s.depth))
			hit_all(w, s.node, s.marked);
		follow(w, &s, true, s.marked);
		if (unlikely(*spent >= until) && (w->pending || w->height))
			return true;
	}
}

void tree_match(struct tree *t, struct str name, void (*hit)(void *arg, struct tree_leaf *leaf),
                void *arg)
{
	/* 5 KiB that are written before they are read: not cleared for each message */
	struct tree_walk w __attribute__((uninitialized));
	uint64_t spent = 0;

	tree_walk_begin(&w, t, name);
	(void)tree_walk_on(&w, hit, arg, &spent, UINT64_MAX);
}
