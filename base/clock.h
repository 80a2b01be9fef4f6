/* clock.h - the two clocks. Timers and keep-alive run on the monotonic one (attack O10); the wall
 * clock is for people, token expiry and records. Tests shift both. Any thread. */
#pragma once
#include "base/base.h"

int64_t clock_mono_ms(void);   /* milliseconds, never goes back */
int64_t clock_mono_us(void);   /* the same clock in microseconds */
int64_t clock_thread_us(void); /* CPU time of the calling thread; a system call */
int64_t clock_wall_ms(void);   /* milliseconds since 1970 */
void clock_shift(int64_t mono_ms, int64_t wall_ms); /* tests: added to what the system says */
