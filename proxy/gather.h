/* gather.h - when a worker lets work gather before it looks for more, as network cards do with
 * their interrupts: woken thousands of times a second for a message or two, it would spend most of
 * its time on waking up, and so would the core and every subscriber behind it. Pure.
 *
 * Nobody waits for long: at most the time set, and at most a sixteenth of what lies between two of
 * his own messages. So a client that sends as soon as it has its answer is never kept waiting, and
 * nobody is on a worker that has not much to do, or always more to do. */
#pragma once
#include "base/base.h"

enum { GATHER_MOST_US = 1000 };

struct gather_window {
	unsigned turns;
	unsigned bearable; /* us: what everybody who sent something can wait */
};

struct gather {
	unsigned most; /* us; 0 = never */
	int64_t since; /* loop time: the window began */
	struct gather_window now, last;
	/* turns in a row that were not followed by a pause because the core owes an answer */
	unsigned asked;
};

/* most_us at most GATHER_MOST_US */
void gather_init(struct gather *g, unsigned most_us, int64_t now);
/* A client sent messages; it was last heard so long ago. */
void gather_heard(struct gather *g, int64_t ago_ms);
/* A turn is over: so many reads and writes were done, and the core was asked something that it will
 * answer soon. Microseconds to sleep before the next one; 0: none. */
unsigned gather_pause(struct gather *g, int64_t now, uint64_t work, bool asked);
