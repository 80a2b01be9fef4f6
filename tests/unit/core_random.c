/* core_random.c - everything a family of clients may do, in random order, with allocations that
 * fail now and then; after each step the accounts of every session must be true. The sanitizers
 * look for what is used after its end. */
#include "tests/unit/core_help.h"

#include "base/log.h"

enum { CLIENTS = 12, STEPS = 60000 };

static struct client clients[CLIENTS];
static const char *const topics[] = { "a", "a/b", "a/b/c", "b", "b/x", "flespi/x" };
static const char *const filters[] = { "#", "a/#",          "+/b",        "a/+/c",
	                               "b", "$share/g/a/#", "$share/g/#", "$share/h/+" };
static const char *const inners[] = { "#", "a/#", "+/b", "a/+/c", "b", "a/b", "b/#", "+" };

static const char *topic(void)
{
	return topics[any_below(ARRAY_LEN(topics))];
}

static const char *set_of(const char *filter)
{
	return any_below(4)                        ? inners[any_below(ARRAY_LEN(inners))]
	       : strncmp(filter, "$share", 6) == 0 ? "a/#"
	                                           : filter;
}

static void do_open(struct client *c)
{
	char id[8];

	/* sometimes one that is in use: take-over */
	(void)snprintf(id, sizeof(id), "c%d", (int)any_below(CLIENTS + 4));
	(void)open_with(c, (struct terms){ .id = id,
	                                   .expiry = (uint32_t)any_below(3) * 5,
	                                   .clean = any_below(4) == 0,
	                                   .window = (uint16_t)(1 + any_below(4)),
	                                   .will = any_below(2) ? topic() : NULL,
	                                   .will_qos = (uint8_t)any_below(3),
	                                   .will_retain = any_below(4) == 0,
	                                   .delay = (uint32_t)any_below(8),
	                                   .queue_messages = (uint32_t)any_below(20),
	                                   .queue_bytes = (uint32_t)any_below(5000),
	                                   .token = 1 + any_below(2) });
	if (any_below(4))
		session_resume(&c->port);
}

static void do_close(struct client *c)
{
	if (any_below(4) == 0)
		session_lost(&c->port, (int64_t)any_below(2) * 3000);
	else
		session_close(&c->port, (uint8_t)any_below(4), (uint32_t)any_below(2) * 5);
	c->port.session = NULL;
}

static void do_sub(struct client *c)
{
	const char *filter = filters[any_below(ARRAY_LEN(filters))];
	struct want w = { .filter = filter,
		          .opts = (uint8_t)(any_below(3) | any_below(4) << 2 |
		                            any_below(3) << SUB_HANDLING),
		          .inner = { set_of(filter), set_of(filter) } };

	if (any_below(4) == 0 && c->port.session) {
		if (any_below(3) == 0)
			w.inner[0] = NULL;
		(void)say_subscribe(c, LINK_REGRANT, w);
	} else {
		(void)say_subscribe(c, LINK_SUBSCRIBE, w);
	}
}

static void do_publish(struct client *c)
{
	uint8_t qos = (uint8_t)any_below(3);

	(void)publish(c, topic(), any_below(8) ? "x" : "",
	              (uint8_t)(qos | (any_below(4) ? 0 : LINK_RETAIN)),
	              qos ? (uint16_t)(1 + any_below(20)) : 0, any_below(3) ? LINK_NO_EXPIRY : 2);
}

static void do_ack(struct client *c)
{
	static const enum mqtt_type kinds[] = { MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBREL,
		                                MQTT_PUBCOMP };
	struct out *o = list_first(&c->port.session->flight, struct out, node);

	if (!o || any_below(8) == 0)
		(void)session_ack(&c->port, kinds[any_below(4)], (uint16_t)(1 + any_below(20)), 0);
	else if (o->state == OUT_RELEASED)
		(void)session_ack(&c->port, MQTT_PUBCOMP, o->packet_id, 0);
	else
		(void)session_ack(&c->port, (o->flags & LINK_QOS) == 1 ? MQTT_PUBACK : MQTT_PUBREC,
		                  o->packet_id, any_below(10) ? 0 : 0x97);
}

static void step(struct client *c)
{
	if (!c->port.session) {
		if (any_below(4) == 0)
			do_open(c);
		return;
	}
	switch (any_below(14)) {
	case 0:
		if (any_below(6) == 0)
			do_close(c);
		break;
	case 1:
		do_sub(c);
		break;
	case 2:
		(void)unsub(c, filters[any_below(ARRAY_LEN(filters))]);
		break;
	case 3:
		session_pause(&c->port);
		break;
	case 4:
	case 5:
		session_resume(&c->port);
		break;
	case 6:
		c->full = !c->full;
		if (!c->full)
			session_drained(&c->port);
		break;
	case 7:
	case 8:
	case 9:
		do_publish(c);
		break;
	default:
		do_ack(c);
	}
}

static size_t session_true(const struct session *s)
{
	size_t queue = 0, flight = 0, live = 0, again = 0, count = 0;
	struct out *o;

	list_each(o, &s->queue, struct out, node) {
		IS(o->state, OUT_QUEUED);
		queue += o->msg->size;
		count++;
	}
	list_each(o, &s->flight, struct out, node) {
		YES(o->state != OUT_QUEUED && o->packet_id);
		flight += o->msg ? o->msg->size : 0;
		live += o->state != OUT_AGAIN;
		again += o->state == OUT_AGAIN;
	}
	IS(s->queue_bytes, queue);
	IS(s->flight_bytes, flight);
	IS(s->queue_count, count);
	IS(s->live, live);
	IS(s->again, again);
	IS(s->port != NULL, s->state == SESSION_LIVE);
	return queue + flight;
}

static void accounts_true(void)
{
	size_t bytes = 0, subscriptions = 0;
	struct customer *customer = customer_find(home, 7);

	if (!customer)
		return;
	map_each(n, &customer->sessions) {
		struct session *s = container_of(n, struct session, node);

		bytes += session_true(s);
		subscriptions += s->subs.count;
	}
	IS(customer->queue_bytes, bytes);
	IS(customer->subscriptions, subscriptions);
}

static void run(bool fail)
{
	log_start("core_random", LOG_ERROR);
	world_begins();
	memset(clients, 0, sizeof(clients));
	for (int i = 0; i < STEPS; i++) {
		struct client *c = &clients[any_below(CLIENTS)];

		/* Only the core's own allocations fail: those of the test's frames are before it.
		 */
		if (fail && c->port.session && any_below(3) == 0) {
			mem_fail_at(1 + any_below(6), any_below(2));
			do_publish(c);
			mem_fail_at(0, false);
		} else {
			step(c);
		}
		for (int k = 0; k < CLIENTS; k++)
			clients[k].n = 0;
		if (any_below(50) == 0)
			later((int64_t)any_below(2000));
		else if (any_below(10) == 0)
			loop_turn(home->loop, 0);
		if (i % 16 == 0)
			accounts_true();
	}
	for (int k = 0; k < CLIENTS; k++) {
		if (clients[k].port.session)
			session_close(&clients[k].port, LINK_CLOSE_EXPIRY, 0);
		clients[k].n = 0;
	}
	later(20000);
	IS(customer_find(home, 7) ? customer_find(home, 7)->sessions.count : 0, 0);
	IS(customer_find(home, 7) ? customer_find(home, 7)->groups.count : 0, 0);
	YES(!customer_find(home, 7) || tree_empty(customer_find(home, 7)->tree));
	YES(list_empty(&home->replays));
	/* What did not happen was not tested. */
	YES(home->counters.acked > 1000 && home->counters.taken_over > 100 &&
	    home->counters.redelivered > 100 && home->counters.expired > 50);
	YES(home->counters.dropped_rights > 10 && home->counters.moved_in_group > 50 &&
	    home->counters.wills_fired > 50);
	YES(home->counters.retained_sent > 100 && home->counters.dropped_full > 100 &&
	    home->counters.dropped_expired > 10);
	world_ends();
}

static void accounts_stay_true_whatever_clients_do(void)
{
	run(false);
}

static void accounts_stay_true_without_memory_too(void)
{
	run(true);
}

RUN(accounts_stay_true_whatever_clients_do, accounts_stay_true_without_memory_too)
