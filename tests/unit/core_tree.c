/* core_tree.c - the subscription index against topic_match(), which knows nothing of trees. BENCH=1
 * prints what a match costs. */
#include "tests/kit/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/tree.h"

/* ---- What was hit, counted per leaf ---- */
struct owned {
	struct tree_leaf leaf;
	char text[96];
	size_t n;
	unsigned hits;
};

static struct str owned_text(const struct owned *o)
{
	return str_make(o->text, o->n);
}

static void count_hit(void *arg, struct tree_leaf *leaf)
{
	container_of(leaf, struct owned, leaf)->hits++;
	if (arg)
		(*(size_t *)arg)++;
}

static void put(struct tree *t, struct owned *o, const char *filter, bool system)
{
	*o = (struct owned){ .leaf.system = system, .n = strlen(filter) };
	MUST(o->n < sizeof(o->text));
	memcpy(o->text, filter, o->n);
	IS(tree_add(t, &o->leaf, owned_text(o)), 0);
}

static unsigned hits(struct tree *t, const char *name)
{
	size_t count = 0;

	tree_match(t, str_c(name), count_hit, &count);
	return (unsigned)count;
}

/* How often one filter alone is hit by a name. */
static unsigned one(const char *filter, bool system, const char *name)
{
	struct tree *t;
	struct owned o;
	unsigned count;

	IS(tree_new(&t), 0);
	put(t, &o, filter, system);
	count = hits(t, name);
	tree_del(t, &o.leaf);
	tree_free(&t);
	return count;
}

/* ---- Single claims ---- */
static void a_filter_matches_its_own_name_once(void)
{
	IS(one("a/b", true, "a/b"), 1);
	IS(one("a/b", true, "a"), 0);
	IS(one("a/b", true, "a/b/c"), 0);
	IS(one("a", true, "a/"), 0);
	IS(one("/a", true, "/a"), 1);
	IS(one("//", true, "//"), 1);
}

static void plus_stands_for_one_level_even_an_empty_one(void)
{
	IS(one("a/+/c", true, "a/b/c"), 1);
	IS(one("a/+/c", true, "a//c"), 1);
	IS(one("+", true, "a/b"), 0);
	IS(one("+/+", true, "/a"), 1);
	IS(one("a/+", true, "a"), 0);
}

static void hash_matches_its_parent_and_everything_below(void)
{
	IS(one("a/#", true, "a"), 1);
	IS(one("a/#", true, "a/b/c"), 1);
	IS(one("a/#", true, "ab"), 0);
	IS(one("#", true, "a/b"), 1);
	IS(one("+/#", true, "a"), 1);
}

static void a_root_wildcard_never_reaches_a_dollar_name(void)
{
	IS(one("#", true, "$SYS/x"), 0);
	IS(one("+/x", true, "$SYS/x"), 0);
	IS(one("$SYS/#", true, "$SYS/x"), 1);
	IS(one("a/+", true, "a/$x"), 1);
}

static void a_root_wildcard_reaches_flespi_only_with_the_mark(void)
{
	IS(one("#", false, "flespi/log"), 0);
	IS(one("#", true, "flespi/log"), 1);
	IS(one("+/log", false, "flespi/log"), 0);
	IS(one("+/+/#", true, "flespi/log"), 1);
	IS(one("+", false, "flespi"), 0);
	IS(one("#", false, "flespix/log"), 1);
	IS(one("flespi/+", false, "flespi/log"), 1);
	IS(one("a/#", false, "a/flespi"), 1);
}

static void marked_and_unmarked_leaves_of_one_filter_are_told_apart(void)
{
	struct tree *t;
	struct owned plain, marked;

	IS(tree_new(&t), 0);
	put(t, &plain, "+/#", false);
	put(t, &marked, "+/#", true);
	IS(hits(t, "flespi/log"), 1);
	IS(marked.hits, 1);
	IS(hits(t, "a/log"), 2);
	tree_del(t, &plain.leaf);
	tree_del(t, &marked.leaf);
	tree_free(&t);
}

static void what_no_filter_can_be_is_refused(void)
{
	struct tree *t;
	struct owned o = { .n = 0 };
	char deep[2 * 131];

	IS(tree_new(&t), 0);
	memset(deep, '/', sizeof(deep));
	IS(tree_add(t, &o.leaf, STR("a/#/b")), -E_INVALID);
	IS(tree_add(t, &o.leaf, STR_NONE), -E_INVALID);
	IS(tree_add(t, &o.leaf, str_make(deep, 130)), -E_INVALID); /* 131 levels */
	YES(tree_empty(t));
	IS(tree_add(t, &o.leaf, str_make(deep, 129)), 0);
	IS(tree_nodes(t), 1);
	tree_match(t, str_make(deep, 129), count_hit, NULL);
	IS(o.hits, 1);
	tree_match(t, str_make(deep, 130), count_hit, NULL); /* deeper than any filter */
	IS(o.hits, 1);
	tree_del(t, &o.leaf);
	tree_free(&t);
}

static void a_filter_that_leaves_another_halfway_splits_its_node(void)
{
	struct tree *t;
	struct owned a, b, c;

	IS(tree_new(&t), 0);
	put(t, &a, "x/y/z/u", true);
	IS(tree_nodes(t), 1);
	put(t, &b, "x/y/+/#", true);
	IS(tree_nodes(t), 3); /* x/y, z/u, +/# */
	put(t, &c, "x", true);
	IS(tree_nodes(t), 4);
	IS(hits(t, "x/y/z/u"), 2);
	IS(hits(t, "x/y/z"), 1);
	IS(hits(t, "x"), 1);
	IS(hits(t, "x/y"), 0);
	tree_del(t, &c.leaf);
	tree_del(t, &b.leaf);
	IS(hits(t, "x/y/z/u"), 1);
	tree_del(t, &a.leaf);
	tree_del(t, &a.leaf); /* harmless */
	YES(tree_empty(t));
	tree_free(&t);
}

static void a_tree_with_filters_is_not_freed(void)
{
	struct tree *t;
	struct owned o;

	IS(tree_new(&t), 0);
	put(t, &o, "a", true);
	DIES(tree_free(&t));
	tree_del(t, &o.leaf);
	tree_free(&t);
}

/* ---- Against topic_match() ---- */
static size_t any_text(char *out, bool filter)
{
	static const char *const words[] = { "a",
		                             "b",
		                             "c",
		                             "",
		                             "flespi",
		                             "$x",
		                             "ab",
		                             "d",
		                             "e",
		                             "f",
		                             "g",
		                             "h",
		                             "level-of-a-usual-length" };
	unsigned levels = 1 + (unsigned)any_below(4);
	size_t n = 0;

	for (unsigned i = 0; i < levels; i++) {
		const char *word = words[any_below(i ? 7 : ARRAY_LEN(words))];
		uint64_t dice = filter ? any_below(10) : 9;

		if (dice == 0 && (i + 1 == levels || any_below(3) == 0))
			levels = i + 1;
		word = dice < 3 ? (i + 1 == levels && dice == 0 ? "#" : "+") : word;
		n += (size_t)sprintf(out + n, "%s%s", i ? "/" : "", word);
	}
	if (n == 0)
		n = (size_t)sprintf(out, "a");
	return n;
}

static void check_name(struct tree *t, struct owned *all, size_t count)
{
	char text[96];
	struct str name = { text, any_text(text, false) };

	for (size_t i = 0; i < count; i++)
		all[i].hits = 0;
	tree_match(t, name, count_hit, NULL);
	for (size_t i = 0; i < count; i++) {
		struct filter f = { owned_text(&all[i]), all[i].leaf.system };
		unsigned want = all[i].leaf.at && topic_match(f, name);

		if (all[i].hits != want)
			kit_is_str(owned_text(&all[i]), name,
			           "filter is hit as it should be by this name", __FILE__,
			           __LINE__);
	}
}

static void any_change_keeps_the_tree_equal_to_a_plain_list(void)
{
	enum { COUNT = 120, ROUNDS = 150000 };
	static struct owned all[COUNT];
	struct tree *t;

	IS(tree_new(&t), 0);
	memset(all, 0, sizeof(all));
	for (size_t round = 0; round < ROUNDS; round++) {
		/* few and many filters, in turns */
		struct owned *o = &all[any_below(round / 5000 % 3 ? COUNT : 12)];

		if (o->leaf.at) {
			tree_del(t, &o->leaf);
		} else {
			o->n = any_text(o->text, true);
			o->leaf.system = any_below(2);
			IS(tree_add(t, &o->leaf, owned_text(o)), 0);
		}
		if (round % 3 == 0)
			check_name(t, all, COUNT);
	}
	for (size_t i = 0; i < COUNT; i++)
		tree_del(t, &all[i].leaf);
	IS(tree_nodes(t), 0);
	tree_free(&t);
}

/* A level with many children grows a table and gives it back. */
static void thousands_of_siblings_are_found_and_forgotten(void)
{
	enum { COUNT = 5000 };
	static struct owned all[COUNT];
	struct tree *t;
	char text[32];

	IS(tree_new(&t), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		sprintf(text, "dev/%u/t", i);
		put(t, &all[i], text, false);
	}
	IS(tree_nodes(t), 1 + COUNT);
	for (unsigned i = 0; i < COUNT; i += 7) {
		sprintf(text, "dev/%u/t", i);
		IS(hits(t, text), 1);
		IS(all[i].hits, 1);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		tree_del(t, &all[i].leaf);
		sprintf(text, "dev/%u/t", i + 1);
		IS(hits(t, text), i + 1 < COUNT);
	}
	YES(tree_empty(t));
	tree_free(&t);
}

static void without_memory_nothing_changes(void)
{
	static const char *const filters[] = { "a/b/c", "a/b", "a/+/c/#", "x",   "y",
		                               "z",     "u",   "v",       "w/#", "w/a/b" };
	struct owned all[ARRAY_LEN(filters)];

	each_alloc_failure(n)
	{
		struct tree *t;
		size_t count = 0, before, m = mem_count();

		if (tree_new(&t))
			continue;
		for (; count < ARRAY_LEN(filters); count++) {
			all[count] = (struct owned){ .leaf.system = true };
			before = tree_nodes(t);
			if (tree_add(t, &all[count].leaf, str_c(filters[count])) == 0)
				continue;
			YES(mem_count() > m);
			IS(tree_nodes(t), before);
			NO(all[count].leaf.at);
			break;
		}
		IS(hits(t, "a/b/c"), (count > 0) + (count > 2));
		IS(hits(t, "v"), count > 7);
		while (count--)
			tree_del(t, &all[count].leaf);
		YES(tree_empty(t));
		tree_free(&t);
	}
}

/* At each of 130 levels a `+` waits while the walk goes down the literal side: as many steps as
 * there can be. */
static void the_deepest_walk_hits_all(void)
{
	enum { LEVELS = 130 };
	static struct owned all[LEVELS + 1];
	char text[2 * LEVELS];
	struct tree *t;

	IS(tree_new(&t), 0);
	for (unsigned i = 0; i <= LEVELS; i++) { /* one `+` each; the last has none */
		for (unsigned k = 0; k < LEVELS; k++)
			memcpy(text + 2 * k, k == i ? "+/" : "x/", 2);
		all[i] = (struct owned){ .leaf.system = true };
		IS(tree_add(t, &all[i].leaf, str_make(text, 2 * LEVELS - 1)), 0);
	}
	for (unsigned k = 0; k < LEVELS; k++)
		memcpy(text + 2 * k, "x/", 2);
	tree_match(t, str_make(text, 2 * LEVELS - 1), count_hit, NULL);
	for (unsigned i = 0; i <= LEVELS; i++)
		IS(all[i].hits, 1);
	for (unsigned i = 0; i <= LEVELS; i++)
		tree_del(t, &all[i].leaf);
	YES(tree_empty(t));
	tree_free(&t);
}

/* Every mix of `+` and the literal level down to a depth: 2^12 filters, all of which one name
 * matches. */
static void all_mixes_of_plus_are_each_hit_once(void)
{
	enum { BITS = 12, COUNT = 1 << BITS };
	static struct owned all[COUNT];
	struct tree *t;
	char text[2 * BITS + 1] = { 0 };

	IS(tree_new(&t), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		for (unsigned b = 0; b < BITS; b++) {
			text[2 * b] = i >> b & 1 ? '+' : 'x';
			text[2 * b + 1] = b + 1 < BITS ? '/' : '\0';
		}
		put(t, &all[i], text, true);
	}
	IS(hits(t, "x/x/x/x/x/x/x/x/x/x/x/x"), COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		IS(all[i].hits, 1);
	for (unsigned i = 0; i < COUNT; i++)
		tree_del(t, &all[i].leaf);
	tree_free(&t);
}

/* ---- BENCH=1 ---- */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The pattern with a number in the place of its '@', if it has one. */
static size_t fill(char *out, const char *pattern, unsigned number)
{
	const char *at = strchr(pattern, '@');

	if (!at)
		return (size_t)sprintf(out, "%s", pattern);
	return (size_t)sprintf(out, "%.*s%u%s", (int)(at - pattern), pattern, number, at + 1);
}

/* Every name is hit by exactly one of the filters. */
static void bench(const char *what, unsigned filters, const char *filter, const char *name)
{
	bool print = getenv("BENCH") != NULL;
	struct owned *all;
	char text[96];
	struct tree *t;
	size_t count = 0, rounds = print ? 1000000 : 1000;
	double start = seconds(), add, fresh;

	filters = print ? filters : (unsigned)size_min(filters, 20000);
	all = calloc(filters, sizeof(*all));
	MUST(all && tree_new(&t) == 0);
	for (unsigned i = 0; i < filters; i++) {
		fill(text, filter, i);
		put(t, &all[i], text, true);
	}
	add = (seconds() - start) * 1e9 / filters;
	start = seconds();
	for (size_t i = 0; i < rounds; i++) {
		size_t n = fill(text, name, (unsigned)(i * 2654435761u % filters));

		tree_match(t, str_make(text, n), count_hit, &count);
	}
	fresh = (seconds() - start) * 1e9 / (double)rounds;
	start = seconds();
	for (size_t i = 0; i < rounds; i++)
		tree_match(t, str_make(text, strlen(text)), count_hit, &count);
	IS(count, 2 * rounds);
	if (print)
		printf("%-24s %8u filters: %5.0f ns to add, %5.0f ns per match (making the name "
		       "included), %4.0f ns the same name again\n",
		       what, filters, add, fresh, (seconds() - start) * 1e9 / (double)rounds);
	for (unsigned i = 0; i < filters; i++)
		tree_del(t, &all[i].leaf);
	tree_free(&t);
	free(all);
}

static void a_name_is_found_in_trees_of_any_size(void)
{
	bench("one '#'", 1, "#", "a/b/c/d/e");
	bench("one name", 1, "pair/@", "pair/@");
	bench("plus in the middle", 5, "flespi/message/gw/channels/@/+",
	      "flespi/message/gw/channels/@/ident");
	bench("100 names", 100, "pair/@", "pair/@");
	bench("100 devices", 100, "fleet/dev/@/telemetry", "fleet/dev/@/telemetry");
	bench("100,000 devices", 100000, "fleet/dev/@/telemetry", "fleet/dev/@/telemetry");
	bench("1,000,000 names", 1000000, "dev/@", "dev/@");
}

static void every_change_gives_a_stamp_that_no_tree_had_before(void)
{
	struct tree *t, *other;
	struct owned o;
	uint64_t seen[5];

	IS(tree_new(&t), 0);
	seen[0] = tree_stamp(t);
	IS(tree_new(&other), 0);
	seen[1] = tree_stamp(other);
	put(t, &o, "a/b", false);
	seen[2] = tree_stamp(t);
	IS(hits(t, "a/b"), 1);
	YES(tree_stamp(t) == seen[2]);
	tree_del(t, &o.leaf);
	seen[3] = tree_stamp(t);
	tree_free(&t);
	IS(tree_new(&t), 0);
	seen[4] = tree_stamp(t);
	for (unsigned i = 0; i < ARRAY_LEN(seen); i++) {
		for (unsigned k = 0; k < i; k++)
			YES(seen[i] != seen[k]);
	}
	tree_free(&t);
	tree_free(&other);
}

RUN(a_filter_matches_its_own_name_once, every_change_gives_a_stamp_that_no_tree_had_before,
    plus_stands_for_one_level_even_an_empty_one, hash_matches_its_parent_and_everything_below,
    a_root_wildcard_never_reaches_a_dollar_name, a_root_wildcard_reaches_flespi_only_with_the_mark,
    marked_and_unmarked_leaves_of_one_filter_are_told_apart, what_no_filter_can_be_is_refused,
    a_filter_that_leaves_another_halfway_splits_its_node, a_tree_with_filters_is_not_freed,
    any_change_keeps_the_tree_equal_to_a_plain_list, the_deepest_walk_hits_all,
    thousands_of_siblings_are_found_and_forgotten, without_memory_nothing_changes,
    all_mixes_of_plus_are_each_hit_once, a_name_is_found_in_trees_of_any_size)
