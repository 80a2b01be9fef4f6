/* work.h - what work costs, and work that is too much for one turn (docs/core.md, "The budget").
 * Home's thread.
 *
 * Code that walks, compares, hashes or copies an amount that somebody else chooses says so with
 * work_spend(). What is spent while a frame or a job of a customer runs is taken from what that
 * customer may spend in this turn; without credit it waits for the next turn, behind others.
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
	WORK_SLICE = 20000,  /* 0.4 ms: what a customer may spend in a turn while others wait */
	WORK_ALONE = 60000,  /* and while nobody waits */
	WORK_TURN = 50000,   /* 1 ms: what all may spend in a turn on work that waited */
	WORK_DIRECT = 75000, /* 1.5 ms: and on what was just read */
	WORK_ALL = 100000,   /* 2 ms: and on everything; then each kind of work has its least */
	/* ^ struct home has its own, for tests */
	WORK_SLOW_MS = 100,
	WORK_FRAME = 15, /* a frame, whatever it says; and its bytes */
	WORK_BYTES = 64, /* in one unit */
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

/* takes w; its first step comes later, never within this call */
void work_add(struct customer *c, struct work *w);
/* The same for what was read and comes after all jobs: a frame. */
void work_park(struct customer *c, struct work *w);
void work_cancel(struct work *w); /* it is dropped now */
/* Is an operation under way that goes on in later turns? */
static inline bool work_jobs(const struct customer *c)
{
	return !list_empty(&c->works);
}
static inline bool work_waits(const struct customer *c)
{
	return !list_empty(&c->works) || !list_empty(&c->parked);
}

/* Of so many units for a kind of work in this turn, what may still be spent when other kinds had
 * their part: a quarter of it at least, so that it goes on in every turn. */
static inline uint64_t work_part(const struct home *h, uint64_t units)
{
	uint64_t left = h->all_end > h->spent ? h->all_end - h->spent : 0;

	return left > units ? units : left > units / 4 ? left : units / 4;
}

/* ---- What was just read, and may be done at once ----
 * work_turn_is once per read, and before any other kind of work; then for each frame of a customer:
 * work_now says whether it may run now, or has to be parked; work_begin and work_end stand around
 * what is done. c may be freed by work_end. */
void work_turn_is(struct home *h);
bool work_mixed(const struct home *h);               /* did two customers speak lately? */
void work_renew(struct home *h, struct customer *c); /* what it may spend in this turn */
static inline bool work_now(struct home *h, struct customer *c)
{
	if (work_waits(c) || c->stopped)
		return false;
	if (c->renewed != h->turn)
		work_renew(h, c);
	return c->credit > 0 && h->spent < h->direct_end;
}
static inline void work_begin(struct home *h, struct customer *c, size_t bytes)
{
	uint64_t credit = (uint64_t)c->credit, rest = h->direct_end - h->spent;

	/* what is left of the turn, but never so little that everything is cut */
	if (rest < h->most.slice / 4)
		rest = h->most.slice / 4;
	h->serving = c;
	h->served_from = h->spent;
	h->slice_end = h->spent + (credit < rest ? credit : rest);
	h->spent += WORK_FRAME + bytes / WORK_BYTES;
}
static inline void work_end(struct home *h, struct customer *c)
{
	c->credit -= (int64_t)(h->spent - h->served_from);
	h->slice_end = UINT64_MAX;
	h->serving = NULL;
	if (c->sessions.count == 0)
		customer_settle(c);
}

/* A link has too much for its clients (uplink_lanes.c): nothing of it is done until on is false for
 * each such link, or WORK_SLOW_MS have passed in which none of these took anything. */
void work_slow(struct customer *c, bool on);
void work_slow_less(struct customer *c); /* one of them did */

/* ---- For customer.c, home.c and the doors at the end ---- */
void work_drop_all(struct home *h); /* what waits, of all customers */
void work_init(struct home *h);
void work_customer_init(struct customer *c);
void work_customer_end(struct customer *c); /* drops what waits */
