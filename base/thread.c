/* thread.c - threads that are ours: named, deaf to signals (the main thread takes them), known to
 * RCU. */
#include "base/base.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rcu.h"

struct thread {
	pthread_t id;
	void (*main)(void *arg);
	void *arg;
	char name[16]; /* the kernel's limit */
};

/* ---- Patience ----
 * A busy loop that is woken finishes nothing sooner by interrupting who woke it: a worker that has
 * written to the core would be put aside between two of its own writes, and back again, for every
 * batch (docs/performance.md). As a batch thread it waits until the other one sleeps or its slice
 * ends. A loop with little to do has no batches, only somebody who waits: it is an ordinary thread,
 * which runs as soon as it is woken. Without either everything works, only dearer or later. */
enum {
	WINDOW_US = 100000,
	/* one of them is busy; and idle only when it is below half of both */
	BUSY_PART = 4,     /* of a window's time on the CPU */
	BUSY_TURNS = 2000, /* per second */
};

static _Thread_local struct {
	bool ours, patient;
	int64_t since_us, cpu_us; /* the window began */
	unsigned turns;
} me;

bool thread_busy(bool was, int64_t window_us, int64_t used_us, unsigned turns)
{
	int64_t part = was ? 2 * BUSY_PART : BUSY_PART;
	int64_t most = was ? BUSY_TURNS / 2 : BUSY_TURNS;

	return used_us * part >= window_us || (int64_t)turns * 1000000 >= most * window_us;
}

static void look(int64_t now_us)
{
	struct sched_param none = { 0 };
	int64_t used = clock_thread_us();
	bool busy = thread_busy(me.patient, now_us - me.since_us, used - me.cpu_us, me.turns);

	if (busy != me.patient)
		(void)pthread_setschedparam(pthread_self(), busy ? SCHED_BATCH : SCHED_OTHER,
		                            &none);
	me.patient = busy;
	me.since_us = now_us;
	me.cpu_us = used;
	me.turns = 0;
}

void thread_turn(int64_t now_us)
{
	me.turns++;
	if (me.ours && now_us - me.since_us >= WINDOW_US)
		look(now_us);
}

/* By the thread's own time on the CPU: where others keep the CPU busy, the clock is ahead whenever
 * the thread comes back, and by the clock it would give way again at once, time after time. The
 * clock only tells, cheaply, when it cannot have been that long. */
void thread_give_way(void)
{
	enum { PIECE_US = 300 };
	static _Thread_local int64_t looked_us, gave_us;
	int64_t now = clock_mono_us(), used;

	if (now - looked_us < PIECE_US)
		return;
	looked_us = now;
	used = clock_thread_us();
	if (used - gave_us < PIECE_US)
		return;
	gave_us = used;
	(void)sched_yield();
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	me.ours = true;
	(void)pthread_setname_np(pthread_self(), t->name);
	rcu_thread_enter();
	t->main(t->arg);
	rcu_thread_leave();
	return NULL;
}

int thread_start(struct thread **out, const char *name, void (*main)(void *arg), void *arg)
{
	struct thread *t = mem_zalloc(sizeof(*t));
	sigset_t all, before;
	int number;

	if (!t)
		return -E_NOMEM;
	t->main = main;
	t->arg = arg;
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	/* The new thread inherits the mask, so there is no moment in which it could take a signal.
	 */
	(void)sigfillset(&all);
	MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	number = pthread_create(&t->id, NULL, thread_main, t);
	MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	if (number) {
		mem_free(t);
		return number == EAGAIN ? -E_LIMIT : -E_IO;
	}
	*out = t;
	return 0;
}

void thread_join(struct thread **slot)
{
	struct thread *t = *slot;

	*slot = NULL;
	if (!t)
		return;
	rcu_sleep();
	MUST(pthread_join(t->id, NULL) == 0);
	rcu_wake();
	mem_free(t);
}
