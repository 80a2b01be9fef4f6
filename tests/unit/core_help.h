/* core_help.h - for the unit tests of the core: a home without a thread, clients without a socket.
 * What a session says to a client is collected as words in `said`:
 *
 *   opened p1 00        a=hello q1 #1 dup ret s5        puback#1 00        suback#7 00,87 closed 8e
 *
 * Names are those of customer 7 unless they begin with a slash ("/customer/8/x": as it stands,
 * without the slash). */
#pragma once
#include "tests/kit/kit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "core/session.h"

static struct core_config config;
static struct home *home;
static int64_t shifted;

struct client {
	struct port port;
	bool full;
	char said[4000];
	size_t n;
};

PRINTF_LIKE(2, 3) static void client_note(struct client *c, const char *format, ...)
{
	va_list args;

	if (c->n)
		c->said[c->n++] = ' ';
	va_start(args, format);
	c->n += (size_t)vsnprintf(c->said + c->n, sizeof(c->said) - c->n, format, args);
	va_end(args);
	MUST(c->n < sizeof(c->said));
}

static void fake_opened(struct port *p, bool present, uint8_t reason, struct session *s)
{
	(void)s;
	client_note(container_of(p, struct client, port), "opened p%d %02x", present, reason);
}

static void fake_deliver(struct port *p, struct msg *m, const struct port_send *how)
{
	struct client *c = container_of(p, struct client, port);
	struct str name = m->customer == 7 ? msg_name(m) : m->m.topic;

	client_note(c, "%.*s=%.*s q%u", STR_ARG(name), STR_ARG(m->m.payload),
	            how->flags & LINK_QOS);
	if (how->packet_id)
		client_note(c, "#%u", how->packet_id);
	if (how->flags & LINK_DUP)
		client_note(c, "dup");
	if (how->flags & LINK_RETAIN)
		client_note(c, "ret");
	if (how->subscription_id)
		client_note(c, "s%u", how->subscription_id);
}

static void fake_ack(struct port *p, enum mqtt_type type, uint16_t packet_id, uint8_t reason)
{
	static const char *const names[] = { [MQTT_PUBACK] = "puback",
		                             [MQTT_PUBREC] = "pubrec",
		                             [MQTT_PUBREL] = "pubrel",
		                             [MQTT_PUBCOMP] = "pubcomp" };

	client_note(container_of(p, struct client, port), "%s#%u %02x", names[type], packet_id,
	            reason);
}

static void fake_suback(struct port *p, enum link_type type, uint16_t packet_id,
                        const uint8_t *codes, size_t count)
{
	struct client *c = container_of(p, struct client, port);
	char list[200] = "";

	for (size_t i = 0; i < count; i++)
		(void)snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%02x",
		               i ? "," : "", codes[i]);
	client_note(c, "%s#%u %s", type == LINK_SUBACK ? "suback" : "unsuback", packet_id, list);
}

static void fake_closed(struct port *p, uint8_t reason)
{
	client_note(container_of(p, struct client, port), "closed %02x", reason);
}

static const struct port_ops fake_ops = { fake_opened, fake_deliver, fake_ack, fake_suback,
	                                  fake_closed };

/* What was said since the last time. */
__attribute__((unused)) static struct str said(struct client *c)
{
	static char text[4000];
	size_t n = c->n;

	memcpy(text, c->said, n);
	c->n = 0;
	return str_make(text, n);
}
#define SAID(client, literal) IS_STR(said(client), literal)

/* ---- The world ---- */
static void world_begins(void)
{
	static char program[] = "mbus-core";
	char *argv[] = { program, NULL };
	struct opt_set set = core_opts;
	const char *why;

	set.config = &config;
	memset(&config, 0, sizeof(config));
	MUST(opts_read(&set, 1, argv) == OPT_RUN);
	MUST(core_config_finish(&config, &why) == 0);
	MUST(home_new(&home, &config, 0, &why) == 0);
	shifted = 0;
}

static void world_ends(void)
{
	struct opt_set set = core_opts;

	set.config = &config;
	home_free(&home);
	opts_free(&set);
}

/* Time goes by, in steps in which every timer can fire. */
__attribute__((unused)) static void later(int64_t ms)
{
	for (int64_t step; ms > 0; ms -= step) {
		step = ms < 1000 ? ms : ms / 2 + 1;
		shifted += step;
		clock_shift(shifted, shifted);
		loop_turn(home->loop, 0);
	}
	loop_turn(home->loop, 0);
}

__attribute__((unused)) static void turn(void)
{
	for (int i = 0; i < 8; i++)
		loop_turn(home->loop, 0);
}

/* ---- What clients do ---- */
struct room {
	char text[300];
};
/* without allocating: some tests make allocations fail */
static struct str inner(struct room *room, const char *name)
{
	const char *prefix = *name == '/' ? "" : "customer/7/";

	(void)snprintf(room->text, sizeof(room->text), "%s%s", prefix,
	               *name == '/' ? name + 1 : name);
	return str_c(room->text);
}

struct terms {
	const char *id, *will; /* will: topic; payload is "bye" */
	uint64_t customer;
	uint32_t expiry, delay;
	/* told as limits of the token; 0 = not told */
	uint32_t queue_messages, queue_bytes, subscriptions;
	/* told besides; in the order of levels */
	unsigned limit_count;
	struct link_limit limits[4];
	uint16_t window;
	uint8_t will_qos;
	bool clean, will_retain;
	int64_t rights_until;
	uint64_t token;
};

static void put_limit(struct buf *b, enum limit id, uint32_t value)
{
	if (value)
		link_limit_put(b, &(struct link_limit){ LIMIT_BY_SERVER, (uint8_t)id, value });
}

static struct str limits_of(const struct terms *t)
{
	static struct buf b; /* small, kept: some tests make allocations fail */

	buf_reset(&b);
	put_limit(&b, LIMIT_SESSION_MESSAGES, t->queue_messages);
	put_limit(&b, LIMIT_SESSION_STORAGE, t->queue_bytes);
	put_limit(&b, LIMIT_SUBSCRIPTIONS, t->subscriptions);
	for (unsigned i = 0; i < t->limit_count; i++)
		link_limit_put(&b, &t->limits[i]);
	return buf_str(&b);
}
#define LIMITED(...) \
	.limit_count = sizeof((struct link_limit[]){ __VA_ARGS__ }) / sizeof(struct link_limit), \
	.limits = { __VA_ARGS__ }

__attribute__((unused)) static bool open_with(struct client *c, struct terms t)
{
	struct room room;
	struct link_open o = { .version = MQTT_V5,
		               .receive_maximum = t.window ? t.window : 10,
		               .customer = t.customer ? t.customer : 7,
		               .token = t.token ? t.token : 5,
		               .session_expiry_s = t.expiry,
		               .will_delay_s = t.delay,
		               .rights_until = t.rights_until,
		               .limits = limits_of(&t),
		               .client_id = str_c(t.id),
		               .peer = STR("local"),
		               .will_qos = t.will_qos,
		               .will_retain = t.will_retain };
	uint8_t flags = t.clean ? LINK_OPEN_CLEAN : 0;
	bool fine;

	if (t.will) {
		flags |= LINK_OPEN_WILL;
		o.will = (struct link_msg){ .topic = inner(&room, t.will),
			                    .payload = STR("bye"),
			                    .expiry_s = LINK_NO_EXPIRY };
	}
	c->port = (struct port){ .ops = &fake_ops, .full = &c->full };
	fine = session_open(home, &c->port, flags, &o);
	return fine;
}
/* Opened and flowing, its "opened" forgotten unless it was refused. */
#define OPEN(client, ...) \
	do { \
		YES(open_with((client), (struct terms){ __VA_ARGS__ })); \
		if ((client)->port.session) { \
			(client)->n = 0; \
			session_resume(&(client)->port); \
		} \
	} while (0)

struct want {
	const char *filter; /* as the client writes it */
	uint8_t opts;
	uint32_t id;
	const char *inner[4]; /* its set; empty: the filter itself */
	uint8_t code;
};

__attribute__((unused)) static bool say_subscribe(struct client *c, enum link_type type,
                                                  struct want w)
{
	struct buf b = { 0 };
	struct room room;
	struct link_subscribe s;
	size_t frame = link_subscribe_begin(&b, type, 1, 1, type == LINK_REGRANT ? 0 : 7, w.id);
	size_t item = link_item_begin(&b, frame, w.code, w.opts, str_c(w.filter));
	bool fine;

	if (!w.inner[0] && type == LINK_SUBSCRIBE)
		w.inner[0] = w.filter;
	for (size_t i = 0; i < ARRAY_LEN(w.inner) && w.inner[i]; i++)
		link_item_inner(&b, item, inner(&room, w.inner[i]), true);
	link_end(&b, frame);
	MUST(buf_ok(&b) && link_subscribe_read(str_skip(buf_str(&b), LINK_HEAD), &s));
	fine =
	    type == LINK_REGRANT ? session_regrant(&c->port, &s) : session_subscribe(&c->port, &s);
	buf_free(&b);
	return fine;
}
#define WANT(filter_, ...)   ((struct want){ .filter = filter_ __VA_OPT__(, ) __VA_ARGS__ })
#define SUB(client, ...)     YES(say_subscribe((client), LINK_SUBSCRIBE, WANT(__VA_ARGS__)))
#define REGRANT(client, ...) YES(say_subscribe((client), LINK_REGRANT, WANT(__VA_ARGS__)))

/* Subscribed, SUBACK forgotten. */
#define SUBBED(client, ...) \
	do { \
		SUB(client, __VA_ARGS__); \
		turn(); \
		(client)->n = 0; \
	} while (0)

__attribute__((unused)) static bool unsub(struct client *c, const char *filter)
{
	struct buf b = { 0 };
	struct link_unsubscribe u;
	size_t frame = link_unsubscribe_begin(&b, 1, 1, 8);
	bool fine;

	link_unsubscribe_add(&b, frame, str_c(filter));
	link_end(&b, frame);
	MUST(buf_ok(&b) && link_unsubscribe_read(str_skip(buf_str(&b), LINK_HEAD), &u));
	fine = session_unsubscribe(&c->port, &u);
	buf_free(&b);
	return fine;
}

__attribute__((unused)) static bool publish(struct client *c, const char *topic,
                                            const char *payload, uint8_t flags, uint16_t packet_id,
                                            uint32_t expiry_s)
{
	struct room room;
	struct link_publish p = {
		packet_id,
		{ .topic = inner(&room, topic), .payload = str_c(payload), .expiry_s = expiry_s }
	};
	bool fine = session_publish(&c->port, flags, &p);

	return fine;
}
#define PUB(client, topic, payload, flags, id) \
	YES(publish((client), (topic), (payload), (flags), (id), LINK_NO_EXPIRY))
#define ACK(client, kind, id) YES(session_ack(&(client)->port, MQTT_##kind, (id), RC_SUCCESS))
