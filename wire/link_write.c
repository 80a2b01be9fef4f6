/* link_write.c - writing the frames of the link (link.h, link_layout.h). Pure.
 *
 * A frame is counted first and reserved once, then filled with plain stores: these functions are on
 * the way of every message. When memory runs out, or when a frame would be longer than
 * LINK_FRAME_MAX, the buf is `broken` and holds no half of a number; the owner looks once per batch
 * (buf_ok) and rolls back. Frames of lists are written in pieces; their counts and length are
 * patched in place, at offsets from the first unread byte, because the memory may move while they
 * grow. One that cannot be said, or has no memory, is taken back as a whole by link_end: many
 * clients share the buf, and what the others said in it stays (attack I2).
 *
 * What can break the buf otherwise is memory alone: a PUBLISH, a DELIVER and an OPEN hold one
 * packet of a client (at most MQTT_REMAINING_MAX bytes, 256 MiB) and 16 MiB of room for what is
 * added to it; the others have a fixed size or lists that the callers bound (in_subscribe.c,
 * rights.c, uplink_ports.c). */
#include "base/base.h"
#include "base/put.h"
#include "wire/link.h"
#include "wire/link_layout.h"

/* Never of a stranger's length: s was read from a field that is counted in 16 bits (MQTT's strings,
 * the link's, a row of the store), or was made by us (names of programs, addresses, quotas: one row
 * per enum limit). */
static unsigned len16(struct str s)
{
	MUST(s.n <= UINT16_MAX);
	return (unsigned)s.n;
}

/* ---- Frames ---- */

struct to { /* who a frame is for, and what it is */
	enum link_type type;
	uint8_t flags;
	uint16_t generation;
	uint32_t channel;
};

/* Room for the whole frame, its head written; NULL and broken when there is none. Ends with
 * buf_commit(b, LINK_HEAD + body). */
static uint8_t *start(struct buf *b, struct to to, size_t body)
{
	uint8_t *w;

	if (body > LINK_FRAME_MAX - LINK_HEAD) {
		b->broken = true;
		return NULL;
	}
	w = buf_reserve(b, LINK_HEAD + body);
	if (!w)
		return NULL;
	w = put_le32(w, (uint32_t)(LINK_HEAD + body));
	w = put_u8(w, to.type);
	w = put_u8(w, to.flags);
	w = put_le16(w, to.generation);
	return put_le32(w, to.channel);
}

static struct str response_prefix(const struct link_msg *m)
{
	return m->response_topic.n ? m->prefix : STR_NONE;
}

static size_t msg_size(const struct link_msg *m)
{
	return MSG_FIXED + m->prefix.n + m->topic.n + response_prefix(m).n + m->response_topic.n +
	       m->props.n + m->payload.n;
}

static uint8_t *put_msg(uint8_t *w, const struct link_msg *m)
{
	struct str before = response_prefix(m);

	w = put_le32(w, m->expiry_s);
	w = put_le32(w, (uint32_t)(m->prefix.n + m->topic.n));
	w = put_le32(w, (uint32_t)(before.n + m->response_topic.n));
	w = put_le32(w, (uint32_t)m->props.n);
	w = put_bytes(put_bytes(w, m->prefix), m->topic);
	w = put_bytes(put_bytes(w, before), m->response_topic);
	w = put_bytes(w, m->props);
	return put_bytes(w, m->payload);
}

void link_publish_write(struct buf *b, uint32_t channel, uint16_t generation, uint8_t flags,
                        const struct link_publish *p)
{
	size_t body = PUBLISH_FIXED + msg_size(&p->msg);
	uint8_t *w = start(b, (struct to){ LINK_PUBLISH, flags, generation, channel }, body);

	if (!w)
		return;
	w = put_le16(w, p->packet_id);
	put_msg(w, &p->msg);
	buf_commit(b, LINK_HEAD + body);
}

static uint8_t *put_entry(uint8_t *w, const struct link_entry *e)
{
	w = put_le32(w, e->channel);
	w = put_le16(w, e->generation);
	w = put_le16(w, e->packet_id);
	w = put_le32(w, e->subscription_id);
	return put_le32(w, e->flags); /* and three zeros */
}

void link_deliver_write(struct buf *b, const struct link_deliver *d,
                        const struct link_entry *entries, uint32_t count)
{
	size_t body = DELIVER_FIXED + (size_t)count * LINK_ENTRY + msg_size(&d->msg);
	uint8_t *w;

	MUST(count > 0);
	w = start(b, (struct to){ LINK_DELIVER, 0, 0, 0 }, body);
	if (!w)
		return;
	w = put_le64(w, d->customer);
	w = put_le64(w, d->token);
	w = put_le64(w, (uint64_t)d->timestamp_ms);
	w = put_le32(w, count);
	for (uint32_t i = 0; i < count; i++)
		w = put_entry(w, &entries[i]);
	put_msg(w, &d->msg);
	buf_commit(b, LINK_HEAD + body);
}

void link_ack_write(struct buf *b, uint32_t channel, uint16_t generation, enum mqtt_type type,
                    uint16_t packet_id, uint8_t reason)
{
	uint8_t *w =
	    start(b, (struct to){ LINK_ACK, (uint8_t)type, generation, channel }, ACK_FIXED);

	if (!w)
		return;
	put_u8(put_le16(w, packet_id), reason);
	buf_commit(b, LINK_HEAD + ACK_FIXED);
}

void link_bare_write(struct buf *b, enum link_type type, uint32_t channel, uint16_t generation)
{
	if (start(b, (struct to){ type, 0, generation, channel }, 0))
		buf_commit(b, LINK_HEAD);
}

void link_hello_write(struct buf *b, const struct link_hello *h)
{
	size_t body = HELLO_FIXED + len16(h->name);
	uint8_t *w = start(b, (struct to){ LINK_HELLO, 0, 0, 0 }, body);

	if (!w)
		return;
	w = put_le32(w, LINK_MAGIC);
	w = put_le16(w, h->major);
	w = put_le16(w, h->minor);
	w = put_le16(w, h->homes);
	w = put_le16(w, h->home);
	w = put_le32(w, h->features);
	w = put_le16(w, len16(h->name));
	put_bytes(w, h->name);
	buf_commit(b, LINK_HEAD + body);
}

void link_limit_put(struct buf *b, const struct link_limit *l)
{
	MUST(l->value >= -1); /* of a verdict: acl/limits.c has refused the others */
	buf_u8(b, l->level);
	buf_u8(b, l->id);
	buf_le64(b, (uint64_t)l->value);
}

void link_open_write(struct buf *b, uint32_t channel, uint16_t generation, uint8_t flags,
                     const struct link_open *o)
{
	bool will = flags & LINK_OPEN_WILL;
	size_t body = OPEN_FIXED + len16(o->limits) + len16(o->client_id) + len16(o->peer) +
	              (will ? msg_size(&o->will) : 0);
	uint8_t *w = start(b, (struct to){ LINK_OPEN, flags, generation, channel }, body);

	if (!w)
		return;
	w = put_u8(w, o->version);
	w = put_u8(w, will ? o->will_qos : 0);
	w = put_u8(w, will && o->will_retain);
	w = put_u8(w, 0);
	w = put_le16(w, o->receive_maximum);
	w = put_le16(w, len16(o->client_id));
	w = put_le16(w, len16(o->peer));
	w = put_le16(w, len16(o->limits));
	w = put_le64(w, o->customer);
	w = put_le64(w, o->token);
	w = put_le64(w, (uint64_t)o->rights_until);
	w = put_le32(w, o->session_expiry_s);
	w = put_le32(w, will ? o->will_delay_s : 0);
	w = put_bytes(w, o->limits);
	w = put_bytes(w, o->client_id);
	w = put_bytes(w, o->peer);
	if (will)
		put_msg(w, &o->will);
	buf_commit(b, LINK_HEAD + body);
}

uint8_t link_close_known(uint8_t flags, uint16_t minor)
{
	if (!(flags & LINK_CLOSE_GRACE) || minor >= LINK_MINOR_GRACE)
		return flags;
	return (uint8_t)((flags & ~LINK_CLOSE_GRACE) | LINK_CLOSE_WILL);
}

void link_close_write(struct buf *b, uint32_t channel, uint16_t generation, uint8_t flags,
                      uint32_t session_expiry_s)
{
	size_t body = flags & LINK_CLOSE_EXPIRY ? 4 : 0;
	uint8_t *w = start(b, (struct to){ LINK_CLOSE, flags, generation, channel }, body);

	if (!w)
		return;
	if (body)
		put_le32(w, session_expiry_s);
	buf_commit(b, LINK_HEAD + body);
}

void link_token_write(struct buf *b, uint32_t channel, uint16_t generation,
                      const struct link_token *t)
{
	size_t body = 8 + 8 + 2 + len16(t->limits);
	uint8_t *w = start(b, (struct to){ LINK_TOKEN, 0, generation, channel }, body);

	if (!w)
		return;
	MUST(t->rights_until >= 0); /* of a verdict: in 0 to TIME_MAX */
	w = put_le64(put_le64(w, t->token), (uint64_t)t->rights_until);
	w = put_le16(w, len16(t->limits));
	put_bytes(w, t->limits);
	buf_commit(b, LINK_HEAD + body);
}

void link_closed_write(struct buf *b, uint32_t channel, uint16_t generation, uint8_t reason)
{
	uint8_t *w = start(b, (struct to){ LINK_CLOSED, 0, generation, channel }, 1);

	if (!w)
		return;
	put_u8(w, reason);
	buf_commit(b, LINK_HEAD + 1);
}

void link_suback_write(struct buf *b, enum link_type type, uint32_t channel, uint16_t generation,
                       uint16_t packet_id, const uint8_t *codes, size_t count)
{
	uint8_t *w = start(b, (struct to){ type, 0, generation, channel }, 2 + count);

	if (!w)
		return;
	put_bytes(put_le16(w, packet_id), str_make(codes, count));
	buf_commit(b, LINK_HEAD + 2 + count);
}

/* ---- Frames in pieces ---- */
enum { HEAD_FLAGS_AT = 5 };

/* Where a frame begins. A buf that is broken already has lost something else: that is for its owner
 * to see, and link_end takes nothing back. */
#define NOWHERE SIZE_MAX

static size_t begins(const struct buf *b)
{
	return buf_ok(b) ? buf_len(b) : NOWHERE;
}

/* One more in the 16-bit count at this offset from the first unread byte. More than it can say:
 * broken. */
static void count_one(struct buf *b, size_t at)
{
	uint8_t *p;
	unsigned n;

	if (!buf_ok(b))
		return;             /* what stands at `at` may not have been written */
	MUST(at + 2 <= buf_len(b)); /* link_*_begin has reserved and written it */
	p = b->p + b->head + at;
	n = p[0] | (unsigned)p[1] << 8;
	if (n == UINT16_MAX)
		b->broken = true;
	else
		put_le16(p, n + 1);
}

bool link_end(struct buf *b, size_t frame)
{
	size_t length;

	if (frame == NOWHERE)
		return false;
	length = buf_len(b) - frame;
	if (!buf_ok(b) || length > LINK_FRAME_MAX) {
		buf_cut(b, frame);
		return false;
	}
	MUST(length >= LINK_HEAD);
	put_le32(b->p + b->head + frame, (uint32_t)length);
	return true;
}

static void add_marked(struct buf *b, struct str filter, bool system)
{
	uint8_t *w = filter.n <= LINK_FRAME_MAX ? buf_reserve(b, MARKED_FIXED + filter.n) : NULL;

	if (!w) {
		b->broken = true;
		return;
	}
	w = put_u8(w, system);
	w = put_le32(w, (uint32_t)filter.n);
	put_bytes(w, filter);
	buf_commit(b, MARKED_FIXED + filter.n);
}

size_t link_opened_begin(struct buf *b, uint32_t channel, uint16_t generation, bool present,
                         uint8_t reason, unsigned count)
{
	size_t frame = begins(b);
	uint8_t flags = present ? LINK_OPENED_PRESENT : 0;
	uint8_t *w = start(b, (struct to){ LINK_OPENED, flags, generation, channel }, OPENED_FIXED);

	if (w) {
		put_le32(put_u8(w, reason), count);
		buf_commit(b, LINK_HEAD + OPENED_FIXED);
	}
	return frame;
}

void link_opened_mark(struct buf *b, size_t frame, uint8_t flags, uint16_t minor)
{
	if (minor < LINK_MINOR_RIGHTS)
		flags &= (uint8_t)~LINK_OPENED_RIGHTS;
	if (minor < LINK_MINOR_OTHER)
		flags &= (uint8_t)~LINK_OPENED_OTHER;
	if (buf_ok(b) && frame + LINK_HEAD <= buf_len(b))
		b->p[b->head + frame + HEAD_FLAGS_AT] |= flags;
}

void link_opened_add(struct buf *b, const struct link_sub *sub)
{
	size_t size = SUB_FIXED + len16(sub->filter);
	uint8_t *w = buf_reserve(b, size);

	if (!w)
		return;
	w = put_u8(w, sub->opts);
	w = put_le32(w, sub->id);
	w = put_le16(w, len16(sub->filter));
	put_bytes(w, sub->filter);
	buf_commit(b, size);
}

size_t link_subscribe_begin(struct buf *b, enum link_type type, uint32_t channel,
                            uint16_t generation, uint16_t packet_id, uint32_t subscription_id)
{
	size_t frame = begins(b);
	uint8_t *w = start(b, (struct to){ type, 0, generation, channel }, SUBSCRIBE_FIXED);

	if (w) {
		w = put_le16(w, packet_id);
		w = put_le16(w, 0);
		put_le32(w, subscription_id);
		buf_commit(b, LINK_HEAD + SUBSCRIBE_FIXED);
	}
	return frame;
}

size_t link_item_begin(struct buf *b, size_t frame, uint8_t code, uint8_t opts, struct str filter)
{
	size_t item = buf_len(b), size = ITEM_FIXED + len16(filter);
	uint8_t *w;

	count_one(b, frame + LINK_HEAD + SUBSCRIBE_COUNT_AT);
	w = buf_reserve(b, size);
	if (w) {
		w = put_u8(w, code);
		w = put_u8(w, opts);
		w = put_le16(w, 0);
		w = put_le16(w, len16(filter));
		put_bytes(w, filter);
		buf_commit(b, size);
	}
	return item;
}

void link_item_inner(struct buf *b, size_t item, struct str filter, bool system)
{
	count_one(b, item + ITEM_COUNT_AT);
	add_marked(b, filter, system);
}

size_t link_unsubscribe_begin(struct buf *b, uint32_t channel, uint16_t generation,
                              uint16_t packet_id)
{
	size_t frame = begins(b);
	uint8_t *w =
	    start(b, (struct to){ LINK_UNSUBSCRIBE, 0, generation, channel }, UNSUBSCRIBE_FIXED);

	if (w) {
		put_le16(put_le16(w, packet_id), 0);
		buf_commit(b, LINK_HEAD + UNSUBSCRIBE_FIXED);
	}
	return frame;
}

void link_unsubscribe_add(struct buf *b, size_t frame, struct str filter)
{
	size_t size = 2 + len16(filter);
	uint8_t *w;

	count_one(b, frame + LINK_HEAD + UNSUBSCRIBE_COUNT_AT);
	w = buf_reserve(b, size);
	if (!w)
		return;
	put_bytes(put_le16(w, len16(filter)), filter);
	buf_commit(b, size);
}

void link_hold_write(struct buf *b, uint64_t customer, bool hold)
{
	uint8_t *w = start(b, (struct to){ LINK_HOLD, 0, 0, 0 }, HOLD_FIXED);

	if (!w)
		return;
	w = put_le64(w, customer);
	*w = hold;
	buf_commit(b, LINK_HEAD + HOLD_FIXED);
}

/* of no filter */
static void rights_start(struct buf *b, uint8_t flags, uint64_t customer, uint64_t token)
{
	uint8_t *w = start(b, (struct to){ LINK_RIGHTS, flags, 0, 0 }, RIGHTS_FIXED);

	if (!w)
		return;
	w = put_le64(w, customer);
	w = put_le64(w, token);
	put_le16(w, 0);
	buf_commit(b, LINK_HEAD + RIGHTS_FIXED);
}

size_t link_rights_begin(struct buf *b, uint64_t customer, uint64_t token)
{
	size_t frame = begins(b);

	rights_start(b, 0, customer, token);
	return frame;
}

void link_rights_say(struct buf *b, uint8_t flags, uint64_t customer, uint64_t token)
{
	rights_start(b, flags, customer, token);
}

uint8_t link_rights_known(uint8_t flags, uint16_t minor)
{
	return minor >= LINK_MINOR_RIGHTS ? flags : 0;
}

void link_rights_add(struct buf *b, size_t frame, struct str filter, bool system)
{
	count_one(b, frame + LINK_HEAD + RIGHTS_COUNT_AT);
	add_marked(b, filter, system);
}
