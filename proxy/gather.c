/* gather.c - how long to let work gather (gather.h). */
#include "base/base.h"
#include "proxy/gather.h"

enum {
	SHARE = 16, /* of his own rhythm that a client is made to wait at most */
	/* Who sends faster than SHARE * GATHER_MOST_US is heard in every window. */
	WINDOW_MS = SHARE * GATHER_MOST_US / 1000,
	OFTEN = 3 * WINDOW_MS, /* turns in a window: 3,000 a second */
	LITTLE = 16,           /* reads and writes of a turn */
	/* The core answers within a turn or two, if anybody wants the message at all. */
	ASKED_MOST = 4,
};

static void window_begin(struct gather *g, int64_t now)
{
	g->since = now;
	g->now = (struct gather_window){ .bearable = g->most };
}

static void window_move(struct gather *g, int64_t now)
{
	int64_t age = now - g->since;

	if (age < WINDOW_MS)
		return;
	g->last = g->now;
	window_begin(g, now);
	if (age >= 2 * WINDOW_MS) /* nothing happened for long */
		g->last = g->now;
}

void gather_init(struct gather *g, unsigned most_us, int64_t now)
{
	MUST(most_us <= GATHER_MOST_US);
	*g = (struct gather){ .most = most_us };
	window_begin(g, now);
	g->last = g->now;
}

void gather_heard(struct gather *g, int64_t ago_ms)
{
	unsigned bearable = ago_ms < WINDOW_MS ? (unsigned)ago_ms * 1000 / SHARE : g->most;

	if (bearable < g->now.bearable)
		g->now.bearable = bearable;
}

unsigned gather_pause(struct gather *g, int64_t now, uint64_t work, bool asked)
{
	if (g->most == 0)
		return 0;
	window_move(g, now);
	g->now.turns++;
	if (asked && g->asked < ASKED_MOST) {
		g->asked++;
		return 0;
	}
	g->asked = 0;
	if (work >= LITTLE || (g->now.turns < OFTEN && g->last.turns < OFTEN))
		return 0;
	return g->now.bearable < g->last.bearable ? g->now.bearable : g->last.bearable;
}
