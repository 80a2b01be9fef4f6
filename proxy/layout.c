/* layout.c - one message as one kind of client gets it (layout.h). MQTT5 3.3. The properties of a
 * message came over the link in the form they have on the wire, validated by who wrote them and
 * checked again by link_deliver_read: they are copied, what belongs to this hop is put before. */
#include "base/base.h"
#include "proxy/layout.h"

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

static void props_write(struct buf *out, const struct layout *l, const struct layout_msg *m,
                        size_t size, size_t *alias_at)
{
	mqtt_varint_put(out, (uint32_t)size);
	if (l->alias) {
		buf_u8(out, PROP_TOPIC_ALIAS);
		*alias_at = buf_len(out);
		buf_u16(out, 0);
	}
	if (m->expiry_s != LINK_NO_EXPIRY) {
		buf_u8(out, PROP_MESSAGE_EXPIRY);
		buf_u32(out, m->expiry_s);
	}
	if (m->response_topic.n) {
		buf_u8(out, PROP_RESPONSE_TOPIC);
		buf_u16(out, (uint16_t)m->response_topic.n);
		buf_str_add(out, m->response_topic);
	}
	if (l->subscription_id) {
		buf_u8(out, PROP_SUBSCRIPTION_ID);
		mqtt_varint_put(out, l->subscription_id);
	}
	buf_str_add(out, m->props);
	if (l->extra)
		buf_str_add(out, m->extra);
}

bool layout_write(struct buf *out, const struct layout *l, const struct layout_msg *m,
                  struct layout_at *at)
{
	bool v5 = l->version >= MQTT_V5;
	unsigned qos = l->flags & LINK_QOS;
	size_t before = buf_len(out), props = v5 ? props_size(l, m) : 0;
	struct str topic = l->alias == ALIAS_ONLY ? STR_NONE : m->topic;
	size_t remaining = 2 + topic.n + (qos ? 2 : 0) + m->payload.n;

	if (props > MQTT_REMAINING_MAX || m->topic.n > UINT16_MAX ||
	    m->response_topic.n > UINT16_MAX)
		return false;
	if (v5)
		remaining += mqtt_varint_size((uint32_t)props) + props;
	if (remaining > MQTT_REMAINING_MAX || !buf_reserve(out, 5 + remaining)) {
		buf_cut(out, before);
		return false;
	}
	buf_u8(out, (uint8_t)(MQTT_PUBLISH << 4 | (l->flags & LINK_DUP ? 8 : 0) | qos << 1 |
	                      (l->flags & LINK_RETAIN ? 1 : 0)));
	mqtt_varint_put(out, (uint32_t)remaining);
	buf_u16(out, (uint16_t)topic.n);
	buf_str_add(out, topic);
	*at = (struct layout_at){ 0, 0 };
	if (qos) {
		at->packet_id = buf_len(out) - before;
		buf_u16(out, 0);
	}
	if (v5)
		props_write(out, l, m, props, &at->alias);
	if (at->alias)
		at->alias -= before;
	buf_str_add(out, m->payload);
	if (buf_ok(out))
		return true;
	buf_cut(out, before);
	return false;
}
