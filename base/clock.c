/* clock.c - both clocks are read through the vDSO, without a system call.
 * CLOCK_MONOTONIC, not BOOTTIME: after a suspend nobody's keep-alive has run out (attack O10). */
#include "base/base.h"
#include "base/clock.h"

#include <time.h>

static int64_t shift_mono, shift_wall; /* any thread, relaxed; only tests write */

static int64_t read_us(clockid_t clock)
{
	struct timespec t;

	MUST(clock_gettime(clock, &t) == 0);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC) + __atomic_load_n(&shift_mono, __ATOMIC_RELAXED) * 1000;
}

int64_t clock_thread_us(void)
{
	return read_us(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

int64_t clock_wall_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000 + __atomic_load_n(&shift_wall, __ATOMIC_RELAXED);
}

void clock_shift(int64_t mono_ms, int64_t wall_ms)
{
	__atomic_store_n(&shift_mono, mono_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&shift_wall, wall_ms, __ATOMIC_RELAXED);
}
