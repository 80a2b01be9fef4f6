/* core_limits.c - what one client, or one customer, may cost the core: take-overs, copies, QoS 2
 * ids that are never released, Wills. */
#include "tests/unit/core_help.h"

static struct client a, b, p;

static void begin(void)
{
	world_begins();
	a.n = b.n = p.n = 0;
	OPEN(&p, .id = "p");
}

static void end(void)
{
	struct client *all[] = { &a, &b, &p };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i]->port.session)
			session_close(&all[i]->port, LINK_CLOSE_EXPIRY, 0);
	}
	world_ends();
}

/* ---- Take-overs (attack R07) ---- */

static unsigned wars(unsigned rounds)
{
	unsigned fought = 0;

	for (unsigned i = 0; i < rounds; i++) {
		struct client *newcomer = a.port.session ? &b : &a;

		newcomer->n = 0;
		YES(open_with(newcomer, (struct terms){ .id = "x", .expiry = 60 }));
		fought += newcomer->port.session != NULL;
	}
	return fought;
}

static void a_take_over_war_ends_after_ten_and_the_one_inside_stays(void)
{
	begin();
	IS(wars(1), 1);
	IS(wars(30), 10);
	IS(home->counters.takeovers_refused, 20);
	YES(a.port.session);
	NO(b.port.session);
	IS_STR(said(&b), "opened p0 9f");
	end();
}

static void later_one_take_over_per_second_fits(void)
{
	begin();
	IS(wars(31), 11);
	later(1000);
	IS(wars(5), 1);
	later(3000);
	IS(wars(5), 3);
	end();
}

static void coming_back_after_leaving_is_no_take_over(void)
{
	begin();
	for (int i = 0; i < 40; i++) {
		OPEN(&a, .id = "x", .expiry = 60);
		YES(a.port.session);
		session_close(&a.port, 0, 0);
	}
	IS(home->counters.takeovers_refused, 0);
	end();
}

static void without_an_interval_take_overs_are_free(void)
{
	begin();
	config.takeover_interval = 0;
	IS(wars(50), 50);
	end();
}

/* ---- Copies (attack R15) ---- */

static void overlapping_filters_give_so_many_copies_and_no_more(void)
{
	char filter[32];

	begin();
	config.copies_max = 3;
	OPEN(&a, .id = "a");
	OPEN(&b, .id = "b");
	for (int i = 0; i < 5; i++) {
		(void)snprintf(filter, sizeof(filter), "%s", &"+/+/+/+/#"[8 - 2 * i]);
		SUBBED(&a, filter);
	}
	SUBBED(&b, "#");
	PUB(&p, "t/u/v/w/x", "1", 0, 0);
	SAID(&a, "t/u/v/w/x=1 q0 t/u/v/w/x=1 q0 t/u/v/w/x=1 q0");
	SAID(&b, "t/u/v/w/x=1 q0");
	IS(home->counters.dropped_copies, 2);
	PUB(&p, "t/u/v/w/x", "2", 0, 0);
	SAID(&a, "t/u/v/w/x=2 q0 t/u/v/w/x=2 q0 t/u/v/w/x=2 q0");
	end();
}

/* ---- QoS 2 ids (attack R11) ---- */

static void ids_without_a_release_make_room_after_their_time(void)
{
	begin();
	config.inbound_max = 10;
	config.inbound_expiry = 60000;
	for (uint16_t i = 1; i <= 10; i++)
		PUB(&p, "t", "x", 2, i);
	p.n = 0;
	PUB(&p, "t", "x", 2, 11);
	SAID(&p, "pubrec#11 97");
	later(61000);
	PUB(&p, "t", "x", 2, 11);
	SAID(&p, "pubrec#11 10");
	IS(home->counters.inbound_expired, 10);
	ACK(&p, PUBREL, 1);
	SAID(&p, "pubcomp#1 92");
	ACK(&p, PUBREL, 11);
	SAID(&p, "pubcomp#11 00");
	end();
}

static void an_old_id_is_known_as_long_as_there_is_room(void)
{
	begin();
	config.inbound_expiry = 60000;
	PUB(&p, "t", "x", 2, 1);
	later(300000);
	p.n = 0;
	PUB(&p, "t", "x", 2 | LINK_DUP, 1);
	SAID(&p, "pubrec#1 00");
	IS(home->counters.repeated_qos2, 1);
	end();
}

/* ---- Wills (attack R19) ---- */

static void flap(unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		OPEN(&a, .id = "flapper", .will = "will");
		session_close(&a.port, LINK_CLOSE_WILL, 0);
	}
}

static void wills_over_their_rate_are_dropped_and_counted(void)
{
	begin();
	config.will_rate = 2;
	quota_customer(customer_find(home, 7), NULL);
	flap(50);
	IS(home->counters.wills_fired, 20);
	IS(home->counters.wills_over_rate, 30);
	later(1000);
	flap(5);
	IS(home->counters.wills_fired, 22);
	end();
}

static void a_customer_that_has_nothing_else_left_is_not_forgotten_with_its_bucket(void)
{
	begin();
	config.will_rate = 2;
	quota_customer(customer_find(home, 7), NULL);
	session_close(&p.port, 0, 0);
	flap(50);
	IS(home->counters.wills_fired, 20);
	YES(customer_find(home, 7));
	later(11000);
	NO(customer_find(home, 7));
	end();
}

/* A Will has up to 64 KiB, and waits without its client: one socket is enough for thousands. */
static void wills_of_a_customer_have_room_for_so_many_bytes(void)
{
	struct customer *c;

	begin();
	session_close(&p.port, LINK_CLOSE_EXPIRY, 0);
	OPEN(&a, .id = "1", .will = "long", .token = 8);
	c = customer_find(home, 7);
	YES(c->will_bytes > 0);
	config.customer_will_bytes = (int64_t)c->will_bytes * 2;
	OPEN(&b, .id = "2", .will = "long", .token = 9);
	p.n = 0;
	YES(open_with(&p, (struct terms){ .id = "3", .will = "long" }));
	SAID(&p, "opened p0 97");
	IS(home->counters.refused_will_bytes, 1);
	/* in the place of its own, and without one */
	OPEN(&p, .id = "2", .will = "last", .token = 8);
	OPEN(&b, .id = "3");
	session_close(&b.port, LINK_CLOSE_EXPIRY, 0);
	session_close(&a.port, 0, 0); /* it takes its Will back */
	OPEN(&a, .id = "3", .will = "long");
	session_close(&a.port, LINK_CLOSE_WILL | LINK_CLOSE_EXPIRY, 0);
	IS(home->counters.refused_will_bytes, 1);
	IS(c->will_bytes, config.customer_will_bytes / 2);
	end();
}

static void a_customer_has_a_rate_of_wills_of_its_own(void)
{
	struct link_limit one = { LIMIT_BY_CUSTOMER, LIMIT_WILLS, 1 };

	begin();
	for (unsigned i = 0; i < 30; i++) {
		OPEN(&a, .id = "flap", .will = "w", LIMITED(one));
		session_close(&a.port, LINK_CLOSE_WILL, 0);
	}
	IS(home->counters.wills_fired, 10);
	one.value = 0;
	later(60000);
	OPEN(&a, .id = "flap", .will = "w", LIMITED(one));
	session_close(&a.port, LINK_CLOSE_WILL, 0);
	IS(home->counters.wills_fired, 10);
	IS(home->counters.wills_over_rate, 21);
	end();
}

/* ---- Sessions (attack R12) ---- */

static void leave(struct client *c, struct terms t)
{
	t.expiry = 600;
	YES(open_with(c, t));
	YES(c->port.session);
	session_resume(&c->port);
	SUB(c, t.id, 1);
	session_close(&c->port, 0, 0);
	later(10);
}

static bool there(const char *id)
{
	return session_find(customer_find(home, 7), str_c(id));
}

static void the_session_that_was_left_first_and_is_owed_nothing_makes_room(void)
{
	begin();
	config.customer_sessions = 4;
	leave(&a, (struct terms){ .id = "1" });
	leave(&a, (struct terms){ .id = "2" });
	leave(&a, (struct terms){ .id = "3" });
	leave(&a, (struct terms){ .id = "1" }); /* it came back: now it is the last */
	PUB(&p, "2", "x", 1, 1);                /* owed something from now on */
	OPEN(&b, .id = "4");
	YES(b.port.session && there("1") && there("2"));
	NO(there("3"));
	IS(home->counters.evicted, 1);
	YES(open_with(&a, (struct terms){ .id = "5" }));
	YES(a.port.session && there("2"));
	NO(there("1"));
	end();
}

static void who_is_here_or_owed_something_never_makes_room(void)
{
	begin();
	config.customer_sessions = 2;
	leave(&a, (struct terms){ .id = "1" });
	PUB(&p, "1", "x", 1, 1);
	b.n = 0;
	YES(open_with(&b, (struct terms){ .id = "2" }));
	SAID(&b, "opened p0 97");
	YES(there("1"));
	IS(home->counters.evicted, 0);
	end();
}

static void the_last_session_of_a_customer_makes_room_for_the_next(void)
{
	begin();
	session_close(&p.port, 0, 0);
	config.customer_sessions = 1;
	leave(&a, (struct terms){ .id = "1" });
	OPEN(&b, .id = "2");
	YES(b.port.session);
	NO(there("1"));
	end();
}

static void a_token_has_a_count_of_its_own_and_takes_no_room_of_others(void)
{
	struct link_limit two = { LIMIT_BY_TOKEN, LIMIT_STORED_SESSIONS, 2 };

	begin();
	leave(&a, (struct terms){ .id = "other", .token = 8 });
	leave(&a, (struct terms){ .id = "1", .token = 9, LIMITED(two) });
	OPEN(&a, .id = "2", .token = 9, LIMITED(two));
	OPEN(&b, .id = "3", .token = 9, LIMITED(two));
	YES(b.port.session && there("other"));
	NO(there("1"));
	session_close(&p.port, 0, 0);
	p.n = 0;
	YES(open_with(&p, (struct terms){ .id = "4", .token = 9, LIMITED(two) }));
	SAID(&p, "opened p0 97");
	session_close(&b.port, 0, 0);
	YES(open_with(&b, (struct terms){ .id = "other", .token = 9, LIMITED(two) }));
	YES(b.port.session); /* it changes hands: there is room again */
	IS(customer_find(home, 7)->accounts.count, 1);
	end();
}

static void who_is_refused_has_driven_nobody_out(void)
{
	struct link_limit one = { LIMIT_BY_TOKEN, LIMIT_STORED_SESSIONS, 1 };

	begin();
	session_close(&p.port, LINK_CLOSE_EXPIRY, 0);
	leave(&p, (struct terms){ .id = "idle", .token = 9, LIMITED(one) });
	IS(wars(11), 11); /* no more take-overs of x for now */
	p.n = 0;
	YES(open_with(&p, (struct terms){ .id = "x", .token = 9, LIMITED(one) }));
	SAID(&p, "opened p0 9f");
	/* over the count of the customer, and of the token that nobody makes room for */
	config.customer_sessions = 2;
	YES(open_with(&p, (struct terms){ .id = "y",
	                                  .token = 8,
	                                  LIMITED({ LIMIT_BY_TOKEN, LIMIT_STORED_SESSIONS, 0 }) }));
	SAID(&p, "opened p0 97");
	YES(there("idle"));
	IS(home->counters.evicted, 0);
	end();
}

static void a_customers_limit_is_told_and_counts_over_its_tokens(void)
{
	struct link_limit three = { LIMIT_BY_CUSTOMER, LIMIT_STORED_SESSIONS, 3 };
	struct link_limit none = { LIMIT_BY_TOKEN, LIMIT_STORED_SESSIONS, 0 };

	begin();
	OPEN(&a, .id = "1", .token = 8, LIMITED(three));
	OPEN(&b, .id = "2", .token = 9, LIMITED(three));
	session_close(&b.port, LINK_CLOSE_EXPIRY, 0);
	YES(open_with(&b, (struct terms){ .id = "2", .token = 9, LIMITED(three, none) }));
	NO(b.port.session); /* the token may none */
	YES(open_with(&b, (struct terms){ .id = "2", .token = 9, LIMITED(three) }));
	YES(b.port.session);
	session_close(&p.port, LINK_CLOSE_EXPIRY, 0);
	YES(open_with(&p, (struct terms){ .id = "3", .token = 9, LIMITED(three) }));
	YES(p.port.session);
	three.value = 2; /* lowered: who is here stays, nobody new comes */
	session_close(&b.port, LINK_CLOSE_EXPIRY, 0);
	YES(open_with(&b, (struct terms){ .id = "4", .token = 9, LIMITED(three) }));
	NO(b.port.session);
	end();
}

/* ---- Retained messages of a token (attack R13) ---- */

static void a_token_has_room_for_retained_messages_of_its_own(void)
{
	struct link_limit two = { LIMIT_BY_TOKEN, LIMIT_RETAINED_MESSAGES, 2 };

	begin();
	OPEN(&a, .id = "a", .token = 8, LIMITED(two));
	OPEN(&b, .id = "b", .token = 9);
	PUB(&a, "1", "x", 1 | LINK_RETAIN, 1);
	PUB(&a, "2", "x", 1 | LINK_RETAIN, 2);
	PUB(&a, "3", "x", 1 | LINK_RETAIN, 3);
	SAID(&a, "puback#1 10 puback#2 10 puback#3 97");
	PUB(&b, "3", "x", 1 | LINK_RETAIN, 1);
	PUB(&b, "1", "y", 1 | LINK_RETAIN, 2); /* it is b's now */
	PUB(&a, "4", "x", 1 | LINK_RETAIN, 4);
	PUB(&a, "5", "x", 1 | LINK_RETAIN, 5);
	SAID(&a, "puback#4 10 puback#5 97");
	PUB(&a, "2", "", 1 | LINK_RETAIN, 6);
	PUB(&a, "5", "x", 1 | LINK_RETAIN, 7);
	SAID(&a, "puback#6 10 puback#7 10");
	end();
}

static void a_token_has_room_for_bytes_of_its_own(void)
{
	struct link_limit few = { LIMIT_BY_TOKEN, LIMIT_RETAINED_STORAGE, 1000 };

	begin();
	OPEN(&a, .id = "a", .token = 8, LIMITED(few));
	for (uint16_t i = 1; i < 10; i++) {
		char name[2] = { (char)('0' + i), 0 };

		PUB(&a, name, "0123456789", 1 | LINK_RETAIN, i);
	}
	YES(retained_bytes(customer_find(home, 7)->retained) <= 1000);
	YES(home->counters.retained_refused > 0);
	YES(home->counters.retained_set > 1);
	end();
}

static void an_account_is_there_while_it_has_something(void)
{
	struct map *accounts;

	begin();
	accounts = &customer_find(home, 7)->accounts;
	IS(accounts->count, 1);
	OPEN(&a, .id = "a", .token = 8);
	PUB(&a, "1", "x", 1 | LINK_RETAIN, 1);
	session_close(&a.port, 0, 0);
	IS(accounts->count, 2); /* its message */
	PUB(&p, "1", "", 1 | LINK_RETAIN, 1);
	IS(accounts->count, 1);
	end();
}

/* ---- Egress (attack R16) ---- */

static struct link_limit a_kilobyte = { LIMIT_BY_CUSTOMER, LIMIT_EGRESS, 1000 };

/* Bytes of one message of that topic and payload, as the core counts them. */
static size_t counted(struct client *c)
{
	return c->port.session->customer->queue_bytes;
}

static void over_its_budget_a_customer_gets_qos_0_no_more_and_qos_1_later(void)
{
	size_t size, now;

	begin();
	OPEN(&a, .id = "a", LIMITED(a_kilobyte));
	OPEN(&b, .id = "b", .customer = 8);
	SUBBED(&a, "t", 1);
	session_pause(&a.port);
	PUB(&p, "t", "x", 1, 1);
	size = counted(&a); /* of one */
	session_resume(&a.port);
	ACK(&a, PUBACK, 1);
	now = 1 + 1000 / size; /* with the first */
	for (uint16_t i = 2; i < 100; i++)
		PUB(&p, "t", "x", i % 2, i % 2 ? i : 0);
	YES(home->counters.egress_pauses == 1);
	YES(home->counters.delivered <= now + 1);
	YES(home->counters.dropped_egress > 10);
	IS(home->counters.dropped_paused, 0);
	for (uint16_t id = 2; id < 60; id++) {
		(void)session_ack(&a.port, MQTT_PUBACK, id, 0);
		later(200);
	}
	/* all of QoS 1 came, none sooner than its budget */
	IS(a.port.session->queue_count, 0);
	IS(home->counters.dropped_full, 0);
	end();
}

static void a_budget_is_a_customers_own(void)
{
	begin();
	OPEN(&a, .id = "a", LIMITED(a_kilobyte));
	SUBBED(&a, "t");
	for (unsigned i = 0; i < 50; i++)
		PUB(&p, "t", "x", 0, 0);
	YES(home->counters.dropped_egress > 0);
	OPEN(&b, .id = "b", .customer = 8);
	SUBBED(&b, "t", .inner = { "/customer/8/t" });
	for (unsigned i = 0; i < 50; i++)
		PUB(&b, "/customer/8/t", "x", 0, 0);
	IS(home->counters.delivered, 50 + (50 - home->counters.dropped_egress));
	end();
}

static void retained_messages_wait_for_the_budget_and_none_is_lost(void)
{
	begin();
	for (unsigned i = 0; i < 30; i++) {
		char name[4];

		(void)snprintf(name, sizeof(name), "r%u", i);
		PUB(&p, name, "0123456789", LINK_RETAIN, 0);
	}
	OPEN(&a, .id = "a", LIMITED(a_kilobyte));
	SUB(&a, "+");
	turn();
	YES(home->counters.retained_sent < 30);
	a.n = 0;
	for (unsigned i = 0; i < 100; i++) {
		later(100);
		a.n = 0;
	}
	IS(home->counters.retained_sent, 30);
	IS(home->counters.delivered, 30);
	IS(home->counters.dropped_egress, 0);
	end();
}

static void who_leaves_while_it_waits_for_the_budget_is_forgotten(void)
{
	begin();
	OPEN(&a, .id = "a", .expiry = 60, LIMITED(a_kilobyte));
	SUBBED(&a, "t", 1);
	for (uint16_t i = 1; i < 30; i++)
		PUB(&p, "t", "x", 1, i);
	session_close(&a.port, 0, 0);
	later(5000);
	OPEN(&a, .id = "a", .expiry = 60, LIMITED(a_kilobyte));
	YES(a.n > 0 || home->counters.redelivered > 0);
	end();
}

static void sessions_that_end_with_much_that_waits_are_ended_a_few_at_a_time(void)
{
	enum { SESSIONS = 300, MESSAGES = 500 };
	char id[16];

	world_begins();
	a.n = 0;
	for (int i = 0; i < SESSIONS; i++) {
		(void)snprintf(id, sizeof(id), "s%d", i);
		OPEN(&a, .id = id, .expiry = 5);
		SUBBED(&a, "t", .opts = 1);
		session_close(&a.port, 0, 0);
	}
	OPEN(&a, .id = "p");
	for (int i = 0; i < MESSAGES; i++) {
		PUB(&a, "t", "x", 1, 1);
		a.n = 0;
	}
	session_close(&a.port, 0, 0);
	a.port.session = NULL;
	shifted += 5100;
	clock_shift(shifted, shifted);
	loop_turn(home->loop, 0);
	YES(home->counters.expired >= 10 && home->counters.expired < 60);
	for (int i = 0; i < 60; i++)
		later(20);
	IS(home->counters.expired, SESSIONS);
	world_ends();
}

RUN(a_take_over_war_ends_after_ten_and_the_one_inside_stays, later_one_take_over_per_second_fits,
    coming_back_after_leaving_is_no_take_over, without_an_interval_take_overs_are_free,
    overlapping_filters_give_so_many_copies_and_no_more,
    ids_without_a_release_make_room_after_their_time, an_old_id_is_known_as_long_as_there_is_room,
    wills_over_their_rate_are_dropped_and_counted,
    a_customer_that_has_nothing_else_left_is_not_forgotten_with_its_bucket,
    wills_of_a_customer_have_room_for_so_many_bytes, a_customer_has_a_rate_of_wills_of_its_own,
    the_session_that_was_left_first_and_is_owed_nothing_makes_room,
    who_is_here_or_owed_something_never_makes_room,
    the_last_session_of_a_customer_makes_room_for_the_next,
    a_token_has_a_count_of_its_own_and_takes_no_room_of_others,
    who_is_refused_has_driven_nobody_out, a_customers_limit_is_told_and_counts_over_its_tokens,
    a_token_has_room_for_retained_messages_of_its_own, a_token_has_room_for_bytes_of_its_own,
    an_account_is_there_while_it_has_something,
    over_its_budget_a_customer_gets_qos_0_no_more_and_qos_1_later, a_budget_is_a_customers_own,
    retained_messages_wait_for_the_budget_and_none_is_lost,
    who_leaves_while_it_waits_for_the_budget_is_forgotten,
    sessions_that_end_with_much_that_waits_are_ended_a_few_at_a_time)
