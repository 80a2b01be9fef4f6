/* mqtt.c - the words of MQTT that are tables: names of packets, texts of reason codes, which
 * code may stand in which packet, what a v3 client is told instead; and the variable byte
 * integer. */
#include "base/base.h"
#include "wire/mqtt_parts.h"

const char *mqtt_type_name(unsigned type)
{
	static const char *const names[] = {
		"reserved", "CONNECT",  "CONNACK",    "PUBLISH", "PUBACK",      "PUBREC",
		"PUBREL",   "PUBCOMP",  "SUBSCRIBE",  "SUBACK",  "UNSUBSCRIBE", "UNSUBACK",
		"PINGREQ",  "PINGRESP", "DISCONNECT", "AUTH",
	};

	return type < ARRAY_LEN(names) ? names[type] : "unknown";
}

const char *mqtt_reason_text(unsigned code)
{
	switch (code) {
#define R(name, number, text) \
	case number: \
		return text;
		MQTT_REASONS(R)
#undef R
	}
	return "unknown reason";
}

/* MQTT5 2.4 with 3.2.2.2, 3.4.2.1 .. 3.7.2.1, 3.9.3, 3.11.3, 3.14.2.1, 3.15.2.1. A code that is
 * not a packet's own is data that the protocol does not allow there. CLIENT: a DISCONNECT that a
 * client may send. */
#define IN(packet) (1u << MQTT_##packet)
#define CLIENT     (1u << IN_CLIENT_DISCONNECT | IN(DISCONNECT))
#define IN_RECEIPT (IN(PUBACK) | IN(PUBREC))
#define IN_ANSWERS (IN(CONNACK) | IN_RECEIPT | IN(SUBACK) | IN(UNSUBACK))
static const uint16_t reason_in[256] = {
	[RC_SUCCESS] = IN_ANSWERS | IN(PUBREL) | IN(PUBCOMP) | IN(AUTH) | CLIENT,
	[RC_GRANTED_QOS1] = IN(SUBACK),
	[RC_GRANTED_QOS2] = IN(SUBACK),
	[RC_DISCONNECT_WITH_WILL] = CLIENT,
	[RC_NO_MATCHING_SUBSCRIBERS] = IN_RECEIPT,
	[RC_NO_SUBSCRIPTION_EXISTED] = IN(UNSUBACK),
	[RC_CONTINUE_AUTHENTICATION] = IN(AUTH),
	[RC_REAUTHENTICATE] = IN(AUTH),
	[RC_UNSPECIFIED_ERROR] = IN_ANSWERS | CLIENT,
	[RC_MALFORMED_PACKET] = IN(CONNACK) | CLIENT,
	[RC_PROTOCOL_ERROR] = IN(CONNACK) | CLIENT,
	[RC_IMPLEMENTATION_SPECIFIC_ERROR] = IN_ANSWERS | CLIENT,
	[RC_UNSUPPORTED_PROTOCOL_VERSION] = IN(CONNACK),
	[RC_CLIENT_IDENTIFIER_NOT_VALID] = IN(CONNACK),
	[RC_BAD_USER_NAME_OR_PASSWORD] = IN(CONNACK),
	[RC_NOT_AUTHORIZED] = IN_ANSWERS | IN(DISCONNECT),
	[RC_SERVER_UNAVAILABLE] = IN(CONNACK),
	[RC_SERVER_BUSY] = IN(CONNACK) | IN(DISCONNECT),
	[RC_BANNED] = IN(CONNACK),
	[RC_SERVER_SHUTTING_DOWN] = IN(DISCONNECT),
	[RC_BAD_AUTHENTICATION_METHOD] = IN(CONNACK) | IN(DISCONNECT),
	[RC_KEEP_ALIVE_TIMEOUT] = IN(DISCONNECT),
	[RC_SESSION_TAKEN_OVER] = IN(DISCONNECT),
	[RC_TOPIC_FILTER_INVALID] = IN(SUBACK) | IN(UNSUBACK) | IN(DISCONNECT),
	[RC_TOPIC_NAME_INVALID] = IN(CONNACK) | IN_RECEIPT | CLIENT,
	[RC_PACKET_IDENTIFIER_IN_USE] = IN_RECEIPT | IN(SUBACK) | IN(UNSUBACK),
	[RC_PACKET_IDENTIFIER_NOT_FOUND] = IN(PUBREL) | IN(PUBCOMP),
	[RC_RECEIVE_MAXIMUM_EXCEEDED] = CLIENT,
	[RC_TOPIC_ALIAS_INVALID] = CLIENT,
	[RC_PACKET_TOO_LARGE] = IN(CONNACK) | CLIENT,
	[RC_MESSAGE_RATE_TOO_HIGH] = CLIENT,
	[RC_QUOTA_EXCEEDED] = IN(CONNACK) | IN_RECEIPT | IN(SUBACK) | CLIENT,
	[RC_ADMINISTRATIVE_ACTION] = CLIENT,
	[RC_PAYLOAD_FORMAT_INVALID] = IN(CONNACK) | IN_RECEIPT | CLIENT,
	[RC_RETAIN_NOT_SUPPORTED] = IN(CONNACK) | IN(DISCONNECT),
	[RC_QOS_NOT_SUPPORTED] = IN(CONNACK) | IN(DISCONNECT),
	[RC_USE_ANOTHER_SERVER] = IN(CONNACK) | IN(DISCONNECT),
	[RC_SERVER_MOVED] = IN(CONNACK) | IN(DISCONNECT),
	[RC_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED] = IN(SUBACK) | IN(DISCONNECT),
	[RC_CONNECTION_RATE_EXCEEDED] = IN(CONNACK) | IN(DISCONNECT),
	[RC_MAXIMUM_CONNECT_TIME] = IN(DISCONNECT),
	[RC_SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED] = IN(SUBACK) | IN(DISCONNECT),
	[RC_WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED] = IN(SUBACK) | IN(DISCONNECT),
};

bool mqtt_reason_may(unsigned code, unsigned where)
{
	return code < ARRAY_LEN(reason_in) && reason_in[code] >> where & 1;
}

/* MQTT 3.1.1, table 3.1: five ways to say no. What the client may try again later is 3 (server
 * unavailable); what will be the same next time is 5 (not authorized), because many clients stop
 * at 5 and go on trying at 3. */
uint8_t mqtt_v3_connack(unsigned code)
{
	switch (code) {
	case RC_SUCCESS:
		return 0;
	case RC_UNSUPPORTED_PROTOCOL_VERSION:
		return 1;
	case RC_CLIENT_IDENTIFIER_NOT_VALID:
		return 2;
	case RC_BAD_USER_NAME_OR_PASSWORD:
	case RC_BAD_AUTHENTICATION_METHOD:
		return 4;
	case RC_NOT_AUTHORIZED:
	case RC_BANNED:
	case RC_MALFORMED_PACKET:
	case RC_PROTOCOL_ERROR:
	case RC_TOPIC_NAME_INVALID:
	case RC_PACKET_TOO_LARGE:
	case RC_PAYLOAD_FORMAT_INVALID:
	case RC_RETAIN_NOT_SUPPORTED:
	case RC_QOS_NOT_SUPPORTED:
		return 5;
	default:
		return 3;
	}
}

uint8_t mqtt_v3_suback(unsigned code)
{
	return code >= 0x80 ? 0x80 : (uint8_t)code;
}

/* [MQTT-1.5.5-1] demands the shortest form. v3 does not say so; we refuse the padded form there
 * too, once and for all (attack P07): no client writes it, and two readers that disagree about a
 * length are how packets are smuggled. */
enum parse mqtt_varint_take(struct take *t, uint32_t *out)
{
	size_t left = take_left(t);
	uint32_t value = 0;

	for (unsigned i = 0; i < 4; i++) {
		uint8_t byte;

		if (i == left)
			return PARSE_MORE;
		byte = t->p[i];
		value |= (uint32_t)(byte & 0x7f) << (7 * i);
		if (byte & 0x80)
			continue;
		if (i > 0 && byte == 0)
			return PARSE_BAD;
		t->p += i + 1;
		*out = value;
		return PARSE_OK;
	}
	return PARSE_BAD;
}

void mqtt_varint_put(struct buf *b, uint32_t v)
{
	uint8_t *w = buf_reserve(b, 4);

	MUST(v <= MQTT_REMAINING_MAX);
	if (w)
		buf_commit(b, (size_t)(put_varint(w, v) - w));
}
