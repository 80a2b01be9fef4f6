/* Lists in a level: what is one, how many filters it makes, and that these together match what a
 * naive reading of the list matches. */
#include "base/base.h"
#include "tests/kit/kit.h"
#include "tests/kit/topic_oracle.h"
#include "wire/lists.h"

#include <stdio.h>

/* All filters it stands for, with blanks between them. */
static struct str expand(const char *filter)
{
	static char text[4096];
	char *room = guard_put(filter, strlen(filter));
	struct lists l;
	struct str plain;
	size_t n = 0;

	for (lists_begin(&l, guard_str(str_c(filter))); lists_next(&l, room, &plain);) {
		if (n)
			text[n++] = ' ';
		MUST(n + plain.n < sizeof(text));
		memcpy(text + n, plain.p, plain.n);
		n += plain.n;
	}
	guard_reset();
	return str_make(text, n);
}

static void a_list_stands_for_each_of_its_words(void)
{
	IS_STR(expand("a/1,2,3/b"), "a/1/b a/2/b a/3/b");
	IS(lists_count(STR("a/1,2,3/b")), 3);
	IS_STR(expand("x,y"), "x y");
	IS_STR(expand("a/created,updated,deleted"), "a/created a/updated a/deleted");
	IS_STR(expand("+/1,2/#"), "+/1/# +/2/#");
}

static void several_lists_stand_for_each_combination(void)
{
	IS_STR(expand("1,2/x/3,4"), "1/x/3 1/x/4 2/x/3 2/x/4");
	IS(lists_count(STR("1,2/x/3,4")), 4);
	IS(lists_count(STR("1,2/3,4,5/6,7,8,9")), 24);
}

static void without_a_comma_it_is_one_filter(void)
{
	IS(lists_count(STR("a//+/#")), 1);
	IS_STR(expand("a//+/#"), "a//+/#");
	IS_STR(expand("/"), "/");
}

static void a_word_that_stands_twice_counts_once(void)
{
	IS(lists_count(STR("a,b,a,b,b")), 2);
	IS_STR(expand("a,b,a,b,b/x"), "a/x b/x");
	IS_STR(expand("a,a"), "a");
}

static void an_empty_word_is_an_error(void)
{
	static const char *bad[] = { ",", "a,", ",a", "a,,b", "x/1,/y", "x/,", "a/b,c/,/d" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		IS(lists_count(guard_str(str_c(bad[i]))), -E_INVALID);
}

static char *words(char *at, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		at += sprintf(at, "%s%u", i ? "," : "", i);
	return at;
}

static void what_it_stands_for_is_bounded(void)
{
	static char text[TOPIC_BYTES_MAX];
	char *at = words(text, LISTS_MOST);

	IS(lists_count(str_make(text, (size_t)(at - text))), LISTS_MOST);
	at = words(text, LISTS_MOST + 1);
	IS(lists_count(str_make(text, (size_t)(at - text))), -E_LIMIT);
	at = words(text, 16);
	*at++ = '/';
	at = words(at, 16);
	IS(lists_count(str_make(text, (size_t)(at - text))), 256);
	*at++ = '/';
	at = words(at, 2);
	IS(lists_count(str_make(text, (size_t)(at - text))), -E_LIMIT);
	/* no product overflows, and the longest one takes no time to refuse */
	for (size_t i = 0; i + 4 <= sizeof(text); i += 4)
		memcpy(text + i, "1,2/", 4);
	IS(lists_count(str_make(text, 4 * 128 - 1)), -E_LIMIT);
	memset(text, 'a', sizeof(text));
	for (size_t i = 1; i < sizeof(text); i += 2)
		text[i] = ',';
	for (unsigned i = 0; i < 1000; i++)
		IS(lists_count(str_make(text, sizeof(text))), -E_LIMIT);
}

/* ---- Against a naive reading: a name matches if each of its levels is one of the words ---- */
static bool word_fits(struct str list, struct str level)
{
	size_t from = 0;

	for (size_t i = 0; i <= list.n; i++) {
		if (i < list.n && list.p[i] != ',')
			continue;
		if (str_eq(str_make(list.p + from, i - from), level))
			return true;
		from = i + 1;
	}
	return false;
}

static bool naive_match(struct str filter, struct str name)
{
	struct str f = oracle_head(filter), n = oracle_head(name), f_rest, n_rest;
	bool f_more = oracle_tail(filter, &f_rest), n_more = oracle_tail(name, &n_rest);

	if (str_eq(f, STR("#")))
		return true;
	if (!str_eq(f, STR("+")) && !word_fits(f, n))
		return false;
	if (!f_more && !n_more)
		return true;
	if (f_more && !n_more)
		return str_eq(f_rest, STR("#"));
	return f_more && n_more && naive_match(f_rest, n_rest);
}

static struct str any_filter(char *text)
{
	static const char *const some[] = { "a", "b", "+", "a,b", "c,a", "b,c,d", "a,a,b", "d" };
	unsigned levels = 1 + (unsigned)any_below(4);
	size_t n = 0;

	for (unsigned i = 0; i < levels; i++)
		n += (size_t)sprintf(text + n, "%s%s", i ? "/" : "", some[any_below(8)]);
	if (any_below(3) == 0)
		n += (size_t)sprintf(text + n, "/#");
	return str_make(text, n);
}

static struct str any_name(char *text)
{
	unsigned levels = 1 + (unsigned)any_below(5);
	size_t n = 0;

	for (unsigned i = 0; i < levels; i++)
		n += (size_t)sprintf(text + n, "%s%c", i ? "/" : "", "abcde"[any_below(5)]);
	return str_make(text, n);
}

static void what_it_stands_for_matches_what_a_naive_reading_matches(void)
{
	char filter[64], name[32], room[64];
	unsigned yes = 0;

	for (unsigned round = 0; round < 20000; round++) {
		struct str f = any_filter(filter), n = any_name(name), plain;
		int count = 0, hits = 0;
		struct lists l;

		YES(topic_filter_ok(f));
		for (lists_begin(&l, f); lists_next(&l, room, &plain); count++) {
			YES(topic_filter_ok(plain) && !memchr(plain.p, ',', plain.n));
			hits += topic_match((struct filter){ plain, true }, n);
		}
		IS(count, lists_count(f));
		IS(hits, naive_match(f, n)); /* once: no two of them overlap */
		yes += hits;
	}
	YES(yes > 1000);
}

RUN(a_list_stands_for_each_of_its_words, several_lists_stand_for_each_combination,
    without_a_comma_it_is_one_filter, a_word_that_stands_twice_counts_once,
    an_empty_word_is_an_error, what_it_stands_for_is_bounded,
    what_it_stands_for_matches_what_a_naive_reading_matches)
