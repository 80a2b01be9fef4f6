/* mqtt_packet.c - fuzz target: a stream of packets through the header and every decoder, v3.1,
 * v3.1.1 and v5, both directions. The first byte says version and direction, so that one corpus
 * serves all. What is decoded is walked to its last byte: a slice that points anywhere but into
 * the packet is a finding. */
#include "base/base.h"

#include <stdlib.h>

#include "wire/mqtt_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct side {
	uint8_t version;
	bool from_client;
};

static volatile uint8_t sink;

static void touch(struct str s)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum ^= (uint8_t)s.p[i];
	sink = sum;
}

static void touch_props(const struct mqtt_props *p)
{
	const struct str all[] = { p->content_type,
		                   p->response_topic,
		                   p->correlation_data,
		                   p->assigned_client_id,
		                   p->auth_method,
		                   p->auth_data,
		                   p->response_info,
		                   p->server_reference,
		                   p->reason_string,
		                   p->user,
		                   p->all };
	struct mqtt_user_walk w;
	struct str key, value;
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		touch(all[i]);
	for (mqtt_user_start(&w, p); mqtt_user_next(&w, &key, &value); count++) {
		touch(key);
		touch(value);
		MUST(mqtt_utf8_ok(key) && mqtt_utf8_ok(value));
	}
	MUST(count == p->user_count);
	MUST(p->subscription_ids <= ARRAY_LEN(p->subscription_id));
	MUST(!p->response_topic.n || mqtt_name_ok(p->response_topic));
}

static void connect_one(struct str body)
{
	struct mqtt_connect c;
	bool known;
	unsigned reason = mqtt_connect_read(body, &c, &known);

	if (known)
		MUST(c.version == MQTT_V31 || c.version == MQTT_V311 || c.version == MQTT_V5);
	if (reason)
		return;
	MUST(known && mqtt_client_id_ok(c.client_id));
	touch(c.username);
	touch(c.password);
	touch_props(&c.props);
	if (c.will.present) {
		MUST(c.will.qos <= 2 && c.will.topic.n && mqtt_name_ok(c.will.topic));
		touch(c.will.payload);
		touch_props(&c.will.props);
	}
}

static void publish_one(struct str body, uint8_t flags, const struct side *side)
{
	struct mqtt_publish p;

	if (mqtt_publish_read(body, flags, side->version, side->from_client, &p))
		return;
	MUST(p.qos <= 2 && !p.packet_id == !p.qos);
	MUST(mqtt_name_ok(p.topic) && (p.topic.n == 0 || !memchr(p.topic.p, '#', p.topic.n)));
	MUST(p.topic.n || p.props.topic_alias);
	touch(p.payload);
	touch_props(&p.props);
}

static void subscribe_one(struct str body, uint8_t version)
{
	struct mqtt_subscribe s;
	struct mqtt_sub_opts o;
	struct str filter;
	unsigned count = 0;

	if (mqtt_subscribe_read(body, version, &s))
		return;
	touch_props(&s.props);
	for (; mqtt_subscribe_next(&s, version, &filter, &o); count++)
		MUST(mqtt_utf8_ok(filter) && o.qos <= 2 && o.retain_handling <= 2);
	MUST(count && count == s.count && s.packet_id);
}

static void unsubscribe_one(struct str body, uint8_t version)
{
	struct mqtt_unsubscribe u;
	struct str filter;
	unsigned count = 0;

	if (mqtt_unsubscribe_read(body, version, &u))
		return;
	touch_props(&u.props);
	for (; mqtt_unsubscribe_next(&u, &filter); count++)
		MUST(mqtt_utf8_ok(filter));
	MUST(count && count == u.count && u.packet_id);
}

static void answer_one(struct str body, enum mqtt_type type, uint8_t version)
{
	struct mqtt_connack c;
	struct mqtt_suback s;
	struct mqtt_ack a;

	if (type == MQTT_CONNACK) {
		if (mqtt_connack_read(body, version, &c) == RC_SUCCESS)
			touch_props(&c.props);
	} else if (type == MQTT_SUBACK || type == MQTT_UNSUBACK) {
		if (mqtt_suback_read(body, type, version, &s) == RC_SUCCESS) {
			touch(s.codes);
			touch_props(&s.props);
		}
	} else if (mqtt_ack_read(body, type, version, &a) == RC_SUCCESS) {
		MUST(a.packet_id);
		touch_props(&a.props);
	}
}

static void body_one(struct str body, const struct mqtt_head *h, const struct side *side)
{
	struct mqtt_disconnect d;

	switch ((enum mqtt_type)h->type) {
	case MQTT_CONNECT:
		connect_one(body);
		break;
	case MQTT_PUBLISH:
		publish_one(body, h->flags, side);
		break;
	case MQTT_SUBSCRIBE:
		subscribe_one(body, side->version);
		break;
	case MQTT_UNSUBSCRIBE:
		unsubscribe_one(body, side->version);
		break;
	case MQTT_CONNACK:
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		answer_one(body, h->type, side->version);
		break;
	case MQTT_DISCONNECT:
		if (mqtt_disconnect_read(body, side->version, side->from_client, &d) == RC_SUCCESS)
			touch_props(&d.props);
		break;
	case MQTT_AUTH:
		if (mqtt_auth_read(body, &d) == RC_SUCCESS)
			touch_props(&d.props);
		break;
	case MQTT_PINGREQ:
	case MQTT_PINGRESP:
		MUST(body.n == 0);
		break;
	}
}

/* The body alone in a block of its own size: a sanitizer sees the first byte past its end. */
static void body_exact(struct str body, const struct mqtt_head *h, const struct side *side)
{
	char *copy = malloc(body.n ? body.n : 1);

	MUST(copy);
	if (body.n)
		memcpy(copy, body.p, body.n);
	body_one(str_make(copy, body.n), h, side);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t versions[] = { MQTT_V5, MQTT_V311, MQTT_V31, MQTT_V5 };
	struct side side;
	struct str rest;
	struct mqtt_head h;

	if (size == 0)
		return 0;
	side = (struct side){ versions[data[0] & 3], data[0] & 4 };
	rest = str_make(data + 1, size - 1);
	while (mqtt_head_read(rest, &h) == PARSE_OK && h.remaining <= rest.n - h.size) {
		rest = str_skip(rest, h.size);
		body_exact(str_make(rest.p, h.remaining), &h, &side);
		rest = str_skip(rest, h.remaining);
	}
	return 0;
}
