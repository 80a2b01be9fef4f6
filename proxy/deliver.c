/* deliver.c - one message of the core to many clients: for each channel the gate once more (may it
 * receive this?), encoded once per layout, copied per client with its packet id. What a client does
 * not get although the core sent it is answered for it, so that its window goes on. */
#include "base/base.h"
#include "proxy/deliver.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "proxy/auth.h"
#include "proxy/badge.h"
#include "proxy/conn.h"
#include "proxy/gate.h"
#include "proxy/inflight.h"
#include "proxy/layout.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"
#include "wire/mqtt_write.h"

enum { LAYOUTS = 8 };

struct shape { /* one encoding of the message, in worker->encoded */
	struct layout layout;
	size_t at, size;
	struct layout_at fill;
	bool failed; /* cannot be said in MQTT, or no memory */
};

struct delivery {
	struct worker *worker;
	/* whose name space the topic is in; 0: the platform's own */
	uint64_t customer;
	struct layout_msg msg;
	int64_t timestamp_ms;
	unsigned shapes;
	struct shape shape[LAYOUTS];
	char extra[160];
};

/* ---- The message in the client's terms ---- */

static void put_pair(struct buf *b, const char *key, const char *value)
{
	mqtt_user_property(b, str_c(key), str_c(value));
}

/* flespi.md 3.4: when the broker took it, and whose it is. */
static void add_extra(struct delivery *out)
{
	struct buf *b = &out->worker->scratch;
	char text[32];

	buf_reset(b);
	(void)snprintf(text, sizeof(text), "%" PRId64 ".%06" PRId64, out->timestamp_ms / 1000,
	               out->timestamp_ms % 1000 * 1000);
	put_pair(b, "timestamp", text);
	(void)snprintf(text, sizeof(text), "%" PRIu64, out->customer);
	put_pair(b, "cid", text);
	if (!buf_ok(b) || buf_len(b) > sizeof(out->extra))
		return;
	memcpy(out->extra, buf_data(b), buf_len(b));
	out->msg.extra = str_make(out->extra, buf_len(b));
}

static bool begin(struct delivery *out, struct worker *w, const struct link_deliver *d)
{
	uint64_t whose;
	struct str name;

	out->worker = w;
	out->shapes = 0;
	out->timestamp_ms = d->timestamp_ms;
	out->msg = (struct layout_msg){ .props = d->msg.props,
		                        .payload = d->msg.payload,
		                        .expiry_s = d->msg.expiry_s };
	buf_reset(&w->encoded);
	w->deliver_serial++;
	if (!space_of(d->msg.topic, &out->customer, &out->msg.topic)) {
		out->customer = 0;
		return true;
	}
	if (!mqtt_name_ok(out->msg.topic))
		return false;
	/* A Response Topic is only of use, and only shown, inside the same space (attack T10). */
	if (d->msg.response_topic.n && space_of(d->msg.response_topic, &whose, &name) &&
	    whose == out->customer)
		out->msg.response_topic = name;
	return true;
}

/* ---- Layouts ---- */

static void encode(struct delivery *d, struct shape *s, const struct layout *l)
{
	struct buf *b = &d->worker->encoded;

	if (l->extra && d->msg.extra.n == 0)
		add_extra(d);
	s->layout = *l;
	s->at = buf_len(b);
	s->failed = !layout_write(b, l, &d->msg, &s->fill);
	s->size = buf_len(b) - s->at;
	d->worker->n.layouts++;
}

static const struct shape *shape_for(struct delivery *d, const struct layout *l)
{
	struct shape *s;

	for (unsigned i = 0; i < d->shapes; i++) {
		if (layout_same(&d->shape[i].layout, l))
			return &d->shape[i];
	}
	if (d->shapes == LAYOUTS) { /* many subscription ids: begin anew */
		d->shapes = 0;
		buf_reset(&d->worker->encoded);
	}
	s = &d->shape[d->shapes++];
	encode(d, s, l);
	return s;
}

/* ---- One client ---- */

/* The core waits for an answer of this client to this packet id; it will not come (attacks C05,
 * C18, T18). A QoS 2 message that was sent before the client may have, and then waits for PUBREL,
 * which the core sends if it hears that all is well. */
static void answer_for(struct conn *c, const struct link_entry *e, unsigned reason)
{
	unsigned qos = e->flags & LINK_QOS;

	c->undelivered++;
	if (qos == 2 && (e->flags & LINK_DUP))
		reason = RC_SUCCESS;
	if (qos)
		link_ack_write(uplink_say(c), c->channel, c->generation,
		               qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, e->packet_id, (uint8_t)reason);
}

/* QoS 0 beyond the mark is dropped. QoS 1 and 2 are bounded by the client's window; who lets even
 * that pile up is closed, and finds them in his session. */
static bool has_room(struct conn *c, const struct link_entry *e, size_t size)
{
	const struct proxy_config *f = c->worker->config;
	size_t waiting = buf_len(&c->out);
	/* attack R16: all slow readers together. Who takes what he is sent is none, and loses
	 * nothing for what waits for others; twice the limit is the end for him too. */
	size_t most = (size_t)f->waiting_bytes * (c->writing ? 1 : 2);
	bool full = c->worker->waiting + size > most;

	if ((e->flags & LINK_QOS) == 0) {
		if (!full && (waiting <= (size_t)f->out_high || !(c->core_paused & PAUSED_OUT)))
			return true;
		c->undelivered++;
		c->worker->n.deliveries_dropped++;
		return false;
	}
	if (!full && waiting + size <= (size_t)f->out_high + (size_t)f->packet_max +
	                                   (size_t)c->badge->quotas.token[LIMIT_SESSION_STORAGE])
		return true;
	conn_close(c, END_SLOW_READER);
	return false;
}

/* ---- Topic aliases for who can take some: the first names it gets have them, until its connection
 * ends. A short name is not worth the three bytes ---- */
enum { ALIAS_WORTH = 8 };

static enum layout_alias alias_for(const struct conn *c, struct str topic, unsigned *alias)
{
	*alias = topic.n < ALIAS_WORTH ? 0 : alias_find(c->aliases_out, topic);
	if (*alias)
		return ALIAS_ONLY;
	*alias = topic.n < ALIAS_WORTH ? 0 : alias_next(c->aliases_out, c->alias_out_most);
	return *alias ? ALIAS_SET : ALIAS_NONE;
}

/* The client is about to hear it. Out of memory, or of its customer's share of it: it is told again
 * with the next message. */
static void alias_told(struct conn *c, unsigned alias, struct str topic)
{
	if (share_alias(c, &c->aliases_out, alias, c->alias_out_most, topic) == 0)
		c->worker->n.aliases_set++;
}

static inline void fill(uint8_t *p, size_t at, unsigned v)
{
	if (at) {
		p[at] = (uint8_t)(v >> 8);
		p[at + 1] = (uint8_t)v;
	}
}

static void append(struct conn *c, const struct shape *s, uint16_t packet_id, unsigned alias)
{
	struct buf *out = conn_out(c);
	uint8_t *p = buf_reserve(out, s->size);

	if (!p) {
		conn_close(c, END_MEMORY);
		return;
	}
	memcpy(p, buf_data(&c->worker->encoded) + s->at, s->size);
	fill(p, s->fill.packet_id, packet_id);
	fill(p, s->fill.alias, alias);
	buf_commit(out, s->size);
	c->msgs_out++;
	c->owed += packet_id != 0;
	c->worker->n.deliveries++;
	conn_wrote(c);
}

static bool fits(const struct conn *c, const struct shape *s)
{
	return !s->failed && (!c->packet_most || s->size <= c->packet_most);
}

/* As the client would like it; if that is too much for it, what MQTT asks for and no more. */
static const struct shape *shape_that_fits(struct delivery *d, const struct conn *c,
                                           struct layout *l)
{
	const struct shape *s = shape_for(d, l);

	if (likely(fits(c, s)) || !(l->extra || l->alias == ALIAS_SET))
		return s;
	l->extra = false;
	if (l->alias == ALIAS_SET)
		l->alias = ALIAS_NONE;
	return shape_for(d, l);
}

static void deliver_to(struct delivery *d, struct conn *c, const struct link_entry *e)
{
	struct layout l = layout_of(c->version, e->flags, e->subscription_id);
	const struct shape *s;
	unsigned alias = 0;

	if (c->state != CONN_OPEN)
		return;
	if (!gate_deliver(d->worker, c->badge, d->msg.topic)) {
		d->worker->n.deliveries_denied++;
		LOG_INFO(conn_name(c), "denied-delivery", "topic=%s", log_esc(d->msg.topic));
		answer_for(c, e, RC_NOT_AUTHORIZED);
		return;
	}
	l.extra =
	    l.version >= MQTT_V5 && (d->worker->config->user_properties || c->badge->extended);
	if (unlikely(c->alias_out_most))
		l.alias = (uint8_t)alias_for(c, d->msg.topic, &alias);
	s = shape_that_fits(d, c, &l);
	if (!fits(c, s)) { /* [MQTT-3.1.2-25]: as if it had been sent */
		d->worker->n.deliveries_dropped++;
		answer_for(c, e,
		           s->failed ? RC_IMPLEMENTATION_SPECIFIC_ERROR : RC_PACKET_TOO_LARGE);
		return;
	}
	if (!has_room(c, e, s->size))
		return;
	if (unlikely(l.alias == ALIAS_SET))
		alias_told(c, alias, d->msg.topic);
	append(c, s, e->packet_id, alias);
}

/* ---- All of them ---- */

static bool to_worker(struct uplink *u, const struct link_deliver *d)
{
	if (!str_starts(d->msg.topic, STR("mbus/")))
		return false;
	auth_push(u->worker->auth, d->msg.topic, d->msg.payload);
	return true;
}

struct customer_share *deliver_share(const struct uplink *u, const struct link_deliver *d)
{
	for (uint32_t i = 0; i < d->count; i++) {
		struct link_entry e = link_deliver_entry(d, i);
		const struct conn *c = uplink_find(u, e.channel, e.generation);

		if (c)
			return c->share;
	}
	return NULL;
}

bool deliver(struct uplink *u, struct link_deliver *frame, uint32_t *next)
{
	struct worker *w = u->worker;
	uint32_t cost = SLICE_ENTRY + (uint32_t)(frame->msg.payload.n / SLICE_COPY), i;
	/* written by begin(), the rest before it is read: not cleared for each message */
	struct delivery d __attribute__((uninitialized));

	if (!begin(&d, w, frame))
		return false;
	for (i = *next; i < frame->count; i++) {
		struct link_entry e = link_deliver_entry(frame, i);
		struct conn *c;

		if (e.channel == 0) {
			if (!to_worker(u, frame))
				return false;
			continue;
		}
		c = uplink_find(u, e.channel, e.generation);
		if (!c) {
			w->n.stale_frames++;
			continue;
		}
		if (d.customer == 0 || !c->badge ||
		    c->badge->customer != d.customer) { /* isolation: our own lock on that door */
			LOG_ERROR(conn_name(c), "foreign-delivery", "whose=%" PRIu64, d.customer);
			return false;
		}
		deliver_to(&d, c, &e);
		slices_busy(&w->slices, &c->share->window);
		if (unlikely(!slice_spend(&w->slices, &c->share->deliver, cost))) {
			i++;
			break;
		}
	}
	*next = i < frame->count ? i : 0;
	if (w->encoded.cap > WORKER_ROOM)
		buf_free(&w->encoded);
	return true;
}
