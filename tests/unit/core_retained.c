/* core_retained.c - the retained store against a plain array and topic_match(). BENCH=1 prints what
 * a walk costs. */
#include "tests/kit/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/retained.h"

static struct msg *make(struct str topic, uint64_t token, uint32_t expiry_s)
{
	struct link_msg src = { .topic = topic, .payload = STR("x"), .expiry_s = expiry_s };
	struct msg *m = msg_new(&src, 0, true, token, NULL, 0);

	MUST(m);
	return m;
}

static int set(struct retained *r, const char *topic, uint64_t token, uint32_t expiry_s)
{
	struct msg *m = make(str_c(topic), token, expiry_s);
	int err = retained_set(r, msg_name(m), m);

	msg_put(&m);
	return err;
}

static struct retained *filled(const char *const *topics)
{
	struct retained *r;

	IS(retained_new(&r, NULL), 0);
	for (; *topics; topics++)
		IS(set(r, *topics, 1, LINK_NO_EXPIRY), 0);
	return r;
}

/* ---- What a walk visits, as one text: "a a/b c " ---- */
struct seen {
	char text[512];
	size_t n;
};

static void see(void *arg, struct msg *m)
{
	struct seen *s = arg;
	struct str name = msg_name(m);

	MUST(s->n + name.n + 1 < sizeof(s->text));
	memcpy(s->text + s->n, name.p, name.n);
	s->n += name.n;
	s->text[s->n++] = ' ';
}

static const char *walk(struct retained *r, const char *filter, bool system, size_t slice,
                        int64_t wall_ms)
{
	static struct seen s;
	struct retained_walk w = { 0 };

	s.n = 0;
	while (!w.done)
		IS(retained_walk(r, (struct filter){ str_c(filter), system }, &w, slice, wall_ms,
		                 see, &s),
		   0);
	retained_walk_end(&w);
	s.text[s.n] = '\0';
	return s.text;
}

#define WALK(r, filter, system, literal) \
	IS_BYTES(str_c(walk(r, filter, system, SIZE_MAX, 0)), STR(literal))

static void a_walk_visits_what_matches_in_the_order_of_bytes(void)
{
	struct retained *r =
	    filled((const char *const[]){ "b", "a/c", "a", "a/b", "a-b", "ab", "a/b/c", NULL });

	WALK(r, "#", true, "a a-b a/b a/b/c a/c ab b ");
	WALK(r, "a/#", true, "a a/b a/b/c a/c ");
	WALK(r, "a/+", true, "a/b a/c ");
	WALK(r, "+", true, "a a-b ab b ");
	WALK(r, "+/+/c", true, "a/b/c ");
	WALK(r, "a/b", true, "a/b ");
	WALK(r, "z/#", true, "");
	retained_free(&r);
}

static void the_root_rule_holds_for_walks(void)
{
	struct retained *r = filled((const char *const[]){ "$x/a", "a/a", "flespi", "flespi-x/a",
	                                                   "flespi/a", "flespi0/a", "g/a", NULL });

	WALK(r, "#", false, "a/a flespi-x/a flespi0/a g/a ");
	WALK(r, "#", true, "a/a flespi flespi-x/a flespi/a flespi0/a g/a ");
	WALK(r, "+/a", false, "a/a flespi-x/a flespi0/a g/a ");
	WALK(r, "$x/#", false, "$x/a ");
	WALK(r, "flespi/#", false, "flespi flespi/a ");
	retained_free(&r);
}

static void names_are_those_without_the_customer(void)
{
	struct retained *r =
	    filled((const char *const[]){ "customer/7/a", "customer/7/flespi/x", NULL });

	WALK(r, "+/#", false, "a ");
	YES(retained_clear(r, STR("a")));
	NO(retained_clear(r, STR("a")));
	WALK(r, "#", true, "flespi/x ");
	retained_free(&r);
}

static void a_new_message_replaces_the_old_one(void)
{
	struct retained *r = filled((const char *const[]){ "a", "a", "a", NULL });
	size_t bytes = retained_bytes(r);

	IS(retained_count(r), 1);
	IS(set(r, "a", 1, 5), 0);
	IS(retained_bytes(r), bytes);
	YES(retained_clear(r, STR("a")));
	IS(retained_count(r), 0);
	IS(retained_bytes(r), 0);
	retained_free(&r);
}

static void the_same_message_may_be_set_again(void)
{
	struct msg *m = make(STR("a"), 1, LINK_NO_EXPIRY);
	struct retained *r;

	IS(retained_new(&r, NULL), 0);
	IS(retained_set(r, msg_name(m), m), 0);
	IS(retained_set(r, msg_name(m), m), 0);
	IS(m->refs, 2);
	retained_free(&r);
	IS(m->refs, 1);
	msg_put(&m);
}

static void over_the_count_a_new_name_is_refused_but_a_known_one_is_not(void)
{
	struct retained *r = filled((const char *const[]){ "a", "b", NULL });

	retained_limit(r, 2, LIMIT_NONE);
	IS(set(r, "c", 1, LINK_NO_EXPIRY), -E_LIMIT);
	IS(set(r, "b", 2, LINK_NO_EXPIRY), 0);
	YES(retained_clear(r, STR("a")));
	IS(set(r, "c", 1, LINK_NO_EXPIRY), 0);
	retained_free(&r);
}

static void over_the_bytes_nothing_grows(void)
{
	struct retained *r = filled((const char *const[]){ "a", "b", NULL });
	size_t bytes = retained_bytes(r);

	retained_limit(r, LIMIT_NONE, (int64_t)bytes);
	IS(set(r, "c", 1, LINK_NO_EXPIRY), -E_LIMIT);
	IS(set(r, "a", 2, LINK_NO_EXPIRY), 0);
	retained_limit(r, LIMIT_NONE,
	               1); /* lowered later: what is there may be replaced, not grow */
	IS(set(r, "a", 3, LINK_NO_EXPIRY), 0);
	IS(retained_bytes(r), bytes);
	retained_free(&r);
}

static void what_expired_is_neither_seen_nor_kept(void)
{
	struct retained *r = filled((const char *const[]){ "a", NULL });

	IS(set(r, "b", 1, 10), 0);
	IS(set(r, "c", 1, 20), 0);
	IS_BYTES(str_c(walk(r, "#", true, 1, 9999)), STR("a b c "));
	IS_BYTES(str_c(walk(r, "#", true, 1, 10000)), STR("a c "));
	IS(retained_count(r), 2);
	IS_BYTES(str_c(walk(r, "c", true, 1, 20000)), STR(""));
	IS(retained_count(r), 1);
	retained_free(&r);
}

static void a_sweep_finds_what_expired_in_slices(void)
{
	struct retained *r;
	char text[16];
	size_t swept = 0;

	IS(retained_new(&r, NULL), 0);
	for (unsigned i = 0; i < 1000; i++) {
		sprintf(text, "n/%u", i);
		IS(set(r, text, 1, i % 2 ? 10 : LINK_NO_EXPIRY), 0);
	}
	IS(retained_sweep(r, 9999, 5000), 0);
	for (unsigned i = 0; i < 100; i++)
		swept += retained_sweep(r, 10000, 10);
	IS(swept, 500);
	IS(retained_count(r), 500);
	IS(retained_sweep(r, 99999999, 10), 0);
	retained_free(&r);
}

/* ---- Against a plain array ---- */
enum { NAMES = 300 };
static struct {
	char text[64];
	size_t n;
	bool there;
} names[NAMES];

static size_t any_text(char *out, bool filter)
{
	static const char *const words[] = { "a",   "b",  "",    "flespi",  "$x",
		                             "a-b", "ab", "a b", "flespi-", "flespi0",
		                             "0",   "c",  "%" };
	unsigned levels = 1 + (unsigned)any_below(4);
	size_t n = 0;

	for (unsigned i = 0; i < levels; i++) {
		const char *word = words[any_below(i ? 8 : ARRAY_LEN(words))];
		uint64_t dice = filter ? any_below(5) : 9;

		if (dice == 0 && i + 1 == levels)
			word = "#";
		else if (dice < 2)
			word = "+";
		n += (size_t)sprintf(out + n, "%s%s", i ? "/" : "", word);
	}
	return n ? n : (size_t)sprintf(out, "a");
}

static size_t want_index(struct str name)
{
	for (size_t i = 0; i < NAMES; i++) {
		if (str_eq(str_make(names[i].text, names[i].n), name))
			return i;
	}
	MUST(!"a name of the array");
	return 0;
}

struct visits {
	unsigned count[NAMES], all;
	struct str last;
	char text[64];
};

static void count_visit(void *arg, struct msg *m)
{
	struct visits *v = arg;
	struct str name = msg_name(m);
	int order = v->all ? memcmp(v->last.p, name.p, size_min(v->last.n, name.n)) : -1;

	YES(order < 0 || (order == 0 && v->last.n < name.n));
	v->count[want_index(name)]++;
	v->all++;
	memcpy(v->text, name.p, name.n);
	v->last = str_make(v->text, name.n);
}

static void flip(struct retained *r, size_t i)
{
	struct str name = { names[i].text, names[i].n };
	struct msg *m;

	if (names[i].there) {
		YES(retained_clear(r, name));
	} else {
		m = make(name, 1, LINK_NO_EXPIRY);
		IS(retained_set(r, name, m), 0);
		msg_put(&m);
	}
	names[i].there = !names[i].there;
}

/* One walk in slices, with changes in between or not: what was there all the time is visited
 * exactly once. */
static void check_walk(struct retained *r, bool change)
{
	struct retained_walk w = { 0 };
	struct visits v = { .all = 0 };
	bool changed[NAMES] = { false };
	char text[64];
	struct filter f = { { text, any_text(text, true) }, any_below(2) };

	while (!w.done) {
		IS(retained_walk(r, f, &w, 1 + any_below(20), 0, count_visit, &v), 0);
		for (unsigned k = 0; change && k < 3; k++) {
			size_t i = any_below(NAMES);

			flip(r, i);
			changed[i] = true;
		}
	}
	for (size_t i = 0; i < NAMES; i++) {
		struct str name = { names[i].text, names[i].n };
		unsigned want = names[i].there && topic_match(f, name);

		if (!changed[i] && v.count[i] != want)
			kit_is_str(name, f.text, "name is visited as it should be with this filter",
			           __FILE__, __LINE__);
		YES(v.count[i] <= 1);
	}
	retained_walk_end(&w);
}

static void make_names(void)
{
	for (size_t i = 0; i < NAMES; i++) {
		bool again;

		do {
			names[i].n = any_text(names[i].text, false);
			names[i].there = again = false;
			for (size_t k = 0; k < i && !again; k++)
				again = names[k].n == names[i].n &&
				        memcmp(names[k].text, names[i].text, names[i].n) == 0;
		} while (again);
	}
}

static void any_change_keeps_the_store_equal_to_a_plain_array(void)
{
	struct retained *r;
	size_t there = 0;

	IS(retained_new(&r, NULL), 0);
	make_names();
	for (size_t round = 0; round < 100000; round++) {
		flip(r, any_below(NAMES));
		if (round % 20 == 0)
			check_walk(r, round % 40 == 0);
	}
	for (size_t i = 0; i < NAMES; i++)
		there += names[i].there;
	IS(retained_count(r), there);
	for (size_t i = 0; i < NAMES; i++) {
		if (names[i].there)
			flip(r, i);
	}
	IS(retained_count(r), 0);
	IS(retained_bytes(r), 0);
	retained_free(&r);
}

/* ---- Cost ---- */
static void count_all(void *arg, struct msg *m)
{
	(void)m;
	(*(size_t *)arg)++;
}

/* How many names a walk looked at: slices of one. */
static size_t looks(struct retained *r, const char *filter, size_t *found)
{
	struct retained_walk w = { 0 };
	size_t count = 0;

	*found = 0;
	while (!w.done && ++count)
		IS(retained_walk(r, (struct filter){ str_c(filter), true }, &w, 1, 0, count_all,
		                 found),
		   0);
	retained_walk_end(&w);
	return count;
}

static void a_walk_looks_only_where_a_match_can_be(void)
{
	struct retained *r;
	char text[32];
	size_t found;

	IS(retained_new(&r, NULL), 0);
	for (unsigned i = 0; i < 10000; i++) {
		/* 10 x 100 x 10 */
		sprintf(text, "%c/%u/%c", 'a' + i % 10, i / 100, 'a' + i / 10 % 10);
		IS(set(r, text, 1, LINK_NO_EXPIRY), 0);
	}
	YES(looks(r, "c/5/#", &found) <= found + 2);
	IS(found, 10);
	/* of each group: the first, the match, the one behind it */
	YES(looks(r, "c/+/e", &found) <= 3 * found + 2);
	IS(found, 100);
	YES(looks(r, "+/7/e", &found) <= 4 * found + 2);
	IS(found, 10);
	YES(looks(r, "+/x", &found) <= 21);
	IS(found, 0);
	retained_free(&r);
}

static void without_memory_nothing_changes(void)
{
	each_alloc_failure(n)
	{
		struct retained *r;
		struct retained_walk w = { 0 };
		struct msg *m = NULL;
		struct link_msg src = { .topic = STR("b/c"), .expiry_s = LINK_NO_EXPIRY };
		size_t found = 0;
		int err;

		if (retained_new(&r, NULL))
			continue;
		m = msg_new(&src, 0, true, 1, NULL, 0);
		if (m && retained_set(r, STR("b/c"), m)) {
			IS(retained_count(r), 0);
			IS(retained_bytes(r), 0);
			IS(m->refs, 1);
		}
		err = retained_walk(r, (struct filter){ STR("#"), true }, &w, 9, 0, count_all,
		                    &found);
		IS(w.done, err == 0);
		IS(found, w.done ? retained_count(r) : 0);
		retained_walk_end(&w);
		msg_put(&m);
		retained_free(&r);
	}
}

static void bench(struct retained *r, const char *filter, size_t want)
{
	struct timespec from, to;
	size_t found, count = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < 10; i++) {
		struct retained_walk w = { 0 };

		found = 0;
		while (!w.done && ++count)
			IS(retained_walk(r, (struct filter){ str_c(filter), true }, &w, 1000, 0,
			                 count_all, &found),
			   0);
		retained_walk_end(&w);
		IS(found, want);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (getenv("BENCH"))
		printf("%-16s %8zu of %8zu found: %10.0f ns per walk\n", filter, want,
		       retained_count(r),
		       ((double)(to.tv_sec - from.tv_sec) * 1e9 +
		        (double)(to.tv_nsec - from.tv_nsec)) /
		           10);
}

static void large_stores_are_walked(void)
{
	unsigned groups = getenv("BENCH") ? 1000 : 20;
	struct retained *r;
	char text[32];

	IS(retained_new(&r, NULL), 0);
	for (unsigned i = 0; i < groups * 100; i++) {
		sprintf(text, "fleet/%u/state/%u", i % groups, i / groups);
		IS(set(r, text, 1, LINK_NO_EXPIRY), 0);
	}
	bench(r, "#", (size_t)groups * 100);
	bench(r, "fleet/7/#", 100);
	bench(r, "fleet/+/state/5", groups);
	bench(r, "fleet/7/state/5", 1);
	retained_free(&r);
}

RUN(a_walk_visits_what_matches_in_the_order_of_bytes, the_root_rule_holds_for_walks,
    names_are_those_without_the_customer, a_new_message_replaces_the_old_one,
    the_same_message_may_be_set_again, over_the_count_a_new_name_is_refused_but_a_known_one_is_not,
    over_the_bytes_nothing_grows, what_expired_is_neither_seen_nor_kept,
    a_sweep_finds_what_expired_in_slices, any_change_keeps_the_store_equal_to_a_plain_array,
    a_walk_looks_only_where_a_match_can_be, without_memory_nothing_changes, large_stores_are_walked)
