/* door_out.c - what a session says, as MQTT packets in the guest's buffer. Nothing here ends the
 * guest or calls the session: what must follow is noted, and done by the guest's settle hook at the
 * end of the turn. */
#include "base/base.h"
#include "core/door_parts.h"

#include "base/log.h"

/* ---- CONNACK ---- */
static void offer(struct mqtt_props *p, enum mqtt_prop id)
{
	p->has |= UINT64_C(1) << id;
}

/* Topic Alias Maximum is left out, which means 0: we take none (MQTT5 3.2.2.3.8). */
static struct mqtt_props connack_props(const struct guest *g)
{
	const struct core_config *config = home_config(g->door->home);
	struct mqtt_props p = { .receive_maximum = (uint16_t)g->under_way_max,
		                .maximum_packet_size = (uint32_t)door_packet_max(g->door) };

	offer(&p, PROP_RECEIVE_MAXIMUM);
	offer(&p, PROP_MAXIMUM_PACKET_SIZE);
	if (g->expiry_s > config->session_expiry_max / 1000) {
		p.session_expiry = (uint32_t)(config->session_expiry_max / 1000);
		offer(&p, PROP_SESSION_EXPIRY); /* MQTT5 3.2.2.3.2: it will be what we say here */
	}
	if (g->assigned) {
		p.assigned_client_id = buf_str(&g->name);
		offer(&p, PROP_ASSIGNED_CLIENT_ID); /* [MQTT-3.2.2-16] */
	}
	return p;
}

void guest_connack(struct guest *g, bool present, unsigned reason)
{
	struct mqtt_props p = { 0 };

	if (reason < 0x80)
		p = connack_props(g);
	mqtt_connack_write(&g->send, g->version, present, reason, &p);
	guest_said(g);
}

static void guest_opened(struct port *p, bool present, uint8_t reason, struct session *s)
{
	struct guest *g = container_of(p, struct guest, port);

	(void)s;
	guest_connack(g, present, reason);
	if (reason >= 0x80) {
		guest_end(g, mqtt_reason_text(reason));
		return;
	}
	guest_enter(g, GUEST_OPEN);
	if (g->keep_alive_ms)
		timer_set(home_loop(g->door->home), &g->timer, g->keep_alive_ms);
	else
		timer_stop(&g->timer);
	/* a trusted session needs no new rights: it may flow as soon as the turn is over */
	g->opened = true;
	guest_later(g);
}

/* ---- PUBLISH. Properties of a message are kept in wire form, so the packet is put together here
 * rather than from struct mqtt_props. ---- */
struct layout {
	size_t props, remaining, whole;
	uint32_t expiry_s;
};

static struct layout publish_layout(const struct guest *g, const struct msg *m,
                                    const struct port_send *how)
{
	struct layout l = { .expiry_s = msg_expiry_left(m, home_wall(g->door->home)) };
	size_t with_length = 0;

	if (g->version >= MQTT_V5) {
		l.props = m->m.props.n + (l.expiry_s != LINK_NO_EXPIRY ? 5 : 0) +
		          (m->m.response_topic.n ? 3 + m->m.response_topic.n : 0) +
		          (how->subscription_id ? 1 + mqtt_varint_size(how->subscription_id) : 0);
		with_length =
		    l.props +
		    (l.props > MQTT_REMAINING_MAX ? 4 : mqtt_varint_size((uint32_t)l.props));
	}
	l.remaining = 2 + m->m.topic.n + (how->packet_id ? 2 : 0) + with_length + m->m.payload.n;
	l.whole = 1 +
	          (l.remaining > MQTT_REMAINING_MAX ? 4 : mqtt_varint_size((uint32_t)l.remaining)) +
	          l.remaining;
	return l;
}

static bool publish_fits(const struct guest *g, const struct msg *m, const struct layout *l)
{
	/* A client's name of full length gets longer by "customer/<id>/". */
	return l->remaining <= MQTT_REMAINING_MAX && m->m.topic.n <= UINT16_MAX &&
	       m->m.response_topic.n <= UINT16_MAX &&
	       (g->packet_max == 0 || l->whole <= g->packet_max);
}

static void publish_props(struct buf *b, const struct msg *m, const struct port_send *how,
                          const struct layout *l)
{
	mqtt_varint_put(b, (uint32_t)l->props);
	if (l->expiry_s != LINK_NO_EXPIRY) {
		buf_u8(b, PROP_MESSAGE_EXPIRY);
		buf_u32(b, l->expiry_s);
	}
	if (m->m.response_topic.n) {
		buf_u8(b, PROP_RESPONSE_TOPIC);
		buf_u16(b, (uint16_t)m->m.response_topic.n);
		buf_str_add(b, m->m.response_topic);
	}
	if (how->subscription_id) {
		buf_u8(b, PROP_SUBSCRIPTION_ID);
		mqtt_varint_put(b, how->subscription_id);
	}
	buf_str_add(b, m->m.props);
}

static void publish_write(struct guest *g, const struct msg *m, const struct port_send *how,
                          const struct layout *l)
{
	struct buf *b = &g->send;
	size_t before = buf_len(b);

	if (!buf_reserve(b, l->whole)) /* once: what follows finds room */
		return;
	buf_u8(b, (uint8_t)(MQTT_PUBLISH << 4 | (how->flags & LINK_DUP ? 8 : 0) |
	                    (how->flags & LINK_QOS) << 1 | (how->flags & LINK_RETAIN ? 1 : 0)));
	mqtt_varint_put(b, (uint32_t)l->remaining);
	buf_u16(b, (uint16_t)m->m.topic.n);
	buf_str_add(b, m->m.topic);
	if (how->packet_id)
		buf_u16(b, how->packet_id);
	if (g->version >= MQTT_V5)
		publish_props(b, m, how, l);
	buf_str_add(b, m->m.payload);
	MUST(buf_len(b) - before == l->whole); /* publish_layout() counts the same fields */
}

/* MQTT5 [MQTT-3.1.2-25]: what is too large for this client is not sent, and for the session it is
 * as if it had been received. */
static void publish_drop(struct guest *g, const struct port_send *how)
{
	g->dropped++;
	if (how->packet_id == 0)
		return;
	buf_le16(&g->late, how->packet_id);
	buf_u8(&g->late, how->flags & LINK_QOS);
	if (!buf_ok(&g->late))
		g->broken = true;
	guest_later(g);
}

static void guest_deliver(struct port *p, struct msg *m, const struct port_send *how)
{
	struct guest *g = container_of(p, struct guest, port);
	struct layout l = publish_layout(g, m, how);

	if (!publish_fits(g, m, &l)) {
		publish_drop(g, how);
		return;
	}
	publish_write(g, m, how, &l);
	guest_said(g);
}

void guest_settle_late(struct guest *g)
{
	struct buf late = g->late; /* more may come while the session hears of these */
	struct take t = take_from(buf_data(&late), buf_len(&late));
	uint16_t packet_id;
	uint8_t qos;

	g->late = (struct buf){ 0 };
	while (take_le16(&t, &packet_id) && take_u8(&t, &qos)) {
		if (qos == 2)
			(void)session_ack(&g->port, MQTT_PUBREC, packet_id, RC_PACKET_TOO_LARGE);
		else
			(void)session_ack(&g->port, MQTT_PUBACK, packet_id, RC_SUCCESS);
	}
	buf_free(&late);
}

/* ---- Answers ---- */
static void guest_ack(struct port *p, enum mqtt_type type, uint16_t packet_id, uint8_t reason)
{
	struct guest *g = container_of(p, struct guest, port);
	bool ends =
	    type == MQTT_PUBACK || type == MQTT_PUBCOMP || (type == MQTT_PUBREC && reason >= 0x80);

	if (ends && g->under_way) /* 0: it began on an earlier connection */
		g->under_way--;
	mqtt_ack_write(&g->send, type, g->version, packet_id, reason, NULL);
	guest_said(g);
}

static void guest_suback(struct port *p, enum link_type type, uint16_t packet_id,
                         const uint8_t *codes, size_t count)
{
	struct guest *g = container_of(p, struct guest, port);

	if (type == LINK_SUBACK)
		mqtt_suback_write(&g->send, g->version, packet_id, codes, count, NULL);
	else
		mqtt_unsuback_write(&g->send, g->version, packet_id, codes, count, NULL);
	guest_said(g);
}

/* The session let go of us: taken over, or the home ends. */
static void guest_closed(struct port *p, uint8_t reason)
{
	struct guest *g = container_of(p, struct guest, port);

	if (g->version >= MQTT_V5) {
		mqtt_disconnect_write(&g->send, g->version, reason, NULL);
		guest_said(g);
	}
	guest_end(g, mqtt_reason_text(reason));
}

const struct port_ops guest_ops = {
	.opened = guest_opened,
	.deliver = guest_deliver,
	.ack = guest_ack,
	.suback = guest_suback,
	.closed = guest_closed,
};
