/* timer.c - the timer wheel: see timer.h for its shape. */
#include "base/base.h"
#include "base/timer.h"

enum { DIGIT = 6, TOP = WHEEL_LEVELS - 1 };

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
	list_init(&t->node);
	t->due = 0;
	t->fire = fire;
}

/* The bit of the slot in wheel.used stays: a timer does not know its wheel. wheel_find() clears
 * what it finds empty. */
void timer_stop(struct timer *t)
{
	if (t->due == 0)
		return;
	list_del(&t->node);
	t->due = 0;
}

void wheel_init(struct wheel *w, int64_t now_ms)
{
	w->tick = tick_floor(now_ms);
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		w->used[level] = 0;
		for (unsigned i = 0; i < WHEEL_SLOTS; i++)
			list_init(&w->slot[level][i]);
	}
	list_init(&w->due);
	list_init(&w->moving);
}

static void wheel_place(struct wheel *w, struct timer *t, uint64_t tick)
{
	unsigned level, slot;

	if (tick <= w->tick) {
		list_add_tail(&w->due, &t->node);
		return;
	}
	level = (63 - (unsigned)__builtin_clzll(tick ^ w->tick)) / DIGIT;
	if (level >= TOP) {
		/* The top level is a ring: whatever is less than one turn ahead has a slot of its
		 * own. */
		uint64_t here = w->tick >> (DIGIT * TOP), there = tick >> (DIGIT * TOP);

		level = TOP;
		slot = (here + size_min(there - here, WHEEL_SLOTS - 1)) % WHEEL_SLOTS;
	} else {
		slot = (tick >> (DIGIT * level)) % WHEEL_SLOTS;
	}
	w->used[level] |= (uint64_t)1 << slot;
	list_add_tail(&w->slot[level][slot], &t->node);
}

/* Rounded up, so that nothing fires early. */
static uint64_t due_tick(const struct timer *t)
{
	return tick_floor(t->due + TICK_MS - 1);
}

void wheel_add(struct wheel *w, struct timer *t, uint64_t not_before)
{
	uint64_t tick = due_tick(t);

	wheel_place(w, t, tick > not_before ? tick : not_before);
}

/* The next slot of a level that holds a timer, and the tick at which it starts; slots behind the
 * wheel's hand are empty. */
static bool level_find(struct wheel *w, unsigned level, unsigned *slot, uint64_t *start)
{
	uint64_t here = w->tick >> (DIGIT * level);
	unsigned hand = here % WHEEL_SLOTS;

	while (w->used[level]) {
		uint64_t turned = hand ? w->used[level] >> hand | w->used[level]
		                                                      << (WHEEL_SLOTS - hand)
		                       : w->used[level];
		unsigned ahead = (unsigned)__builtin_ctzll(turned);

		*slot = (hand + ahead) % WHEEL_SLOTS;
		if (!list_empty(&w->slot[level][*slot])) {
			*start = (here + ahead) << (DIGIT * level);
			return true;
		}
		w->used[level] &= ~((uint64_t)1 << *slot);
	}
	return false;
}

/* Whatever lies on a lower level is due before whatever lies on a higher one. */
static bool wheel_find(struct wheel *w, unsigned *level, unsigned *slot, uint64_t *start)
{
	for (*level = 0; *level < WHEEL_LEVELS; (*level)++) {
		if (level_find(w, *level, slot, start))
			return true;
	}
	return false;
}

static void wheel_move(struct wheel *w, unsigned *most)
{
	struct timer *t;

	while (*most && (t = list_first(&w->moving, struct timer, node))) {
		--*most;
		list_del(&t->node);
		wheel_place(w, t, due_tick(t));
	}
}

bool wheel_step(struct wheel *w, uint64_t until, unsigned *most)
{
	unsigned level, slot;
	uint64_t start;

	if (!list_empty(&w->moving)) {
		wheel_move(w, most);
		return true;
	}
	if (!wheel_find(w, &level, &slot, &start) || start > until) {
		if (until > w->tick)
			w->tick = until;
		return false;
	}
	MUST(start > w->tick);
	w->tick = start;
	w->used[level] &= ~((uint64_t)1 << slot);
	list_splice_tail(&w->moving, &w->slot[level][slot]);
	wheel_move(w, most);
	return true;
}

int64_t wheel_next_ms(struct wheel *w)
{
	unsigned level, slot;
	uint64_t start;

	if (!list_empty(&w->due) || !list_empty(&w->moving))
		return (int64_t)(w->tick * TICK_MS);
	if (!wheel_find(w, &level, &slot, &start))
		return -1;
	return (int64_t)(start * TICK_MS);
}
