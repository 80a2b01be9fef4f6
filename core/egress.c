/* egress.c - a customer's budget of bytes per second towards its clients (attack R16): one small
 * PUBLISH to a hundred thousand of them is much for everybody else too. A bucket that holds a
 * second's worth. While it is empty all clients of the customer count as paused: QoS 0 is dropped
 * and counted, QoS 1 and 2 wait in their queues, retained messages are not sent. Who waits is
 * served in the order of coming when there is room again. */
#include "base/base.h"
#include "core/session.h"

enum {
	BURST_US = 1000000,
	PUMP_UNITS = 10,
	STEP_US = 100000, /* so much becomes free before it goes on: few wake-ups, each worth it */
};

static bool pump(struct work *w)
{
	struct customer *c = container_of(w, struct customer, egress_work);
	struct session *s;

	home_changed(c->home);
	while (!c->egress_over && (s = list_first(&c->held, struct session, place))) {
		list_del(&s->place);
		work_spend(c->home, PUMP_UNITS);
		out_pump(s);
		if (work_over(c->home))
			break;
	}
	return !c->egress_over && !list_empty(&c->held);
}

static void pumped(struct work *w)
{
	(void)w;
}

/* Those who wait may be many: a job. */
static void room_again(struct timer *t)
{
	struct customer *c = container_of(t, struct customer, egress_timer);

	c->egress_over = false;
	if (list_empty(&c->egress_work.node))
		work_add(c, &c->egress_work);
}

void egress_later(struct session *s)
{
	struct customer *c = s->customer;

	if (list_empty(&s->place))
		list_add_tail(&c->held, &s->place);
	if (list_empty(&c->egress_work.node))
		work_add(c, &c->egress_work);
}

void egress_init(struct customer *c)
{
	list_init(&c->held);
	timer_init(&c->egress_timer, room_again);
	c->egress_work = (struct work){ .step = pump, .drop = pumped };
	list_init(&c->egress_work.node);
}

void egress_count(struct customer *c, size_t bytes)
{
	int64_t now = home_now(c->home) * 1000;

	if (c->egress_due < now)
		c->egress_due = now;
	/* a message has less than 2^32 bytes */
	c->egress_due += (int64_t)bytes * 1000000 / c->egress;
	if (c->egress_over || c->egress_due <= now + BURST_US)
		return;
	c->egress_over = true;
	c->home->counters.egress_pauses++;
	timer_set(c->home->loop, &c->egress_timer,
	          (c->egress_due - now - BURST_US + STEP_US) / 1000 + 1);
}

void egress_hold(struct session *s)
{
	if (s->customer->egress_over && s->port && list_empty(&s->place))
		list_add_tail(&s->customer->held, &s->place);
}
