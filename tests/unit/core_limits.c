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
	session_close(&p.port, 0, 0);
	flap(50);
	IS(home->counters.wills_fired, 20);
	YES(customer_find(home, 7));
	later(11000);
	NO(customer_find(home, 7));
	end();
}

RUN(a_take_over_war_ends_after_ten_and_the_one_inside_stays, later_one_take_over_per_second_fits,
    coming_back_after_leaving_is_no_take_over, without_an_interval_take_overs_are_free,
    overlapping_filters_give_so_many_copies_and_no_more,
    ids_without_a_release_make_room_after_their_time, an_old_id_is_known_as_long_as_there_is_room,
    wills_over_their_rate_are_dropped_and_counted,
    a_customer_that_has_nothing_else_left_is_not_forgotten_with_its_bucket)
