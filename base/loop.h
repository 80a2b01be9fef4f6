/* loop.h - one event loop per thread over epoll (level-triggered), with a timer wheel and
 * end-of-turn hooks.
 *
 * A turn: wait (RCU-offline) -> ready watches -> due timers -> turn-end hooks -> quiescent state.
 * Nothing in a callback may block. All functions are for the loop's own thread, but loop_stop().
 * The thread that runs a loop is registered with RCU by thread_start() (thread.h). */
#pragma once
#include "base/list.h"

struct loop;
struct buf;

/* ---- File descriptors ---- */
/* HANGUP is always reported, with READ set too.
 *
 * EDGE, asked for beside READ: readiness is told when it comes and not again while it lasts, which
 * saves the kernel a look at every socket that was just emptied. Who did not empty it (what a read
 * gave filled the room) says loop_again(). The end of the stream needs no such care. */
enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4, LOOP_EDGE = 8 };

struct watch { /* embedded in the owner; the owner closes fd itself */
	void (*ready)(struct watch *w, unsigned events);
	int fd;
	unsigned events; /* what is asked for now; 0 = only HANGUP */
};

int loop_watch(struct loop *l, struct watch *w, int fd, unsigned events,
               void (*ready)(struct watch *, unsigned)) MUST_CHECK; /* 0 or -E_* */
/* no system call when nothing changes */
void loop_rewatch(struct loop *l, struct watch *w, unsigned events);
/* what is ready now is told (again) next turn; one system call */
void loop_again(struct loop *l, struct watch *w);
/* safe inside any callback; events already fetched are dropped; twice is fine */
void loop_unwatch(struct loop *l, struct watch *w);

/* ---- Timers: 8 ms ticks, O(1), may fire up to two ticks late, never early. Of very many that are
 * due at once some fire in this turn, and the others, in order, in turns that follow at once ----
 */
struct timer {
	struct list node;
	int64_t due; /* loop time in ms; 0 = not set */
	void (*fire)(struct timer *t);
};

void timer_init(struct timer *t, void (*fire)(struct timer *));
/* (re)starts; in_ms < 0 counts as 0 */
void timer_set(struct loop *l, struct timer *t, int64_t in_ms);
void timer_stop(struct timer *t); /* harmless when not set */
static inline bool timer_is_set(const struct timer *t)
{
	return t->due != 0;
}

/* ---- Work for the end of this turn, once per turn however often it is asked for: flushing,
 * freeing ---- */
struct hook {
	struct list node;
	void (*run)(struct hook *h);
};

void hook_init(struct hook *h, void (*run)(struct hook *));
/* from a hook: runs in this same turn, after the others */
void loop_at_end(struct loop *l, struct hook *h);
/* At the end of the next turn, which does not wait for events: work that was cut into slices. */
void loop_at_next_end(struct loop *l, struct hook *h);
void hook_cancel(struct hook *h);

/* Before it looks for events again, the loop sleeps so long (less than a second), once: what comes
 * meanwhile gathers, and is served by one waking. */
void loop_pause(struct loop *l, unsigned us);
/* For the end of a turn: what this loop has left can wait, and what others on its CPU have may not.
 * After a fraction of a millisecond of such work it sleeps for the shortest time there is. */
void loop_defer(struct loop *l);

/* ---- How long turns take ----
 * From the moment events are there until the next look for them. The longest is kept with the step
 * that took longest in it; a turn over 50 ms is a log line (ev=long-turn), one a second at most.
 * Callbacks say what they do; what they do not say is "event", "timer" or "end" (of the turn). */
/* from here on; static text. Costs a few nanoseconds */
void loop_step(struct loop *l, const char *step);
struct loop_longest {
	uint64_t us;
	const char *step;
	/* The most CPU time of a turn, and the step that took longest in it. On a CPU that others
	 * use too, us is also their time, and often another turn. Up to a millisecond too high,
	 * never more than that turn's us. */
	uint64_t cpu_us;
	const char *cpu_step;
};
struct loop_longest loop_longest(const struct loop *l); /* ever */
struct loop_longest loop_longest_since(struct loop *l); /* since this was asked the last time */
void loop_longest_add(struct loop_longest *to,
                      const struct loop_longest *of); /* of several loops */
/* " longest_turn_us=... longest_turn_step=..." and the rest, for a line of counters */
void loop_longest_text(const struct loop_longest *longest, struct buf *line);
void loop_name(struct loop *l, const char *name); /* for its log lines; borrowed */

/* ---- Life ---- */
int loop_open(struct loop **out) MUST_CHECK;
void loop_run(struct loop *l); /* until loop_stop(); may be run again */
/* one turn, waiting at most so long; tests and shutdown */
void loop_turn(struct loop *l, int64_t most_ms);
void loop_stop(struct loop *l);         /* any thread and signal handlers */
void loop_close(struct loop **l);       /* watches and timers must be gone or never touched again */
int64_t loop_now(const struct loop *l); /* monotonic ms at the start of this turn */
int64_t loop_wall(const struct loop *l);   /* wall-clock ms at the start of this turn */
uint64_t loop_turns(const struct loop *l); /* so many have begun */
