/* slice.c - how much of something a customer may have done in one turn (slice.h). */
#include "base/base.h"
#include "proxy/slice.h"

enum { DEBT_TURNS = 256 }; /* nobody waits longer for what one packet took */

static uint32_t quantum_of(unsigned busy)
{
	uint32_t each;

	if (busy < 2)
		return SLICE_ALONE;
	each = SLICE_BESIDE / busy;
	return each > SLICE_LEAST ? each : SLICE_LEAST;
}

void slices_next(struct slices *all, int64_t now)
{
	unsigned busy;

	all->turn++;
	if (now - all->since >= SLICE_WINDOW_MS) {
		all->busy_before = now - all->since < 2 * SLICE_WINDOW_MS ? all->busy : 0;
		all->busy = 0;
		all->window++;
		all->since = now;
	}
	busy = all->busy > all->busy_before ? all->busy : all->busy_before;
	all->quantum = quantum_of(busy);
}

/* What was taken beyond a turn's quantum is paid back in the turns that follow. */
void slice_renew(const struct slices *all, struct slice *s)
{
	uint32_t turns = all->turn - s->turn, quantum = slices_quantum(all);
	uint64_t paid = (uint64_t)turns * quantum;

	s->turn = all->turn;
	if (s->spent > (uint64_t)DEBT_TURNS * quantum)
		s->spent = DEBT_TURNS * quantum;
	s->spent = s->spent > paid ? s->spent - (uint32_t)paid : 0;
}
