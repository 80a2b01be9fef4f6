/* out_ack.c - what a client acknowledges: the flight by packet id, and what an answer changes.
 *
 * The client says the id, and how many messages are in flight is its choice too: so for a client
 * that does not acknowledge in order there is a table, whose places depend on a key that nobody
 * outside knows. It is half empty at least, and goes with the flight. */
#include "base/base.h"
#include "core/session.h"

#include "base/mem.h"

enum { FLIGHT_FEW = 8, BITS_FIRST = 5, BITS_MOST = 16 };

struct flight_index {
	uint32_t key, count;
	unsigned bits;
	struct out *slot[]; /* chains, by out->next */
};

static struct out **slot_of(struct flight_index *x, uint16_t packet_id)
{
	return &x->slot[packet_id * x->key >> (32 - x->bits)];
}

static void index_put(struct flight_index *x, struct out *o)
{
	struct out **slot = slot_of(x, o->packet_id);

	o->next = *slot;
	*slot = o;
	x->count++;
}

/* A table of 2^bits for what is in flight now. Without memory everything stays as it is: chains
 * are longer then, or the list is walked. */
static void index_make(struct session *s, unsigned bits)
{
	struct flight_index *x =
	    mem_zalloc(sizeof(*x) + ((size_t)1 << bits) * sizeof(struct out *));
	struct out *o;

	if (!x)
		return;
	x->key = (uint32_t)hash_mix((uint64_t)(uintptr_t)s, bits) | 1;
	x->bits = bits;
	list_each(o, &s->flight, struct out, node)
		index_put(x, o);
	work_spend(session_home(s), x->count);
	mem_free(s->index);
	s->index = x;
}

static void index_free(struct session *s)
{
	mem_free(s->index);
	s->index = NULL;
}

/* Half of them are free behind it: a flight that grows and shrinks by one makes no new table. */
void flight_enter(struct session *s, struct out *o)
{
	struct flight_index *x = s->index;

	if (likely(!x))
		return;
	index_put(x, o);
	if (x->count > (uint32_t)1 << (x->bits - 1) && x->bits < BITS_MOST)
		index_make(s, x->bits + 1);
}

void flight_leave(struct session *s, struct out *o)
{
	struct flight_index *x = s->index;
	struct out **at;

	if (!x)
		return;
	at = slot_of(x, o->packet_id);
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	x->count--;
	if (x->count < FLIGHT_FEW / 2)
		index_free(s);
	else if (x->bits > BITS_FIRST && x->count < (uint32_t)1 << (x->bits - 3))
		index_make(s, x->bits - 1);
}

static unsigned bits_for(size_t count)
{
	unsigned bits = BITS_FIRST;

	while (bits < BITS_MOST && count > (size_t)1 << (bits - 1))
		bits++;
	return bits;
}

static struct out *find_listed(struct session *s, uint16_t packet_id)
{
	struct out *o;

	list_each(o, &s->flight, struct out, node) {
		if (o->packet_id == packet_id)
			return o;
	}
	return NULL;
}

/* A client acknowledges in order [MQTT-4.6.0-2]: it is among the first, and no table is needed. One
 * that does not gets a table, which stays while its flight is long. */
static struct out *flight_find(struct session *s, uint16_t packet_id)
{
	unsigned looked = 0;
	struct out *o;

	list_each(o, &s->flight, struct out, node) {
		if (o->packet_id == packet_id)
			return o;
		if (++looked == FLIGHT_FEW)
			break;
	}
	if (looked < FLIGHT_FEW)
		return NULL;
	if (!s->index)
		index_make(s, bits_for((size_t)s->live + s->again));
	if (!s->index)
		return find_listed(s, packet_id);
	for (o = *slot_of(s->index, packet_id); o; o = o->next) {
		if (o->packet_id == packet_id)
			return o;
	}
	return NULL;
}

/* ---- Answers of the client ---- */
static bool ack_received(struct session *s, struct out *o, uint8_t reason) /* PUBREC */
{
	if ((o->flags & LINK_QOS) != 2 || o->state == OUT_AGAIN)
		return false;
	/* MQTT5 4.3.3: the id is free, nothing follows */
	if (reason >= 0x80) {
		out_drop(s, o);
		return true;
	}
	if (o->state == OUT_SENT) /* the client has it */
		out_release(s, o);
	s->port->ops->ack(s->port, MQTT_PUBREL, o->packet_id, RC_SUCCESS);
	return true;
}

/* Unknown ids and answers of the wrong kind change nothing (attack P28). But who says PUBREC waits
 * for PUBREL, and would wait for ever for that of an exchange that nobody here remembers (MQTT5
 * 3.6.2.1). */
void out_ack(struct session *s, enum mqtt_type type, uint16_t packet_id, uint8_t reason)
{
	struct home *h = session_home(s);
	struct out *o = flight_find(s, packet_id);
	bool known = false;

	if (o && type == MQTT_PUBREC) {
		known = ack_received(s, o, reason);
	} else if (o &&
	           ((type == MQTT_PUBACK && (o->flags & LINK_QOS) == 1 && o->state == OUT_SENT) ||
	            (type == MQTT_PUBCOMP && o->state == OUT_RELEASED))) {
		out_drop(s, o);
		known = true;
	} else if (!o && type == MQTT_PUBREC && reason < 0x80) {
		s->port->ops->ack(s->port, MQTT_PUBREL, packet_id, RC_PACKET_IDENTIFIER_NOT_FOUND);
	}
	if (known)
		h->counters.acked++;
	else
		h->counters.unknown_acks++;
	out_pump(s);
}
