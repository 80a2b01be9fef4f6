/* Names and filters: what is valid, what matches, what covers, what two filters have in common. The
 * second half holds the answers against a naive model (tests/kit/topic_oracle.h) over a whole small
 * world (attack C11), the rest are the cases people get wrong. */
#include "base/base.h"
#include "tests/kit/kit.h"
#include "tests/kit/topic_oracle.h"
#include "wire/topic.h"

static struct filter marked(const char *text)
{
	return (struct filter){ str_c(text), true };
}

static struct filter plain(const char *text)
{
	return (struct filter){ str_c(text), false };
}

/* ---- Validity ---- */

static void names_have_no_wildcards_and_are_not_empty(void)
{
	static const char *good[] = { "a",  "/",          "//",
		                      "a/", "/a",         "a b",
		                      "$x", "flespi/log", "\xc3\xa4/\xf0\x9f\x98\x80" };
	static const char *bad[] = { "",      "+",     "#",    "a/#",           "a+b",  "a#",
		                     "a/+/b", "a\x01", "\xc3", "a\xed\xa0\x80", "a\x7f" };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		YES(topic_name_ok(str_c(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		NO(topic_name_ok(str_c(bad[i])));
	NO(topic_name_ok(STR("a\0b")));
	NO(topic_name_ok(STR_NONE));
}

static void a_wildcard_stands_alone_in_its_level_and_hash_is_last(void) /* attack P21 */
{
	static const char *good[] = { "#",   "+",   "+/+",    "a/#",  "/#",
		                      "+/#", "/+/", "$SYS/#", "a//+", "/" };
	static const char *bad[] = { "",   "a/#/b", "#/",   "#/a",  "a+", "+a", "#a",
		                     "a#", "a/b#",  "a/++", "a/##", "+#", "#+", "##" };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		YES(topic_filter_ok(str_c(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		NO(topic_filter_ok(str_c(bad[i])));
	NO(topic_filter_ok(STR("a/\0/#")));
}

static void levels_and_bytes_are_bounded(void) /* attack P19 */
{
	static char text[TOPIC_BYTES_MAX + 1];

	memset(text, '/', sizeof(text));
	YES(topic_name_ok(str_make(text, TOPIC_LEVELS_MAX - 1)));
	NO(topic_name_ok(str_make(text, TOPIC_LEVELS_MAX)));
	NO(topic_filter_ok(str_make(text, TOPIC_LEVELS_MAX)));
	NO(topic_filter_ok(str_make(text, 65000)));
	memset(text, 'a', sizeof(text));
	YES(topic_name_ok(str_make(text, TOPIC_BYTES_MAX)));
	NO(topic_name_ok(str_make(text, TOPIC_BYTES_MAX + 1)));
	NO(topic_filter_ok(str_make(text, TOPIC_BYTES_MAX + 1)));
}

static void
slashes_without_end_cost_no_stack_and_no_time(void) /* attack P19, Mosquitto CVE-2019-11779 */
{
	static char name[TOPIC_BYTES_MAX], wild[TOPIC_BYTES_MAX], room[2 * TOPIC_BYTES_MAX + 1];
	struct filter f = { str_make(name, sizeof(name)), true },
		      w = { str_make(wild, sizeof(wild)), true }, out;

	memset(name, '/', sizeof(name));
	for (size_t i = 0; i < sizeof(wild); i++)
		wild[i] = i % 2 ? '/' : '+';
	for (unsigned i = 0; i < 200; i++) {
		YES(topic_match(f, f.text));
		YES(filter_covers(f, f));
		YES(filter_intersect(f, f, room, sizeof(room), &out));
		NO(topic_match(w, f.text));
		NO(filter_covers(w, f));
		NO(filter_intersect(w, f, room, sizeof(room), &out));
	}
}

static void levels_are_counted_with_the_empty_ones(void)
{
	IS(topic_levels(STR("a")), 1);
	IS(topic_levels(STR("/")), 2);
	IS(topic_levels(STR("a//b/")), 4);
	/* eight at a time, and what is left; neighbours of '/' and bytes over 0x7f are none */
	IS(topic_levels(STR("////////")), 9);
	IS(topic_levels(STR("/a/b/c/d/e/f/g/h/")), 10);
	IS(topic_levels(STR("./0.\xaf\xff/\x80\x2e/1/")), 5);
	for (unsigned i = 0; i < 20000; i++) {
		char text[40];
		size_t n = 1 + any_below(sizeof(text));
		unsigned levels = 1;

		for (size_t k = 0; k < n; k++) {
			text[k] = "/0.\xaf"[any_below(4)];
			levels += text[k] == '/';
		}
		IS(topic_levels(guard_str(str_make(text, n))), levels);
	}
}

static void the_system_tree_is_the_exact_word(void)
{
	YES(topic_is_system(STR("flespi")));
	YES(topic_is_system(STR("flespi/x")));
	NO(topic_is_system(STR("flespi2/x")));
	NO(topic_is_system(STR("Flespi/x"))); /* attack C13 */
	NO(topic_is_system(STR("/flespi")));
	NO(topic_is_system(STR("flesp")));
}

static void nothing_reads_past_the_end(void)
{
	static const char *texts[] = { "a",          "#",      "+",     "/",      "a/#",
		                       "$share/g/a", "flespi", "a/+/b", "$share", "$share/g/" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct str a = guard_str(str_c(texts[i]));
		struct share share;

		(void)topic_name_ok(a);
		(void)topic_filter_ok(a);
		(void)topic_is_system(a);
		(void)share_split(a, &share);
		for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
			struct str b = guard_str(str_c(texts[j]));
			struct filter fa = { a, true }, fb = { b, true }, out;

			(void)topic_match(fa, STR("x"));
			(void)filter_covers(fa, fb);
			(void)filter_intersect(
			    fa, fb, guard_put("0123456789012345678901234567890", a.n + b.n + 1),
			    a.n + b.n + 1, &out);
		}
		guard_reset();
	}
}

/* ---- Matching ---- */

static const struct match_row {
	const char *filter, *name;
	bool unmarked, marked; /* expected, without and with the mark of the root rule */
} match_rows[] = {
	{ "a/b", "a/b", true, true },
	{ "a/b", "a/B", false, false },
	{ "a/+", "a/b", true, true },
	{ "a/+", "a/", true, true },
	{ "a/+", "a", false, false },
	{ "a/+", "a/b/c", false, false },
	{ "+", "a", true, true },
	{ "+", "/a", false, false },
	{ "+/+", "/a", true, true },
	{ "/+", "/a", true, true },
	{ "a/#", "a", true, true },
	{ "a/#", "a/", true, true },
	{ "a/#", "a/b/c", true, true },
	{ "a/#", "ab", false, false },
	{ "a/+/#", "a", false, false },
	{ "a/+/#", "a/b", true, true },
	{ "+/#", "a", true, true },
	{ "#", "/", true, true },
	{ "a//b", "a//b", true, true },
	{ "a//b", "a/b", false, false },
	{ "#", "$SYS/x", false, false },
	{ "+/x", "$SYS/x", false, false },
	{ "$SYS/#", "$SYS/x", true, true },
	{ "$SYS/+", "$SYS/x", true, true },
	{ "#", "flespi/log", false, true },
	{ "+/log", "flespi/log", false, true },
	{ "+", "flespi", false, true },
	{ "flespi/#", "flespi/log", true, true },
	{ "#", "flespi2/log", true, true },
	{ "a/+", "a/$x", true, true },
	{ "a/#", "a/flespi/x", true, true },
	{ "\xc3\xa4", "a\xcc\x88", false, false },
};

static void the_table_of_matches_holds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(match_rows); i++) {
		const struct match_row *r = &match_rows[i];

		IS(topic_match(plain(r->filter), str_c(r->name)), r->unmarked);
		IS(topic_match(marked(r->filter), str_c(r->name)), r->marked);
		IS(oracle_match(plain(r->filter), str_c(r->name)), r->unmarked);
		IS(oracle_match(marked(r->filter), str_c(r->name)), r->marked);
	}
}

/* ---- Intersection and covering, by hand ---- */

static const struct meet_row {
	const char *a, *b, *meet; /* NULL: nothing in common */
	bool a_system, b_system, system;
} meet_rows[] = {
	{ "a/+", "+/b", "a/b", true, true, true },
	{ "a/#", "+/b/#", "a/b/#", true, true, true },
	{ "a/#", "a", "a", true, true, true },
	{ "a/#", "+", "a", true, true, true },
	{ "a/#", "+/#", "a/#", true, true, true },
	{ "a/b", "a/c", NULL, true, true, true },
	{ "a", "a/b", NULL, true, true, true },
	{ "+", "/#", NULL, true, true, true },
	{ "+/+", "/#", "/+", true, true, true },
	{ "#", "#", "#", true, false, false },
	{ "#", "+/a", "+/a", false, true, false },
	{ "#", "+/a", "+/a", true, true, true },
	{ "#", "flespi/#", NULL, false, true, true },
	{ "#", "flespi/#", "flespi/#", true, false, true },
	{ "+/#", "flespi", NULL, false, true, true },
	{ "+/#", "flespi", "flespi", true, false, true },
	{ "#", "$x/#", NULL, true, true, true },
	{ "$x/#", "$x/+", "$x/+", false, false, true },
	{ "#", "flespi2/a", "flespi2/a", false, false, true },
	{ "a//#", "a/+/+", "a//+", true, true, true },
	{ "a/", "a/+", "a/", true, true, true },
	{ "a/+", "a/#", "a/+", true, true, true },
	{ "a/b/#", "a/#", "a/b/#", true, true, true },
};

static void the_table_of_intersections_holds_both_ways(void)
{
	char room[64];

	for (size_t i = 0; i < 2 * ARRAY_LEN(meet_rows); i++) {
		const struct meet_row *r = &meet_rows[i / 2];
		struct filter a = { str_c(r->a), r->a_system }, b = { str_c(r->b), r->b_system },
			      out = { STR_NONE, false };
		bool meets = i % 2 ? filter_intersect(b, a, room, sizeof(room), &out)
		                   : filter_intersect(a, b, room, sizeof(room), &out);

		IS(meets, r->meet != NULL);
		if (!meets)
			continue;
		IS_BYTES(out.text, str_c(r->meet));
		IS(out.system, r->system);
	}
}

static void a_result_longer_than_any_name_is_none(void)
{
	static char a[TOPIC_BYTES_MAX], b[TOPIC_BYTES_MAX], room[2 * TOPIC_BYTES_MAX + 1];
	struct filter out;

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	memcpy(a + sizeof(a) - 2, "/+", 2);
	memcpy(b, "+/", 2);
	NO(filter_intersect((struct filter){ str_make(a, sizeof(a)), true },
	                    (struct filter){ str_make(b, sizeof(b)), true }, room, sizeof(room),
	                    &out));
	YES(filter_intersect((struct filter){ str_make(a, sizeof(a)), true }, marked("#"), room,
	                     sizeof(room), &out));
	IS(out.text.n, sizeof(a));
}

static void hash_and_plus_hash_cover_each_other_at_the_root_only(void)
{
	YES(filter_covers(marked("+/#"), marked("#")));
	YES(filter_covers(marked("#"), marked("+/#")));
	YES(filter_covers(marked("/+/#"), marked("/#")));
	YES(filter_covers(marked("a/#"), marked("a/+/#")));
	NO(filter_covers(marked("a/+/#"), marked("a/#")));
	NO(filter_covers(plain("#"), marked("#")));
	YES(filter_covers(marked("#"), plain("#")));
}

static void a_room_too_small_is_our_own_mistake(void)
{
	char room[4];
	struct filter out;

	DIES((void)filter_intersect(marked("a/b"), marked("a/b"), room, sizeof(room), &out));
}

/* ---- Shared subscriptions ---- */

static void a_shared_filter_splits_into_group_and_filter(void)
{
	struct share s;

	IS(share_split(STR("$share/g/a/#"), &s), SHARE_OK);
	IS_STR(s.group, "g");
	IS_STR(s.filter, "a/#");
	IS(share_split(STR("$share/g//"), &s), SHARE_OK);
	IS_STR(s.filter, "/");
	IS(share_split(STR("a/b"), &s), SHARE_NONE);
	IS(s.group.n, 0);
	IS_STR(s.filter, "a/b");
	IS(share_split(STR("$shared/g/a"), &s), SHARE_NONE);
	IS(share_split(STR("$SHARE/g/a"), &s), SHARE_NONE);
}

static void a_shared_filter_without_group_or_filter_is_bad(void) /* attack P21 */
{
	static const char *bad[] = { "$share",     "$share/",  "$share/g",      "$share/g/",
		                     "$share//x",  "$share//", "$share/a+b/x",  "$share/+/x",
		                     "$share/#/x", "$share/#", "$share/g\x01/x" };
	struct share s;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		IS(share_split(str_c(bad[i]), &s), SHARE_BAD);
}

/* ---- Against the oracle ---- */

enum { DEPTH = 4 };

struct world {
	struct oracle_list names, filters;
	unsigned words; /* of 64 bits per filter */
	uint64_t *bits; /* [filter * 2 + mark][words]: which names the oracle matches */
};

static uint64_t *matched(const struct world *w, unsigned filter, bool system)
{
	return w->bits + ((size_t)filter * 2 + system) * w->words;
}

static struct world world_make(unsigned depth)
{
	struct world w = { oracle_names(depth + 1), oracle_filters(depth), 0, NULL };

	w.words = (w.names.count + 63) / 64;
	w.bits = mem_array((size_t)w.filters.count * 2 * w.words, sizeof(uint64_t));
	MUST(w.bits);
	for (unsigned f = 0; f < 2 * w.filters.count; f++) {
		struct filter filter = { oracle_at(&w.filters, f / 2), f % 2 };
		uint64_t *bits = matched(&w, f / 2, f % 2);

		for (unsigned n = 0; n < w.names.count; n++)
			bits[n / 64] |= (uint64_t)oracle_match(filter, oracle_at(&w.names, n))
			                << n % 64;
	}
	return w;
}

static void world_free(struct world *w)
{
	mem_free(w->names.text);
	mem_free(w->filters.text);
	mem_free(w->bits);
}

static unsigned index_of(const struct world *w, struct str text)
{
	unsigned i = 0;

	while (i < w->filters.count && !str_eq(oracle_at(&w->filters, i), text))
		i++;
	MUST(i < w->filters.count);
	return i;
}

static bool same_as_intersection(const struct world *w, const uint64_t *a, const uint64_t *b,
                                 struct filter out)
{
	const uint64_t *c = matched(w, index_of(w, out.text), out.system);
	uint64_t wrong = 0;

	for (unsigned i = 0; i < w->words; i++)
		wrong |= (a[i] & b[i]) ^ c[i];
	return wrong == 0;
}

static bool disjoint(const struct world *w, const uint64_t *a, const uint64_t *b)
{
	uint64_t both = 0;

	for (unsigned i = 0; i < w->words; i++)
		both |= a[i] & b[i];
	return both == 0;
}

static bool subset(const struct world *w, const uint64_t *inner, const uint64_t *outer)
{
	uint64_t outside = 0;

	for (unsigned i = 0; i < w->words; i++)
		outside |= inner[i] & ~outer[i];
	return outside == 0;
}

static bool pair_is_right(const struct world *w, unsigned x, unsigned y)
{
	struct filter a = { oracle_at(&w->filters, x / 2), x % 2 },
		      b = { oracle_at(&w->filters, y / 2), y % 2 }, out;
	const uint64_t *names_a = matched(w, x / 2, x % 2), *names_b = matched(w, y / 2, y % 2);
	char room[128];
	bool right;

	if (filter_intersect(a, b, room, sizeof(room), &out))
		right = topic_filter_ok(out.text) &&
		        same_as_intersection(w, names_a, names_b, out) &&
		        !disjoint(w, names_a, names_b);
	else
		right = disjoint(w, names_a, names_b);
	right = right && filter_covers(a, b) == subset(w, names_b, names_a);
	if (!right)
		print_error("a=\"%.*s\" %d b=\"%.*s\" %d\n", STR_ARG(a.text), a.system,
		            STR_ARG(b.text), b.system);
	return right;
}

static void
every_filter_matches_the_names_the_oracle_matches(void) /* attack C11: 16 million pairs */
{
	struct world w = world_make(DEPTH);

	for (unsigned f = 0; f < 2 * w.filters.count; f++) {
		struct filter filter = { oracle_at(&w.filters, f / 2), f % 2 };
		const uint64_t *bits = matched(&w, f / 2, f % 2);

		YES(topic_filter_ok(filter.text));
		for (unsigned n = 0; n < w.names.count; n++) {
			if (topic_match(filter, oracle_at(&w.names, n)) !=
			    (bits[n / 64] >> n % 64 & 1))
				fail_msg("filter \"%s\" name \"%s\"", w.filters.text[f / 2],
				         w.names.text[n]);
		}
	}
	world_free(&w);
}

static void every_pair_of_short_filters_meets_and_covers_as_its_names_do(void)
{
	struct world w = world_make(3);

	for (unsigned x = 0; x < 2 * w.filters.count; x++) {
		for (unsigned y = 0; y < 2 * w.filters.count; y++) {
			if (!pair_is_right(&w, x, y))
				fail();
		}
	}
	world_free(&w);
}

static void a_million_pairs_of_longer_filters_too(void)
{
	struct world w = world_make(DEPTH);

	for (unsigned i = 0; i < 1000000; i++) {
		if (!pair_is_right(&w, (unsigned)any_below(2 * w.filters.count),
		                   (unsigned)any_below(2 * w.filters.count)))
			fail();
	}
	world_free(&w);
}

/* Long texts of few words: a filter, and a name that is likely to match it. */
static size_t any_text(char *out, bool filter)
{
	unsigned levels = 1 + (unsigned)any_below(12);
	size_t n = 0;

	for (unsigned i = 0; i < levels; i++) {
		uint64_t pick = any_below(12);
		const char *word = pick < 5   ? "x"
		                   : pick < 7 ? ""
		                   : pick < 8 ? "long-level-name"
		                   : filter   ? "+"
		                              : "x";

		if (i)
			out[n++] = '/';
		memcpy(out + n, word, strlen(word));
		n += strlen(word);
	}
	if (filter && any_below(2)) {
		memcpy(out + n, "/#", 2);
		n += 2;
	}
	if (n == 0)
		out[n++] = 'x'; /* there is no empty text */
	return n;
}

static void long_filters_agree_with_the_oracle(void)
{
	char a[400], b[400], name[400], room[801];

	for (unsigned i = 0; i < 1000000; i++) {
		struct filter fa = { str_make(a, any_text(a, true)), true },
			      fb = { str_make(b, any_text(b, true)), true }, out;
		struct str n = str_make(name, any_text(name, false));
		bool both = oracle_match(fa, n) && oracle_match(fb, n),
		     meets = filter_intersect(fa, fb, room, sizeof(room), &out);

		if (topic_match(fa, n) != oracle_match(fa, n) ||
		    both != (meets && oracle_match(out, n)))
			fail_msg("a=\"%.*s\" b=\"%.*s\" name=\"%.*s\"", STR_ARG(fa.text),
			         STR_ARG(fb.text), STR_ARG(n));
		if (filter_covers(fa, fb) && oracle_match(fb, n) && !oracle_match(fa, n))
			fail_msg("\"%.*s\" does not cover \"%.*s\"", STR_ARG(fa.text),
			         STR_ARG(fb.text));
		if (meets && !(filter_covers(fa, out) && filter_covers(fb, out)))
			fail_msg("a=\"%.*s\" b=\"%.*s\" do not cover what they meet in",
			         STR_ARG(fa.text), STR_ARG(fb.text));
	}
}

RUN(names_have_no_wildcards_and_are_not_empty,
    a_wildcard_stands_alone_in_its_level_and_hash_is_last, levels_and_bytes_are_bounded,
    slashes_without_end_cost_no_stack_and_no_time, levels_are_counted_with_the_empty_ones,
    the_system_tree_is_the_exact_word, nothing_reads_past_the_end, the_table_of_matches_holds,
    the_table_of_intersections_holds_both_ways, a_result_longer_than_any_name_is_none,
    hash_and_plus_hash_cover_each_other_at_the_root_only, a_room_too_small_is_our_own_mistake,
    a_shared_filter_splits_into_group_and_filter, a_shared_filter_without_group_or_filter_is_bad,
    every_filter_matches_the_names_the_oracle_matches,
    every_pair_of_short_filters_meets_and_covers_as_its_names_do,
    a_million_pairs_of_longer_filters_too, long_filters_agree_with_the_oracle)
