/* mqtt_props.c - the properties of MQTT5 2.2.2, read and written by one table: what a property
 * is made of, where it may stand, and where its value lives in struct mqtt_props. Nothing
 * outside the table decides about a single property.
 *
 * Answers (attacks P06, P11, P12, P13): a block that does not parse is malformed (0x81); a
 * property that exists but may not stand in this packet, stands there twice, or has a value out
 * of its range is a protocol error (0x82). For the first of these the standard says malformed
 * (2.2.2.2) where we say 0x82: the bytes are well-formed, and the client's author is told what
 * kind of mistake it is. */
#include "base/base.h"
#include "wire/mqtt_parts.h"
#include "wire/mqtt_write.h"

enum prop_type {
	T_NONE, /* no such property */
	T_FLAG, /* a byte, 0 or 1 */
	T_U16,
	T_U32,
	T_TEXT,  /* UTF-8 string */
	T_TOPIC, /* UTF-8 string that is a topic name */
	T_BINARY,
	T_VARINT, /* the subscription identifier: more than one of them in a PUBLISH */
	T_PAIR,   /* two UTF-8 strings, any number of them */
};

struct prop_rule {
	uint8_t type;
	uint8_t zero; /* what is wrong with the number 0, or RC_SUCCESS */
	uint16_t at;  /* the field */
	uint32_t in;  /* where it may stand: 1 << enum mqtt_type, 1 << IN_WILL */
};

#define AT(field)  offsetof(struct mqtt_props, field)
#define IN(packet) (1u << MQTT_##packet)
#define WILL       (1u << IN_WILL)
#define MESSAGE    (IN(PUBLISH) | WILL)
#define HANDSHAKE  (IN(CONNECT) | IN(CONNACK))
#define ACKS       (IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) | IN(SUBACK) | IN(UNSUBACK))
#define ENDS       (IN(DISCONNECT) | IN(AUTH))
#define ANYWHERE   (MESSAGE | HANDSHAKE | ACKS | IN(SUBSCRIBE) | IN(UNSUBSCRIBE) | ENDS)

/* What the number 0 is, where it is not allowed; for the alias see [MQTT-3.3.2-8]. */
enum { NONZERO = RC_PROTOCOL_ERROR, ALIAS = RC_TOPIC_ALIAS_INVALID };

/* MQTT5 table 2-4; a row not here does not exist. */
/* clang-format off */
static const struct prop_rule prop_rules[] = {
	[PROP_PAYLOAD_FORMAT]        = { T_FLAG,   0,       AT(payload_format), MESSAGE },
	[PROP_MESSAGE_EXPIRY]        = { T_U32,    0,       AT(message_expiry), MESSAGE },
	[PROP_CONTENT_TYPE]          = { T_TEXT,   0,       AT(content_type), MESSAGE },
	[PROP_RESPONSE_TOPIC]        = { T_TOPIC,  0,       AT(response_topic), MESSAGE },
	[PROP_CORRELATION_DATA]      = { T_BINARY, 0,       AT(correlation_data), MESSAGE },
	[PROP_SUBSCRIPTION_ID]       = { T_VARINT, NONZERO, 0, IN(PUBLISH) | IN(SUBSCRIBE) },
	[PROP_SESSION_EXPIRY]        = { T_U32,    0,       AT(session_expiry), HANDSHAKE | IN(DISCONNECT) },
	[PROP_ASSIGNED_CLIENT_ID]    = { T_TEXT,   0,       AT(assigned_client_id), IN(CONNACK) },
	[PROP_SERVER_KEEP_ALIVE]     = { T_U16,    0,       AT(server_keep_alive), IN(CONNACK) },
	[PROP_AUTH_METHOD]           = { T_TEXT,   0,       AT(auth_method), HANDSHAKE | IN(AUTH) },
	[PROP_AUTH_DATA]             = { T_BINARY, 0,       AT(auth_data), HANDSHAKE | IN(AUTH) },
	[PROP_REQUEST_PROBLEM_INFO]  = { T_FLAG,   0,       AT(request_problem_info), IN(CONNECT) },
	[PROP_WILL_DELAY]            = { T_U32,    0,       AT(will_delay), WILL },
	[PROP_REQUEST_RESPONSE_INFO] = { T_FLAG,   0,       AT(request_response_info), IN(CONNECT) },
	[PROP_RESPONSE_INFO]         = { T_TEXT,   0,       AT(response_info), IN(CONNACK) },
	[PROP_SERVER_REFERENCE]      = { T_TEXT,   0,       AT(server_reference), IN(CONNACK) | IN(DISCONNECT) },
	[PROP_REASON_STRING]         = { T_TEXT,   0,       AT(reason_string), IN(CONNACK) | ACKS | ENDS },
	[PROP_RECEIVE_MAXIMUM]       = { T_U16,    NONZERO, AT(receive_maximum), HANDSHAKE },
	[PROP_TOPIC_ALIAS_MAXIMUM]   = { T_U16,    0,       AT(topic_alias_maximum), HANDSHAKE },
	[PROP_TOPIC_ALIAS]           = { T_U16,    ALIAS,   AT(topic_alias), IN(PUBLISH) },
	[PROP_MAXIMUM_QOS]           = { T_FLAG,   0,       AT(maximum_qos), IN(CONNACK) },
	[PROP_RETAIN_AVAILABLE]      = { T_FLAG,   0,       AT(retain_available), IN(CONNACK) },
	[PROP_USER_PROPERTY]         = { T_PAIR,   0,       0, ANYWHERE },
	[PROP_MAXIMUM_PACKET_SIZE]   = { T_U32,    NONZERO, AT(maximum_packet_size), HANDSHAKE },
	[PROP_WILDCARD_AVAILABLE]    = { T_FLAG,   0,       AT(wildcard_available), IN(CONNACK) },
	[PROP_SUBSCRIPTION_ID_AVAILABLE] = { T_FLAG, 0,     AT(subscription_id_available), IN(CONNACK) },
	[PROP_SHARED_AVAILABLE]      = { T_FLAG,   0,       AT(shared_available), IN(CONNACK) },
};
/* clang-format on */

/* ---- Reading, one function per type; p is the struct, at the field in it ---- */

struct prop_place {
	const struct prop_rule *rule;
	struct mqtt_props *p;
	const uint8_t *start; /* of the property, its identifier */
};

static void *prop_field(const struct prop_place *to)
{
	return (char *)to->p + to->rule->at;
}

static unsigned read_none(struct take *t, const struct prop_place *to)
{
	(void)t;
	(void)to;
	return RC_MALFORMED_PACKET;
}

static unsigned read_flag(struct take *t, const struct prop_place *to)
{
	uint8_t v;

	if (!take_u8(t, &v))
		return RC_MALFORMED_PACKET;
	if (v > 1)
		return RC_PROTOCOL_ERROR;
	*(uint8_t *)prop_field(to) = v;
	return RC_SUCCESS;
}

static unsigned read_u16(struct take *t, const struct prop_place *to)
{
	uint16_t v;

	if (!take_u16(t, &v))
		return RC_MALFORMED_PACKET;
	*(uint16_t *)prop_field(to) = v;
	return v ? RC_SUCCESS : to->rule->zero;
}

static unsigned read_u32(struct take *t, const struct prop_place *to)
{
	uint32_t v;

	if (!take_u32(t, &v))
		return RC_MALFORMED_PACKET;
	*(uint32_t *)prop_field(to) = v;
	return v ? RC_SUCCESS : to->rule->zero;
}

static unsigned read_text(struct take *t, const struct prop_place *to)
{
	return mqtt_string_take(t, prop_field(to));
}

static unsigned read_topic(struct take *t, const struct prop_place *to)
{
	struct str *topic = prop_field(to);

	/* [MQTT-3.3.2-13], [MQTT-3.3.2-14] */
	return mqtt_binary_take(t, topic) ? mqtt_topic_judge(*topic) : RC_MALFORMED_PACKET;
}

static unsigned read_binary(struct take *t, const struct prop_place *to)
{
	return mqtt_binary_take(t, prop_field(to)) ? RC_SUCCESS : RC_MALFORMED_PACKET;
}

/* In a PUBLISH to a client there is one per subscription that matched; what goes beyond the room
 * is still in `all`. */
static unsigned read_subscription_id(struct take *t, const struct prop_place *to)
{
	uint32_t v;

	if (mqtt_varint_take(t, &v) != PARSE_OK)
		return RC_MALFORMED_PACKET;
	if (v == 0)
		return to->rule->zero;
	if (to->p->subscription_ids < ARRAY_LEN(to->p->subscription_id))
		to->p->subscription_id[to->p->subscription_ids++] = v;
	return RC_SUCCESS;
}

static unsigned read_pair(struct take *t, const struct prop_place *to)
{
	struct mqtt_props *p = to->p;
	struct str key, value;

	if (mqtt_string_take(t, &key) || mqtt_string_take(t, &value))
		return RC_MALFORMED_PACKET;
	if (p->user_count++ == 0) {
		p->user = str_make(to->start, (size_t)(t->p - to->start));
	} else if (!p->user_scattered && (const uint8_t *)p->user.p + p->user.n == to->start) {
		p->user.n += (size_t)(t->p - to->start);
	} else {
		p->user_scattered = true;
		p->user = STR_NONE;
	}
	return RC_SUCCESS;
}

static unsigned (*const prop_read[])(struct take *t, const struct prop_place *to) = {
	[T_NONE] = read_none,     [T_FLAG] = read_flag,
	[T_U16] = read_u16,       [T_U32] = read_u32,
	[T_TEXT] = read_text,     [T_TOPIC] = read_topic,
	[T_BINARY] = read_binary, [T_VARINT] = read_subscription_id,
	[T_PAIR] = read_pair,
};

static bool prop_repeats(const struct prop_rule *rule, unsigned where)
{
	return rule->type == T_PAIR || (rule->type == T_VARINT && where == MQTT_PUBLISH);
}

static unsigned prop_take(struct take *t, unsigned where, struct mqtt_props *out)
{
	struct prop_place to = { .p = out, .start = t->p };
	uint8_t id;

	/* The identifier is a varint; all that exist have one byte, and a byte with the
	 * continuation bit is past the table. */
	if (!take_u8(t, &id) || id >= ARRAY_LEN(prop_rules) || prop_rules[id].type == T_NONE)
		return RC_MALFORMED_PACKET;
	to.rule = &prop_rules[id];
	if (!(to.rule->in >> where & 1))
		return RC_PROTOCOL_ERROR;
	if (out->has >> id & 1 && !prop_repeats(to.rule, where))
		return RC_PROTOCOL_ERROR;
	out->has |= UINT64_C(1) << id;
	return prop_read[to.rule->type](t, &to);
}

unsigned mqtt_props_judge(struct str block, unsigned where, struct mqtt_props *out)
{
	struct take t = take_from(block.p, block.n);

	mqtt_props_clear(out);
	out->all = block;
	while (take_left(&t)) {
		unsigned reason = prop_take(&t, where, out);

		if (reason)
			return reason;
	}
	/* MQTT5 3.1.2.11.10: data without a method is a protocol error. */
	if (mqtt_has(out, PROP_AUTH_DATA) && !mqtt_has(out, PROP_AUTH_METHOD))
		return RC_PROTOCOL_ERROR;
	return RC_SUCCESS;
}

unsigned mqtt_props_take(struct take *t, unsigned where, struct mqtt_props *out)
{
	struct str block;
	uint32_t length;

	if (mqtt_varint_take(t, &length) != PARSE_OK || !take_bytes(t, length, &block))
		return RC_MALFORMED_PACKET;
	return mqtt_props_judge(block, where, out);
}

/* ---- User properties ---- */

void mqtt_user_start(struct mqtt_user_walk *w, const struct mqtt_props *p)
{
	struct str from = p->user_scattered ? p->all : p->user;

	w->t = take_from(from.p, from.n);
}

/* Steps over the value of a property that is not a user property. The block was validated, so
 * nothing here can fail but by our own fault. */
static void prop_skip(struct take *t, unsigned id)
{
	struct str bytes;
	uint32_t number;
	bool ok = false;

	MUST(id < ARRAY_LEN(prop_rules));
	switch ((enum prop_type)prop_rules[id].type) {
	case T_FLAG:
		ok = take_bytes(t, 1, &bytes);
		break;
	case T_U16:
		ok = take_bytes(t, 2, &bytes);
		break;
	case T_U32:
		ok = take_bytes(t, 4, &bytes);
		break;
	case T_TEXT:
	case T_TOPIC:
	case T_BINARY:
		ok = mqtt_binary_take(t, &bytes);
		break;
	case T_VARINT:
		ok = mqtt_varint_take(t, &number) == PARSE_OK;
		break;
	case T_PAIR:
	case T_NONE:
		break;
	}
	MUST(ok);
}

bool mqtt_user_next(struct mqtt_user_walk *w, struct str *key, struct str *value)
{
	uint8_t id;

	while (take_u8(&w->t, &id)) {
		if (id == PROP_USER_PROPERTY) {
			/* the block was walked when it was read */
			MUST(mqtt_binary_take(&w->t, key) && mqtt_binary_take(&w->t, value));
			return true;
		}
		prop_skip(&w->t, id);
	}
	return false;
}

static size_t user_size(const struct mqtt_props *p)
{
	struct mqtt_user_walk w;
	struct str key, value;
	size_t size = 0;

	if (!p->user_scattered)
		return p->user.n;
	for (mqtt_user_start(&w, p); mqtt_user_next(&w, &key, &value);)
		size += 5 + key.n + value.n;
	return size;
}

static uint8_t *user_put(uint8_t *to, const struct mqtt_props *p)
{
	struct mqtt_user_walk w;
	struct str key, value;

	if (!p->user_scattered)
		return put_bytes(to, p->user);
	for (mqtt_user_start(&w, p); mqtt_user_next(&w, &key, &value);)
		to = put_string(put_string(put_u8(to, PROP_USER_PROPERTY), key), value);
	return to;
}

void mqtt_props_user(const struct mqtt_props *p, struct buf *out)
{
	size_t size = user_size(p);
	uint8_t *to = size ? buf_reserve(out, size) : NULL;

	if (to)
		buf_commit(out, (size_t)(user_put(to, p) - to));
}

/* ---- Writing ---- */

/* The properties of `p` that stand at most once and may stand here. */
static uint64_t single_ones(unsigned where, const struct mqtt_props *p)
{
	uint64_t left = p->has &
	                ~(UINT64_C(1) << PROP_USER_PROPERTY | UINT64_C(1) << PROP_SUBSCRIPTION_ID),
		 out = 0;

	for (; left; left &= left - 1) {
		unsigned id = (unsigned)__builtin_ctzll(left);

		MUST(id < ARRAY_LEN(prop_rules));
		if (prop_rules[id].in >> where & 1)
			out |= UINT64_C(1) << id;
	}
	return out;
}

static unsigned subscription_ids(unsigned where, const struct mqtt_props *p)
{
	/* the reader keeps no more */
	MUST(p->subscription_ids <= ARRAY_LEN(p->subscription_id));
	return where == MQTT_PUBLISH                            ? p->subscription_ids
	       : where == MQTT_SUBSCRIBE && p->subscription_ids ? 1
	                                                        : 0;
}

static size_t single_size(const struct prop_rule *rule, const struct mqtt_props *p)
{
	const struct str *s = (const void *)((const char *)p + rule->at);

	switch ((enum prop_type)rule->type) {
	case T_FLAG:
		return 2;
	case T_U16:
		return 3;
	case T_U32:
		return 5;
	case T_TEXT:
	case T_TOPIC:
	case T_BINARY:
		MUST(s->n <= UINT16_MAX); /* read from such a field, or our own text */
		return 3 + s->n;
	case T_VARINT:
	case T_PAIR:
	case T_NONE:
		break;
	}
	MUST(!"a property that stands once");
	return 0;
}

static uint8_t *single_put(uint8_t *w, unsigned id, const struct mqtt_props *p)
{
	const struct prop_rule *rule = &prop_rules[id];
	const void *field = (const char *)p + rule->at;

	w = put_u8(w, id);
	switch ((enum prop_type)rule->type) {
	case T_FLAG:
		return put_u8(w, *(const uint8_t *)field);
	case T_U16:
		return put_u16(w, *(const uint16_t *)field);
	case T_U32:
		return put_u32(w, *(const uint32_t *)field);
	case T_TEXT:
	case T_TOPIC:
	case T_BINARY:
		return put_string(w, *(const struct str *)field);
	case T_VARINT:
	case T_PAIR:
	case T_NONE:
		break;
	}
	return w;
}

size_t mqtt_props_body_size(unsigned where, const struct mqtt_props *p)
{
	size_t size;

	if (!p || (p->has == 0 && p->user.n == 0 && p->subscription_ids == 0 && !p->user_scattered))
		return 0;
	size = user_size(p);
	for (uint64_t left = single_ones(where, p); left; left &= left - 1)
		size += single_size(&prop_rules[__builtin_ctzll(left)], p);
	for (unsigned i = 0; i < subscription_ids(where, p); i++)
		size += 1 + mqtt_varint_size(p->subscription_id[i]);
	return size;
}

uint8_t *mqtt_props_put(uint8_t *w, unsigned where, const struct mqtt_props *p, size_t body_size)
{
	w = put_varint(w, (uint32_t)body_size);
	if (body_size == 0)
		return w;
	for (uint64_t left = single_ones(where, p); left; left &= left - 1)
		w = single_put(w, (unsigned)__builtin_ctzll(left), p);
	for (unsigned i = 0; i < subscription_ids(where, p); i++)
		w = put_varint(put_u8(w, PROP_SUBSCRIPTION_ID), p->subscription_id[i]);
	return user_put(w, p);
}

size_t mqtt_props_size(enum mqtt_type type, bool will, const struct mqtt_props *p)
{
	size_t body = mqtt_props_body_size(will ? IN_WILL : type, p);

	return body > MQTT_REMAINING_MAX ? body + 4 : body + mqtt_varint_size((uint32_t)body);
}

void mqtt_props_write(struct buf *b, enum mqtt_type type, bool will, const struct mqtt_props *p)
{
	unsigned where = will ? IN_WILL : type;
	size_t body = mqtt_props_body_size(where, p);
	uint8_t *w;

	if (body > MQTT_REMAINING_MAX) {
		b->broken = true; /* as in mqtt_write.c: too long to be said */
		return;
	}
	w = buf_reserve(b, body + 4);
	if (w)
		buf_commit(b, (size_t)(mqtt_props_put(w, where, p, body) - w));
}
