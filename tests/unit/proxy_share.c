/* What customers on one worker have of each other: frames to the core leave in turns, frames of the
 * core are worked on in turns, and nobody's wait behind a neighbour's. */
#include <stdlib.h>
#include <sys/ioctl.h>

#include "tests/unit/proxy_link_help.h"

#include "proxy/door.h"
#include "proxy/later.h"
#include "proxy/listen.h"
#include "proxy/partial.h"
#include "proxy/share.h"

enum { CUSTOMERS = 3 };

static struct conn client[CUSTOMERS];

/* Customers 7, 8 and 9, each with a client that has a channel. */
static void open_customers(void)
{
	open_link();
	for (unsigned i = 0; i < CUSTOMERS; i++) {
		bare_conn(&client[i]);
		client[i].hold = HOLD_AUTH;
		IS(share_enter(&client[i], 7 + i), 0);
		IS(uplink_attach(worker->link[0], &client[i]), 0);
	}
}

static void close_customers(void)
{
	for (unsigned i = 0; i < CUSTOMERS; i++) {
		uplink_detach(&client[i]);
		client[i].state = CONN_CLOSING;
	}
	uplink_forget_out(worker->link[0]);
	later_forget(worker->link[0]);
	for (unsigned i = 0; i < CUSTOMERS; i++)
		share_leave(&client[i]);
	tear_down();
}

/* A message of so many bytes, numbered. */
static void say_message(struct conn *c, uint16_t number, size_t size)
{
	static const char filler[8192];
	struct link_publish p = { .packet_id = number, .msg.expiry_s = LINK_NO_EXPIRY };

	MUST(size <= sizeof(filler));
	p.msg.topic = STR("customer/7/t");
	p.msg.payload = str_make(filler, size);
	link_publish_write(uplink_say(c), c->channel, c->generation, 1, &p);
}

static void fill_socket(struct conn *c)
{
	for (unsigned i = 0; i < 2000; i++)
		say_message(c, 1, 8192);
	turn();
}

static void what_one_customer_says_does_not_stand_before_anothers(void)
{
	struct link_head h;
	struct str body;
	size_t before = 0, waiting;

	open_customers();
	fill_socket(&client[0]);
	waiting = buf_len(&client[0].share->out);
	YES(waiting > (8u << 20));
	say_message(&client[1], 2, 10);
	do {
		YES(next_frame(&h, &body));
		before += h.length;
	} while (h.channel != client[1].channel);
	/* only what the socket had already, and the frame that was cut by its end */
	YES(before < (4u << 20));
	YES(buf_len(&client[0].share->out) > (4u << 20));
	close_customers();
}

static void the_links_own_frames_leave_first(void)
{
	struct link_head h;
	struct str body;
	unsigned others = 0;

	open_customers();
	fill_socket(&client[0]);
	say_message(&client[1], 2, 10);
	link_bare_write(uplink_out(worker->link[0]), LINK_PING, 0, 0);
	do {
		YES(next_frame(&h, &body));
		others += h.channel == client[1].channel;
	} while (h.type != LINK_PING);
	IS(others, 0);
	close_customers();
}

static void only_who_fills_the_link_is_not_read(void)
{
	open_customers();
	fill_socket(&client[0]);
	say_message(&client[1], 2, 10);
	YES(uplink_full_for(&client[0]));
	NO(uplink_full_for(&client[1]));
	NO(uplink_full_for(&client[2]));
	YES(uplink_full(worker->link[0], 7));
	NO(uplink_full(worker->link[0], 8));
	close_customers();
}

/* As many as it has may be silent: holding them, and letting them go on, takes no longer. */
static void a_stopped_customers_readable_clients_wait_and_are_read_when_it_goes_on(void)
{
	struct customer_share *s;

	open_customers();
	s = client[0].share;
	share_hold(worker, 7, true);
	share_stop(s, SHARE_FULL);
	share_wait(&client[0], false);
	share_wait(&client[1], false);
	NO(shares_done(worker)); /* 8 is read in this turn ... */
	list_del(&client[1].unread);
	list_del(&client[1].share->unread_node);
	YES(shares_done(worker)); /* ... and for 7 nothing keeps the worker awake */
	share_hold(worker, 7, false);
	YES(shares_done(worker)); /* too much of it waits for the core, still */
	share_go_on(worker, s, SHARE_FULL);
	NO(shares_done(worker));
	list_del(&client[0].unread);
	list_del(&s->unread_node);
	close_customers();
}

/* Of two active customers the socket takes little, often less than one of them may send at a time:
 * the other one comes first in the next write. */
static void a_customer_that_fills_the_socket_alone_does_not_starve_its_neighbour(void)
{
	struct link_head h;
	struct str body;
	size_t before = 0;

	open_customers();
	for (unsigned i = 0; i < 2; i++)
		slices_busy(&worker->slices, &client[i].share->window);
	slices_next(&worker->slices, loop_now(worker->loop));
	YES(slices_contended(&worker->slices));
	fill_socket(&client[0]);
	say_message(&client[1], 2, 10);
	do {
		YES(next_frame(&h, &body));
		before += h.length;
	} while (h.channel != client[1].channel && before < (1u << 20));
	IS(h.channel, client[1].channel);
	YES(before < (128u << 10)); /* the socket held no more */
	YES(buf_len(&client[0].share->out) > (4u << 20));
	close_customers();
}

/* 8 KiB of each of forty others stood before it. */
static void a_frame_stands_behind_little_however_many_neighbours_have_more(void)
{
	enum { MANY = 40, EACH = 30 };
	static struct conn many[MANY];
	struct link_head h;
	struct str body;
	size_t before = 0;
	int lies = 0;

	open_customers();
	for (unsigned i = 0; i < 2; i++)
		slices_busy(&worker->slices, &client[i].share->window);
	slices_next(&worker->slices, loop_now(worker->loop));
	for (unsigned i = 0; i < MANY; i++) {
		bare_conn(&many[i]);
		many[i].hold = HOLD_AUTH;
		IS(share_enter(&many[i], 100 + i), 0);
		IS(uplink_attach(worker->link[0], &many[i]), 0);
		for (uint16_t k = 0; k < EACH; k++)
			say_message(&many[i], k, 1000);
	}
	turn();
	MUST(ioctl(worker->link[0]->watch.fd, TIOCOUTQ, &lies) == 0);
	say_message(&client[1], 2, 10);
	do {
		YES(next_frame(&h, &body));
		before += h.length;
	} while (h.channel != client[1].channel && before < (2u << 20));
	IS(h.channel, client[1].channel);
	/* behind what the socket has taken already, a frame of each */
	YES(before < (size_t)lies + MANY * 2 * 1200);
	for (unsigned i = 0; i < MANY; i++) {
		uplink_detach(&many[i]);
		many[i].state = CONN_CLOSING;
	}
	uplink_forget_out(worker->link[0]);
	for (unsigned i = 0; i < MANY; i++)
		share_leave(&many[i]);
	close_customers();
}

/* However the socket cuts it, the core reads whole frames, and each customer's in their order. */
static void frames_of_many_are_never_mixed_up(void)
{
	uint16_t said[CUSTOMERS] = { 0 }, got[CUSTOMERS] = { 0 };
	struct link_head h;
	struct str body;
	unsigned left = 0;

	open_customers();
	srand(9);
	for (unsigned round = 0; round < 300; round++) {
		for (unsigned i = 0; i < CUSTOMERS; i++) {
			for (int n = rand() % (i == 0 ? 40 : 6); n > 0; n--, left++)
				say_message(&client[i], ++said[i], (size_t)(rand() % 8000));
		}
		if (rand() % 4 == 0)
			link_bare_write(uplink_out(worker->link[0]), LINK_PING, 0, 0);
		turn();
		for (int n = rand() % 60; left && (n > 0 || round == 299); n--) {
			struct link_publish p;
			unsigned i = 0;

			YES(next_frame(&h, &body));
			if (h.type == LINK_PING)
				continue;
			IS(h.type, LINK_PUBLISH);
			while (client[i].channel != h.channel)
				i++;
			YES(link_publish_read(body, h.flags, &p));
			IS(p.packet_id, ++got[i]);
			left--;
		}
	}
	IS(left, 0);
	close_customers();
}

/* Else another customer's OPEN of the number could overtake the CLOSE. */
static void a_number_is_free_when_its_last_frame_has_left(void)
{
	struct conn late, later;
	uint32_t number;

	open_customers();
	number = client[0].channel;
	fill_socket(&client[0]);
	uplink_detach(&client[0]);
	bare_conn(&late);
	IS(share_enter(&late, 8), 0);
	IS(uplink_attach(worker->link[0], &late), 0);
	NO(late.channel == number);
	while (buf_len(&client[0].share->out)) {
		listen_up();
		buf_reset(&heard);
		turn();
	}
	bare_conn(&later);
	IS(share_enter(&later, 9), 0);
	IS(uplink_attach(worker->link[0], &later), 0);
	IS(later.channel, number);
	uplink_detach(&late);
	uplink_detach(&later);
	share_leave(&late);
	share_leave(&later);
	close_customers();
}

/* ---- Frames of the core ---- */

/* An acknowledgement for a client that is closing: worked on, and without an effect. */
static void core_says(const struct conn *c, unsigned frames)
{
	for (unsigned i = 0; i < frames; i++)
		link_closed_write(&say, c->channel, c->generation, 0x97);
}

static void frames_beyond_the_slice_wait_for_the_next_turn_and_others_do_not(void)
{
	struct customer_share *a, *b;

	open_customers();
	a = client[0].share;
	b = client[1].share;
	/* its slice of this turn is used up */
	slice_charge(&worker->slices, &a->deliver, 1u << 30);
	link_ack_write(&say, client[0].channel, client[0].generation, MQTT_PUBACK, 1, 0);
	IS(send(core, buf_data(&say), buf_len(&say), MSG_NOSIGNAL), buf_len(&say));
	buf_reset(&say);
	turn();
	IS(buf_len(&a->later) > 0, true);
	IS(buf_len(&b->later), 0);
	IS(worker->later_bytes, buf_len(&a->later));
	NO(later_due(worker->link[0], b));
	YES(later_due(worker->link[0], a));
	close_customers();
}

static void a_link_of_which_too_much_waits_is_not_read_until_less_does(void)
{
	struct customer_share *a;
	struct uplink *u;

	open_customers();
	a = client[0].share;
	u = worker->link[0];
	worker->slices = (struct slices){ 0 }; /* it is alone */
	slice_charge(&worker->slices, &a->deliver, 1u << 30);
	for (unsigned i = 0; i < 60; i++) {
		core_says(&client[0], 1000);
		(void)!send(core, buf_data(&say), buf_len(&say), MSG_NOSIGNAL | MSG_DONTWAIT);
		buf_reset(&say);
		slice_charge(&worker->slices, &a->deliver, 1u << 30);
		turn();
	}
	YES(u->deaf);
	YES(worker->later_bytes < (1u << 20));
	YES(uplink_up(u));
	later_forget(u);
	NO(u->deaf);
	IS(worker->later_bytes, 0);
	close_customers();
}

/* Frames for a client that wait, of a worker on which so many customers are active. Is it paused?
 */
static bool paused_beside(unsigned customers, unsigned frames)
{
	struct customer_share *a = client[0].share;

	worker->slices = (struct slices){ .since = loop_now(worker->loop), .busy = customers };
	slices_next(&worker->slices, loop_now(worker->loop));
	slice_charge(&worker->slices, &a->deliver, 1u << 30);
	core_says(&client[0], frames);
	IS(send(core, buf_data(&say), buf_len(&say), MSG_NOSIGNAL), buf_len(&say));
	buf_reset(&say);
	turn();
	return a->later_paused;
}

/* Together they would have so much waiting that the link is not read any more, for nobody. */
static void of_many_customers_each_is_paused_the_sooner(void)
{
	open_customers();
	NO(paused_beside(2, 2000)); /* 26 KB */
	YES(buf_len(&client[0].share->later) > (20u << 10));
	later_forget(worker->link[0]);
	YES(paused_beside(1000, 2000));
	IS(worker->n.customers_paused, 1);
	NO(worker->link[0]->deaf);
	close_customers();
}

/* ---- Deadlines ---- */

static void deadlines_beyond_the_slice_wait_in_the_share_and_others_do_not(void)
{
	open_customers();
	for (unsigned i = 0; i < CUSTOMERS; i++) {
		timer_init(&client[i].timer, NULL);
		uplink_detach(&client[i]);
		client[i].state = CONN_CLOSING; /* its deadline: it has lingered long enough */
	}
	/* its slice of this turn is used up */
	slice_charge(&worker->slices, &client[0].share->ends, 1u << 30);
	share_due(&client[0]);
	share_due(&client[1]);
	NO(shares_done(worker));
	shares_due(worker);
	NO(client[0].done);
	YES(client[1].done);
	NO(list_empty(&worker->dues)); /* and so the next turn comes at once */
	client[0].share->ends.spent = 0;
	shares_due(worker);
	YES(client[0].done);
	YES(list_empty(&worker->dues));
	for (unsigned i = 0; i < CUSTOMERS; i++) {
		list_del(&client[i].todo);
		list_del(&client[i].share->dirty_node);
	}
	close_customers();
}

/* ---- Half-received packets of very many addresses ---- */

static struct door door;
static struct listener settings;

/* A connection without a token, from an address of its own, that holds so many bytes. */
static struct conn *stranger(unsigned nth, int fd, size_t bytes)
{
	struct sock_addr peer = { .bytes = { 0x20, 0x01, (uint8_t)(nth >> 8), (uint8_t)nth } };
	struct conn *c;

	conn_new(&door, dup(fd), &peer, NULL);
	c = container_of(worker->conns.prev, struct conn, node);
	IS(partial_set(c, bytes), 0);
	return c;
}

static void the_largest_of_many_addresses_is_found_at_once(void)
{
	enum { ADDRESSES = 500, EACH = 300 };
	struct partial_pool *p;
	struct conn *great;
	int pair[2];

	open_customers();
	config.connect_deadline = 60000;
	settings = (struct listener){ .config = &config, .tls = -1 };
	door_init(&door, worker, &door_kinds[0], &settings, -1);
	IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	p = &worker->partial_strangers;
	p->most = ADDRESSES * EACH + 10 * EACH;
	great = stranger(0, pair[0], 9 * EACH);
	for (unsigned i = 1; i <= ADDRESSES; i++)
		(void)stranger(i, pair[0], EACH);
	IS(p->looked, 0);
	(void)stranger(ADDRESSES + 1, pair[0], 2 * EACH); /* too much */
	IS(great->state, CONN_CLOSING);                   /* first of all */
	IS(worker->n.partials_closed, 24);                /* then a sixteenth */
	YES(p->looked <= 24 * 64);
	YES(p->bytes <= p->most - p->most / 16);
	for (struct list *n = worker->conns.next, *next; n != &worker->conns; n = next) {
		next = n->next;
		conn_close(container_of(n, struct conn, node), END_GONE);
	}
	for (unsigned i = 0; i < 200 && worker->conn_count; i++)
		turn();
	IS(worker->conn_count, 0);
	IS(p->bytes, 0);
	close(pair[0]);
	close(pair[1]);
	close_customers();
}

/* ---- Last words ---- */

static int unread_of(const struct conn *c)
{
	int n = -1;

	IS(ioctl(c->watch.fd, FIONREAD, &n), 0);
	return n;
}

static void what_comes_after_the_last_words_is_read_in_turn_too(void)
{
	static const char block[10000];
	struct conn *c;
	int pair[2];

	open_customers();
	config.connect_deadline = 60000;
	settings = (struct listener){ .config = &config, .tls = -1 };
	door_init(&door, worker, &door_kinds[0], &settings, -1);
	IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	c = stranger(0, pair[0], 0);
	close(pair[0]);
	conn_close(c, END_NOT_MQTT);
	c->said_end = true;
	turn();
	YES(c->lingering);
	slice_charge(&worker->slices, &worker->strangers.read, 1u << 30);
	IS(send(pair[1], block, sizeof(block), MSG_NOSIGNAL), sizeof(block));
	turn();
	IS(unread_of(c), sizeof(block));
	YES(c->linger_waits);
	worker->strangers.read.spent = 0;
	turn();
	IS(unread_of(c), 0);
	NO(c->linger_waits);
	YES(worker->strangers.read.spent >= sizeof(block) / SLICE_BYTES);
	close(pair[1]);
	for (unsigned i = 0; i < 200 && worker->conn_count; i++)
		turn();
	IS(worker->conn_count, 0);
	close_customers();
}

/* Ends by deadlines that one customer's clients get in a turn. */
static unsigned ends_of(struct conn *c)
{
	unsigned n = 0;

	for (; n < 10000 && slice_open(&worker->slices, &c->share->ends); n++)
		share_ended(c);
	return n;
}

static void deadlines_of_thousands_end_a_few_in_each_turn_and_a_neighbours_none_the_less(void)
{
	unsigned first, second;

	open_customers();
	worker_touch(worker);
	turn();
	first = ends_of(&client[0]);
	YES(first > 0 && first < 1000);
	IS(ends_of(&client[1]), first);
	worker_touch(worker);
	turn();
	second = ends_of(&client[0]);
	YES(second > 0 && second <= first);
	close_customers();
}

RUN(what_one_customer_says_does_not_stand_before_anothers, the_links_own_frames_leave_first,
    only_who_fills_the_link_is_not_read,
    a_stopped_customers_readable_clients_wait_and_are_read_when_it_goes_on,
    a_customer_that_fills_the_socket_alone_does_not_starve_its_neighbour,
    a_frame_stands_behind_little_however_many_neighbours_have_more,
    frames_of_many_are_never_mixed_up, a_number_is_free_when_its_last_frame_has_left,
    frames_beyond_the_slice_wait_for_the_next_turn_and_others_do_not,
    a_link_of_which_too_much_waits_is_not_read_until_less_does,
    of_many_customers_each_is_paused_the_sooner,
    deadlines_beyond_the_slice_wait_in_the_share_and_others_do_not,
    what_comes_after_the_last_words_is_read_in_turn_too,
    the_largest_of_many_addresses_is_found_at_once,
    deadlines_of_thousands_end_a_few_in_each_turn_and_a_neighbours_none_the_less)
