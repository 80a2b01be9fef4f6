/* mqtt_write.c - writing MQTT packets. Every packet is counted first, then room is made once, it
 * is written straight through, and committed once: no byte-wise growing, and no length to be
 * patched in afterwards.
 *
 * A packet that would be longer than MQTT can say (its parts were legal, their sum is not: a v3
 * message of the greatest size, going to a v5 client, gets a byte more) leaves the buf `broken`,
 * exactly like memory running out: the owner rolls back and drops it. */
#include "base/base.h"
#include "wire/mqtt_write.h"
#include "wire/mqtt_parts.h"

struct packet {
	uint8_t *w; /* where the body goes, or NULL: nothing to write */
	uint8_t *start;
	size_t size; /* whole, as counted */
};

static struct packet packet_begin(struct buf *b, unsigned first, size_t remaining)
{
	struct packet p = { 0 };

	if (unlikely(remaining > MQTT_REMAINING_MAX)) {
		b->broken = true;
		return p;
	}
	p.size = 1 + mqtt_varint_size((uint32_t)remaining) + remaining;
	p.start = buf_reserve(b, p.size);
	if (p.start)
		p.w = put_varint(put_u8(p.start, first), (uint32_t)remaining);
	return p;
}

static void packet_end(struct buf *b, const struct packet *p, const uint8_t *w)
{
	MUST((size_t)(w - p->start) == p->size);
	buf_commit(b, p->size);
}

static size_t with_length(size_t props_body)
{
	return props_body > MQTT_REMAINING_MAX
	           ? props_body + 4
	           : props_body + mqtt_varint_size((uint32_t)props_body);
}

/* A refusal is decided where it is known why, for whatever packet asked; not every packet can
 * carry every word (MQTT5 2.4). */
static unsigned sayable(unsigned reason, enum mqtt_type type)
{
	if (mqtt_reason_may(reason, type))
		return reason;
	MUST(reason >= RC_UNSPECIFIED_ERROR);
	return type == MQTT_PUBREL || type == MQTT_PUBCOMP ? RC_PACKET_IDENTIFIER_NOT_FOUND
	                                                   : RC_UNSPECIFIED_ERROR;
}

static unsigned first_byte(enum mqtt_type type, unsigned flags)
{
	return (unsigned)type << 4 | flags;
}

/* ---- PUBLISH ---- */

static size_t publish_remaining(uint8_t version, const struct mqtt_publish *p, size_t props_body)
{
	return 2 + p->topic.n + (p->qos ? 2 : 0) +
	       (version >= MQTT_V5 ? with_length(props_body) : 0) + p->payload.n;
}

size_t mqtt_publish_size(uint8_t version, const struct mqtt_publish *p)
{
	size_t props = version >= MQTT_V5 ? mqtt_props_body_size(MQTT_PUBLISH, &p->props) : 0;
	size_t remaining = publish_remaining(version, p, props);

	return 1 + (remaining > MQTT_REMAINING_MAX ? 4 : mqtt_varint_size((uint32_t)remaining)) +
	       remaining;
}

void mqtt_publish_write(struct buf *b, uint8_t version, const struct mqtt_publish *p)
{
	size_t props = version >= MQTT_V5 ? mqtt_props_body_size(MQTT_PUBLISH, &p->props) : 0;
	unsigned flags = (p->dup ? 8u : 0) | (unsigned)p->qos << 1 | (p->retain ? 1u : 0);
	struct packet packet;
	uint8_t *w;

	MUST(p->qos <= 2 && p->topic.n <= UINT16_MAX && !(p->dup && p->qos == 0) &&
	     (p->qos == 0 || p->packet_id));
	MUST(p->topic.n || (version >= MQTT_V5 && mqtt_has(&p->props, PROP_TOPIC_ALIAS)));
	packet =
	    packet_begin(b, first_byte(MQTT_PUBLISH, flags), publish_remaining(version, p, props));
	if (!packet.w)
		return;
	w = put_string(packet.w, p->topic);
	if (p->qos)
		w = put_u16(w, p->packet_id);
	if (version >= MQTT_V5)
		w = mqtt_props_put(w, MQTT_PUBLISH, &p->props, props);
	packet_end(b, &packet, put_bytes(w, p->payload));
}

/* ---- PUBACK, PUBREC, PUBREL, PUBCOMP ---- */

void mqtt_ack_write(struct buf *b, enum mqtt_type type, uint8_t version, uint16_t packet_id,
                    unsigned reason, const struct mqtt_props *props)
{
	size_t body = version >= MQTT_V5 ? mqtt_props_body_size(type, props) : 0;
	unsigned first = first_byte(type, type == MQTT_PUBREL ? 2 : 0);
	struct packet packet;
	uint8_t *w;

	MUST(type >= MQTT_PUBACK && type <= MQTT_PUBCOMP && packet_id);
	/* v3 has no word for "no" here */
	reason = version >= MQTT_V5 ? sayable(reason, type) : RC_SUCCESS;
	packet = packet_begin(b, first, 2 + (body ? 1 + with_length(body) : reason ? 1 : 0));
	if (!packet.w)
		return;
	w = put_u16(packet.w, packet_id);
	if (reason || body)
		w = put_u8(w, reason);
	if (body)
		w = mqtt_props_put(w, type, props, body);
	packet_end(b, &packet, w);
}

/* ---- Packets that are a code and properties ---- */

static void code_and_props_write(struct buf *b, enum mqtt_type type, unsigned reason,
                                 const struct mqtt_props *props)
{
	size_t body = mqtt_props_body_size(type, props);
	struct packet packet;
	uint8_t *w;

	MUST(type != MQTT_AUTH || mqtt_reason_may(reason, type));
	reason = sayable(reason, type);
	packet = packet_begin(b, first_byte(type, 0),
	                      body     ? 1 + with_length(body)
	                      : reason ? 1
	                               : 0);
	if (!packet.w)
		return;
	w = packet.w;
	if (reason || body)
		w = put_u8(w, reason);
	if (body)
		w = mqtt_props_put(w, type, props, body);
	packet_end(b, &packet, w);
}

static void bare_write(struct buf *b, enum mqtt_type type)
{
	struct packet packet = packet_begin(b, first_byte(type, 0), 0);

	if (packet.w)
		packet_end(b, &packet, packet.w);
}

void mqtt_disconnect_write(struct buf *b, uint8_t version, unsigned reason,
                           const struct mqtt_props *props)
{
	if (version >= MQTT_V5) {
		code_and_props_write(b, MQTT_DISCONNECT, reason, props);
		return;
	}
	MUST(reason == RC_SUCCESS); /* a v3 server just closes */
	bare_write(b, MQTT_DISCONNECT);
}

void mqtt_auth_write(struct buf *b, unsigned reason, const struct mqtt_props *props)
{
	code_and_props_write(b, MQTT_AUTH, reason, props);
}

void mqtt_pingreq_write(struct buf *b)
{
	bare_write(b, MQTT_PINGREQ);
}

void mqtt_pingresp_write(struct buf *b)
{
	bare_write(b, MQTT_PINGRESP);
}

/* ---- CONNECT and CONNACK ---- */

static size_t will_size(const struct mqtt_connect *c, size_t props_body)
{
	if (!c->will.present)
		return 0;
	MUST(c->will.qos <= 2 && c->will.topic.n <= UINT16_MAX && c->will.payload.n <= UINT16_MAX);
	return (c->version >= MQTT_V5 ? with_length(props_body) : 0) + 2 + c->will.topic.n + 2 +
	       c->will.payload.n;
}

static unsigned connect_flags(const struct mqtt_connect *c)
{
	unsigned will =
	    c->will.present ? 0x04u | (unsigned)c->will.qos << 3 | (c->will.retain ? 0x20u : 0) : 0;

	return (c->clean_start ? 0x02u : 0) | will | (c->has_password ? 0x40u : 0) |
	       (c->has_username ? 0x80u : 0);
}

void mqtt_connect_write(struct buf *b, const struct mqtt_connect *c)
{
	bool v5 = c->version >= MQTT_V5;
	struct str name = c->version == MQTT_V31 ? STR("MQIsdp") : STR("MQTT");
	size_t props = v5 ? mqtt_props_body_size(MQTT_CONNECT, &c->props) : 0;
	size_t will_props =
	    v5 && c->will.present ? mqtt_props_body_size(IN_WILL, &c->will.props) : 0;
	struct packet packet;
	uint8_t *w;

	MUST(c->client_id.n <= UINT16_MAX && c->username.n <= UINT16_MAX &&
	     c->password.n <= UINT16_MAX);
	packet =
	    packet_begin(b, first_byte(MQTT_CONNECT, 0),
	                 2 + name.n + 4 + (v5 ? with_length(props) : 0) + 2 + c->client_id.n +
	                     will_size(c, will_props) + (c->has_username ? 2 + c->username.n : 0) +
	                     (c->has_password ? 2 + c->password.n : 0));
	if (!packet.w)
		return;
	w = put_u8(
	    put_u8(put_string(packet.w, name), (uint8_t)(c->version | (c->bridge ? 0x80 : 0))),
	    connect_flags(c));
	w = put_u16(w, c->keep_alive);
	if (v5)
		w = mqtt_props_put(w, MQTT_CONNECT, &c->props, props);
	w = put_string(w, c->client_id);
	if (c->will.present) {
		if (v5)
			w = mqtt_props_put(w, IN_WILL, &c->will.props, will_props);
		w = put_string(put_string(w, c->will.topic), c->will.payload);
	}
	if (c->has_username)
		w = put_string(w, c->username);
	if (c->has_password)
		w = put_string(w, c->password);
	packet_end(b, &packet, w);
}

void mqtt_connack_write(struct buf *b, uint8_t version, bool session_present, unsigned reason,
                        const struct mqtt_props *props)
{
	bool v5 = version >= MQTT_V5;
	size_t body = v5 ? mqtt_props_body_size(MQTT_CONNACK, props) : 0;
	struct packet packet;
	uint8_t *w;

	MUST(!(session_present && reason)); /* [MQTT-3.2.2-6] */
	packet = packet_begin(b, first_byte(MQTT_CONNACK, 0), 2 + (v5 ? with_length(body) : 0));
	if (!packet.w)
		return;
	w = put_u8(packet.w, session_present && version > MQTT_V31); /* MQTT 3.1: reserved */
	w = put_u8(w, v5 ? sayable(reason, MQTT_CONNACK) : mqtt_v3_connack(reason));
	if (v5)
		w = mqtt_props_put(w, MQTT_CONNACK, props, body);
	packet_end(b, &packet, w);
}

/* ---- Subscriptions ---- */

/* Fixed header, packet identifier and properties, of a packet whose rest has `rest` bytes. */
static struct packet subscription_begin(struct buf *b, unsigned first, uint8_t version,
                                        uint16_t packet_id, size_t rest,
                                        const struct mqtt_props *props)
{
	enum mqtt_type type = first >> 4;
	size_t body = version >= MQTT_V5 ? mqtt_props_body_size(type, props) : 0;
	struct packet packet =
	    packet_begin(b, first, 2 + (version >= MQTT_V5 ? with_length(body) : 0) + rest);

	MUST(packet_id);
	if (!packet.w)
		return packet;
	packet.w = put_u16(packet.w, packet_id);
	if (version >= MQTT_V5)
		packet.w = mqtt_props_put(packet.w, type, props, body);
	return packet;
}

static size_t filters_size(const struct str *filters, size_t count, size_t each)
{
	size_t size = 0;

	MUST(count);
	for (size_t i = 0; i < count; i++) {
		MUST(filters[i].n <= UINT16_MAX);
		size += 2 + filters[i].n + each;
	}
	return size;
}

static unsigned options_byte(uint8_t version, const struct mqtt_sub_opts *o)
{
	MUST(o->qos <= 2 && o->retain_handling <= 2);
	if (version < MQTT_V5)
		return o->qos;
	return o->qos | (o->no_local ? 0x04u : 0) | (o->retain_as_published ? 0x08u : 0) |
	       (unsigned)o->retain_handling << 4;
}

void mqtt_subscribe_write(struct buf *b, uint8_t version, uint16_t packet_id,
                          const struct str *filters, const struct mqtt_sub_opts *opts, size_t count,
                          const struct mqtt_props *props)
{
	struct packet packet =
	    subscription_begin(b, first_byte(MQTT_SUBSCRIBE, 2), version, packet_id,
	                       filters_size(filters, count, 1), props);
	uint8_t *w = packet.w;

	if (!w)
		return;
	for (size_t i = 0; i < count; i++)
		w = put_u8(put_string(w, filters[i]), options_byte(version, &opts[i]));
	packet_end(b, &packet, w);
}

void mqtt_unsubscribe_write(struct buf *b, uint8_t version, uint16_t packet_id,
                            const struct str *filters, size_t count, const struct mqtt_props *props)
{
	struct packet packet =
	    subscription_begin(b, first_byte(MQTT_UNSUBSCRIBE, 2), version, packet_id,
	                       filters_size(filters, count, 0), props);
	uint8_t *w = packet.w;

	if (!w)
		return;
	for (size_t i = 0; i < count; i++)
		w = put_string(w, filters[i]);
	packet_end(b, &packet, w);
}

void mqtt_suback_write(struct buf *b, uint8_t version, uint16_t packet_id, const uint8_t *codes,
                       size_t count, const struct mqtt_props *props)
{
	struct packet packet =
	    subscription_begin(b, first_byte(MQTT_SUBACK, 0), version, packet_id, count, props);
	uint8_t *w = packet.w;

	MUST(count);
	if (!w)
		return;
	for (size_t i = 0; i < count; i++)
		w = put_u8(w, version >= MQTT_V5 ? sayable(codes[i], MQTT_SUBACK)
		                                 : mqtt_v3_suback(codes[i]));
	packet_end(b, &packet, w);
}

/* v3 clients learn only that it is done. */
void mqtt_unsuback_write(struct buf *b, uint8_t version, uint16_t packet_id, const uint8_t *codes,
                         size_t count, const struct mqtt_props *props)
{
	size_t shown = version >= MQTT_V5 ? count : 0;
	struct packet packet =
	    subscription_begin(b, first_byte(MQTT_UNSUBACK, 0), version, packet_id, shown, props);
	uint8_t *w = packet.w;

	MUST(count || version < MQTT_V5);
	if (!w)
		return;
	for (size_t i = 0; i < shown; i++)
		w = put_u8(w, sayable(codes[i], MQTT_UNSUBACK));
	packet_end(b, &packet, w);
}
