/* core_route.c - the way of a message that nobody's slice runs for: of a local service, of another
 * home. It is cut like that of a client. */
#include "tests/unit/core_help.h"

enum { MANY = 20000 };

static struct client a, b;

static void begin(void)
{
	char filter[20];

	world_begins();
	OPEN(&a, .id = "a", .subscriptions = MANY + 1);
	OPEN(&b, .id = "b");
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(filter, sizeof(filter), "f%u", i);
		YES(say_subscribe(&a, LINK_SUBSCRIBE,
		                  (struct want){ .filter = filter, .inner = { "t" } }));
		a.n = 0;
	}
	SUBBED(&b, "t");
}

static void end(void)
{
	session_close(&a.port, 0, 0);
	session_close(&b.port, 0, 0);
	turn();
	world_ends();
}

static void say(const char *payload)
{
	struct link_msg of = { .topic = STR("customer/7/t"),
		               .payload = str_c(payload),
		               .expiry_s = LINK_NO_EXPIRY };
	struct msg *m = msg_new(&of, 0, false, 0, NULL, home_wall(home));

	MUST(m);
	(void)home_publish(home, m);
	msg_put(&m);
}

static void what_a_service_says_to_many_subscriptions_is_cut(void)
{
	uint64_t before, most = 0;

	begin();
	before = home->spent;
	say("1");
	YES(home->spent - before < 2 * WORK_SLICE);
	YES(home->counters.routes_cut > 0);
	say("2"); /* behind it */
	for (unsigned i = 0; i < 50; i++) {
		before = home->spent;
		loop_turn(home->loop, 0);
		if (home->spent - before > most)
			most = home->spent - before;
	}
	YES(most < WORK_TURN);
	SAID(&b, "t=1 q0 t=2 q0");
	end();
}

RUN(what_a_service_says_to_many_subscriptions_is_cut)
