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

/* ---- Memory. Messages come and go by the thousand, in a few sizes: a home's thread keeps some of
 * what it frees, by size, in no more than SPARE_BYTES a size. Sanitizers see every message end.
 * ----
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SPARE 0
#else
#define SPARE 1
#endif

enum { SPARE_STEP = 64, SPARE_SIZES = 8, SPARE_BYTES = 256 << 10 };

static _Thread_local struct {
	bool on;
	uint32_t bytes[SPARE_SIZES];
	void *first[SPARE_SIZES]; /* each begins with a pointer to the next */
} spare;

void msg_spares_keep(void)
{
	spare.on = SPARE;
}

void msg_spares_free(void)
{
	spare.on = false;
	for (unsigned i = 0; i < SPARE_SIZES; i++) {
		while (spare.first[i]) {
			void *next = *(void **)spare.first[i];

			mem_free(spare.first[i]);
			spare.first[i] = next;
		}
		spare.bytes[i] = 0;
	}
}

static unsigned spare_of(size_t size) /* SPARE_SIZES and more: none */
{
	return (unsigned)size_min((size - 1) / SPARE_STEP, SPARE_SIZES);
}

static void *take(size_t size)
{
	unsigned i = spare_of(size);
	void *p;

	if (i >= SPARE_SIZES)
		return mem_alloc(size);
	p = spare.first[i];
	if (!p)
		return mem_alloc((i + 1) * SPARE_STEP);
	spare.first[i] = *(void **)p;
	spare.bytes[i] -= (i + 1) * SPARE_STEP;
	return p;
}

static void give_back(struct msg *m)
{
	unsigned i = spare_of(m->size);

	if (!spare.on || i >= SPARE_SIZES || spare.bytes[i] >= SPARE_BYTES) {
		mem_free(m);
		return;
	}
	*(void **)m = spare.first[i];
	spare.first[i] = m;
	spare.bytes[i] += (i + 1) * SPARE_STEP;
}

struct msg *msg_new(const struct link_msg *src, uint8_t qos, bool retain, uint64_t token,
                    struct session *from, int64_t wall_ms)
{
	size_t bytes = src->topic.n + src->response_topic.n + src->props.n + src->payload.n;
	struct msg *m = take(sizeof(*m) + bytes);
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
		give_back(m);
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
