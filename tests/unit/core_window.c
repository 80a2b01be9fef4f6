/* core_window.c - a client comes back and takes less than it did: what was under way comes again as
 * it acknowledges, and an acknowledgement costs the same however much that is. */
#include "tests/unit/core_help.h"

#include <time.h>

enum { MANY = 60000, WINDOW = 30000 };

static struct client a, p;
static unsigned delivered;
static uint16_t last;

/* Too many to be noted. */
static void deliver_quietly(struct port *port, struct msg *m, const struct port_send *how)
{
	(void)port;
	(void)m;
	delivered++;
	last = how->packet_id;
}

static struct port_ops quiet;

static void open_a(uint16_t window)
{
	a = (struct client){ 0 };
	OPEN(&a, .id = "a", .expiry = 60, .window = window);
}

static double cpu_seconds(void)
{
	struct timespec t;

	MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void an_acknowledgement_costs_the_same_however_much_is_under_way(void)
{
	double since;

	world_begins();
	config.window_max = UINT16_MAX;
	config.queue_bytes = 1 << 30;
	open_a(UINT16_MAX);
	OPEN(&p, .id = "p");
	SUBBED(&a, "t", .opts = 1);
	quiet = fake_ops;
	quiet.deliver = deliver_quietly;
	a.port.ops = &quiet;
	for (unsigned i = 1; i <= MANY; i++) {
		PUB(&p, "t", "m", 1, 1);
		p.n = 0;
	}
	IS(delivered, MANY);
	session_close(&a.port, 0, 0);
	delivered = 0;
	YES(open_with(&a, (struct terms){ .id = "a", .expiry = 60, .window = WINDOW }));
	a.port.ops = &quiet;
	session_resume(&a.port);
	IS(delivered, WINDOW);
	since = cpu_seconds();
	for (unsigned i = 1; i <= WINDOW; i++) {
		ACK(&a, PUBACK, (uint16_t)i);
		MUST(delivered == WINDOW + i && last == WINDOW + i); /* in order */
	}
	YES(cpu_seconds() - since < 0.3);
	for (unsigned i = WINDOW + 1; i <= MANY; i++)
		ACK(&a, PUBACK, (uint16_t)i);
	IS(a.port.session->live + a.port.session->again, 0);
	session_close(&a.port, 0, 0);
	session_close(&p.port, 0, 0);
	world_ends();
}

RUN(an_acknowledgement_costs_the_same_however_much_is_under_way)
