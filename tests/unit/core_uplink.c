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
    the_link_itself_says_qos_1_at_most, links_are_served_through_the_socket,
    beyond_the_most_there_is_no_further_link_until_one_has_gone)
