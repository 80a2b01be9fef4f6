/* session_out.c - what a session owes its client: the queue, the window of messages under way, and
 * sending both again after a reconnect.
 *
 * QoS 0 is sent at once or dropped. QoS 1 and 2 go into the flight if the client takes more now,
 * else into the queue, which is bounded in messages and bytes, for the session and for the
 * customer; beyond it the newest is dropped and counted.
 *
 * Packet ids count up and are given in the order of the flight, so the id to be given next can only
 * be in use by the oldest message in flight: while it is, nothing is sent. (A client must
 * acknowledge in order [MQTT-4.6.0-2], so that only a broken one comes there.) */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/overflow.h"

enum {
	OUT_UNITS = 3,  /* to take one away, and to free its message */
	SAY_UNITS = 12, /* to write one to its client's link, a fresh page now and then */
};

/* ---- Entries; the home keeps freed ones for reuse ---- */
static struct out *out_take(struct home *h)
{
	struct out *o = list_first(&h->spare_outs, struct out, node);

	if (!o)
		return mem_alloc(sizeof(*o));
	list_del(&o->node);
	h->spare_count--;
	return o;
}

static struct out *out_new(struct subscription *sub, struct msg *m, const struct out_how *how)
{
	struct out *o = out_take(session_home(sub->session));

	if (!o)
		return NULL;
	*o = (struct out){ .msg = msg_get(m),
		           .number = ++sub->session->out_number,
		           .subscription_id = sub->id,
		           .flags = (uint8_t)(how->qos | (how->retain ? LINK_RETAIN : 0)),
		           .state = OUT_QUEUED };
	list_init(&o->node);
	list_init(&o->peer);
	list_add_tail(&sub->outs, &o->peer);
	return o;
}

static void recycle(struct home *h, struct out **slot)
{
	struct out *o = *slot;

	*slot = NULL;
	msg_put(&o->msg);
	if (h->spare_count == SPARE_OUTS) {
		mem_free(o);
		return;
	}
	list_add_tail(&h->spare_outs, &o->node);
	h->spare_count++;
}

void outs_free(struct home *h)
{
	struct out *o;

	list_each(o, &h->spare_outs, struct out, node) {
		list_del(&o->node);
		mem_free(o);
	}
	h->spare_count = 0;
}

/* ---- The two lists, and their accounts ---- */
static void charge(struct session *s, const struct out *o, bool flight)
{
	size_t *bytes = flight ? &s->flight_bytes : &s->queue_bytes;

	*bytes += o->msg->size;
	s->customer->queue_bytes += o->msg->size;
	if (!flight)
		s->queue_count++;
}

static void discharge(struct session *s, const struct out *o, bool flight)
{
	size_t *bytes = flight ? &s->flight_bytes : &s->queue_bytes;

	*bytes -= o->msg->size;
	s->customer->queue_bytes -= o->msg->size;
	if (!flight)
		s->queue_count--;
}

static void set_state(struct session *s, struct out *o, enum out_state to)
{
	s->live -= o->state == OUT_SENT || o->state == OUT_RELEASED;
	s->again -= o->state == OUT_AGAIN;
	o->state = (uint8_t)to;
	s->live += o->state == OUT_SENT || o->state == OUT_RELEASED;
	s->again += o->state == OUT_AGAIN;
}

static void leave(struct session *s, struct out *o)
{
	work_spend(session_home(s), OUT_UNITS);
	if (s->durable)
		store_queue_del(session_home(s)->store, s->customer->id, session_id(s), o->number);
	if (o->msg)
		discharge(s, o, o->state != OUT_QUEUED);
	if (s->again_from == &o->node)
		s->again_from = o->node.next;
	list_del(&o->node);
	list_del(&o->peer);
	if (o->state != OUT_QUEUED)
		flight_leave(s, o);
	set_state(s, o, OUT_QUEUED);
}

void out_drop(struct session *s, struct out *o)
{
	leave(s, o);
	recycle(session_home(s), &o);
}

void out_loosen(struct session *s, struct out *o)
{
	leave(s, o);
	s->customer->queue_bytes += o->msg->size;
}

struct out *out_loose(struct customer *c, struct msg *m)
{
	struct out *o = out_take(c->home);

	if (!o)
		return NULL;
	*o = (struct out){ .msg = msg_get(m), .state = OUT_QUEUED };
	list_init(&o->node);
	list_init(&o->peer);
	c->queue_bytes += m->size;
	return o;
}

void out_free(struct customer *c, struct out **o)
{
	c->queue_bytes -= (*o)->msg->size;
	recycle(c->home, o);
}

/* ---- May it go? ---- */
static bool window_open(const struct session *s)
{
	const struct out *oldest = list_first(&s->flight, struct out, node);

	return s->live < s->window && (!oldest || (oldest->packet_id != s->next_id &&
	                                           s->flight_bytes < s->queue_bytes_max));
}

bool out_ready(const struct session *s, uint8_t qos)
{
	if (!session_flowing(s))
		return false;
	return qos == 0 || (!s->redeliver && !s->sweeps && s->again == 0 && s->queue_count == 0 &&
	                    window_open(s));
}

bool out_room(const struct session *s, size_t size)
{
	const struct customer *c = s->customer;

	/* One message always fits, however long, where any may wait at all. */
	return s->queue_count < s->queue_messages_max && s->queue_bytes_max &&
	       (s->queue_count == 0 || s->queue_bytes + size <= s->queue_bytes_max) &&
	       (int64_t)(c->queue_bytes + size) <= c->most_queue_bytes;
}

/* ---- Sending ---- */
static void say(struct session *s, struct out *o, bool again)
{
	struct home *h = session_home(s);
	struct port_send how = { (uint8_t)(o->flags | (again ? LINK_DUP : 0)), o->packet_id,
		                 o->subscription_id };

	set_state(s, o, OUT_SENT);
	if (again)
		h->counters.redelivered++;
	else
		h->counters.delivered++;
	work_spend(h, SAY_UNITS);
	egress_take(s->customer, o->msg->size);
	s->port->ops->deliver(s->port, o->msg, &how);
}

/* o is in no list, and charged to flight */
static void take_off(struct session *s, struct out *o)
{
	o->packet_id = s->next_id;
	s->next_id = s->next_id == UINT16_MAX ? 1 : (uint16_t)(s->next_id + 1);
	list_add_tail(&s->flight, &o->node);
	flight_enter(s, o);
	if (s->durable)
		store_queue_sent(session_home(s)->store, s->customer->id, session_id(s), o->number,
		                 o->packet_id, MQTT_PUBLISH);
	say(s, o, false);
}

static bool overflow(struct session *s, struct msg *m)
{
	struct home *h = session_home(s);

	if (s->state == SESSION_GONE) /* it is taken apart */
		return false;
	h->counters.dropped_full++;
	s->customer->queue_dropped++;
	s->dropped++;
	overflow_note(s, m);
	/* the 1st, 2nd, 4th, 8th ...: a line per session and doubling */
	if ((s->dropped & (s->dropped - 1)) == 0)
		LOG_WARN(home_name(h), "queue-full",
		         "cid=%" PRIu64 " client=%s dropped=%" PRIu32
		         " waiting=%u bytes=%zu size=%zu why=%s",
		         s->customer->id, log_esc(session_id(s)), s->dropped, s->queue_count,
		         s->queue_bytes, m->size,
		         s->queue_count >= s->queue_messages_max ? "messages" : "bytes");
	return false;
}

static bool say_qos0(struct subscription *sub, struct msg *m, const struct out_how *how)
{
	struct session *s = sub->session;
	struct home *h = session_home(s);
	struct port_send send = { how->retain ? LINK_RETAIN : 0, 0, sub->id };

	if (!session_flowing(s)) {
		if (s->customer->egress_over)
			h->counters.dropped_egress++;
		else
			h->counters.dropped_paused++;
		return false;
	}
	h->counters.delivered++;
	work_spend(h, SAY_UNITS);
	egress_take(s->customer, m->size);
	s->port->ops->deliver(s->port, m, &send);
	return true;
}

bool out_add(struct subscription *sub, struct msg *m, const struct out_how *how)
{
	struct session *s = sub->session;
	struct home *h = session_home(s);
	bool now = out_ready(s, how->qos);
	struct out *o;

	if (how->qos == 0)
		return say_qos0(sub, m, how);
	if (!now && !out_room(s, m->size))
		return overflow(s, m);
	o = out_new(sub, m, how);
	if (!o) {
		h->counters.dropped_memory++;
		return false;
	}
	if (s->durable)
		store_queue_put(h->store, s->customer->id, session_id(s), o->number, m, how->qos,
		                sub->id);
	charge(s, o, now);
	if (now) {
		take_off(s, o);
		return true;
	}
	list_add_tail(&s->queue, &o->node);
	if (s->port)
		egress_hold(s);
	else
		list_del(&s->place); /* idle no more: it is owed something */
	return true;
}

/* What was sent before comes first, in order; a PUBREL that is due again needs no place in the
 * window. With each acknowledgement it goes on where it stood: the flight may be much longer than
 * the window of the client that came back. */
static void pump_again(struct session *s)
{
	struct list *at;
	struct out *o;

	if (s->redeliver) {
		s->redeliver = false;
		list_each(o, &s->flight, struct out, node) {
			work_spend(session_home(s), 1);
			if (o->state == OUT_RELEASED)
				s->port->ops->ack(s->port, MQTT_PUBREL, o->packet_id, RC_SUCCESS);
			else if (s->live < s->window && session_flowing(s))
				say(s, o, true);
		}
		return;
	}
	at = s->again_from ? s->again_from : s->flight.next;
	while (at != &s->flight && s->again && s->live < s->window && session_flowing(s)) {
		o = list_entry(at, struct out, node);
		at = at->next;
		work_spend(session_home(s), 1);
		if (o->state == OUT_AGAIN)
			say(s, o, true);
	}
	s->again_from = at;
}

static void pump_queue(struct session *s)
{
	struct home *h = session_home(s);
	struct out *o;

	while (session_flowing(s) && window_open(s) &&
	       (o = list_first(&s->queue, struct out, node))) {
		if (msg_expired(o->msg, home_wall(h))) { /* [MQTT-3.3.2-5] */
			h->counters.dropped_expired++;
			out_drop(s, o);
		} else {
			discharge(s, o, false);
			charge(s, o, true);
			list_del(&o->node);
			take_off(s, o);
		}
		if (unlikely(work_over(h)) && !list_empty(&s->queue)) {
			egress_later(s);
			return;
		}
	}
}

void out_pump(struct session *s)
{
	if (session_flowing(s) && !s->sweeps) {
		if (s->redeliver || s->again)
			pump_again(s);
		if (s->again == 0)
			pump_queue(s);
		if (s->replays)
			replay_go_on(s);
	}
	egress_hold(s);
}

void out_connected(struct session *s)
{
	struct out *o;

	s->redeliver = !list_empty(&s->flight);
	s->again_from = NULL;
	list_each(o, &s->flight, struct out, node) {
		work_spend(session_home(s), 1);
		if (o->state == OUT_SENT)
			set_state(s, o, OUT_AGAIN);
	}
}

void out_release(struct session *s, struct out *o)
{
	discharge(s, o, true);
	msg_put(&o->msg);
	list_del(&o->peer);
	set_state(s, o, OUT_RELEASED);
	if (s->durable)
		store_queue_sent(session_home(s)->store, s->customer->id, session_id(s), o->number,
		                 o->packet_id, MQTT_PUBREL);
}
