/* core_door_kit.h - for the tests of the trusted door: a real home with a door on a real socket,
 * and a client for it. */
#pragma once
#include "tests/kit/kit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
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

static inline void start_with(char *option, char *value)
{
	char *argv[] = { (char *)"mbus-core",
		         (char *)"--homes",
		         (char *)"1",
		         (char *)"--dir",
		         (char *)temp_dir(),
		         option,
		         value,
		         NULL };
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

static inline void start(void)
{
	start_with(NULL, NULL);
}

static inline void stop(void)
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
	struct mqtt_head head; /* of the packet that receive() gave last */
	struct str body;
	size_t whole;
};

static inline struct client dial(uint8_t version)
{
	struct client c = { .fd = -1, .version = version };
	struct timeval patience = { .tv_sec = PATIENCE_S };

	IS(sock_dial_unix(&c.fd, core.path), 0);
	YES(setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
	YES(setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0);
	return c;
}

static inline void wait_for_socket(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	YES(poll(&p, 1, PATIENCE_S * 1000) == 1);
}

static inline void flush(struct client *c)
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
static inline unsigned receive(struct client *c)
{
	flush(c);
	if (c->whole)
		buf_consume(&c->in, c->whole);
	c->whole = 0;
	for (;;) {
		ssize_t n;

		if (mqtt_head_read(buf_str(&c->in), &c->head) == PARSE_OK &&
		    buf_len(&c->in) >= c->head.size + c->head.remaining)
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

static inline void hang_up(struct client *c)
{
	flush(c);
	sock_close(&c->fd);
	buf_free(&c->in);
	buf_free(&c->out);
}

static inline struct mqtt_connack greet_as(struct client *c, const struct mqtt_connect *terms)
{
	struct mqtt_connect connect = *terms;
	struct mqtt_connack ack;

	connect.version = c->version;
	mqtt_connect_write(&c->out, &connect);
	IS(receive(c), MQTT_CONNACK);
	IS(mqtt_connack_read(c->body, c->version, &ack), RC_SUCCESS);
	return ack;
}

static inline struct client guest(uint8_t version, const char *id)
{
	struct client c = dial(version);

	IS(greet_as(&c, &(struct mqtt_connect){ .clean_start = true, .client_id = str_c(id) }).code,
	   0);
	return c;
}

/* ---- What clients do ---- */
static inline unsigned subscribe_with(struct client *c, const char *filter,
                                      struct mqtt_sub_opts opts, uint32_t id)
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

static inline unsigned subscribe(struct client *c, const char *filter, uint8_t qos)
{
	return subscribe_with(c, filter, (struct mqtt_sub_opts){ .qos = qos }, 0);
}

static inline void publish(struct client *c, const char *topic, const char *payload, uint8_t qos,
                           bool retain)
{
	struct mqtt_publish p = { .topic = str_c(topic),
		                  .payload = str_c(payload),
		                  .qos = qos,
		                  .retain = retain,
		                  .packet_id = qos ? 77 : 0 };

	mqtt_publish_write(&c->out, c->version, &p);
	flush(c);
}

static inline struct mqtt_publish arrives(struct client *c)
{
	struct mqtt_publish p;

	IS(receive(c), MQTT_PUBLISH);
	IS(mqtt_publish_read(c->body, c->head.flags, c->version, false, &p), RC_SUCCESS);
	return p;
}

/* Nothing more was on its way: the answer of a ping is the next packet. */
static inline void nothing_else(struct client *c)
{
	mqtt_pingreq_write(&c->out);
	IS(receive(c), MQTT_PINGRESP);
}

static inline void closes_with(struct client *c, unsigned reason)
{
	struct mqtt_disconnect d;

	IS(receive(c), MQTT_DISCONNECT);
	IS(mqtt_disconnect_read(c->body, c->version, false, &d), RC_SUCCESS);
	IS(d.code, reason);
	IS(receive(c), 0);
	hang_up(c);
}

static inline void raw(struct client *c, const char *bytes, size_t n)
{
	buf_bytes(&c->out, bytes, n);
	flush(c);
}
#define RAW(c, literal) raw(c, literal, sizeof(literal) - 1)
