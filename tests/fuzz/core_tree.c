/* core_tree.c - fuzz target: the subscription index against a plain list of filters and the naive
 * matcher of tests/kit/topic_oracle.h. Filters come and go in any order; every name is looked up
 * after every change; when all are gone, so are all nodes (attack R10).
 *
 * Input: lines. '+' text: this filter is added ('*' text: with the mark of the system tree); '-'
 * and a byte: the filter with that number goes; '=' text: this name is looked up. */
#include "base/base.h"

#include "base/hash.h"
#include "core/tree.h"
#include "tests/kit/topic_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILTERS = 48, NAMES = 16 };

struct entry {
	struct tree_leaf leaf;
	struct str text;
	unsigned hits;
};

struct world {
	struct tree *tree;
	struct entry entry[FILTERS];
	unsigned entries;
	struct str name[NAMES];
	unsigned names;
};

static void hit(void *arg, struct tree_leaf *leaf)
{
	container_of(leaf, struct entry, leaf)->hits++;
	(*(unsigned *)arg)++;
}

static void look(struct world *w, struct str name)
{
	unsigned hits = 0, expected = 0;

	for (unsigned i = 0; i < w->entries; i++)
		w->entry[i].hits = 0;
	tree_match(w->tree, name, hit, &hits);
	for (unsigned i = 0; i < w->entries; i++) {
		const struct entry *e = &w->entry[i];
		bool match =
		    e->leaf.at && oracle_match((struct filter){ e->text, e->leaf.system }, name);

		MUST(e->hits == match);
		expected += match;
	}
	MUST(hits == expected);
}

static void look_all(struct world *w)
{
	bool any = false;

	for (unsigned i = 0; i < w->names; i++)
		look(w, w->name[i]);
	for (unsigned i = 0; i < w->entries; i++)
		any = any || w->entry[i].leaf.at;
	MUST(tree_empty(w->tree) == !any && (tree_nodes(w->tree) == 0) == !any);
}

static void add(struct world *w, struct str filter, bool system)
{
	struct entry *e;
	uint64_t before = tree_stamp(w->tree);

	if (!topic_filter_ok(filter) || w->entries == FILTERS)
		return;
	e = &w->entry[w->entries++];
	*e = (struct entry){ .leaf.system = system, .text = filter };
	MUST(tree_add(w->tree, &e->leaf, filter) == 0 && e->leaf.at);
	MUST(tree_stamp(w->tree) != before);
}

static void line(struct world *w, struct str s)
{
	struct str text = str_skip(s, 1);

	switch (s.p[0]) {
	case '+':
	case '*':
		add(w, text, s.p[0] == '*');
		break;
	case '-':
		if (text.n && w->entries)
			tree_del(w->tree, &w->entry[(uint8_t)text.p[0] % w->entries].leaf);
		break;
	case '=':
		if (w->names < NAMES && topic_name_ok(text))
			w->name[w->names++] = text;
		break;
	default:
		return;
	}
	look_all(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct str rest = str_make(data, size);

	hash_start_with(1, 2); /* the same order every time */
	w = (struct world){ .entries = 0 };
	MUST(tree_new(&w.tree) == 0);
	while (rest.n) {
		const char *end = memchr(rest.p, '\n', rest.n);
		struct str one = end ? str_make(rest.p, (size_t)(end - rest.p)) : rest;

		rest = str_skip(rest, one.n + (end != NULL));
		if (one.n && one.n < 300)
			line(&w, one);
	}
	for (unsigned i = 0; i < w.entries; i++) {
		tree_del(w.tree, &w.entry[i].leaf);
		look_all(&w);
	}
	tree_free(&w.tree);
	return 0;
}
