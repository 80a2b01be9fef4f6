/* work.c - whose turn it is. Customers whose jobs wait stand in a ring; at the end of a turn's
 * reading each gets a slice, until what all of them may spend in a turn is spent, and the loop
 * turns again without sleeping: so links, heartbeats, timers and other customers are served in
 * between. Who spends more than its slice, because a step cannot be cut, waits until that is paid
 * back. */
#include "base/base.h"
#include "core/work.h"

#include "core/session.h"

void work_add(struct customer *c, struct work *w)
{
	struct home *h = c->home;

	w->customer = c;
	list_add_tail(&c->works, &w->node);
	if (list_empty(&c->busy))
		list_add_tail(&h->busy, &c->busy);
	loop_at_end(h->loop, &h->work_hook);
}

void work_cancel(struct work *w)
{
	list_del(&w->node);
	w->drop(w);
}

/* One job after the other, as long as there is credit. */
static void run_slice(struct customer *c)
{
	struct home *h = c->home;
	uint64_t before = h->spent;
	struct work *w;

	h->slice_end = before + (uint64_t)c->credit;
	while (!work_over(h) && (w = list_first(&c->works, struct work, node))) {
		work_spend(h, 1);
		if (!w->step(w))
			work_cancel(w);
	}
	h->slice_end = UINT64_MAX;
	c->credit -= (int64_t)(h->spent - before);
}

/* A customer's turn; it may be freed by it. */
static void serve(struct home *h, struct customer *c)
{
	list_del(&c->busy);
	c->served = h->work_turn;
	c->credit += WORK_SLICE;
	h->serving = c;
	if (c->credit > 0)
		run_slice(c);
	h->serving = NULL;
	if (work_waits(c)) {
		list_add_tail(&h->busy, &c->busy);
		return;
	}
	if (c->credit > 0)
		c->credit = 0;
	customer_settle(c);
}

static void work_turn(struct hook *k)
{
	struct home *h = container_of(k, struct home, work_hook);
	uint64_t end = h->spent + WORK_TURN;
	struct customer *c;

	loop_step(h->loop, "work");
	home_changed(h);
	h->work_turn++;
	/* who could not be served is the first next time */
	while (h->spent < end && (c = list_first(&h->busy, struct customer, busy)) &&
	       c->served != h->work_turn)
		serve(h, c);
	if (!list_empty(&h->busy))
		loop_at_next_end(h->loop, &h->work_hook);
}

void work_init(struct home *h)
{
	h->slice_end = UINT64_MAX;
	list_init(&h->busy);
	hook_init(&h->work_hook, work_turn);
}

void work_customer_init(struct customer *c)
{
	list_init(&c->works);
	list_init(&c->busy);
}

void work_customer_end(struct customer *c)
{
	struct work *w;

	while ((w = list_first(&c->works, struct work, node)))
		work_cancel(w);
	list_del(&c->busy);
}
