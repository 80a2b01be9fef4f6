/* admin_bus.c - the connection to the core, against a core that the test plays: what is sent, kept,
 * sent again. */
#include "base/base.h"
#include "tests/unit/admin_help.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/bus.h"
#include "base/sock.h"
#include "wire/mqtt_write.h"

static struct bus *bus;
static int listener, peer;
static struct buf in;
static char path[300];
static _Atomic int records;

static void on_record(void *arg, struct str topic, struct str payload)
{
	(void)arg;
	if (str_eq(topic, STR("customer/7/flespi/log/x")) && str_eq(payload, STR("{}")))
		atomic_fetch_add(&records, 1);
}

static void listen_here(void)
{
	const char *why;

	(void)snprintf(path, sizeof(path), "%s", temp_file("core.sock", NULL));
	IS(sock_listen_unix(&listener, path, 0600, &why), 0);
}

static void start(size_t most)
{
	struct bus_config config = {
		.path = path, .queue_most = most, .queue_bytes = 1 << 20, .record = on_record
	};

	atomic_store(&records, 0);
	peer = -1;
	memset(&in, 0, sizeof(in));
	listen_here();
	IS(bus_start(&bus, &config), 0);
}

static void stop(void)
{
	sock_close(&peer);
	sock_close(&listener);
	bus_stop(&bus);
	buf_free(&in);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* The next packet the bus says, or type 0 after ms of silence, or 99 at the end. body is valid
 * until the next call. */
static struct mqtt_head hear(struct str *body, int ms)
{
	static size_t used;
	struct mqtt_head h = { 0 };

	buf_consume(&in, size_min(used, buf_len(&in)));
	used = 0;
	for (;;) {
		enum parse parse = buf_len(&in) ? mqtt_head_read(buf_str(&in), &h) : PARSE_MORE;
		uint8_t *p;
		ssize_t n;

		MUST(parse != PARSE_BAD);
		if (parse == PARSE_OK && buf_len(&in) >= h.size + h.remaining) {
			*body = str_make(buf_data(&in) + h.size, h.remaining);
			used = h.size + h.remaining;
			return h;
		}
		if (!readable(peer, ms))
			return (struct mqtt_head){ 0 };
		p = buf_reserve(&in, 65536);
		n = recv(peer, p, 65536, 0);
		if (n <= 0)
			return (struct mqtt_head){ .type = 99 };
		buf_commit(&in, (size_t)n);
	}
}

static void tell(struct buf *out)
{
	MUST(buf_ok(out) &&
	     send(peer, buf_data(out), buf_len(out), MSG_NOSIGNAL) == (ssize_t)buf_len(out));
	buf_free(out);
}

static void tell_connack(unsigned code, uint16_t window, uint32_t packet_most)
{
	struct mqtt_props props = { .receive_maximum = window, .maximum_packet_size = packet_most };
	struct buf out = { 0 };

	if (window)
		props.has |= UINT64_C(1) << PROP_RECEIVE_MAXIMUM;
	if (packet_most)
		props.has |= UINT64_C(1) << PROP_MAXIMUM_PACKET_SIZE;
	mqtt_connack_write(&out, MQTT_V5, false, code, &props);
	tell(&out);
}

/* Accepts the next connection and greets it. */
static void greet(uint16_t window, uint32_t packet_most)
{
	struct mqtt_connect c;
	struct sock_addr who;
	struct str body;
	bool known;

	sock_close(&peer);
	buf_reset(&in);
	YES(readable(listener, 6000));
	IS(sock_accept(listener, &peer, &who), 0);
	IS(hear(&body, 2000).type, MQTT_CONNECT);
	IS(mqtt_connect_read(body, &c, &known), RC_SUCCESS);
	IS(c.version, MQTT_V5);
	YES(c.clean_start);
	tell_connack(RC_SUCCESS, window, packet_most);
}

static struct mqtt_publish hear_publish(void)
{
	struct mqtt_publish p = { 0 };
	struct str body = STR_NONE;
	struct mqtt_head h = hear(&body, 2000);

	IS(h.type, MQTT_PUBLISH);
	IS(mqtt_publish_read(body, h.flags, MQTT_V5, true, &p), RC_SUCCESS);
	return p;
}

static void acknowledge(uint16_t id, unsigned code)
{
	struct buf out = { 0 };

	mqtt_ack_write(&out, MQTT_PUBACK, MQTT_V5, id, code, NULL);
	tell(&out);
}

static void say(const char *topic)
{
	bus_publish(bus, str_c(topic), STR("{}"));
}

static void every_connection_begins_by_making_all_stale(void)
{
	start(100);
	greet(0, 0);
	IS_STR(hear_publish().topic, "mbus/all");
	greet(0, 0);
	IS_STR(hear_publish().topic, "mbus/all");
	stop();
}

static void what_is_published_comes_in_order_with_qos_1(void)
{
	start(100);
	say("a");
	say("b");
	greet(0, 0);
	for (int i = 0; i < 2; i++) {
		struct mqtt_publish p = hear_publish();

		IS(p.qos, 1);
		YES(p.topic.n == 1 && p.topic.p[0] == 'a' + i);
	}
	IS_STR(hear_publish().topic, "mbus/all");
	stop();
}

static void what_was_not_acknowledged_is_sent_again_before_the_rest(void)
{
	start(100);
	greet(0, 0);
	IS_STR(hear_publish().topic, "mbus/all");
	say("a");
	say("b");
	say("c");
	acknowledge(hear_publish().packet_id, RC_SUCCESS);
	IS_STR(hear_publish().topic, "b");
	IS_STR(hear_publish().topic, "c");
	(void)usleep(50000); /* the acknowledgement of a is read */
	sock_close(&peer);
	say("d");
	greet(0, 0);
	IS_STR(hear_publish().topic, "b");
	IS_STR(hear_publish().topic, "c");
	IS_STR(hear_publish().topic, "d");
	stop();
}

static void no_more_are_under_way_than_the_core_takes(void)
{
	struct mqtt_publish first;
	struct str body;

	start(100);
	greet(1, 0);
	IS_STR(hear_publish().topic, "mbus/all");
	say("a");
	say("b");
	first = hear_publish();
	IS_STR(first.topic, "a");
	IS(hear(&body, 150).type, 0);
	acknowledge(first.packet_id, RC_SUCCESS);
	IS_STR(hear_publish().topic, "b");
	stop();
}

static void an_overflow_keeps_the_first_and_ends_in_making_all_stale(void)
{
	struct bus_counters n;

	start(3);
	for (int i = 0; i < 10; i++)
		say("x");
	bus_count(bus, &n);
	IS(n.dropped, 7);
	greet(0, 0);
	for (int i = 0; i < 3; i++) {
		struct mqtt_publish p = hear_publish();

		IS_STR(p.topic, "x");
		acknowledge(p.packet_id, RC_SUCCESS);
	}
	IS_STR(hear_publish().topic, "mbus/all");
	(void)usleep(50000);
	for (int i = 0; i < 4; i++)
		say("y");
	for (int i = 0; i < 3; i++)
		IS_STR(hear_publish().topic, "y");
	IS_STR(hear_publish().topic, "mbus/all"); /* of the fourth, without a reconnect */
	stop();
}

static void what_the_core_would_not_take_is_dropped_and_all_made_stale(void)
{
	char large[5000];

	start(100);
	greet(0, 2000);
	IS_STR(hear_publish().topic, "mbus/all");
	memset(large, 'x', sizeof(large));
	bus_publish(bus, STR("big"), str_make(large, sizeof(large)));
	IS_STR(hear_publish().topic, "mbus/all");
	say("small");
	IS_STR(hear_publish().topic, "small");
	stop();
}

static void a_refused_publish_makes_all_stale(void)
{
	start(100);
	greet(0, 0);
	IS_STR(hear_publish().topic, "mbus/all");
	say("a");
	acknowledge(hear_publish().packet_id, RC_QUOTA_EXCEEDED);
	IS_STR(hear_publish().topic, "mbus/all");
	stop();
}

static void the_log_is_subscribed_only_while_somebody_follows(void)
{
	struct mqtt_publish p = { .topic = STR("customer/7/flespi/log/x"), .payload = STR("{}") };
	struct mqtt_subscribe s;
	struct mqtt_sub_opts opts;
	struct buf out = { 0 };
	struct str body, filter;

	start(100);
	greet(0, 0);
	IS_STR(hear_publish().topic, "mbus/all");
	bus_follow(bus, true);
	IS(hear(&body, 2000).type, MQTT_SUBSCRIBE);
	IS(mqtt_subscribe_read(body, MQTT_V5, &s), RC_SUCCESS);
	YES(mqtt_subscribe_next(&s, MQTT_V5, &filter, &opts));
	IS_STR(filter, "customer/+/flespi/log/#");
	mqtt_publish_write(&out, MQTT_V5, &p);
	tell(&out);
	for (int i = 0; i < 100 && !atomic_load(&records); i++)
		(void)usleep(10000);
	IS(atomic_load(&records), 1);
	greet(0, 0); /* and again after a reconnect */
	IS(hear(&body, 2000).type, MQTT_SUBSCRIBE);
	IS_STR(hear_publish().topic, "mbus/all");
	bus_follow(bus, false);
	IS(hear(&body, 2000).type, MQTT_UNSUBSCRIBE);
	stop();
}

static void a_core_that_talks_nonsense_is_left_and_tried_again(void)
{
	static const char *const nonsense[] = { "\x40\x02\x00\x09", "\xf0\x00",
		                                "\x20\xff\xff\xff\xff\x7f", "\x10\x00",
		                                "\x30\x01x" };

	start(100);
	for (size_t i = 0; i < ARRAY_LEN(nonsense); i++) {
		struct str body;

		greet(0, 0);
		IS_STR(hear_publish().topic, "mbus/all");
		MUST(send(peer, nonsense[i],
		          i == 1 || i == 3 ? 2
		          : i == 4         ? 3
		          : i == 0         ? 4
		                           : 6,
		          MSG_NOSIGNAL) > 0);
		IS(hear(&body, 2000).type, 99);
	}
	stop();
}

static void what_waits_is_sent_before_the_end(void)
{
	struct mqtt_publish p;
	struct str body;

	start(100);
	greet(0, 0);
	IS_STR(hear_publish().topic, "mbus/all");
	say("last words");
	p = hear_publish();
	IS_STR(p.topic, "last words");
	acknowledge(p.packet_id, RC_SUCCESS);
	(void)usleep(50000);
	bus_stop(&bus);
	IS(hear(&body, 2000).type, MQTT_DISCONNECT);
	stop();
}

static void without_a_core_the_end_comes_at_once(void)
{
	int64_t begin;
	struct bus_config config = { .path = "/nonexistent/mqtt.sock",
		                     .queue_most = 5,
		                     .queue_bytes = 1000 };

	IS(bus_start(&bus, &config), 0);
	say("nobody hears this");
	begin = clock_mono_ms();
	bus_stop(&bus);
	YES(clock_mono_ms() - begin < 900);
}

RUN(every_connection_begins_by_making_all_stale, what_is_published_comes_in_order_with_qos_1,
    what_was_not_acknowledged_is_sent_again_before_the_rest,
    no_more_are_under_way_than_the_core_takes,
    an_overflow_keeps_the_first_and_ends_in_making_all_stale,
    what_the_core_would_not_take_is_dropped_and_all_made_stale, a_refused_publish_makes_all_stale,
    the_log_is_subscribed_only_while_somebody_follows,
    a_core_that_talks_nonsense_is_left_and_tried_again, what_waits_is_sent_before_the_end,
    without_a_core_the_end_comes_at_once)
