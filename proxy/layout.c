/* layout.c - one message as one kind of client gets it (layout.h). MQTT5 3.3. The properties of a
 * message came over the link in the form they have on the wire, validated by who wrote them and
 * checked again by link_deliver_read: they are copied, what belongs to this hop is put before. */
#include "base/base.h"
#include "proxy/layout.h"

#include "base/put.h"

struct layout layout_of(uint8_t version, uint8_t flags, uint32_t subscription_id)
{
	struct layout l = { .version = version >= MQTT_V5 ? MQTT_V5 : MQTT_V311, .flags = flags };

	if (version >= MQTT_V5)
		l.subscription_id = subscription_id;
	return l;
}

bool layout_same(const struct layout *a, const struct layout *b)
{
	return a->version == b->version && a->flags == b->flags && a->alias == b->alias &&
	       a->extra == b->extra && a->subscription_id == b->subscription_id;
}

static size_t props_size(const struct layout *l, const struct layout_msg *m)
{
	size_t size = m->props.n + (l->extra ? m->extra.n : 0) + (l->alias ? 3 : 0);

	if (m->expiry_s != LINK_NO_EXPIRY)
		size += 5;
	if (m->response_topic.n)
		size += 3 + m->response_topic.n;
	if (l->subscription_id)
		size += 1 + mqtt_varint_size(l->subscription_id);
	return size;
}

static uint8_t *props_put(uint8_t *w, const struct layout *l, const struct layout_msg *m,
                          size_t size, uint8_t **alias)
{
	w = put_varint(w, (uint32_t)size);
	if (l->alias) {
		*alias = put_u8(w, PROP_TOPIC_ALIAS);
		w = put_u16(*alias, 0);
	}
	if (m->expiry_s != LINK_NO_EXPIRY)
		w = put_u32(put_u8(w, PROP_MESSAGE_EXPIRY), m->expiry_s);
	if (m->response_topic.n) {
		w = put_u16(put_u8(w, PROP_RESPONSE_TOPIC), (unsigned)m->response_topic.n);
		w = put_bytes(w, m->response_topic);
	}
	if (l->subscription_id)
		w = put_varint(put_u8(w, PROP_SUBSCRIPTION_ID), l->subscription_id);
	w = put_bytes(w, m->props);
	return l->extra ? put_bytes(w, m->extra) : w;
}

static unsigned first_byte(const struct layout *l)
{
	return MQTT_PUBLISH << 4 | (l->flags & LINK_DUP ? 8u : 0) | (l->flags & LINK_QOS) << 1 |
	       (l->flags & LINK_RETAIN ? 1u : 0);
}

/* Counted first, then written straight through into memory that was reserved once. */
bool layout_write(struct buf *out, const struct layout *l, const struct layout_msg *m,
                  struct layout_at *at)
{
	bool v5 = l->version >= MQTT_V5;
	unsigned qos = l->flags & LINK_QOS;
	size_t props = v5 ? props_size(l, m) : 0, size;
	struct str topic = l->alias == ALIAS_ONLY ? STR_NONE : m->topic;
	size_t remaining = 2 + topic.n + (qos ? 2 : 0) + m->payload.n;
	uint8_t *start, *w, *id = NULL, *alias = NULL;

	if (props > MQTT_REMAINING_MAX || m->topic.n > UINT16_MAX ||
	    m->response_topic.n > UINT16_MAX)
		return false;
	if (v5)
		remaining += mqtt_varint_size((uint32_t)props) + props;
	if (remaining > MQTT_REMAINING_MAX)
		return false;
	size = 1 + mqtt_varint_size((uint32_t)remaining) + remaining;
	start = buf_reserve(out, size);
	if (!start) {
		buf_cut(out, buf_len(out)); /* not broken by what was not appended */
		return false;
	}
	w = put_varint(put_u8(start, first_byte(l)), (uint32_t)remaining);
	w = put_bytes(put_u16(w, (unsigned)topic.n), topic);
	if (qos) {
		id = w;
		w = put_u16(w, 0);
	}
	if (v5)
		w = props_put(w, l, m, props, &alias);
	w = put_bytes(w, m->payload);
	MUST(w == start + size);
	buf_commit(out, size);
	at->packet_id = id ? (size_t)(id - start) : 0;
	at->alias = alias ? (size_t)(alias - start) : 0;
	return true;
}
