/* core_conditions.c - subscriptions with conditions: asked before a message takes a place, on
 * retained messages, in shared groups, and after a change of rights; and what asking may cost. */
#include "base/base.h"
#include "tests/unit/core_help.h"

static struct client a, b, p;

static void begin(void)
{
	world_begins();
	a.n = b.n = p.n = 0;
	OPEN(&p, .id = "p");
	OPEN(&a, .id = "a", .expiry = 60);
	OPEN(&b, .id = "b", .expiry = 60);
}

static void end(void)
{
	struct client *all[] = { &a, &b, &p };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i]->port.session)
			session_close(&all[i]->port, LINK_CLOSE_EXPIRY, 0);
	}
	YES(!home->asked);
	world_ends();
}

#define EXTENDED .opts = LINK_EXTENDED
#define HOT      "$filter/payload=t%3E30/s/#"

static void only_what_holds_is_delivered(void)
{
	begin();
	SUBBED(&a, HOT, EXTENDED, .inner = { "s/#" });
	PUB(&p, "s/1", "{\"t\":31}", 0, 0);
	PUB(&p, "s/2", "{\"t\":30}", 0, 0);
	PUB(&p, "s/3", "hot", 0, 0);
	PUB(&p, "u/1", "{\"t\":31}", 0, 0);
	SAID(&a, "s/1={\"t\":31} q0");
	IS(home->counters.filtered, 2);
	end();
}

static void who_passes_no_condition_is_no_subscriber(void)
{
	begin();
	SUBBED(&a, HOT, EXTENDED, .inner = { "s/#" });
	p.n = 0;
	PUB(&p, "s/1", "{\"t\":1}", 1, 5);
	SAID(&p, "puback#5 10");
	PUB(&p, "s/1", "{\"t\":99}", 1, 6);
	SAID(&p, "puback#6 00");
	end();
}

static void what_does_not_pass_takes_no_place_in_the_queue(void)
{
	begin();
	SUBBED(&a, HOT, .opts = 1 | LINK_EXTENDED, .inner = { "s/#" });
	session_pause(&a.port);
	for (unsigned i = 0; i < 20; i++)
		PUB(&p, "s/1", i % 4 ? "{\"t\":1}" : "{\"t\":44}", 1, (uint16_t)(i + 1));
	IS(a.port.session->queue_count, 5);
	session_resume(&a.port);
	end();
}

static void several_subscriptions_are_judged_each_on_its_own(void)
{
	begin();
	SUBBED(&a, HOT, EXTENDED, .id = 1, .inner = { "s/#" });
	SUBBED(&a, "$filter/payload=t%3C30/s/#", EXTENDED, .id = 2, .inner = { "s/#" });
	SUBBED(&a, "s/1", .id = 3);
	PUB(&p, "s/1", "{\"t\":31}", 0, 0);
	SAID(&a, "s/1={\"t\":31} q0 s1 s/1={\"t\":31} q0 s3");
	PUB(&p, "s/1", "{\"t\":29}", 0, 0);
	SAID(&a, "s/1={\"t\":29} q0 s2 s/1={\"t\":29} q0 s3");
	end();
}

static void retained_messages_are_asked_too_and_their_time_is_the_brokers(void)
{
	char filter[64];
	int64_t between;

	begin();
	PUB(&p, "s/old", "{\"t\":50}", LINK_RETAIN, 0);
	later(5000);
	between = clock_wall_ms() / 1000;
	later(5000);
	PUB(&p, "s/new", "{\"t\":50}", LINK_RETAIN, 0);
	PUB(&p, "s/cold", "{\"t\":5}", LINK_RETAIN, 0);
	(void)snprintf(filter, sizeof(filter), "$filter/modified_since>%lld/s/#",
	               (long long)between);
	SUB(&a, filter, EXTENDED, .inner = { "s/#" });
	turn();
	SAID(&a, "suback#7 00 s/cold={\"t\":5} q0 ret s/new={\"t\":50} q0 ret");
	SUB(&b, HOT, EXTENDED, .inner = { "s/#" });
	turn();
	SAID(&b, "suback#7 00 s/new={\"t\":50} q0 ret s/old={\"t\":50} q0 ret");
	end();
}

static void a_shared_group_chooses_among_those_the_message_is_for(void)
{
	begin();
	SUBBED(&a, "$share/g/$filter/payload=t%3E30/s/#", EXTENDED, .inner = { "s/#" });
	SUBBED(&b, "$share/g/$filter/payload=t%3E30/s/#", EXTENDED, .inner = { "s/#" });
	for (unsigned i = 0; i < 4; i++) {
		PUB(&p, "s/1", "{\"t\":1}", 0, 0);
		PUB(&p, "s/1", "{\"t\":31}", 0, 0);
	}
	SAID(&a, "s/1={\"t\":31} q0 s/1={\"t\":31} q0");
	SAID(&b, "s/1={\"t\":31} q0 s/1={\"t\":31} q0");
	IS(home->counters.filtered, 4); /* one question for all members */
	end();
}

static void groups_with_other_conditions_are_other_groups(void)
{
	begin();
	SUBBED(&a, "$share/g/$filter/payload=t%3E30/s/#", EXTENDED, .inner = { "s/#" });
	SUBBED(&b, "$share/g/s/#", EXTENDED, .inner = { "s/#" });
	PUB(&p, "s/1", "{\"t\":31}", 0, 0);
	SAID(&a, "s/1={\"t\":31} q0");
	SAID(&b, "s/1={\"t\":31} q0");
	end();
}

static void what_a_member_leaves_goes_to_others_by_the_same_condition(void)
{
	begin();
	SUBBED(&a, "$share/g/$filter/payload=t%3E30/s/#", .opts = 1 | LINK_EXTENDED,
	       .inner = { "s/#" });
	session_pause(&a.port);
	PUB(&p, "s/1", "{\"t\":31}", 1, 1);
	SUBBED(&b, "$share/g/$filter/payload=t%3E30/s/#", .opts = 1 | LINK_EXTENDED,
	       .inner = { "s/#" });
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	SAID(&b, "s/1={\"t\":31} q1 #1");
	end();
}

static void a_change_of_rights_keeps_what_passed_and_is_still_allowed(void)
{
	begin();
	SUBBED(&a, HOT, .opts = 1 | LINK_EXTENDED, .inner = { "s/#" });
	session_pause(&a.port);
	PUB(&p, "s/1", "{\"t\":31}", 1, 1);
	PUB(&p, "s/2", "{\"t\":32}", 1, 2);
	REGRANT(&a, HOT, EXTENDED, .inner = { "s/2" });
	session_resume(&a.port);
	SAID(&a, "s/2={\"t\":32} q1 #1");
	PUB(&p, "s/2", "{\"t\":1}", 1, 3);
	PUB(&p, "s/1", "{\"t\":99}", 1, 4);
	SAID(&a, "");
	end();
}

static void another_subscription_without_the_condition_does_not_keep_what_it_would_not_get(void)
{
	begin();
	SUBBED(&a, "s/1", .opts = 1);
	SUBBED(&a, HOT, .opts = 1 | LINK_EXTENDED, .inner = { "s/#" });
	session_pause(&a.port);
	PUB(&p, "s/1", "{\"t\":1}", 1, 1); /* by the plain one */
	REGRANT(&a, "s/1", .inner = { "s/9" });
	session_resume(&a.port);
	SAID(&a, "");
	IS(home->counters.dropped_rights, 1);
	end();
}

static void a_filter_is_read_anew_when_the_switch_changes(void)
{
	begin();
	SUBBED(&a, HOT, EXTENDED, .inner = { "s/#" });
	REGRANT(&a, HOT); /* plain MQTT: nobody may have a name that begins with '$' */
	PUB(&p, "s/1", "{\"t\":31}", 0, 0);
	SAID(&a, "");
	REGRANT(&a, HOT, EXTENDED, .inner = { "s/#" });
	PUB(&p, "s/1", "{\"t\":31}", 0, 0);
	PUB(&p, "s/1", "{\"t\":3}", 0, 0);
	SAID(&a, "s/1={\"t\":31} q0");
	end();
}

static void a_resumed_session_keeps_its_conditions(void)
{
	begin();
	SUBBED(&a, HOT, .opts = 1 | LINK_EXTENDED, .inner = { "s/#" });
	session_close(&a.port, 0, 0);
	PUB(&p, "s/1", "{\"t\":1}", 1, 1);
	PUB(&p, "s/1", "{\"t\":31}", 1, 2);
	OPEN(&a, .id = "a", .expiry = 60);
	SAID(&a, "s/1={\"t\":31} q1 #1");
	PUB(&p, "s/1", "{\"t\":2}", 1, 3);
	SAID(&a, "");
	end();
}

static void a_condition_that_cannot_be_read_is_refused(void)
{
	begin();
	SUB(&a, "$filter/payload=(/s/#", EXTENDED, .inner = { "s/#" });
	SAID(&a, "suback#7 8f");
	IS(a.port.session->subs.count, 0);
	end();
}

static void a_message_costs_what_it_may_cost_and_then_all_is_no(void)
{
	begin();
	config.condition_steps = 54 + 50; /* to read the payload, and five steps each */
	for (unsigned i = 0; i < 30; i++) {
		char filter[64];

		(void)snprintf(filter, sizeof(filter), "$filter/payload=t%%3E%u/s/#", i);
		SUBBED(&a, filter, EXTENDED, .id = i + 1, .inner = { "s/#" });
	}
	PUB(&p, "s/1", "{\"t\":99}", 0, 0);
	IS(home->counters.delivered, 10);
	IS(home->counters.conditions_exhausted, 1);
	PUB(&p, "s/1", "{\"t\":99}", 0, 0); /* the next one has its own */
	IS(home->counters.delivered, 20);
	a.n = 0;
	end();
}

static void ten_thousand_conditions_read_a_payload_once_and_end_with_the_budget(void)
{
	begin();
	config.subscriptions = 10000;
	config.condition_steps = 60000;
	a.port.session->subscriptions_max = 10000;
	for (unsigned i = 0; i < 10000; i++) {
		char filter[64];

		(void)snprintf(filter, sizeof(filter), "$filter/payload=t==%u/s/#", i);
		SUBBED(&a, filter, EXTENDED, .inner = { "s/#" });
	}
	PUB(&p, "s/1", "{\"t\":77}", 0, 0);
	turn(); /* it is cut into slices */
	SAID(&a, "s/1={\"t\":77} q0");
	IS(home->counters.filtered, 9999);
	IS(home->counters.conditions_exhausted, 0); /* 5 steps each */
	config.condition_steps = 1000;
	PUB(&p, "s/1", "{\"t\":-1}", 0, 0);
	turn();
	IS(home->counters.conditions_exhausted, 1);
	SAID(&a, "");
	end();
}

static void a_long_payload_is_not_looked_into(void)
{
	begin();
	config.condition_payload = 10;
	SUBBED(&a, HOT, EXTENDED, .inner = { "s/#" });
	PUB(&p, "s/1", "{\"t\":31}", 0, 0);
	PUB(&p, "s/1", "{\"t\":31   }", 0, 0);
	SAID(&a, "s/1={\"t\":31} q0");
	end();
}

static void without_memory_a_condition_lets_nothing_more_through(void)
{
	unsigned refused = 0;

	for (unsigned long n = 1; n < 40; n++) {
		struct buf bytes = { 0 };
		struct link_subscribe s;
		size_t frame, item;

		begin();
		frame = link_subscribe_begin(&bytes, LINK_SUBSCRIBE, 1, 1, 7, 0);
		item = link_item_begin(&bytes, frame, 0, LINK_EXTENDED, STR(HOT));
		link_item_inner(&bytes, item, STR("customer/7/s/#"), true);
		link_end(&bytes, frame);
		MUST(buf_ok(&bytes) &&
		     link_subscribe_read(str_skip(buf_str(&bytes), LINK_HEAD), &s));
		mem_fail_at(n, false);
		YES(session_subscribe(&a.port, &s));
		PUB(&p, "s/1", "{\"t\":1}", 0, 0);
		PUB(&p, "s/1", "no json", 0, 0);
		mem_fail_at(0, false);
		buf_free(&bytes);
		refused += session_sub_count(a.port.session) == 0;
		a.n = 0;
		PUB(&p, "s/1", "{\"t\":1}", 0, 0);
		SAID(&a, "");
		end();
	}
	YES(refused > 3 && refused < 39);
}

RUN(only_what_holds_is_delivered, who_passes_no_condition_is_no_subscriber,
    what_does_not_pass_takes_no_place_in_the_queue,
    several_subscriptions_are_judged_each_on_its_own,
    retained_messages_are_asked_too_and_their_time_is_the_brokers,
    a_shared_group_chooses_among_those_the_message_is_for,
    groups_with_other_conditions_are_other_groups,
    what_a_member_leaves_goes_to_others_by_the_same_condition,
    a_change_of_rights_keeps_what_passed_and_is_still_allowed,
    another_subscription_without_the_condition_does_not_keep_what_it_would_not_get,
    a_filter_is_read_anew_when_the_switch_changes, a_resumed_session_keeps_its_conditions,
    a_condition_that_cannot_be_read_is_refused, a_message_costs_what_it_may_cost_and_then_all_is_no,
    ten_thousand_conditions_read_a_payload_once_and_end_with_the_budget,
    a_long_payload_is_not_looked_into, without_memory_a_condition_lets_nothing_more_through)
