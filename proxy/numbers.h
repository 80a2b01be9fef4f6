/* numbers.h - what mbus-proxy has counted, as one line of its log: when it ends (ev=end), and
 * whenever somebody asks by SIGUSR2 (ev=numbers), with the same words. Quotas that were exceeded
 * are a line of their own (ev=over-quota). longest_turn_us: the longest turn of a worker's loop
 * since the line before (ev=end: ever), and the step that took longest in it. */
#pragma once
#include "base/base.h"

struct worker;

#define NUMBERS_NO_CERTIFICATE INT64_MAX

/* Main thread. certificate_s: seconds until the first certificate in force ends, negative when it
 * has; NUMBERS_NO_CERTIFICATE: there is none. worker: borrowed, as long as workers live. */
/* the workers' threads have ended, or never were; some may be NULL */
void numbers_end(struct worker *const *worker, unsigned count, int64_t certificate_s);
/* The workers run: each adds its own in its turn, the last one writes. Nothing is written when they
 * end before that, or without memory, which is told. They are freed in this order. */
void numbers_now(struct worker *const *worker, unsigned count, int64_t certificate_s);
