/* breaker.c - counts failures of an endpoint and decides when it is left alone (breaker.h). */
#include "base/base.h"
#include "proxy/breaker.h"

enum breaker_says breaker_says(const struct breaker *b, int64_t now)
{
	switch (b->state) {
	case BREAKER_CLOSED:
		return BREAKER_GO;
	case BREAKER_OPEN:
		return now >= b->retry_at ? BREAKER_GO : BREAKER_STOP;
	case BREAKER_PROBING:
		return BREAKER_WAIT;
	}
	MUST(false);
	return BREAKER_STOP;
}

static void become(struct breaker *b, enum breaker_state state)
{
	b->state = state;
	b->round++;
}

uint32_t breaker_start(struct breaker *b)
{
	MUST(b->state != BREAKER_PROBING); /* breaker_says() said WAIT then */
	if (b->state == BREAKER_OPEN)
		become(b, BREAKER_PROBING);
	return b->round;
}

static void trip(struct breaker *b, int64_t now, uint32_t random)
{
	int64_t pause = BREAKER_PAUSE_MS;

	for (unsigned i = 0; i < b->in_row && pause < BREAKER_PAUSE_MAX_MS; i++)
		pause *= 2;
	if (b->in_row < UINT8_MAX)
		b->in_row++;
	pause += (int64_t)(random % (uint32_t)(pause / 4 + 1));
	b->retry_at = now + pause;
	become(b, BREAKER_OPEN);
}

bool breaker_result(struct breaker *b, uint32_t round, bool ok, int64_t now, uint32_t random)
{
	if (round != b->round)
		return false;
	MUST(b->state != BREAKER_OPEN); /* opening began a new round */
	if (b->state == BREAKER_PROBING) {
		if (!ok) {
			trip(b, now, random);
			return true;
		}
		b->failures = 0;
		b->in_row = 0;
		become(b, BREAKER_CLOSED);
		return false;
	}
	b->failures = (uint16_t)((b->failures << 1 | !ok) & ((1u << BREAKER_WINDOW) - 1));
	if (__builtin_popcount(b->failures) < BREAKER_TRIP)
		return false;
	trip(b, now, random);
	return true;
}
