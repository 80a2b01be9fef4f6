/* link_read.c - reading the frames of the link (link.h, link_layout.h). Pure.
 *
 * The family speaks here, but it is still read as if it were a stranger: every count and length is
 * held against the bytes that are left before it is used, every value that has no meaning is
 * refused, and a body must be consumed to its last byte. What passes
 * *_read has been walked to its end, so that the *_next functions only stop where the list stops.
 */
#include "base/base.h"
#include "wire/link.h"
#include "wire/link_layout.h"
#include "wire/mqtt_parts.h"

/* ---- Parts ---- */

static struct str rest_of(struct take *t)
{
	struct str rest = str_make(t->p, take_left(t));

	t->p = t->end;
	return rest;
}

static bool at_end(const struct take *t)
{
	return t->p == t->end;
}

static bool take_le16_text(struct take *t, struct str *out)
{
	uint16_t n;

	return take_le16(t, &n) && take_bytes(t, n, out);
}

/* A filter of the core's world with its mark of the root rule. */
static bool take_marked(struct take *t, struct str *filter, bool *system)
{
	uint8_t mark;
	uint32_t n;

	if (!take_u8(t, &mark) || mark > 1 || !take_le32(t, &n) || n == 0 ||
	    !take_bytes(t, n, filter))
		return false;
	*system = mark;
	return true;
}

static bool next_marked(struct str *items, struct str *filter, bool *system)
{
	struct take t = take_from(items->p, items->n);

	if (!take_marked(&t, filter, system))
		return false;
	*items = rest_of(&t);
	return true;
}

static bool walk_marked(struct take *t, unsigned count)
{
	struct str filter;
	bool system;

	for (unsigned i = 0; i < count; i++) {
		if (!take_marked(t, &filter, &system))
			return false;
	}
	return true;
}

/* MQTT5 3.8.3.1: QoS 0..2, retain handling 0..2, two bits that are not used. */
static bool opts_ok(uint8_t opts)
{
	return (opts & 0x03) != 0x03 && (opts & 0x30) != 0x30 && !(opts & 0x80);
}

/* The same on a PUBLISH and on an entry of DELIVER: [MQTT-2.2.1-2], [MQTT-2.2.1-3], [MQTT-3.3.1-2],
 * [MQTT-3.3.1-4]. */
static bool qos_ok(uint8_t flags, uint16_t packet_id)
{
	switch (flags & LINK_QOS) {
	case 0:
		return packet_id == 0 && !(flags & LINK_DUP);
	case 1:
	case 2:
		return packet_id != 0;
	default:
		return false;
	}
}

/* ---- Messages ---- */

/* Properties that belong to the message (MQTT5 3.3.2.3) and not to the hop. All but user properties
 * at most once. */
static bool prop_take(struct take *t, unsigned *seen)
{
	uint16_t n;
	uint8_t id, format;
	struct str text;

	if (!take_u8(t, &id))
		return false;
	if (id == PROP_USER_PROPERTY)
		return take_u16(t, &n) && take_bytes(t, n, &text) && take_u16(t, &n) &&
		       take_bytes(t, n, &text);
	if (id > PROP_CORRELATION_DATA || (*seen & 1u << id))
		return false;
	*seen |= 1u << id;
	if (id == PROP_PAYLOAD_FORMAT)
		return take_u8(t, &format) && format <= 1;
	if (id == PROP_CONTENT_TYPE || id == PROP_CORRELATION_DATA)
		return take_u16(t, &n) && take_bytes(t, n, &text);
	return false;
}

static bool props_ok(struct str props)
{
	struct take t = take_from(props.p, props.n);
	unsigned seen = 0;

	while (!at_end(&t)) {
		if (!prop_take(&t, &seen))
			return false;
	}
	return true;
}

/* A message is the last thing in its frame: the payload is what is left. */
static bool msg_take(struct take *t, struct link_msg *m)
{
	uint32_t topic_n, response_n, props_n;

	if (!take_le32(t, &m->expiry_s) || !take_le32(t, &topic_n) || !take_le32(t, &response_n) ||
	    !take_le32(t, &props_n))
		return false;
	if (topic_n == 0 || !take_bytes(t, topic_n, &m->topic) ||
	    !take_bytes(t, response_n, &m->response_topic) || !take_bytes(t, props_n, &m->props))
		return false;
	m->payload = rest_of(t);
	m->prefix = STR_NONE;
	return m->props.n == 0 || props_ok(m->props);
}

bool link_publish_read(struct str body, uint8_t flags, struct link_publish *out)
{
	struct take t = take_from(body.p, body.n);
	/* written before it is read: not cleared for each message; in link_deliver_read() too */
	struct link_publish p __attribute__((uninitialized));

	if (!take_le16(&t, &p.packet_id) || !qos_ok(flags, p.packet_id) || !msg_take(&t, &p.msg))
		return false;
	*out = p;
	return true;
}

static inline __attribute__((always_inline)) struct link_entry entry_at(const uint8_t *p)
{
	struct take t = take_from(p, LINK_ENTRY);
	struct link_entry e = { 0 };

	(void)take_le32(&t, &e.channel);
	(void)take_le16(&t, &e.generation);
	(void)take_le16(&t, &e.packet_id);
	(void)take_le32(&t, &e.subscription_id);
	(void)take_u8(&t, &e.flags);
	return e;
}

static bool entries_ok(struct str entries)
{
	const uint8_t *p = (const uint8_t *)entries.p, *end = p + entries.n;

	for (; p < end; p += LINK_ENTRY) {
		struct link_entry e = entry_at(p);

		if (e.channel > LINK_CHANNELS_MAX ||
		    (e.flags & ~(LINK_QOS | LINK_RETAIN | LINK_DUP)) ||
		    !qos_ok(e.flags, e.packet_id) || e.subscription_id > LINK_SUBSCRIPTION_ID_MAX ||
		    (p[13] | p[14] | p[15]))
			return false;
	}
	return true;
}

bool link_deliver_read(struct str body, struct link_deliver *out)
{
	struct take t = take_from(body.p, body.n);
	struct link_deliver d __attribute__((uninitialized));
	uint64_t timestamp;

	if (!take_le64(&t, &d.customer) || !take_le64(&t, &d.token) || !take_le64(&t, &timestamp) ||
	    !take_le32(&t, &d.count))
		return false;
	d.timestamp_ms = (int64_t)timestamp;
	if (d.count == 0 || !take_bytes(&t, (size_t)d.count * LINK_ENTRY, &d.entries) ||
	    !entries_ok(d.entries) || !msg_take(&t, &d.msg))
		return false;
	*out = d;
	return true;
}

struct link_entry link_deliver_entry(const struct link_deliver *d, uint32_t i)
{
	MUST(i < d->count);
	return entry_at((const uint8_t *)d->entries.p + (size_t)i * LINK_ENTRY);
}

/* What can be said to a client: a word that the packet has, or a refusal (mqtt_write.h finds one
 * that it has). */
static bool sayable(unsigned code, enum mqtt_type type)
{
	return code >= RC_UNSPECIFIED_ERROR || mqtt_reason_may(code, type);
}

bool link_ack_read(struct str body, uint8_t flags, uint16_t *packet_id, uint8_t *reason)
{
	const uint8_t *p = (const uint8_t *)body.p;

	if (body.n != ACK_FIXED || flags < MQTT_PUBACK || flags > MQTT_PUBCOMP || !(p[0] | p[1]) ||
	    !sayable(p[2], (enum mqtt_type)flags))
		return false;
	*packet_id = (uint16_t)(p[0] | (unsigned)p[1] << 8);
	*reason = p[2];
	return true;
}

/* ---- The link and its channels ---- */

bool link_hello_read(struct str body, struct link_hello *out)
{
	struct take t = take_from(body.p, body.n);
	struct link_hello h;
	uint32_t magic;

	if (!take_le32(&t, &magic) || magic != LINK_MAGIC || !take_le16(&t, &h.major) ||
	    !take_le16(&t, &h.minor) || !take_le16(&t, &h.homes) || !take_le16(&t, &h.home) ||
	    !take_le32(&t, &h.features) || !take_le16_text(&t, &h.name) || !at_end(&t))
		return false;
	if (h.homes > LINK_HOMES_MAX || (h.home >= h.homes && (h.homes || h.home)))
		return false;
	*out = h;
	return true;
}

bool link_limits_next(struct str *limits, struct link_limit *out)
{
	struct take t = take_from(limits->p, limits->n);
	struct link_limit l;
	uint64_t value;

	if (!take_u8(&t, &l.level) || !take_u8(&t, &l.id) || !take_le64(&t, &value))
		return false;
	l.value = (int64_t)value;
	*limits = rest_of(&t);
	*out = l;
	return true;
}

static bool limits_ok(struct str limits)
{
	struct link_limit l;

	if (limits.n % LINK_LIMIT)
		return false;
	while (link_limits_next(&limits, &l)) {
		if (l.value < -1)
			return false;
	}
	return true;
}

static bool open_fixed_take(struct take *t, struct link_open *o, uint16_t *client_n,
                            uint16_t *peer_n, uint16_t *limits_n)
{
	uint8_t retain, zero;
	uint64_t until;

	if (!take_u8(t, &o->version) || !take_u8(t, &o->will_qos) || !take_u8(t, &retain) ||
	    !take_u8(t, &zero) || !take_le16(t, &o->receive_maximum) || !take_le16(t, client_n) ||
	    !take_le16(t, peer_n) || !take_le16(t, limits_n))
		return false;
	if (!take_le64(t, &o->customer) || !take_le64(t, &o->token) || !take_le64(t, &until) ||
	    !take_le32(t, &o->session_expiry_s) || !take_le32(t, &o->will_delay_s))
		return false;
	o->will_retain = retain;
	o->rights_until = (int64_t)until;
	return retain <= 1 && zero == 0 && until <= INT64_MAX;
}

/* Customer 0 is the trusted world: nobody comes into it through a client's channel. */
static bool open_ok(const struct link_open *o, uint8_t flags)
{
	if (o->version < MQTT_V31 || o->version > MQTT_V5 || o->receive_maximum == 0 ||
	    o->customer == 0 || o->client_id.n == 0 || o->will_qos > 2)
		return false;
	return (flags & LINK_OPEN_WILL) ||
	       (o->will_qos == 0 && !o->will_retain && o->will_delay_s == 0);
}

bool link_open_read(struct str body, uint8_t flags, struct link_open *out)
{
	struct take t = take_from(body.p, body.n);
	struct link_open o;
	uint16_t client_n, peer_n, limits_n;

	memset(&o.will, 0, sizeof(o.will));
	if (!open_fixed_take(&t, &o, &client_n, &peer_n, &limits_n) ||
	    !take_bytes(&t, limits_n, &o.limits) || !limits_ok(o.limits) ||
	    !take_bytes(&t, client_n, &o.client_id) || !take_bytes(&t, peer_n, &o.peer) ||
	    !open_ok(&o, flags))
		return false;
	if (flags & LINK_OPEN_WILL ? !msg_take(&t, &o.will) : !at_end(&t))
		return false;
	*out = o;
	return true;
}

uint64_t link_open_customer(struct str body)
{
	struct take t = take_from(body.p, body.n);
	struct link_open o;
	uint16_t client_n, peer_n, limits_n;

	return open_fixed_take(&t, &o, &client_n, &peer_n, &limits_n) ? o.customer : 0;
}

static bool sub_take(struct take *t, struct link_sub *s)
{
	return take_u8(t, &s->opts) && opts_ok(s->opts) && take_le32(t, &s->id) &&
	       s->id <= LINK_SUBSCRIPTION_ID_MAX && take_le16_text(t, &s->filter) &&
	       s->filter.n > 0;
}

bool link_opened_read(struct str body, struct link_opened *out)
{
	struct take t = take_from(body.p, body.n);
	struct link_opened o;
	struct link_sub sub;
	uint32_t count;

	if (!take_u8(&t, &o.reason) || !take_le32(&t, &count))
		return false;
	o.count = count;
	o.subs = str_make(t.p, take_left(&t));
	for (uint32_t i = 0; i < count; i++) {
		if (!sub_take(&t, &sub))
			return false;
	}
	if (!at_end(&t))
		return false;
	*out = o;
	return true;
}

bool link_opened_next(struct link_opened *o, struct link_sub *sub)
{
	struct take t = take_from(o->subs.p, o->subs.n);

	if (!sub_take(&t, sub))
		return false;
	o->subs = rest_of(&t);
	return true;
}

bool link_token_read(struct str body, struct link_token *out)
{
	struct take t = take_from(body.p, body.n);
	struct link_token v;
	uint64_t until;

	if (!take_le64(&t, &v.token) || !take_le64(&t, &until) || until > INT64_MAX)
		return false;
	if (!take_le16_text(&t, &v.limits) || !limits_ok(v.limits) || !at_end(&t))
		return false;
	v.rights_until = (int64_t)until;
	*out = v;
	return true;
}

bool link_close_read(struct str body, uint8_t flags, uint32_t *session_expiry_s)
{
	struct take t = take_from(body.p, body.n);
	uint32_t expiry = 0;

	if ((flags & LINK_CLOSE_EXPIRY) && !take_le32(&t, &expiry))
		return false;
	if (!at_end(&t))
		return false;
	*session_expiry_s = expiry;
	return true;
}

bool link_closed_read(struct str body, uint8_t *reason)
{
	if (body.n != 1)
		return false;
	*reason = (uint8_t)body.p[0];
	return true;
}

/* ---- Subscriptions ---- */

/* The fixed part and the filter; the inner filters follow. */
static bool item_take(struct take *t, struct link_item *item)
{
	return take_u8(t, &item->code) && take_u8(t, &item->opts) && opts_ok(item->opts) &&
	       take_le16(t, &item->count) && take_le16_text(t, &item->filter) && item->filter.n > 0;
}

static bool item_whole_take(struct take *t, struct link_item *item)
{
	const uint8_t *inner;

	if (!item_take(t, item))
		return false;
	inner = t->p;
	if (!walk_marked(t, item->count))
		return false;
	item->inner = str_make(inner, (size_t)(t->p - inner));
	return true;
}

bool link_subscribe_read(struct str body, struct link_subscribe *out)
{
	struct take t = take_from(body.p, body.n);
	struct link_subscribe s;
	struct link_item item;

	if (!take_le16(&t, &s.packet_id) || !take_le16(&t, &s.count) ||
	    !take_le32(&t, &s.subscription_id) || s.subscription_id > LINK_SUBSCRIPTION_ID_MAX)
		return false;
	s.items = str_make(t.p, take_left(&t));
	for (unsigned i = 0; i < s.count; i++) {
		if (!item_whole_take(&t, &item))
			return false;
	}
	if (!at_end(&t))
		return false;
	*out = s;
	return true;
}

bool link_subscribe_next(struct link_subscribe *s, struct link_item *item)
{
	struct take t = take_from(s->items.p, s->items.n);

	if (!item_whole_take(&t, item))
		return false;
	s->items = rest_of(&t);
	return true;
}

bool link_item_next(struct link_item *item, struct str *filter, bool *system)
{
	return next_marked(&item->inner, filter, system);
}

bool link_suback_read(struct str body, enum link_type type, uint16_t *packet_id, struct str *codes)
{
	struct take t = take_from(body.p, body.n);

	if (!take_le16(&t, packet_id))
		return false;
	*codes = rest_of(&t);
	for (size_t i = 0; i < codes->n; i++) {
		if (!sayable((uint8_t)codes->p[i],
		             type == LINK_SUBACK ? MQTT_SUBACK : MQTT_UNSUBACK))
			return false;
	}
	return true;
}

bool link_unsubscribe_read(struct str body, struct link_unsubscribe *out)
{
	struct take t = take_from(body.p, body.n);
	struct link_unsubscribe u;
	struct str filter;

	if (!take_le16(&t, &u.packet_id) || !take_le16(&t, &u.count))
		return false;
	u.items = str_make(t.p, take_left(&t));
	for (unsigned i = 0; i < u.count; i++) {
		if (!take_le16_text(&t, &filter) || filter.n == 0)
			return false;
	}
	if (!at_end(&t))
		return false;
	*out = u;
	return true;
}

bool link_unsubscribe_next(struct link_unsubscribe *u, struct str *filter)
{
	struct take t = take_from(u->items.p, u->items.n);

	if (!take_le16_text(&t, filter))
		return false;
	u->items = rest_of(&t);
	return true;
}

bool link_rights_read(struct str body, struct link_rights *out)
{
	struct take t = take_from(body.p, body.n);
	struct link_rights r;

	if (!take_le64(&t, &r.customer) || !take_le64(&t, &r.token) || !take_le16(&t, &r.count))
		return false;
	r.items = str_make(t.p, take_left(&t));
	if (!walk_marked(&t, r.count) || !at_end(&t))
		return false;
	*out = r;
	return true;
}

bool link_hold_read(struct str body, uint64_t *customer, bool *hold)
{
	struct take t = take_from(body.p, body.n);
	uint64_t id;
	uint8_t on;

	if (!take_le64(&t, &id) || !take_u8(&t, &on) || id == 0 || on > 1 || !at_end(&t))
		return false;
	*customer = id;
	*hold = on;
	return true;
}

bool link_rights_next(struct link_rights *r, struct str *filter, bool *system)
{
	return next_marked(&r->items, filter, system);
}
