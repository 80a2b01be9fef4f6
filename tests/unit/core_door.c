/* core_door.c - the trusted MQTT door on a real home and a real socket: what goes in as packets comes out as packets. */
#include "tests/kit/kit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rcu.h"
#include "base/sock.h"
#include "core/door.h"
#include "wire/mqtt_write.h"

enum { PATIENCE_S = 20 };

/* ---- A home with a door ---- */
static struct {
	struct core_config config;
	struct home *home, *all[1];
	struct door *door;
	const char *path;
} core;

static void start_with(char *option, char *value)
{
	char *argv[] = { (char *)"mbus-core", (char *)"--homes", (char *)"1", (char *)"--dir", (char *)temp_dir(), option, value, NULL };
	struct opt_set set = core_opts;
	const char *why = NULL;

	memset(&core, 0, sizeof(core));
	set.config = &core.config;
	MUST(opts_read(&set, option ? 7 : 5, argv) == OPT_RUN);
	MUST(core_config_finish(&core.config, &why) == 0);
	MUST(home_new(&core.home, &core.config, 0, &why) == 0);
	core.all[0] = core.home;
	home_know(core.home, core.all, 1);
	core.path = temp_file("mqtt.sock", NULL);
	MUST(door_open(&core.door, core.home, core.path, &why) == 0);
	MUST(home_run(core.home) == 0);
}

static void start(void)
{
	start_with(NULL, NULL);
}

static void stop(void)
{
	struct opt_set set = core_opts;

	home_end(core.home);
	door_close(&core.door);
	home_free(&core.home);
	set.config = &core.config;
	opts_free(&set);
}

/* ---- A client ---- */
struct client {
	int fd;
	uint8_t version;
	struct buf in, out;
	struct mqtt_head head;                  /* of the packet that receive() gave last */
	struct str body;
	size_t whole;
};

static struct client dial(uint8_t version)
{
	struct client c = { .fd = -1, .version = version };
	struct timeval patience = { .tv_sec = PATIENCE_S };

	IS(sock_dial_unix(&c.fd, core.path), 0);
	YES(setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
	YES(setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0);
	return c;
}

static void wait_for_socket(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	YES(poll(&p, 1, PATIENCE_S * 1000) == 1);
}

static void flush(struct client *c)
{
	while (buf_len(&c->out)) {
		ssize_t n = send(c->fd, buf_data(&c->out), buf_len(&c->out), MSG_NOSIGNAL);

		if (n < 0) {
			wait_for_socket(c->fd, POLLOUT);
			continue;
		}
		buf_consume(&c->out, (size_t)n);
	}
}

/* The next packet: its type, or 0 when the door has closed. */
static unsigned receive(struct client *c)
{
	flush(c);
	if (c->whole)
		buf_consume(&c->in, c->whole);
	c->whole = 0;
	for (;;) {
		ssize_t n;

		if (mqtt_head_read(buf_str(&c->in), &c->head) == PARSE_OK && buf_len(&c->in) >= c->head.size + c->head.remaining)
			break;
		wait_for_socket(c->fd, POLLIN);
		n = recv(c->fd, buf_reserve(&c->in, 65536), 65536, 0);
		if (n <= 0)
			return 0;
		buf_commit(&c->in, (size_t)n);
	}
	c->whole = c->head.size + c->head.remaining;
	c->body = str_make(buf_data(&c->in) + c->head.size, c->head.remaining);
	return c->head.type;
}

static void hang_up(struct client *c)
{
	flush(c);
	sock_close(&c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
}

static struct mqtt_connack greet_as(struct client *c, const struct mqtt_connect *terms)
{
	struct mqtt_connect connect = *terms;
	struct mqtt_connack ack;

	connect.version = c->version;
	mqtt_connect_write(&c->out, &connect);
	IS(receive(c), MQTT_CONNACK);
	IS(mqtt_connack_read(c->body, c->version, &ack), RC_SUCCESS);
	return ack;
}

static struct client guest(uint8_t version, const char *id)
{
	struct client c = dial(version);

	IS(greet_as(&c, &(struct mqtt_connect){ .clean_start = true, .client_id = str_c(id) }).code, 0);
	return c;
}

/* ---- What clients do ---- */
static unsigned subscribe_with(struct client *c, const char *filter, struct mqtt_sub_opts opts, uint32_t id)
{
	struct mqtt_props p = { .subscription_id = { id }, .subscription_ids = id != 0 };
	struct str f = str_c(filter);
	struct mqtt_suback ack;

	mqtt_subscribe_write(&c->out, c->version, 7, &f, &opts, 1, &p);
	IS(receive(c), MQTT_SUBACK);
	IS(mqtt_suback_read(c->body, MQTT_SUBACK, c->version, &ack), RC_SUCCESS);
	IS(ack.packet_id, 7);
	IS(ack.codes.n, 1);
	return (uint8_t)ack.codes.p[0];
}

static unsigned subscribe(struct client *c, const char *filter, uint8_t qos)
{
	return subscribe_with(c, filter, (struct mqtt_sub_opts){ .qos = qos }, 0);
}

static void publish(struct client *c, const char *topic, const char *payload, uint8_t qos, bool retain)
{
	struct mqtt_publish p = { .topic = str_c(topic), .payload = str_c(payload), .qos = qos, .retain = retain, .packet_id = qos ? 77 : 0 };

	mqtt_publish_write(&c->out, c->version, &p);
	flush(c);
}

static struct mqtt_publish arrives(struct client *c)
{
	struct mqtt_publish p;

	IS(receive(c), MQTT_PUBLISH);
	IS(mqtt_publish_read(c->body, c->head.flags, c->version, false, &p), RC_SUCCESS);
	return p;
}

/* Nothing more was on its way: the answer of a ping is the next packet. */
static void nothing_else(struct client *c)
{
	mqtt_pingreq_write(&c->out);
	IS(receive(c), MQTT_PINGRESP);
}

static void closes_with(struct client *c, unsigned reason)
{
	struct mqtt_disconnect d;

	IS(receive(c), MQTT_DISCONNECT);
	IS(mqtt_disconnect_read(c->body, c->version, false, &d), RC_SUCCESS);
	IS(d.code, reason);
	IS(receive(c), 0);
	hang_up(c);
}

static void raw(struct client *c, const char *bytes, size_t n)
{
	buf_bytes(&c->out, bytes, n);
	flush(c);
}
#define RAW(c, literal) raw(c, literal, sizeof(literal) - 1)

/* ---- CONNECT ---- */
static void every_version_is_greeted(void)
{
	static const uint8_t versions[] = { MQTT_V31, MQTT_V311, MQTT_V5 };

	start();
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct client c = guest(versions[i], "a");

		nothing_else(&c);
		hang_up(&c);
	}
	stop();
}

static void connack_tells_what_the_door_takes(void)
{
	struct client c;
	struct mqtt_connect terms = { .clean_start = true, .props = { .has = UINT64_C(1) << PROP_SESSION_EXPIRY, .session_expiry = UINT32_MAX } };
	struct mqtt_connack ack;

	start();
	c = dial(MQTT_V5);
	ack = greet_as(&c, &terms);
	IS(ack.props.receive_maximum, 1000);
	IS(ack.props.maximum_packet_size, core.config.door_packet);
	IS(ack.props.session_expiry, core.config.session_expiry_max / 1000);
	NO(mqtt_has(&ack.props, PROP_TOPIC_ALIAS_MAXIMUM));
	YES(ack.props.assigned_client_id.n > 0);
	hang_up(&c);
	stop();
}

static void an_id_of_its_own_is_not_assigned(void)
{
	struct client c;

	start();
	c = dial(MQTT_V5);
	IS(greet_as(&c, &(struct mqtt_connect){ .clean_start = true, .client_id = STR("mine") }).props.assigned_client_id.n, 0);
	hang_up(&c);
	stop();
}

static void before_connect_nothing_is_said(void)
{
	struct client c;

	start();
	c = dial(MQTT_V5);
	RAW(&c, "\xc0\x00");
	IS(receive(&c), 0);
	hang_up(&c);
	stop();
}

static void an_unknown_version_is_told_so(void)
{
	struct client c;
	struct mqtt_connack ack;

	start();
	c = dial(MQTT_V5);
	RAW(&c, "\x10\x0d\x00\x04MQTT\x06\x02\x00\x00\x00\x00\x00");
	IS(receive(&c), MQTT_CONNACK);
	IS(mqtt_connack_read(c.body, MQTT_V5, &ack), RC_SUCCESS);
	IS(ack.code, RC_UNSUPPORTED_PROTOCOL_VERSION);
	IS(receive(&c), 0);
	hang_up(&c);
	stop();
}

static void a_packet_may_come_byte_by_byte(void)
{
	struct client c;
	struct buf bytes = { 0 };
	struct mqtt_connect terms = { .version = MQTT_V311, .clean_start = true, .client_id = STR("slow") };

	start();
	c = dial(MQTT_V311);
	mqtt_connect_write(&bytes, &terms);
	mqtt_pingreq_write(&bytes);
	for (size_t i = 0; i < buf_len(&bytes); i++) {
		raw(&c, (const char *)buf_data(&bytes) + i, 1);
		usleep(500);
	}
	IS(receive(&c), MQTT_CONNACK);
	IS(receive(&c), MQTT_PINGRESP);
	buf_free(&bytes);
	hang_up(&c);
	stop();
}

static void a_uid_that_is_not_trusted_is_closed(void)
{
	int status = 0;
	pid_t child;

	if (geteuid() != 0)
		SKIP();
	start();
	MUST(chmod(core.path, 0666) == 0 && chmod(temp_dir(), 0755) == 0);
	child = fork();
	if (child == 0) {
		char byte;
		int fd = -1;

		if (setgid(65534) || setuid(65534) || sock_dial_unix(&fd, core.path))
			_exit(2);
		(void)poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, PATIENCE_S * 1000);
		_exit(recv(fd, &byte, 1, 0) == 0 ? 0 : 1);
	}
	IS(waitpid(child, &status, 0), child);
	IS(WEXITSTATUS(status), 0);
	stop();
}

static void beyond_the_limit_nobody_comes_in(void)
{
	struct client first, second;

	start_with((char *)"--door-connections", (char *)"1");
	first = guest(MQTT_V5, "a");
	second = dial(MQTT_V5);
	IS(receive(&second), 0);
	nothing_else(&first);
	hang_up(&first);
	hang_up(&second);
	stop();
}

/* ---- Messages ---- */
static void a_service_sees_the_inner_names_of_customers(void)
{
	struct client reader, writer;
	struct mqtt_publish p;

	start();
	reader = guest(MQTT_V311, "reader");
	writer = guest(MQTT_V5, "writer");
	IS(subscribe(&reader, "customer/7/#", 1), 1);
	publish(&writer, "customer/7/flespi/log/x", "one", 1, false);
	IS(receive(&writer), MQTT_PUBACK);
	p = arrives(&reader);
	IS_STR(p.topic, "customer/7/flespi/log/x");
	IS_STR(p.payload, "one");
	IS(p.qos, 1);
	mqtt_ack_write(&reader.out, MQTT_PUBACK, MQTT_V311, p.packet_id, 0, NULL);
	nothing_else(&reader);
	hang_up(&reader);
	hang_up(&writer);
	stop();
}

static void properties_arrive_as_they_were_sent(void)
{
	struct client c;
	struct buf user = { 0 };
	struct mqtt_publish out = { .topic = STR("a/b"), .payload = STR("x"), .qos = 0 }, p;
	struct str key, value;
	struct mqtt_user_walk walk;

	start();
	c = guest(MQTT_V5, "c");
	IS(subscribe_with(&c, "a/#", (struct mqtt_sub_opts){ .qos = 2 }, 300), 2);
	mqtt_user_property(&user, STR("k"), STR("v"));
	out.props = (struct mqtt_props){ .payload_format = 1, .message_expiry = 60, .content_type = STR("text"), .response_topic = STR("re/ply"),
	                                 .correlation_data = STR("id"), .user = buf_str(&user), .user_count = 1 };
	out.props.has = UINT64_C(1) << PROP_PAYLOAD_FORMAT | UINT64_C(1) << PROP_MESSAGE_EXPIRY | UINT64_C(1) << PROP_CONTENT_TYPE |
	                UINT64_C(1) << PROP_RESPONSE_TOPIC | UINT64_C(1) << PROP_CORRELATION_DATA | UINT64_C(1) << PROP_USER_PROPERTY;
	mqtt_publish_write(&c.out, MQTT_V5, &out);
	p = arrives(&c);
	IS(p.props.payload_format, 1);
	IS(p.props.message_expiry, 60);
	IS_STR(p.props.content_type, "text");
	IS_STR(p.props.response_topic, "re/ply");
	IS_STR(p.props.correlation_data, "id");
	IS(p.props.subscription_id[0], 300);
	mqtt_user_start(&walk, &p.props);
	YES(mqtt_user_next(&walk, &key, &value));
	IS_STR(key, "k");
	IS_STR(value, "v");
	buf_free(&user);
	hang_up(&c);
	stop();
}

static void qos_2_goes_through_once_both_ways(void)
{
	struct client c;
	struct mqtt_publish p;

	start();
	c = guest(MQTT_V5, "c");
	IS(subscribe(&c, "a", 2), 2);
	publish(&c, "a", "x", 2, false);
	IS(receive(&c), MQTT_PUBLISH);
	IS(mqtt_publish_read(c.body, c.head.flags, MQTT_V5, false, &p), RC_SUCCESS);
	IS(receive(&c), MQTT_PUBREC);
	mqtt_ack_write(&c.out, MQTT_PUBREC, MQTT_V5, p.packet_id, 0, NULL);
	IS(receive(&c), MQTT_PUBREL);
	mqtt_ack_write(&c.out, MQTT_PUBCOMP, MQTT_V5, p.packet_id, 0, NULL);
	mqtt_ack_write(&c.out, MQTT_PUBREL, MQTT_V5, 77, 0, NULL);
	IS(receive(&c), MQTT_PUBCOMP);
	nothing_else(&c);
	hang_up(&c);
	stop();
}

static void what_is_retained_comes_after_the_suback(void)
{
	struct client c;
	struct mqtt_publish p;

	start();
	c = guest(MQTT_V5, "c");
	publish(&c, "customer/9/state", "on", 1, true);
	IS(receive(&c), MQTT_PUBACK);
	IS(subscribe(&c, "customer/+/state", 0), 0);
	p = arrives(&c);
	YES(p.retain);
	IS_STR(p.payload, "on");
	hang_up(&c);
	stop();
}

static void a_bad_filter_is_refused_alone(void)
{
	struct client c;

	start();
	c = guest(MQTT_V5, "c");
	IS(subscribe(&c, "a/#/b", 0), RC_TOPIC_FILTER_INVALID);
	IS(subscribe(&c, "$share/g", 0), RC_TOPIC_FILTER_INVALID);
	IS(subscribe(&c, "a/b", 1), 1);
	hang_up(&c);
	stop();
}

static void a_group_shares_what_arrives(void)
{
	struct client a, b, writer;
	unsigned count = 0;

	start();
	a = guest(MQTT_V5, "a");
	b = guest(MQTT_V5, "b");
	writer = guest(MQTT_V311, "writer");
	IS(subscribe(&a, "$share/g/t/#", 0), 0);
	IS(subscribe(&b, "$share/g/t/#", 0), 0);
	for (unsigned i = 0; i < 10; i++)
		publish(&writer, "t/x", "x", 0, false);
	nothing_else(&writer);
	for (struct client *c = &a; c; c = c == &a ? &b : NULL) {
		mqtt_pingreq_write(&c->out);
		while (receive(c) == MQTT_PUBLISH)
			count++;
		IS(c->head.type, MQTT_PINGRESP);
	}
	IS(count, 10);
	hang_up(&a);
	hang_up(&b);
	hang_up(&writer);
	stop();
}

static void unsubscribed_is_unheard(void)
{
	struct client c;
	struct str filter = STR("a");

	start();
	c = guest(MQTT_V5, "c");
	IS(subscribe(&c, "a", 0), 0);
	mqtt_unsubscribe_write(&c.out, MQTT_V5, 8, &filter, 1, NULL);
	IS(receive(&c), MQTT_UNSUBACK);
	publish(&c, "a", "x", 0, false);
	nothing_else(&c);
	hang_up(&c);
	stop();
}

static void what_is_too_large_for_a_client_does_not_stop_it(void)
{
	struct client reader, writer;
	struct mqtt_connect terms = { .clean_start = true, .props = { .has = UINT64_C(1) << PROP_MAXIMUM_PACKET_SIZE | UINT64_C(1) << PROP_RECEIVE_MAXIMUM,
	                                                              .maximum_packet_size = 50, .receive_maximum = 1 } };
	static char large[100];
	struct mqtt_publish p;

	start();
	memset(large, 'x', sizeof(large) - 1);
	reader = dial(MQTT_V5);
	writer = guest(MQTT_V311, "w");
	IS(greet_as(&reader, &terms).code, 0);
	IS(subscribe(&reader, "a", 2), 2);
	publish(&writer, "a", large, 1, false);
	publish(&writer, "a", large, 2, false);
	publish(&writer, "a", "small", 1, false);
	p = arrives(&reader);
	IS_STR(p.payload, "small");
	hang_up(&reader);
	hang_up(&writer);
	stop();
}

/* ---- Sessions ---- */
static void a_session_waits_for_its_client(void)
{
	struct client c, writer;
	struct mqtt_connect terms = { .client_id = STR("keeper") };

	start();
	c = dial(MQTT_V311);
	NO(greet_as(&c, &terms).session_present);
	IS(subscribe(&c, "a", 1), 1);
	hang_up(&c);
	writer = guest(MQTT_V5, "w");
	publish(&writer, "a", "later", 1, false);
	IS(receive(&writer), MQTT_PUBACK);
	c = dial(MQTT_V311);
	YES(greet_as(&c, &terms).session_present);
	IS_STR(arrives(&c).payload, "later");
	hang_up(&c);
	hang_up(&writer);
	stop();
}

static void a_second_client_of_the_same_id_takes_over(void)
{
	struct client first, second;

	start();
	first = guest(MQTT_V5, "same");
	second = guest(MQTT_V5, "same");
	closes_with(&first, RC_SESSION_TAKEN_OVER);
	nothing_else(&second);
	hang_up(&second);
	stop();
}

static void the_will_is_sent_when_the_client_is_lost_but_not_when_it_leaves(void)
{
	struct client c, reader;
	struct mqtt_connect terms = { .clean_start = true, .client_id = STR("mortal"),
	                              .will = { .present = true, .qos = 1, .topic = STR("customer/7/will"), .payload = STR("gone") } };

	start();
	reader = guest(MQTT_V5, "reader");
	IS(subscribe(&reader, "+/+/will", 1), 1);
	c = dial(MQTT_V5);
	IS(greet_as(&c, &terms).code, 0);
	mqtt_disconnect_write(&c.out, MQTT_V5, RC_SUCCESS, NULL);
	IS(receive(&c), 0);
	hang_up(&c);
	nothing_else(&reader);
	c = dial(MQTT_V5);
	IS(greet_as(&c, &terms).code, 0);
	hang_up(&c);
	IS_STR(arrives(&reader).payload, "gone");
	hang_up(&reader);
	stop();
}

static void the_end_of_the_home_is_told(void)
{
	struct client c;

	start();
	c = guest(MQTT_V5, "c");
	home_end(core.home);
	closes_with(&c, RC_SERVER_SHUTTING_DOWN);
	stop();
}

/* ---- Wrongs ---- */
static void silence_ends_the_connection(void)
{
	struct client c;

	start();
	c = dial(MQTT_V5);
	IS(greet_as(&c, &(struct mqtt_connect){ .clean_start = true, .keep_alive = 1 }).code, 0);
	closes_with(&c, RC_KEEP_ALIVE_TIMEOUT);
	stop();
}

static void what_is_wrong_closes_with_its_reason(void)
{
	static const struct {
		const char *bytes;
		size_t n;
		unsigned reason;
	} rows[] = {
#define ROW(literal, reason) { literal, sizeof(literal) - 1, reason }
		ROW("\xc1\x00", RC_MALFORMED_PACKET),                           /* flags of PINGREQ */
		ROW("\x30\xff\xff\xff\xff\x01", RC_MALFORMED_PACKET),           /* a fifth length byte */
		ROW("\x20\x03\x00\x00\x00", RC_PROTOCOL_ERROR),                 /* CONNACK from a client */
		ROW("\xf0\x02\x00\x00", RC_PROTOCOL_ERROR),                     /* AUTH without a method */
		ROW("\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00", RC_PROTOCOL_ERROR),     /* a second CONNECT */
		ROW("\x30\x07\x00\x01" "a\x03\x23\x00\x01", RC_TOPIC_ALIAS_INVALID),
		ROW("\x30\x05\x00\x02" "a#\x00", RC_TOPIC_NAME_INVALID),
		ROW("\x30\xff\xff\xff\x7f", RC_PACKET_TOO_LARGE),
		ROW("\xe0\x07\x00\x05\x11\x00\x00\x00\x05", RC_PROTOCOL_ERROR), /* an expiry that CONNECT did not begin */
	};

	start();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct client c = guest(MQTT_V5, "wrong");

		raw(&c, rows[i].bytes, rows[i].n);
		closes_with(&c, rows[i].reason);
	}
	stop();
}

static void a_v3_client_that_is_wrong_is_just_closed(void)
{
	struct client c;

	start();
	c = guest(MQTT_V311, "wrong");
	RAW(&c, "\xc1\x00");
	IS(receive(&c), 0);
	hang_up(&c);
	stop();
}

/* Packets of all kinds with a few bytes changed: each costs its sender at most the connection, and nobody else anything. */
static void damaged_packets_harm_nobody_else(void)
{
	static const struct str packets[] = {
		STR_INIT("\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00"), STR_INIT("\x32\x0c\x00\x03" "a/b\x00\x09\x02\x01\x01xx"),
		STR_INIT("\x82\x10\x00\x07\x02\x0b\x05\x00\x08$share/x\x01"),   STR_INIT("\xa2\x08\x00\x08\x00\x00\x03" "a/#"),
		STR_INIT("\x40\x02\x00\x01"), STR_INIT("\x50\x02\x00\x01"), STR_INIT("\x62\x02\x00\x01"), STR_INIT("\x70\x02\x00\x01"),
		STR_INIT("\xc0\x00"), STR_INIT("\xe0\x02\x04\x00"), STR_INIT("\xf0\x02\x19\x00"),
	};
	struct client honest;

	start();
	honest = guest(MQTT_V5, "honest");
	for (unsigned round = 0; round < 1000; round++) {
		struct client c = round % 8 ? guest(MQTT_V5, "x") : dial(MQTT_V5);

		for (unsigned k = 0; k < 4; k++) {
			size_t at = buf_len(&c.out);

			buf_str_add(&c.out, packets[any_below(ARRAY_LEN(packets))]);
			for (uint64_t flips = any_below(3); flips; flips--)
				c.out.p[c.out.head + at + any_below(buf_len(&c.out) - at)] = (uint8_t)any();
		}
		(void)!write(c.fd, buf_data(&c.out), buf_len(&c.out));
		buf_reset(&c.out);
		hang_up(&c);
	}
	nothing_else(&honest);
	hang_up(&honest);
	stop();
}

static void more_under_way_than_announced_closes(void)
{
	struct client c;
	unsigned type;

	start_with((char *)"--inbound-max", (char *)"2");
	c = guest(MQTT_V5, "c");
	for (uint16_t id = 1; id <= 3; id++) {
		struct mqtt_publish p = { .topic = STR("a"), .qos = 2, .packet_id = id };

		mqtt_publish_write(&c.out, MQTT_V5, &p);
	}
	while ((type = receive(&c)) == MQTT_PUBREC)
		;
	IS(type, MQTT_DISCONNECT);
	IS(c.body.p[0], (char)RC_RECEIVE_MAXIMUM_EXCEEDED);
	hang_up(&c);
	stop();
}

static void who_does_not_read_costs_a_bounded_amount(void)
{
	enum { COUNT = 4000, SIZE = 4000 };
	struct client reader, writer;
	static char payload[SIZE + 1];
	unsigned got = 0;

	start_with((char *)"--link-high", (char *)"64k");
	memset(payload, 'x', SIZE);
	reader = guest(MQTT_V311, "reader");
	writer = guest(MQTT_V311, "writer");
	IS(subscribe(&reader, "a", 0), 0);
	for (unsigned i = 0; i < COUNT; i++)
		publish(&writer, "a", payload, 0, false);
	nothing_else(&writer);
	mqtt_pingreq_write(&reader.out);
	while (receive(&reader) == MQTT_PUBLISH)
		got++;
	IS(reader.head.type, MQTT_PINGRESP);
	YES(got > 0);
	YES((size_t)got * SIZE < 2 << 20);              /* the mark, a turn, and what the kernel holds; not 16 MB */
	publish(&writer, "a", "fresh", 0, false);
	IS_STR(arrives(&reader).payload, "fresh");
	hang_up(&reader);
	hang_up(&writer);
	stop();
}

static void one_who_only_writes_is_slowed_down_and_gets_all_answers(void)
{
	enum { COUNT = 20000 };
	struct client c;
	struct mqtt_publish p = { .topic = STR("a"), .qos = 1, .packet_id = 9 };
	struct buf all = { 0 };
	unsigned got = 0;

	start_with((char *)"--link-high", (char *)"64k");
	c = guest(MQTT_V311, "c");
	for (unsigned i = 0; i < COUNT; i++)
		mqtt_publish_write(&all, MQTT_V311, &p);
	while (buf_len(&all) || got < COUNT) {
		ssize_t n = buf_len(&all) ? send(c.fd, buf_data(&all), buf_len(&all), MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

		if (n > 0) {
			buf_consume(&all, (size_t)n);
			continue;
		}
		IS(receive(&c), MQTT_PUBACK);
		got++;
	}
	nothing_else(&c);
	buf_free(&all);
	hang_up(&c);
	stop();
}

RUN(every_version_is_greeted, connack_tells_what_the_door_takes, an_id_of_its_own_is_not_assigned, before_connect_nothing_is_said,
    an_unknown_version_is_told_so, a_packet_may_come_byte_by_byte, a_uid_that_is_not_trusted_is_closed, beyond_the_limit_nobody_comes_in,
    a_service_sees_the_inner_names_of_customers, properties_arrive_as_they_were_sent, qos_2_goes_through_once_both_ways,
    what_is_retained_comes_after_the_suback, a_bad_filter_is_refused_alone, a_group_shares_what_arrives, unsubscribed_is_unheard,
    what_is_too_large_for_a_client_does_not_stop_it, a_session_waits_for_its_client, a_second_client_of_the_same_id_takes_over,
    the_will_is_sent_when_the_client_is_lost_but_not_when_it_leaves, the_end_of_the_home_is_told, silence_ends_the_connection,
    what_is_wrong_closes_with_its_reason, damaged_packets_harm_nobody_else, a_v3_client_that_is_wrong_is_just_closed, more_under_way_than_announced_closes,
    who_does_not_read_costs_a_bounded_amount, one_who_only_writes_is_slowed_down_and_gets_all_answers)
