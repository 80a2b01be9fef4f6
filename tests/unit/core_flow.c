/* core_flow.c - publishing, the queue and the window, redelivery, the QoS exchanges. */
#include "tests/unit/core_help.h"

static struct client a, p;

/* p publishes; a subscribes to everything of the customer with QoS 2. */
static void begin_with(struct terms t)
{
	world_begins();
	a.n = p.n = 0;
	a.full = p.full = false;
	OPEN(&p, .id = "p");
	t.id = "a";
	YES(open_with(&a, t));
	a.n = 0;
	session_resume(&a.port);
	SUBBED(&a, "#", .opts = 2);
}

static void begin(void)
{
	begin_with((struct terms){ .expiry = 60 });
}

static void end(void)
{
	if (a.port.session)
		session_close(&a.port, 0, 0);
	if (p.port.session)
		session_close(&p.port, 0, 0);
	world_ends();
}

static void drop_and_return(struct client *c, struct terms t)
{
	t.id = "a";
	t.expiry = 60;
	if (c->port.session)
		session_close(&c->port, 0, 0);
	YES(open_with(c, t));
	SAID(c, "opened p1 00");
	session_resume(&c->port);
}

/* ---- Publishing ---- */
static void qos_0_goes_through(void)
{
	begin();
	PUB(&p, "t", "1", 0, 0);
	SAID(&a, "t=1 q0");
	SAID(&p, "");
	end();
}

static void qos_1_is_acknowledged(void)
{
	begin();
	PUB(&p, "t", "1", 1, 9);
	SAID(&a, "t=1 q1 #1");
	SAID(&p, "puback#9 00");
	end();
}

static void a_publisher_is_told_that_nobody_subscribes(void)
{
	begin();
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	PUB(&p, "t", "1", 1, 9);
	PUB(&p, "t", "1", 2, 10);
	SAID(&p, "puback#9 10 pubrec#10 10");
	end();
}

static void qos_2_is_passed_on_once(void)
{
	begin();
	PUB(&p, "t", "1", 2, 9);
	PUB(&p, "t", "1", 2 | LINK_DUP, 9);
	SAID(&a, "t=1 q2 #1");
	SAID(&p, "pubrec#9 00 pubrec#9 00");
	ACK(&p, PUBREL, 9);
	SAID(&p, "pubcomp#9 00");
	PUB(&p, "t", "2", 2, 9);
	SAID(&a, "t=2 q2 #2");
	end();
}

static void an_unknown_pubrel_is_answered_with_not_found(void)
{
	begin();
	ACK(&p, PUBREL, 9);
	SAID(&p, "pubcomp#9 92");
	end();
}

static void qos_2_ids_that_wait_for_pubrel_are_bounded(void)
{
	begin();
	config.inbound_max = 2;
	PUB(&p, "t", "1", 2, 1);
	PUB(&p, "t", "2", 2, 2);
	PUB(&p, "t", "3", 2, 3);
	SAID(&p, "pubrec#1 00 pubrec#2 00 pubrec#3 97");
	SAID(&a, "t=1 q2 #1 t=2 q2 #2");
	ACK(&p, PUBREL, 1);
	PUB(&p, "t", "3", 2, 3);
	SAID(&p, "pubcomp#1 00 pubrec#3 00");
	end();
}

static void qos_2_ids_outlive_the_connection(void)
{
	begin();
	PUB(&a, "t", "1", 2, 5);
	a.n = 0;
	drop_and_return(&a, (struct terms){ 0 });
	a.n = 0;
	PUB(&a, "t", "1", 2 | LINK_DUP, 5);
	SAID(&a, "pubrec#5 00");
	IS(home->counters.repeated_qos2, 1);
	end();
}

static void a_topic_outside_the_customer_is_nonsense(void)
{
	begin();
	NO(publish(&p, "/customer/8/t", "1", 0, 0, LINK_NO_EXPIRY));
	NO(publish(&p, "/mbus/token/1/1", "1", 0, 0, LINK_NO_EXPIRY));
	NO(publish(&p, "/customer/7/", "1", 0, 0, LINK_NO_EXPIRY));
	NO(publish(&p, "a/#", "1", 0, 0, LINK_NO_EXPIRY));
	NO(publish(&p, "t", "1", 1, 0, LINK_NO_EXPIRY));
	NO(publish(&p, "t", "1", 3, 1, LINK_NO_EXPIRY));
	SAID(&a, "");
	end();
}

/* ---- The window ---- */
static void no_more_is_under_way_than_the_client_takes(void)
{
	begin_with((struct terms){ .window = 2, .expiry = 60 });
	for (uint16_t i = 1; i <= 4; i++)
		PUB(&p, "t", "x", 1, i);
	SAID(&a, "t=x q1 #1 t=x q1 #2");
	ACK(&a, PUBACK, 1);
	SAID(&a, "t=x q1 #3");
	ACK(&a, PUBACK, 2);
	ACK(&a, PUBACK, 3);
	SAID(&a, "t=x q1 #4");
	end();
}

static void qos_2_keeps_its_place_until_pubcomp(void)
{
	begin_with((struct terms){ .window = 1, .expiry = 60 });
	PUB(&p, "t", "1", 2, 1);
	PUB(&p, "t", "2", 1, 2);
	SAID(&a, "t=1 q2 #1");
	ACK(&a, PUBREC, 1);
	SAID(&a, "pubrel#1 00");
	ACK(&a, PUBCOMP, 1);
	SAID(&a, "t=2 q1 #2");
	end();
}

static void a_refused_pubrec_ends_the_exchange(void)
{
	begin();
	PUB(&p, "t", "1", 2, 1);
	YES(session_ack(&a.port, MQTT_PUBREC, 1, RC_QUOTA_EXCEEDED));
	SAID(&a, "t=1 q2 #1");
	IS(a.port.session->live, 0);
	end();
}

static void answers_that_fit_nothing_change_nothing(void)
{
	begin();
	PUB(&p, "t", "1", 2, 1);
	PUB(&p, "t", "2", 1, 2);
	a.n = 0;
	ACK(&a, PUBACK, 1);
	ACK(&a, PUBCOMP, 1);
	ACK(&a, PUBREC, 2);
	ACK(&a, PUBCOMP, 2);
	ACK(&a, PUBACK, 77);
	SAID(&a, "");
	IS(home->counters.unknown_acks, 5);
	IS(a.port.session->live, 2);
	end();
}

static void packet_ids_go_round_and_zero_is_none(void)
{
	begin();
	a.port.session->next_id = UINT16_MAX;
	PUB(&p, "t", "1", 1, 1);
	PUB(&p, "t", "2", 1, 2);
	SAID(&a, "t=1 q1 #65535 t=2 q1 #1");
	end();
}

static void an_id_in_use_is_not_given_again(void)
{
	begin();
	PUB(&p, "t", "1", 1, 1);
	a.port.session->next_id = 1; /* 65535 messages later */
	PUB(&p, "t", "2", 1, 2);
	SAID(&a, "t=1 q1 #1");
	ACK(&a, PUBACK, 1);
	SAID(&a, "t=2 q1 #1");
	end();
}

/* ---- The queue ---- */
static void what_comes_while_away_waits(void)
{
	begin();
	session_close(&a.port, 0, 0);
	PUB(&p, "t", "1", 1, 1);
	PUB(&p, "t", "2", 2, 2);
	PUB(&p, "t", "3", 0, 0);
	drop_and_return(&a, (struct terms){ 0 });
	SAID(&a, "t=1 q1 #1 t=2 q2 #2");
	IS(home->counters.dropped_paused, 1);
	end();
}

static void nothing_is_delivered_before_resume(void)
{
	begin();
	session_close(&a.port, 0, 0);
	PUB(&p, "t", "1", 1, 1);
	YES(open_with(&a, (struct terms){ .id = "a", .expiry = 60 }));
	PUB(&p, "t", "2", 1, 2);
	SAID(&a, "opened p1 00");
	session_resume(&a.port);
	SAID(&a, "t=1 q1 #1 t=2 q1 #2");
	end();
}

static void a_paused_client_gets_qos_1_later_and_qos_0_never(void)
{
	begin();
	session_pause(&a.port);
	PUB(&p, "t", "1", 0, 0);
	PUB(&p, "t", "2", 1, 1);
	SAID(&a, "");
	session_resume(&a.port);
	SAID(&a, "t=2 q1 #1");
	IS(home->counters.dropped_paused, 1);
	end();
}

static void pausing_does_not_send_again_what_is_under_way(void)
{
	begin();
	PUB(&p, "t", "1", 1, 1);
	a.n = 0;
	session_pause(&a.port);
	session_resume(&a.port);
	SAID(&a, "");
	end();
}

static void a_full_door_counts_as_paused(void)
{
	begin();
	a.full = true;
	PUB(&p, "t", "1", 0, 0);
	PUB(&p, "t", "2", 1, 1);
	SAID(&a, "");
	a.full = false;
	session_drained(&a.port);
	SAID(&a, "t=2 q1 #1");
	end();
}

static void beyond_the_limit_of_messages_the_newest_is_dropped(void)
{
	begin_with((struct terms){ .expiry = 60, .queue_messages = 2 });
	session_pause(&a.port);
	PUB(&p, "t", "1", 1, 1);
	PUB(&p, "t", "2", 1, 2);
	PUB(&p, "t", "3", 1, 3);
	SAID(&p, "puback#1 00 puback#2 00 puback#3 00");
	session_resume(&a.port);
	SAID(&a, "t=1 q1 #1 t=2 q1 #2");
	IS(home->counters.dropped_full, 1);
	IS(a.port.session->dropped, 1);
	IS(a.port.session->customer->queue_dropped, 1);
	end();
}

static void a_session_that_overflows_is_told_once_a_minute(void)
{
	begin_with((struct terms){ .expiry = 60, .queue_messages = 2 });
	session_pause(&a.port);
	for (uint16_t i = 1; i <= 10; i++)
		PUB(&p, "t", "x", 1, i);
	IS(home->counters.dropped_full, 8);
	IS(home->overflows.count, 1);
	IS(home->counters.published, 10);
	later(100);
	IS(home->counters.published, 11); /* the record */
	PUB(&p, "t", "x", 1, 11);
	later(30000);
	IS(home->counters.published, 12); /* told already */
	later(31000);
	IS(home->counters.published, 13);
	later(61000);
	IS(home->counters.published, 13);
	IS(home->overflows.count, 0);
	end();
}

static void beyond_the_limit_of_bytes_the_newest_is_dropped(void)
{
	static char big[1001];

	memset(big, 'x', 1000);
	begin_with((struct terms){ .expiry = 60, .queue_bytes = 3000 });
	session_pause(&a.port);
	PUB(&p, "t", big, 1, 1);
	PUB(&p, "t", big, 1, 2);
	PUB(&p, "t", big, 1, 3);
	IS(a.port.session->queue_count, 2);
	IS(home->counters.dropped_full, 1);
	end();
}

static void one_message_fits_however_small_the_limit(void)
{
	begin_with((struct terms){ .expiry = 60, .queue_bytes = 1 });
	session_pause(&a.port);
	PUB(&p, "t", "1", 1, 1);
	PUB(&p, "t", "2", 1, 2);
	IS(a.port.session->queue_count, 1);
	session_resume(&a.port);
	SAID(&a, "t=1 q1 #1");
	end();
}

static void all_sessions_of_a_customer_share_a_limit(void)
{
	begin();
	config.customer_queue_bytes = 1;
	quota_customer(customer_find(home, 7), NULL);
	session_pause(&a.port);
	PUB(&p, "t", "1", 1, 1);
	IS(a.port.session->queue_count, 0);
	IS(home->counters.dropped_full, 1);
	end();
}

static void accounts_are_even_when_all_is_done(void)
{
	begin_with((struct terms){ .window = 2, .expiry = 60 });
	for (uint16_t i = 1; i <= 6; i++)
		PUB(&p, "t", "x", 1 + i % 2, i);
	for (uint16_t i = 1; i <= 6; i++) {
		ACK(&a, PUBREC, i);
		ACK(&a, PUBCOMP, i);
		ACK(&a, PUBACK, i);
	}
	IS(a.port.session->queue_bytes, 0);
	IS(a.port.session->flight_bytes, 0);
	IS(a.port.session->queue_count, 0);
	IS(a.port.session->live, 0);
	IS(a.port.session->customer->queue_bytes, 0);
	end();
}

static void an_expired_message_is_not_sent(void)
{
	begin();
	session_close(&a.port, 0, 0);
	YES(publish(&p, "t", "1", 1, 1, 5));
	YES(publish(&p, "t", "2", 1, 2, 50));
	later(6000);
	drop_and_return(&a, (struct terms){ 0 });
	SAID(&a, "t=2 q1 #1");
	IS(home->counters.dropped_expired, 1);
	end();
}

/* ---- Again after a reconnect ---- */
static void what_was_under_way_comes_again_first_and_in_order(void)
{
	begin_with((struct terms){ .window = 3, .expiry = 60 });
	PUB(&p, "t", "1", 1, 1);
	PUB(&p, "t", "2", 2, 2);
	PUB(&p, "t", "3", 1, 3);
	PUB(&p, "t", "4", 1, 4);
	SAID(&a, "t=1 q1 #1 t=2 q2 #2 t=3 q1 #3");
	drop_and_return(&a, (struct terms){ .window = 5 });
	SAID(&a, "t=1 q1 #1 dup t=2 q2 #2 dup t=3 q1 #3 dup t=4 q1 #4");
	end();
}

static void past_pubrec_only_pubrel_comes_again(void)
{
	begin();
	PUB(&p, "t", "1", 2, 1);
	PUB(&p, "t", "2", 2, 2);
	ACK(&a, PUBREC, 1);
	a.n = 0;
	drop_and_return(&a, (struct terms){ 0 });
	SAID(&a, "pubrel#1 00 t=2 q2 #2 dup");
	ACK(&a, PUBCOMP, 1);
	IS(a.port.session->live, 1);
	end();
}

static void a_smaller_window_after_a_reconnect_holds(void)
{
	begin();
	for (uint16_t i = 1; i <= 3; i++)
		PUB(&p, "t", "x", 1, i);
	a.n = 0;
	drop_and_return(&a, (struct terms){ .window = 1 });
	SAID(&a, "t=x q1 #1 dup");
	ACK(&a, PUBACK, 1);
	SAID(&a, "t=x q1 #2 dup");
	ACK(&a, PUBACK, 2);
	SAID(&a, "t=x q1 #3 dup");
	end();
}

static void what_is_new_waits_behind_what_comes_again(void)
{
	begin();
	PUB(&p, "t", "1", 1, 1);
	PUB(&p, "t", "2", 1, 2);
	a.n = 0;
	drop_and_return(&a, (struct terms){ .window = 1 });
	PUB(&p, "t", "3", 1, 3);
	SAID(&a, "t=1 q1 #1 dup");
	ACK(&a, PUBACK, 1);
	ACK(&a, PUBACK, 2);
	SAID(&a, "t=2 q1 #2 dup t=3 q1 #3");
	end();
}

/* ---- Memory ---- */
static void running_out_of_memory_loses_one_message_at_most(void)
{
	unsigned refused = 0;
	bool failed = true;

	for (unsigned long n = 1; failed; n++) {
		begin();
		mem_fail_at(n, false);
		PUB(&p, "t", "1", 2, 1);
		mem_fail_at(0, false);
		PUB(&p, "t", "2", 2, 2);
		failed = !str_eq(said(&a), STR("t=1 q2 #1 t=2 q2 #2"));
		refused += failed;
		end();
	}
	YES(refused >= 2); /* the id, the message, the entry */
}

RUN(qos_0_goes_through, qos_1_is_acknowledged, a_publisher_is_told_that_nobody_subscribes,
    qos_2_is_passed_on_once, an_unknown_pubrel_is_answered_with_not_found,
    qos_2_ids_that_wait_for_pubrel_are_bounded, qos_2_ids_outlive_the_connection,
    a_topic_outside_the_customer_is_nonsense, no_more_is_under_way_than_the_client_takes,
    qos_2_keeps_its_place_until_pubcomp, a_refused_pubrec_ends_the_exchange,
    answers_that_fit_nothing_change_nothing, packet_ids_go_round_and_zero_is_none,
    an_id_in_use_is_not_given_again, what_comes_while_away_waits,
    nothing_is_delivered_before_resume, a_paused_client_gets_qos_1_later_and_qos_0_never,
    pausing_does_not_send_again_what_is_under_way, a_full_door_counts_as_paused,
    beyond_the_limit_of_messages_the_newest_is_dropped,
    a_session_that_overflows_is_told_once_a_minute, beyond_the_limit_of_bytes_the_newest_is_dropped,
    one_message_fits_however_small_the_limit, all_sessions_of_a_customer_share_a_limit,
    accounts_are_even_when_all_is_done, an_expired_message_is_not_sent,
    what_was_under_way_comes_again_first_and_in_order, past_pubrec_only_pubrel_comes_again,
    a_smaller_window_after_a_reconnect_holds, what_is_new_waits_behind_what_comes_again,
    running_out_of_memory_loses_one_message_at_most)
