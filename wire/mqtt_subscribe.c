/* mqtt_subscribe.c - reading SUBSCRIBE, UNSUBSCRIBE and their answers, MQTT5 3.8 .. 3.11. The
 * entries are checked once, all of them, and then walked without another look at their form.
 * Whether a filter is a filter is not asked here: that is answered one by one in SUBACK
 * (topic.h, attack P21). */
#include "base/base.h"
#include "wire/mqtt_parts.h"

/* Packet identifier and, for v5, properties: how all four packets begin. */
static unsigned begin_read(struct take *t, unsigned type, uint8_t version, uint16_t *packet_id,
                           struct mqtt_props *props)
{
	mqtt_props_clear(props);
	if (!take_u16(t, packet_id))
		return RC_MALFORMED_PACKET;
	if (*packet_id == 0) /* [MQTT-2.2.1-3]; attack P23 */
		return RC_PROTOCOL_ERROR;
	return version >= MQTT_V5 ? mqtt_props_take(t, type, props) : RC_SUCCESS;
}

/* ---- SUBSCRIBE ---- */

enum {
	O_QOS = 0x03,
	O_NO_LOCAL = 0x04,
	O_AS_PUBLISHED = 0x08,
	O_HANDLING = 0x30,
	O_RESERVED = 0xc0,
	O_RESERVED_V3 = 0xfc
};

static unsigned options_judge(unsigned options, uint8_t version, struct str filter)
{
	if (options & (version >= MQTT_V5 ? O_RESERVED : O_RESERVED_V3)) /* [MQTT-3.8.3-5] */
		return RC_MALFORMED_PACKET;
	if ((options & O_QOS) == O_QOS || (options & O_HANDLING) == O_HANDLING) /* MQTT5 3.8.3.1 */
		return RC_PROTOCOL_ERROR;
	/* [MQTT-3.8.3-4]; attack P22 */
	if (options & O_NO_LOCAL && str_starts(filter, STR("$share/")))
		return RC_PROTOCOL_ERROR;
	return RC_SUCCESS;
}

unsigned mqtt_subscribe_read(struct str body, uint8_t version, struct mqtt_subscribe *out)
{
	struct take t = take_from(body.p, body.n);
	unsigned reason = begin_read(&t, MQTT_SUBSCRIBE, version, &out->packet_id, &out->props);

	if (reason)
		return reason;
	out->entries = str_make(t.p, take_left(&t));
	for (out->count = 0; take_left(&t); out->count++) {
		struct str filter;
		uint8_t options;

		/* [MQTT-3.8.3-1]; attack P09 */
		if (mqtt_string_take(&t, &filter) || !take_u8(&t, &options))
			return RC_MALFORMED_PACKET;
		reason = options_judge(options, version, filter);
		if (reason)
			return reason;
	}
	return out->count ? RC_SUCCESS : RC_PROTOCOL_ERROR; /* [MQTT-3.8.3-2] */
}

bool mqtt_subscribe_next(struct mqtt_subscribe *s, uint8_t version, struct str *filter,
                         struct mqtt_sub_opts *opts)
{
	struct take t;
	uint8_t options;

	if (s->entries.n == 0)
		return false;
	t = take_from(s->entries.p, s->entries.n);
	/* mqtt_subscribe_read has walked all of it */
	MUST(mqtt_binary_take(&t, filter) && take_u8(&t, &options));
	s->entries = str_make(t.p, take_left(&t));
	opts->qos = options & O_QOS;
	opts->no_local = version >= MQTT_V5 && options & O_NO_LOCAL;
	opts->retain_as_published = version >= MQTT_V5 && options & O_AS_PUBLISHED;
	opts->retain_handling = version >= MQTT_V5 ? (options & O_HANDLING) >> 4 : 0;
	return true;
}

/* ---- UNSUBSCRIBE ---- */

unsigned mqtt_unsubscribe_read(struct str body, uint8_t version, struct mqtt_unsubscribe *out)
{
	struct take t = take_from(body.p, body.n);
	unsigned reason = begin_read(&t, MQTT_UNSUBSCRIBE, version, &out->packet_id, &out->props);

	if (reason)
		return reason;
	out->entries = str_make(t.p, take_left(&t));
	for (out->count = 0; take_left(&t); out->count++) {
		struct str filter;

		if (mqtt_string_take(&t, &filter)) /* [MQTT-3.10.3-1] */
			return RC_MALFORMED_PACKET;
		if (filter.n == 0 && version < MQTT_V5) /* [MQTT-4.7.3-1]; UNSUBACK has no word */
			return RC_MALFORMED_PACKET;
	}
	return out->count ? RC_SUCCESS : RC_PROTOCOL_ERROR; /* [MQTT-3.10.3-2] */
}

bool mqtt_unsubscribe_next(struct mqtt_unsubscribe *u, struct str *filter)
{
	struct take t;

	if (u->entries.n == 0)
		return false;
	t = take_from(u->entries.p, u->entries.n);
	MUST(mqtt_binary_take(&t, filter)); /* mqtt_unsubscribe_read has walked all of it */
	u->entries = str_make(t.p, take_left(&t));
	return true;
}

/* ---- SUBACK, UNSUBACK ---- */

static bool answer_may(uint8_t code, enum mqtt_type type, uint8_t version)
{
	if (version >= MQTT_V5)
		return mqtt_reason_may(code, type);
	/* MQTT 3.1.1 [MQTT-3.9.3-2] */
	return code <= RC_GRANTED_QOS2 || code == RC_UNSPECIFIED_ERROR;
}

unsigned mqtt_suback_read(struct str body, enum mqtt_type type, uint8_t version,
                          struct mqtt_suback *out)
{
	struct take t = take_from(body.p, body.n);
	bool bare = type == MQTT_UNSUBACK && version < MQTT_V5; /* v3: "done", without codes */
	unsigned reason = begin_read(&t, type, version, &out->packet_id, &out->props);

	if (reason)
		return reason;
	out->codes = str_make(t.p, take_left(&t));
	if (bare != (out->codes.n == 0))
		return RC_MALFORMED_PACKET;
	for (size_t i = 0; i < out->codes.n; i++) {
		/* [MQTT-3.9.3-2], [MQTT-3.11.3-2] */
		if (!answer_may((uint8_t)out->codes.p[i], type, version))
			return RC_PROTOCOL_ERROR;
	}
	return RC_SUCCESS;
}
