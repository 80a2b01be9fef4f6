/* mqtt_props.c - fuzz target: a block of properties against a second reading of MQTT5 2.2.2.2,
 * written here from the standard's table and sharing nothing with wire/mqtt_props.c. Both must
 * agree whether the block may stand in the packet, and on what it says.
 *
 * Input: u8 which packet (table below; from 0x80 on: each of them), block with its length. It is
 * put into the smallest packet of that kind that is otherwise in order. */
#include "base/base.h"

#include <stdlib.h>

#include "wire/mqtt_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- The table of MQTT5 2.2.2.2, by letter of the packet: c CONNECT, w Will, C CONNACK, p PUBLISH
 * to a client, P PUBLISH to a server, a PUBACK (PUBREC, PUBREL, PUBCOMP are the same), s SUBSCRIBE,
 * S SUBACK, u UNSUBSCRIBE, U UNSUBACK, d DISCONNECT to a client, D DISCONNECT to a server, A AUTH.
 * Types: 1, 2, 4 bytes; 'v' variable integer; 'b' binary; 't' text; '2' pair of texts ---- */
static const struct rule {
	uint8_t id;
	char type;
	const char *in;
} rules[] = {
	{ 0x01, '1', "pPw" },
	{ 0x02, '4', "pPw" },
	{ 0x03, 't', "pPw" },
	{ 0x08, 't', "pPw" },
	{ 0x09, 'b', "pPw" },
	{ 0x0B, 'v', "ps" },  /* [MQTT-3.3.4-6]: never in a PUBLISH to a server */
	{ 0x11, '4', "cCD" }, /* [MQTT-3.14.2-2]: never in a DISCONNECT from a server */
	{ 0x12, 't', "C" },
	{ 0x13, 'h', "C" },
	{ 0x15, 't', "cCA" },
	{ 0x16, 'b', "cCA" },
	{ 0x17, '1', "c" },
	{ 0x18, '4', "w" },
	{ 0x19, '1', "c" },
	{ 0x1A, 't', "C" },
	{ 0x1C, 't', "Cd" }, /* 3.14.2.2.5: the server sends it */
	{ 0x1F, 't', "CaSUdDA" },
	{ 0x21, 'h', "cC" },
	{ 0x22, 'h', "cC" },
	{ 0x23, 'h', "pP" },
	{ 0x24, '1', "C" },
	{ 0x25, '1', "C" },
	{ 0x26, 'u', "cwCpPaSUsudDA" },
	{ 0x27, '4', "cC" },
	{ 0x28, '1', "C" },
	{ 0x29, '1', "C" },
	{ 0x2A, '1', "C" },
};

static const struct rule *rule_of(uint8_t id)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		if (rules[i].id == id)
			return &rules[i];
	}
	return NULL;
}

/* ---- What the oracle read ---- */
struct told {
	uint64_t has;
	uint64_t number[0x2B];
	struct str text[0x2B];
	unsigned users, ids;
	uint32_t id[8]; /* as many as are kept */
	size_t user_bytes;
};

struct cursor {
	const uint8_t *p;
	size_t n;
};

static bool number(struct cursor *c, unsigned bytes, uint64_t *out)
{
	if (c->n < bytes)
		return false;
	for (*out = 0; bytes; bytes--, c->p++, c->n--)
		*out = *out << 8 | *c->p;
	return true;
}

static bool varint(struct cursor *c, uint64_t *out)
{
	uint64_t byte;

	*out = 0;
	for (unsigned i = 0; i < 4; i++) {
		if (!number(c, 1, &byte))
			return false;
		*out |= (byte & 127) << 7 * i;
		if (!(byte & 128))
			return i == 0 || byte; /* [MQTT-1.5.5-1] */
	}
	return false;
}

static bool bytes_of(struct cursor *c, struct str *out)
{
	uint64_t n;

	if (!number(c, 2, &n) || c->n < n)
		return false;
	*out = str_make(c->p, (size_t)n);
	c->p += n;
	c->n -= (size_t)n;
	return true;
}

/* tests/fuzz/utf8.c holds mqtt_utf8_ok against its own reference */
static bool text_of(struct cursor *c, struct str *out)
{
	return bytes_of(c, out) && mqtt_utf8_ok(*out);
}

static bool value(struct cursor *c, const struct rule *r, struct told *t)
{
	struct str key, rest;
	const uint8_t *start = c->p;

	switch (r->type) {
	case '1':
		return number(c, 1, &t->number[r->id]);
	case 'h':
		return number(c, 2, &t->number[r->id]);
	case '4':
		return number(c, 4, &t->number[r->id]);
	case 'v':
		return varint(c, &t->number[r->id]);
	case 'b':
		return bytes_of(c, &t->text[r->id]);
	case 't':
		return text_of(c, &t->text[r->id]);
	default:
		if (!text_of(c, &key) || !text_of(c, &rest))
			return false;
		t->users++;
		t->user_bytes += (size_t)(c->p - start) + 1;
		return true;
	}
}

/* Values that the standard forbids (2.2.2.2 and the sections of each). */
static bool value_fits(const struct rule *r, const struct told *t)
{
	uint64_t v = t->number[r->id];

	switch (r->id) {
	case 0x01:
	case 0x17:
	case 0x19:
	case 0x24:
	case 0x25:
	case 0x28:
	case 0x29:
	case 0x2A:
		return v <= 1;
	case 0x0B:
	case 0x21:
	case 0x23:
	case 0x27:
		return v != 0;
	case 0x08: /* [MQTT-3.3.2-14], and a topic name has a length [MQTT-4.7.3-1] */
		return t->text[8].n && mqtt_name_ok(t->text[8]) &&
		       !memchr(t->text[8].p, '#', t->text[8].n) &&
		       !memchr(t->text[8].p, '+', t->text[8].n);
	default:
		return true;
	}
}

static bool block(struct cursor in, char packet, struct told *t)
{
	while (in.n) {
		const struct rule *r = rule_of(*in.p);
		uint8_t id = *in.p;

		in.p++, in.n--;
		if (!r || !strchr(r->in, packet) || !value(&in, r, t) || !value_fits(r, t))
			return false;
		/* which may stand there twice */
		if (t->has >> id & 1 && id != 0x26 && !(id == 0x0B && packet == 'p'))
			return false;
		if (id == 0x0B && t->ids < ARRAY_LEN(t->id))
			t->id[t->ids++] = (uint32_t)t->number[id];
		t->has |= UINT64_C(1) << id;
	}
	if (packet == 'A' && !(t->has >> 0x15 & 1)) /* 3.15.2.2.2 */
		return false;
	/* 3.1.2.11.10: data without a method */
	return !(t->has >> 0x16 & 1) || t->has >> 0x15 & 1;
}

/* ---- Equality ---- */

static void same_number(const struct told *t, const struct mqtt_props *p, uint8_t id, uint64_t ours)
{
	if (mqtt_has(p, (enum mqtt_prop)id))
		MUST(ours == t->number[id]);
}

static void same_text(const struct told *t, const struct mqtt_props *p, uint8_t id, struct str ours)
{
	if (mqtt_has(p, (enum mqtt_prop)id))
		MUST(str_eq(ours, t->text[id]));
}

static void same(const struct told *t, const struct mqtt_props *p)
{
	const uint64_t repeated = UINT64_C(1) << 0x26 | UINT64_C(1) << 0x0B;
	struct buf users = { 0 };

	MUST((p->has & ~repeated) == (t->has & ~repeated));
	same_number(t, p, 0x01, p->payload_format);
	same_number(t, p, 0x02, p->message_expiry);
	same_number(t, p, 0x11, p->session_expiry);
	same_number(t, p, 0x13, p->server_keep_alive);
	same_number(t, p, 0x17, p->request_problem_info);
	same_number(t, p, 0x18, p->will_delay);
	same_number(t, p, 0x19, p->request_response_info);
	same_number(t, p, 0x21, p->receive_maximum);
	same_number(t, p, 0x22, p->topic_alias_maximum);
	same_number(t, p, 0x23, p->topic_alias);
	same_number(t, p, 0x24, p->maximum_qos);
	same_number(t, p, 0x25, p->retain_available);
	same_number(t, p, 0x27, p->maximum_packet_size);
	same_number(t, p, 0x28, p->wildcard_available);
	same_number(t, p, 0x29, p->subscription_id_available);
	same_number(t, p, 0x2A, p->shared_available);
	same_text(t, p, 0x03, p->content_type);
	same_text(t, p, 0x08, p->response_topic);
	same_text(t, p, 0x09, p->correlation_data);
	same_text(t, p, 0x12, p->assigned_client_id);
	same_text(t, p, 0x15, p->auth_method);
	same_text(t, p, 0x16, p->auth_data);
	same_text(t, p, 0x1A, p->response_info);
	same_text(t, p, 0x1C, p->server_reference);
	same_text(t, p, 0x1F, p->reason_string);
	MUST(p->user_count == t->users);
	MUST(p->subscription_ids == t->ids);
	for (unsigned i = 0; i < t->ids; i++)
		MUST(p->subscription_id[i] == t->id[i]);
	mqtt_props_user(p, &users);
	MUST(buf_ok(&users) && buf_len(&users) == t->user_bytes);
	buf_free(&users);
}

/* ---- The smallest packet of each kind around the block ---- */

static const char kinds[] = "cwCpPasSuUdDA";

struct packet {
	struct buf before, after;
};

static void around(char kind, struct packet *p)
{
	static const uint8_t connect[] = { 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 9 },
			     will[] = { 0, 4, 'M', 'Q', 'T', 'T', 5, 6, 0, 9, 0, 0, 0 };

	switch (kind) {
	case 'c':
		buf_bytes(&p->before, connect, sizeof(connect));
		buf_u16(&p->after, 0);
		break;
	case 'w':
		buf_bytes(&p->before, will, sizeof(will));
		buf_bytes(&p->after, "\0\1w\0\0", 5);
		break;
	case 'C':
		buf_bytes(&p->before, "\0\0", 2);
		break;
	case 'p':
	case 'P':
		buf_bytes(&p->before, "\0\1t", 3);
		break;
	case 'a':
		buf_bytes(&p->before, "\0\1\0", 3);
		break;
	case 's':
		buf_bytes(&p->before, "\0\1", 2);
		buf_bytes(&p->after, "\0\1f\0", 4);
		break;
	case 'S':
	case 'U':
		buf_bytes(&p->before, "\0\1", 2);
		buf_bytes(&p->after, "\0", 1);
		break;
	case 'u':
		buf_bytes(&p->before, "\0\1", 2);
		buf_bytes(&p->after, "\0\1f", 3);
		break;
	default:
		buf_bytes(&p->before, "\0", 1);
		break;
	}
}

union parsed {
	struct mqtt_connect connect;
	struct mqtt_connack connack;
	struct mqtt_publish publish;
	struct mqtt_ack ack;
	struct mqtt_subscribe subscribe;
	struct mqtt_suback suback;
	struct mqtt_unsubscribe unsubscribe;
	struct mqtt_disconnect disconnect;
};

/* Our reading: its answer, and its properties. */
static unsigned ours(char kind, struct str body, union parsed *u, const struct mqtt_props **props)
{
	bool known;

	switch (kind) {
	case 'c':
		*props = &u->connect.props;
		return mqtt_connect_read(body, &u->connect, &known);
	case 'w':
		*props = &u->connect.will.props;
		return mqtt_connect_read(body, &u->connect, &known);
	case 'C':
		*props = &u->connack.props;
		return mqtt_connack_read(body, MQTT_V5, &u->connack);
	case 'p':
	case 'P':
		*props = &u->publish.props;
		return mqtt_publish_read(body, 0, MQTT_V5, kind == 'P', &u->publish);
	case 'a':
		*props = &u->ack.props;
		return mqtt_ack_read(body, MQTT_PUBACK, MQTT_V5, &u->ack);
	case 's':
		*props = &u->subscribe.props;
		return mqtt_subscribe_read(body, MQTT_V5, &u->subscribe);
	case 'u':
		*props = &u->unsubscribe.props;
		return mqtt_unsubscribe_read(body, MQTT_V5, &u->unsubscribe);
	case 'S':
	case 'U':
		*props = &u->suback.props;
		return mqtt_suback_read(body, kind == 'S' ? MQTT_SUBACK : MQTT_UNSUBACK, MQTT_V5,
		                        &u->suback);
	case 'A':
		*props = &u->disconnect.props;
		return mqtt_auth_read(body, &u->disconnect);
	default:
		*props = &u->disconnect.props;
		return mqtt_disconnect_read(body, MQTT_V5, kind == 'D', &u->disconnect);
	}
}

static void try(char kind, const uint8_t *bytes, size_t size)
{
	struct packet packet = { .before = { 0 } };
	struct buf whole = { 0 };
	struct told told = { .has = 0 };
	const struct mqtt_props *props;
	struct cursor cursor = { bytes, size };
	union parsed parsed;
	uint64_t length;
	bool is_whole, fits;
	char *exact;

	is_whole = varint(&cursor, &length) && length <= cursor.n;
	if (is_whole && length < cursor.n)
		return; /* more than the block */
	fits = is_whole && block(cursor, kind, &told);
	around(kind, &packet);
	buf_str_add(&whole, buf_str(&packet.before));
	buf_bytes(&whole, bytes, size);
	if (is_whole) /* else it might be made whole by what follows */
		buf_str_add(&whole, buf_str(&packet.after));
	exact = malloc(buf_len(&whole));
	MUST(buf_ok(&whole) && exact);
	memcpy(exact, buf_data(&whole), buf_len(&whole));
	memset(&parsed, 0xA5, sizeof(parsed));
	MUST((ours(kind, str_make(exact, buf_len(&whole)), &parsed, &props) == RC_SUCCESS) == fits);
	if (fits)
		same(&told, props);
	free(exact);
	buf_free(&packet.before);
	buf_free(&packet.after);
	buf_free(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	for (size_t i = 0; i < sizeof(kinds) - 1; i++) {
		if (data[0] >= 0x80 || data[0] % (sizeof(kinds) - 1) == i)
			try(kinds[i], data + 1, size - 1);
	}
	return 0;
}
