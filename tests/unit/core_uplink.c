/* core_uplink.c - the core's side of a link, spoken to over a socket pair. */
#include "tests/unit/core_link_help.h"

#include "base/sock.h"

/* ---- Greeting ---- */
static void both_sides_say_hello(void)
{
	struct link_hello h;

	begin();
	IS(count, 1);
	IS(got[0].head.type, LINK_HELLO);
	YES(link_hello_read(got[0].body, &h));
	IS(h.major, LINK_MAJOR);
	IS(h.homes, 1);
	end();
}

static void another_major_version_is_refused(void)
{
	begin();
	close(fd);
	turn();
	plug_in();
	hello_as(LINK_MAJOR + 1);
	talk();
	YES(is_closed());
	end();
}

static void nothing_comes_before_hello(void)
{
	begin();
	close(fd);
	turn();
	plug_in();
	link_bare_write(&to, LINK_PING, 0, 0);
	talk();
	YES(is_closed());
	end();
}

static void a_second_hello_is_nonsense(void)
{
	begin();
	hello_as(LINK_MAJOR);
	talk();
	YES(is_closed());
	end();
}

static void a_ping_is_answered(void)
{
	begin();
	link_bare_write(&to, LINK_PING, 0, 0);
	talk();
	IS(count, 1);
	IS(got[0].head.type, LINK_PONG);
	end();
}

static void a_silent_link_is_pinged_and_then_dead(void)
{
	begin();
	later(1100);
	talk();
	IS(count, 1);
	IS(got[0].head.type, LINK_PING);
	for (int i = 0; i < 5; i++)
		later(1000);
	IS(uplink_links(uplink), 0);
	IS(home->counters.links_dead, 1);
	end();
}

/* ---- Nonsense ---- */
static void random_bytes_close_that_link_only(void)
{
	int first;

	begin();
	first = fd;
	plug_in();
	buf_bytes(&to, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 13);
	talk();
	IS(uplink_links(uplink), 1);
	close(fd);
	fd = first;
	link_bare_write(&to, LINK_PING, 0, 0);
	talk();
	IS(got[0].head.type, LINK_PONG);
	end();
}

static void a_frame_that_only_the_core_says_is_nonsense(void)
{
	begin();
	link_closed_write(&to, 1, 1, 0);
	talk();
	YES(is_closed());
	end();
}

static void a_name_of_another_customer_closes_the_link(void)
{
	begin();
	say_open(1, 1, "x", 0);
	say_pub(1, 1, "/customer/8/t", "1", 0, 0);
	talk();
	YES(is_closed());
	IS(home->counters.links_broken, 1);
	end();
}

static void opening_a_channel_twice_is_nonsense(void)
{
	begin();
	say_open(1, 1, "x", 0);
	say_open(1, 2, "y", 0);
	talk();
	YES(is_closed());
	end();
}

/* Every frame of a conversation cut short, and with each byte changed: the link may end, the core
 * may not. */
static void damaged_frames_do_no_harm(void)
{
	struct buf whole = { 0 };
	size_t n;

	begin();
	say_open(1, 1, "x", 60);
	say_sub(1, 1, "t/#", 1);
	say_pub(1, 1, "t/1", "payload", 1, 3);
	link_ack_write(&to, 1, 1, MQTT_PUBACK, 1, 0);
	link_close_write(&to, 1, 1, LINK_CLOSE_WILL, 0);
	buf_str_add(&whole, buf_str(&to));
	n = buf_len(&whole);
	buf_reset(&to);
	close(fd);
	turn();
	for (size_t i = 0; i < 2 * n; i++) {
		plug_in();
		hello_as(LINK_MAJOR);
		if (i < n) {
			buf_bytes(&to, buf_data(&whole), i);
		} else {
			size_t at = buf_len(&to) + i - n;

			buf_str_add(&to, buf_str(&whole));
			to.p[to.head + at] ^= (uint8_t)(1 + any_below(255));
		}
		talk();
		close(fd);
		turn();
		IS(uplink_links(uplink), 0);
	}
	fd = -1;
	buf_free(&whole);
	end();
}

/* ---- Channels ---- */
static void a_channel_is_opened_and_answers(void)
{
	struct link_opened o;

	begin();
	say_open(3, 9, "x", 0);
	say_sub(3, 9, "t", 1);
	say_pub(3, 9, "t", "1", 1, 4);
	talk();
	IS(count, 4);
	IS(got[0].head.type, LINK_OPENED);
	IS(got[0].head.channel, 3);
	IS(got[0].head.generation, 9);
	YES(link_opened_read(got[0].body, &o));
	IS(o.reason, 0);
	IS(got[1].head.type, LINK_SUBACK);
	IS(got[2].head.type, LINK_DELIVER);
	IS(got[3].head.type, LINK_ACK);
	end();
}

static void a_resumed_session_is_listed_in_opened(void)
{
	struct link_opened o;
	struct link_sub sub;

	begin();
	say_open(1, 1, "x", 60);
	say_sub(1, 1, "a/+", 1);
	link_close_write(&to, 1, 1, 0, 0);
	say_open(1, 2, "x", 60);
	talk();
	IS(count, 3);
	YES(link_opened_read(got[2].body, &o));
	IS(got[2].head.flags, LINK_OPENED_PRESENT);
	IS(o.count, 1);
	YES(link_opened_next(&o, &sub));
	IS_STR(sub.filter, "a/+");
	IS(sub.opts, 1);
	end();
}

static void a_take_over_frees_the_channel(void)
{
	begin();
	say_open(1, 1, "x", 60);
	say_open(2, 1, "x", 60);
	talk();
	IS(count, 3);
	IS(got[1].head.type, LINK_CLOSED);
	IS(got[1].head.channel, 1);
	IS(got[2].head.type, LINK_OPENED);
	say_open(1, 2, "y", 60);
	talk();
	IS(count, 1);
	IS(got[0].head.type, LINK_OPENED);
	end();
}

static void a_frame_of_an_earlier_generation_is_dropped(void)
{
	begin();
	say_open(1, 1, "x", 0);
	say_sub(1, 1, "t", 0);
	link_close_write(&to, 1, 1, 0, 0);
	say_open(1, 2, "y", 0);
	say_pub(1, 1, "t", "late", 0, 0);
	link_bare_write(&to, LINK_PAUSE, 1, 1);
	link_close_write(&to, 2, 1, 0, 0);
	talk();
	IS(home->counters.stale_frames, 3);
	IS(home->counters.published, 0);
	IS(uplink_links(uplink), 1);
	end();
}

static void one_message_for_many_channels_is_one_frame(void)
{
	struct link_deliver d;

	begin();
	for (uint16_t i = 1; i <= 20; i++) {
		char id[8];

		(void)snprintf(id, sizeof(id), "c%u", i);
		say_open(i, i, id, 0);
		say_sub(i, i, "t", i % 2);
	}
	talk();
	say_pub(1, 1, "t", "hello", 1, 1);
	talk();
	IS(count, 2);
	IS(got[0].head.type, LINK_DELIVER);
	YES(link_deliver_read(got[0].body, &d));
	IS(d.count, 20);
	IS_STR(d.msg.topic, "customer/7/t");
	IS_STR(d.msg.payload, "hello");
	IS(d.customer, 7);
	IS(d.token, 5);
	for (uint32_t i = 0; i < d.count; i++) {
		struct link_entry e = link_deliver_entry(&d, i);

		IS(e.generation, e.channel);
		IS(e.flags, e.channel % 2);
		IS(e.packet_id, e.channel % 2);
	}
	end();
}

static void order_on_a_channel_is_kept(void)
{
	struct link_deliver d;

	begin();
	say_open(1, 1, "x", 0);
	say_sub(1, 1, "#", 1);
	talk();
	say_pub(1, 1, "a", "1", 1, 1);
	say_pub(1, 1, "b", "2", 0, 0);
	say_pub(1, 1, "c", "3", 2, 2);
	talk();
	IS(count, 5);
	YES(link_deliver_read(got[0].body, &d));
	IS_STR(d.msg.payload, "1");
	IS(got[1].head.type, LINK_ACK);
	YES(link_deliver_read(got[2].body, &d));
	IS_STR(d.msg.payload, "2");
	YES(link_deliver_read(got[3].body, &d));
	IS_STR(d.msg.payload, "3");
	IS(got[4].head.type, LINK_ACK);
	end();
}

/* ---- Channel 0 ---- */
static void the_link_itself_publishes_for_any_customer(void)
{
	begin();
	say_open(1, 1, "x", 0);
	say_sub(1, 1, "flespi/log/#", 0);
	talk();
	say_pub(0, 0, "/customer/7/flespi/log/x", "event", 0, 0);
	talk();
	IS(count, 1);
	IS(got[0].head.type, LINK_DELIVER);
	end();
}

/* As mbus-admin does. */
static void publish_change(void)
{
	struct link_msg change = { .topic = STR("mbus/token/7/1"),
		                   .payload = STR("changed"),
		                   .expiry_s = LINK_NO_EXPIRY };
	struct msg *m = msg_new(&change, 0, false, 0, NULL, home_wall(home));

	MUST(m);
	(void)home_publish(home, m);
	msg_put(&m);
}

static void the_link_itself_hears_what_changed(void)
{
	struct link_deliver d;

	begin();
	say_sub(0, 0, "/mbus/#", 1);
	talk();
	IS(count, 1);
	IS(got[0].head.type, LINK_SUBACK);
	publish_change();
	talk();
	IS(count, 1);
	YES(link_deliver_read(got[0].body, &d));
	IS(link_deliver_entry(&d, 0).channel, 0);
	IS_STR(d.msg.topic, "mbus/token/7/1");
	end();
}

static void trusted_names_reach_no_customer(void)
{
	begin();
	say_open(1, 1, "x", 0);
	say_sub(1, 1, "#", 0);
	talk();
	publish_change();
	talk();
	IS(count, 0);
	end();
}

static void the_link_itself_says_qos_1_at_most(void)
{
	begin();
	say_pub(0, 0, "/customer/7/flespi/log/x", "1", 1, 1);
	talk();
	IS(count, 1);
	IS(got[0].head.type, LINK_ACK);
	IS(got[0].head.channel, 0);
	say_pub(0, 0, "/customer/7/flespi/log/x", "1", 2, 1);
	talk();
	YES(is_closed());
	end();
}

/* ---- Full, lost, ended ---- */
static void a_full_link_counts_as_paused_until_it_is_drained(void)
{
	static char big[60001];
	struct link_deliver d;
	unsigned delivered = 0;

	memset(big, 'x', 60000);
	begin();
	config.link_high = 1 << 20;
	say_open(1, 1, "x", 0);
	say_sub(1, 1, "flespi/log/q0", 0);
	say_sub(1, 1, "flespi/log/q1", 1);
	talk();
	/* Nobody reads: the kernel takes some, the link up to its mark; then the customer waits for
	 * a moment, and the rest of QoS 0 is dropped. */
	for (int i = 0; i < 60; i++) {
		say_pub(0, 0, "flespi/log/q0", big, 0, 0);
		while (buf_len(&to)) {
			ssize_t n = send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL);

			if (n > 0)
				buf_consume(&to, (size_t)n);
			turn();
		}
	}
	IS(home->counters.dropped_paused, 0);
	later(2 * WORK_SLOW_MS);
	turn();
	YES(home->counters.dropped_paused > 0);
	IS(home->counters.link_full, 1);
	say_pub(0, 0, "flespi/log/q1", "queued", 0, 0);
	say_pub(1, 1, "flespi/log/q1", "queued", 1, 1);
	talk(); /* reads: drains */
	for (unsigned i = 0; i < count; i++) {
		if (got[i].head.type == LINK_DELIVER && link_deliver_read(got[i].body, &d) &&
		    str_eq(d.msg.payload, STR("queued")))
			delivered++;
	}
	IS(delivered, 1);
	end();
}

static void running_out_of_memory_costs_one_client_or_the_link(void)
{
	unsigned long n = 1;

	for (bool failed = true; failed; n++) {
		begin();
		say_open(300, 1, "x", 60);
		say_sub(300, 1, "t/#", 1);
		say_pub(300, 1, "t/1", "payload", 1, 3);
		MUST(send(fd, buf_data(&to), buf_len(&to), 0) == (ssize_t)buf_len(&to));
		buf_reset(&to);
		mem_fail_at(n, false);
		turn();
		failed = mem_count() >= n;
		mem_fail_at(0, false);
		if (uplink_links(uplink)) {
			link_bare_write(&to, LINK_PING, 0, 0);
			talk();
			IS(got[count - 1].head.type, LINK_PONG);
		}
		end();
	}
	YES(n > 10);
}

static void who_makes_us_answer_and_does_not_read_is_cut_off(void)
{
	begin();
	config.link_high = 64 << 10;
	say_open(1, 1, "x", 0);
	talk();
	for (int i = 0; i < 400 && uplink_links(uplink); i++) {
		for (int k = 0; k < 1000 && buf_len(&to) < 60000; k++)
			say_pub(1, 1, "t", "", 1, 1);
		ssize_t n = send(fd, buf_data(&to), buf_len(&to), MSG_NOSIGNAL);

		if (n > 0)
			buf_consume(&to, (size_t)n);
		later(50);
	}
	IS(uplink_links(uplink), 0);
	IS(home->counters.links_dead, 1);
	end();
}

static void wills_of_a_lost_link_wait_for_the_grace(void)
{
	struct link_open o = { .version = MQTT_V5,
		               .receive_maximum = 10,
		               .customer = 7,
		               .token = 5,
		               .client_id = STR("x"),
		               .will = { .topic = STR("customer/7/w"),
		                         .payload = STR("bye"),
		                         .expiry_s = LINK_NO_EXPIRY } };

	begin();
	link_open_write(&to, 1, 1, LINK_OPEN_WILL, &o);
	talk();
	close(fd);
	turn();
	IS(uplink_links(uplink), 0);
	IS(home->counters.lost, 1);
	IS(home->counters.wills_fired, 0);
	plug_in();
	later(config.will_grace + 100);
	IS(home->counters.wills_fired, 1);
	end();
}

static void open_of(uint32_t channel, uint64_t customer, bool will)
{
	char id[16], topic[32];
	struct link_open o = { .version = MQTT_V5,
		               .receive_maximum = 10,
		               .customer = customer,
		               .token = 5,
		               .session_expiry_s = 60 };

	(void)snprintf(id, sizeof(id), "c%u", channel);
	(void)snprintf(topic, sizeof(topic), "customer/%u/w", (unsigned)customer);
	o.client_id = str_c(id);
	o.will = (struct link_msg){ .topic = str_c(topic),
		                    .payload = STR("bye"),
		                    .expiry_s = LINK_NO_EXPIRY };
	link_open_write(&to, channel, 1, will ? LINK_OPEN_WILL : 0, &o);
}

/* A link with many clients of customer 7 and one of customer 8 is lost. */
static void lose_many(unsigned n)
{
	begin();
	for (uint32_t i = 1; i <= n; i++)
		open_of(i, 7, true);
	open_of(n + 1, 8, true);
	talk();
	IS(home->counters.opened, n + 2); /* and the link's own */
	home->most.slice = home->most.turn = 2000;
	close(fd);
	for (int i = 0; i < 10 && uplink_links(uplink); i++)
		loop_turn(home->loop, 0);
	IS(uplink_links(uplink), 0);
}

static void clients_of_a_lost_link_are_lost_in_slices(void)
{
	uint64_t spent, most = 0;

	lose_many(1000);
	YES(home->counters.lost < 100);
	for (int i = 0; i < 5; i++)
		loop_turn(home->loop, 0);
	IS_STR(session_id(session_find(customer_find(home, 8), STR("c1001"))), "c1001");
	YES(!session_find(customer_find(home, 8), STR("c1001"))->port);
	YES(home->counters.lost < 200);
	for (int i = 0; i < 200; i++) {
		spent = home->spent;
		loop_turn(home->loop, 0);
		most = home->spent - spent > most ? home->spent - spent : most;
	}
	IS(home->counters.lost, 1001);
	YES(most < 4000);
	end();
}

/* It comes back on another link before its turn to be lost has come: that is done first. */
static void a_client_that_comes_back_at_once_was_lost_before(void)
{
	lose_many(1000);
	plug_in();
	hello_as(LINK_MAJOR);
	open_of(1000, 7, false);
	for (int i = 0; i < 30; i++)
		talk();
	IS(home->counters.lost, 1001);
	IS(home->counters.taken_over, 0);
	IS(home->counters.wills_cancelled, 1);
	IS(home->counters.wills_fired, 0);
	YES(session_find(customer_find(home, 7), STR("c1000"))->port);
	end();
}

/* The program ends while they wait for that. */
static void clients_of_a_lost_link_do_not_outlive_the_home(void)
{
	for (unsigned told = 0; told < 2; told++) {
		lose_many(1000);
		if (told)
			sessions_close(home, RC_SERVER_SHUTTING_DOWN);
		fd = -1;
		end();
	}
}

/* A proxy that lets a client go: the same, for that client alone. */
static void a_client_let_go_has_the_grace_of_a_lost_link(void)
{
	struct link_open o = { .version = MQTT_V5,
		               .receive_maximum = 10,
		               .customer = 7,
		               .token = 5,
		               .session_expiry_s = 60,
		               .client_id = STR("x"),
		               .will = { .topic = STR("customer/7/w"),
		                         .payload = STR("bye"),
		                         .expiry_s = LINK_NO_EXPIRY } };

	for (unsigned comes_back = 0; comes_back < 2; comes_back++) {
		begin();
		link_open_write(&to, 1, 1, LINK_OPEN_WILL, &o);
		talk();
		link_close_write(&to, 1, 1, LINK_CLOSE_GRACE, 0);
		talk();
		IS(uplink_links(uplink), 1);
		IS(home->counters.wills_fired, 0);
		if (comes_back) {
			link_open_write(&to, 1, 2, 0, &o);
			talk();
		}
		later(config.will_grace / 2);
		IS(home->counters.wills_fired, 0);
		link_bare_write(&to, LINK_PING, 0, 0);
		talk();
		later(config.will_grace / 2 + 100);
		IS(home->counters.wills_fired, !comes_back);
		end();
	}
}

static void the_end_tells_every_client(void)
{
	uint8_t reason;

	begin();
	say_open(1, 1, "x", 0);
	talk();
	sessions_close(home, RC_SERVER_SHUTTING_DOWN);
	talk();
	IS(count, 1);
	IS(got[0].head.type, LINK_CLOSED);
	YES(link_closed_read(got[0].body, &reason));
	IS(reason, RC_SERVER_SHUTTING_DOWN);
	end();
}

static void links_are_served_through_the_socket(void)
{
	begin();
	IS(access(temp_file("link-0.sock", NULL), F_OK), 0);
	end();
	IS(access(temp_file("link-0.sock", NULL), F_OK), -1);
}

static void beyond_the_most_there_is_no_further_link_until_one_has_gone(void)
{
	const char *path = temp_file("link-0.sock", NULL);
	int more[3];

	begin();
	config.links_max = 2;
	IS(sock_dial_unix(&more[0], path), 0);
	turn();
	IS(uplink_links(uplink), 2);
	IS(sock_dial_unix(&more[1], path), 0);
	turn();
	IS(uplink_links(uplink), 2);
	IS(home->counters.links_refused, 1);
	close(more[0]);
	turn();
	IS(sock_dial_unix(&more[2], path), 0);
	turn();
	IS(uplink_links(uplink), 2);
	IS(home->counters.links_refused, 1);
	close(more[1]);
	close(more[2]);
	end();
}

RUN(both_sides_say_hello, another_major_version_is_refused, nothing_comes_before_hello,
    a_second_hello_is_nonsense, a_ping_is_answered, a_silent_link_is_pinged_and_then_dead,
    random_bytes_close_that_link_only, a_frame_that_only_the_core_says_is_nonsense,
    a_name_of_another_customer_closes_the_link, opening_a_channel_twice_is_nonsense,
    damaged_frames_do_no_harm, a_channel_is_opened_and_answers,
    a_resumed_session_is_listed_in_opened, a_take_over_frees_the_channel,
    a_frame_of_an_earlier_generation_is_dropped, one_message_for_many_channels_is_one_frame,
    order_on_a_channel_is_kept, the_link_itself_publishes_for_any_customer,
    the_link_itself_hears_what_changed, trusted_names_reach_no_customer,
    the_link_itself_says_qos_1_at_most, a_full_link_counts_as_paused_until_it_is_drained,
    wills_of_a_lost_link_wait_for_the_grace, clients_of_a_lost_link_are_lost_in_slices,
    a_client_that_comes_back_at_once_was_lost_before,
    clients_of_a_lost_link_do_not_outlive_the_home, a_client_let_go_has_the_grace_of_a_lost_link,
    running_out_of_memory_costs_one_client_or_the_link,
    who_makes_us_answer_and_does_not_read_is_cut_off, the_end_tells_every_client,
    links_are_served_through_the_socket,
    beyond_the_most_there_is_no_further_link_until_one_has_gone)
