/* pace.c - how much of something one connection may do per second (pace.h). */
#include "base/base.h"
#include "proxy/pace.h"

enum { BURST_US = PACE_BURST_S * 1000000 };
enum { MOST = 1 << 30 }; /* of one take: no product below overflows */

bool pace_take(struct pace *p, uint64_t n, int64_t now)
{
	int64_t now_us = now * 1000;

	if (p->per_second == 0)
		return false;
	if (p->due < now_us)
		p->due = now_us;
	if (p->due - now_us < BURST_US / 2)
		p->since = 0;
	p->due += (int64_t)(n < MOST ? n : MOST) * 1000000 / p->per_second;
	if (p->due <= now_us + BURST_US)
		return false;
	if (p->since == 0)
		p->since = now;
	return true;
}

int64_t pace_free(const struct pace *p)
{
	return p->due / 1000 - PACE_BURST_S * 1000 + PACE_STEP_MS;
}

int64_t pace_over(const struct pace *p, int64_t now)
{
	return p->since ? now - p->since : 0;
}
