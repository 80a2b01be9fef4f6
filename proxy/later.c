/* later.c - frames of the core that wait for their customer's next turn (later.h). */
#include "base/base.h"
#include "proxy/later.h"

#include "proxy/conn.h"
#include "proxy/share.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"

enum {
	/* of one customer: the core holds its deliveries back above, and sends again below a
	 * quarter. Of many each has less, so that all together seldom have too much: then the link
	 * is not read, and customers wait of whom nothing is here. A buffer of a megabyte that
	 * grows takes 3 ms, most of them the kernel's for new pages; that is a long time beside
	 * others */
	PAUSE_ABOVE = 128 << 10,
	PAUSE_LEAST = 16 << 10,
	PAUSE_ALL = 4 << 20,
	/* of all: a customer that is alone needs no reading ahead */
	MOST_ALONE = 512 << 10,
	MOST_BESIDE = 16 << 20,
	/* a link that is not read is read again when so much less is here; others wait for it */
	LESS = 128 << 10,
	KEEP = 256 << 10, /* memory that an emptied buffer may keep; of many: */
	KEEP_OF_MANY = 64 << 10,
	FEW = 8,
};

static size_t most(const struct worker *w)
{
	return slices_contended(&w->slices) ? MOST_BESIDE : MOST_ALONE;
}

static size_t pause_above(const struct worker *w)
{
	size_t each = PAUSE_ALL / size_max(slices_active(&w->slices), 1);

	return each < PAUSE_LEAST ? PAUSE_LEAST : size_min(each, PAUSE_ABOVE);
}

bool later_due(const struct uplink *u, struct customer_share *s)
{
	return !u->late && (buf_len(&s->later) || !slice_open(&u->worker->slices, &s->deliver));
}

static void hold_back(struct customer_share *s)
{
	struct conn *c;

	s->later_paused = true;
	list_each(c, &s->conns, struct conn, share_node)
		conn_core_pause(c, PAUSED_LATER);
}

static void let_come(struct customer_share *s)
{
	struct conn *c;

	s->later_paused = false;
	list_each(c, &s->conns, struct conn, share_node)
		conn_core_resume(c, PAUSED_LATER);
}

bool later_keep(struct uplink *u, struct customer_share *s, const struct link_head *h,
                struct str body, uint32_t done)
{
	struct worker *w = u->worker;
	size_t before = buf_len(&s->later);

	s->link = u;
	buf_bytes(&s->later, body.p - LINK_HEAD, h->length);
	if (!buf_ok(&s->later)) {
		buf_cut(&s->later, before);
		return false;
	}
	if (before == 0)
		s->later_done = done;
	w->later_bytes += h->length;
	w->n.frames_later++;
	if (list_empty(&s->later_node))
		list_add_tail(&w->later, &s->later_node);
	worker_touch(w);
	if (!s->later_paused && slices_contended(&w->slices) &&
	    buf_len(&s->later) > pause_above(w)) {
		w->n.customers_paused++;
		hold_back(s);
	}
	return true;
}

/* The first frame, or as much of it as the slice has room for. False: no more in this turn. */
static bool step(struct uplink *u, struct customer_share *s)
{
	struct link_head h;
	struct str frame = buf_str(&s->later);

	MUST(link_head_peek(frame, &h) == PARSE_OK && h.length <= frame.n);
	u->late = true;
	u->entry = s->later_done;
	(void)uplink_take(u, &h, str_make(frame.p + LINK_HEAD, h.length - LINK_HEAD));
	u->late = false;
	if (u->failed)
		return false;
	s->later_done = u->entry;
	if (u->entry)
		return false;
	buf_consume(&s->later, h.length);
	u->worker->later_bytes -= h.length;
	return true;
}

static void serve(struct worker *w, struct customer_share *s)
{
	s->pins++;
	while (buf_len(&s->later) && slice_open(&w->slices, &s->deliver) && step(s->link, s)) {
	}
	s->pins--;
	if (s->later_paused && buf_len(&s->later) < pause_above(w) / 4)
		let_come(s);
	if (buf_len(&s->later) == 0 &&
	    s->later.cap > (w->shares.count <= FEW ? KEEP : KEEP_OF_MANY))
		buf_free(&s->later);
}

static bool has_later(const struct customer_share *s)
{
	return buf_len(&s->later) > 0;
}

static void hear(struct worker *w)
{
	for (unsigned i = 0; i < LINK_HOMES_MAX; i++) {
		struct uplink *u = w->link[i];

		if (!u || !u->deaf)
			continue;
		u->deaf = false;
		u->heard = loop_now(w->loop);
		loop_rewatch(w->loop, &u->watch, LOOP_READ | (u->writing ? LOOP_WRITE : 0u));
	}
}

void later_serve(struct worker *w)
{
	if (list_empty(&w->later))
		return;
	shares_each(w, &w->later, offsetof(struct customer_share, later_node), serve, has_later);
	if (w->later_bytes < most(w) - LESS)
		hear(w);
}

bool later_full(struct uplink *u)
{
	struct worker *w = u->worker;

	if (w->later_bytes < most(w))
		return false;
	u->deaf = true;
	w->n.links_deaf++;
	loop_rewatch(w->loop, &u->watch, u->writing ? LOOP_WRITE : 0u);
	return true;
}

void later_forget(struct uplink *u)
{
	struct worker *w = u->worker;

	u->deaf = false;
	for (struct list *n = w->later.next, *next; n != &w->later; n = next) {
		struct customer_share *s = container_of(n, struct customer_share, later_node);

		next = n->next;
		if (s->link != u)
			continue;
		list_del(n);
		w->later_bytes -= buf_len(&s->later);
		buf_free(&s->later);
		s->later_done = 0;
		s->later_paused = false;
		share_tidy(w, s);
	}
}
