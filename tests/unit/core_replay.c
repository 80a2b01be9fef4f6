/* core_replay.c - retained messages for new subscriptions: which, when, in slices, over the end of
 * a connection. */
#include "tests/unit/core_pair.h"

#include "core/work.h"

#include <unistd.h>

/* ---- Retained ---- */
static void a_retained_message_comes_to_a_new_subscription(void)
{
	begin();
	PUB(&p, "r/1", "1", LINK_RETAIN | 1, 1);
	SUB(&a, "r/#", .opts = 1, .id = 3);
	turn();
	SAID(&a, "suback#7 01 r/1=1 q1 #1 ret s3");
	end();
}

static void an_empty_payload_clears(void)
{
	begin();
	PUB(&p, "r/1", "1", LINK_RETAIN, 0);
	PUB(&p, "r/1", "", LINK_RETAIN, 0);
	SUB(&a, "r/#");
	turn();
	SAID(&a, "suback#7 00");
	IS(retained_count(customer_find(home, 7)->retained), 0);
	end();
}

static void retain_handling_1_sends_to_new_subscriptions_only(void)
{
	begin();
	PUB(&p, "r", "1", LINK_RETAIN, 0);
	SUB(&a, "r", .opts = 1 << SUB_HANDLING);
	turn();
	SAID(&a, "suback#7 00 r=1 q0 ret");
	SUB(&a, "r", .opts = 1 << SUB_HANDLING);
	turn();
	SAID(&a, "suback#7 00");
	SUB(&a, "r", .opts = 0);
	turn();
	SAID(&a, "suback#7 00 r=1 q0 ret");
	end();
}

static void retain_handling_2_sends_none(void)
{
	begin();
	PUB(&p, "r", "1", LINK_RETAIN, 0);
	SUB(&a, "r", .opts = 2 << SUB_HANDLING);
	turn();
	SAID(&a, "suback#7 00");
	end();
}

static void retained_messages_come_only_through_the_granted_set_and_once(void)
{
	begin();
	PUB(&p, "a/temp", "1", LINK_RETAIN, 0);
	PUB(&p, "b/temp", "2", LINK_RETAIN, 0);
	PUB(&p, "b/other", "3", LINK_RETAIN, 0);
	SUBBED(&a, "#", .opts = 2 << SUB_HANDLING, .inner = { "a/#", "+/temp" });
	SUB(&a, "#", .inner = { "a/#", "+/temp" });
	turn();
	SAID(&a, "suback#7 00 a/temp=1 q0 ret b/temp=2 q0 ret");
	end();
}

static void retained_messages_are_limited_and_passed_on_all_the_same(void)
{
	begin();
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	session_close(&p.port, 0, 0);
	config.retained_messages = 1;
	OPEN(&p, .id = "p");
	OPEN(&a, .id = "a", .expiry = 60);
	SUBBED(&a, "#");
	PUB(&p, "r/1", "1", LINK_RETAIN | 1, 1);
	PUB(&p, "r/2", "2", LINK_RETAIN | 1, 2);
	SAID(&p, "puback#1 00 puback#2 97");
	SAID(&a, "r/1=1 q0 r/2=2 q0");
	end();
}

static void what_has_expired_keeps_no_place_of_what_comes(void)
{
	begin();
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	session_close(&p.port, 0, 0);
	config.retained_messages = 2;
	OPEN(&p, .id = "p");
	OPEN(&a, .id = "a", .expiry = 60);
	YES(publish(&p, "r/1", "1", LINK_RETAIN | 1, 1, 1));
	YES(publish(&p, "r/2", "2", LINK_RETAIN | 1, 2, 1));
	PUB(&p, "r/3", "3", LINK_RETAIN | 1, 3);
	SAID(&p, "puback#1 10 puback#2 10 puback#3 97");
	(void)usleep(1100000);
	loop_turn(home->loop, 0);
	PUB(&p, "r/3", "3", LINK_RETAIN | 1, 4);
	SAID(&p, "puback#4 10");
	SUB(&a, "r/#");
	turn();
	SAID(&a, "suback#7 00 r/3=3 q0 ret");
	end();
}

static void retain_many(unsigned count, uint8_t qos)
{
	char name[32];

	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "r/%u", i);
		PUB(&p, name, "1", (uint8_t)(LINK_RETAIN | qos), qos ? 1 : 0);
		if (qos == 2)
			ACK(&p, PUBREL, 1);
		p.n = 0;
	}
}

static void many_retained_messages_come_in_slices(void)
{
	begin();
	retain_many(1000, 0);
	SUB(&a, "r/#");
	a.n = 0;
	loop_turn(home->loop, 0);
	IS(home->counters.retained_sent, 256);
	a.n = 0;
	loop_turn(home->loop, 0);
	IS(home->counters.retained_sent, 512);
	YES(unsub(&a, "r/#"));
	a.n = 0;
	turn();
	IS(home->counters.retained_sent, 512);
	YES(list_empty(&home->replays));
	end();
}

static void retained_messages_wait_for_who_does_not_read(void)
{
	begin();
	retain_many(300, 0);
	session_pause(&a.port);
	SUB(&a, "r/#");
	SAID(&a, "suback#7 00");
	turn();
	SAID(&a, "");
	session_resume(&a.port);
	for (int i = 0; i < 8; i++) {
		loop_turn(home->loop, 0);
		a.n = 0;
	}
	IS(home->counters.retained_sent, 300);
	IS(home->counters.dropped_paused, 0);
	end();
}

/* Else a hundred of them fill a link's buffer to its mark in one go, megabytes that are copied as
 * it grows. */
static void replays_wait_while_the_links_have_enough(void)
{
	struct customer *c;

	begin();
	retain_many(300, 0);
	c = customer_find(home, 7);
	work_slow(c, true);
	SUB(&a, "r/#");
	SAID(&a, "suback#7 00");
	turn();
	IS(home->counters.retained_sent, 0);
	NO(home->replay_asked);
	work_slow(c, false);
	for (int i = 0; i < 8; i++) {
		loop_turn(home->loop, 0);
		a.n = 0;
	}
	IS(home->counters.retained_sent, 300);
	end();
}

/* Over 64 of them were looked at turn by turn, and the loop never slept. */
static void replays_of_who_takes_nothing_cost_no_turns(void)
{
	char filter[32];

	begin();
	retain_many(3, 0);
	session_pause(&a.port);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(filter, sizeof(filter), "%s/+/f%u", i < 98 ? "q" : "r", i);
		SUB(&a, filter, .inner = { i < 98 ? "r/#" : "r/1" });
		a.n = 0;
	}
	for (unsigned i = 0; i < 4; i++)
		loop_turn(home->loop, 0);
	NO(home->replay_asked);
	YES(list_empty(&home->replays));
	IS(home->counters.retained_sent, 0);
	session_resume(&a.port);
	for (unsigned i = 0; i < 200; i++) {
		loop_turn(home->loop, 0);
		a.n = 0;
	}
	IS(home->counters.retained_sent, 98 * 3 + 2);
	NO(home->replay_asked);
	end();
}

static void more_retained_messages_than_the_queue_holds_all_come(void)
{
	begin();
	retain_many(300, 1);
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	OPEN(&a, .id = "a", .queue_messages = 20, .window = 5);
	SUB(&a, "r/#", .opts = 1);
	for (uint16_t i = 1; i <= 300; i++) {
		turn();
		a.n = 0;
		ACK(&a, PUBACK, i);
	}
	IS(home->counters.dropped_full, 0);
	IS(home->counters.acked, 300);
	YES(list_empty(&home->replays));
	end();
}

static void a_replay_waits_for_its_client_to_come_back(void)
{
	begin();
	retain_many(300, 1);
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	OPEN(&a, .id = "a", .expiry = 60, .queue_messages = 20, .window = 5);
	SUB(&a, "r/#", .opts = 1);
	for (uint16_t i = 1; i <= 300; i++) {
		turn();
		a.n = 0;
		if (i % 70 == 0) {
			session_close(&a.port, 0, 0);
			YES(list_empty(&home->replays));
			turn();
			later(100);
			OPEN(&a, .id = "a", .expiry = 60, .queue_messages = 20, .window = 5);
			turn();
			a.n = 0;
		}
		ACK(&a, PUBACK, i);
	}
	IS(home->counters.retained_sent, 300);
	IS(home->counters.acked, 300);
	IS(home->counters.dropped_full, 0);
	YES(list_empty(&home->replays));
	end();
}

static void a_session_that_ends_ends_its_replay(void)
{
	begin();
	retain_many(300, 0);
	SUB(&a, "r/#");
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	YES(list_empty(&home->replays));
	turn();
	IS(home->counters.retained_sent, 0);
	OPEN(&a, .id = "a");
	turn();
	IS(home->counters.retained_sent, 0);
	end();
}

static void a_regrant_begins_a_replay_anew_by_what_is_allowed_now(void)
{
	begin();
	retain_many(300, 1);
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	OPEN(&a, .id = "a", .queue_messages = 20, .window = 5);
	SUB(&a, "#", .opts = 1);
	turn();
	a.n = 0;
	REGRANT(&a, "#", .inner = { "r/299" });
	turn();
	for (uint16_t i = 1; i <= 5; i++)
		ACK(&a, PUBACK, i);
	turn();
	SAID(&a, "r/299=1 q1 #6 ret");
	YES(list_empty(&home->replays));
	end();
}

/* Customer 7 has many replays, customer 8 has one: it does not stand behind them. */
static void customers_take_turns(void)
{
	static struct client many[40], b;
	unsigned turns = 0;

	world_begins();
	b.n = 0;
	OPEN(&b, .id = "b", .customer = 8);
	PUB(&b, "/customer/8/r", "1", LINK_RETAIN, 0);
	for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
		char id[8];

		(void)snprintf(id, sizeof(id), "m%u", i);
		many[i].n = 0;
		OPEN(&many[i], .id = id);
		if (i == 0)
			PUB(&many[0], "r", "1", LINK_RETAIN, 0);
		SUB(&many[i], "#", .opts = 0);
		many[i].n = 0;
	}
	SUB(&b, "/customer/8/#", .opts = 0);
	b.n = 0;
	while (b.n == 0 && turns++ < 100)
		loop_turn(home->loop, 0);
	YES(turns <= 2);
	YES(many[ARRAY_LEN(many) - 1].n == 0); /* the control: they would have been before it */
	turn();
	turn();
	YES(many[ARRAY_LEN(many) - 1].n > 0);
	YES(list_empty(&home->replays));
	for (unsigned i = 0; i < ARRAY_LEN(many); i++)
		session_close(&many[i].port, 0, 0);
	session_close(&b.port, 0, 0);
	world_ends();
}

RUN(customers_take_turns, a_retained_message_comes_to_a_new_subscription, an_empty_payload_clears,
    retain_handling_1_sends_to_new_subscriptions_only, retain_handling_2_sends_none,
    retained_messages_come_only_through_the_granted_set_and_once,
    retained_messages_are_limited_and_passed_on_all_the_same, many_retained_messages_come_in_slices,
    what_has_expired_keeps_no_place_of_what_comes, retained_messages_wait_for_who_does_not_read,
    replays_wait_while_the_links_have_enough, replays_of_who_takes_nothing_cost_no_turns,
    more_retained_messages_than_the_queue_holds_all_come,
    a_replay_waits_for_its_client_to_come_back, a_session_that_ends_ends_its_replay,
    a_regrant_begins_a_replay_anew_by_what_is_allowed_now)
