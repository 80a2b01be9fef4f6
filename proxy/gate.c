/* gate.c - the decision table (gate.h). */
#include "base/base.h"
#include "proxy/gate.h"

#include "base/log.h"
#include "proxy/badge.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"

#define IN(state)  (1u << CONN_##state)
#define V(version) (1u << MQTT_##version)
#define V3         (V(V31) | V(V311))
#define ALL        (V3 | V(V5))

/* of PINGREQs: a verdict, and all rights anew (attack I9-AUTH) */
enum { AUTH_COST = 20 };

/* A type that a client may not send at all has no handler; its row is there so that the table is
 * whole. */
static const struct gate_row rows[16] = {
	/* a second one is a protocol error [MQTT-3.1.0-2] */
	[MQTT_CONNECT] = { "CONNECT", IN(GREETING), ALL, 0, greet_connect },
	[MQTT_CONNACK] = { "CONNACK", 0, 0, 0, NULL },
	[MQTT_PUBLISH] = { "PUBLISH", IN(OPEN), ALL, 0, in_publish },
	[MQTT_PUBACK] = { "PUBACK", IN(OPEN), ALL, 0, in_ack },
	[MQTT_PUBREC] = { "PUBREC", IN(OPEN), ALL, 0, in_ack },
	[MQTT_PUBREL] = { "PUBREL", IN(OPEN), ALL, 0, in_ack },
	[MQTT_PUBCOMP] = { "PUBCOMP", IN(OPEN), ALL, 0, in_ack },
	[MQTT_SUBSCRIBE] = { "SUBSCRIBE", IN(OPEN), ALL, 0, in_subscribe },
	[MQTT_SUBACK] = { "SUBACK", 0, 0, 0, NULL },
	[MQTT_UNSUBSCRIBE] = { "UNSUBSCRIBE", IN(OPEN), ALL, 0, in_unsubscribe },
	[MQTT_UNSUBACK] = { "UNSUBACK", 0, 0, 0, NULL },
	[MQTT_PINGREQ] = { "PINGREQ", IN(OPEN), ALL, 1, in_pingreq },
	[MQTT_PINGRESP] = { "PINGRESP", 0, 0, 0, NULL },
	[MQTT_DISCONNECT] = { "DISCONNECT", IN(OPEN), ALL, 0, in_disconnect },
	[MQTT_AUTH] = { "AUTH", IN(OPEN), V(V5), AUTH_COST, in_auth },
};

const struct gate_row *gate_row(unsigned type)
{
	MUST(type < ARRAY_LEN(rows)); /* four bits of a head */
	return &rows[type];
}

unsigned gate_judge(unsigned type, enum conn_state state, uint8_t version)
{
	const struct gate_row *row;

	if (type >= ARRAY_LEN(rows) || !rows[type].name)
		return RC_MALFORMED_PACKET;
	row = &rows[type];
	if (type == MQTT_AUTH && version < MQTT_V5) /* MQTT 3.1.1 knows no type 15 (attack P05) */
		return RC_MALFORMED_PACKET;
	if (!row->handle || !(row->states & 1u << state))
		return RC_PROTOCOL_ERROR;
	return version == 0 || row->versions & 1u << version ? RC_SUCCESS : RC_MALFORMED_PACKET;
}

/* ---- Framing ---- */

enum { FLAG_DUP = 8 };

/* MQTT 3.1 has a client set DUP when it says SUBSCRIBE, UNSUBSCRIBE or PUBREL again (its 2.1);
 * later versions have reserved the bit. */
static bool says_again(const struct conn *c, struct str bytes)
{
	unsigned first = bytes.n ? (uint8_t)bytes.p[0] : 0, type = first >> 4;

	return c->version == MQTT_V31 && (first & FLAG_DUP) &&
	       (type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE || type == MQTT_PUBREL);
}

static enum parse head_of(const struct conn *c, struct str bytes, struct mqtt_head *h)
{
	char first[5]; /* a fixed header has no more */
	struct str head = str_make(first, size_min(bytes.n, sizeof(first)));

	if (likely(!says_again(c, bytes)))
		return mqtt_head_read(bytes, h);
	memcpy(first, bytes.p, head.n);
	first[0] = (char)(first[0] & ~FLAG_DUP);
	return mqtt_head_read(head, h);
}

/* Who does not begin with CONNECT is sent away after the first byte, without a word and without a
 * byte of memory (attacks P01, P02). */
static enum parse measure(void *owner, struct str bytes, size_t *whole)
{
	struct conn *c = owner;
	struct mqtt_head *h = &c->worker->head;
	bool greeting = c->state == CONN_GREETING;
	enum parse answer;

	if (greeting && bytes.n && (uint8_t)bytes.p[0] != MQTT_CONNECT << 4) {
		conn_close(c, END_NOT_MQTT);
		return PARSE_BAD;
	}
	answer = head_of(c, bytes, h);
	if (answer == PARSE_BAD)
		conn_break(c, RC_MALFORMED_PACKET);
	if (answer != PARSE_OK)
		return answer;
	if (h->size + (size_t)h->remaining > c->packet_limit) {
		(void)quota_over(c->worker, LIMIT_PACKET_SIZE);
		conn_close(c, END_TOO_LARGE);
		return PARSE_BAD;
	}
	*whole = h->size + (size_t)h->remaining;
	return PARSE_OK;
}

/* What a packet makes us say to the core stands in a buf that all clients of its customer share.
 * When memory runs out for it, this client alone is ended. Had it been ending (DISCONNECT, a broken
 * rule) the core would never hear of that: then the link has to go. */
static void handle(const struct gate_row *row, struct conn *c, const struct mqtt_head *h,
                   struct str body)
{
	bool speaks = c->channel;
	size_t mark = speaks ? uplink_mark(c) : 0;

	row->handle(c, h, body);
	if (unlikely(speaks && uplink_unsaid(c, mark)))
		conn_close(c, END_MEMORY);
}

/* What a client says in one segment is judged whole, at the end of a slice too, while it is little:
 * a change of its rights comes before or behind it (attack C17). */
enum { BURST = 8 };

static bool frame(void *owner, struct str bytes)
{
	struct conn *c = owner;
	struct mqtt_head h = c->worker->head; /* measured a moment ago */
	unsigned reason;
	bool more;

	MUST(bytes.n == h.size + (size_t)h.remaining);
	c->frames_in++;
	c->worker->n.packets_in++;
	if (unlikely(h.type == MQTT_CONNECT))
		share_charge(c, SLICE_CONNECT);
	reason = gate_judge(h.type, c->state, c->version);
	if (reason)
		conn_break(c, reason);
	else if (likely(!rows[h.type].control) || conn_pace(c, PACE_CONTROL, rows[h.type].control))
		handle(&rows[h.type], c, &h, str_skip(bytes, h.size));
	more = share_spend(c, SLICE_PACKET + (uint32_t)(bytes.n / SLICE_BYTES));
	return c->state != CONN_CLOSING && !(c->hold & HOLD_PACKETS) &&
	       (more || (bytes.n <= SLICE_BYTES && ++c->worker->burst < BURST));
}

const struct feed_ops gate_ops = { .measure = measure, .frame = frame };

/* ---- Checks ---- */

bool gate_topic_fits(struct conn *c, struct str topic)
{
	const int64_t *most = c->badge->quotas.token;

	if (likely((int64_t)topic.n <= most[LIMIT_TOPIC_SIZE] &&
	           topic_levels(topic) <= most[LIMIT_TOPIC_LEVELS]))
		return true;
	(void)quota_over(c->worker, (int64_t)topic.n > most[LIMIT_TOPIC_SIZE] ? LIMIT_TOPIC_SIZE
	                                                                      : LIMIT_TOPIC_LEVELS);
	return false;
}

unsigned gate_user_props(struct conn *c, const struct mqtt_props *p)
{
	const int64_t *most = c->badge->quotas.token;
	struct mqtt_user_walk walk;
	struct str key, value;
	size_t bytes = 0;

	if (p->user_count > most[LIMIT_USER_PROPERTIES])
		return quota_over(c->worker, LIMIT_USER_PROPERTIES);
	mqtt_user_start(&walk, p);
	while (mqtt_user_next(&walk, &key, &value))
		bytes += 5 + key.n + value.n;
	return (int64_t)bytes > most[LIMIT_USER_PROPERTIES_SIZE]
	           ? quota_over(c->worker, LIMIT_USER_PROPERTIES_SIZE)
	           : RC_SUCCESS;
}

/* An ACL never changes, and neither does its answer about a name: what a client may publish, and
 * what its neighbours with the same rights may receive, is worked out once and then looked up. */
enum { PUBLISH = 1, RECEIVE = 4, MAY = 2 }; /* asked; and MAY times it: the answer was yes */

static bool may(struct worker *w, const struct acl *a, struct str topic, uint64_t what,
                bool (*ask)(const struct acl *a, struct str topic))
{
	const uint64_t *known = memo_find(&w->rights, acl_stamp(a), 0, topic);
	uint64_t answers = known ? *known : 0, *keep;

	if (answers & what)
		return answers & what * MAY;
	answers |= what | (ask(a, topic) ? what * MAY : 0);
	keep = memo_put(&w->rights, acl_stamp(a), 0, topic);
	if (keep)
		*keep = answers;
	return answers & what * MAY;
}

unsigned gate_publish(struct worker *w, const struct badge *b, struct str topic)
{
	return !b->ended && may(w, b->acl, topic, PUBLISH, acl_may_publish) ? RC_SUCCESS
	                                                                    : RC_NOT_AUTHORIZED;
}

/* Many clients with one token get the same message: the token's rights are asked once. */
bool gate_deliver(struct worker *w, struct badge *b, struct str name)
{
	if (b->memo_serial != w->deliver_serial) {
		b->memo_serial = w->deliver_serial;
		b->memo = may(w, b->acl, name, RECEIVE, acl_may_receive);
	}
	return b->memo && !b->ended;
}
