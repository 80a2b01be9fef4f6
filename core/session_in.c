/* session_in.c - what a client publishes, and its half of the QoS 2 exchange.
 *
 * Method B of MQTT5 4.3.3: the message is passed on when PUBLISH arrives, and its packet id is kept
 * until PUBREL, so that a PUBLISH that comes again is known. How many ids are kept is bounded
 * (attack R11); when there is no room, those whose PUBREL has not come for very long make some.
 * Acknowledgements go into the port's buffer, which is written after the turn's
 * commit. */
#include "base/base.h"
#include "core/session.h"

#include "base/mem.h"

enum { INBOUND_FIRST = 8 };

/* ---- QoS 2 ids ---- */
static struct inbound *inbound_find(const struct session *s, uint16_t packet_id)
{
	for (uint16_t i = 0; i < s->inbound_count; i++) {
		if (s->inbound[i].packet_id == packet_id)
			return &s->inbound[i];
	}
	return NULL;
}

static uint32_t seconds_now(const struct session *s)
{
	return (uint32_t)(home_now(session_home(s)) / 1000);
}

static void inbound_drop(struct session *s, struct inbound *at)
{
	if (s->durable)
		store_inbound_del(session_home(s)->store, s->customer->id, session_id(s),
		                  at->packet_id);
	*at = s->inbound[--s->inbound_count];
}

static void inbound_expire(struct session *s)
{
	uint32_t now = seconds_now(s),
		 most = (uint32_t)(session_home(s)->config->inbound_expiry / 1000);

	for (uint16_t i = s->inbound_count; i-- > 0;) {
		if (now - s->inbound[i].at < most)
			continue;
		inbound_drop(s, &s->inbound[i]);
		session_home(s)->counters.inbound_expired++;
	}
}

/* Room for one more id: asked for before the message has any effect. */
static int inbound_room(struct session *s)
{
	int64_t most = session_home(s)->config->inbound_max;
	struct inbound *ids;
	uint16_t cap;

	if (s->inbound_count >= most || s->inbound_count == s->inbound_cap)
		inbound_expire(s);
	if (s->inbound_count >= most)
		return -E_LIMIT;
	if (s->inbound_count < s->inbound_cap)
		return 0;
	cap = s->inbound_cap == 0               ? INBOUND_FIRST
	      : s->inbound_cap > UINT16_MAX / 2 ? UINT16_MAX
	                                        : (uint16_t)(s->inbound_cap * 2);
	ids = mem_realloc(s->inbound, cap * sizeof(*ids));
	if (!ids)
		return -E_NOMEM;
	s->inbound = ids;
	s->inbound_cap = cap;
	return 0;
}

static void inbound_add(struct session *s, uint16_t packet_id)
{
	s->inbound[s->inbound_count++] = (struct inbound){ packet_id, seconds_now(s) };
	if (s->durable)
		store_inbound_put(session_home(s)->store, s->customer->id, session_id(s),
		                  packet_id);
}

static bool inbound_del(struct session *s, uint16_t packet_id)
{
	struct inbound *at = inbound_find(s, packet_id);

	if (at)
		inbound_drop(s, at);
	return at;
}

void inbound_clear(struct session *s)
{
	mem_free(s->inbound);
	s->inbound = NULL;
	s->inbound_count = s->inbound_cap = 0;
}

/* ---- PUBLISH ---- */
static bool publish_inside(const struct session *s, uint8_t flags, const struct link_publish *pub)
{
	struct str name;

	if ((flags & LINK_QOS) == 3 || ((flags & LINK_QOS) != 0) != (pub->packet_id != 0))
		return false;
	if (!customer_name(s->customer, pub->msg.topic, &name) || !topic_name_ok(name))
		return false;
	return pub->msg.response_topic.n == 0 ||
	       customer_name(s->customer, pub->msg.response_topic, &name);
}

static uint8_t publish_msg(struct session *s, uint8_t flags, const struct link_publish *pub)
{
	struct home *h = session_home(s);
	struct msg *m =
	    msg_new(&pub->msg, flags & LINK_QOS, flags & LINK_RETAIN, s->token, s, home_wall(h));
	uint8_t reason;

	if (!m) {
		h->counters.dropped_memory++;
		return RC_QUOTA_EXCEEDED;
	}
	/* A client's names are its customer's, who lives here; the trusted world's are anybody's.
	 */
	reason = m->customer && m->customer == s->customer->id ? route_publish(h, s->customer, m)
	                                                       : home_publish(h, m);
	msg_put(&m);
	return reason;
}

/* A refused PUBREC (>= 0x80) ends the exchange: the id is not kept. A retained message that could
 * not be kept was passed on all the same; its publisher is told with 0x97. */
static uint8_t publish_qos2(struct session *s, uint8_t flags, const struct link_publish *pub)
{
	uint8_t reason;

	/* MQTT5 [MQTT-4.3.3-10]: the same message again */
	if (inbound_find(s, pub->packet_id)) {
		session_home(s)->counters.repeated_qos2++;
		return RC_SUCCESS;
	}
	if (inbound_room(s))
		return RC_QUOTA_EXCEEDED;
	reason = publish_msg(s, flags, pub);
	if (reason < 0x80)
		inbound_add(s, pub->packet_id);
	return reason;
}

bool session_publish(struct port *p, uint8_t flags, const struct link_publish *pub)
{
	struct session *s = p->session;
	struct home_counters *counters = &session_home(s)->counters;

	if (!publish_inside(s, flags, pub))
		return false;
	home_changed(session_home(s));
	switch (flags & LINK_QOS) {
	case 0:
		counters->published_qos0++;
		(void)publish_msg(s, flags, pub);
		break;
	case 1:
		counters->published_qos1++;
		p->ops->ack(p, MQTT_PUBACK, pub->packet_id, publish_msg(s, flags, pub));
		break;
	default:
		counters->published_qos2++;
		p->ops->ack(p, MQTT_PUBREC, pub->packet_id, publish_qos2(s, flags, pub));
	}
	return true;
}

/* ---- PUBACK, PUBREC, PUBREL, PUBCOMP ---- */
bool session_ack(struct port *p, enum mqtt_type type, uint16_t packet_id, uint8_t reason)
{
	struct session *s = p->session;

	home_changed(session_home(s));
	switch (type) {
	case MQTT_PUBREL:
		p->ops->ack(p, MQTT_PUBCOMP, packet_id,
		            inbound_del(s, packet_id) ? RC_SUCCESS
		                                      : RC_PACKET_IDENTIFIER_NOT_FOUND);
		return true;
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBCOMP:
		(void)out_ack(s, type, packet_id, reason);
		return true;
	default:
		return false;
	}
}
