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

enum { BITS_FIRST = 3 };

/* ---- QoS 2 ids. The client says them, and asks for them: a table with open addressing, half of it
 * empty at least, whose places depend on a key that nobody outside knows. ---- */
struct inbound_id {
	uint16_t packet_id; /* 0: nobody is here */
	uint32_t at;        /* loop time in seconds */
};

struct inbound {
	uint32_t key, count;
	unsigned bits;
	uint32_t oldest; /* none is older */
	struct inbound_id id[];
};

static uint32_t inbound_mask(const struct inbound *in)
{
	return ((uint32_t)1 << in->bits) - 1;
}

static uint32_t inbound_home(const struct inbound *in, uint16_t packet_id)
{
	return packet_id * in->key >> (32 - in->bits);
}

/* Where it is, or the free place where it belongs. */
static struct inbound_id *inbound_place(struct inbound *in, uint16_t packet_id)
{
	uint32_t i = inbound_home(in, packet_id);

	while (in->id[i].packet_id && in->id[i].packet_id != packet_id)
		i = (i + 1) & inbound_mask(in);
	return &in->id[i];
}

static struct inbound_id *inbound_find(const struct session *s, uint16_t packet_id)
{
	struct inbound_id *at = s->inbound ? inbound_place(s->inbound, packet_id) : NULL;

	return at && at->packet_id ? at : NULL;
}

static uint32_t seconds_now(const struct session *s)
{
	return (uint32_t)(home_now(session_home(s)) / 1000);
}

bool inbound_any(const struct session *s)
{
	return s->inbound && s->inbound->count;
}

void inbound_clear(struct session *s)
{
	mem_free(s->inbound);
	s->inbound = NULL;
}

/* Those behind it that are there because its place was taken move up. */
static void close_gap(struct inbound *in, uint32_t gap)
{
	uint32_t mask = inbound_mask(in);

	in->id[gap].packet_id = 0;
	for (uint32_t i = (gap + 1) & mask; in->id[i].packet_id; i = (i + 1) & mask) {
		uint32_t from = inbound_home(in, in->id[i].packet_id);

		if (((i - from) & mask) < ((i - gap) & mask))
			continue; /* between the gap and here is where it belongs */
		in->id[gap] = in->id[i];
		in->id[i].packet_id = 0;
		gap = i;
	}
}

static void inbound_drop(struct session *s, struct inbound_id *at)
{
	struct inbound *in = s->inbound;

	if (s->durable)
		store_inbound_del(session_home(s)->store, s->customer->id, session_id(s),
		                  at->packet_id);
	close_gap(in, (uint32_t)(at - in->id));
	if (--in->count == 0 && in->bits > BITS_FIRST)
		inbound_clear(s);
}

/* Looks through them no more often than one of them can have ended. */
static void inbound_expire(struct session *s)
{
	struct inbound *in = s->inbound;
	uint32_t now = seconds_now(s), oldest = now,
		 most = (uint32_t)(session_home(s)->config->inbound_expiry / 1000);

	if (now - in->oldest < most)
		return;
	work_spend(session_home(s), inbound_mask(in) / 8 + 1);
	for (uint32_t i = 0; i <= inbound_mask(in);) {
		struct inbound_id *at = &in->id[i];

		if (!at->packet_id || now - at->at < most) {
			if (at->packet_id && now - at->at > now - oldest)
				oldest = at->at;
			i++;
			continue;
		}
		session_home(s)->counters.inbound_expired++;
		inbound_drop(s, at); /* another one may stand here now */
		if (!s->inbound)
			return;
	}
	in->oldest = oldest;
}

static int inbound_grow(struct session *s)
{
	struct inbound *old = s->inbound, *in;
	unsigned bits = old ? old->bits + 1 : BITS_FIRST;

	in = mem_zalloc(sizeof(*in) + ((size_t)1 << bits) * sizeof(in->id[0]));
	if (!in)
		return -E_NOMEM;
	in->key = (uint32_t)hash_mix((uint64_t)(uintptr_t)s, bits) | 1;
	in->bits = bits;
	in->oldest = old ? old->oldest : seconds_now(s);
	for (uint32_t i = 0; old && i <= inbound_mask(old); i++) {
		if (!old->id[i].packet_id)
			continue;
		*inbound_place(in, old->id[i].packet_id) = old->id[i];
		in->count++;
	}
	mem_free(old);
	s->inbound = in;
	return 0;
}

/* Room for one more id: asked for before the message has any effect. */
static int inbound_room(struct session *s)
{
	uint32_t most = (uint32_t)session_home(s)->config->inbound_max;

	if (s->inbound &&
	    (s->inbound->count >= most || s->inbound->count * 2 >= inbound_mask(s->inbound)))
		inbound_expire(s);
	if (s->inbound && s->inbound->count >= most)
		return -E_LIMIT;
	if (s->inbound && s->inbound->count * 2 < inbound_mask(s->inbound))
		return 0;
	return inbound_grow(s);
}

static void inbound_add(struct session *s, uint16_t packet_id)
{
	*inbound_place(s->inbound, packet_id) = (struct inbound_id){ packet_id, seconds_now(s) };
	s->inbound->count++;
	if (s->durable)
		store_inbound_put(session_home(s)->store, s->customer->id, session_id(s),
		                  packet_id);
}

static bool inbound_del(struct session *s, uint16_t packet_id)
{
	struct inbound_id *at = inbound_find(s, packet_id);

	if (at)
		inbound_drop(s, at);
	return at;
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

static void answer(struct port *p, enum mqtt_type type, uint16_t packet_id, uint8_t reason)
{
	if (reason == ROUTE_LATER)
		route_answer(p->session->customer, p, type, packet_id);
	else
		p->ops->ack(p, type, packet_id, reason);
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
	if (reason < 0x80 || reason == ROUTE_LATER)
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
		answer(p, MQTT_PUBACK, pub->packet_id, publish_msg(s, flags, pub));
		break;
	default:
		counters->published_qos2++;
		answer(p, MQTT_PUBREC, pub->packet_id, publish_qos2(s, flags, pub));
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
		out_ack(s, type, packet_id, reason);
		return true;
	default:
		return false;
	}
}
