/* core_turns.c - whatever a customer makes large, no turn of its home does more than a slice of it:
 * large groups, many groups, sessions that end with much. Counted in units of work.h. */
#include "tests/unit/core_help.h"

#include "base/mem.h"
#include "core/rights.h"
#include "core/work.h"

enum { SLICE = 500, MANY = 2000 };

static struct client a, b, p, member[MANY];

static struct customer *seven(void)
{
	return customer_find(home, 7);
}

static void begin(void)
{
	world_begins();
	a.n = b.n = p.n = 0;
	config.queue_messages = 2 * MANY;
	config.subscriptions = 2 * MANY;
	config.customer_queue_bytes = config.queue_bytes = 1 << 30;
	OPEN(&p, .id = "p");
	home->most.slice = home->most.alone = home->most.turn = SLICE;
}

static void end(void)
{
	struct client *all[] = { &a, &b, &p };

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i]->port.session)
			session_close(&all[i]->port, LINK_CLOSE_EXPIRY, 0);
		all[i]->port.session = NULL;
	}
	for (size_t i = 0; i < MANY; i++) {
		if (member[i].port.session)
			session_close(&member[i].port, LINK_CLOSE_EXPIRY, 0);
		member[i].port.session = NULL;
	}
	world_ends();
}

/* What follows is a frame of customer 7, that has a slice for it; the home's turns until all of it
 * is done. The units of the longest of them. */
static uint64_t before, longest;

static void note(void)
{
	if (home->spent - before > longest)
		longest = home->spent - before;
	before = home->spent;
}

static void frame_begins(void)
{
	struct customer *c = seven();

	before = home->spent;
	longest = 0;
	work_turn_is(home);
	work_renew(home, c);
	work_begin(home, c, 0);
}

static unsigned frame_ends(void)
{
	unsigned turns = 0;

	if (seven())
		work_end(home, seven());
	note();
	for (; !list_empty(&home->busy); turns++) {
		loop_turn(home->loop, 0);
		note();
	}
	return turns;
}

static void join(struct client *c, unsigned i, const char *filter)
{
	char id[16];

	(void)snprintf(id, sizeof(id), "m%u", i);
	c->n = 0;
	OPEN(c, .id = id, .expiry = 60);
	SUBBED(c, filter, .opts = 1, .inner = { "t" });
}

/* ---- Groups ---- */
static unsigned heard(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < MANY; i++)
		n += member[i].n > 0;
	return n;
}

static void a_message_for_a_large_group_is_matched_in_slices(void)
{
	begin();
	for (unsigned i = 0; i < MANY; i++)
		join(&member[i], i, "$share/g/t");
	frame_begins();
	PUB(&p, "t", "x", 1, 1);
	YES(frame_ends() > 2);
	YES(longest < 2 * SLICE);
	IS(heard(), 1);
	SAID(&p, "puback#1 00");
	/* and the next one is another one's */
	PUB(&p, "t", "x", 1, 2);
	turn();
	IS(heard(), 2);
	end();
}

static void a_message_for_many_groups_is_given_in_slices(void)
{
	char filter[32];

	begin();
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(filter, sizeof(filter), "$share/g%u/t", i);
		join(&member[i], i, filter);
	}
	frame_begins();
	PUB(&p, "t", "x", 1, 1);
	YES(frame_ends() > 2);
	YES(longest < 2 * SLICE);
	IS(heard(), MANY);
	SAID(&p, "puback#1 00");
	IS(home->counters.delivered, MANY);
	end();
}

/* The first one is the best of all: it takes the message at once, and its turn is longest ago. */
static void begin_in_the_middle(void)
{
	begin();
	for (unsigned i = 0; i < MANY; i++)
		join(&member[i], i, "$share/g/t");
	frame_begins();
	PUB(&p, "t", "x", 1, 1);
	work_end(home, seven());
	loop_turn(home->loop, 0);
	IS(heard(), 0);
	YES(work_jobs(seven()));
}

static void a_member_that_was_chosen_and_leaves_has_nothing_and_another_one_has_it(void)
{
	begin_in_the_middle();
	session_close(&member[0].port, LINK_CLOSE_EXPIRY, 0);
	member[0].port.session = NULL;
	frame_ends();
	SAID(&member[0], "");
	IS(heard(), 1);
	IS(home->counters.delivered, 1);
	IS(home->counters.dropped_ended, 0);
	end();
}

static void a_member_that_was_chosen_and_is_slow_by_now_is_passed_over(void)
{
	begin_in_the_middle();
	session_pause(&member[0].port);
	frame_ends();
	SAID(&member[0], "");
	IS(heard(), 1);
	IS(home->counters.delivered, 1);
	end();
}

static void without_memory_the_slow_one_gets_it(void)
{
	begin_in_the_middle();
	session_pause(&member[0].port);
	while (!list_empty(&home->spare_outs)) {
		struct out *o = list_first(&home->spare_outs, struct out, node);

		list_del(&o->node);
		home->spare_count--;
		mem_free(o);
	}
	mem_fail_at(1, false);
	frame_ends();
	mem_fail_at(0, false);
	IS(heard(), 0);
	IS(member[0].port.session->queue_count, 1);
	end();
}

static void publish_many(struct client *c)
{
	for (uint16_t i = 1; i <= MANY; i++) {
		PUB(&p, "t", "x", 1, i);
		p.n = 0;
		if (c)
			c->n = 0;
	}
}

static void two_members_with_much_waiting(void)
{
	begin();
	join(&a, 1, "$share/g/t");
	SUBBED(&a, "own", .opts = 1, .inner = { "own" });
	join(&b, 2, "$share/g/t");
	session_close(&b.port, 0, 0);
	session_pause(&a.port);
	publish_many(NULL);
	IS(a.port.session->queue_count, MANY);
	PUB(&p, "own", "y", 1, 9);
	OPEN(&b, .id = "m2", .expiry = 60);
	session_pause(&b.port);
}

static void what_waits_for_a_member_that_unsubscribes_goes_to_others_in_slices(void)
{
	two_members_with_much_waiting();
	a.n = 0;
	frame_begins();
	YES(unsub(&a, "$share/g/t"));
	YES(frame_ends() > 2);
	YES(longest < 2 * SLICE);
	SAID(&a, "unsuback#8 00");
	IS(a.port.session->queue_count, 1);
	IS(b.port.session->queue_count, MANY);
	IS(home->counters.moved_in_group, MANY);
	IS(a.port.session->subs.count, 1);
	end();
}

static void it_is_not_subscribed_any_more_meanwhile(void)
{
	two_members_with_much_waiting();
	frame_begins();
	a.n = 0;
	YES(unsub(&a, "$share/g/t"));
	work_end(home, seven());
	YES(work_jobs(seven()));
	YES(unsub(&a, "$share/g/t")); /* in the same packet */
	SAID(&a, "unsuback#8 00 unsuback#8 11");
	frame_ends();
	IS(b.port.session->queue_count, MANY);
	end();
}

/* ---- Sessions ---- */
static void nothing_heard(struct port *port, struct msg *m, const struct port_send *how)
{
	(void)port;
	(void)m;
	(void)how;
}
static const struct port_ops deaf_ops = { fake_opened, nothing_heard, fake_ack, fake_suback,
	                                  fake_closed };

static void fill(struct client *c, const char *id, unsigned subscriptions)
{
	char filter[16];

	OPEN(c, .id = id, .expiry = 60, .window = 1000);
	for (unsigned i = 0; i < subscriptions; i++) {
		(void)snprintf(filter, sizeof(filter), "f%u", i);
		SUBBED(c, filter, .opts = 1);
	}
	SUBBED(c, "t", .opts = 1);
	publish_many(c);
	IS(c->port.session->queue_count, MANY - 1000);
}

static void nothing_is_left_of(size_t sessions)
{
	IS(seven()->sessions.count, sessions);
	IS(seven()->subscriptions, 0);
	IS(seven()->queue_bytes, 0);
	IS(seven()->filter_bytes, 0);
	YES(tree_empty(seven()->tree));
	YES(!work_waits(seven()));
}

static void a_large_session_ends_in_slices(void)
{
	begin();
	fill(&a, "a", MANY);
	frame_begins();
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	a.port.session = NULL;
	YES(!session_find(seven(), STR("a")));
	YES(frame_ends() > 10);
	YES(longest < 2 * SLICE);
	nothing_is_left_of(1);
	end();
}

static void who_starts_anew_does_not_wait_for_the_end_of_what_it_had(void)
{
	begin();
	fill(&a, "a", MANY);
	frame_begins();
	b.n = 0;
	YES(open_with(&b, (struct terms){ .id = "a", .expiry = 60, .clean = true }));
	SAID(&a, "closed 8e");
	a.port.session = NULL;
	SAID(&b, "opened p0 00");
	IS(b.port.session->subs.count, 0);
	IS(b.port.session->queue_count, 0);
	session_resume(&b.port);
	PUB(&p, "t", "x", 1, 5);
	YES(frame_ends() > 10);
	YES(longest < 2 * SLICE);
	SAID(&b, "");
	IS(home->counters.dropped_full, 0);
	nothing_is_left_of(2);
	end();
}

/* Attack R07: the bucket of take-overs is the name's, not the session's. */
static void who_starts_anew_has_taken_over_once(void)
{
	int64_t due;

	begin();
	fill(&a, "a", MANY);
	due = a.port.session->takeovers_due;
	frame_begins();
	YES(open_with(&b, (struct terms){ .id = "a", .clean = true }));
	a.port.session = NULL;
	YES(b.port.session->takeovers_due > due);
	frame_ends();
	end();
}

static void a_will_outlives_what_its_large_session_had(void)
{
	begin();
	fill(&a, "a", MANY);
	b.n = 0;
	OPEN(&b, .id = "listener");
	SUBBED(&b, "w");
	session_close(&a.port, 0, 0);
	OPEN(&a, .id = "a", .will = "w");
	IS(a.port.session->subs.count, MANY + 1);
	frame_begins();
	session_lost(&a.port, 1000);
	a.port.session = NULL;
	IS(session_find(seven(), STR("a"))->state, SESSION_GHOST);
	YES(frame_ends() > 10);
	YES(longest < 2 * SLICE);
	SAID(&b, "");
	IS(seven()->accounts.count, 1);
	later(1100);
	SAID(&b, "w=bye q0");
	YES(!session_find(seven(), STR("a")));
	session_close(&b.port, 0, 0);
	b.port.session = NULL;
	nothing_is_left_of(1);
	end();
}

static void what_a_large_session_did_not_get_goes_to_others_of_its_group(void)
{
	two_members_with_much_waiting();
	frame_begins();
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	a.port.session = NULL;
	YES(frame_ends() > 2);
	YES(longest < 2 * SLICE);
	IS(b.port.session->queue_count, MANY);
	IS(home->counters.moved_in_group, MANY);
	end();
}

static void messages_that_expired_are_dropped_in_slices(void)
{
	begin();
	OPEN(&a, .id = "a", .expiry = 60);
	SUBBED(&a, "t", .opts = 1);
	session_close(&a.port, 0, 0);
	for (uint16_t i = 1; i <= MANY; i++) {
		YES(publish(&p, "t", "x", 1, i, 1));
		p.n = 0;
	}
	PUB(&p, "t", "last", 1, 9);
	later(2000);
	YES(open_with(&a, (struct terms){ .id = "a", .expiry = 60 }));
	a.n = 0;
	frame_begins();
	session_resume(&a.port);
	YES(frame_ends() > 2);
	YES(longest < 2 * SLICE);
	SAID(&a, "t=last q1 #1");
	IS(home->counters.dropped_expired, MANY);
	end();
}

static void a_large_window_is_filled_in_slices(void)
{
	begin();
	config.window_max = 2 * MANY;
	OPEN(&a, .id = "a", .expiry = 60, .window = 2 * MANY);
	SUBBED(&a, "t", .opts = 1);
	session_pause(&a.port);
	publish_many(NULL);
	IS(a.port.session->queue_count, MANY);
	a.port.ops = &deaf_ops;
	frame_begins();
	session_resume(&a.port);
	YES(frame_ends() > 10);
	YES(longest < 2 * SLICE);
	IS(a.port.session->live, MANY);
	end();
}

/* The home ends in the middle; and there is no memory for a job. */
static void it_ends_also_at_once(void)
{
	begin();
	fill(&a, "a", MANY);
	frame_begins();
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	a.port.session = NULL;
	work_end(home, seven());
	YES(work_jobs(seven()));
	end();

	begin();
	fill(&a, "a", MANY);
	frame_begins();
	mem_fail_at(1, true);
	session_close(&a.port, LINK_CLOSE_EXPIRY, 0);
	mem_fail_at(0, false);
	a.port.session = NULL;
	nothing_is_left_of(1);
	frame_ends();
	end();
}

/* ---- Records, and what deleted tokens leave ---- */
static void of_many_sessions_that_overflow_at_once_some_are_told_in_a_turn(void)
{
	enum { SESSIONS = 100 };
	uint64_t published, most = 0;
	char id[16];

	begin();
	home->most.slice = WORK_SLICE; /* both messages at once */
	for (unsigned i = 0; i < SESSIONS; i++) {
		(void)snprintf(id, sizeof(id), "m%u", i);
		OPEN(&member[i], .id = id, .queue_messages = 1);
		SUBBED(&member[i], "t", .opts = 1);
		session_pause(&member[i].port);
	}
	PUB(&p, "t", "1", 1, 1);
	PUB(&p, "t", "2", 1, 2);
	IS(home->counters.dropped_full, SESSIONS);
	published = home->counters.published;
	for (unsigned i = 0; i < 100; i++) {
		uint64_t now = home->counters.published;

		shifted += 10;
		clock_shift(shifted, shifted);
		loop_turn(home->loop, 0);
		most =
		    most > home->counters.published - now ? most : home->counters.published - now;
	}
	IS(home->counters.published - published, SESSIONS);
	IS(most, 16);
	end();
}

static void long_names_of_a_deleted_token_are_removed_by_what_they_cost(void)
{
	enum { NAMES = 250 };
	char name[260], *at = name + 250;
	uint64_t spent, most = 0;

	begin();
	memset(name, 'a', sizeof(name));
	for (unsigned i = 0; i < NAMES; i++) {
		(void)snprintf(at, 10, "%u", i);
		PUB(&p, name, "x", LINK_RETAIN, 0);
	}
	IS(retained_count(seven()->retained), NAMES);
	YES(rights_apply(home, LINK_RIGHTS_DELETED,
	                 &(struct link_rights){ .customer = 7, .token = 5 }));
	for (unsigned i = 0; i < 10; i++) {
		spent = home->counters.retained_purged;
		loop_turn(home->loop, 0);
		if (home->counters.retained_purged - spent > most)
			most = home->counters.retained_purged - spent;
	}
	IS(home->counters.retained_purged, NAMES);
	YES(most < NAMES);
	end();
}

RUN(a_message_for_a_large_group_is_matched_in_slices, a_message_for_many_groups_is_given_in_slices,
    a_member_that_was_chosen_and_leaves_has_nothing_and_another_one_has_it,
    a_member_that_was_chosen_and_is_slow_by_now_is_passed_over, without_memory_the_slow_one_gets_it,
    what_waits_for_a_member_that_unsubscribes_goes_to_others_in_slices,
    it_is_not_subscribed_any_more_meanwhile, a_large_session_ends_in_slices,
    who_starts_anew_does_not_wait_for_the_end_of_what_it_had, who_starts_anew_has_taken_over_once,
    a_will_outlives_what_its_large_session_had, messages_that_expired_are_dropped_in_slices,
    a_large_window_is_filled_in_slices,
    of_many_sessions_that_overflow_at_once_some_are_told_in_a_turn,
    long_names_of_a_deleted_token_are_removed_by_what_they_cost,
    what_a_large_session_did_not_get_goes_to_others_of_its_group, it_ends_also_at_once)
