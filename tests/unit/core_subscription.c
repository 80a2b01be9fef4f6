/* core_subscription.c - subscriptions: options, sets of inner filters, REGRANT, limits. */
#include "tests/unit/core_pair.h"

/* ---- SUBSCRIBE ---- */
static void a_subscription_is_granted_what_it_asked_for(void)
{
	begin();
	SUB(&a, "t", .opts = 1);
	SUB(&a, "u", .opts = 2);
	SAID(&a, "suback#7 01 suback#7 02");
	end();
}

static void what_the_proxy_refused_is_repeated(void)
{
	begin();
	SUB(&a, "t", .code = 0x87);
	SAID(&a, "suback#7 87");
	IS(session_sub_count(a.port.session), 0);
	end();
}

static void a_filter_outside_the_customer_is_nonsense(void)
{
	begin();
	NO(say_subscribe(&a, LINK_SUBSCRIBE, WANT("t", .inner = { "/customer/8/t" })));
	NO(say_subscribe(&a, LINK_SUBSCRIBE, WANT("t", .inner = { "t", "/#" })));
	NO(say_subscribe(&a, LINK_SUBSCRIBE, WANT("t", .inner = { "a/#/b" })));
	IS(session_sub_count(a.port.session), 0);
	end();
}

static void the_lower_qos_counts(void)
{
	begin();
	SUBBED(&a, "t", .opts = 1);
	PUB(&p, "t", "1", 2, 1);
	PUB(&p, "t", "2", 0, 0);
	SAID(&a, "t=1 q1 #1 t=2 q0");
	end();
}

static void a_message_comes_once_per_subscription(void)
{
	begin();
	SUBBED(&a, "#", .id = 1, .inner = { "a/#", "+/temp", "a/temp" });
	SUBBED(&a, "a/+", .id = 2);
	PUB(&p, "a/temp", "1", 0, 0);
	PUB(&p, "b/temp", "2", 0, 0);
	PUB(&p, "b/other", "3", 0, 0);
	PUB(&p, "a/x/y", "4", 0, 0);
	CONTAINS(a.said, "a/temp=1 q0 s1");
	CONTAINS(a.said, "a/temp=1 q0 s2");
	IS(a.n, strlen("a/temp=1 q0 s1 a/temp=1 q0 s2 b/temp=2 q0 s1 a/x/y=4 q0 s1"));
	end();
}

static void subscribing_again_replaces(void)
{
	begin();
	SUBBED(&a, "t", .opts = 1, .id = 1);
	SUBBED(&a, "t", .opts = 0, .id = 2);
	PUB(&p, "t", "1", 1, 1);
	SAID(&a, "t=1 q0 s2");
	IS(session_sub_count(a.port.session), 1);
	end();
}

static void no_local_keeps_ones_own_messages_away(void)
{
	begin();
	SUBBED(&a, "t", .opts = SUB_NO_LOCAL);
	PUB(&a, "t", "1", 0, 0);
	PUB(&p, "t", "2", 0, 0);
	SAID(&a, "t=2 q0");
	end();
}

static void the_retain_flag_is_kept_only_if_asked_for(void)
{
	begin();
	SUBBED(&a, "t", .id = 1);
	SUBBED(&a, "u", .id = 2, .opts = SUB_AS_PUBLISHED);
	PUB(&p, "t", "1", LINK_RETAIN, 0);
	PUB(&p, "u", "2", LINK_RETAIN, 0);
	PUB(&p, "u", "3", 0, 0);
	SAID(&a, "t=1 q0 s1 u=2 q0 ret s2 u=3 q0 s2");
	end();
}

/* Where a name goes is remembered; what comes and goes meanwhile must not be missed. */
static void a_name_said_before_finds_who_is_there_now(void)
{
	static struct client one, other;

	begin();
	one.n = other.n = 0;
	OPEN(&one, .id = "one");
	OPEN(&other, .id = "other");
	SUBBED(&one, "t/+", .id = 1, .inner = { "t/a", "t/#" });
	PUB(&p, "t/a", "1", 0, 0);
	PUB(&p, "t/a", "2", 0, 0);
	SAID(&one, "t/a=1 q0 s1 t/a=2 q0 s1");
	SUBBED(&other, "t/a");
	PUB(&p, "t/a", "3", 0, 0);
	PUB(&p, "t/a", "4", 0, 0);
	SAID(&one, "t/a=3 q0 s1 t/a=4 q0 s1");
	SAID(&other, "t/a=3 q0 t/a=4 q0");
	REGRANT(&one, "t/+", .inner = { "t/b" });
	PUB(&p, "t/a", "5", 0, 0);
	SAID(&one, "");
	SAID(&other, "t/a=5 q0");
	session_close(&other.port, LINK_CLOSE_EXPIRY, 0);
	PUB(&p, "t/a", "6", 0, 0);
	OPEN(&other, .id = "other");
	SUBBED(&other, "$share/g/t/a", .inner = { "t/a" });
	PUB(&p, "t/a", "7", 0, 0);
	PUB(&p, "t/a", "8", 0, 0);
	SAID(&other, "t/a=7 q0 t/a=8 q0");
	SAID(&one, "");
	session_close(&one.port, 0, 0);
	session_close(&other.port, 0, 0);
	end();
}

static void unsubscribing_ends_it(void)
{
	begin();
	SUBBED(&a, "t");
	YES(unsub(&a, "t"));
	YES(unsub(&a, "t"));
	YES(unsub(&a, "$share/g/t"));
	PUB(&p, "t", "1", 0, 0);
	SAID(&a, "unsuback#8 00 unsuback#8 11 unsuback#8 11");
	YES(tree_empty(customer_find(home, 7)->tree));
	end();
}

static void subscriptions_of_a_session_are_limited(void)
{
	begin();
	config.subscriptions = 2;
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	OPEN(&a, .id = "a");
	SUB(&a, "1");
	SUB(&a, "2");
	SUB(&a, "3");
	SUB(&a, "2");
	SAID(&a, "suback#7 00 suback#7 00 suback#7 97 suback#7 00");
	end();
}

/* OPENED lists them in one frame: an operator may allow a million, and the client makes them long.
 */
static void filters_of_a_session_fit_into_one_frame_of_the_link(void)
{
	enum { LONG = 60000, FIT = 136 * 1024 * 1024 / LONG };
	static char filter[LONG + 1];
	unsigned refused;

	begin();
	config.subscriptions = 1000000;
	config.customer_subscription_bytes = (int64_t)1 << 40;
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	OPEN(&a, .id = "a", .expiry = 60);
	memset(filter, 'f', LONG);
	for (unsigned i = 0; i < FIT - 2; i++) {
		memcpy(filter,
		       (char[]){ (char)('a' + i / 676), (char)('a' + i / 26 % 26),
		                 (char)('a' + i % 26) },
		       3);
		SUBBED(&a, filter);
	}
	SUB(&a, "short");
	turn();
	SAID(&a, "suback#7 00");
	for (refused = 0; refused < 4; refused++) {
		filter[4] = (char)('0' + refused);
		SUBBED(&a, filter);
	}
	SUB(&a, filter);
	turn();
	SAID(&a, "suback#7 97");
	YES(session_sub_count(a.port.session) < FIT + 2);
	end();
}

static void subscriptions_of_a_customer_are_limited(void)
{
	begin();
	config.customer_subscriptions = 1;
	SUB(&a, "1");
	SUB(&p, "2");
	SAID(&a, "suback#7 00");
	SAID(&p, "suback#7 97");
	end();
}

static void a_resumed_session_lists_its_subscriptions(void)
{
	begin();
	SUBBED(&a, "t", .opts = 1, .id = 5);
	session_close(&a.port, 0, 0);
	YES(open_with(&a, (struct terms){ .id = "a", .expiry = 60 }));
	IS(session_sub_count(a.port.session), 1);
	end();
}

/* ---- REGRANT ---- */
static void a_regrant_changes_what_matches(void)
{
	begin();
	SUBBED(&a, "#");
	REGRANT(&a, "#", .inner = { "b/#" });
	PUB(&p, "a/1", "1", 0, 0);
	PUB(&p, "b/1", "2", 0, 0);
	SAID(&a, "b/1=2 q0");
	end();
}

static void a_regrant_sends_no_retained_messages(void)
{
	begin();
	PUB(&p, "b/1", "1", LINK_RETAIN, 0);
	SUBBED(&a, "#", .opts = 2 << SUB_HANDLING);
	REGRANT(&a, "#", .inner = { "b/#" });
	turn();
	SAID(&a, "");
	end();
}

static void a_regrant_to_nothing_leaves_nothing(void)
{
	begin();
	SUBBED(&a, "#");
	REGRANT(&a, "#");
	PUB(&p, "a/1", "1", 0, 0);
	SAID(&a, "");
	IS(session_sub_count(a.port.session), 1);
	REGRANT(&a, "#", .inner = { "a/#" });
	PUB(&p, "a/1", "2", 0, 0);
	SAID(&a, "a/1=2 q0");
	end();
}

static void a_regrant_with_a_refusal_ends_the_subscription(void)
{
	begin();
	SUBBED(&a, "#", .opts = 1);
	SUBBED(&a, "$share/g/#", .opts = 1);
	SUBBED(&a, "b", .opts = 1);
	session_pause(&a.port);
	PUB(&p, "a/1", "waits", 1, 1);
	REGRANT(&a, "#", .code = 0x87);
	REGRANT(&a, "$share/g/#", .code = 0x87, .inner = { "a/#" });
	REGRANT(&a, "unknown", .code = 0x87);
	IS(session_sub_count(a.port.session), 1);
	IS(customer_find(home, 7)->subscriptions, 1);
	IS(customer_find(home, 7)->groups.count, 0);
	IS(home->counters.dropped_rights, 1);
	REGRANT(&a, "#", .inner = { "a/#" }); /* it does not come back */
	session_resume(&a.port);
	p.n = 0;
	PUB(&p, "a/1", "1", 0, 0);
	PUB(&p, "b", "2", 0, 0);
	SAID(&a, "b=2 q0");
	end();
}

static void queued_messages_that_are_no_longer_allowed_are_dropped(void)
{
	begin();
	SUBBED(&a, "#", .opts = 1);
	session_close(&a.port, 0, 0);
	PUB(&p, "a/1", "1", 1, 1);
	PUB(&p, "b/1", "2", 1, 2);
	YES(open_with(&a, (struct terms){ .id = "a", .expiry = 60 }));
	a.n = 0;
	REGRANT(&a, "#", .inner = { "b/#" });
	SAID(&a, "");
	session_resume(&a.port);
	SAID(&a, "b/1=2 q1 #1");
	IS(home->counters.dropped_rights, 1);
	end();
}

static void messages_under_way_that_are_no_longer_allowed_free_their_place(void)
{
	begin();
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	OPEN(&a, .id = "a", .window = 2, .expiry = 60);
	SUBBED(&a, "#", .opts = 2);
	PUB(&p, "a/1", "1", 1, 1);
	PUB(&p, "a/2", "2", 2, 2);
	PUB(&p, "b/1", "3", 1, 3);
	SAID(&a, "a/1=1 q1 #1 a/2=2 q2 #2");
	REGRANT(&a, "#", .inner = { "b/#" });
	SAID(&a, "b/1=3 q1 #3");
	IS(home->counters.dropped_rights, 2);
	end();
}

static void a_qos_2_message_that_was_sent_ends_with_pubrel_whatever_became_of_the_right(void)
{
	begin();
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	OPEN(&a, .id = "a", .window = 3, .expiry = 60);
	SUBBED(&a, "#", .opts = 2);
	PUB(&p, "a/1", "1", 2, 1);
	PUB(&p, "a/2", "2", 2, 2);
	PUB(&p, "a/3", "3", 2, 3);
	SAID(&a, "a/1=1 q2 #1 a/2=2 q2 #2 a/3=3 q2 #3");
	session_close(&a.port, 0, 0);
	OPEN(&a, .id = "a", .window = 1, .expiry = 60);
	SAID(&a, "a/1=1 q2 #1 dup"); /* the others wait for a place in the window */
	REGRANT(&a, "#", .inner = { "b/#" });
	SAID(&a, "pubrel#2 00 pubrel#3 00");
	ACK(&a, PUBREC, 1);
	SAID(&a, "pubrel#1 00");
	session_close(&a.port, 0, 0);
	OPEN(&a, .id = "a", .window = 3, .expiry = 60);
	SAID(&a, "pubrel#1 00 pubrel#2 00 pubrel#3 00");
	for (uint16_t id = 1; id <= 3; id++)
		ACK(&a, PUBCOMP, id);
	PUB(&p, "b/1", "4", 2, 4);
	SAID(&a, "b/1=4 q2 #4");
	end();
}

static void an_exchange_past_pubrec_is_finished(void)
{
	begin();
	SUBBED(&a, "#", .opts = 2);
	PUB(&p, "a/1", "1", 2, 1);
	ACK(&a, PUBREC, 1);
	REGRANT(&a, "#", .inner = { "b/#" });
	a.n = 0;
	ACK(&a, PUBCOMP, 1);
	IS(home->counters.unknown_acks, 0);
	IS(a.port.session->live, 0);
	end();
}

/* Each subscription has its own copy of it. */
static void a_message_is_judged_by_the_subscription_that_it_came_by(void)
{
	begin();
	SUBBED(&a, "#", .opts = 1, .id = 1);
	SUBBED(&a, "a/1", .opts = 1, .id = 2);
	session_pause(&a.port);
	PUB(&p, "a/1", "1", 1, 1);
	IS(a.port.session->queue_count, 2);
	REGRANT(&a, "#", .inner = { "b/#" });
	session_resume(&a.port);
	SAID(&a, "a/1=1 q1 #1 s2");
	end();
}

/* ---- Memory ---- */
static void running_out_of_memory_refuses_a_subscription_whole(void)
{
	unsigned refused = 0;
	bool failed = true;

	for (unsigned long n = 1; failed; n++) {
		begin();
		{
			struct buf b = { 0 };
			struct link_subscribe s;
			size_t frame = link_subscribe_begin(&b, LINK_SUBSCRIBE, 1, 1, 7, 0);
			size_t item = link_item_begin(&b, frame, 0, 1, STR("$share/g/#"));

			link_item_inner(&b, item, STR("customer/7/a/#"), true);
			link_item_inner(&b, item, STR("customer/7/b/+"), true);
			link_end(&b, frame);
			YES(link_subscribe_read(str_skip(buf_str(&b), LINK_HEAD), &s));
			mem_fail_at(n, false);
			YES(session_subscribe(&a.port, &s));
			mem_fail_at(0, false);
			buf_free(&b);
		}
		failed = session_sub_count(a.port.session) == 0;
		if (failed) {
			SAID(&a, "suback#7 97");
			YES(tree_empty(customer_find(home, 7)->tree));
			IS(customer_find(home, 7)->groups.count, 0);
			IS(customer_find(home, 7)->subscriptions, 0);
		} else {
			SAID(&a, "suback#7 01");
		}
		refused += failed;
		end();
	}
	YES(refused >= 6);
}

static void a_regrant_without_memory_matches_nothing(void)
{
	struct buf b = { 0 };
	struct link_subscribe s;
	size_t frame, item;

	begin();
	SUBBED(&a, "#");
	frame = link_subscribe_begin(&b, LINK_REGRANT, 1, 1, 0, 0);
	item = link_item_begin(&b, frame, 0, 0, STR("#"));
	link_item_inner(&b, item, STR("customer/7/b/#"), true);
	link_end(&b, frame);
	YES(link_subscribe_read(str_skip(buf_str(&b), LINK_HEAD), &s));
	mem_fail_at(1, false);
	YES(session_regrant(&a.port, &s));
	mem_fail_at(0, false);
	buf_free(&b);
	PUB(&p, "a/1", "1", 0, 0);
	PUB(&p, "b/1", "1", 0, 0);
	SAID(&a, "");
	end();
}

RUN(a_subscription_is_granted_what_it_asked_for, what_the_proxy_refused_is_repeated,
    a_filter_outside_the_customer_is_nonsense, the_lower_qos_counts,
    a_message_comes_once_per_subscription, subscribing_again_replaces,
    no_local_keeps_ones_own_messages_away, the_retain_flag_is_kept_only_if_asked_for,
    unsubscribing_ends_it, a_name_said_before_finds_who_is_there_now,
    subscriptions_of_a_session_are_limited, filters_of_a_session_fit_into_one_frame_of_the_link,
    subscriptions_of_a_customer_are_limited, a_resumed_session_lists_its_subscriptions,
    a_regrant_changes_what_matches, a_regrant_sends_no_retained_messages,
    a_regrant_to_nothing_leaves_nothing, a_regrant_with_a_refusal_ends_the_subscription,
    queued_messages_that_are_no_longer_allowed_are_dropped,
    messages_under_way_that_are_no_longer_allowed_free_their_place,
    a_qos_2_message_that_was_sent_ends_with_pubrel_whatever_became_of_the_right,
    an_exchange_past_pubrec_is_finished, a_message_is_judged_by_the_subscription_that_it_came_by,
    running_out_of_memory_refuses_a_subscription_whole, a_regrant_without_memory_matches_nothing)
