/* door_in.c - what a guest says: MQTT packets become the structs of wire/link.h, and calls of its
 * session. Names are inner names and pass as they are. Every handler answers RC_SUCCESS, or the
 * reason to close the connection with. */
#include "base/base.h"
#include "core/door_parts.h"

#include <stdio.h>

#include "base/crypt.h"
#include "wire/topic.h"

enum { ID_RANDOM = 8 };

/* ---- Messages ---- */

/* Properties that belong to the message, in wire form without their length; what the link wants to
 * have. Lives in door->frame. */
static bool message_props(struct guest *g, bool will, const struct mqtt_props *p, struct str *out)
{
	static const uint64_t kept =
	    UINT64_C(1) << PROP_PAYLOAD_FORMAT | UINT64_C(1) << PROP_CONTENT_TYPE |
	    UINT64_C(1) << PROP_CORRELATION_DATA | UINT64_C(1) << PROP_USER_PROPERTY;
	struct buf *b = &g->door->frame;
	struct mqtt_props own = *p;
	struct take t;
	uint32_t length;

	*out = STR_NONE;
	own.has &= kept;
	own.subscription_ids = 0;
	if (own.has == 0)
		return true;
	buf_reset(b);
	mqtt_props_write(b, MQTT_PUBLISH, will, &own);
	if (!buf_ok(b))
		return false;
	t = take_from(buf_data(b), buf_len(b));
	return mqtt_varint_take(&t, &length) == PARSE_OK && take_bytes(&t, length, out);
}

static bool message_from(struct guest *g, bool will, struct str topic, struct str payload,
                         const struct mqtt_props *p, struct link_msg *out)
{
	*out = (struct link_msg){ .topic = topic, .payload = payload, .expiry_s = LINK_NO_EXPIRY };
	if (p->has == 0)
		return true;
	/* one that says "never" would not be one: a second less */
	if (mqtt_has(p, PROP_MESSAGE_EXPIRY))
		out->expiry_s =
		    p->message_expiry == LINK_NO_EXPIRY ? LINK_NO_EXPIRY - 1 : p->message_expiry;
	if (mqtt_has(p, PROP_RESPONSE_TOPIC))
		out->response_topic = p->response_topic;
	return message_props(g, will, p, &out->props);
}

/* What all proxies believe about tokens and customers comes from mbus-admin, and from nobody else
 * who may use this door (attack I42). */
static bool may_name(const struct guest *g, struct str topic)
{
	return g->admin || !(str_eq(topic, STR("mbus")) || str_starts(topic, STR("mbus/")));
}

/* ---- CONNECT ---- */

/* No id: we give it one (MQTT5 3.1.3.1). Drawn, so that it meets no session that is there. */
static bool name_guest(struct guest *g, struct str client_id)
{
	uint64_t drawn;

	if (client_id.n == 0) {
		if (crypt_random(&drawn, ID_RANDOM))
			return false;
		g->assigned = true;
		buf_printf(&g->name, "auto-%016" PRIx64, drawn);
	} else {
		buf_str_add(&g->name, client_id);
	}
	return buf_ok(&g->name);
}

static void take_terms(struct guest *g, const struct mqtt_connect *c)
{
	const struct core_config *config = home_config(g->door->home);

	g->keep_alive_ms = c->keep_alive * 1500u; /* [MQTT-3.1.2-22] */
	g->packet_max =
	    mqtt_has(&c->props, PROP_MAXIMUM_PACKET_SIZE) ? c->props.maximum_packet_size : 0;
	g->under_way_max = (uint32_t)config->inbound_max;
	if (c->version >= MQTT_V5)
		g->expiry_s =
		    mqtt_has(&c->props, PROP_SESSION_EXPIRY) ? c->props.session_expiry : 0;
	else
		/* MQTT5 3.1.2.11.2 says so of MQTT 3.1.1's Clean Session */
		g->expiry_s = c->clean_start ? 0 : UINT32_MAX;
}

static unsigned open_session(struct guest *g, const struct mqtt_connect *c)
{
	const struct mqtt_will *will = &c->will;
	uint8_t flags = (uint8_t)((c->clean_start ? LINK_OPEN_CLEAN : 0) |
	                          (will->present ? LINK_OPEN_WILL : 0));
	struct link_open o = {
		.version = c->version,
		.receive_maximum = mqtt_has(&c->props, PROP_RECEIVE_MAXIMUM)
		                       ? c->props.receive_maximum
		                       : UINT16_MAX,
		.session_expiry_s = g->expiry_s,
		.client_id = buf_str(&g->name),
		.peer = STR("local"),
	};

	if (will->present) {
		if (!topic_name_ok(will->topic))
			return RC_TOPIC_NAME_INVALID;
		if (!may_name(g, will->topic))
			return RC_NOT_AUTHORIZED;
		o.will_qos = will->qos;
		o.will_retain = will->retain;
		o.will_delay_s =
		    mqtt_has(&will->props, PROP_WILL_DELAY) ? will->props.will_delay : 0;
		if (!message_from(g, true, will->topic, will->payload, &will->props, &o.will))
			return RC_SERVER_BUSY;
	}
	/* Answers through the port, with CONNACK, before it returns. */
	return session_open(g->door->home, &g->port, flags, &o) ? RC_SUCCESS : RC_UNSPECIFIED_ERROR;
}

static unsigned take_connect(struct guest *g, const struct mqtt_head *head, struct str body)
{
	struct mqtt_connect c;
	bool version_known;
	unsigned reason;

	(void)head;
	if (g->version)
		return RC_PROTOCOL_ERROR; /* [MQTT-3.1.0-2] */
	reason = mqtt_connect_read(body, &c, &version_known);
	if (version_known)
		g->version = c.version;
	if (reason)
		return reason;
	if (mqtt_has(&c.props, PROP_AUTH_METHOD))
		return RC_BAD_AUTHENTICATION_METHOD;
	if (!name_guest(g, c.client_id))
		return RC_SERVER_BUSY;
	take_terms(g, &c);
	return open_session(g, &c);
}

/* ---- PUBLISH and acknowledgements ---- */

static unsigned take_publish(struct guest *g, const struct mqtt_head *head, struct str body)
{
	struct mqtt_publish in;
	struct link_publish out;
	uint8_t flags;
	unsigned reason = mqtt_publish_read(body, head->flags, g->version, true, &in);

	if (reason)
		return reason;
	if (mqtt_has(&in.props, PROP_TOPIC_ALIAS))
		return RC_TOPIC_ALIAS_INVALID; /* we said 0: [MQTT-3.2.2-17] */
	if (!topic_name_ok(in.topic))
		return RC_TOPIC_NAME_INVALID;
	if (!may_name(g, in.topic))
		return RC_NOT_AUTHORIZED;
	if (in.qos && g->version >= MQTT_V5 && ++g->under_way > g->under_way_max)
		/* MQTT5 3.3.4; v3 may send one again, and knows no such limit */
		return RC_RECEIVE_MAXIMUM_EXCEEDED;
	out.packet_id = in.packet_id;
	if (!message_from(g, false, in.topic, in.payload, &in.props, &out.msg))
		return RC_SERVER_BUSY;
	flags = (uint8_t)(in.qos | (in.retain ? LINK_RETAIN : 0) | (in.dup ? LINK_DUP : 0));
	return session_publish(&g->port, flags, &out) ? RC_SUCCESS : RC_TOPIC_NAME_INVALID;
}

static unsigned take_ack(struct guest *g, const struct mqtt_head *head, struct str body)
{
	struct mqtt_ack ack;
	unsigned reason = mqtt_ack_read(body, head->type, g->version, &ack);

	if (reason)
		return reason;
	return session_ack(&g->port, head->type, ack.packet_id, ack.code) ? RC_SUCCESS
	                                                                  : RC_PROTOCOL_ERROR;
}

/* ---- SUBSCRIBE and UNSUBSCRIBE ---- */

/* No filter may be empty [MQTT-4.7.3-1], and none has a place in a frame: a text stands there that
 * is no filter, so that it is answered like any other that is none (attack I06). */
static struct str in_frame(struct str filter)
{
	return filter.n ? filter : STR("#/#");
}

/* A trusted service may see everything, the system trees of all customers included: its one inner
 * filter is what it wrote. */
static void add_item(struct buf *b, size_t frame, struct str filter,
                     const struct mqtt_sub_opts *opts)
{
	uint8_t byte =
	    (uint8_t)(opts->qos | (opts->no_local ? 0x04 : 0) |
	              (opts->retain_as_published ? 0x08 : 0) | opts->retain_handling << 4);
	struct share share;
	size_t item;

	if (share_split(filter, &share) == SHARE_BAD || !topic_filter_ok(share.filter)) {
		(void)link_item_begin(b, frame, RC_TOPIC_FILTER_INVALID, byte, in_frame(filter));
		return;
	}
	item = link_item_begin(b, frame, RC_SUCCESS, byte, filter);
	link_item_inner(b, item, share.filter, true);
}

static unsigned take_subscribe(struct guest *g, const struct mqtt_head *head, struct str body)
{
	struct buf *b = &g->door->frame;
	struct mqtt_subscribe in;
	struct link_subscribe out;
	struct mqtt_sub_opts opts;
	struct str filter;
	size_t frame;
	unsigned reason = mqtt_subscribe_read(body, g->version, &in);

	(void)head;
	if (reason)
		return reason;
	if (in.count > UINT16_MAX)
		return RC_IMPLEMENTATION_SPECIFIC_ERROR;
	buf_reset(b);
	frame = link_subscribe_begin(b, LINK_SUBSCRIBE, 0, 0, in.packet_id,
	                             in.props.subscription_ids ? in.props.subscription_id[0] : 0);
	while (mqtt_subscribe_next(&in, g->version, &filter, &opts))
		add_item(b, frame, filter, &opts);
	if (!link_end(b, frame))
		return RC_SERVER_BUSY;
	return link_subscribe_read(str_skip(buf_str(b), LINK_HEAD), &out) &&
	               session_subscribe(&g->port, &out)
	           ? RC_SUCCESS
	           : RC_TOPIC_FILTER_INVALID;
}

static unsigned take_unsubscribe(struct guest *g, const struct mqtt_head *head, struct str body)
{
	struct buf *b = &g->door->frame;
	struct mqtt_unsubscribe in;
	struct link_unsubscribe out;
	struct str filter;
	size_t frame;
	unsigned reason = mqtt_unsubscribe_read(body, g->version, &in);

	(void)head;
	if (reason)
		return reason;
	if (in.count > UINT16_MAX)
		return RC_IMPLEMENTATION_SPECIFIC_ERROR;
	buf_reset(b);
	frame = link_unsubscribe_begin(b, 0, 0, in.packet_id);
	while (mqtt_unsubscribe_next(&in, &filter))
		link_unsubscribe_add(b, frame, in_frame(filter));
	if (!link_end(b, frame))
		return RC_SERVER_BUSY;
	return link_unsubscribe_read(str_skip(buf_str(b), LINK_HEAD), &out) &&
	               session_unsubscribe(&g->port, &out)
	           ? RC_SUCCESS
	           : RC_TOPIC_FILTER_INVALID;
}

/* ---- The rest ---- */

static unsigned take_ping(struct guest *g, const struct mqtt_head *head, struct str body)
{
	(void)head;
	(void)body;
	mqtt_pingresp_write(&g->send);
	guest_said(g);
	return RC_SUCCESS;
}

static unsigned take_disconnect(struct guest *g, const struct mqtt_head *head, struct str body)
{
	struct mqtt_disconnect d;
	uint8_t flags;
	unsigned reason = mqtt_disconnect_read(body, g->version, true, &d);

	(void)head;
	if (reason)
		return reason;
	flags = d.code == RC_SUCCESS ? 0 : LINK_CLOSE_WILL; /* [MQTT-3.14.4-3] */
	if (mqtt_has(&d.props, PROP_SESSION_EXPIRY)) {
		if (g->expiry_s == 0 && d.props.session_expiry)
			return RC_PROTOCOL_ERROR; /* MQTT5 3.14.2.2.2 */
		flags |= LINK_CLOSE_EXPIRY;
	}
	guest_close(g, flags, d.props.session_expiry,
	            d.code ? mqtt_reason_text(d.code) : "disconnect");
	return RC_SUCCESS;
}

/* What is not here a client may not send: AUTH neither, for there is no method to go on with
 * [MQTT-4.12.0-7]. */
static unsigned (*const handlers[16])(struct guest *g, const struct mqtt_head *head,
                                      struct str body) = {
	[MQTT_CONNECT] = take_connect,     [MQTT_PUBLISH] = take_publish,
	[MQTT_PUBACK] = take_ack,          [MQTT_PUBREC] = take_ack,
	[MQTT_PUBREL] = take_ack,          [MQTT_PUBCOMP] = take_ack,
	[MQTT_SUBSCRIBE] = take_subscribe, [MQTT_UNSUBSCRIBE] = take_unsubscribe,
	[MQTT_PINGREQ] = take_ping,        [MQTT_DISCONNECT] = take_disconnect,
};

static unsigned packet(struct guest *g, const struct mqtt_head *head, struct str body)
{
	if (!handlers[head->type])
		return RC_PROTOCOL_ERROR;
	if (g->state == GUEST_GREETING && head->type != MQTT_CONNECT)
		return RC_PROTOCOL_ERROR; /* [MQTT-3.1.0-1] */
	return handlers[head->type](g, head, body);
}

size_t guest_feed(struct guest *g, struct str bytes)
{
	size_t done = 0;

	while (g->state != GUEST_CLOSING && !g->full && !g->broken) {
		struct str rest = str_skip(bytes, done);
		struct mqtt_head head;
		enum parse answer = mqtt_head_read(rest, &head);
		unsigned reason = RC_SUCCESS;
		size_t whole;

		if (answer == PARSE_MORE)
			break;
		if (answer == PARSE_BAD) {
			guest_fail(g, RC_MALFORMED_PACKET);
			break;
		}
		whole = (size_t)head.size + head.remaining;
		if (whole > door_packet_max(g->door))
			reason = RC_PACKET_TOO_LARGE;
		else if (rest.n < whole)
			break;
		g->heard = home_now(g->door->home);
		if (!reason) {
			g->packets_in++;
			done += whole;
			reason = packet(g, &head, str_make(rest.p + head.size, head.remaining));
		}
		if (reason)
			guest_fail(g, reason);
	}
	return done;
}
