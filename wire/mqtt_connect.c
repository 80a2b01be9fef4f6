/* mqtt_connect.c - reading CONNECT and CONNACK, MQTT5 3.1 and 3.2. CONNECT is the only packet
 * that strangers get read; everything in it is borrowed from the packet, so a parse that fails
 * late leaves nothing behind (attacks P14, P15). */
#include "base/base.h"
#include "wire/mqtt_parts.h"

enum {
	F_RESERVED = 0x01,
	F_CLEAN = 0x02,
	F_WILL = 0x04,
	F_WILL_QOS = 0x18,
	F_WILL_RETAIN = 0x20,
	F_PASSWORD = 0x40,
	F_USERNAME = 0x80,
	LEVEL_BRIDGE = 0x80, /* not of the standard: mosquitto's bridges set it in the level */
};

/* Attack P30. Mosquitto's bridges set a bit in the level of 3.1 and 3.1.1 and close when they are
 * refused; what they want is in mqtt_read.h. An unknown level of a known name is answered (0x84;
 * v3: 0x01 [MQTT-3.1.2-2]), so the version tells in which form: what is above 5 will understand the
 * newest form, everything else the old one. An unknown name is no MQTT [MQTT-3.1.2-1]. */
static unsigned protocol_read(struct take *t, uint8_t *version, bool *bridge, bool *known)
{
	struct str name;
	uint8_t level;

	if (!mqtt_binary_take(t, &name))
		return RC_MALFORMED_PACKET;
	if (!str_eq(name, STR("MQTT")) && !str_eq(name, STR("MQIsdp")))
		return RC_MALFORMED_PACKET;
	if (!take_u8(t, &level))
		return RC_MALFORMED_PACKET;
	*known = true;
	*bridge = level == (LEVEL_BRIDGE | MQTT_V31) || level == (LEVEL_BRIDGE | MQTT_V311);
	*version = *bridge ? level & (uint8_t)~LEVEL_BRIDGE : level;
	if (name.n == 6 ? *version == MQTT_V31 : *version == MQTT_V311 || *version == MQTT_V5)
		return RC_SUCCESS;
	*bridge = false;
	*version = name.n == 4 && (level & ~LEVEL_BRIDGE) >= MQTT_V5 ? MQTT_V5 : MQTT_V311;
	return RC_UNSUPPORTED_PROTOCOL_VERSION;
}

static unsigned flags_judge(unsigned flags, uint8_t version)
{
	unsigned qos = flags & F_WILL_QOS;

	if (flags & F_RESERVED) /* [MQTT-3.1.2-3] */
		return RC_MALFORMED_PACKET;
	if (qos == F_WILL_QOS) /* [MQTT-3.1.2-12] */
		return RC_MALFORMED_PACKET;
	/* [MQTT-3.1.2-11], [MQTT-3.1.2-13] */
	if (!(flags & F_WILL) && (qos || flags & F_WILL_RETAIN))
		return RC_MALFORMED_PACKET;
	/* v3: [MQTT-3.1.2-22] of MQTT 3.1.1. v5 took that rule back: a password may be a token
	 * of its own (3.1.2.9). */
	if (version < MQTT_V5 && flags & F_PASSWORD && !(flags & F_USERNAME))
		return RC_MALFORMED_PACKET;
	return RC_SUCCESS;
}

static unsigned client_id_read(struct take *t, struct mqtt_connect *out)
{
	if (mqtt_string_take(t, &out->client_id)) /* [MQTT-3.1.3-4] */
		return RC_MALFORMED_PACKET;
	/* MQTT 3.1.1 [MQTT-3.1.3-8], attack P32; MQTT 3.1 knows no empty id. Its limit of 23
	 * characters is not kept: nobody did. */
	if (out->client_id.n == 0 &&
	    (out->version == MQTT_V31 || (out->version == MQTT_V311 && !out->clean_start)))
		return RC_CLIENT_IDENTIFIER_NOT_VALID;
	return mqtt_client_id_ok(out->client_id) ? RC_SUCCESS : RC_CLIENT_IDENTIFIER_NOT_VALID;
}

static unsigned will_read(struct take *t, unsigned flags, struct mqtt_connect *out)
{
	struct mqtt_will *will = &out->will;
	unsigned reason;

	if (!(flags & F_WILL))
		return RC_SUCCESS;
	will->present = true;
	will->retain = flags & F_WILL_RETAIN;
	will->qos = (flags & F_WILL_QOS) >> 3;
	if (out->version >= MQTT_V5) {
		reason = mqtt_props_take(t, IN_WILL, &will->props);
		if (reason)
			return reason;
	}
	if (!mqtt_binary_take(t, &will->topic) || !mqtt_binary_take(t, &will->payload))
		return RC_MALFORMED_PACKET;
	reason = mqtt_topic_judge(will->topic); /* [MQTT-3.1.3-11]; attack P20 */
	if (reason)
		return reason;
	if (will->props.payload_format && !mqtt_text_ok(will->payload)) /* MQTT5 3.1.3.2.3 */
		return RC_PAYLOAD_FORMAT_INVALID;
	return RC_SUCCESS;
}

/* MQTT 3.1 let a client announce a user name and leave it out. Nobody gets in here without
 * credentials, so that is simply a short packet. */
static unsigned credentials_read(struct take *t, unsigned flags, struct mqtt_connect *out)
{
	if (flags & F_USERNAME) {
		if (mqtt_string_take(t, &out->username)) /* [MQTT-3.1.3-12] */
			return RC_MALFORMED_PACKET;
		if (!mqtt_name_ok(out->username)) /* attack P27 */
			return RC_BAD_USER_NAME_OR_PASSWORD;
		out->has_username = true;
	}
	if (flags & F_PASSWORD) {
		if (!mqtt_binary_take(t, &out->password))
			return RC_MALFORMED_PACKET;
		out->has_password = true;
	}
	return RC_SUCCESS;
}

unsigned mqtt_connect_read(struct str body, struct mqtt_connect *out, bool *version_known)
{
	struct take t = take_from(body.p, body.n);
	uint8_t flags;
	unsigned reason;

	memset(out, 0, sizeof(*out));
	*version_known = false;
	reason = protocol_read(&t, &out->version, &out->bridge, version_known);
	if (reason)
		return reason;
	if (!take_u8(&t, &flags) || !take_u16(&t, &out->keep_alive))
		return RC_MALFORMED_PACKET;
	out->clean_start = flags & F_CLEAN;
	reason = flags_judge(flags, out->version);
	if (!reason && out->version >= MQTT_V5)
		reason = mqtt_props_take(&t, MQTT_CONNECT, &out->props);
	if (!reason)
		reason = client_id_read(&t, out);
	if (!reason)
		reason = will_read(&t, flags, out);
	if (!reason)
		reason = credentials_read(&t, flags, out);
	if (!reason && take_left(&t))
		reason = RC_MALFORMED_PACKET;
	return reason;
}

/* ---- CONNACK ---- */

enum { V3_CONNACK_LAST = 5 };

unsigned mqtt_connack_read(struct str body, uint8_t version, struct mqtt_connack *out)
{
	struct take t = take_from(body.p, body.n);
	uint8_t flags;
	unsigned reason = RC_SUCCESS;

	mqtt_props_clear(&out->props);
	if (!take_u8(&t, &flags) || !take_u8(&t, &out->code))
		return RC_MALFORMED_PACKET;
	if (flags > 1) /* [MQTT-3.2.2-1] */
		return RC_MALFORMED_PACKET;
	out->session_present = flags;
	if (version >= MQTT_V5 ? !mqtt_reason_may(out->code, MQTT_CONNACK)
	                       : out->code > V3_CONNACK_LAST)
		return RC_PROTOCOL_ERROR;      /* [MQTT-3.2.2-8] */
	if (out->session_present && out->code) /* [MQTT-3.2.2-6] */
		return RC_PROTOCOL_ERROR;
	if (version >= MQTT_V5)
		reason = mqtt_props_take(&t, MQTT_CONNACK, &out->props);
	if (!reason && take_left(&t))
		reason = RC_MALFORMED_PACKET;
	return reason;
}
