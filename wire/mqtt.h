/* mqtt.h - the words of MQTT 3.1, 3.1.1 and 5.0: packet types, reason codes, properties. Pure data.
 * Sections cited as MQTT5 x.y and [MQTT-x.y.z-n] are those of the OASIS standard 5.0. */
#pragma once
#include "base/bytes.h"

enum mqtt_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK,
	MQTT_PUBLISH,
	MQTT_PUBACK,
	MQTT_PUBREC,
	MQTT_PUBREL,
	MQTT_PUBCOMP,
	MQTT_SUBSCRIBE,
	MQTT_SUBACK,
	MQTT_UNSUBSCRIBE,
	MQTT_UNSUBACK,
	MQTT_PINGREQ,
	MQTT_PINGRESP,
	MQTT_DISCONNECT,
	MQTT_AUTH,
};

enum mqtt_version { MQTT_V31 = 3, MQTT_V311 = 4, MQTT_V5 = 5 };

/* MQTT5 2.4. In our own code 0x00..0xFF; what goes to a v3 client is chosen by
 * mqtt_v3_connack()/mqtt_v3_suback(). */
#define MQTT_REASONS(R) \
	R(SUCCESS, 0x00, "success") \
	R(GRANTED_QOS1, 0x01, "granted QoS 1") \
	R(GRANTED_QOS2, 0x02, "granted QoS 2") \
	R(DISCONNECT_WITH_WILL, 0x04, "disconnect with Will") \
	R(NO_MATCHING_SUBSCRIBERS, 0x10, "no matching subscribers") \
	R(NO_SUBSCRIPTION_EXISTED, 0x11, "no subscription existed") \
	R(CONTINUE_AUTHENTICATION, 0x18, "continue authentication") \
	R(REAUTHENTICATE, 0x19, "re-authenticate") \
	R(UNSPECIFIED_ERROR, 0x80, "unspecified error") \
	R(MALFORMED_PACKET, 0x81, "malformed packet") \
	R(PROTOCOL_ERROR, 0x82, "protocol error") \
	R(IMPLEMENTATION_SPECIFIC_ERROR, 0x83, "implementation specific error") \
	R(UNSUPPORTED_PROTOCOL_VERSION, 0x84, "unsupported protocol version") \
	R(CLIENT_IDENTIFIER_NOT_VALID, 0x85, "client identifier not valid") \
	R(BAD_USER_NAME_OR_PASSWORD, 0x86, "bad user name or password") \
	R(NOT_AUTHORIZED, 0x87, "not authorized") \
	R(SERVER_UNAVAILABLE, 0x88, "server unavailable") \
	R(SERVER_BUSY, 0x89, "server busy") \
	R(BANNED, 0x8A, "banned") \
	R(SERVER_SHUTTING_DOWN, 0x8B, "server shutting down") \
	R(BAD_AUTHENTICATION_METHOD, 0x8C, "bad authentication method") \
	R(KEEP_ALIVE_TIMEOUT, 0x8D, "keep alive timeout") \
	R(SESSION_TAKEN_OVER, 0x8E, "session taken over") \
	R(TOPIC_FILTER_INVALID, 0x8F, "topic filter invalid") \
	R(TOPIC_NAME_INVALID, 0x90, "topic name invalid") \
	R(PACKET_IDENTIFIER_IN_USE, 0x91, "packet identifier in use") \
	R(PACKET_IDENTIFIER_NOT_FOUND, 0x92, "packet identifier not found") \
	R(RECEIVE_MAXIMUM_EXCEEDED, 0x93, "receive maximum exceeded") \
	R(TOPIC_ALIAS_INVALID, 0x94, "topic alias invalid") \
	R(PACKET_TOO_LARGE, 0x95, "packet too large") \
	R(MESSAGE_RATE_TOO_HIGH, 0x96, "message rate too high") \
	R(QUOTA_EXCEEDED, 0x97, "quota exceeded") \
	R(ADMINISTRATIVE_ACTION, 0x98, "administrative action") \
	R(PAYLOAD_FORMAT_INVALID, 0x99, "payload format invalid") \
	R(RETAIN_NOT_SUPPORTED, 0x9A, "retain not supported") \
	R(QOS_NOT_SUPPORTED, 0x9B, "QoS not supported") \
	R(USE_ANOTHER_SERVER, 0x9C, "use another server") \
	R(SERVER_MOVED, 0x9D, "server moved") \
	R(SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, 0x9E, "shared subscriptions not supported") \
	R(CONNECTION_RATE_EXCEEDED, 0x9F, "connection rate exceeded") \
	R(MAXIMUM_CONNECT_TIME, 0xA0, "maximum connect time") \
	R(SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, 0xA1, "subscription identifiers not supported") \
	R(WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED, 0xA2, "wildcard subscriptions not supported")

enum mqtt_reason {
#define R(name, code, text) RC_##name = code,
	MQTT_REASONS(R)
#undef R
};

/* "unknown reason" for a code not in the table */
const char *mqtt_reason_text(unsigned code);
/* v5 reason -> v3 return code 0..5 (MQTT 3.1.1, 3.2.2.3) */
uint8_t mqtt_v3_connack(unsigned code);
uint8_t mqtt_v3_suback(unsigned code); /* >= 0x80 -> 0x80 */
const char *mqtt_type_name(unsigned type);

/* ---- Properties, MQTT5 2.2.2.2 ---- */
enum mqtt_prop {
	PROP_PAYLOAD_FORMAT = 0x01,
	PROP_MESSAGE_EXPIRY = 0x02,
	PROP_CONTENT_TYPE = 0x03,
	PROP_RESPONSE_TOPIC = 0x08,
	PROP_CORRELATION_DATA = 0x09,
	PROP_SUBSCRIPTION_ID = 0x0B,
	PROP_SESSION_EXPIRY = 0x11,
	PROP_ASSIGNED_CLIENT_ID = 0x12,
	PROP_SERVER_KEEP_ALIVE = 0x13,
	PROP_AUTH_METHOD = 0x15,
	PROP_AUTH_DATA = 0x16,
	PROP_REQUEST_PROBLEM_INFO = 0x17,
	PROP_WILL_DELAY = 0x18,
	PROP_REQUEST_RESPONSE_INFO = 0x19,
	PROP_RESPONSE_INFO = 0x1A,
	PROP_SERVER_REFERENCE = 0x1C,
	PROP_REASON_STRING = 0x1F,
	PROP_RECEIVE_MAXIMUM = 0x21,
	PROP_TOPIC_ALIAS_MAXIMUM = 0x22,
	PROP_TOPIC_ALIAS = 0x23,
	PROP_MAXIMUM_QOS = 0x24,
	PROP_RETAIN_AVAILABLE = 0x25,
	PROP_USER_PROPERTY = 0x26,
	PROP_MAXIMUM_PACKET_SIZE = 0x27,
	PROP_WILDCARD_AVAILABLE = 0x28,
	PROP_SUBSCRIPTION_ID_AVAILABLE = 0x29,
	PROP_SHARED_AVAILABLE = 0x2A,
};

/* All properties of one packet after validation. `has` tells which single-valued ones were there;
 * strings borrow the packet. User properties stay in wire form (repeated 0x26 len key len value,
 * nothing else, in order), ready to be copied. */
struct mqtt_props {
	uint64_t has; /* bit (1 << id) for id < 0x2B */
	uint32_t message_expiry, session_expiry, will_delay, maximum_packet_size;
	uint16_t server_keep_alive, receive_maximum, topic_alias_maximum, topic_alias;
	uint8_t payload_format, request_problem_info, request_response_info, maximum_qos,
	    retain_available, wildcard_available, subscription_id_available, shared_available;
	struct str content_type, response_topic, correlation_data, assigned_client_id, auth_method,
	    auth_data, response_info, server_reference, reason_string;
	/* first 0x26 byte .. last value byte if they are adjacent in the packet, */
	struct str user;
	/* else see mqtt_props_user(); number of pairs */
	unsigned user_count;
	/* other properties stand between them: copy with mqtt_props_user() */
	bool user_scattered;
	struct str all; /* the raw property block, validated */
	/* in a received SUBSCRIBE at most one; in a PUBLISH to a client up to 8 kept */
	uint32_t subscription_id[8];
	unsigned subscription_ids;
};

static inline bool mqtt_has(const struct mqtt_props *p, enum mqtt_prop id)
{
	return p->has >> id & 1;
}

/* appends only the user properties, in order */
void mqtt_props_user(const struct mqtt_props *p, struct buf *out);
struct mqtt_user_walk {
	struct take t;
};
void mqtt_user_start(struct mqtt_user_walk *w, const struct mqtt_props *p);
/* in order; false at the end */
bool mqtt_user_next(struct mqtt_user_walk *w, struct str *key, struct str *value);

/* ---- Numbers ---- */
enum { MQTT_REMAINING_MAX = 268435455 };
enum parse { PARSE_OK, PARSE_MORE, PARSE_BAD };
/* Variable byte integer, minimal form demanded (MQTT5 1.5.5; attack P07). MORE when the bytes end
 * early, BAD over 4 bytes or padded. */
enum parse mqtt_varint_take(struct take *t, uint32_t *out);
void mqtt_varint_put(struct buf *b, uint32_t v);
/* as base/put.h: up to four bytes at w; v at most MQTT_REMAINING_MAX */
static inline uint8_t *put_varint(uint8_t *w, uint32_t v)
{
	while (v >= 128) {
		*w++ = (uint8_t)(v | 128);
		v >>= 7;
	}
	*w++ = (uint8_t)v;
	return w;
}
static inline unsigned mqtt_varint_size(uint32_t v)
{
	return v < 128 ? 1 : v < 16384 ? 2 : v < 2097152 ? 3 : 4;
}

/* ---- UTF-8, MQTT5 1.5.4 ---- */
/* well-formed, shortest form, no surrogates, no U+0000 */
bool mqtt_utf8_ok(struct str s);
/* mqtt_utf8_ok and no control characters, U+0001-001F and 007F-009F (attack P27) */
bool mqtt_client_id_ok(struct str s);
/* mqtt_client_id_ok and no non-characters: for topics, filters, user names */
bool mqtt_name_ok(struct str s);
