/* The proxy's side of the link, against a core that is played here: one thread, the worker's loop
 * turned by hand. */
#include "tests/unit/proxy_link_help.h"

/* ---- Claims ---- */

static void the_worker_says_hello_and_asks_for_pushes(void)
{
	struct link_head h;
	struct str body, inner;
	struct link_hello theirs;
	struct link_subscribe s;
	struct link_item item;
	bool system;

	set_up();
	YES(next_frame(&h, &body));
	IS(h.type, LINK_HELLO);
	YES(link_hello_read(body, &theirs));
	IS(theirs.major, LINK_MAJOR);
	IS_STR(theirs.name, "mbus-proxy/0");
	NO(uplink_up(worker->link[0]));
	hello(1);
	YES(uplink_up(worker->link[0]));
	IS(worker->link[0]->minor, LINK_MINOR - 1);
	YES(next_frame(&h, &body));
	IS(h.type, LINK_SUBSCRIBE);
	IS(h.channel, 0);
	YES(link_subscribe_read(body, &s));
	YES(link_subscribe_next(&s, &item));
	YES(link_item_next(&item, &inner, &system));
	IS_STR(inner, "mbus/#");
	tear_down();
}

static void a_worker_is_ready_when_pushes_are_granted(void)
{
	uint8_t granted = 0;

	open_link();
	IS(readies, 0);
	link_suback_write(&say, LINK_SUBACK, 0, 0, 1, &granted, 1);
	tell();
	IS(readies, 1);
	tear_down();
}

static void without_homes_nobody_has_a_link(void)
{
	struct link_head h;
	struct str body;

	set_up();
	YES(next_frame(&h, &body));
	YES(!worker_link_of(worker, 7));
	hello(1);
	YES(worker_link_of(worker, 7) == worker->link[0]);
	tear_down();
}

static void more_homes_get_links_of_their_own(void)
{
	struct link_head h;
	struct str body;

	set_up();
	YES(next_frame(&h, &body));
	hello(3);
	YES(worker->link[1] && worker->link[2] && !worker->link[3]);
	tear_down();
}

static void a_ping_is_answered(void)
{
	struct link_head h;
	struct str body;

	open_link();
	link_bare_write(&say, LINK_PING, 0, 0);
	tell();
	YES(next_frame(&h, &body));
	IS(h.type, LINK_PONG);
	tear_down();
}

static void a_silent_link_is_pinged_each_second_and_dead_after_five(void)
{
	struct link_head h;
	struct str body;

	open_link();
	for (int i = 0; i < 12 && worker->link[0]->state == UPLINK_UP; i++) {
		clock_shift(500 * (i + 1), 0);
		for (int k = 0; k < 3; k++)
			turn();
	}
	listen_up();
	YES(next_frame(&h, &body));
	IS(h.type, LINK_PING);
	IS(worker->link[0]->state != UPLINK_UP, 1);
	tear_down();
}

static bool is_dropped(void)
{
	for (int i = 0; i < 10 && worker->link[0]->state == UPLINK_UP; i++)
		turn();
	return worker->link[0]->state == UPLINK_DOWN;
}

static void nonsense_ends_the_link_and_it_is_dialled_again(void)
{
	open_link();
	buf_bytes(&say, "\x0c\0\0\0\x63\0\0\0\0\0\0\0", 12);
	tell();
	YES(is_dropped());
	sock_close(&core);
	accept_worker();
	YES(core >= 0);
	tear_down();
}

static void what_only_a_proxy_may_say_ends_the_link(void)
{
	open_link();
	link_bare_write(&say, LINK_PAUSE, 1, 1);
	tell();
	YES(is_dropped());
	tear_down();
}

static void another_version_is_not_spoken_to(void)
{
	struct link_hello h = { .major = LINK_MAJOR + 1, .homes = 1, .name = STR("played") };

	set_up();
	link_hello_write(&say, &h);
	tell();
	IS(worker->link[0]->state == UPLINK_UP, 0);
	tear_down();
}

static void frames_cut_anywhere_are_put_together(void)
{
	struct link_head h;
	struct str body;
	struct buf whole = { 0 };

	open_link();
	link_bare_write(&whole, LINK_PING, 0, 0);
	for (size_t i = 0; i < buf_len(&whole); i++) {
		buf_bytes(&say, buf_data(&whole) + i, 1);
		tell();
	}
	YES(next_frame(&h, &body));
	IS(h.type, LINK_PONG);
	buf_free(&whole);
	tear_down();
}

static void a_number_means_another_client_in_its_next_life(void)
{
	struct conn a, b;
	uint32_t number;
	uint16_t generation;

	open_link();
	bare_conn(&a);
	bare_conn(&b);
	IS(uplink_attach(worker->link[0], &a), 0);
	number = a.channel;
	generation = a.generation;
	YES(uplink_find(worker->link[0], number, generation) == &a);
	uplink_detach(&a);
	YES(!uplink_find(worker->link[0], number, generation));
	IS(uplink_attach(worker->link[0], &b), 0);
	IS(b.channel, number);
	YES(!uplink_find(worker->link[0], number, generation));
	YES(uplink_find(worker->link[0], number, b.generation) == &b);
	uplink_detach(&b);
	tear_down();
}

static void frames_for_an_earlier_life_are_only_late(void)
{
	struct conn a;

	open_link();
	bare_conn(&a);
	IS(uplink_attach(worker->link[0], &a), 0);
	link_ack_write(&say, a.channel, (uint16_t)(a.generation + 1), MQTT_PUBACK, 1, 0);
	link_closed_write(&say, a.channel + 1, 1, RC_SESSION_TAKEN_OVER);
	tell();
	IS(worker->n.stale_frames, 2);
	YES(uplink_up(worker->link[0]));
	uplink_detach(&a);
	tear_down();
}

static void many_channels_are_distinct(void)
{
	static struct conn c[300];

	open_link();
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		bare_conn(&c[i]);
		IS(uplink_attach(worker->link[0], &c[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		YES(c[i].channel > 0);
		YES(uplink_find(worker->link[0], c[i].channel, c[i].generation) == &c[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		uplink_detach(&c[i]);
	tear_down();
}

static void a_delivery_outside_every_customer_ends_the_link(void)
{
	struct link_deliver d = { .msg = { .topic = STR("somewhere/else"),
		                           .expiry_s = LINK_NO_EXPIRY } };
	struct link_entry e = { .channel = 0 };

	open_link();
	link_deliver_write(&say, &d, &e, 1);
	tell();
	YES(is_dropped());
	tear_down();
}

static void a_turn_writes_once_however_much_was_said(void)
{
	uint64_t before;

	open_link();
	for (int i = 0; i < 3; i++)
		turn();
	before = worker->n.link_writes;
	for (int i = 0; i < 100; i++)
		link_bare_write(uplink_out(worker->link[0]), LINK_PING, 0, 0);
	turn();
	IS(worker->n.link_writes - before, 1);
	tear_down();
}

static void a_link_nobody_empties_is_full_and_drains_again(void)
{
	struct uplink *u;
	struct buf *out;

	open_link();
	u = worker->link[0];
	for (int i = 0; i < 64; i++) { /* more than both socket buffers take */
		out = uplink_out(u);
		for (int k = 0; k < 6000; k++)
			link_bare_write(out, LINK_PING, 0, 0);
		turn();
	}
	YES(uplink_full(u, 0));
	for (int i = 0; i < 2000 && uplink_full(u, 0); i++) {
		listen_up();
		buf_reset(&heard);
		turn();
	}
	NO(uplink_full(u, 0));
	tear_down();
}

static void one_of(struct conn *c, uint64_t customer)
{
	bare_conn(c);
	c->hold = HOLD_AUTH;
	IS(share_enter(c, customer), 0);
}

static void a_held_customer_is_not_read_and_its_neighbour_is(void)
{
	struct conn a[2], b, late;

	open_link();
	one_of(&a[0], 7);
	one_of(&a[1], 7);
	one_of(&b, 8);
	share_hold(worker, 7, true);
	NO(share_may_read(&a[0]) || share_may_read(&a[1]));
	YES(share_may_read(&b));
	one_of(&late, 7); /* a client that comes now is held too */
	NO(share_may_read(&late));
	share_hold(worker, 7, false);
	YES(share_may_read(&a[0]) && share_may_read(&a[1]) && share_may_read(&late));
	for (int i = 0; i < 2; i++)
		share_leave(&a[i]);
	share_leave(&b);
	share_leave(&late);
	YES(!share_find(worker, 7));
	tear_down();
}

/* REGRANT of many clients is much for the core, which would have to keep it. */
static void rights_of_a_held_customer_are_told_when_it_is_held_no_more(void)
{
	struct conn c;

	open_link();
	one_of(&c, 7);
	IS(uplink_attach(worker->link[0], &c), 0);
	c.state = CONN_OPEN;
	share_hold(worker, 7, true);
	share_regrant(&c);
	turn();
	turn();
	NO(list_empty(&c.regrant));
	share_hold(worker, 7, false);
	turn();
	YES(list_empty(&c.regrant));
	uplink_detach(&c);
	c.state = CONN_CLOSING;
	share_leave(&c);
	tear_down();
}

static void a_customer_stays_held_without_connections_until_its_link_is_lost(void)
{
	struct conn c, later;

	open_link();
	share_hold(worker, 7, true);
	one_of(&c, 7);
	NO(share_may_read(&c));
	share_leave(&c);
	YES(share_find(worker, 7));
	one_of(&later, 7);
	NO(share_may_read(&later));
	shares_go_on(worker, 0);
	YES(share_may_read(&later));
	share_leave(&later);
	YES(!share_find(worker, 7));
	tear_down();
}

RUN(the_worker_says_hello_and_asks_for_pushes, a_worker_is_ready_when_pushes_are_granted,
    without_homes_nobody_has_a_link, more_homes_get_links_of_their_own, a_ping_is_answered,
    a_silent_link_is_pinged_each_second_and_dead_after_five,
    nonsense_ends_the_link_and_it_is_dialled_again, what_only_a_proxy_may_say_ends_the_link,
    another_version_is_not_spoken_to, frames_cut_anywhere_are_put_together,
    a_number_means_another_client_in_its_next_life, frames_for_an_earlier_life_are_only_late,
    many_channels_are_distinct, a_held_customer_is_not_read_and_its_neighbour_is,
    rights_of_a_held_customer_are_told_when_it_is_held_no_more,
    a_customer_stays_held_without_connections_until_its_link_is_lost,
    a_delivery_outside_every_customer_ends_the_link, a_turn_writes_once_however_much_was_said,
    a_link_nobody_empties_is_full_and_drains_again)
