/* core_door.c - fuzz target: the trusted MQTT door of a home, with three local services on its
 * socket. What they say is the input's: packets with any names, filters and options, as many of
 * them as a packet holds, packets with any body, any bytes, silence, a connection that is cut,
 * time. Held against what happens:
 *
 *   - the door says only packets that a server says, that parse and are whole, CONNACK first, and
 * each SUBACK and UNSUBACK has one code for each filter;
 *   - a message reaches a service only if one of the filters that services ever had matches it, and
 * its name is one;
 *   - what is nonsense ends that connection, not the process, and no other connection (attack I06);
 *   - when all are gone and every session's time has come, nothing is left but what is retained.
 *
 * Input: a list of steps, see steps[]. */
#include "base/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/sock.h"
#include "core/door.h"
#include "core/home_parts.h"
#include "wire/mqtt_read.h"
#include "wire/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SERVICES = 3, STEPS = 200, FILTERS = 256, PACKET_MOST = 400 << 10, IDS = 16 };

/* ---- Clocks that only move when told ---- */

static int64_t now;

int64_t clock_mono_ms(void)
{
	return now;
}

int64_t clock_mono_us(void)
{
	return now * 1000;
}

int64_t clock_thread_us(void)
{
	return clock_mono_us();
}

int64_t clock_wall_ms(void)
{
	return INT64_C(1700000000000) + now;
}

void clock_shift(int64_t mono_ms, int64_t wall_ms)
{
	(void)wall_ms;
	now += mono_ms;
}

/* ---- The stage ---- */

struct service {
	int fd;          /* -1: not connected */
	uint8_t version; /* that it said in its CONNECT; 0: none yet */
	bool greeted;    /* CONNACK was there */
	bool wild;       /* it said bytes that we know nothing of */
	bool deaf;       /* it does not read */
	uint8_t next_id;
	unsigned codes[IDS]; /* filters of the packet with this id */
	struct buf out, in, owes;
};

static struct core_config config;
static struct home *home;
static struct door *door;
static struct service service[SERVICES];
static struct str filters[FILTERS];
static unsigned filter_count;
static bool anything; /* filters came in packets that we did not write */
static struct buf packet;
static char path[64];

static void remove_path(void)
{
	(void)unlink(path);
}

static void once(void)
{
	static char program[] = "mbus-core";
	char *argv[] = { program, NULL };
	struct opt_set set = core_opts;
	const char *why;

	if (path[0])
		return;
	log_start("fuzz", LOG_ERROR + 1); /* nothing */
	set.config = &config;
	MUST(opts_read(&set, 1, argv) == OPT_RUN && core_config_finish(&config, &why) == 0);
	config.queue_messages = 20;
	config.inbound_max = 10;
	config.customer_sessions = 5;
	config.subscriptions = 70;
	config.retained_messages = 10;
	config.will_rate = 2;
	config.session_expiry_max = 3600 * 1000;
	config.link_high = 64 << 10;
	config.door_packet = PACKET_MOST;
	(void)snprintf(path, sizeof(path), "/tmp/mbus-fuzz-door-%d.sock", (int)getpid());
	(void)atexit(remove_path);
}

static void come(struct service *s)
{
	*s = (struct service){ .fd = -1 };
	MUST(sock_dial_unix(&s->fd, path) == 0);
}

static void go(struct service *s)
{
	if (s->fd >= 0)
		close(s->fd);
	buf_free(&s->out);
	buf_free(&s->in);
	buf_free(&s->owes);
	*s = (struct service){ .fd = -1 };
}

static void set_up(void)
{
	const char *why;

	once();
	hash_start_with(1, 2);
	now = 1000000;
	filter_count = 0;
	anything = false;
	MUST(home_new(&home, &config, 0, &why) == 0);
	MUST(door_open(&door, home, path, &why) == 0);
	for (unsigned i = 0; i < SERVICES; i++)
		come(&service[i]);
}

/* ---- What the door says ---- */

static void owe_ack(struct service *s, enum mqtt_type type, uint16_t packet_id)
{
	if (buf_len(&s->owes) > 4096)
		return;
	buf_u8(&s->owes, (uint8_t)(type << 4 | (type == MQTT_PUBREL ? 2 : 0)));
	buf_u8(&s->owes, 2);
	buf_u16(&s->owes, packet_id);
}

static void check_publish(struct service *s, const struct mqtt_head *h, struct str body)
{
	struct mqtt_publish p;
	bool wanted = anything;

	MUST(mqtt_publish_read(body, h->flags, s->version, false, &p) == RC_SUCCESS);
	MUST(topic_name_ok(p.topic));
	for (unsigned i = 0; i < filter_count && !wanted; i++)
		wanted = topic_match((struct filter){ filters[i], true }, p.topic);
	MUST(wanted);
	if (p.qos)
		owe_ack(s, p.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, p.packet_id);
}

static void check_suback(struct service *s, const struct mqtt_head *h, struct str body)
{
	struct mqtt_suback a;

	MUST(mqtt_suback_read(body, h->type, s->version, &a) == RC_SUCCESS);
	if (s->wild || (h->type == MQTT_UNSUBACK && s->version < MQTT_V5))
		return;
	MUST(a.packet_id > 0 && a.packet_id <= IDS && a.codes.n == s->codes[a.packet_id - 1]);
}

static void check_other(struct service *s, const struct mqtt_head *h, struct str body)
{
	struct mqtt_disconnect d;
	struct mqtt_ack a;

	switch (h->type) {
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
		MUST(mqtt_ack_read(body, h->type, s->version, &a) == RC_SUCCESS);
		if (h->type == MQTT_PUBREC && a.code < 0x80)
			owe_ack(s, MQTT_PUBREL, a.packet_id);
		if (h->type == MQTT_PUBREL)
			owe_ack(s, MQTT_PUBCOMP, a.packet_id);
		break;
	case MQTT_DISCONNECT:
		MUST(s->version >= MQTT_V5);
		MUST(mqtt_disconnect_read(body, s->version, false, &d) == RC_SUCCESS);
		break;
	default:
		MUST(h->type == MQTT_PINGRESP);
	}
}

/* Who said bytes of its own may be of another version than we think. */
static void check_packet(struct service *s, const struct mqtt_head *h, struct str body)
{
	struct mqtt_connack c;

	if (s->version == 0 || (s->wild && !s->greeted)) {
		s->greeted = true;
		s->wild = true;
		return;
	}
	MUST(s->greeted == (h->type != MQTT_CONNACK));
	s->greeted = true;
	if (h->type == MQTT_CONNACK)
		MUST(mqtt_connack_read(body, s->version, &c) == RC_SUCCESS);
	else if (h->type == MQTT_PUBLISH)
		check_publish(s, h, body);
	else if (h->type == MQTT_SUBACK || h->type == MQTT_UNSUBACK)
		check_suback(s, h, body);
	else
		check_other(s, h, body);
}

static void hear(struct service *s)
{
	static uint8_t room[64 << 10];
	struct mqtt_head h;
	ssize_t n = 0;

	if (s->fd < 0 || s->deaf)
		return;
	while ((n = recv(s->fd, room, sizeof(room), MSG_DONTWAIT)) > 0)
		buf_bytes(&s->in, room, (size_t)n);
	while (mqtt_head_read(buf_str(&s->in), &h) == PARSE_OK &&
	       buf_len(&s->in) >= h.size + (size_t)h.remaining) {
		check_packet(s, &h, str_make(buf_data(&s->in) + h.size, h.remaining));
		buf_consume(&s->in, h.size + (size_t)h.remaining);
	}
	MUST(mqtt_head_read(buf_str(&s->in), &h) != PARSE_BAD);
	if (n == 0 || errno != EAGAIN)
		go(s);
}

static void turn(void)
{
	for (unsigned i = 0; i < SERVICES; i++) {
		struct service *s = &service[i];
		ssize_t n = 0;

		if (s->fd >= 0 && buf_len(&s->out))
			n = send(s->fd, buf_data(&s->out), buf_len(&s->out),
			         MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			buf_consume(&s->out, (size_t)n);
	}
	for (unsigned i = 0; i < 3; i++) /* accepted, read, and what the commit let go */
		loop_turn(home->loop, 0);
	for (unsigned i = 0; i < SERVICES; i++)
		hear(&service[i]);
}

/* ---- Steps ---- */

/* u8 which service; NULL: it is not connected */
static struct service *pick(struct take *t)
{
	uint8_t which;

	if (!take_u8(t, &which) || service[which % SERVICES].fd < 0)
		return NULL;
	return &service[which % SERVICES];
}

static bool short_text(struct take *t, struct str *out)
{
	uint8_t n;

	return take_u8(t, &n) && take_bytes(t, size_min(n, take_left(t)), out);
}

static void put_text(struct buf *b, struct str s)
{
	buf_u16(b, (uint16_t)s.n);
	buf_str_add(b, s);
}

/* What stands in `packet` becomes one. */
static void say(struct service *s, uint8_t first)
{
	size_t n = buf_len(&packet);

	buf_u8(&s->out, first);
	do {
		buf_u8(&s->out, (uint8_t)(n % 128 | (n >= 128 ? 128 : 0)));
		n /= 128;
	} while (n);
	buf_str_add(&s->out, buf_str(&packet));
	for (unsigned i = 0; i < 100 && buf_len(&s->out) > 32 << 10; i++)
		turn();
}

/* Of a v5 packet: a property, or none. */
static void put_props(struct service *s, uint8_t id, uint32_t value, unsigned bytes)
{
	if (s->version < MQTT_V5)
		return;
	buf_u8(&packet, (uint8_t)(bytes ? 1 + bytes : 0));
	if (bytes)
		buf_u8(&packet, id);
	while (bytes--)
		buf_u8(&packet, (uint8_t)(value >> (8 * bytes)));
}

/* which, u8 how: bits 0-1 version, 2 clean, 3 Will, 4-5 its QoS, 6 it is retained, 7 expiry or
 * delay; text: client id; with a Will: text */
static void step_connect(struct take *t)
{
	static const uint8_t versions[] = { 5, 4, 3, 5 };
	struct service *s = pick(t);
	struct str id, will = STR_NONE;
	uint8_t how;

	if (!s || !take_u8(t, &how) || !short_text(t, &id) || (how & 8 && !short_text(t, &will)))
		return;
	if (!s->version)
		s->version = versions[how & 3];
	buf_reset(&packet);
	put_text(&packet, versions[how & 3] == 3 ? STR("MQIsdp") : STR("MQTT"));
	buf_u8(&packet, versions[how & 3]);
	buf_u8(&packet, (uint8_t)((how & 4 ? 2 : 0) |
	                          (how & 8 ? 4 | (how >> 4 & 3) << 3 | (how & 64 ? 32 : 0) : 0)));
	buf_u16(&packet, 60);
	put_props(s, PROP_SESSION_EXPIRY, 100, how & 128 ? 4 : 0);
	put_text(&packet, id);
	if (how & 8) {
		put_props(s, PROP_WILL_DELAY, 5, how & 128 ? 4 : 0);
		put_text(&packet, will);
		put_text(&packet, STR("gone"));
	}
	say(s, MQTT_CONNECT << 4);
}

/* which, u8 flags of the packet (bits 4-6: id, 7: a long payload), text: topic */
static void step_publish(struct take *t)
{
	static char payload[3000];
	struct service *s = pick(t);
	struct str topic;
	uint8_t flags;

	if (!s || !take_u8(t, &flags) || !short_text(t, &topic))
		return;
	buf_reset(&packet);
	put_text(&packet, topic);
	if (flags >> 1 & 3)
		buf_u16(&packet, (uint16_t)(1 + (flags >> 4 & 7)));
	put_props(s, PROP_MESSAGE_EXPIRY, 3, flags & 64 ? 4 : 0);
	buf_str_add(&packet, flags & 128 ? str_make(payload, sizeof(payload)) : topic);
	say(s, (uint8_t)(MQTT_PUBLISH << 4 | (flags & 15)));
}

static const unsigned times[] = { 1, 2, 40, 1000, 65535, 65536, 70000, 3 };

static void remember(struct str text)
{
	struct share share;

	if (share_split(text, &share) == SHARE_BAD || !topic_filter_ok(share.filter))
		return;
	if (filter_count == FILTERS)
		anything = true;
	else
		filters[filter_count++] = share.filter;
}

/* The filters of a packet: u8 how (bits 0-2: so many times all of them, 3-4: how many), for each a
 * text, and with options a u8. How many there are. */
static unsigned put_filters(struct take *t, bool options)
{
	uint8_t how, opts = 0;
	struct str text;
	size_t start = buf_len(&packet), n;
	unsigned count = 0, all;

	if (!take_u8(t, &how))
		return 0;
	for (unsigned i = 0; i <= (how >> 3 & 3u) && short_text(t, &text); i++, count++) {
		if (options && !take_u8(t, &opts))
			break;
		put_text(&packet, text);
		if (options) {
			buf_u8(&packet, opts);
			remember(text);
		}
	}
	n = buf_len(&packet) - start;
	all = count;
	for (unsigned i = 1; i < times[how & 7] && buf_len(&packet) + n <= PACKET_MOST + 100; i++) {
		if (!buf_reserve(&packet, n))
			break;
		memcpy(packet.p + packet.tail, packet.p + packet.head + start, n);
		buf_commit(&packet, n);
		all += count;
	}
	return all;
}

static uint16_t next_id(struct service *s)
{
	return (uint16_t)(1 + s->next_id++ % IDS);
}

/* which, filters with options */
static void step_subscribe(struct take *t)
{
	struct service *s = pick(t);
	uint16_t id;

	if (!s)
		return;
	id = next_id(s);
	buf_reset(&packet);
	buf_u16(&packet, id);
	put_props(s, PROP_SUBSCRIPTION_ID, id, id & 1);
	s->codes[id - 1] = put_filters(t, true);
	say(s, MQTT_SUBSCRIBE << 4 | 2);
}

/* which, filters */
static void step_unsubscribe(struct take *t)
{
	struct service *s = pick(t);
	uint16_t id;

	if (!s)
		return;
	id = next_id(s);
	buf_reset(&packet);
	buf_u16(&packet, id);
	put_props(s, 0, 0, 0);
	s->codes[id - 1] = put_filters(t, false);
	say(s, MQTT_UNSUBSCRIBE << 4 | 2);
}

/* which: all acknowledgements that it owes */
static void step_acknowledge(struct take *t)
{
	struct service *s = pick(t);

	if (!s)
		return;
	buf_str_add(&s->out, buf_str(&s->owes));
	buf_reset(&s->owes);
	turn();
}

/* which, u8 first byte, text: body of a packet of any kind */
static void step_packet(struct take *t)
{
	struct service *s = pick(t);
	struct str body;
	uint8_t first;

	if (!s || !take_u8(t, &first) || !short_text(t, &body))
		return;
	s->wild = anything = true;
	buf_reset(&packet);
	buf_str_add(&packet, body);
	say(s, first);
	turn();
}

/* which, text: any bytes */
static void step_bytes(struct take *t)
{
	struct service *s = pick(t);
	struct str bytes;

	if (!s || !short_text(t, &bytes))
		return;
	s->wild = anything = true;
	buf_str_add(&s->out, bytes);
	turn();
}

/* which, u8 kind: PINGREQ; DISCONNECT without and with a Will, with an expiry; deaf, or not */
static void step_other(struct take *t)
{
	struct service *s = pick(t);
	uint8_t kind;

	if (!s || !take_u8(t, &kind))
		return;
	buf_reset(&packet);
	switch (kind % 5) {
	case 0:
		say(s, MQTT_PINGREQ << 4);
		return;
	case 1:
		say(s, MQTT_DISCONNECT << 4);
		return;
	case 2:
	case 3:
		buf_u8(&packet, kind % 5 == 2 ? 4 : 0);
		put_props(s, PROP_SESSION_EXPIRY, kind, kind % 5 == 3 ? 4 : 0);
		say(s, MQTT_DISCONNECT << 4);
		return;
	default:
		s->deaf = !s->deaf;
	}
}

/* u8: so many tenths of a second, squared */
static void step_time(struct take *t)
{
	uint8_t n;

	if (take_u8(t, &n))
		now += (int64_t)n * n * 10;
	turn();
}

/* u8 which: it goes without a word, or comes */
static void step_cut(struct take *t)
{
	uint8_t which;

	if (!take_u8(t, &which))
		return;
	if (service[which % SERVICES].fd >= 0)
		go(&service[which % SERVICES]);
	else
		come(&service[which % SERVICES]);
	turn();
}

static void step_turn(struct take *t)
{
	(void)t;
	turn();
}

static void (*const steps[])(struct take *t) = {
	step_connect, step_publish, step_subscribe, step_unsubscribe, step_acknowledge, step_other,
	step_turn,    step_time,    step_cut,       step_packet,      step_bytes,
};

/* ---- The end ---- */

static void tear_down(void)
{
	for (unsigned i = 0; i < SERVICES; i++)
		go(&service[i]);
	for (unsigned i = 0; i < 6; i++) {
		now += 3600 * 1000;
		for (unsigned k = 0; k < 4; k++)
			loop_turn(home->loop, 0);
	}
	map_each(n, &home->customers) {
		const struct customer *c = container_of(n, struct customer, node);

		MUST(c->sessions.count == 0 && c->groups.count == 0 && c->subscriptions == 0);
		MUST(tree_empty(c->tree) && c->queue_bytes == 0 && c->filter_bytes == 0);
		MUST(c->id == 0 || retained_count(c->retained));
	}
	door_close(&door);
	home_free(&home);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct take t = take_from(data, size);
	uint8_t step;

	set_up();
	turn();
	for (unsigned i = 0; i < STEPS && take_u8(&t, &step); i++)
		steps[step % ARRAY_LEN(steps)](&t);
	turn();
	tear_down();
	return 0;
}
