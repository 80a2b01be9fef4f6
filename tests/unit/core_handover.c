/* core_handover.c - a client comes back while its session has a connection: what it said there
 * comes first. Spoken over a socket pair, as a proxy that can be asked to finish. */
#include "tests/unit/core_link_help.h"

static void begin_able(void)
{
	minor = LINK_MINOR;
	begin();
	say_open(9, 1, "watch", 0);
	say_sub(9, 1, "#", 1);
	talk();
}

static void say_will(uint32_t channel, uint16_t generation, const char *id, uint8_t flags)
{
	struct room room;
	struct link_open o = { .version = MQTT_V5,
		               .receive_maximum = 10,
		               .customer = 7,
		               .token = 5,
		               .client_id = str_c(id),
		               .peer = STR("local") };

	o.will.topic = inner(&room, "will");
	o.will.payload = str_c(id);
	o.will.expiry_s = LINK_NO_EXPIRY;
	link_open_write(&to, channel, generation, (uint8_t)(flags | LINK_OPEN_WILL), &o);
}

static bool is(unsigned i, enum link_type type, uint32_t channel)
{
	return i < count && got[i].head.type == type && got[i].head.channel == channel;
}

/* Timers are served before anything is heard. */
static void talk_and_wait(void)
{
	IS(send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL), buf_len(&to));
	buf_reset(&to);
	turn();
	later(30);
	talk();
}

static bool delivered(unsigned i, const char *payload)
{
	struct link_deliver d;

	return is(i, LINK_DELIVER, 0) && link_deliver_read(got[i].body, &d) &&
	       str_eq(d.msg.payload, str_c(payload));
}

static void what_the_old_connection_said_comes_before_the_take_over(void)
{
	begin_able();
	say_open(1, 1, "x", 60);
	say_open(2, 1, "x", 60);
	talk();
	say_pub(1, 1, "t", "last words", 0, 0);
	link_bare_write(&to, LINK_FINISHED, 1, 1);
	talk_and_wait();
	IS(count, 3);
	YES(delivered(0, "last words"));
	YES(is(1, LINK_CLOSED, 1));
	YES(is(2, LINK_OPENED, 2));
	end();
}

static void who_said_goodbye_is_not_taken_over_and_has_no_will(void)
{
	begin_able();
	say_will(1, 1, "x", LINK_OPEN_CLEAN);
	say_will(2, 1, "x", LINK_OPEN_CLEAN);
	talk();
	YES(is(1, LINK_FINISH, 1));
	say_pub(1, 1, "t", "last words", 0, 0);
	link_close_write(&to, 1, 1, 0, 0);
	talk_and_wait();
	IS(count, 2);
	YES(delivered(0, "last words"));
	YES(is(1, LINK_OPENED, 2));
	IS(home->counters.taken_over, 0);
	IS(home->counters.wills_fired, 0);
	end();
}

static void a_proxy_that_does_not_finish_is_waited_for_a_second(void)
{
	begin_able();
	say_open(1, 1, "x", 60);
	say_open(2, 1, "x", 60);
	talk();
	later(900);
	talk();
	IS(home->counters.taken_over, 0);
	later(200);
	talk();
	YES(is(count - 2, LINK_CLOSED, 1));
	YES(is(count - 1, LINK_OPENED, 2));
	end();
}

static void a_link_that_breaks_has_finished(void)
{
	int old;

	begin_able();
	say_open(1, 1, "x", 60);
	talk();
	old = fd;
	plug_in();
	hello_as(LINK_MAJOR);
	say_open(5, 1, "x", 60);
	talk();
	NO(is(1, LINK_OPENED, 5));
	close(old);
	turn();
	later(20);
	talk();
	YES(is(0, LINK_OPENED, 5));
	end();
}

static void a_newcomer_that_leaves_while_it_waits_changes_nothing(void)
{
	begin_able();
	say_open(1, 1, "x", 60);
	say_open(2, 1, "x", 60);
	talk();
	link_close_write(&to, 2, 1, LINK_CLOSE_WILL, 0);
	link_bare_write(&to, LINK_FINISHED, 1, 1);
	talk();
	later(2000);
	talk();
	for (unsigned i = 0; i < count; i++)
		IS(got[i].head.type, LINK_PING);
	say_pub(1, 1, "t", "still here", 0, 0);
	talk();
	YES(delivered(0, "still here"));
	say_open(2, 2, "y", 60); /* its number is free */
	talk();
	YES(is(0, LINK_OPENED, 2));
	end();
}

static void a_will_that_is_lost_while_it_waits_is_not_set(void)
{
	begin_able();
	say_open(1, 1, "x", 0);
	say_will(2, 1, "x", LINK_OPEN_CLEAN);
	link_bare_write(&to, LINK_WILL_DROP, 2, 1);
	link_close_write(&to, 1, 1, 0, 0);
	talk_and_wait();
	YES(is(count - 1, LINK_OPENED, 2));
	link_close_write(&to, 2, 1, LINK_CLOSE_WILL, 0);
	talk();
	IS(count, 0);
	IS(home->counters.wills_fired, 0);
	end();
}

/* Each is asked in its turn, and the last one stays. */
static void newcomers_have_the_session_in_the_order_they_came(void)
{
	begin_able();
	for (uint32_t i = 1; i <= 4; i++)
		say_open(i, 1, "x", 60);
	talk();
	for (uint32_t i = 1; i < 4; i++) {
		link_bare_write(&to, LINK_FINISHED, i, 1);
		talk_and_wait();
		YES(is(0, LINK_CLOSED, i));
		YES(is(1, LINK_OPENED, i + 1));
		IS(count, i < 3 ? 3 : 2);
		if (i < 3)
			YES(is(2, LINK_FINISH, i + 1));
	}
	IS(home->counters.handovers, 3);
	end();
}

static void an_older_proxy_is_not_asked(void)
{
	minor = LINK_MINOR_FINISH - 1;
	begin();
	say_open(1, 1, "x", 60);
	say_open(2, 1, "x", 60);
	talk();
	YES(is(1, LINK_CLOSED, 1));
	YES(is(2, LINK_OPENED, 2));
	end();
}

/* Channel 1, generation 2: by another token than its session was opened. */
static unsigned flags_for_another_token(uint16_t version)
{
	unsigned flags;

	minor = version;
	begin();
	say_open(1, 1, "x", 60);
	link_close_write(&to, 1, 1, 0, 0);
	link_open_write(&to, 1, 2, 0,
	                &(struct link_open){ .version = MQTT_V5,
	                                     .receive_maximum = 10,
	                                     .customer = 7,
	                                     .token = 6,
	                                     .session_expiry_s = 60,
	                                     .client_id = STR("x"),
	                                     .peer = STR("local") });
	talk();
	IS(count, 2);
	IS(got[1].head.type, LINK_OPENED);
	flags = got[1].head.flags;
	end();
	minor = 0;
	return flags;
}

static void a_proxy_that_knows_the_word_is_told_of_another_token(void)
{
	IS(flags_for_another_token(LINK_MINOR), LINK_OPENED_PRESENT | LINK_OPENED_OTHER);
	IS(flags_for_another_token(LINK_MINOR_OTHER - 1), LINK_OPENED_PRESENT);
}

/* It takes the session over at once. */
static void who_waits_cannot_pile_up_frames(void)
{
	begin_able();
	say_open(1, 1, "x", 60);
	say_open(2, 1, "x", 60);
	talk();
	for (int i = 0; i < 20; i++)
		link_bare_write(&to, LINK_WILL_DROP, 2, 1);
	talk();
	YES(is(0, LINK_CLOSED, 1));
	YES(is(1, LINK_OPENED, 2));
	end();
}

static void the_end_finds_newcomers_waiting(void)
{
	begin_able();
	say_open(1, 1, "x", 60);
	say_open(2, 1, "x", 60);
	say_open(3, 1, "x", 60);
	talk();
	end();
}

/* Each session that is taken over ends, and has much that ends with it. */
static void thousands_that_come_back_at_once_take_turns(void)
{
	enum { CLIENTS = 60, SUBS = 300 };
	uint64_t most = 0;
	char id[16];

	begin_able();
	for (unsigned i = 1; i <= CLIENTS; i++) {
		struct room room;
		size_t frame, item;

		(void)snprintf(id, sizeof(id), "x%u", i);
		say_open(10 + i, 1, id, 0);
		frame = link_subscribe_begin(&to, LINK_SUBSCRIBE, 10 + i, 1, 7, 0);
		for (unsigned k = 0; k < SUBS; k++) {
			char filter[32];

			(void)snprintf(filter, sizeof(filter), "s/%u/%u", i, k);
			item = link_item_begin(&to, frame, 0, 0, str_c(filter));
			link_item_inner(&to, item, inner(&room, filter), true);
		}
		MUST(link_end(&to, frame));
		talk();
	}
	for (unsigned i = 1; i <= CLIENTS; i++) {
		(void)snprintf(id, sizeof(id), "x%u", i);
		say_open(100 + i, 1, id, 0);
	}
	talk();
	IS(home->counters.handovers, CLIENTS);
	IS(customer_find(home, 7)->subscriptions, CLIENTS * SUBS + 1);
	for (unsigned i = 1; i <= CLIENTS; i++)
		link_bare_write(&to, LINK_FINISHED, 10 + i, 1);
	IS(send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL), buf_len(&to));
	buf_reset(&to);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t before = home->spent;

		shifted += 2;
		clock_shift(shifted, shifted);
		loop_turn(home->loop, 0);
		if (home->spent - before > most)
			most = home->spent - before;
	}
	IS(customer_find(home, 7)->subscriptions, 1);
	IS(home->counters.taken_over, CLIENTS);
	YES(most < WORK_ALONE + WORK_TURN);
	end();
}

RUN(thousands_that_come_back_at_once_take_turns,
    what_the_old_connection_said_comes_before_the_take_over,
    who_said_goodbye_is_not_taken_over_and_has_no_will,
    a_proxy_that_does_not_finish_is_waited_for_a_second, a_link_that_breaks_has_finished,
    a_newcomer_that_leaves_while_it_waits_changes_nothing,
    a_will_that_is_lost_while_it_waits_is_not_set,
    newcomers_have_the_session_in_the_order_they_came, an_older_proxy_is_not_asked,
    a_proxy_that_knows_the_word_is_told_of_another_token, who_waits_cannot_pile_up_frames,
    the_end_finds_newcomers_waiting)
