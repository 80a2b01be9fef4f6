/* core_door.c - the trusted MQTT door: who comes in, what ends a connection, and in which words. */
#include "tests/unit/core_door_kit.h"

#include <sys/stat.h>
#include <sys/wait.h>

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
	struct mqtt_connect terms = { .clean_start = true,
		                      .props = { .has = UINT64_C(1) << PROP_SESSION_EXPIRY,
		                                 .session_expiry = UINT32_MAX } };
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
	IS(greet_as(&c, &(struct mqtt_connect){ .clean_start = true, .client_id = STR("mine") })
	       .props.assigned_client_id.n,
	   0);
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
	struct mqtt_connect terms = { .version = MQTT_V311,
		                      .clean_start = true,
		                      .client_id = STR("slow") };

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

/* What a process of another user gets for this packet after CONNECT: 0 and its answer's first byte,
 * or a code of exit(). */
static int answer_as_nobody(struct str packet)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		struct client c;
		unsigned type;

		if (setgid(65534) || setuid(65534))
			_exit(200);
		c = guest(MQTT_V5, "nobody");
		raw(&c, packet.p, packet.n);
		type = receive(&c);
		_exit(type == MQTT_DISCONNECT ? (uint8_t)c.body.p[0] : (int)type);
	}
	IS(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void start_with_nobody_in(char *list)
{
	start_with(list, (char *)"65534");
	MUST(chmod(core.path, 0666) == 0 && chmod(temp_dir(), 0755) == 0);
}

/* Attack I42 */
static void changes_are_published_by_admin_alone(void)
{
	static const char change[] = "\x32\x0f\x00\x08mbus/all\x00\x01\x00{}",
			  other[] = "\x32\x0f\x00\x08mbux/all\x00\x01\x00{}";
	struct str mbus = str_make(change, sizeof(change) - 1),
		   else_ = str_make(other, sizeof(other) - 1);

	if (geteuid() != 0)
		SKIP();
	start_with_nobody_in((char *)"--trusted-uids");
	IS(answer_as_nobody(mbus), RC_NOT_AUTHORIZED);
	IS(answer_as_nobody(else_), MQTT_PUBACK);
	stop();
	start_with_nobody_in((char *)"--admin-uids");
	IS(answer_as_nobody(mbus), MQTT_PUBACK);
	stop();
}

static void a_will_is_no_way_around_it(void)
{
	static const char connect[] = "\x10\x1b\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01n"
				      "\x00\x00\x06mbus/x\x00\x02{}";
	int status = 0;
	pid_t child;

	if (geteuid() != 0)
		SKIP();
	start_with_nobody_in((char *)"--trusted-uids");
	child = fork();
	if (child == 0) {
		struct client c;

		if (setgid(65534) || setuid(65534))
			_exit(200);
		c = dial(MQTT_V5);
		raw(&c, connect, sizeof(connect) - 1);
		_exit(receive(&c) == MQTT_CONNACK ? (uint8_t)c.body.p[1] : 201);
	}
	IS(waitpid(child, &status, 0), child);
	IS(WEXITSTATUS(status), RC_NOT_AUTHORIZED);
	stop();
}

static void a_proxy_may_not_use_the_door(void)
{
	int status = 0;
	pid_t child;

	if (geteuid() != 0)
		SKIP();
	start_with_nobody_in((char *)"--proxy-uids");
	child = fork();
	if (child == 0) {
		struct client c;

		if (setgid(65534) || setuid(65534))
			_exit(200);
		c = dial(MQTT_V5);
		_exit(receive(&c) == 0 ? 0 : 1);
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

/* Attack I06 */
static void an_empty_filter_ends_nothing_but_its_own_connection(void)
{
	struct client c, other;

	start();
	other = guest(MQTT_V5, "other");
	for (unsigned v = MQTT_V31; v <= MQTT_V5; v++) {
		c = guest((uint8_t)v, "c");
		raw(&c, "\x82\x06\x00\x01\x00\x00\x00\x00", v == MQTT_V5 ? 8 : 0);
		raw(&c, "\x82\x05\x00\x01\x00\x00\x00", v == MQTT_V5 ? 0 : 7);
		IS(receive(&c), MQTT_SUBACK);
		IS((uint8_t)c.body.p[c.body.n - 1],
		   v == MQTT_V5 ? RC_TOPIC_FILTER_INVALID : RC_UNSPECIFIED_ERROR);
		raw(&c, "\xa2\x05\x00\x02\x00\x00\x00", v == MQTT_V5 ? 7 : 0);
		raw(&c, "\xa2\x04\x00\x02\x00\x00", v == MQTT_V5 ? 0 : 6);
		if (v == MQTT_V5) {
			IS(receive(&c), MQTT_UNSUBACK);
			nothing_else(&c);
		} else {
			IS(receive(&c), 0); /* UNSUBACK has no word for it */
		}
		hang_up(&c);
	}
	c = guest(MQTT_V5, "c");
	RAW(&c, "\x32\x05\x00\x00\x00\x01\x00");
	closes_with(&c, RC_PROTOCOL_ERROR); /* nor an alias: MQTT5 3.3.2.1 */
	nothing_else(&other);
	hang_up(&other);
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
	struct mqtt_connect terms = { .clean_start = true,
		                      .client_id = STR("mortal"),
		                      .will = { .present = true,
		                                .qos = 1,
		                                .topic = STR("customer/7/will"),
		                                .payload = STR("gone") } };

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
		ROW("\xc1\x00", RC_MALFORMED_PACKET),                 /* flags of PINGREQ */
		ROW("\x30\xff\xff\xff\xff\x01", RC_MALFORMED_PACKET), /* a fifth length byte */
		ROW("\x20\x03\x00\x00\x00", RC_PROTOCOL_ERROR),       /* CONNACK from a client */
		ROW("\xf0\x02\x00\x00", RC_PROTOCOL_ERROR),           /* AUTH without a method */
		ROW("\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00",
		    RC_PROTOCOL_ERROR), /* a second CONNECT */
		ROW("\x30\x07\x00\x01"
		    "a\x03\x23\x00\x01",
		    RC_TOPIC_ALIAS_INVALID),
		ROW("\x30\x05\x00\x02"
		    "a#\x00",
		    RC_TOPIC_NAME_INVALID),
		ROW("\x30\xff\xff\xff\x7f", RC_PACKET_TOO_LARGE),
		ROW("\xe0\x07\x00\x05\x11\x00\x00\x00\x05",
		    RC_PROTOCOL_ERROR), /* an expiry that CONNECT did not begin */
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

/* Packets of all kinds with a few bytes changed: each costs its sender at most the connection, and
 * nobody else anything. */
static void damaged_packets_harm_nobody_else(void)
{
	static const struct str packets[] = {
		STR_INIT("\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00"),
		STR_INIT("\x32\x0c\x00\x03"
		         "a/b\x00\x09\x02\x01\x01xx"),
		STR_INIT("\x82\x10\x00\x07\x02\x0b\x05\x00\x08$share/x\x01"),
		STR_INIT("\xa2\x08\x00\x08\x00\x00\x03"
		         "a/#"),
		STR_INIT("\x40\x02\x00\x01"),
		STR_INIT("\x50\x02\x00\x01"),
		STR_INIT("\x62\x02\x00\x01"),
		STR_INIT("\x70\x02\x00\x01"),
		STR_INIT("\xc0\x00"),
		STR_INIT("\xe0\x02\x04\x00"),
		STR_INIT("\xf0\x02\x19\x00"),
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
				c.out.p[c.out.head + at + any_below(buf_len(&c.out) - at)] =
				    (uint8_t)any();
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

RUN(every_version_is_greeted, connack_tells_what_the_door_takes, an_id_of_its_own_is_not_assigned,
    before_connect_nothing_is_said, an_unknown_version_is_told_so, a_packet_may_come_byte_by_byte,
    a_uid_that_is_not_trusted_is_closed, changes_are_published_by_admin_alone,
    a_will_is_no_way_around_it, a_proxy_may_not_use_the_door,
    an_empty_filter_ends_nothing_but_its_own_connection, beyond_the_limit_nobody_comes_in,
    a_session_waits_for_its_client, a_second_client_of_the_same_id_takes_over,
    the_will_is_sent_when_the_client_is_lost_but_not_when_it_leaves, the_end_of_the_home_is_told,
    silence_ends_the_connection, what_is_wrong_closes_with_its_reason,
    a_v3_client_that_is_wrong_is_just_closed, damaged_packets_harm_nobody_else,
    more_under_way_than_announced_closes)
