/* msg.c - messages: the one copy in. Everything that a message refers to lies behind its head, in
 * the same allocation, so that a reference is all that queues, windows and the retained store need
 * to keep. */
#include "base/base.h"
#include "core/msg.h"

#include "base/mem.h"
#include "wire/space.h"
#include "wire/topic.h"

static struct str msg_copy(char **at, struct str s)
{
	struct str copy = { *at, s.n };

	if (s.n)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return copy;
}

/* Names that belong to no customer (mbus/..., a trusted service's own) are the trusted world's:
 * customer 0, no prefix. */
static void msg_place(struct msg *m)
{
	struct str name;
	uint64_t customer;

	if (space_of(m->m.topic, &customer, &name)) {
		m->customer = customer;
		m->prefix = (uint8_t)(m->m.topic.n - name.n);
	}
	m->system = topic_is_system(msg_name(m));
}

struct msg *msg_new(const struct link_msg *src, uint8_t qos, bool retain, uint64_t token,
                    struct session *from, int64_t wall_ms)
{
	size_t bytes = src->topic.n + src->response_topic.n + src->props.n + src->payload.n;
	struct msg *m = mem_alloc(sizeof(*m) + bytes);
	char *at;

	if (!m)
		return NULL;
	*m = (struct msg){ .qos = qos,
		           .retain = retain,
		           .token = token,
		           .from = from,
		           .timestamp_ms = wall_ms,
		           .size = sizeof(*m) + bytes };
	atomic_init(&m->refs, 1);
	at = m->bytes;
	m->m.topic = msg_copy(&at, src->topic);
	m->m.response_topic = msg_copy(&at, src->response_topic);
	m->m.props = msg_copy(&at, src->props);
	m->m.payload = msg_copy(&at, src->payload);
	m->m.expiry_s = src->expiry_s;
	if (src->expiry_s != LINK_NO_EXPIRY)
		m->expires_ms = wall_ms + (int64_t)src->expiry_s * 1000;
	msg_place(m);
	return m;
}

void msg_put(struct msg **slot)
{
	struct msg *m = *slot;

	*slot = NULL;
	if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
		mem_free(m);
}

struct str msg_name(const struct msg *m)
{
	return str_skip(m->m.topic, m->prefix);
}

bool msg_expired(const struct msg *m, int64_t wall_ms)
{
	return m->expires_ms != 0 && wall_ms >= m->expires_ms;
}

/* What was received minus the time it waited here [MQTT-3.3.2-6]; rounded up, so that a message
 * passed on at once keeps its number. */
uint32_t msg_expiry_left(const struct msg *m, int64_t wall_ms)
{
	int64_t left;

	if (m->expires_ms == 0)
		return LINK_NO_EXPIRY;
	left = (m->expires_ms - wall_ms + 999) / 1000;
	if (left < 0)
		return 0;
	/* the wall clock was set back */
	return left < LINK_NO_EXPIRY ? (uint32_t)left : LINK_NO_EXPIRY - 1;
}
