/* core_homes.c - several homes, turned by hand in one thread; and what waits for the commit of a
 * turn. */
#include "tests/unit/core_help.h"

#include "core/store_parts.h"

enum { HOMES = 2 };

static struct home *homes[HOMES];
static struct client t, c; /* of the trusted world, on home 0; of `far`, on home 1 */
static uint64_t far_customer, near_customer;
static char far_topic[64], near_topic[64];

static void turns(void)
{
	for (int i = 0; i < 6; i++) {
		for (int k = 0; k < HOMES; k++)
			loop_turn(homes[k]->loop, 0);
	}
}

static void begin(void)
{
	const char *why;

	world_begins();
	homes[0] = home;
	MUST(home_new(&homes[1], &config, 1, &why) == 0);
	for (unsigned i = 0; i < HOMES; i++)
		home_know(homes[i], homes, HOMES);
	for (uint64_t id = 1; !far_customer || !near_customer; id++) {
		if (link_home_of(id, HOMES))
			far_customer = id;
		else
			near_customer = id;
	}
	(void)snprintf(far_topic, sizeof(far_topic), "/customer/%" PRIu64 "/t", far_customer);
	(void)snprintf(near_topic, sizeof(near_topic), "/customer/%" PRIu64 "/t", near_customer);
}

static void client_open(struct client *who, struct home *h, uint64_t customer, const char *id)
{
	struct link_open o = { .version = MQTT_V5,
		               .receive_maximum = 10,
		               .customer = customer,
		               .client_id = str_c(id) };

	who->n = 0;
	who->full = false;
	who->port = (struct port){ .ops = &fake_ops, .full = &who->full };
	MUST(session_open(h, &who->port, 0, &o) && who->port.session);
	session_resume(&who->port);
	who->n = 0;
}

static void end(void)
{
	if (t.port.session)
		session_close(&t.port, 0, 0);
	if (c.port.session)
		session_close(&c.port, 0, 0);
	turns();
	world_ends();
	home_free(&homes[1]);
}

static void all_letters(void)
{
	while (homes[0]->letters || homes[1]->letters)
		turns();
}

static void a_customer_is_refused_on_another_home(void)
{
	struct link_open o = { .version = MQTT_V5, .receive_maximum = 10, .client_id = STR("x") };

	begin();
	o.customer = far_customer;
	c.port = (struct port){ .ops = &fake_ops };
	NO(session_open(homes[0], &c.port, 0, &o));
	end();
}

static void the_trusted_world_hears_customers_of_all_homes(void)
{
	begin();
	client_open(&t, homes[0], 0, "t");
	client_open(&c, homes[1], far_customer, "c");
	SUBBED(&t, "customer/#", .inner = { "/customer/#" });
	turns();
	PUB(&c, far_topic, "1", 0, 0);
	turns();
	IS(homes[1]->counters.unmatched, 0);
	CONTAINS(t.said, "/t=1 q0");
	YES(unsub(&t, "customer/#"));
	turns();
	t.n = 0;
	PUB(&c, far_topic, "2", 0, 0);
	turns();
	SAID(&t, "");
	IS(homes[1]->counters.unmatched, 1);
	YES(tree_empty(homes[1]->trusted->tree));
	end();
}

static void two_that_want_the_same_are_counted(void)
{
	begin();
	client_open(&t, homes[0], 0, "t");
	client_open(&c, homes[0], 0, "u");
	SUBBED(&t, "customer/#", .inner = { "/customer/#" });
	SUBBED(&c, "customer/#", .inner = { "/customer/#" });
	turns();
	YES(unsub(&t, "customer/#"));
	turns();
	NO(tree_empty(homes[1]->trusted->tree));
	YES(unsub(&c, "customer/#"));
	turns();
	YES(tree_empty(homes[1]->trusted->tree));
	end();
}

static void the_trusted_world_publishes_on_every_home(void)
{
	begin();
	client_open(&t, homes[0], 0, "t");
	client_open(&c, homes[1], far_customer, "c");
	SUBBED(&c, "t", .opts = 1, .inner = { far_topic });
	PUB(&t, far_topic, "1", 1, 1);
	turns();
	SAID(&t, "puback#1 00");
	YES(strstr(c.said, "/t=1 q1#1") || strstr(c.said, "/t=1 q1 #1"));
	end();
}

static void trusted_names_published_elsewhere_come_to_home_0(void)
{
	begin();
	client_open(&t, homes[0], 0, "t");
	client_open(&c, homes[1], 0, "link");
	SUBBED(&t, "mbus/#", .inner = { "/mbus/#" });
	PUB(&c, "/mbus/x", "1", 0, 0);
	turns();
	SAID(&t, "mbus/x=1 q0");
	end();
}

static void the_trusted_world_subscribes_on_home_0_only(void)
{
	begin();
	client_open(&c, homes[1], 0, "link");
	SUB(&c, "mbus/#", .inner = { "/mbus/#" });
	SAID(&c, "suback#7 9c");
	end();
}

static void retained_messages_of_other_homes_are_shown_to_the_trusted_world(void)
{
	begin();
	client_open(&t, homes[0], 0, "t");
	PUB(&t, far_topic, "far", LINK_RETAIN, 0);
	PUB(&t, near_topic, "near", LINK_RETAIN, 0);
	PUB(&t, "/mbus/kept", "own", LINK_RETAIN, 0);
	turns();
	SUBBED(&t, "#", .inner = { "/#" });
	turns();
	IS(home->counters.retained_sent, 3);
	YES(unsub(&t, "#"));
	SUB(&t, "customer/+/x", .inner = { "/customer/+/x" });
	turns();
	IS(home->counters.retained_sent, 3);
	end();
}

static void unsubscribing_meanwhile_shows_nothing(void)
{
	begin();
	client_open(&t, homes[0], 0, "t");
	PUB(&t, far_topic, "far", LINK_RETAIN, 0);
	turns();
	SUB(&t, "#", .inner = { "/#" });
	YES(unsub(&t, "#"));
	t.n = 0;
	turns();
	SAID(&t, "");
	end();
}

static void so_many_letters_wait_for_a_home_and_the_rest_is_dropped(void)
{
	begin();
	client_open(&t, homes[0], 0, "t");
	for (unsigned i = 0; i < 200010; i++)
		PUB(&t, far_topic, "x", 0, 0);
	IS(home->counters.dropped_handed, 10);
	all_letters();
	/* half of the room is left to others */
	YES(homes[1]->counters.dropped_handed > 90000);
	YES(homes[1]->counters.dropped_handed <= 100000);
	IS(homes[1]->counters.letters + homes[1]->counters.dropped_handed, 200000);
	IS(homes[1]->counters.published, homes[1]->counters.letters);
	for (unsigned i = 0; i < 100000; i++)
		PUB(&t, far_topic, "x", 0, 0);
	all_letters();
	IS(home->counters.dropped_handed, 10);
	IS(homes[1]->counters.letters + homes[1]->counters.dropped_handed, 300000);
	YES(homes[1]->counters.dropped_handed <= 100000);
	end();
}

/* Units that home 0 spends in a turn on what a customer of another home makes it read. */
static unsigned delivered_at;
static struct port_ops counting_ops;

static void count_delivery(struct port *p, struct msg *m, const struct port_send *how)
{
	(void)p;
	(void)how;
	if (m->customer == far_customer)
		delivered_at++;
	else
		client_note(&t, "other after %u", delivered_at);
}

static void letters_of_one_customer_are_read_in_slices_and_those_of_another_in_between(void)
{
	enum { LETTERS = 5000 };
	uint64_t other = far_customer + 1, spent, most = 0;
	char topic[64];

	begin();
	while (!link_home_of(other, HOMES) || other == far_customer)
		other++;
	counting_ops = fake_ops;
	counting_ops.deliver = count_delivery;
	delivered_at = 0;
	client_open(&t, homes[0], 0, "t");
	SUBBED(&t, "customer/#", .inner = { "/customer/#" });
	turns();
	t.port.ops = &counting_ops;
	t.n = 0;
	client_open(&c, homes[1], far_customer, "c");
	for (unsigned i = 0; i < LETTERS; i++)
		PUB(&c, far_topic, "x", 0, 0);
	session_close(&c.port, 0, 0);
	client_open(&c, homes[1], other, "c");
	(void)snprintf(topic, sizeof(topic), "/customer/%" PRIu64 "/t", other);
	PUB(&c, topic, "y", 0, 0);
	for (unsigned i = 0; i < 1000 && delivered_at < LETTERS; i++) {
		spent = home->spent;
		loop_turn(home->loop, 0);
		if (home->spent - spent > most)
			most = home->spent - spent;
	}
	IS(delivered_at, LETTERS);
	IS(homes[0]->counters.letters, LETTERS + 1);
	YES(most <= WORK_TURN / 2 + 1000);
	YES(str_starts(str_make(t.said, t.n), STR("other after ")));
	YES(atoi(t.said + strlen("other after ")) < LETTERS / 2);
	t.port.ops = &fake_ops;
	end();
}

/* Retained messages of another home, for many filters of a local service at once. */
static void retained_messages_of_other_homes_are_walked_in_slices(void)
{
	uint64_t spent, most = 0;
	char topic[64];

	begin();
	client_open(&c, homes[1], far_customer, "c");
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(topic, sizeof(topic), "/customer/%" PRIu64 "/t/%u", far_customer, i);
		PUB(&c, topic, "x", LINK_RETAIN, 0);
	}
	client_open(&t, homes[0], 0, "t");
	for (unsigned i = 0; i < 50; i++) {
		(void)snprintf(topic, sizeof(topic), "customer/+/t/%u", i);
		SUBBED(&t, topic, .inner = { "/customer/+/t/+/z" });
	}
	for (unsigned i = 0; i < 3000; i++) {
		spent = homes[1]->spent;
		loop_turn(homes[1]->loop, 0);
		loop_turn(home->loop, 0);
		if (homes[1]->spent - spent > most)
			most = homes[1]->spent - spent;
	}
	YES(most > 500);
	YES(most < 15000);
	SAID(&t, "");
	end();
}

static void letters_after_the_end_are_thrown_away(void)
{
	begin();
	client_open(&t, homes[0], 0, "t");
	PUB(&t, far_topic, "1", LINK_RETAIN, 0);
	SUB(&t, "#", .inner = { "/#" });
	session_close(&t.port, 0, 0);
	world_ends(); /* none was read */
	IS(homes[1]->counters.letters, 0);
	home_free(&homes[1]);
}

/* ---- The commit ---- */
static struct store slow;
static struct store_commit *under_way;

static bool slow_commit(struct store *s, struct store_commit *commit)
{
	(void)s;
	MUST(!under_way);
	under_way = commit;
	return false;
}

static struct home_out out;
static struct buf bytes;
static size_t written;
static char order[16];

static void seal(struct home_out *o)
{
	(void)o;
	strcat(order, "s");
}

static void flush(struct home_out *o)
{
	written += o->sealed;
	buf_consume(&bytes, o->sealed);
	o->sealed = 0;
	strcat(order, "f");
}

static void commit_is_done(void)
{
	struct store_commit *commit = under_way;

	under_way = NULL;
	commit->done(commit);
}

static void nothing_is_written_before_its_commit_is_done(void)
{
	static struct store_kind kind;
	struct store *memory;

	world_begins();
	kind = *home->store->kind;
	kind.commit = slow_commit;
	slow.kind = &kind;
	memory = home->store;
	home->store = &slow;
	home_out_init(&out, &bytes, seal, flush);

	buf_bytes(&bytes, "123", 3);
	home_flush_later(home, &out);
	loop_turn(home->loop, 0);
	YES(under_way);
	IS(written, 0);
	buf_bytes(&bytes, "4567", 4); /* the next turn, while the commit is under way */
	home_flush_later(home, &out);
	loop_turn(home->loop, 0);
	IS(written, 0);
	commit_is_done();
	IS(written, 3);
	loop_turn(home->loop, 0);
	YES(under_way); /* the second turn's own */
	IS(written, 3);
	commit_is_done();
	IS(written, 7);
	IS_STR(str_c(order), "sfsf");

	loop_turn(home->loop, 0);
	if (under_way)
		commit_is_done();
	home_out_cancel(&out);
	buf_free(&bytes);
	home->store = memory;
	world_ends();
}

RUN(a_customer_is_refused_on_another_home, the_trusted_world_hears_customers_of_all_homes,
    two_that_want_the_same_are_counted, the_trusted_world_publishes_on_every_home,
    trusted_names_published_elsewhere_come_to_home_0, the_trusted_world_subscribes_on_home_0_only,
    retained_messages_of_other_homes_are_shown_to_the_trusted_world,
    unsubscribing_meanwhile_shows_nothing, so_many_letters_wait_for_a_home_and_the_rest_is_dropped,
    letters_of_one_customer_are_read_in_slices_and_those_of_another_in_between,
    retained_messages_of_other_homes_are_walked_in_slices, letters_after_the_end_are_thrown_away,
    nothing_is_written_before_its_commit_is_done)
