/* breaker.h - a circuit breaker: when an endpoint fails, stop asking it for a while, then try with
 * one request. Pure: the clock and the randomness are given. What counts as a failure: no answer, a
 * broken or late one, 408 and 5xx (auth_http.h); never a "no", nor an answer that makes no sense,
 * because strangers can cause both.
 *
 *   CLOSED --5 of the last 10 failed--> OPEN --after 1..5 s--> PROBING --yes--> CLOSED
 *                                        ^---------- no -----------'
 *
 * The pause starts at 1 s (so a flapping endpoint cannot make it swing faster), doubles with each
 * failed probe up to 4 s, and gets up to 25 % on top, so that many proxies do not knock together.
 */
#pragma once
#include "base/base.h"

enum {
	BREAKER_WINDOW = 10,
	BREAKER_TRIP = 5,
	BREAKER_PAUSE_MS = 1000,
	BREAKER_PAUSE_MAX_MS = 4000
};
enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };
enum breaker_says {
	BREAKER_GO,   /* start a request: breaker_start */
	BREAKER_WAIT, /* the probe is under way: its answer decides */
	/* answer "unavailable" at once; try again at retry_at */
	BREAKER_STOP,
};

struct breaker { /* zeroed = closed, nothing known */
	enum breaker_state state;
	/* counts changes of state: answers to requests of an earlier round say nothing about this
	 * one */
	uint32_t round;
	uint16_t failures; /* bit per result, the last in bit 0 */
	uint8_t in_row;    /* times opened without a success in between */
	int64_t retry_at;
};

enum breaker_says breaker_says(const struct breaker *b, int64_t now);
uint32_t breaker_start(struct breaker *b); /* after GO; the round to give to breaker_result */
/* True when this result opened it. random: any 32 bits. */
bool breaker_result(struct breaker *b, uint32_t round, bool ok, int64_t now, uint32_t random);
