/* work.c - whose turn it is. Customers whose jobs wait stand in a ring; at the end of a turn's
 * reading each gets a slice, until what all of them may spend in a turn is spent, and the loop
 * turns again without sleeping: so links, heartbeats, timers and other customers are served in
 * between. Who spends more than its slice, because a step cannot be cut, waits until that is paid
 * back. */
#include "base/base.h"
#include "core/work.h"

#include "core/session.h"

enum {
	MIXED_MS = 500, /* two customers that spoke within it are active at once */
	COUNTED = 64,   /* of those that wait: more make no slice smaller */
};

static void wait_again(struct customer *c)
{
	struct home *h = c->home;

	if (c->stopped) {
		list_add_tail(&h->stopped, &c->busy);
		return;
	}
	list_add_tail(&h->busy, &c->busy);
	loop_at_end(h->loop, &h->work_hook);
}

static void come(struct customer *c, struct list *to, struct work *w)
{
	struct home *h = c->home;

	w->customer = c;
	list_add_tail(to, &w->node);
	if (list_empty(&c->busy) && h->serving_ring != c)
		wait_again(c);
}

void work_add(struct customer *c, struct work *w)
{
	come(c, &c->works, w);
}

void work_park(struct customer *c, struct work *w)
{
	come(c, &c->parked, w);
}

void work_cancel(struct work *w)
{
	list_del(&w->node);
	w->drop(w);
}

/* ---- Who makes more than its clients' links can carry ---- */
static void go_on(struct customer *c)
{
	c->stopped = false;
	timer_stop(&c->slow_timer);
	replays_go_on(c);
	if (list_empty(&c->busy))
		return;
	list_del(&c->busy);
	wait_again(c);
}

static void slow_long_enough(struct timer *t)
{
	go_on(container_of(t, struct customer, slow_timer));
}

static void stop(struct customer *c)
{
	c->home->counters.slowed += !c->stopped;
	c->stopped = true;
	timer_set(c->home->loop, &c->slow_timer, WORK_SLOW_MS);
}

void work_slow(struct customer *c, bool on)
{
	if (on) {
		c->slow_links++;
		stop(c);
		return;
	}
	/* 0: the debt is that of a customer which had this id before */
	if (c->slow_links && --c->slow_links == 0)
		go_on(c);
}

void work_slow_less(struct customer *c)
{
	if (c->slow_links)
		stop(c);
}

/* ---- What was just read ---- */
void work_turn_is(struct home *h)
{
	uint64_t turn = loop_turns(h->loop);

	if (h->turn == turn)
		return;
	h->turn = turn;
	h->direct_end = h->spent + h->most.direct;
	h->all_end = h->spent + h->most.all;
}

bool work_mixed(const struct home *h)
{
	return h->mixed && home_now(h) - h->mixed < MIXED_MS;
}

/* Debts are paid back by waiting, turn by turn. */
void work_renew(struct home *h, struct customer *c)
{
	uint64_t turns = h->turn - c->renewed;
	int64_t slice = list_empty(&h->busy) ? h->most.slice : h->slice,
		most = list_empty(&h->busy) ? h->most.alone : slice;

	c->renewed = h->turn;
	if (h->spoke != c->id || !list_empty(&h->busy)) {
		h->spoke = c->id;
		h->mixed = home_now(h);
	}
	if (c->credit < 0 && turns < (uint64_t)(-c->credit / slice))
		c->credit += (int64_t)turns * slice;
	else
		c->credit = most;
}

/* ---- What waited ---- */
static struct work *next_of(struct customer *c)
{
	struct work *w = list_first(&c->works, struct work, node);

	return w ? w : list_first(&c->parked, struct work, node);
}

/* Jobs, then frames, one after the other as long as there is credit. */
static void run_slice(struct customer *c)
{
	struct home *h = c->home;
	uint64_t before = h->spent;
	struct work *w;

	h->slice_end = before + (uint64_t)c->credit;
	while (!work_over(h) && !c->stopped && (w = next_of(c))) {
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
	if (c->stopped) {
		list_add_tail(&h->stopped, &c->busy);
		return;
	}
	c->credit += h->slice;
	if (c->credit > h->slice)
		c->credit = h->slice;
	h->serving = h->serving_ring = c;
	if (c->credit > 0)
		run_slice(c);
	h->serving = h->serving_ring = NULL;
	if (work_waits(c)) {
		list_add_tail(c->stopped ? &h->stopped : &h->busy, &c->busy);
		return;
	}
	if (c->credit > 0)
		c->credit = 0;
	c->renewed = h->turn;
	customer_settle(c);
}

/* Of many that wait each gets less, so that all of them have had theirs within about a turn: one
 * who wants little does not wait longer because its neighbours are many (attack I24). */
static uint32_t slice_of_many(const struct home *h)
{
	uint32_t n = 0;

	for (const struct list *c = h->busy.next; c != &h->busy && n < COUNTED; c = c->next)
		n++;
	return n > 1 && h->most.turn / n < h->most.slice ? h->most.turn / n : h->most.slice;
}

static void work_turn(struct hook *k)
{
	struct home *h = container_of(k, struct home, work_hook);
	struct customer *c;
	uint64_t end;

	loop_step(h->loop, "work");
	work_turn_is(h);
	end = h->spent + work_part(h, h->most.turn);
	home_changed(h);
	h->work_turn++;
	h->slice = slice_of_many(h);
	/* who could not be served is the first next time */
	while (h->spent < end && (c = list_first(&h->busy, struct customer, busy)) &&
	       c->served != h->work_turn)
		serve(h, c);
	if (list_empty(&h->busy))
		return;
	loop_at_next_end(h->loop, &h->work_hook);
	if (work_mixed(h))
		loop_defer(h->loop);
}

void work_init(struct home *h)
{
	h->slice_end = UINT64_MAX;
	h->most = (struct work_most){ WORK_SLICE, WORK_ALONE, WORK_TURN, WORK_DIRECT, WORK_ALL };
	h->slice = h->most.slice;
	list_init(&h->busy);
	list_init(&h->stopped);
	hook_init(&h->work_hook, work_turn);
}

void work_customer_init(struct customer *c)
{
	list_init(&c->works);
	list_init(&c->parked);
	list_init(&c->busy);
	timer_init(&c->slow_timer, slow_long_enough);
}

/* It stays, also when its last session ends with what is dropped. */
void work_customer_end(struct customer *c)
{
	struct home *h = c->home;
	struct work *w;

	h->serving = h->serving_ring = c;
	while ((w = next_of(c)))
		work_cancel(w);
	list_del(&c->busy);
	timer_stop(&c->slow_timer);
	h->serving = h->serving_ring = NULL;
}

void work_drop_all(struct home *h)
{
	struct customer *c;

	list_splice_tail(&h->busy, &h->stopped);
	while ((c = list_first(&h->busy, struct customer, busy))) {
		work_customer_end(c);
		customer_settle(c);
	}
	hook_cancel(&h->work_hook);
}
