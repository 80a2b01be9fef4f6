/* The permitted part of a filter: a table, then brute force over a small world, then what a large
 * list costs. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include "acl/acl_set.h"
#include "tests/kit/topic_oracle.h"
#include "tests/unit/acl_help.h"

struct parts {
	struct {
		char text[64];
		bool system;
	} part[ACL_RESULT_MAX];
	unsigned count;
};

static void collect(void *arg, struct filter f)
{
	struct parts *p = arg;

	MUST(p->count < ACL_RESULT_MAX && f.text.n < sizeof(p->part[0].text));
	memcpy(p->part[p->count].text, f.text.p, f.text.n);
	p->part[p->count].text[f.text.n] = '\0';
	p->part[p->count++].system = f.system;
}

static struct filter part_at(const struct parts *p, unsigned i)
{
	return (struct filter){ str_c(p->part[i].text), p->part[i].system };
}

static void count_only(void *arg, struct filter f)
{
	(void)f;
	++*(unsigned *)arg;
}

static void parts_text(const struct parts *p, struct buf *out)
{
	for (unsigned i = 0; i < p->count; i++)
		buf_printf(out, "%s%s%s", i ? " " : "", p->part[i].text,
		           p->part[i].system ? "" : "!");
}

/* Results in the order of their levels; "!" after those that are not marked and start with a
 * wildcard. */
static const struct row {
	const char *grants, *filter, *parts;
} rows[] = {
	{ "s a/#, s +/temp", "#", "+/temp! a/#" }, /* DESIGN section 3 */
	{ "s a/#, s +/temp", "+/temp", "+/temp!" },
	{ "s a/#, s +/temp", "a/b/c", "a/b/c" },
	{ "s a/#, s +/temp", "b/temp", "b/temp" },
	{ "s a/#, s +/temp", "b/hum", "" },
	{ "s a/#, s +/temp", "b/#", "b/temp" },
	{ "s a/1", "a/+", "a/1" }, /* C10: never more than the grant */
	{ "s a/1, s a/2", "a/+", "a/1 a/2" },
	{ "s a", "a/#", "a" },
	{ "s a/#", "a", "a" },
	{ "s a/+/c, s a/b/+", "a/#", "a/+/c a/b/+" },
	{ "s a/+/c, s a/b/+", "a/b/c", "a/b/c" },
	{ "s +/b, s a/+", "a/b", "a/b" }, /* one, though two grants meet it */
	{ "s #", "#", "#!" },
	{ "s #", "+/#", "+/#!" },
	{ "s #", "flespi/#", "" },
	{ "s #", "$SYS/#", "" },
	{ "s $SYS/a", "$SYS/#", "$SYS/a" },
	{ "s $SYS/a", "#", "" },
	{ "s #, logs", "#", "#! flespi/log/mqtt/#" },
	{ "s #, logs", "flespi/#", "flespi/log/mqtt/#" },
	{ "s #, logs", "+/log/#", "+/log/#! flespi/log/mqtt/#" },
	{ "s a, logs", "+/+/mqtt/x", "flespi/log/mqtt/x" },
	{ "logs, state", "flespi/+/mqtt/#", "flespi/log/mqtt/# flespi/state/mqtt/#" },
	{ "p a/#", "a/#", "" },
	{ "", "#", "" },
	{ "master", "#", "#" },
	{ "master", "flespi/#", "flespi/#" },
	{ "master", "$SYS/#", "" },
	{ "master", "+/x", "+/x" },
	{ "standard", "a/#", "a/#" },
	{ "standard", "flespi/log/#",
	  "flespi/log/ai/# flespi/log/gw/# flespi/log/mqtt/# flespi/log/storage/#" },
	{ "standard", "flespi/log/platform/#", "" },
	{ "standard", "flespi/state/platform", "" },
	{ "standard", "flespi/+/mqtt/x",
	  "flespi/interval/mqtt/x flespi/log/mqtt/x flespi/message/mqtt/x flespi/state/mqtt/x" },
	{ "standard", "+", "+!" },
	{ "standard", "+/message", "+/message! flespi/message" },
	{ "s /#", "+/#", "/#" },
	{ "s /#", "+", "" }, /* the empty name is none */
};

static void the_table_of_permitted_parts_holds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct acl *acl = acl_of(rows[i].grants);
		struct parts parts = { .count = 0 };
		struct buf text = { 0 };
		int n = acl_intersect(acl, guard_str(str_c(rows[i].filter)), collect, &parts);

		IS(n, parts.count);
		parts_text(&parts, &text);
		if (!str_eq(buf_str(&text), str_c(rows[i].parts)))
			fail_msg("\"%s\" & %s = %.*s", rows[i].grants, rows[i].filter,
			         STR_ARG(buf_str(&text)));
		buf_free(&text);
		acl_put(&acl);
	}
}

/* ---- Brute force ---- */

static bool any_matches(const struct parts *p, struct str name)
{
	for (unsigned i = 0; i < p->count; i++) {
		if (oracle_match(part_at(p, i), name))
			return true;
	}
	return false;
}

static void nothing_covers_another(const struct parts *p)
{
	for (unsigned i = 0; i < p->count; i++) {
		for (unsigned j = 0; j < p->count; j++)
			IS(filter_covers(part_at(p, i), part_at(p, j)), i == j);
	}
}

static void compare(struct acl *acl, const char *grants, const char *filter,
                    const struct oracle_list *names)
{
	struct parts parts = { .count = 0 };
	int n = acl_intersect(acl, str_c(filter), collect, &parts);
	size_t looked = 0;

	IS(n, parts.count);
	IS(acl_meets(acl, str_c(filter), &looked), n > 0);
	YES(looked > 0 || n <= 0);
	nothing_covers_another(&parts);
	for (unsigned i = 0; i < names->count; i++) {
		struct str name = oracle_at(names, i);
		bool permitted = oracle_match((struct filter){ str_c(filter), true }, name) &&
		                 acl_may_receive(acl, name);

		if (any_matches(&parts, name) != permitted)
			fail_msg("\"%s\" & %s: %s", grants, filter, names->text[i]);
	}
}

/* That acl_may_receive says what the grants say is shown in acl_check.c. */
static void the_parts_match_exactly_what_is_asked_and_permitted(void)
{
	struct oracle_list names = oracle_names(4), filters = oracle_filters(3);

	for (unsigned round = 0; round < 1500; round++) {
		struct buf b = { 0 };
		struct acl *acl;

		for (unsigned n = 0; n < 1 + round % 10;) {
			unsigned pick = (unsigned)any_below(filters.count);

			if (topic_is_system(oracle_at(&filters, pick)))
				continue;
			buf_printf(&b, "%ss %s", n ? ", " : "", filters.text[pick]);
			n++;
		}
		buf_u8(&b, 0);
		acl = acl_of((const char *)buf_data(&b));
		compare(acl, (const char *)buf_data(&b), filters.text[any_below(filters.count)],
		        &names);
		acl_put(&acl);
		buf_free(&b);
	}
	mem_free(names.text);
	mem_free(filters.text);
}

static void presets_do_so_in_the_platforms_tree(void)
{
	static const char *grants[] = { "master", "standard", "state, logs, s #",
		                        "state, logs, s +/+/mqtt" };
	static const char *filters[] = { "#",
		                         "+/#",
		                         "+/+/#",
		                         "+/+/mqtt/#",
		                         "flespi/#",
		                         "flespi/+/+",
		                         "flespi/+/platform/#",
		                         "flespi/log/#",
		                         "+/log/+/x",
		                         "flespi/state/mqtt/x",
		                         "+/message/#",
		                         "+/+/+",
		                         "flespi/+" };
	static char names[][40] = { "flespi",
		                    "flespi/log",
		                    "flespi/log/mqtt",
		                    "flespi/log/mqtt/x",
		                    "flespi/log/platform",
		                    "flespi/log/platform/x",
		                    "flespi/state/mqtt",
		                    "flespi/state/mqtt/x",
		                    "flespi/state/platform/x",
		                    "flespi/state/gw/x",
		                    "flespi/message",
		                    "flespi/message/x",
		                    "flespi/message/gw/x/y",
		                    "flespi/interval/gw/x",
		                    "flespi/rest/x",
		                    "a/log/mqtt",
		                    "a/b/mqtt",
		                    "$flespi/log/mqtt",
		                    "log/mqtt",
		                    "a" };
	struct oracle_list list = { names, ARRAY_LEN(names) };

	for (size_t g = 0; g < ARRAY_LEN(grants); g++) {
		struct acl *acl = acl_of(grants[g]);

		for (size_t f = 0; f < ARRAY_LEN(filters); f++)
			compare(acl, grants[g], filters[f], &list);
		acl_put(&acl);
	}
}

/* ---- Limits ---- */

static struct acl *acl_of_many(unsigned count, const char *before, const char *after)
{
	struct buf b = { 0 };
	struct acl *acl;

	for (unsigned i = 0; i < count; i++)
		buf_printf(&b, "%ss %s%u%s", i ? ", " : "", before, i, after);
	buf_u8(&b, 0);
	acl = acl_of((const char *)buf_data(&b));
	buf_free(&b);
	return acl;
}

static void more_parts_than_allowed_are_an_error_and_none_is_told(void)
{
	struct acl *most = acl_of_many(ACL_RESULT_MAX, "d/", "/#"),
		   *more = acl_of_many(ACL_RESULT_MAX + 1, "d/", "/#");
	unsigned told = 0;

	IS(acl_intersect(most, STR("#"), count_only, &told), ACL_RESULT_MAX);
	IS(told, ACL_RESULT_MAX);
	told = 0;
	IS(acl_intersect(more, STR("#"), count_only, &told), -E_LIMIT);
	IS(told, 0);
	IS(acl_intersect(more, STR("d/77/#"), count_only, &told), 1);
	acl_put(&most);
	acl_put(&more);
}

static void many_grants_that_meet_in_few_parts_are_no_error(void)
{
	struct acl *acl = acl_of_many(1000, "+/", "/x");
	unsigned told = 0;

	IS(acl_intersect(acl, STR("a/5/#"), count_only, &told), 1);
	IS(acl_intersect(acl, STR("a/5"), count_only, &told), 0);
	acl_put(&acl);
}

static void long_filters_over_many_grants_are_bounded_in_bytes(void)
{
	static char filter[60000];
	struct acl *acl = acl_of_many(200, "+/+/", "/#");
	unsigned told = 0;

	memset(filter, 'x', sizeof(filter));
	memcpy(filter + sizeof(filter) - 4, "/+/#", 4);
	filter[30000] = '/';
	IS(acl_intersect(acl, str_make(filter, sizeof(filter)), count_only, &told), -E_LIMIT);
	IS(told, 0);
	acl_put(&acl);
}

static void every_failed_allocation_tells_nothing(void)
{
	struct acl *acl = acl_of("s a/#, s +/temp, s b/+/c");

	each_alloc_failure(n)
	{
		unsigned told = 0;
		int answer = acl_intersect(acl, STR("+/#"), count_only, &told);

		IS(answer, told ? 3 : -E_NOMEM);
		IS(told, answer > 0 ? 3 : 0);
	}
	acl_put(&acl);
}

/* ---- What may be published ---- */

static const struct row publishable[] = {
	{ "ps a/#, p a/b, s c", "", "a/#" },
	{ "p $x, p b", "", "b" },
	{ "s a", "", "" },
	{ "master", "", "#!" },
	{ "standard", "", "#!" },
	{ "p +/x, p a/x, p #", "", "#!" },
};

static void the_table_of_publishable_filters_holds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(publishable); i++) {
		struct acl *acl = acl_of(publishable[i].grants);
		struct parts parts = { .count = 0 };
		struct buf text = { 0 };
		int n = acl_publishable(acl, collect, &parts);

		IS(n, parts.count);
		parts_text(&parts, &text);
		IS_BYTES(buf_str(&text), str_c(publishable[i].parts));
		buf_free(&text);
		acl_put(&acl);
	}
}

/* ---- Cost ---- */

static bool count_one(void *arg, const struct acl_item *item)
{
	(void)item;
	return ++*(unsigned *)arg < 5000;
}

/* 200 filters against 1,100 grants were 220,000 intersections for each connection. */
static void a_filter_is_held_against_the_grants_that_can_meet_it_only(void)
{
	static char texts[1100][24];
	static struct acl_item items[1100];
	static const struct {
		const char *filter;
		unsigned meets;
	} meets[] = { { "dev/7/#", 1 },   { "dev/7/temp", 1 }, { "dev/+/temp", 1100 },
		      { "#", 1100 },      { "other/#", 0 },    { "dev", 0 },
		      { "dev/#", 1100 },  { "+/7/#", 1 },      { "+/+/+/x", 1100 },
		      { "dev/7/a/b", 1 }, { "dev/7", 1 },      { "/#", 0 } };
	struct acl_set set = { 0 };

	for (unsigned i = 0; i < ARRAY_LEN(items); i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "dev/%u/#", i);
		items[i] = (struct acl_item){ { str_c(texts[i]), false }, i };
	}
	MUST(acl_set_make(&set, items, ARRAY_LEN(items)) == 0);
	for (size_t i = 0; i < ARRAY_LEN(meets); i++) {
		unsigned met = 0;
		size_t looked = 0;

		YES(acl_set_meet(&set, str_c(meets[i].filter), count_one, &met, &looked));
		IS(met, meets[i].meets);
	}
	acl_set_free(&set);
}

RUN(the_table_of_permitted_parts_holds, the_parts_match_exactly_what_is_asked_and_permitted,
    presets_do_so_in_the_platforms_tree, more_parts_than_allowed_are_an_error_and_none_is_told,
    many_grants_that_meet_in_few_parts_are_no_error,
    long_filters_over_many_grants_are_bounded_in_bytes, every_failed_allocation_tells_nothing,
    the_table_of_publishable_filters_holds,
    a_filter_is_held_against_the_grants_that_can_meet_it_only)
