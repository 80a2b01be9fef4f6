/* work.h - what work costs, and work that is too much for one turn (docs/core.md, "The budget").
 * Home's thread.
 *
 * Code that walks, compares, hashes or copies an amount that somebody else chooses says so with
 * work_spend(). What is spent while a frame or a job of a customer runs is taken from what that
 * customer may spend in this turn; who has nothing left waits for the next turn, behind others.
 *
 * An operation that may take longer than a slice does its work in steps: when work_over() says so,
 * it puts what is left into a `struct work` (embedded in whatever it has to remember) and gives it
 * to work_add(). Its steps run in later turns, before any later frame of the same customer, in the
 * order in which they were added. A job that belongs to a session or a subscription is ended with
 * it: work_cancel(). */
#pragma once
#include "core/home_parts.h"

/* 1 unit is about 20 ns of work: a node of a tree, a short comparison, a link of a list that is not
 * in the cache; 64 bytes copied or hashed. */
enum {
	WORK_SLICE = 20000, /* 0.4 ms: what a customer may spend in a turn while others wait */
	WORK_TURN = 50000,  /* 1 ms: what all of them may spend on work that waited */
};

static inline void work_spend(struct home *h, size_t units)
{
	h->spent += units;
}

/* Is the slice used up? False outside of slices (tests that call sessions directly). */
static inline bool work_over(const struct home *h)
{
	return h->spent >= h->slice_end;
}

struct work {
	struct list node; /* in customer->works */
	struct customer *customer;
	/* A slice of it; true: there is more to do. Returns soon after work_over(), but does at
	 * least a little. MUST NOT end its own job with work_cancel(). */
	bool (*step)(struct work *w);
	/* Frees it: when step() said false, by work_cancel(), or when its customer ends. */
	void (*drop)(struct work *w);
};

/* takes w; its first step comes later, never within this call */
void work_add(struct customer *c, struct work *w);
void work_cancel(struct work *w); /* it is dropped now */
/* Are there jobs? Then what would change the order waits behind them. */
static inline bool work_waits(const struct customer *c)
{
	return !list_empty(&c->works);
}

/* ---- For customer.c and home.c ---- */
void work_init(struct home *h);
void work_customer_init(struct customer *c);
void work_customer_end(struct customer *c); /* drops what waits */
