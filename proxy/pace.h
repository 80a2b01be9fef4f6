/* pace.h - how much of something one connection may do per second (attacks R14, R18). Over it the
 * connection is not read for a while: nothing is lost, and nobody is sent away at once. Pure: the
 * clock is given. */
#pragma once
#include "base/base.h"

enum {
	PACE_BURST_S = 5,
	/* once paused, so much becomes free before it goes on: few pauses, each worth its cost */
	PACE_STEP_MS = 200,
};

struct pace { /* zeroed: any rate */
	uint32_t per_second;
	int64_t due;   /* microseconds: when all of the burst is free again */
	int64_t since; /* ms: it has been over its rate since then; 0 = it is not */
};

/* Counts n more. True: over the burst, do not read until pace_free. */
bool pace_take(struct pace *p, uint64_t n, int64_t now);
/* ms: when to read again */
int64_t pace_free(const struct pace *p);
/* ms that it has been over its rate without a break (half of the burst free again) */
int64_t pace_over(const struct pace *p, int64_t now);
