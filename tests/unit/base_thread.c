/* When a thread that runs a loop is patient: a batch thread while it is busy. When one gives way.
 */
#include "tests/kit/kit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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

/* ---- Giving way ---- */
static _Thread_local unsigned yields;

/* The C library's, counted. */
int sched_yield(void)
{
	yields++;
	return (int)syscall(SYS_sched_yield);
}

static atomic_bool ended;

static void *spin(void *arg)
{
	while (!atomic_load(&ended)) {
	}
	return arg;
}

/* This thread, and one that never sleeps, on one CPU. */
static void share_a_cpu(pthread_t *other, cpu_set_t *before)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	IS(pthread_getaffinity_np(pthread_self(), sizeof(*before), before), 0);
	IS(pthread_setaffinity_np(pthread_self(), sizeof(one), &one), 0);
	atomic_store(&ended, false);
	IS(pthread_create(other, NULL, spin, NULL), 0);
}

static void leave_it(pthread_t other, const cpu_set_t *before)
{
	atomic_store(&ended, true);
	IS(pthread_join(other, NULL), 0);
	IS(pthread_setaffinity_np(pthread_self(), sizeof(*before), before), 0);
}

static void a_thread_gives_way_when_it_used_the_cpu_for_a_while(void)
{
	thread_give_way();
	yields = 0;
	for (int i = 0; i < 20; i++) {
		for (int64_t end = clock_thread_us() + 400; clock_thread_us() < end;) {
		}
		thread_give_way();
	}
	IS(yields, 20);
}

/* By the clock it did, at each of 300 calls, and used 2 ms of the CPU in a second. */
static void it_gives_way_no_more_often_where_others_keep_the_cpu_busy(void)
{
	pthread_t other;
	cpu_set_t before;
	int64_t begin, used;

	share_a_cpu(&other, &before);
	begin = clock_thread_us();
	yields = 0;
	for (int i = 0; i < 300; i++) {
		struct timespec moment = { .tv_nsec = 1 };

		/* now and then the other one has the CPU */
		if (i % 10 == 0)
			(void)nanosleep(&moment, NULL);
		thread_give_way();
	}
	used = clock_thread_us() - begin;
	leave_it(other, &before);
	YES(yields <= used / 300 + 1);
}

RUN(a_thread_is_busy_when_it_works_a_quarter_of_the_time,
    a_thread_is_busy_when_it_is_woken_two_thousand_times_a_second,
    it_stays_busy_until_it_has_half_as_much_to_do, a_thread_is_a_batch_thread_while_it_is_busy,
    a_thread_gives_way_when_it_used_the_cpu_for_a_while,
    it_gives_way_no_more_often_where_others_keep_the_cpu_busy)
