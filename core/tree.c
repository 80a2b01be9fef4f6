/* tree.c - the subscription index: one node per level of a filter, one walk per message.
 *
 * A million filters of a customer must fit (issue 5), so a node is 47 bytes and its level: the only child hangs at the node itself, and a
 * `struct fan` comes in between when there is a second one. In a fan, up to FEW literal children are one chain that is searched by
 * comparing (no hash is computed for a tree of a handful of filters), more are a table under the keyed hash (attack R21).
 *
 * Matching walks depth first with an explicit stack. A visited node pushes at most two children, its `+` and the one that is spelled
 * like the name's next level, and one of them is taken off at once: so the stack never holds more than a node per level and one,
 * whatever the filters are, and no node is visited twice. The name is cut into levels only as deep as the tree goes.
 *
 * A walk holds pointers into the tree: tree_add and tree_del MUST NOT be called from `hit`. Callers collect what was hit. */
#include "base/base.h"
#include "core/tree.h"

#include "base/hash.h"
#include "base/mem.h"

enum { FEW = 4, DEPTH = TOPIC_LEVELS_MAX + 2 };  /* the trusted world's names have "customer/<id>/" before 128 levels */

enum kind { LITERAL, PLUS, HASH };

struct fan;
struct tree_node {
	struct tree_node *next;                  /* the next in its chain; literal children of a fan only */
	struct tree_node *parent;                /* NULL: the root */
	struct list leaves;
	union {
		struct tree_node *only;          /* child of any kind, or NULL; !fanned */
		struct fan *fan;                 /* fanned: two children at least */
	};
	uint32_t hash;                           /* of level; valid once the fan above has a table */
	uint16_t size;                           /* bytes of level */
	uint8_t kind : 7, fanned : 1;
	char level[];
};

struct fan {
	struct tree_node *plus, *pound;
	struct tree_node **table;                /* mask + 1 chains; `chain` itself while mask is 0 */
	struct tree_node *chain;
	uint32_t mask, count;                    /* literal children */
};

struct tree {
	size_t nodes;                            /* without the root */
	struct tree_node root;                   /* last: ends in level[] */
};

int tree_new(struct tree **out)
{
	struct tree *t = mem_zalloc(sizeof(*t));

	if (!t)
		return -E_NOMEM;
	list_init(&t->root.leaves);
	*out = t;
	return 0;
}

void tree_free(struct tree **t)
{
	MUST(!*t || tree_empty(*t));
	mem_free(*t);
	*t = NULL;
}

size_t tree_nodes(const struct tree *t)
{
	return t->nodes;
}

bool tree_empty(const struct tree *t)
{
	return t->nodes == 0;
}

/* ---- The children of a node ---- */

static enum kind kind_of(struct str level)
{
	if (level.n != 1)
		return LITERAL;
	return level.p[0] == '+' ? PLUS : level.p[0] == '#' ? HASH : LITERAL;
}

static uint32_t level_hash(struct str level)
{
	return (uint32_t)hash_bytes(level.p, level.n);
}

static inline bool is_level(const struct tree_node *n, struct str level)
{
	return n->size == level.n && memcmp(n->level, level.p, level.n) == 0;
}

/* Moves all literal children into a table of `size` chains; 1 = the fan's own chain. Without memory they stay where they are: longer
 * chains, nothing worse. */
static void fan_resize(struct fan *f, uint32_t size)
{
	struct tree_node **old = f->table, **table, *mine = NULL;
	uint32_t chains = f->mask + 1;

	table = size == 1 ? &mine : mem_array(size, sizeof(*table));
	if (!table)
		return;
	for (uint32_t i = 0; i < chains; i++) {
		for (struct tree_node *n = old[i], *next; n; n = next) {
			struct tree_node **to;

			next = n->next;
			if (chains == 1)                 /* chains of a fan without a table carry no hashes */
				n->hash = level_hash(str_make(n->level, n->size));
			to = &table[n->hash & (size - 1)];
			n->next = *to;
			*to = n;
		}
	}
	if (chains > 1)
		mem_free(old);
	f->chain = mine;
	f->table = size == 1 ? &f->chain : table;
	f->mask = size - 1;
}

static void fan_add(struct fan *f, struct tree_node *n)
{
	struct tree_node **to;

	if (n->kind != LITERAL) {
		*(n->kind == PLUS ? &f->plus : &f->pound) = n;
		return;
	}
	if (f->mask ? f->count > f->mask : f->count >= FEW)
		fan_resize(f, f->mask ? (f->mask + 1) * 2 : 2 * FEW);
	if (f->mask)
		n->hash = level_hash(str_make(n->level, n->size));
	to = &f->table[f->mask ? n->hash & f->mask : 0];
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
	at = &f->table[f->mask ? n->hash & f->mask : 0];
	while (*at != n) {
		MUST(*at);
		at = &(*at)->next;
	}
	*at = n->next;
	n->next = NULL;
	f->count--;
	if (f->mask && f->count <= FEW / 2)
		fan_resize(f, 1);                       /* needs no memory: a fan with a table has more than two children */
	else if (f->mask + 1 > 2 * FEW && f->count < (f->mask + 1) / 4)
		fan_resize(f, (f->mask + 1) / 2);
}

/* Only when `mask` is set does the hash count, so it need not be known for a chain. */
static inline struct tree_node *fan_find(const struct fan *f, struct str level, uint32_t hash)
{
	struct tree_node *n = f->table[f->mask ? hash & f->mask : 0];

	while (n && !is_level(n, level))
		n = n->next;
	return n;
}

static int child_add(struct tree_node *at, struct tree_node *n)
{
	struct fan *f;

	if (!at->fanned && !at->only) {
		at->only = n;
		return 0;
	}
	if (!at->fanned) {
		f = mem_zalloc(sizeof(*f));
		if (!f)
			return -E_NOMEM;
		f->table = &f->chain;
		fan_add(f, at->only);
		at->fan = f;
		at->fanned = 1;
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

static struct tree_node *child_find(const struct tree_node *at, struct str level)
{
	enum kind kind = kind_of(level);

	if (!at->fanned)
		return at->only && is_level(at->only, level) ? at->only : NULL;
	if (kind != LITERAL)
		return kind == PLUS ? at->fan->plus : at->fan->pound;
	return fan_find(at->fan, level, at->fan->mask ? level_hash(level) : 0);
}

/* ---- Adding and deleting ---- */

static struct tree_node *child_make(struct tree *t, struct tree_node *at, struct str level)
{
	struct tree_node *n = mem_alloc(sizeof(*n) + level.n);

	if (!n)
		return NULL;
	*n = (struct tree_node){ .parent = at, .size = (uint16_t)level.n, .kind = kind_of(level) };
	list_init(&n->leaves);
	memcpy(n->level, level.p, level.n);
	if (child_add(at, n)) {
		mem_free(n);
		return NULL;
	}
	t->nodes++;
	return n;
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

/* What the walk relies on. The rest of a filter's form is no business of the tree: a level that is no wildcard is compared as it is. */
static bool fits(struct str filter)
{
	struct str level;
	unsigned depth = 0;

	for (struct levels l = levels_of(filter); levels_next(&l, &level);) {
		if (++depth > DEPTH || (kind_of(level) == HASH && l.more))
			return false;
	}
	return filter.n > 0 && filter.n <= TOPIC_BYTES_MAX;
}

int tree_add(struct tree *t, struct tree_leaf *leaf, struct str filter)
{
	struct tree_node *at = &t->root, *child;
	struct str level;

	if (!fits(filter))
		return -E_INVALID;
	for (struct levels l = levels_of(filter); levels_next(&l, &level); at = child) {
		child = child_find(at, level);
		if (!child)
			child = child_make(t, at, level);
		if (!child) {
			prune(t, at);
			return -E_NOMEM;
		}
	}
	list_add_tail(&at->leaves, &leaf->node);
	leaf->at = at;
	return 0;
}

void tree_del(struct tree *t, struct tree_leaf *leaf)
{
	if (!leaf->at)
		return;
	list_del(&leaf->node);
	prune(t, leaf->at);
	leaf->at = NULL;
}

/* ---- Matching ---- */

struct step {                                    /* a node whose path matches the first `depth` levels of the name */
	const struct tree_node *node;
	uint16_t depth;
	bool marked;                             /* reached through a root wildcard that only `system` leaves may use */
};

struct walk {
	void (*hit)(void *arg, struct tree_leaf *leaf);
	void *arg;
	struct levels rest;                      /* of the name, not yet cut */
	unsigned known;                          /* levels cut so far */
	unsigned height;                         /* of the stack */
	struct step stack[DEPTH + 1];
	struct str level[DEPTH + 1];             /* one more than the deepest filter has: to see that a name goes on */
	uint32_t hash[DEPTH + 1];
	bool have[DEPTH + 1];                      /* hash[] is computed when a table asks for it */
};

/* Is there a level number d in the name? If so it is in level[d]. d is the depth of a node: all levels before it are known. */
static inline bool level_at(struct walk *w, unsigned d)
{
	if (d < w->known)
		return true;
	if (!levels_next(&w->rest, &w->level[d]))
		return false;
	w->have[d] = false;
	w->known++;
	return true;
}

static uint32_t hash_at(struct walk *w, unsigned d)
{
	if (!w->have[d]) {
		w->hash[d] = level_hash(w->level[d]);
		w->have[d] = true;
	}
	return w->hash[d];
}

static inline void push(struct walk *w, const struct tree_node *node, unsigned depth, bool marked)
{
	w->stack[w->height++] = (struct step){ node, (uint16_t)depth, marked };
}

static void hit_all(struct walk *w, const struct tree_node *n, bool marked)
{
	struct tree_leaf *leaf;

	list_each(leaf, &n->leaves, struct tree_leaf, node) {
		if (!marked || leaf->system)
			w->hit(w->arg, leaf);
	}
}

/* What may follow at the children of this step; wild: may `+` and `#` (the root rule says no to some). */
static inline void follow(struct walk *w, const struct step *s, bool wild, bool marked)
{
	const struct tree_node *n = s->node, *plus, *pound, *same;
	bool more = level_at(w, s->depth);

	if (!n->fanned) {
		const struct tree_node *c = n->only;

		if (!c)
			return;
		plus = c->kind == PLUS ? c : NULL;
		pound = c->kind == HASH ? c : NULL;
		same = more && c->kind == LITERAL && is_level(c, w->level[s->depth]) ? c : NULL;
	} else {
		const struct fan *f = n->fan;

		plus = f->plus;
		pound = f->pound;
		same = more ? fan_find(f, w->level[s->depth], f->mask ? hash_at(w, s->depth) : 0) : NULL;
	}
	if (pound && wild)                              /* "a/#" matches "a" too, MQTT5 4.7.1.2 */
		hit_all(w, pound, marked);
	if (plus && wild && more)
		push(w, plus, s->depth + 1u, marked);
	if (same)
		push(w, same, s->depth + 1u, s->marked);
}

/* The root rule of wire/topic.h: it is about the first level only, and everything below a wildcard there inherits the mark. */
static void follow_root(struct walk *w, const struct tree *t, struct str name)
{
	struct step root = { &t->root, 0, false };

	follow(w, &root, name.p[0] != '$', topic_is_system(name));
}

void tree_match(struct tree *t, struct str name, void (*hit)(void *arg, struct tree_leaf *leaf), void *arg)
{
	struct walk w __attribute__((uninitialized));   /* 5 KiB that are written before they are read: not cleared for each message */

	if (name.n == 0 || t->nodes == 0)
		return;
	w.hit = hit;
	w.arg = arg;
	w.rest = levels_of(name);
	w.known = w.height = 0;
	follow_root(&w, t, name);
	while (w.height) {
		struct step s = w.stack[--w.height];

		if (!list_empty(&s.node->leaves) && !level_at(&w, s.depth))
			hit_all(&w, s.node, s.marked);
		follow(&w, &s, true, s.marked);
	}
}
