/* in_publish.c - PUBLISH of a client, on its way to the core. The order is fixed (attack C16): read
 * -> alias resolved -> name and sizes -> may it be published -> mapped -> link. The right is
 * checked at the moment of effect, so nothing about it is kept (attack C06). */
#include "base/base.h"
#include "proxy/gate.h"

#include "base/log.h"
#include "proxy/badge.h"
#include "proxy/events.h"
#include "proxy/inflight.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"
#include "wire/mqtt_write.h"

enum { V3_INFLIGHT_FACTOR = 10 };

/* ---- The message as it crosses the link ---- */

/* The wire form that link.h asks for: only what belongs to the message, in a fixed order. */
static void props_put(struct buf *out, const struct mqtt_props *p)
{
	if (mqtt_has(p, PROP_PAYLOAD_FORMAT)) {
		buf_u8(out, PROP_PAYLOAD_FORMAT);
		buf_u8(out, p->payload_format);
	}
	if (mqtt_has(p, PROP_CONTENT_TYPE)) {
		buf_u8(out, PROP_CONTENT_TYPE);
		buf_u16(out, (uint16_t)p->content_type.n);
		buf_str_add(out, p->content_type);
	}
	if (mqtt_has(p, PROP_CORRELATION_DATA)) {
		buf_u8(out, PROP_CORRELATION_DATA);
		buf_u16(out, (uint16_t)p->correlation_data.n);
		buf_str_add(out, p->correlation_data);
	}
	if (p->user_count)
		mqtt_props_user(p, out);
}

bool in_publish_msg(struct worker *w, const struct space *space, struct str topic,
                    const struct mqtt_props *p, struct str payload, struct link_msg *out)
{
	struct buf *b = &w->scratch;

	buf_reset(b);
	if (p->has || p->user_count)
		props_put(b, p);
	if (!buf_ok(b)) {
		buf_free(b);
		return false;
	}
	out->prefix = str_make(space->prefix, space->prefix_len);
	out->topic = topic;
	out->response_topic = mqtt_has(p, PROP_RESPONSE_TOPIC) ? p->response_topic : STR_NONE;
	out->props = buf_str(b);
	out->payload = payload;
	out->expiry_s = LINK_NO_EXPIRY;
	if (mqtt_has(p, PROP_MESSAGE_EXPIRY)) /* our word for "none" is taken: a second less */
		out->expiry_s = p->message_expiry - (p->message_expiry == LINK_NO_EXPIRY);
	return true;
}

/* ---- Refusing ---- */

/* MQTT 3.1.1 has no word for it and allows only "yes" or the end [MQTT-3.3.5-2]: acknowledged and
 * dropped. */
static void refuse(struct conn *c, const struct mqtt_publish *p, unsigned reason)
{
	struct mqtt_props props = { 0 };
	struct buf *out;
	size_t before;
	char why[160] = "";
	bool tell = event_refusal_due(c);

	c->rejected++;
	c->worker->n.publishes_refused++;
	LOG_INFO(conn_name(c), "refused-publish", "reason=0x%02x topic=%s", reason,
	         log_esc(p->topic));
	if (reason == RC_NOT_AUTHORIZED && (tell || (p->qos && c->problem_info)))
		acl_explain(c->badge->acl, true, p->topic, why, sizeof(why));
	if (!mqtt_utf8_ok(str_c(why))) /* a long topic may have been cut inside a character */
		why[0] = '\0';
	if (tell)
		event_refusal(c, EVENT_PUBLISH_REFUSED, p->topic, reason, why[0] ? why : NULL);
	if (p->qos == 0)
		return;
	c->owed += p->qos == 2; /* MQTT 3 hears no refusal, and says PUBREL */
	if (c->problem_info && why[0]) {
		props.reason_string = str_c(why);
		props.has = UINT64_C(1) << PROP_REASON_STRING;
	}
	out = conn_out(c);
	before = buf_len(out);
	mqtt_ack_write(out, p->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, c->version, p->packet_id,
	               reason, &props);
	if (c->packet_most && buf_len(out) - before > c->packet_most) { /* [MQTT-3.4.2-2] */
		buf_cut(out, before);
		mqtt_ack_write(out, p->qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, c->version,
		               p->packet_id, reason, NULL);
	}
}

/* ---- Judging ---- */

/* MQTT5 3.3.2.3.4. The alias table dies with the connection (attack P18). */
static unsigned resolve_alias(struct conn *c, struct mqtt_publish *p)
{
	unsigned most = c->alias_most;

	if (!mqtt_has(&p->props, PROP_TOPIC_ALIAS))
		return p->topic.n ? RC_SUCCESS : RC_PROTOCOL_ERROR; /* attack P16 */
	if (p->props.topic_alias == 0 ||
	    p->props.topic_alias > most) /* [MQTT-3.3.2-8], [MQTT-3.3.2-9] */
		return quota_over(c->worker, LIMIT_TOPIC_ALIAS_MAXIMUM);
	if (p->topic.n == 0) {
		p->topic = alias_get(c->aliases, p->props.topic_alias);
		return p->topic.n ? RC_SUCCESS : RC_TOPIC_ALIAS_INVALID;
	}
	if (!gate_topic_fits(c, p->topic))
		return RC_TOPIC_NAME_INVALID;
	switch (share_alias(c, &c->aliases, p->props.topic_alias, most, p->topic)) {
	case 0:
		return RC_SUCCESS;
	case -E_LIMIT: /* attack I32 */
		return RC_QUOTA_EXCEEDED;
	default:
		return RC_IMPLEMENTATION_SPECIFIC_ERROR;
	}
}

static unsigned judge(struct conn *c, struct mqtt_publish *p)
{
	unsigned reason = resolve_alias(c, p);

	if (reason)
		return reason;
	if (!gate_topic_fits(c, p->topic)) /* attack P19 */
		return RC_TOPIC_NAME_INVALID;
	if (mqtt_has(&p->props, PROP_RESPONSE_TOPIC) &&
	    !gate_topic_fits(c, p->props.response_topic))
		return RC_TOPIC_NAME_INVALID;
	return gate_props(c, &p->props);
}

/* Attacks P29, R11. v3 never heard of our maximum: QoS 1 costs us nothing there, QoS 2 is given
 * much room. A v5 client that sends more QoS 1 than it may (libraries do, of what they have queued)
 * is one packet over it, and is not read until the core has acknowledged what is on its way; only
 * QoS 2, which waits for the client, would grow without bound. */
static int count_inflight(struct conn *c, const struct mqtt_publish *p)
{
	size_t limit = c->receive_maximum, before = inflight_count(c->inflight);
	int err;

	if (c->version < MQTT_V5) {
		if (p->qos == 1)
			return 0;
		limit *= V3_INFLIGHT_FACTOR;
	} else if (p->qos == 1 || c->inflight_two < limit) {
		limit++;
	}
	err = inflight_add(&c->inflight, p->packet_id, limit);
	if (err || inflight_count(c->inflight) == before)
		return err;
	c->inflight_two += p->qos == 2;
	if (c->version >= MQTT_V5 && before >= c->receive_maximum) {
		c->worker->n.window_pauses++;
		(void)quota_over(c->worker, LIMIT_RECEIVE_MAXIMUM);
		conn_hold(c, HOLD_WINDOW);
	}
	return 0;
}

static void two_is_over(struct conn *c, uint16_t packet_id)
{
	if (inflight_del(c->inflight, packet_id) && c->inflight_two)
		c->inflight_two--;
}

/* Attack R18. False: closed. */
static bool pace(struct conn *c, size_t bytes)
{
	return (!c->pace[PACE_MESSAGES].per_second || conn_pace(c, PACE_MESSAGES, 1)) &&
	       (!c->pace[PACE_BYTES].per_second || conn_pace(c, PACE_BYTES, bytes));
}

/* Refused now, it may have been accepted when it came first, on another connection. To an MQTT 5
 * client the refusal means that its id is free: so the core must not know it any more, or it would
 * take the next message under it for this one. Its answer is not for the client. */
static void release(struct conn *c, const struct mqtt_publish *p)
{
	size_t before = inflight_count(c->released);
	int err;

	if (c->version < MQTT_V5)
		return; /* it was told "yes", and will send PUBREL itself */
	two_is_over(c, p->packet_id);
	err = inflight_add(&c->released, p->packet_id, c->receive_maximum);
	if (err) {
		conn_close(c, err == -E_LIMIT ? END_RECEIVE_MAXIMUM : END_MEMORY);
		return;
	}
	if (inflight_count(c->released) == before)
		return; /* under way already */
	link_ack_write(uplink_say(c), c->channel, c->generation, MQTT_PUBREL, p->packet_id,
	               RC_SUCCESS);
}

/* ---- PUBLISH ---- */

static void pass_on(struct conn *c, const struct mqtt_publish *p)
{
	/* as in in_publish() */
	struct link_publish out __attribute__((uninitialized));
	unsigned flags = p->qos | (p->retain ? LINK_RETAIN : 0) | (p->dup ? LINK_DUP : 0);

	if (!in_publish_msg(c->worker, &c->badge->space, p->topic, &p->props, p->payload,
	                    &out.msg)) {
		conn_close(c, END_MEMORY);
		return;
	}
	out.packet_id = p->packet_id;
	link_publish_write(uplink_say(c), c->channel, c->generation, (uint8_t)flags, &out);
}

void in_publish(struct conn *c, const struct mqtt_head *h, struct str body)
{
	/* 400 bytes that are written before they are read: not cleared for each message */
	struct mqtt_publish p __attribute__((uninitialized));
	unsigned reason = mqtt_publish_read(body, h->flags, c->version, true, &p);
	int err = 0;

	if (!reason)
		reason = judge(c, &p);
	if (reason) {
		conn_break(c, reason);
		return;
	}
	c->msgs_in++;
	c->worker->n.publishes_in++;
	if (!pace(c, h->size + (size_t)h->remaining))
		return;
	reason = unlikely(c->mute) ? RC_QUOTA_EXCEEDED : gate_publish(c->worker, c->badge, p.topic);
	if (reason) {
		if (c->mute)
			(void)quota_over(c->worker, LIMIT_MESSAGES);
		refuse(c, &p, reason);
		if (p.dup && p.qos == 2)
			release(c, &p);
		return;
	}
	if (p.qos)
		err = count_inflight(c, &p);
	if (err == -E_LIMIT)
		(void)quota_over(c->worker, LIMIT_RECEIVE_MAXIMUM);
	if (err)
		conn_close(c, err == -E_LIMIT ? END_RECEIVE_MAXIMUM : END_MEMORY);
	else
		pass_on(c, &p);
}

bool in_publish_acked(struct conn *c, enum mqtt_type type, uint16_t packet_id, uint8_t reason)
{
	if (type == MQTT_PUBCOMP && inflight_del(c->released, packet_id))
		return false;
	if (type == MQTT_PUBACK)
		(void)inflight_del(c->inflight, packet_id);
	else if (type == MQTT_PUBCOMP || (type == MQTT_PUBREC && reason >= RC_UNSPECIFIED_ERROR))
		two_is_over(c, packet_id);
	return true;
}

/* Half of the window is free again, or all that is left waits for the client. */
void in_publish_go_on(struct conn *c)
{
	size_t count = inflight_count(c->inflight);

	if (likely(!(c->hold & HOLD_WINDOW)) ||
	    (count > c->receive_maximum / 2 && count > c->inflight_two))
		return;
	conn_go_on_rest(c, HOLD_WINDOW);
}
