/* uplink_lanes.c - what waits on a link, per customer. While few bytes are unsent, or only one
 * customer has clients there, a frame is appended to the link's buffer at once. Else it waits in
 * its customer's lane, and lanes are merged in turns, some kilobytes each, as the other side takes
 * what was sent: so a frame stands behind a small slice of another customer's fan-out.
 *
 * A lane over its mark slows its own customer down: nothing that this customer said is done until
 * half of it is gone, or the other side has not read for WORK_SLOW_MS. If that does not help, it is
 * full, and the customer's clients on this link count as paused. */
#include "base/base.h"
#include "core/uplink_parts.h"

#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "core/session.h"

enum {
	LANE_UNSENT = 16 << 10, /* of a link: above it lanes are used, up to it they are merged */
	LANE_QUANTUM = 8 << 10, /* of a lane at a time */
	LANE_SLOW = 32 << 10,
	LANE_SLOW_ALONE = 1 << 20,
	SHARED_ROOM = 16 << 10, /* in the socket of a link that customers share */
	LANES_COUNTED = 64,     /* of those that wait: more make no quantum smaller */
};

/* ---- Life ---- */
static uint64_t lane_hash(uint64_t customer)
{
	return hash_mix(customer, 1);
}

void lane_marks_init(struct lane_marks *m)
{
	*m = (struct lane_marks){ LANE_UNSENT, LANE_QUANTUM, LANE_SLOW, LANE_SLOW_ALONE };
}

static struct lane *lane_find(const struct link *l, uint64_t customer)
{
	for (struct map_node *n = map_first(&l->lanes, lane_hash(customer)); n; n = map_next(n)) {
		struct lane *a = container_of(n, struct lane, node);

		if (a->customer == customer)
			return a;
	}
	return NULL;
}

static bool drain_step(struct work *w);
static void drain_drop(struct work *w);

void lane_init(struct lane *a, struct link *l, uint64_t customer)
{
	a->link = l;
	a->customer = customer;
	list_init(&a->ready);
	list_init(&a->mark);
	list_init(&a->channels);
	list_init(&a->draining);
	list_init(&a->drain.node);
	a->drain.step = drain_step;
	a->drain.drop = drain_drop;
}

int lane_enter(struct channel *c, uint64_t customer)
{
	struct link *l = c->link;
	struct lane *a = lane_find(l, customer);

	if (!a) {
		a = mem_zalloc(sizeof(*a));
		if (!a)
			return -E_NOMEM;
		lane_init(a, l, customer);
		if (map_add(&l->lanes, &a->node, lane_hash(customer))) {
			mem_free(a);
			return -E_NOMEM;
		}
		a->listed = true;
		if (l->lanes.count == 2 && !l->shared) {
			l->shared = true; /* more would only wait there, for all */
			(void)setsockopt(l->watch.fd, SOL_SOCKET, SO_SNDBUF, &(int){ SHARED_ROOM },
			                 sizeof(int));
		}
	}
	c->lane = a;
	list_add_tail(&a->channels, &c->in_lane);
	return 0;
}

static void slow(struct lane *a, bool on)
{
	struct customer *c = customer_find(a->link->home, a->customer);

	a->slow = on;
	if (on && list_empty(&a->mark))
		list_add_tail(&a->link->marked, &a->mark);
	if (c)
		work_slow(c, on);
}

/* Nobody speaks on it any more, and nothing waits. */
void lane_settle(struct lane *a)
{
	if (a->held || !list_empty(&a->channels) || !list_empty(&a->draining) || buf_len(&a->out))
		return;
	if (a->slow)
		slow(a, false);
	if (!list_empty(&a->drain.node))
		work_cancel(&a->drain);
	list_del(&a->ready);
	list_del(&a->mark);
	if (a->listed)
		map_del(&a->link->lanes, &a->node);
	buf_free(&a->out);
	mem_free(a);
}

void lane_leave(struct channel *c)
{
	struct lane *a = c->lane;

	if (!a)
		return;
	if (a->link->gathered_lane == a)
		link_gather_end(a->link);
	c->lane = NULL;
	list_del(&c->in_lane);
	lane_settle(a);
}

void lanes_end(struct link *l)
{
	map_each(n, &l->lanes) {
		struct lane *a = container_of(n, struct lane, node);

		map_del(&l->lanes, n);
		a->listed = false;
		buf_free(&a->out);
		list_del(&a->ready);
		lane_settle(a);
	}
	map_free(&l->lanes);
}

/* ---- What waits ---- */
static size_t waiting(const struct lane *a)
{
	return buf_len(&a->out) + (a->link->lanes.count == 1 ? buf_len(&a->link->out) : 0);
}

struct buf *lane_buf(struct lane *a)
{
	struct link *l = a->link;

	if (buf_len(&a->out))
		return &a->out;
	if (a != &l->own && l->lanes.count > 1 && buf_len(&l->out) >= l->uplink->marks.unsent)
		return &a->out;
	return &l->out;
}

/* The ordinary case: nothing waits for long, or less of a customer alone than anybody looks at. */
static inline bool calm(const struct lane *a)
{
	const struct link *l = a->link;
	const struct lane_marks *m = &l->uplink->marks;
	size_t n = buf_len(&l->out);

	if (buf_len(&a->out))
		return false;
	return n < m->unsent || (l->lanes.count == 1 && n < m->slow_alone &&
	                         n <= (size_t)l->home->config->link_high);
}

void lane_say(struct lane *a)
{
	struct link *l = a->link;
	const struct lane_marks *m = &l->uplink->marks;
	size_t n;

	if (unlikely(!buf_ok(&a->out)))
		link_break(l, "out of memory");
	link_say(l);
	if (likely(calm(a)) || a == &l->own)
		return;
	if (buf_len(&a->out) && list_empty(&a->ready))
		list_add_tail(&l->ready, &a->ready);
	n = waiting(a);
	if (!a->slow && n >= m->slow && (l->lanes.count > 1 || n >= m->slow_alone))
		slow(a, true);
	if (!a->full && n > (size_t)l->home->config->link_high) {
		a->full = true;
		if (list_empty(&a->mark))
			list_add_tail(&l->marked, &a->mark);
		l->home->counters.link_full++;
		LOG_WARN(l->name, "link-full", "cid=%" PRIu64 " bytes=%zu clients=%zu", a->customer,
		         n, l->channels);
	}
}

/* ---- Its clients go on: a job, for they may be many ---- */
static bool drain_step(struct work *w)
{
	struct lane *a = container_of(w, struct lane, drain);
	struct home *h = a->link->home;

	home_changed(h);
	while (!a->full && !list_empty(&a->draining)) {
		struct channel *c = list_first(&a->draining, struct channel, in_lane);

		list_del(&c->in_lane);
		list_add_tail(&a->channels, &c->in_lane);
		work_spend(h, 5);
		if (c->port.session)
			session_drained(&c->port);
		if (work_over(h))
			break;
	}
	return !a->full && !list_empty(&a->draining);
}

static void drain_drop(struct work *w)
{
	struct lane *a = container_of(w, struct lane, drain);

	list_splice_tail(&a->channels, &a->draining);
}

static void lane_drained(struct lane *a)
{
	struct customer *c = customer_find(a->link->home, a->customer);

	a->full = false;
	if (!c)
		return;
	list_splice_tail(&a->draining, &a->channels);
	if (list_empty(&a->drain.node))
		work_add(c, &a->drain);
}

/* After something was taken from it, or from the link. */
static void lane_look(struct lane *a)
{
	size_t n = waiting(a);
	struct customer *c = a->slow ? customer_find(a->link->home, a->customer) : NULL;

	if (c)
		work_slow_less(c);
	if (a->slow && n < a->link->uplink->marks.slow / 2)
		slow(a, false);
	if (a->full && n < (size_t)a->link->home->config->link_high / 2)
		lane_drained(a);
	if (!a->slow && !a->full)
		list_del(&a->mark);
}

/* ---- Merging ---- */

/* Whole frames, a quantum of bytes or one frame. */
static size_t slice_of(struct str bytes, size_t quantum)
{
	size_t n = 0;
	struct link_head head;

	while (n < bytes.n && n < quantum) {
		/* whole frames, which we wrote: one that has no memory is taken back */
		MUST(link_head_peek(str_skip(bytes, n), &head) == PARSE_OK);
		n += head.length;
	}
	return n;
}

/* Of many that wait each gets less, so that all of them fit into about what may be unsent: a frame
 * stands behind some kilobytes, however many neighbours have more (attack I24). */
static size_t quantum_of_many(const struct link *l)
{
	const struct lane_marks *m = &l->uplink->marks;
	size_t n = 0, each;

	for (const struct list *a = l->ready.next; a != &l->ready && n < LANES_COUNTED; a = a->next)
		n++;
	each = n ? m->unsent / n : m->quantum;
	return size_max(size_min(each, m->quantum), 1);
}

void lanes_merge(struct link *l)
{
	size_t quantum = quantum_of_many(l);
	struct lane *a;

	while (buf_len(&l->out) < l->uplink->marks.unsent &&
	       (a = list_first(&l->ready, struct lane, ready))) {
		size_t n = slice_of(buf_str(&a->out), quantum);

		list_del(&a->ready);
		buf_bytes(&l->out, buf_data(&a->out), n);
		buf_consume(&a->out, n);
		if (buf_len(&a->out))
			list_add_tail(&l->ready, &a->ready);
		else
			buf_free(&a->out);
		lane_look(a);
		lane_settle(a);
	}
	if (unlikely(!buf_ok(&l->out)))
		link_break(l, "out of memory");
}

/* Some of the link's buffer was sent. */
void lanes_written(struct link *l)
{
	struct lane *a;

	if (!list_empty(&l->ready) && buf_len(&l->out) < l->uplink->marks.unsent)
		home_flush_later(l->home, &l->ends);
	/* Of several, those with bytes are looked at when they are merged. What waited of the
	 * others stood in the link's buffer: each was alone when it came over its mark. */
	if (l->lanes.count > 1 && buf_len(&l->out) >= l->uplink->marks.unsent)
		return;
	list_each(a, &l->marked, struct lane, mark) {
		if (l->lanes.count == 1 || buf_len(&a->out) == 0)
			lane_look(a);
	}
}
