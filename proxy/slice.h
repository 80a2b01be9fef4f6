/* slice.h - how much of something a customer may have done in one turn of its worker. Pure: the
 * clock is given.
 *
 * Work is counted in units, about what a small PUBLISH costs (a microsecond). A customer that is
 * alone on its worker gets so many a turn that batches stay as large as they were; as soon as a
 * second one is active, each gets few, so that nobody waits long for a neighbour. Who took too much
 * at once (a packet is not divided) waits as many turns as it took. */
#pragma once
#include "base/base.h"

enum {
	SLICE_ALONE = 1024,
	/* of two; of many each gets an equal part of it, but at least the second */
	SLICE_BESIDE = 512,
	SLICE_LEAST = 8,
	SLICE_WINDOW_MS = 500, /* who was active in this window or the last one counts */
	/* what things cost */
	SLICE_PACKET = 1,     /* and as much again for each... */
	SLICE_BYTES = 512,    /* ... of bytes */
	SLICE_READ = 2,       /* a receive */
	SLICE_SEND = 12,      /* a send */
	SLICE_END = 16,       /* the end of a connection: its lines and records */
	SLICE_COPY = 4096,    /* bytes of a message, per client */
	SLICE_ENTRY = 1,      /* a delivery to one client */
	SLICE_FILTER = 4,     /* of SUBSCRIBE or UNSUBSCRIBE */
	SLICE_MOST = 1 << 20, /* of anything: no product overflows */
	SLICE_ACCEPT = 16,    /* a connection */
	SLICE_CONNECT = 48,   /* a CONNECT, verdict and answer included */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	SLICE_US =
	    8, /* microseconds of one unit: under a sanitizer everything takes so much longer */
#else
	SLICE_US = 1,
#endif
};

struct slices { /* a worker's clock of turns; zeroed is fine */
	uint32_t turn, window;
	int64_t since; /* ms: the window began */
	unsigned busy, busy_before;
	uint32_t quantum; /* 0 before the first turn: SLICE_ALONE */
};

struct slice { /* one customer's, of one kind of work; zeroed is fine */
	uint32_t turn, spent;
};

/* Units of our own work that was measured by the clock; OpenSSL is not built with sanitizers. */
static inline uint32_t slice_of_us(int64_t us)
{
	return (uint32_t)(us / SLICE_US);
}

/* The next turn begins. */
void slices_next(struct slices *all, int64_t now);
/* A customer does something; *window is its own mark. */
static inline void slices_busy(struct slices *all, uint32_t *window)
{
	if (*window == all->window + 1)
		return;
	*window = all->window + 1;
	all->busy++;
}

static inline uint32_t slices_quantum(const struct slices *all)
{
	return all->quantum ? all->quantum : SLICE_ALONE;
}

/* Customers that did something in this window or the last one. */
static inline unsigned slices_active(const struct slices *all)
{
	return all->busy > all->busy_before ? all->busy : all->busy_before;
}

static inline bool slices_contended(const struct slices *all)
{
	return slices_quantum(all) < SLICE_ALONE;
}

void slice_renew(const struct slices *all, struct slice *s);

/* May it have more done in this turn? */
static inline bool slice_open(const struct slices *all, struct slice *s)
{
	if (s->turn != all->turn)
		slice_renew(all, s);
	return s->spent < slices_quantum(all);
}

static inline void slice_charge(const struct slices *all, struct slice *s, uint32_t units)
{
	if (s->turn != all->turn)
		slice_renew(all, s);
	s->spent = units < UINT32_MAX - s->spent ? s->spent + units : UINT32_MAX;
}

/* Both at once: units were taken; may it have more done in this turn? */
static inline bool slice_spend(const struct slices *all, struct slice *s, uint32_t units)
{
	slice_charge(all, s, units);
	return s->spent < slices_quantum(all);
}
