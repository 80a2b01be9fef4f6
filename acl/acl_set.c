/* acl_set.c - filters as a tree of levels.
 *
 * A node stands for a prefix of levels; its children lie side by side in one array, sorted, so that
 * a literal level is found by bisection and most comparisons are of one number. Asking walks the
 * nodes that agree with what is asked: the literal child and the '+' child, depth first, on a stack
 * of fixed size. Every node is one path and so is looked at once at most: the cost is bounded by
 * the set's own size even for hostile grants such as {a,+}/{a,+}/{a,+}/... (attack R24).
 *
 * "#" is kept as "+/#" and "/#" as "/+/#": the same names, since there is no name without levels
 * and no empty name. In that form one filter covers another exactly when its levels do, one by one.
 */
#include "base/base.h"
#include "acl/acl_set.h"

#include <stdlib.h>

#include "base/mem.h"

struct acl_node {
	uint64_t key;          /* of the level, see level_key(); decides most comparisons */
	struct str level;      /* by which its parent leads here */
	uint32_t first, count; /* children: nodes[first .. first + count) */
	uint32_t plus;         /* the child '+', 0 = none */
	int32_t end, hash;     /* items: which ends here, which ends here with '#'; -1 = none */
};

enum { NOBODY = -1, STACK = TOPIC_LEVELS_MAX + 4 };

/* ---- Levels ---- */

static struct str expand(struct str filter)
{
	if (str_eq(filter, STR("#")))
		return STR("+/#");
	return str_eq(filter, STR("/#")) ? STR("/+/#") : filter;
}

static bool is_byte(struct str level, char byte)
{
	return level.n == 1 && level.p[0] == byte;
}

/* The first eight bytes as a number. Levels with different keys are different. */
static uint64_t level_key(struct str level)
{
	unsigned char first[8] = { 0 };
	uint64_t key = 0;

	if (level.n)
		memcpy(first, level.p, size_min(level.n, sizeof(first)));
	for (unsigned i = 0; i < sizeof(first); i++)
		key = key << 8 | first[i];
	return key;
}

static int level_cmp(uint64_t a_key, struct str a, uint64_t b_key, struct str b)
{
	if (a_key != b_key)
		return a_key < b_key ? -1 : 1;
	if (a.n != b.n)
		return a.n < b.n ? -1 : 1;
	return a.n > 8 ? memcmp(a.p + 8, b.p + 8, a.n - 8) : 0;
}

static int text_cmp(struct str a, struct str b)
{
	struct levels la = levels_of(expand(a)), lb = levels_of(expand(b));
	struct str x, y;

	for (;;) {
		bool more_a = levels_next(&la, &x), more_b = levels_next(&lb, &y);
		int order;

		if (!more_a || !more_b)
			return (int)more_a - (int)more_b;
		order = level_cmp(level_key(x), x, level_key(y), y);
		if (order)
			return order;
	}
}

static int item_cmp(const void *a, const void *b)
{
	const struct acl_item *x = a, *y = b;
	int order = text_cmp(x->f.text, y->f.text);

	return order ? order : (x->entry > y->entry) - (x->entry < y->entry);
}

/* ---- Asking ---- */

static uint32_t child_of(const struct acl_set *s, const struct acl_node *node, struct str level)
{
	uint64_t key = level_key(level);
	uint32_t low = node->first, high = node->first + node->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct acl_node *child = &s->nodes[middle];
		int order = level_cmp(key, level, child->key, child->level);

		if (order == 0)
			return middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return 0; /* the root is nobody's child */
}

/* The root rule (topic.h): may the '+' of the root stand for the first level of this text, which
 * was expanded? */
static bool root_admits(const struct acl_set *s, struct str text, bool system)
{
	if (text.p[0] == '+')
		return s->system || !system;
	return text.p[0] != '$' && (s->system || !topic_is_system(text));
}

/* The level that begins at *at, which moves to the next one; at the end *at is text.n + 1. */
static bool level_at(struct str text, uint32_t *at, struct str *level)
{
	const char *p = text.p + *at, *slash;
	size_t left;

	if (*at > text.n)
		return false;
	left = text.n - *at;
	slash = left ? memchr(p, '/', left) : NULL;
	*level = str_make(p, slash ? (size_t)(slash - p) : left);
	*at += (uint32_t)level->n + 1;
	return true;
}

struct spot { /* a node, and the level of the text to be held against it */
	uint32_t node, at;
};

/* An item other than `but` that covers f. */
static int find_but(const struct acl_set *s, struct filter f, int but, size_t *looked)
{
	struct spot stack[STACK], spot;
	struct str text = expand(f.text), level;
	bool root_plus = root_admits(s, text, f.system);
	unsigned n = 0;

	stack[n++] = (struct spot){ 0, 0 };
	while (n) {
		const struct acl_node *node;
		uint32_t child;

		spot = stack[--n];
		++*looked;
		node = &s->nodes[spot.node];
		if (node->hash != NOBODY && node->hash != but)
			return node->hash;
		if (!level_at(text, &spot.at, &level)) {
			if (node->end != NOBODY && node->end != but)
				return node->end;
			continue;
		}
		if (is_byte(level, '#'))
			continue; /* only a '#' covers a '#' */
		/* one more per level of the tree, and its items have TOPIC_LEVELS_MAX at most */
		MUST(n + 2 <= STACK);
		if (node->plus && (spot.node || root_plus))
			stack[n++] = (struct spot){ node->plus, spot.at };
		child = is_byte(level, '+') ? 0 : child_of(s, node, level);
		if (child)
			stack[n++] = (struct spot){ child, spot.at };
	}
	return NOBODY;
}

int acl_set_find(const struct acl_set *s, struct filter f)
{
	size_t looked = 0;

	return acl_set_look(s, f, &looked);
}

int acl_set_look(const struct acl_set *s, struct filter f, size_t *looked)
{
	return s->count ? find_but(s, f, NOBODY, looked) : NOBODY;
}

/* ---- Meeting ---- */

struct meeting {
	const struct acl_set *set;
	struct str text; /* expanded */
	bool (*visit)(void *arg, const struct acl_item *item);
	void *arg;
	size_t *looked;
};

static bool meet_item(const struct meeting *m, int32_t item)
{
	return item == NOBODY || m->visit(m->arg, &m->set->items[item]);
}

/* Recursive: as deep as a filter has levels. */
static bool meet_all(const struct meeting *m, const struct acl_node *node)
{
	bool go_on = meet_item(m, node->end) && meet_item(m, node->hash);

	++*m->looked;
	for (uint32_t i = 0; go_on && i < node->count; i++)
		go_on = meet_all(m, &m->set->nodes[node->first + i]);
	return go_on;
}

static bool meet(const struct meeting *m, const struct acl_node *node, uint32_t at)
{
	const struct acl_node *nodes = m->set->nodes;
	struct str level;
	uint32_t child;
	bool go_on = true;

	++*m->looked;
	if (!level_at(m->text, &at, &level))
		return meet_item(m, node->end) && meet_item(m, node->hash);
	if (is_byte(level, '#'))
		return meet_all(m, node);
	if (!meet_item(m, node->hash))
		return false;
	if (is_byte(level, '+')) {
		for (uint32_t i = 0; go_on && i < node->count; i++)
			go_on = meet(m, &nodes[node->first + i], at);
		return go_on;
	}
	child = child_of(m->set, node, level);
	return (!node->plus || meet(m, &nodes[node->plus], at)) &&
	       (!child || meet(m, &nodes[child], at));
}

bool acl_set_meet(const struct acl_set *s, struct str f,
                  bool (*visit)(void *arg, const struct acl_item *item), void *arg, size_t *looked)
{
	const struct meeting m = { s, expand(f), visit, arg, looked };

	return !s->count || meet(&m, &s->nodes[0], 0);
}

bool acl_set_same(const struct acl_set *a, const struct acl_set *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++) {
		if (a->items[i].f.system != b->items[i].f.system ||
		    text_cmp(a->items[i].f.text, b->items[i].f.text) != 0)
			return false;
	}
	return true;
}

/* ---- Making ---- */

static void node_init(struct acl_node *node, struct str level, uint32_t item)
{
	*node = (struct acl_node){
		.key = level_key(level), .level = level, .end = NOBODY, .hash = NOBODY
	};
	node->first = item;
	node->count = 1;
}

/* Until a node has been divided, first and count tell which items are below it: items are sorted,
 * so they are neighbours. Here they become children, which are put behind `used`. cursor[j] stands
 * before the level of items[j] that is to be looked at. */
static uint32_t node_divide(struct acl_node *nodes, struct acl_node *node, struct levels *cursor,
                            uint32_t used)
{
	uint32_t item = node->first, end = node->first + node->count;
	struct str level;

	node->first = used;
	node->count = 0;
	for (; item < end; item++) {
		struct acl_node *last = node->count ? &nodes[used - 1] : NULL;

		if (!levels_next(&cursor[item], &level)) {
			node->end = (int32_t)item;
		} else if (is_byte(level, '#')) {
			node->hash = (int32_t)item;
		} else if (last && str_eq(last->level, level)) {
			last->count++;
		} else {
			node_init(&nodes[used], level, item);
			if (is_byte(level, '+'))
				node->plus = used;
			node->count++;
			used++;
		}
	}
	return used;
}

/* Makes nodes from the sorted items. */
static int grow_tree(struct acl_set *s)
{
	struct levels *cursor = mem_array(s->count, sizeof(*cursor));
	struct acl_node *nodes;
	size_t most = 1;

	if (!cursor)
		return -E_NOMEM;
	for (unsigned i = 0; i < s->count; i++) {
		cursor[i] = levels_of(expand(s->items[i].f.text));
		most += topic_levels(cursor[i].rest);
	}
	nodes = mem_alloc(most * sizeof(*nodes)); /* as many as there are levels in texts */
	if (!nodes) {
		mem_free(cursor);
		return -E_NOMEM;
	}
	node_init(&nodes[0], STR_NONE, 0);
	nodes[0].count = s->count;
	for (uint32_t i = 0, used = 1; i < used; i++)
		used = node_divide(nodes, &nodes[i], cursor, used);
	mem_free(cursor);
	mem_free(s->nodes);
	s->nodes = nodes;
	return 0;
}

/* Of items with the same names the first stays. */
static void drop_equal(struct acl_set *s)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < s->count; i++) {
		if (kept == 0 || text_cmp(s->items[kept - 1].f.text, s->items[i].f.text) != 0)
			s->items[kept++] = s->items[i];
	}
	s->count = kept;
}

/* Drops what another item covers. Needs the tree, and leaves it wrong if it returns true: item
 * numbers have changed. */
static bool drop_covered(struct acl_set *s)
{
	unsigned kept = 0, before = s->count;
	size_t looked = 0;

	/* Items below `kept` may have moved, but the tree refers to levels by its own pointers and
	 * answers with old numbers. */
	for (unsigned i = 0; i < before; i++) {
		if (find_but(s, s->items[i].f, (int)i, &looked) == NOBODY)
			s->items[kept++] = s->items[i];
	}
	s->count = kept;
	return kept != before;
}

static bool mark_of(const struct acl_item *items, unsigned count)
{
	bool found = false, mark = false;

	for (unsigned i = 0; i < count; i++) {
		char first = items[i].f.text.p[0];

		if (first != '+' && first != '#')
			continue;
		/* by the callers' code: an ACL's grants all have the mark of its type */
		MUST(!found || mark == items[i].f.system);
		found = true;
		mark = items[i].f.system;
	}
	return mark;
}

int acl_set_make(struct acl_set *out, const struct acl_item *items, unsigned count)
{
	struct acl_set s = { .count = count, .system = mark_of(items, count) };

	if (count == 0) {
		*out = s;
		return 0;
	}
	s.items = mem_array(count, sizeof(*items));
	if (!s.items)
		return -E_NOMEM;
	memcpy(s.items, items, count * sizeof(*items));
	qsort(s.items, s.count, sizeof(*items), item_cmp);
	drop_equal(&s);
	if (grow_tree(&s) || (drop_covered(&s) && grow_tree(&s))) {
		acl_set_free(&s);
		return -E_NOMEM;
	}
	*out = s;
	return 0;
}

void acl_set_free(struct acl_set *s)
{
	mem_free(s->items);
	mem_free(s->nodes);
	*s = (struct acl_set){ 0 };
}
