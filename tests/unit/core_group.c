/* core_group.c - shared subscriptions: who gets a message, and what happens to it when a member
 * goes. */
#include "tests/unit/core_help.h"

static struct client a, b, c, p;

static void member(struct client *m, const char *id, struct terms t)
{
	m->n = 0;
	m->full = false;
	t.id = id;
	YES(open_with(m, t));
	session_resume(&m->port);
	SUBBED(m, "$share/g/t/#", .opts = 1, .inner = { "t/#" });
}

static void begin(void)
{
	world_begins();
	p.n = 0;
	p.full = false;
	OPEN(&p, .id = "p");
	member(&a, "a", (struct terms){ .expiry = 60, .window = 2 });
	member(&b, "b", (struct terms){ .expiry = 60, .window = 2 });
	c.port.session = NULL;
}

static void end(void)
{
	struct client *all[] = { &a, &b, &c, &p };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i]->port.session)
			session_close(&all[i]->port, LINK_CLOSE_EXPIRY, 0);
	}
	world_ends();
}

static void what_a_member_may_not_have_any_more_goes_to_one_who_may(void)
{
	begin();
	for (uint16_t i = 1; i <= 6; i++)
		PUB(&p, i % 2 ? "t/1" : "t/2", "x", 1, i);
	IS(a.port.session->queue_count + b.port.session->queue_count, 2);
	session_close(&b.port, 0, 0);
	b.n = a.n = 0;
	/* a has t/1, t/1 sent and one more waiting; b, away, the others */
	REGRANT(&a, "$share/g/t/#", .inner = { "t/2" });
	IS(home->counters.dropped_rights, 0);
	IS(home->counters.dropped_ended, 0);
	IS(home->counters.moved_in_group, 3);
	IS(b.port.session == NULL, true);
	member(&b, "b", (struct terms){ .expiry = 60, .window = 10 });
	IS(session_find(customer_find(home, 7), STR("b"))->queue_count, 0);
	IS(home->counters.delivered, 4 + 4);
	end();
}

static void members_take_turns(void)
{
	begin();
	PUB(&p, "t/1", "1", 0, 0);
	PUB(&p, "t/2", "2", 0, 0);
	PUB(&p, "t/3", "3", 0, 0);
	PUB(&p, "t/4", "4", 0, 0);
	IS(home->counters.delivered, 4);
	IS(a.n, strlen("t/1=1 q0 t/3=3 q0"));
	IS(b.n, strlen("t/2=2 q0 t/4=4 q0"));
	end();
}

static void a_member_that_takes_it_now_comes_first(void)
{
	begin();
	session_pause(&a.port);
	PUB(&p, "t", "1", 0, 0);
	PUB(&p, "t", "2", 1, 1);
	SAID(&b, "t=1 q0 t=2 q1 #1");
	PUB(&p, "t", "3", 1, 2);
	/* b's window is full now: whoever had its turn longest ago queues it */
	PUB(&p, "t", "4", 1, 3);
	SAID(&b, "t=3 q1 #2");
	session_resume(&a.port);
	SAID(&a, "t=4 q1 #1");
	end();
}

static void a_connected_member_comes_before_one_that_is_away(void)
{
	begin();
	session_close(&a.port, 0, 0);
	for (uint16_t i = 1; i <= 4; i++)
		PUB(&p, "t", "x", 1, i);
	SAID(&b, "t=x q1 #1 t=x q1 #2");
	IS(b.port.session->queue_count, 2);
	end();
}

static void qos_1_waits_for_a_member_that_is_away(void)
{
	begin();
	session_close(&a.port, 0, 0);
	session_close(&b.port, LINK_CLOSE_EXPIRY, 0);
	PUB(&p, "t", "0", 0, 0);
	PUB(&p, "t", "1", 1, 1);
	YES(open_with(&a, (struct terms){ .id = "a", .expiry = 60 }));
	a.n = 0;
	session_resume(&a.port);
	SAID(&a, "t=1 q1 #1");
	IS(home->counters.dropped_paused, 1);
	end();
}

static void only_members_whose_rights_match_are_chosen(void)
{
	begin();
	member(&c, "c", (struct terms){ .expiry = 0 });
	REGRANT(&a, "$share/g/t/#", .inner = { "t/a/#" });
	REGRANT(&b, "$share/g/t/#", .inner = { "t/b/#" });
	REGRANT(&c, "$share/g/t/#", .inner = { "t/b/#" });
	for (int i = 0; i < 3; i++)
		PUB(&p, "t/a/1", "x", 0, 0);
	SAID(&a, "t/a/1=x q0 t/a/1=x q0 t/a/1=x q0");
	SAID(&b, "");
	SAID(&c, "");
	end();
}

static void groups_with_other_names_or_filters_are_apart(void)
{
	begin();
	session_close(&b.port, LINK_CLOSE_EXPIRY, 0);
	OPEN(&b, .id = "b");
	SUBBED(&b, "$share/h/t/#", .inner = { "t/#" });
	OPEN(&c, .id = "c");
	SUBBED(&c, "$share/g/t/1", .inner = { "t/1" });
	PUB(&p, "t/1", "x", 0, 0);
	SAID(&a, "t/1=x q0");
	SAID(&b, "t/1=x q0");
	SAID(&c, "t/1=x q0");
	end();
}

static void a_group_of_another_customer_is_another_group(void)
{
	begin();
	YES(open_with(&c, (struct terms){ .id = "a", .customer = 8 }));
	session_resume(&c.port);
	SUBBED(&c, "$share/g/t/#", .inner = { "/customer/8/t/#" });
	PUB(&c, "/customer/8/t/1", "x", 0, 0);
	SAID(&c, "customer/8/t/1=x q0");
	PUB(&p, "t/1", "1", 0, 0);
	PUB(&p, "t/1", "2", 0, 0);
	SAID(&c, "");
	end();
}

static void retained_messages_are_not_sent_to_a_group(void)
{
	begin();
	PUB(&p, "t/1", "x", LINK_RETAIN, 0);
	a.n = b.n = 0;
	member(&c, "c", (struct terms){ .expiry = 0 });
	turn();
	SAID(&c, "");
	end();
}

static void what_a_leaving_member_did_not_get_goes_to_the_others(void)
{
	begin();
	session_close(&b.port, 0, 0);
	session_pause(&a.port);
	PUB(&p, "t", "1", 1, 1);
	PUB(&p, "t", "2", 1, 2);
	IS(a.port.session->queue_count, 2);
	YES(open_with(&b, (struct terms){ .id = "b", .expiry = 60 }));
	b.n = 0;
	session_resume(&b.port);
	YES(unsub(&a, "$share/g/t/#"));
	SAID(&b, "t=1 q1 #1 t=2 q1 #2");
	IS(a.port.session->queue_count, 0);
	IS(home->counters.moved_in_group, 2);
	end();
}

static void what_was_sent_stays_with_a_member_that_unsubscribes(void)
{
	begin();
	PUB(&p, "t", "1", 1, 1);
	SAID(&a, "t=1 q1 #1");
	YES(unsub(&a, "$share/g/t/#"));
	SAID(&b, "");
	ACK(&a, PUBACK, 1);
	IS(home->counters.acked, 1);
	end();
}

static void what_was_sent_and_not_acknowledged_goes_on_when_the_session_ends(void)
{
	begin();
	PUB(&p, "t", "1", 1, 1);
	SAID(&a, "t=1 q1 #1");
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	SAID(&b, "t=1 q1 #1");
	end();
}

static void qos_2_that_was_sent_goes_to_nobody_else(void)
{
	begin();
	SUBBED(&a, "$share/g/t/#", .opts = 2, .inner = { "t/#" });
	SUBBED(&b, "$share/g/t/#", .opts = 2, .inner = { "t/#" });
	PUB(&p, "t", "1", 2, 1);
	SAID(&a, "t=1 q2 #1");
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	SAID(&b, "");
	end();
}

static void a_session_that_waits_keeps_what_it_was_sent(void)
{
	begin();
	PUB(&p, "t", "1", 1, 1);
	session_close(&a.port, LINK_CLOSE_WILL, 0);
	SAID(&b, "");
	YES(open_with(&a, (struct terms){ .id = "a", .expiry = 60 }));
	a.n = 0;
	session_resume(&a.port);
	SAID(&a, "t=1 q1 #1 dup");
	end();
}

static void the_last_member_takes_the_group_with_it(void)
{
	begin();
	YES(unsub(&a, "$share/g/t/#"));
	IS(customer_find(home, 7)->groups.count, 1);
	session_close(&b.port, LINK_CLOSE_EXPIRY, 0);
	IS(customer_find(home, 7)->groups.count, 0);
	end();
}

static void names_that_are_no_group_are_refused(void)
{
	begin();
	a.n = 0;
	SUB(&a, "$share/g", .inner = { "t" });
	SUB(&a, "$share/g+/t", .inner = { "t" });
	SAID(&a, "suback#7 8f suback#7 8f");
	end();
}

RUN(what_a_member_may_not_have_any_more_goes_to_one_who_may, members_take_turns,
    a_member_that_takes_it_now_comes_first, a_connected_member_comes_before_one_that_is_away,
    qos_1_waits_for_a_member_that_is_away, only_members_whose_rights_match_are_chosen,
    groups_with_other_names_or_filters_are_apart, a_group_of_another_customer_is_another_group,
    retained_messages_are_not_sent_to_a_group, what_a_leaving_member_did_not_get_goes_to_the_others,
    what_was_sent_stays_with_a_member_that_unsubscribes,
    what_was_sent_and_not_acknowledged_goes_on_when_the_session_ends,
    qos_2_that_was_sent_goes_to_nobody_else, a_session_that_waits_keeps_what_it_was_sent,
    the_last_member_takes_the_group_with_it, names_that_are_no_group_are_refused)
