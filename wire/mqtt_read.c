/* mqtt_read.c - the fixed header, and the packets of the message flow: PUBLISH, its
 * acknowledgements, DISCONNECT, AUTH. CONNECT and CONNACK are in mqtt_connect.c, subscriptions
 * in mqtt_subscribe.c. A body is whole when it comes here: what ends early is malformed, and so
 * is what is left over (attack P08). */
#include "base/base.h"
#include "wire/mqtt_parts.h"

/* MQTT5 table 2-2: the low nibble of every type but PUBLISH is fixed [MQTT-2.1.3-1]. MQTT 3.1
 * let PUBREL, SUBSCRIBE and UNSUBSCRIBE carry DUP; no client of today does, and one rule for all
 * versions leaves nothing to disagree about. */
enum { FLAGS_ANY = 0x10, NO_SUCH_TYPE = 0x20 };
static const uint8_t type_flags[16] = {
	[0] = NO_SUCH_TYPE,   [MQTT_PUBLISH] = FLAGS_ANY, [MQTT_PUBREL] = 2,
	[MQTT_SUBSCRIBE] = 2, [MQTT_UNSUBSCRIBE] = 2,
};

/* The length behind the first byte; *size: of both. */
static enum parse length_of(struct str bytes, uint32_t *remaining, uint8_t *size)
{
	struct take t = take_from(bytes.p + 1, bytes.n - 1);
	enum parse answer = mqtt_varint_take(&t, remaining);

	*size = (uint8_t)(bytes.n - take_left(&t));
	return answer;
}

/* The first byte is judged as soon as it is there: who begins wrongly is sent away without
 * waiting for a length (attack P02). */
enum parse mqtt_head_read(struct str bytes, struct mqtt_head *out)
{
	uint32_t remaining;
	uint8_t first, type, flags, size = 2;
	enum parse answer;

	if (bytes.n == 0)
		return PARSE_MORE;
	first = (uint8_t)bytes.p[0];
	type = first >> 4;
	flags = first & 15;
	if (type_flags[type] != flags && type_flags[type] != FLAGS_ANY)
		return PARSE_BAD;
	if (likely(bytes.n > 1 && (uint8_t)bytes.p[1] < 128)) { /* most packets are short */
		remaining = (uint8_t)bytes.p[1];
	} else {
		answer = length_of(bytes, &remaining, &size);
		if (answer != PARSE_OK)
			return answer;
	}
	/* these have no body (attack P33) */
	if (remaining && (type == MQTT_PINGREQ || type == MQTT_PINGRESP))
		return PARSE_BAD;
	out->type = type;
	out->flags = flags;
	out->remaining = remaining;
	out->size = size;
	return PARSE_OK;
}

/* ---- Parts ---- */

bool mqtt_binary_take(struct take *t, struct str *out)
{
	uint16_t size;

	return take_u16(t, &size) && take_bytes(t, size, out);
}

unsigned mqtt_string_take(struct take *t, struct str *out)
{
	/* [MQTT-1.5.4-1] */
	return mqtt_binary_take(t, out) && mqtt_utf8_ok(*out) ? RC_SUCCESS : RC_MALFORMED_PACKET;
}

/* The properties that end a packet, or none for v3: what comes after them was not announced by
 * anybody. */
static unsigned props_to_the_end(struct take *t, unsigned where, struct mqtt_props *out)
{
	unsigned reason = mqtt_props_take(t, where, out);

	return reason ? reason : take_left(t) ? RC_MALFORMED_PACKET : RC_SUCCESS;
}

/* ---- PUBLISH, MQTT5 3.3 ---- */

static unsigned publish_props(struct take *t, bool from_client, struct mqtt_publish *out)
{
	unsigned reason;

	if (likely(take_left(t) && *t->p == 0)) {
		t->p++;
		mqtt_props_clear(&out->props);
		return RC_SUCCESS;
	}
	reason = mqtt_props_take(t, MQTT_PUBLISH, &out->props);
	if (reason)
		return reason;
	/* [MQTT-3.3.4-6] */
	return from_client && out->props.subscription_ids ? RC_PROTOCOL_ERROR : RC_SUCCESS;
}

/* An empty topic says "the alias tells", so there must be one (attack P16). Whether the alias is
 * known is the connection's business. */
static unsigned publish_topic(const struct mqtt_publish *p)
{
	if (p->topic.n)
		return mqtt_topic_judge(p->topic);
	/* MQTT5 3.3.2.1 */
	return mqtt_has(&p->props, PROP_TOPIC_ALIAS) ? RC_SUCCESS : RC_PROTOCOL_ERROR;
}

unsigned mqtt_publish_read(struct str body, uint8_t flags, uint8_t version, bool from_client,
                           struct mqtt_publish *out)
{
	struct take t = take_from(body.p, body.n);
	unsigned reason;

	out->retain = flags & 1;
	out->qos = flags >> 1 & 3;
	out->dup = flags >> 3 & 1;
	out->packet_id = 0;
	/* [MQTT-3.3.1-4], [MQTT-3.3.1-2]; attack P24 */
	if (out->qos == 3 || (out->dup && out->qos == 0))
		return RC_MALFORMED_PACKET;
	if (!mqtt_binary_take(&t, &out->topic))
		return RC_MALFORMED_PACKET;
	if (out->qos && !take_u16(&t, &out->packet_id)) /* attack P10 */
		return RC_MALFORMED_PACKET;
	if (out->qos && out->packet_id == 0) /* [MQTT-2.2.1-3] */
		return RC_PROTOCOL_ERROR;
	if (version >= MQTT_V5) {
		reason = publish_props(&t, from_client, out);
		if (reason)
			return reason;
	} else {
		mqtt_props_clear(&out->props);
	}
	reason = publish_topic(out);
	if (reason)
		return reason;
	out->payload = str_make(t.p, take_left(&t));
	/* MQTT5 3.3.2.3.2 */
	if (unlikely(out->props.payload_format) && !mqtt_text_ok(out->payload))
		return RC_PAYLOAD_FORMAT_INVALID;
	return RC_SUCCESS;
}

/* ---- PUBACK, PUBREC, PUBREL, PUBCOMP: MQTT5 3.4 .. 3.7 ---- */

/* v5 may leave out properties, and the reason code with them when it is "success". */
static unsigned ack_rest(struct take *t, enum mqtt_type type, struct mqtt_ack *out)
{
	if (!take_u8(t, &out->code))
		return RC_MALFORMED_PACKET;
	if (!mqtt_reason_may(out->code, type))
		return RC_PROTOCOL_ERROR;
	return take_left(t) ? props_to_the_end(t, type, &out->props) : RC_SUCCESS;
}

unsigned mqtt_ack_read(struct str body, enum mqtt_type type, uint8_t version, struct mqtt_ack *out)
{
	struct take t = take_from(body.p, body.n);

	if (!take_u16(&t, &out->packet_id))
		return RC_MALFORMED_PACKET;
	if (out->packet_id == 0)
		return RC_PROTOCOL_ERROR; /* nobody may have used 0: [MQTT-2.2.1-3] */
	out->code = RC_SUCCESS;
	mqtt_props_clear(&out->props);
	if (likely(take_left(&t) == 0))
		return RC_SUCCESS;
	return version >= MQTT_V5 ? ack_rest(&t, type, out) : RC_MALFORMED_PACKET;
}

/* ---- DISCONNECT and AUTH, MQTT5 3.14 and 3.15: code and properties, both may be missing ---- */

static unsigned code_and_props(struct str body, enum mqtt_type type, unsigned where,
                               struct mqtt_disconnect *out)
{
	struct take t = take_from(body.p, body.n);

	out->code = RC_SUCCESS;
	mqtt_props_clear(&out->props);
	if (!take_u8(&t, &out->code))
		return RC_SUCCESS;
	if (!mqtt_reason_may(out->code, where))
		return RC_PROTOCOL_ERROR; /* [MQTT-3.14.2-1], [MQTT-3.15.2-1] */
	return take_left(&t) ? props_to_the_end(&t, type, &out->props) : RC_SUCCESS;
}

unsigned mqtt_disconnect_read(struct str body, uint8_t version, bool from_client,
                              struct mqtt_disconnect *out)
{
	unsigned reason;

	if (version < MQTT_V5 && body.n) /* v3: no body at all (attack P33) */
		return RC_MALFORMED_PACKET;
	if (version < MQTT_V5 && !from_client) /* and a server never says it */
		return RC_PROTOCOL_ERROR;
	reason = code_and_props(body, MQTT_DISCONNECT,
	                        from_client ? IN_CLIENT_DISCONNECT : MQTT_DISCONNECT, out);
	if (reason)
		return reason;
	/* Each side has a property that only it may send: [MQTT-3.14.2-2], MQTT5 3.14.2.2.5. */
	return mqtt_has(&out->props, from_client ? PROP_SERVER_REFERENCE : PROP_SESSION_EXPIRY)
	           ? RC_PROTOCOL_ERROR
	           : RC_SUCCESS;
}

unsigned mqtt_auth_read(struct str body, struct mqtt_disconnect *out)
{
	unsigned reason = code_and_props(body, MQTT_AUTH, MQTT_AUTH, out);

	if (reason)
		return reason;
	/* MQTT5 3.15.2.2.2: the method may not be left out; but 3.15.2.1 allows an AUTH without
	 * any body, which says success. */
	return body.n == 0 || mqtt_has(&out->props, PROP_AUTH_METHOD) ? RC_SUCCESS
	                                                              : RC_PROTOCOL_ERROR;
}
