/* tree.c - the subscription index: adding and deleting filters. The shape of the tree is in
 * tree_parts.h, the walk in tree_match.c.
 *
 * Nodes are split when filters part, and not joined again when filters go: they go themselves, with
 * the last filter below them. All memory is asked for before anything changes. */
#include "base/base.h"
#include "core/tree_parts.h"

#include <stdatomic.h>

#include "base/mem.h"

enum { FEW = 4 }; /* literal children in a chain */

/* Any thread: trees of all homes draw from one row of numbers. */
static void changed(struct tree *t)
{
	static _Atomic uint64_t stamps;

	t->stamp = atomic_fetch_add_explicit(&stamps, 1, memory_order_relaxed) + 1;
}

int tree_new(struct tree **out)
{
	struct tree *t = mem_zalloc(sizeof(*t));

	if (!t)
		return -E_NOMEM;
	list_init(&t->root.leaves);
	changed(t);
	*out = t;
	return 0;
}

void tree_free(struct tree **t)
{
	MUST(!*t || tree_empty(*t));
	mem_free(*t);
	*t = NULL;
}

uint64_t tree_stamp(const struct tree *t)
{
	return t->stamp;
}

size_t tree_nodes(const struct tree *t)
{
	return t->nodes;
}

bool tree_empty(const struct tree *t)
{
	return t->nodes == 0;
}

/* ---- Labels ---- */
/* Of the filter's levels that l has not given yet. Each has its length instead of the slash behind
 * it. */
static size_t label_size(struct levels l)
{
	struct str level;
	size_t size = 0;

	while (levels_next(&l, &level))
		size += TREE_LENGTH + level.n;
	return size;
}

static void label_write(char *to, struct levels l)
{
	struct str level;

	while (levels_next(&l, &level)) {
		uint16_t length = (uint16_t)level.n;

		memcpy(to, &length, TREE_LENGTH);
		if (level.n)
			memcpy(to + TREE_LENGTH, level.p, level.n);
		to += TREE_LENGTH + level.n;
	}
}

/* How many bytes of the label the filter goes along with; l is left behind the levels that both
 * have. */
static size_t label_shared(const struct tree_node *n, struct levels *l)
{
	size_t at = 0;

	while (at < n->size) {
		struct levels before = *l;
		struct str level;

		if (!levels_next(l, &level) || !str_eq(label_level(n, at), level)) {
			*l = before;
			break;
		}
		at += TREE_LENGTH + level.n;
	}
	return at;
}

/* ---- The children of a node ---- */

static enum kind kind_of(struct str level)
{
	if (level.n != 1)
		return LITERAL;
	return level.p[0] == '+' ? PLUS : level.p[0] == '#' ? HASH : LITERAL;
}

/* The few children of its own chain get a table. Without memory they stay where they are: a longer
 * chain, nothing worse. */
static void fan_start(struct fan *f)
{
	struct tree_node **table = mem_array(2 * FEW, sizeof(*table)), *n;

	if (!table)
		return;
	f->table = table;
	f->mask = 2 * FEW - 1;
	f->used = 2 * FEW;
	while ((n = f->chain)) {
		struct tree_node **to;

		f->chain = n->next;
		n->hash = level_hash(first_level(n)); /* a chain alone carries none */
		to = fan_chain(f, n->hash);
		n->next = *to;
		*to = n;
	}
}

/* One more chain: the nodes of a large fan are never moved all at once. */
static void fan_split(struct fan *f)
{
	uint32_t room = f->mask + 1;
	struct tree_node **table, **from, **to, *n;

	if (f->used == room) {
		table = mem_realloc(f->table, 2 * (size_t)room * sizeof(*table));
		if (!table)
			return;
		f->table = table;
		f->mask = 2 * room - 1;
	}
	from = &f->table[f->used & f->mask >> 1];
	to = &f->table[f->used];
	*to = NULL;
	while ((n = *from)) {
		if ((n->hash & f->mask) != f->used) {
			from = &n->next;
			continue;
		}
		*from = n->next;
		n->next = *to;
		*to = n;
	}
	f->used++;
}

static void fan_merge(struct fan *f)
{
	uint32_t half = (f->mask + 1) / 2;
	struct tree_node **table, **end = &f->table[--f->used & f->mask >> 1];

	while (*end)
		end = &(*end)->next;
	*end = f->table[f->used];
	if (f->used > half)
		return;
	f->mask = half - 1;
	table = mem_realloc(f->table, half * sizeof(*table));
	if (table)
		f->table = table;
}

/* Two children or less need no table, and no memory to do without it. */
static void fan_stop(struct fan *f)
{
	struct tree_node *all = NULL;

	for (uint32_t i = 0; i < f->used; i++) {
		for (struct tree_node *n = f->table[i], *next; n; n = next) {
			next = n->next;
			n->next = all;
			all = n;
		}
	}
	mem_free(f->table);
	f->chain = all;
	f->table = &f->chain;
	f->mask = 0;
	f->used = 1;
}

static void fan_add(struct fan *f, struct tree_node *n)
{
	struct tree_node **to;

	if (n->kind != LITERAL) {
		*(n->kind == PLUS ? &f->plus : &f->pound) = n;
		return;
	}
	if (!f->mask && f->count >= FEW)
		fan_start(f);
	else if (f->mask && f->count >= f->used)
		fan_split(f);
	if (f->mask)
		n->hash = level_hash(first_level(n));
	to = fan_chain(f, n->hash);
	n->next = *to;
	*to = n;
	f->count++;
}

static void fan_del(struct fan *f, struct tree_node *n)
{
	struct tree_node **at;

	if (n->kind != LITERAL) {
		*(n->kind == PLUS ? &f->plus : &f->pound) = NULL;
		return;
	}
	at = fan_chain(f, n->hash);
	while (*at != n) {
		MUST(*at);
		at = &(*at)->next;
	}
	*at = n->next;
	n->next = NULL;
	f->count--;
	if (f->mask && f->count <= FEW / 2)
		fan_stop(f);
	for (unsigned i = 0; i < FEW && f->used > 2 * FEW && f->count < f->used / 4; i++)
		fan_merge(f);
}

static struct fan *fan_new(void)
{
	struct fan *f = mem_zalloc(sizeof(*f));

	if (!f)
		return NULL;
	f->table = &f->chain;
	f->used = 1;
	return f;
}

/* The second child comes to the first: takes the fan that holds both. */
static void child_fan_out(struct tree_node *at, struct fan *f)
{
	fan_add(f, at->only);
	at->fan = f;
	at->fanned = 1;
}

static int child_add(struct tree_node *at, struct tree_node *n)
{
	struct fan *f;

	n->parent = at;
	if (!at->fanned && !at->only) {
		at->only = n;
		return 0;
	}
	if (!at->fanned) {
		f = fan_new();
		if (!f)
			return -E_NOMEM;
		child_fan_out(at, f);
	}
	fan_add(at->fan, n);
	return 0;
}

static void child_del(struct tree_node *at, struct tree_node *n)
{
	struct fan *f = at->fan;

	if (!at->fanned) {
		MUST(at->only == n);
		at->only = NULL;
		return;
	}
	fan_del(f, n);
	if (f->count + (f->plus != NULL) + (f->pound != NULL) == 1) {
		at->only = f->plus ? f->plus : f->pound ? f->pound : f->chain;
		at->only->next = NULL;
		at->fanned = 0;
		mem_free(f);
	}
}

/* n takes the place of old, whose first level it shares. */
static void child_replace(struct tree_node *at, struct tree_node *old, struct tree_node *n)
{
	struct tree_node **to = &at->only;

	n->parent = at;
	n->hash = old->hash;
	n->next = old->next;
	old->next = NULL;
	if (at->fanned && n->kind != LITERAL)
		to = n->kind == PLUS ? &at->fan->plus : &at->fan->pound;
	else if (at->fanned)
		to = fan_chain(at->fan, n->hash);
	while (*to != old)
		to = &(*to)->next;
	*to = n;
}

static struct tree_node *child_find(const struct tree_node *at, struct str level)
{
	enum kind kind = kind_of(level);

	if (!at->fanned)
		return at->only && str_eq(first_level(at->only), level) ? at->only : NULL;
	if (kind != LITERAL)
		return kind == PLUS ? at->fan->plus : at->fan->pound;
	return fan_find(at->fan, level, at->fan->mask ? level_hash(level) : 0);
}

/* ---- Adding and deleting ---- */

static struct tree_node *node_new(size_t label)
{
	struct tree_node *n = mem_alloc(sizeof(*n) + label);

	if (!n)
		return NULL;
	*n = (struct tree_node){ .size = (uint32_t)label };
	list_init(&n->leaves);
	return n;
}

/* One node for all that is left of a filter. */
static struct tree_node *node_of(struct levels rest)
{
	struct tree_node *n = node_new(label_size(rest));

	if (!n)
		return NULL;
	label_write(n->label, rest);
	n->kind = kind_of(first_level(n));
	return n;
}

static int grow(struct tree *t, struct tree_node *at, struct levels rest, struct tree_node **out)
{
	struct tree_node *n = node_of(rest);

	if (!n)
		return -E_NOMEM;
	if (child_add(at, n)) {
		mem_free(n);
		return -E_NOMEM;
	}
	t->nodes++;
	*out = n;
	return 0;
}

/* The first `cut` bytes of the label become a node of their own above n. */
static void split(struct tree *t, struct tree_node *n, size_t cut, struct tree_node *upper)
{
	memcpy(upper->label, n->label, cut);
	upper->kind = n->kind;
	child_replace(n->parent, n, upper);
	upper->only = n;
	n->parent = upper;
	n->size -= (uint32_t)cut;
	memmove(n->label, n->label + cut, n->size);
	n->kind = kind_of(first_level(n));
	t->nodes++;
}

/* A filter leaves n after `cut` bytes of its label, and goes on with `rest` or ends there. All
 * memory is asked for before anything changes. */
static int branch(struct tree *t, struct tree_node *n, size_t cut, struct levels rest,
                  struct tree_node **out)
{
	struct tree_node *upper = node_new(cut), *fresh = rest.more ? node_of(rest) : NULL;
	struct fan *f = rest.more ? fan_new() : NULL;

	if (!upper || (rest.more && (!fresh || !f))) {
		mem_free(upper);
		mem_free(fresh);
		mem_free(f);
		return -E_NOMEM;
	}
	split(t, n, cut, upper);
	*out = upper;
	if (rest.more) {
		child_fan_out(upper, f);
		MUST(child_add(upper, fresh) == 0); /* the fan is there */
		t->nodes++;
		*out = fresh;
	}
	return 0;
}

/* Takes away the nodes that nothing needs any more, from n upwards. */
static void prune(struct tree *t, struct tree_node *n)
{
	while (n->parent && list_empty(&n->leaves) && !n->fanned && !n->only) {
		struct tree_node *parent = n->parent;

		child_del(parent, n);
		mem_free(n);
		t->nodes--;
		n = parent;
	}
}

/* What the walk relies on. */
static bool fits(struct str filter)
{
	struct str level;
	unsigned depth = 0;

	for (struct levels l = levels_of(filter); levels_next(&l, &level);) {
		if (++depth > TREE_DEPTH || (kind_of(level) == HASH && l.more))
			return false;
	}
	return filter.n > 0 && filter.n <= TOPIC_BYTES_MAX;
}

/* The node where the filter ends, made if need be. */
static int place(struct tree *t, struct str filter, struct tree_node **out)
{
	struct tree_node *at = &t->root, *child;
	struct levels l = levels_of(filter), peek;
	struct str level;
	size_t shared;

	while (peek = l, levels_next(&peek, &level)) {
		child = child_find(at, level);
		if (!child)
			return grow(t, at, l, out);
		shared = label_shared(child, &l);
		if (shared < child->size)
			return branch(t, child, shared, l, out);
		at = child;
	}
	*out = at;
	return 0;
}

int tree_add(struct tree *t, struct tree_leaf *leaf, struct str filter)
{
	struct tree_node *at;
	int err;

	if (!fits(filter))
		return -E_INVALID;
	err = place(t, filter, &at);
	if (err)
		return err;
	list_add_tail(&at->leaves, &leaf->node);
	leaf->at = at;
	changed(t);
	return 0;
}

void tree_del(struct tree *t, struct tree_leaf *leaf)
{
	if (!leaf->at)
		return;
	list_del(&leaf->node);
	prune(t, leaf->at);
	leaf->at = NULL;
	changed(t);
}
