/* core_session.c - the life of a session: opening, take-over, resuming, expiry, Wills. */
#include "tests/unit/core_help.h"

static struct client a, b, w;

/* w watches everything of the customer. */
static void begin(void)
{
	world_begins();
	a.n = b.n = w.n = 0;
	a.full = b.full = w.full = false;
	OPEN(&w, .id = "watch");
	SUBBED(&w, "#");
}

static void end(void)
{
	struct client *all[] = { &a, &b, &w };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i]->port.session)
			session_close(&all[i]->port, 0, 0);
	}
	world_ends();
}

static void a_new_session_is_not_present(void)
{
	begin();
	YES(open_with(&a, (struct terms){ .id = "x" }));
	SAID(&a, "opened p0 00");
	end();
}

static void a_session_without_expiry_ends_with_its_connection(void)
{
	begin();
	OPEN(&a, .id = "x");
	SUBBED(&a, "t");
	session_close(&a.port, 0, 0);
	YES(open_with(&a, (struct terms){ .id = "x" }));
	SAID(&a, "opened p0 00");
	IS(session_sub_count(a.port.session), 0);
	end();
}

static void a_session_with_expiry_is_there_when_its_client_comes_back(void)
{
	begin();
	OPEN(&a, .id = "x", .expiry = 60);
	SUBBED(&a, "t");
	session_close(&a.port, 0, 0);
	later(59000);
	YES(open_with(&a, (struct terms){ .id = "x", .expiry = 60 }));
	SAID(&a, "opened p1 00");
	IS(session_sub_count(a.port.session), 1);
	end();
}

static void a_session_is_gone_when_its_expiry_is_over(void)
{
	begin();
	OPEN(&a, .id = "x", .expiry = 60);
	session_close(&a.port, 0, 0);
	later(60100);
	IS(home->counters.expired, 1);
	YES(open_with(&a, (struct terms){ .id = "x", .expiry = 60 }));
	SAID(&a, "opened p0 00");
	end();
}

static void the_cores_own_maximum_of_expiry_holds(void)
{
	begin();
	config.session_expiry_max = 10000;
	OPEN(&a, .id = "x", .expiry = UINT32_MAX);
	session_close(&a.port, 0, 0);
	later(10100);
	IS(home->counters.expired, 1);
	end();
}

static void closing_may_change_the_expiry(void)
{
	begin();
	OPEN(&a, .id = "x", .expiry = 60);
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	YES(open_with(&a, (struct terms){ .id = "x" }));
	SAID(&a, "opened p0 00");
	end();
}

static void closing_cannot_raise_an_expiry_of_zero(void)
{
	begin();
	OPEN(&a, .id = "x");
	session_close(&a.port, LINK_CLOSE_EXPIRY, 60);
	YES(open_with(&a, (struct terms){ .id = "x" }));
	SAID(&a, "opened p0 00");
	end();
}

static void a_clean_start_deletes_what_was_there(void)
{
	begin();
	OPEN(&a, .id = "x", .expiry = 60);
	SUBBED(&a, "t", .opts = 1);
	session_close(&a.port, 0, 0);
	PUB(&w, "t", "1", 1, 1);
	YES(open_with(&a, (struct terms){ .id = "x", .expiry = 60, .clean = true }));
	session_resume(&a.port);
	SAID(&a, "opened p0 00");
	IS(session_sub_count(a.port.session), 0);
	end();
}

static void a_second_connection_takes_the_session_over(void)
{
	begin();
	OPEN(&a, .id = "x", .expiry = 60);
	SUBBED(&a, "t");
	YES(open_with(&b, (struct terms){ .id = "x", .expiry = 60 }));
	SAID(&a, "closed 8e");
	SAID(&b, "opened p1 00");
	NO(a.port.session);
	IS(session_sub_count(b.port.session), 1);
	end();
}

static void a_session_without_expiry_is_not_taken_over_but_replaced(void)
{
	begin();
	OPEN(&a, .id = "x");
	SUBBED(&a, "t");
	YES(open_with(&b, (struct terms){ .id = "x" }));
	SAID(&b, "opened p0 00");
	IS(session_sub_count(b.port.session), 0);
	end();
}

static void the_same_client_id_of_another_customer_is_another_session(void)
{
	begin();
	OPEN(&a, .id = "x", .expiry = 60);
	YES(open_with(&b, (struct terms){ .id = "x", .customer = 8, .clean = true }));
	SAID(&a, "");
	SAID(&b, "opened p0 00");
	YES(a.port.session);
	end();
}

static void a_customer_has_a_limited_number_of_sessions(void)
{
	begin();
	config.customer_sessions = 2;
	OPEN(&a, .id = "x");
	YES(open_with(&b, (struct terms){ .id = "y" }));
	SAID(&b, "opened p0 97");
	NO(b.port.session);
	YES(open_with(&b, (struct terms){ .id = "x" }));
	SAID(&b, "opened p0 00");
	end();
}

static void nobody_comes_in_while_the_core_ends(void)
{
	begin();
	home->ending = true;
	YES(open_with(&a, (struct terms){ .id = "x" }));
	SAID(&a, "opened p0 8b");
	sessions_close(home, RC_SERVER_SHUTTING_DOWN);
	SAID(&w, "closed 8b");
	end();
}

static void a_will_outside_the_customer_is_nonsense(void)
{
	begin();
	NO(open_with(&a, (struct terms){ .id = "x", .will = "/customer/8/w" }));
	NO(open_with(&a, (struct terms){ .id = "x", .will = "/customer/7/" }));
	SAID(&a, "");
	end();
}

/* ---- Wills ---- */
static void a_will_is_sent_when_the_connection_breaks(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w");
	session_close(&a.port, LINK_CLOSE_WILL, 0);
	SAID(&w, "w=bye q0");
	end();
}

static void a_will_is_not_sent_after_a_proper_end(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w", .expiry = 5, .delay = 1);
	session_close(&a.port, 0, 0);
	later(6000);
	SAID(&w, "");
	end();
}

static void a_door_is_told_that_a_session_was_another_tokens(void)
{
	static const struct {
		uint64_t before, now;
		bool clean, other;
	} rows[] = { { 5, 5, false, false }, { 5, 6, false, true }, { 5, 6, true, false } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int live = 0; live < 2; live++) {
			begin();
			OPEN(&a, .id = "x", .expiry = 60, .token = rows[i].before);
			NO(a.port.other_token);
			if (!live)
				session_close(&a.port, 0, 0);
			OPEN(&b, .id = "x", .expiry = 60, .token = rows[i].now,
			     .clean = rows[i].clean);
			IS(b.port.other_token, rows[i].other);
			end();
		}
	}
	begin();
	OPEN(&a, .id = "x", .expiry = 60, .token = 5);
	session_token(&a.port, &(struct link_token){ .token = 6 });
	OPEN(&b, .id = "x", .expiry = 60, .token = 6);
	NO(b.port.other_token);
	end();
}

static void a_will_waits_for_its_delay(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w", .expiry = 60, .delay = 10);
	session_close(&a.port, LINK_CLOSE_WILL, 0);
	later(9900);
	SAID(&w, "");
	later(200);
	SAID(&w, "w=bye q0");
	later(60000);
	SAID(&w, "");
	end();
}

static void coming_back_cancels_a_waiting_will(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w", .expiry = 60, .delay = 10);
	session_close(&a.port, LINK_CLOSE_WILL, 0);
	later(5000);
	OPEN(&b, .id = "x", .expiry = 60);
	later(20000);
	SAID(&w, "");
	IS(home->counters.wills_cancelled, 1);
	end();
}

static void a_clean_start_ends_the_session_and_sends_its_waiting_will(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w", .expiry = 60, .delay = 10);
	session_close(&a.port, LINK_CLOSE_WILL, 0);
	OPEN(&b, .id = "x", .expiry = 60, .clean = true);
	SAID(&w, "w=bye q0");
	end();
}

static void a_will_does_not_outlive_its_session(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w", .expiry = 5, .delay = 60);
	session_close(&a.port, LINK_CLOSE_WILL, 0);
	later(5100);
	SAID(&w, "w=bye q0");
	end();
}

static void a_take_over_sends_the_will(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w", .expiry = 60);
	OPEN(&b, .id = "x", .expiry = 60);
	SAID(&w, "w=bye q0");
	end();
}

static void a_take_over_that_goes_on_cancels_a_will_that_was_to_wait(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w", .expiry = 60, .delay = 10);
	OPEN(&b, .id = "x", .expiry = 60);
	later(20000);
	SAID(&w, "");
	end();
}

static void a_take_over_with_a_clean_start_sends_a_will_that_was_to_wait(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w", .expiry = 60, .delay = 10);
	OPEN(&b, .id = "x", .expiry = 60, .clean = true);
	SAID(&w, "w=bye q0");
	end();
}

static void the_new_connections_will_counts(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "old", .expiry = 60, .delay = 10);
	OPEN(&b, .id = "x", .will = "new", .expiry = 60);
	session_close(&b.port, LINK_CLOSE_WILL, 0);
	SAID(&w, "new=bye q0");
	end();
}

static void a_dropped_will_is_not_sent(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w");
	session_will_drop(&a.port);
	session_close(&a.port, LINK_CLOSE_WILL, 0);
	SAID(&w, "");
	end();
}

static void a_will_dies_with_its_token(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w", .expiry = 60, .delay = 10,
	     .rights_until = home_wall(home) / 1000 + 5);
	session_close(&a.port, LINK_CLOSE_WILL, 0);
	later(11000);
	SAID(&w, "");
	IS(home->counters.wills_dropped, 1);
	end();
}

static void a_will_can_be_retained(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w", .will_qos = 1, .will_retain = true);
	session_close(&a.port, LINK_CLOSE_WILL, 0);
	OPEN(&b, .id = "y");
	SUB(&b, "w", .opts = 1);
	turn();
	SAID(&b, "suback#7 01 w=bye q1 #1 ret");
	end();
}

/* ---- A lost link ---- */
static void after_a_lost_link_a_will_waits_for_the_grace(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w");
	session_lost(&a.port, 15000);
	later(14900);
	SAID(&w, "");
	later(200);
	SAID(&w, "w=bye q0");
	end();
}

static void whoever_comes_back_within_the_grace_sends_no_will(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w");
	OPEN(&b, .id = "y", .will = "w", .expiry = 60);
	session_lost(&a.port, 15000);
	session_lost(&b.port, 15000);
	later(5000);
	YES(open_with(&a, (struct terms){ .id = "x", .clean = true }));
	SAID(&a, "opened p0 00");
	YES(open_with(&b, (struct terms){ .id = "y", .clean = true }));
	later(60000);
	SAID(&w, "");
	IS(home->counters.wills_cancelled, 2);
	end();
}

static void a_session_without_expiry_and_will_is_gone_with_its_link(void)
{
	begin();
	OPEN(&a, .id = "x");
	session_lost(&a.port, 15000);
	IS(customer_find(home, 7)->sessions.count, 1);
	end();
}

static void a_ghost_keeps_nothing_but_its_will(void)
{
	begin();
	OPEN(&a, .id = "x", .will = "w");
	SUBBED(&a, "t", .opts = 1);
	session_lost(&a.port, 15000);
	IS(customer_find(home, 7)->subscriptions, 1);
	YES(open_with(&a, (struct terms){ .id = "x" }));
	SAID(&a, "opened p0 00");
	end();
}

/* ---- Another token ---- */
static void another_token_brings_its_limits(void)
{
	struct terms one = { .subscriptions = 1 };
	struct link_token small = { .token = 9 }, any = { .token = 10 };

	begin();
	OPEN(&a, .id = "x", .token = 8);
	SUBBED(&a, "a");
	small.limits = limits_of(&one);
	session_token(&a.port, &small);
	SUB(&a, "b");
	SAID(&a, "suback#7 97");
	session_token(&a.port, &any);
	SUB(&a, "b");
	SAID(&a, "suback#7 00");
	end();
}

static void a_will_that_finds_no_memory_for_its_new_token_is_dropped(void)
{
	struct link_token nine = { .token = 9 };

	begin();
	OPEN(&a, .id = "x", .will = "w", .token = 8);
	mem_fail_at(1, true);
	session_token(&a.port, &nine);
	mem_fail_at(0, false);
	YES(!a.port.session->will);
	IS(home->counters.wills_dropped, 1);
	end();
}

/* ---- The end ---- */
static void nothing_is_left_of_a_customer_that_left(void)
{
	begin();
	OPEN(&a, .id = "x", .customer = 8);
	IS(home->customers.count, 3);
	session_close(&a.port, 0, 0);
	IS(home->customers.count, 2);
	end();
}

static void open_many(int n, uint64_t customer)
{
	char id[16];

	for (int i = 0; i < n; i++) {
		(void)snprintf(id, sizeof(id), "s%d", i);
		OPEN(&a, .id = id, .customer = customer, .expiry = 5);
		session_close(&a.port, 0, 0);
	}
}

static void time_comes(void)
{
	shifted += 5100;
	clock_shift(shifted, shifted);
}

/* Fault F29: they wait for their customer's turn, and another customer's session ends at once. */
static void many_sessions_that_end_at_once_are_ended_in_slices(void)
{
	begin();
	open_many(2000, 7);
	open_many(1, 8);
	time_comes();
	loop_turn(home->loop, 0);
	YES(home->counters.expired > 100);
	YES(home->counters.expired < 500);
	YES(customer_find(home, 8) == NULL);
	for (int i = 0; i < 40; i++)
		loop_turn(home->loop, 0);
	IS(home->counters.expired, 2001);
	end();
}

/* Each of the Wills is for more subscribers than a slice is enough for. */
static void wills_that_fire_at_once_are_sent_in_slices(void)
{
	static struct client listener[300];
	char id[16];
	uint64_t spent, most = 0;

	begin();
	home->most.slice = home->most.turn = 1000;
	for (int i = 0; i < 300; i++) {
		(void)snprintf(id, sizeof(id), "l%d", i);
		OPEN(&listener[i], .id = id);
		SUBBED(&listener[i], "w");
		(void)said(&listener[i]);
	}
	for (int i = 0; i < 20; i++) {
		(void)snprintf(id, sizeof(id), "s%d", i);
		OPEN(&a, .id = id, .expiry = 60, .will = "w", .delay = 5);
		session_close(&a.port, LINK_CLOSE_WILL, 0);
	}
	time_comes();
	for (int i = 0; i < 200; i++) {
		spent = home->spent;
		loop_turn(home->loop, 0);
		most = home->spent - spent > most ? home->spent - spent : most;
	}
	YES(most < 2000);
	YES(home->counters.routes_cut >= 20);
	IS(home->counters.wills_fired, 20);
	for (int i = 0; i < 300; i++) {
		IS(said(&listener[i]).n, 20 * strlen("w=bye q0 ") - 1);
		session_close(&listener[i].port, 0, 0);
	}
	end();
}

static void running_out_of_memory_refuses_and_leaves_nothing(void)
{
	unsigned refused = 0;
	bool failed = true;

	for (unsigned long n = 1; failed; n++) {
		begin();
		mem_fail_at(n, false);
		YES(open_with(&a,
		              (struct terms){ .id = "x", .customer = 8, .will = "/customer/8/w" }));
		mem_fail_at(0, false);
		failed = !a.port.session;
		if (failed)
			SAID(&a, "opened p0 89");
		IS(home->customers.count, failed ? 2 : 3);
		refused += failed;
		end();
	}
	YES(refused >= 5); /* customer, tree, store, session, Will */
}

static void running_out_of_memory_leaves_the_old_session_alone(void)
{
	for (unsigned long n = 1; n < 4; n++) {
		begin();
		OPEN(&a, .id = "x", .expiry = 60);
		SUBBED(&a, "t");
		mem_fail_at(n, false);
		YES(open_with(&b, (struct terms){ .id = "x", .expiry = 60, .will = "w" }));
		mem_fail_at(0, false);
		if (b.port.session) {
			SAID(&b, "opened p1 00");
		} else {
			SAID(&b, "opened p0 89");
			SAID(&a, "");
			YES(a.port.session);
		}
		end();
	}
}

RUN(a_new_session_is_not_present, a_session_without_expiry_ends_with_its_connection,
    a_session_with_expiry_is_there_when_its_client_comes_back,
    a_session_is_gone_when_its_expiry_is_over, the_cores_own_maximum_of_expiry_holds,
    closing_may_change_the_expiry, closing_cannot_raise_an_expiry_of_zero,
    a_clean_start_deletes_what_was_there, a_second_connection_takes_the_session_over,
    a_session_without_expiry_is_not_taken_over_but_replaced,
    the_same_client_id_of_another_customer_is_another_session,
    a_customer_has_a_limited_number_of_sessions, nobody_comes_in_while_the_core_ends,
    a_will_outside_the_customer_is_nonsense, a_will_is_sent_when_the_connection_breaks,
    a_will_is_not_sent_after_a_proper_end, a_door_is_told_that_a_session_was_another_tokens,
    a_will_waits_for_its_delay, coming_back_cancels_a_waiting_will,
    a_clean_start_ends_the_session_and_sends_its_waiting_will, a_will_does_not_outlive_its_session,
    a_take_over_sends_the_will, a_take_over_that_goes_on_cancels_a_will_that_was_to_wait,
    a_take_over_with_a_clean_start_sends_a_will_that_was_to_wait, the_new_connections_will_counts,
    a_dropped_will_is_not_sent, a_will_dies_with_its_token, a_will_can_be_retained,
    after_a_lost_link_a_will_waits_for_the_grace, whoever_comes_back_within_the_grace_sends_no_will,
    a_session_without_expiry_and_will_is_gone_with_its_link, a_ghost_keeps_nothing_but_its_will,
    another_token_brings_its_limits, a_will_that_finds_no_memory_for_its_new_token_is_dropped,
    nothing_is_left_of_a_customer_that_left, many_sessions_that_end_at_once_are_ended_in_slices,
    wills_that_fire_at_once_are_sent_in_slices, running_out_of_memory_refuses_and_leaves_nothing,
    running_out_of_memory_leaves_the_old_session_alone)
