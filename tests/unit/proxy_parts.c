/* The pure parts: cutting streams, sets of filters, messages in flight and aliases, names of
 * events. */
#include <stdio.h>

#include "proxy/events.h"
#include "proxy/feed.h"
#include "proxy/filters.h"
#include "proxy/inflight.h"
#include "tests/kit/kit.h"

/* ---- Cutting: frames are one byte of length and so many bytes; 0xff is nonsense ---- */

struct seen {
	char text[64];
	size_t n;
	unsigned frames, hold_at;
};

static enum parse measure(void *owner, struct str bytes, size_t *whole)
{
	(void)owner;
	if (bytes.n == 0)
		return PARSE_MORE;
	if ((uint8_t)bytes.p[0] == 0xff)
		return PARSE_BAD;
	*whole = 1u + (uint8_t)bytes.p[0];
	return PARSE_OK;
}

static bool frame(void *owner, struct str bytes)
{
	struct seen *s = owner;

	s->text[s->n++] = '[';
	memcpy(s->text + s->n, bytes.p + 1, bytes.n - 1);
	s->n += bytes.n - 1;
	s->text[s->n++] = ']';
	return ++s->frames != s->hold_at;
}

static const struct feed_ops ops = { measure, frame };
#define SEEN(s) str_make((s).text, (s).n)

static void frames_come_out_whole_wherever_the_stream_is_cut(void)
{
	each_split(s, STR("\1a\0\3bcd\2ef"))
	{
		struct seen seen = { .n = 0 };
		struct buf rest = { 0 };

		IS(feed(&ops, &seen, &rest, s.first), FEED_OK);
		IS(feed(&ops, &seen, &rest, s.rest), FEED_OK);
		IS_STR(SEEN(seen), "[a][][bcd][ef]");
		IS(buf_len(&rest), 0);
		buf_free(&rest);
	}
}

static void single_bytes_are_enough(void)
{
	struct str all = STR("\1a\3bcd\2ef");
	struct seen seen = { .n = 0 };
	struct buf rest = { 0 };

	for (size_t i = 0; i < all.n; i++)
		IS(feed(&ops, &seen, &rest, str_make(all.p + i, 1)), FEED_OK);
	IS_STR(SEEN(seen), "[a][bcd][ef]");
	buf_free(&rest);
}

static void what_follows_a_hold_waits(void)
{
	each_split(s, STR("\1a\3bcd\2ef"))
	{
		struct seen seen = { .hold_at = 1 };
		struct buf rest = { 0 };
		enum feed first = feed(&ops, &seen, &rest, s.first);

		if (first == FEED_HOLD) {
			IS_STR(SEEN(seen), "[a]");
			IS(feed_rest(&ops, &seen, &rest), FEED_OK);
			IS(feed(&ops, &seen, &rest, s.rest), FEED_OK);
		} else {
			IS(feed(&ops, &seen, &rest, s.rest), FEED_HOLD);
			IS_STR(SEEN(seen), "[a]");
			IS(feed_rest(&ops, &seen, &rest), FEED_OK);
		}
		IS_STR(SEEN(seen), "[a][bcd][ef]");
		buf_free(&rest);
	}
}

/* One frame a turn, of many that have come: the others stay where they are. */
static void what_waits_is_not_copied_frame_by_frame(void)
{
	char many[2000];
	struct seen seen = { .hold_at = 1 };
	struct buf rest = { 0 };
	const uint8_t *where;

	for (size_t i = 0; i < sizeof(many); i += 2)
		memcpy(many + i, "\1a", 2);
	IS(feed(&ops, &seen, &rest, str_make(many, sizeof(many))), FEED_HOLD);
	where = rest.p;
	for (size_t left = sizeof(many) - 4; left; left -= 2) {
		seen.n = 0;
		seen.hold_at++;
		IS(feed_rest(&ops, &seen, &rest), FEED_HOLD);
		IS(buf_len(&rest), left);
		IS_STR(SEEN(seen), "[a]");
		if (left > sizeof(many) / 2)
			YES(rest.p == where);
		/* nor does it hold memory for what is done */
		YES(rest.cap <= 8 * left + 64);
	}
	buf_free(&rest);
}

static void nonsense_ends_it_after_what_came_before(void)
{
	struct seen seen = { .n = 0 };
	struct buf rest = { 0 };

	IS(feed(&ops, &seen, &rest, STR("\1a\xff")), FEED_BAD);
	IS_STR(SEEN(seen), "[a]");
	buf_free(&rest);
}

static void memory_grows_with_bytes_and_not_with_what_is_announced(void)
{
	struct seen seen = { .n = 0 };
	struct buf rest = { 0 };

	IS(feed(&ops, &seen, &rest,
	        STR("\xfe"
	            "a")),
	   FEED_OK);
	YES(rest.cap < 0xfe);
	buf_free(&rest);
}

static void missing_memory_is_told(void)
{
	struct seen seen = { .n = 0 };
	struct buf rest = { 0 };

	mem_fail_at(1, false);
	IS(feed(&ops, &seen, &rest, STR("\3a")), FEED_NOMEM);
	mem_fail_at(0, false);
	buf_free(&rest);
}

/* ---- Filters ---- */

static void a_filter_is_there_until_it_is_removed(void)
{
	struct filters set = { 0 };

	NO(filters_has(&set, STR("a")));
	YES(filters_add(&set, STR("a"), 0));
	YES(filters_add(&set, STR("a/b"), 0));
	YES(filters_add(&set, STR("$share/g/a"), 0));
	YES(filters_del(&set, STR("a/b")));
	NO(filters_del(&set, STR("a/b")));
	YES(filters_has(&set, STR("a")));
	YES(filters_has(&set, STR("$share/g/a")));
	NO(filters_has(&set, STR("a/b")));
	NO(filters_has(&set, STR("$share/g/")));
	IS(filters_count(&set), 2);
	filters_free(&set);
}

static void note_text(void *arg, struct str filter)
{
	buf_str_add(arg, filter);
}

static void what_the_core_refused_is_taken_back_and_nothing_else(void)
{
	struct filters set = { .asked = 0 };
	struct buf back = { 0 };

	YES(filters_add(&set, STR("a"), 1)); /* SUBSCRIBE 1: a, b, c */
	YES(filters_add(&set, STR("b"), 2));
	YES(filters_add(&set, STR("c"), 3));
	set.asked++;
	YES(filters_add(&set, STR("d"), 1)); /* SUBSCRIBE 2: d, c again */
	filters_again(&set, STR("c"));
	set.asked++;
	filters_answered(&set, STR("\0\x97\x97"), note_text, &back);
	IS_STR(buf_str(&back), "b");
	NO(filters_has(&set, STR("b")));
	YES(filters_has(&set, STR("a")) && filters_has(&set, STR("c")));
	YES(filters_add(&set, STR("e"), 1)); /* SUBSCRIBE 3: e, at the place that a had */
	set.asked++;
	filters_answered(&set, STR("\1\0"), note_text, &back);
	filters_answered(&set, STR("\x97"), NULL, NULL);
	IS_STR(buf_str(&back), "b");
	NO(filters_has(&set, STR("e")));
	IS(filters_count(&set), 3);
	filters_free(&set);
	buf_free(&back);
}

static void filters_that_have_ended_go_together(void)
{
	struct buf told = { 0 };
	struct filters set = { 0 };

	YES(filters_add(&set, STR("a"), 0) && filters_add(&set, STR("bb"), 0));
	filters_drop_ended(&set, note_text, &told);
	IS(filters_count(&set), 2);
	map_each(n, &set.map) {
		if (filters_text(n).n == 2)
			filters_end(&set, n);
	}
	IS(filters_count(&set), 2);
	filters_drop_ended(&set, note_text, &told);
	IS_STR(buf_str(&told), "bb");
	YES(filters_count(&set) == 1 && filters_has(&set, STR("a")));
	buf_free(&told);
	filters_free(&set);
}

/* One SUBSCRIBE of many is judged again in slices, while others come and go. */
static void what_was_judged_longest_ago_is_stale_first_and_each_once(void)
{
	struct filters set = { 0 };
	struct map_node *stale;

	NO(filters_any_stale(&set));
	YES(filters_add(&set, STR("a"), 0));
	YES(filters_add(&set, STR("b"), 0));
	YES(filters_add(&set, STR("c"), 0));
	YES(!filters_stale(&set));
	filters_make_stale(&set);
	IS_STR(filters_text(filters_stale(&set)), "a");
	YES(filters_add(&set, STR("d"), 0)); /* judged under the new rights */
	YES(filters_del(&set, STR("b")));
	filters_make_stale(&set); /* and again, in the midst of it */
	for (const char *next = "cad"; *next; next++) {
		YES(filters_any_stale(&set));
		stale = filters_stale(&set);
		YES(stale && filters_text(stale).p[0] == *next);
	}
	NO(filters_any_stale(&set));
	filters_free(&set);
}

static void filters_with_conditions_are_counted(void)
{
	struct filters set = { 0 };

	YES(filters_add(&set, STR("$filter/payload=1/a"), 1));
	YES(filters_add(&set, STR("$share/g/a"), 2));
	YES(filters_add(&set, STR("$filter/payload=2/a"), 3));
	set.asked++;
	IS(set.conditional, 2);
	filters_answered(&set, STR("\x97\0\0"), NULL, NULL);
	IS(set.conditional, 1);
	YES(filters_del(&set, STR("$filter/payload=2/a")));
	IS(set.conditional, 0);
	filters_free(&set);
}

static void a_thousand_filters_come_and_go_in_any_order(void)
{
	struct filters set = { 0 };
	char text[16];

	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof(text), "a/%u", i);
		YES(filters_add(&set, str_c(text), 0));
	}
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof(text), "a/%u", i * 7 % 1000);
		YES(filters_del(&set, str_c(text)));
		NO(filters_has(&set, str_c(text)));
		IS(filters_count(&set), 999 - i);
	}
	YES(!set.map.bucket);
}

static void an_emptied_set_holds_no_memory(void)
{
	struct filters set = { 0 };

	YES(filters_add(&set, STR("a"), 0));
	YES(filters_del(&set, STR("a")));
	YES(!set.map.bucket);
}

static void a_filter_that_finds_no_memory_is_not_there(void)
{
	for (unsigned nth = 1; nth <= 2; nth++) {
		struct filters set = { 0 };

		mem_fail_at(nth, false);
		NO(filters_add(&set, STR("a"), 0));
		mem_fail_at(0, false);
		NO(filters_has(&set, STR("a")));
		filters_free(&set);
	}
}

/* ---- In flight ---- */

static void a_repeated_id_counts_once(void)
{
	struct inflight *f = NULL;

	for (unsigned i = 0; i < 100; i++)
		IS(inflight_add(&f, 7, 2), 0);
	IS(inflight_count(f), 1);
	inflight_free(&f);
}

static void beyond_the_limit_nothing_is_taken(void)
{
	struct inflight *f = NULL;

	for (uint16_t id = 1; id <= 20; id++)
		IS(inflight_add(&f, id, 20), 0);
	IS(inflight_add(&f, 21, 20), -E_LIMIT);
	YES(inflight_del(f, 5));
	NO(inflight_del(f, 5));
	IS(inflight_add(&f, 21, 20), 0);
	IS(inflight_add(&f, 5, 20), -E_LIMIT);
	inflight_free(&f);
}

static void answers_nobody_waits_for_change_nothing(void)
{
	struct inflight *f = NULL;

	NO(inflight_del(f, 1));
	IS(inflight_add(&f, 1, 2), 0);
	NO(inflight_del(f, 2));
	IS(inflight_count(f), 1);
	inflight_free(&f);
}

static void an_alias_means_what_it_was_last_set_to(void)
{
	struct alias_table *t = NULL;

	IS(alias_get(t, 1).n, 0);
	IS(alias_set(&t, 1, 4, STR("a/b")), 0);
	IS(alias_set(&t, 4, 4, STR("c")), 0);
	IS_STR(alias_get(t, 1), "a/b");
	IS(alias_set(&t, 1, 4, STR("d")), 0);
	IS_STR(alias_get(t, 1), "d");
	IS_STR(alias_get(t, 4), "c");
	IS(alias_get(t, 2).n, 0);
	IS(alias_get(t, 5).n, 0);
	alias_free(&t);
}

static void tables_survive_missing_memory(void)
{
	each_alloc_failure(n)
	{
		struct inflight *f = NULL;
		struct alias_table *t = NULL;

		int err = inflight_add(&f, 1, 10);

		IS(err == 0, inflight_count(f) == 1);
		err = alias_set(&t, 1, 4, STR("a"));
		IS(err == 0, alias_get(t, 1).n == 1);
		inflight_free(&f);
		alias_free(&t);
	}
}

/* ---- Events ---- */

static void a_client_id_becomes_exactly_one_level(void)
{
	struct buf b = { 0 };

	event_client_level(&b, STR("a/b+c#d%e \x01\x7f\xc3\xa4~"));
	IS_STR(buf_str(&b), "a%2Fb%2Bc%23d%25e%20%01%7F%C3%A4~");
	buf_reset(&b);
	event_client_level(&b, STR(""));
	IS_STR(buf_str(&b), "%");
	buf_free(&b);
}

static void events_stand_in_the_customers_own_tree(void)
{
	struct buf b = { 0 };

	event_topic(&b, 7, STR("lamp-1"), EVENT_DISCONNECTED);
	IS_STR(buf_str(&b), "customer/7/flespi/log/mqtt/sessions/lamp-1/disconnected");
	buf_free(&b);
}

static void every_event_has_its_word(void)
{
	IS_STR(str_c(event_word(EVENT_CONNECTED)), "connected");
	IS_STR(str_c(event_word(EVENT_BLOCKED)), "blocked");
	IS_STR(str_c(event_word(EVENT_REJECTED)), "rejected");
	IS_STR(str_c(event_word(EVENT_SUBSCRIBED)), "subscribed");
	IS_STR(str_c(event_word(EVENT_UNSUBSCRIBED)), "unsubscribed");
}

static void a_rate_of_records_is_one_customers_alone(void)
{
	static struct event_past places[EVENT_PLACES];
	struct event_past *a, *b;
	size_t given = 0;

	memset(places, 0, sizeof(places));
	a = event_past(places, 7, 0, 5);
	b = event_past(places, 8, 0, 5);
	YES(a && b && a != b);
	a->rate = (struct event_rate){ .second = 5, .count = 50, .dropped = 350 };
	YES(event_past(places, 7, 0, 5) == a && a->rate.dropped == 350);
	IS(b->rate.count, 0);
	IS(b->rate.dropped, 0);
	NO(event_past(places, 9, 0, 0)); /* only looked for */
	/* However many customers there are in a second, none takes the place of another one. */
	for (uint64_t customer = 100; customer < 5000; customer++) {
		struct event_past *p = event_past(places, customer, 0, 5);

		if (!p)
			continue;
		given++;
		IS(p->rate.count, 0);
		p->rate.second = 5;
	}
	YES(given > EVENT_PLACES / 2 && given <= EVENT_PLACES - 1);
	IS(event_past(places, 7, 0, 5)->rate.dropped, 350);
	/* In the next second there is room again. */
	YES(event_past(places, 6000, 0, 6));
}

RUN(frames_come_out_whole_wherever_the_stream_is_cut, single_bytes_are_enough,
    what_follows_a_hold_waits, what_waits_is_not_copied_frame_by_frame,
    nonsense_ends_it_after_what_came_before, memory_grows_with_bytes_and_not_with_what_is_announced,
    missing_memory_is_told, a_filter_is_there_until_it_is_removed,
    what_the_core_refused_is_taken_back_and_nothing_else, filters_that_have_ended_go_together,
    what_was_judged_longest_ago_is_stale_first_and_each_once, filters_with_conditions_are_counted,
    a_thousand_filters_come_and_go_in_any_order, an_emptied_set_holds_no_memory,
    a_filter_that_finds_no_memory_is_not_there, a_repeated_id_counts_once,
    beyond_the_limit_nothing_is_taken, answers_nobody_waits_for_change_nothing,
    an_alias_means_what_it_was_last_set_to, tables_survive_missing_memory,
    a_client_id_becomes_exactly_one_level, events_stand_in_the_customers_own_tree,
    every_event_has_its_word, a_rate_of_records_is_one_customers_alone)
