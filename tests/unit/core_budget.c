/* core_budget.c - frames that wait for their customer's turn (core/uplink_parked.c): order, ends in
 * the middle, and that nobody waits for another customer's work. */
#include "tests/unit/core_talk.h"

struct speaker {
	bool open;
	uint16_t generation, packet_id;
};
static struct speaker speaker[CHANNELS + 1];

static void put_step(struct buf *b, unsigned n)
{
	static const char *const filters[] = { "#", "a/#", "a/+", "+/x", "a/b", "$share/g/a/b" };
	static const char *const topics[] = { "a/b", "a/x", "c/x" };
	uint32_t channel = 1 + (uint32_t)any_below(CHANNELS);
	struct speaker *s = &speaker[channel];
	char text[24];

	if (!s->open) {
		(void)snprintf(text, sizeof(text), "c%u", channel);
		put_open(b, channel, ++s->generation, text);
		s->open = true;
		return;
	}
	(void)snprintf(text, sizeof(text), "m%u", n);
	switch (any_below(12)) {
	case 0:
		link_close_write(b, channel, s->generation, LINK_CLOSE_WILL, 0);
		s->open = false;
		break;
	case 1:
	case 2:
		put_sub(b, channel, s->generation, filters[any_below(5)], (uint8_t)any_below(2));
		break;
	case 3:
		put_unsub(b, channel, s->generation, filters[any_below(5)]);
		break;
	case 4:
	case 5:
		link_ack_write(b, channel, s->generation, MQTT_PUBACK,
		               (uint16_t)(1 + any_below(20)), 0);
		break;
	case 6:
		link_ack_write(b, channel, s->generation, MQTT_PUBREL, (uint16_t)(s->packet_id + 1),
		               0);
		break;
	default:
		put_pub(b, channel, s->generation, topics[any_below(3)], text,
		        (uint8_t)any_below(3), ++s->packet_id);
	}
}

/* All of it, in pieces of random size. */
static void converse(struct str script, struct heard *by)
{
	ears = by;
	memset(by, 0, (CHANNELS + 1) * sizeof(*by));
	while (script.n) {
		size_t piece = size_min(1 + any_below(4000), script.n);
		ssize_t n = send(fd, script.p, piece, MSG_NOSIGNAL);

		if (n > 0)
			script = str_skip(script, (size_t)n);
		loop_turn(home->loop, 0);
		listen_all();
		MUST(uplink_links(uplink) == 1);
	}
	for (int i = 0; i < 10 || !list_empty(&home->busy) || !list_empty(&home->stopped); i++) {
		loop_turn(home->loop, 0);
		listen_all();
	}
	YES(uplink_links(uplink) == 1);
}

/* The naive one does every frame at once. */
static void what_a_channel_hears_does_not_depend_on_the_budget(void)
{
	struct buf script = { 0 };
	uint64_t parked = 0, cut = 0;

	for (unsigned round = 0; round < 40; round++) {
		buf_reset(&script);
		memset(speaker, 0, sizeof(speaker));
		for (unsigned n = 0; n < 400; n++)
			put_step(&script, n);
		begin();
		home->most = (struct work_most){ 1u << 30, 1u << 30, 1u << 30, 1u << 30, 1u << 30 };
		converse(buf_str(&script), heard[0]);
		IS(home->counters.parked, 0);
		end();
		begin();
		home->most.slice = 1 + (uint32_t)any_below(200);
		home->most.alone = 1 + (uint32_t)any_below(400);
		home->most.turn = 1 + (uint32_t)any_below(600);
		home->most.direct = 1 + (uint32_t)any_below(600);
		uplink->marks =
		    (struct lane_marks){ (uint32_t)any_below(300), 1 + (uint32_t)any_below(200),
			                 1u << 20, 1u << 20 };
		if (round % 3 == 0) {
			uplink->marks.slow = 200 + (uint32_t)any_below(1000);
			uplink->marks.slow_alone = uplink->marks.slow;
		}
		converse(buf_str(&script), heard[1]);
		parked += home->counters.parked;
		cut += home->counters.routes_cut;
		end();
		for (uint32_t c = 1; c <= CHANNELS; c++)
			IS(strcmp(heard[1][c].text, heard[0][c].text), 0);
	}
	YES(parked > 1000);
	YES(cut > 1000);
	buf_free(&script);
}

/* ---- Another customer is served meanwhile ---- */

/* Units of work that are done between a flood of customer 7 that stands in front of a message of
 * customer 8 in the same read, and the moment in which that one is heard. */
static uint64_t units_until_heard(struct work_most most)
{
	uint64_t before;

	begin();
	ears = heard[0];
	memset(heard[0], 0, sizeof(heard[0]));
	put_open(&to, 1, 1, "a");
	put_open(&to, 2, 1, "b");
	put_sub(&to, 2, 1, "t", 0);
	talk();
	home->most = most;
	before = home->spent;
	for (unsigned i = 0; i < 1500; i++)
		put_pub(&to, 1, 1, "a", "x", 0, 0);
	put_pub(&to, 2, 1, "t", "x", 0, 0);
	MUST(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 1 << 20 }, sizeof(int)) == 0);
	MUST(send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL) == (ssize_t)buf_len(&to));
	buf_reset(&to);
	for (int i = 0; i < 10 && heard[0][2].n == 0; i++) {
		loop_turn(home->loop, 0);
		listen_all();
	}
	YES(heard[0][2].n > 0);
	before = home->spent - before;
	while (!list_empty(&home->busy))
		loop_turn(home->loop, 0);
	IS(home->counters.published, 1501);
	end();
	return before;
}

static void a_flood_of_one_customer_does_not_delay_another_ones_message(void)
{
	uint64_t units = units_until_heard((struct work_most){ 1000, 1000, 2000, 10000, 12000 });

	YES(units < 3000);
	/* the control: without a budget it waits for all of it */
	units = units_until_heard(
	    (struct work_most){ 1u << 30, 1u << 30, 1u << 30, 1u << 30, 1u << 30 });
	YES(units > 1500 * WORK_FRAME);
}

/* ---- Ends in the middle ---- */

/* Customer 7 has work that waits, and may do nothing in this turn. */
static void nothing_at_once(void)
{
	home->most = (struct work_most){ 100, 1, 100, 1, 100 };
}

static void deliver_all(void)
{
	while (!list_empty(&home->busy))
		loop_turn(home->loop, 0);
}

static void what_was_said_before_a_link_broke_is_done_and_then_the_client_is_lost(void)
{
	struct session *s;

	begin();
	say_open(1, 1, "x", 60);
	say_open(2, 1, "y", 60);
	say_sub(2, 1, "t", 1);
	talk();
	nothing_at_once();
	for (unsigned i = 1; i <= 50; i++)
		say_pub(1, 1, "t", "1", 1, (uint16_t)i);
	MUST(send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL) == (ssize_t)buf_len(&to));
	buf_reset(&to);
	loop_turn(home->loop, 0);
	YES(home->counters.published < 50);
	close(fd);
	loop_turn(home->loop, 0);
	IS(uplink_links(uplink), 0);
	s = session_find(customer_find(home, 7), STR("x"));
	YES(s->port != NULL); /* its frames still wait */
	deliver_all();
	IS(home->counters.published, 50);
	IS(s->state, SESSION_AWAY);
	s = session_find(customer_find(home, 7), STR("y"));
	IS(s->state, SESSION_AWAY);
	IS(home->counters.lost, 2);
	plug_in();
	end();
}

static void a_link_that_breaks_takes_a_parked_open_with_it(void)
{
	begin();
	say_open(1, 1, "x", 60);
	talk();
	nothing_at_once();
	for (unsigned i = 1; i <= 20; i++)
		say_pub(1, 1, "t", "1", 0, 0);
	say_open(2, 1, "y", 60);
	say_pub(2, 1, "t", "1", 0, 0);
	link_close_write(&to, 1, 1, 0, 0);
	MUST(send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL) == (ssize_t)buf_len(&to));
	buf_reset(&to);
	loop_turn(home->loop, 0);
	close(fd);
	deliver_all();
	IS(home->counters.published, 21);
	IS(home->counters.closed, 2); /* x, and the link's own */
	IS(home->counters.lost, 1);
	plug_in();
	end();
}

static void a_number_is_free_again_while_its_close_is_parked(void)
{
	begin();
	say_open(1, 1, "x", 60);
	talk();
	nothing_at_once();
	for (unsigned i = 1; i <= 20; i++)
		say_pub(1, 1, "t", "1", 0, 0);
	link_close_write(&to, 1, 1, 0, 0);
	say_pub(1, 1, "t", "late", 0, 0);
	say_open(1, 2, "x", 60);
	say_sub(1, 2, "t", 0);
	say_pub(1, 2, "t", "2", 0, 0);
	talk();
	deliver_all();
	home->most = (struct work_most){ WORK_SLICE, WORK_ALONE, WORK_TURN, WORK_DIRECT, WORK_ALL };
	talk();
	IS(uplink_links(uplink), 1);
	IS(home->counters.stale_frames, 1);
	IS(home->counters.published, 21);
	IS(home->counters.resumed, 1);
	IS(home->counters.closed, 1);
	end();
}

static void parked_nonsense_ends_its_link(void)
{
	begin();
	say_open(1, 1, "x", 60);
	talk();
	nothing_at_once();
	for (unsigned i = 1; i <= 20; i++)
		say_pub(1, 1, "t", "1", 0, 0);
	say_pub(1, 1, "/customer/8/t", "1", 0, 0);
	say_pub(1, 1, "t", "1", 0, 0);
	talk();
	deliver_all();
	turn();
	YES(is_closed());
	IS(home->counters.links_broken, 1);
	end();
}

static void a_home_may_end_while_frames_wait(void)
{
	begin();
	say_open(1, 1, "x", 60);
	say_open(2, 1, "y", 0);
	talk();
	nothing_at_once();
	for (unsigned i = 1; i <= 200; i++)
		say_pub(1, 1, "t", "1", 1, (uint16_t)i);
	link_close_write(&to, 2, 1, LINK_CLOSE_WILL, 0);
	say_open(2, 2, "z", 0);
	MUST(send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL) == (ssize_t)buf_len(&to));
	buf_reset(&to);
	loop_turn(home->loop, 0);
	YES(!list_empty(&home->busy));
	end();
}

/* ---- Too much waits ---- */

/* HOLD frames among what came. */
static unsigned holds(bool *last)
{
	unsigned n = 0;
	uint64_t customer;

	for (unsigned i = 0; i < count; i++) {
		if (got[i].head.type != LINK_HOLD)
			continue;
		YES(link_hold_read(got[i].body, &customer, last));
		IS(customer, 7);
		n++;
	}
	return n;
}

static void flood(unsigned frames)
{
	for (unsigned i = 0; i < frames; i++)
		say_pub(1, 1, "t", "1", 0, 0);
}

static void a_customer_of_whom_too_much_waits_is_held_until_half_is_served(void)
{
	bool held = false;

	minor = LINK_MINOR_HOLD;
	begin();
	config.customer_input = 16 << 10;
	say_open(1, 1, "x", 60);
	talk();
	nothing_at_once();
	flood(50);
	talk();
	IS(holds(&held), 0);
	home->most.slice = home->most.turn = 1;
	flood(200);
	talk();
	IS(holds(&held), 1);
	YES(held);
	IS(home->counters.held, 1);
	home->most.slice = home->most.turn = 100;
	while (customer_find(home, 7)->unread)
		loop_turn(home->loop, 0);
	YES(customer_find(home, 7)->parked_bytes <= 8 << 10);
	YES(customer_find(home, 7)->parked_bytes > 7 << 10);
	deliver_all();
	talk();
	IS(holds(&held), 1);
	YES(!held);
	end();
}

static void a_new_link_learns_who_is_held_and_an_old_proxy_is_told_nothing(void)
{
	int first;
	bool held = false;

	minor = LINK_MINOR_HOLD;
	begin();
	config.customer_input = 16 << 10;
	say_open(1, 1, "x", 60);
	talk();
	nothing_at_once();
	flood(200);
	home->most.slice = home->most.turn = 1;
	talk();
	IS(holds(&held), 1);
	first = fd;
	plug_in();
	hello_as(LINK_MAJOR);
	talk();
	IS(holds(&held), 1);
	YES(held);
	close(fd);
	plug_in();
	minor = LINK_MINOR_HOLD - 1;
	hello_as(LINK_MAJOR);
	talk();
	IS(holds(&held), 0);
	deliver_all();
	talk();
	IS(holds(&held), 0);
	close(fd);
	fd = first;
	end();
}

/* ---- All kinds of work together ---- */
static bool endless(struct work *w)
{
	(void)w;
	while (!work_over(home))
		work_spend(home, 100);
	return true;
}

static void endless_drop(struct work *w)
{
	(void)w;
}

static void retain_many(unsigned n)
{
	struct link_msg src = { .payload = STR("x"), .expiry_s = LINK_NO_EXPIRY };
	char topic[40];

	for (unsigned i = 0; i < n; i++) {
		struct msg *m;

		(void)snprintf(topic, sizeof(topic), "customer/7/r/%u", i);
		src.topic = str_c(topic);
		m = msg_new(&src, 0, true, 5, NULL, 0);
		MUST(m);
		(void)home_publish(home, m);
		msg_put(&m);
	}
}

/* What is read, what waits, and retained messages: each has a limit of its own, and there is one
 * for all of it. */
static void all_kinds_of_work_together_have_a_limit_in_a_turn(void)
{
	struct work jobs[4];
	uint64_t spent, most = 0, published;

	begin();
	ears = heard[0];
	put_open(&to, 1, 1, "a");
	put_open(&to, 2, 1, "b");
	talk();
	retain_many(5000);
	home->most = (struct work_most){ 2000, 2000, 5000, 7500, 10000 };
	for (unsigned i = 0; i < ARRAY_LEN(jobs); i++) {
		struct customer *c = customer_get(home, 100 + i);

		MUST(c);
		jobs[i] = (struct work){ .step = endless, .drop = endless_drop };
		work_add(c, &jobs[i]);
	}
	/* names that are looked at, and not sent */
	put_sub(&to, 1, 1, "r/+/no", 0);
	for (unsigned i = 0; i < 4000; i++)
		put_pub(&to, 2, 1, "a", "x", 0, 0);
	MUST(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 1 << 20 }, sizeof(int)) == 0);
	MUST(send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL) == (ssize_t)buf_len(&to));
	buf_reset(&to);
	published = home->counters.published;
	for (unsigned i = 0; i < 12; i++) {
		spent = home->spent;
		/* as if many customers spoke one after the other */
		customer_get(home, 8)->credit = 1 << 20;
		customer_get(home, 8)->renewed = loop_turns(home->loop) + 1;
		loop_turn(home->loop, 0);
		if (home->spent - spent > most)
			most = home->spent - spent;
	}
	YES(home->counters.published - published > 100);
	YES(most > 10000);
	YES(most < 12500);
	for (unsigned i = 0; i < ARRAY_LEN(jobs); i++)
		work_cancel(&jobs[i]);
	listen_all();
	end();
}

RUN(all_kinds_of_work_together_have_a_limit_in_a_turn,
    a_customer_of_whom_too_much_waits_is_held_until_half_is_served,
    a_new_link_learns_who_is_held_and_an_old_proxy_is_told_nothing,
    what_a_channel_hears_does_not_depend_on_the_budget,
    a_flood_of_one_customer_does_not_delay_another_ones_message,
    what_was_said_before_a_link_broke_is_done_and_then_the_client_is_lost,
    a_link_that_breaks_takes_a_parked_open_with_it,
    a_number_is_free_again_while_its_close_is_parked, parked_nonsense_ends_its_link,
    a_home_may_end_while_frames_wait)
