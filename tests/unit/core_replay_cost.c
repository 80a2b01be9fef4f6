/* core_replay_cost.c - what a walk over retained messages costs is told to the budget, and a turn
 * has no more of it than of other work: long names that do not match, and names that are compared
 * with all filters of a set. */
#include "tests/unit/core_help.h"

enum { PREFIX = 4000, MANY = 2000, SET = 800, CLIENTS = 4 };

static struct client client[CLIENTS];
static char prefix[PREFIX + 1], text[PREFIX + 100];

/* Too many to be noted. */
static void deliver_quietly(struct port *p, struct msg *m, const struct port_send *how)
{
	(void)p;
	(void)m;
	(void)how;
}

static struct port_ops quiet;

static void begin(void)
{
	quiet = fake_ops;
	quiet.deliver = deliver_quietly;
	world_begins();
	memset(prefix, 'x', PREFIX);
	for (size_t i = 40; i < PREFIX; i += 40)
		prefix[i] = '/';
	for (unsigned i = 0; i < CLIENTS; i++)
		OPEN(&client[i], .id = i == 0 ? "a" : i == 1 ? "b" : i == 2 ? "c" : "d");
	for (unsigned i = 0; i < CLIENTS; i++)
		client[i].port.ops = &quiet;
}

static void end(void)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		session_close(&client[i].port, 0, 0);
	world_ends();
}

/* customer/7/<first>/<second><i><rest> */
static struct str name_of(const char *first, const char *second, unsigned i, const char *rest)
{
	return str_make(text, (size_t)snprintf(text, sizeof(text), "customer/7/%s/%s%u%s", first,
	                                       second, i, rest));
}

static void retain(const char *first, const char *second, unsigned i, const char *rest)
{
	struct link_publish p = { 0, { .payload = STR("y"), .expiry_s = LINK_NO_EXPIRY } };

	p.msg.topic = name_of(first, second, i, rest);
	YES(session_publish(&client[0].port, LINK_RETAIN, &p));
}

/* A subscription with so many inner filters; the last one is another one. */
static void subscribe(struct client *c, const char *first, const char *second, unsigned inner,
                      const char *rest, const char *last)
{
	struct buf b = { 0 };
	struct link_subscribe s;
	size_t frame = link_subscribe_begin(&b, LINK_SUBSCRIBE, 1, 1, 7, 0),
	       item = link_item_begin(&b, frame, 0, 0, STR("f"));

	for (unsigned i = 0; i < inner; i++)
		link_item_inner(&b, item, name_of(first, second, i, rest), true);
	if (last)
		link_item_inner(&b, item, str_c(last), true);
	MUST(link_end(&b, frame) && link_subscribe_read(str_skip(buf_str(&b), LINK_HEAD), &s));
	YES(session_subscribe(&c->port, &s));
	buf_free(&b);
}

static bool any_replay(void)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		client[i].n = 0;
		if (client[i].port.session->replays)
			return true;
	}
	return false;
}

/* Until all replays are done; the units of the costliest turn. */
static uint64_t costliest_turn(void)
{
	uint64_t most = 0;

	for (unsigned turns = 0; any_replay(); turns++) {
		uint64_t before = home->spent;

		MUST(turns < 10000);
		loop_turn(home->loop, 0);
		if (home->spent - before > most)
			most = home->spent - before;
	}
	return most;
}

static void long_names_that_do_not_match_are_paid_for(void)
{
	uint64_t before;

	begin();
	for (unsigned i = 0; i < MANY; i++)
		retain(prefix, "", i, "/a");
	before = home->spent;
	for (unsigned i = 0; i < CLIENTS; i++)
		subscribe(&client[i], prefix, "+/z", 1, "", NULL);
	YES(costliest_turn() < WORK_TURN);
	YES(home->spent - before > (uint64_t)CLIENTS * MANY * PREFIX / 64);
	end();
}

static void messages_that_are_compared_with_all_of_a_set_are_paid_for(void)
{
	uint64_t before;

	begin();
	for (unsigned i = 0; i < MANY; i++)
		retain("s", "t/", i, "");
	before = home->spent;
	for (unsigned i = 0; i < CLIENTS; i++)
		subscribe(&client[i], "s", "+/k", SET, "", "customer/7/+/t/#");
	YES(costliest_turn() < WORK_TURN);
	YES(home->spent - before > (uint64_t)CLIENTS * MANY * SET);
	IS(home->counters.retained_sent, CLIENTS * MANY);
	end();
}

RUN(long_names_that_do_not_match_are_paid_for,
    messages_that_are_compared_with_all_of_a_set_are_paid_for)
