/* When a thread that runs a loop is patient: a batch thread while it is busy. */
#include "tests/kit/kit.h"

#include <sched.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/thread.h"

enum { WINDOW = 100000 };

static void a_thread_is_busy_when_it_works_a_quarter_of_the_time(void)
{
	NO(thread_busy(false, WINDOW, WINDOW / 4 - 1, 1));
	YES(thread_busy(false, WINDOW, WINDOW / 4, 1));
}

static void a_thread_is_busy_when_it_is_woken_two_thousand_times_a_second(void)
{
	NO(thread_busy(false, WINDOW, 0, 199));
	YES(thread_busy(false, WINDOW, 0, 200));
	NO(thread_busy(false, 10 * WINDOW, 0, 200));
}

static void it_stays_busy_until_it_has_half_as_much_to_do(void)
{
	YES(thread_busy(true, WINDOW, WINDOW / 8, 1));
	YES(thread_busy(true, WINDOW, 0, 100));
	NO(thread_busy(true, WINDOW, WINDOW / 8 - 1, 99));
}

static struct loop *loop;
static int idle, busy, idle_again;

static void work(int64_t us)
{
	for (int64_t end = clock_mono_us() + us; clock_mono_us() < end;) {
	}
}

/* Turns of so many us of work and of rest. */
static void turns(unsigned n, int64_t work_us, int64_t rest_ms)
{
	while (n--) {
		loop_turn(loop, rest_ms);
		work(work_us);
	}
}

/* On a machine that others keep busy, a tenth of a second may give it little of the CPU. */
static int until(int policy, unsigned n, int64_t work_us, int64_t rest_ms)
{
	for (unsigned i = 0; i < 100 && sched_getscheduler(0) != policy; i++)
		turns(n, work_us, rest_ms);
	return sched_getscheduler(0);
}

static void life(void *arg)
{
	(void)arg;
	turns(30, 0, 10);
	idle = until(SCHED_OTHER, 30, 0, 10);
	busy = until(SCHED_BATCH, 200, 1000, 0);
	idle_again = until(SCHED_OTHER, 30, 0, 10);
}

static void a_thread_is_a_batch_thread_while_it_is_busy(void)
{
	struct thread *t;

	IS(loop_open(&loop), 0);
	IS(thread_start(&t, "test", life, NULL), 0);
	thread_join(&t);
	loop_close(&loop);
	IS(idle, SCHED_OTHER);
	IS(busy, SCHED_BATCH);
	IS(idle_again, SCHED_OTHER);
}

RUN(a_thread_is_busy_when_it_works_a_quarter_of_the_time,
    a_thread_is_busy_when_it_is_woken_two_thousand_times_a_second,
    it_stays_busy_until_it_has_half_as_much_to_do, a_thread_is_a_batch_thread_while_it_is_busy)
