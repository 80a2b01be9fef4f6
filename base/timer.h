/* timer.h - the wheel behind timer_set(); for loop.c only. One thread.
 *
 * Five levels of 64 slots; a slot of level 0 is one tick of 8 ms, a slot of level n is 64^n ticks.
 * A timer lies on the level of the highest 6-bit digit in which its tick differs from the wheel's,
 * in the slot which that digit names; when the wheel reaches the start of that slot, its timers
 * move down or fire. So a timer moves at most four times in its life, and setting and stopping are
 * two list operations. What lies beyond 99 days waits in the farthest slot and is placed again. */
#pragma once
#include "base/loop.h"

enum { TICK_MS = 8, WHEEL_LEVELS = 5, WHEEL_SLOTS = 64 };

struct wheel {
	uint64_t tick; /* every slot that starts at or before it has been emptied */
	/* a bit per slot; may be set for an empty slot, after timer_stop() */
	uint64_t used[WHEEL_LEVELS];
	struct list slot[WHEEL_LEVELS][WHEEL_SLOTS];
	/* of the slot that was reached, not placed yet */
	struct list moving;
	struct list due; /* fire now; a fired timer may stop another one that waits here */
};

void wheel_init(struct wheel *w, int64_t now_ms);
/* by t->due; never before the tick not_before */
void wheel_add(struct wheel *w, struct timer *t, uint64_t not_before);
/* Moves to the next slot in use, fills due; false: none until then. Takes one of *most for each
 * timer that is moved; with none left it stops in the middle, and goes on with the next call. */
bool wheel_step(struct wheel *w, uint64_t until, unsigned *most);
int64_t wheel_next_ms(struct wheel *w); /* when it must be looked at next, or -1: holds no timer */

static inline uint64_t tick_floor(int64_t ms)
{
	return (uint64_t)ms / TICK_MS;
}
