/* drain.c - letting clients go (drain.h). */
#include "base/base.h"
#include "proxy/drain.h"

#include "base/log.h"
#include "proxy/conn.h"
#include "proxy/greet.h"
#include "proxy/worker.h"

enum {
	STOP_MS = 3000, /* for last words to be heard */
	STEP_MS = 100,
};

/* ---- What they are told ---- */

static bool refers(const struct worker *w)
{
	return w->config->drain_reference && *w->config->drain_reference;
}

static unsigned moved(const struct worker *w)
{
	return w->config->drain_moved ? RC_SERVER_MOVED : RC_USE_ANOTHER_SERVER;
}

void drain_reference(const struct worker *w, unsigned reason, struct mqtt_props *props)
{
	if ((reason != RC_USE_ANOTHER_SERVER && reason != RC_SERVER_MOVED) || !refers(w))
		return;
	props->has |= UINT64_C(1) << PROP_SERVER_REFERENCE;
	props->server_reference = str_c(w->config->drain_reference);
}

static void let_go(struct conn *c)
{
	const struct worker *w = c->worker;

	if (c->state == CONN_AUTH || c->state == CONN_OPENING)
		greet_refuse(c,
		             refers(w) && c->version >= MQTT_V5 ? moved(w) : RC_SERVER_UNAVAILABLE,
		             "server shutting down");
	else if (refers(w) && c->version >= MQTT_V5)
		conn_close_with(c, END_MOVED, moved(w), NULL);
	else
		conn_close(c, END_SHUTDOWN);
}

/* ---- All at once ---- */

static void stop_now(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, stop_timer);
	struct conn *c;

	list_each(c, &w->conns, struct conn, node) {
		conn_close(c, END_SHUTDOWN);
		c->done = true;
		conn_touch(c);
	}
	worker_touch(w);
}

static void close_doors(struct worker *w, bool shared)
{
	for (unsigned i = 0; i < w->doors; i++) {
		if (!shared)
			door_empty(&w->door[i]);
		door_close(&w->door[i]);
	}
}

static void stop(struct worker *w)
{
	struct conn *c;

	if (w->stopping)
		return;
	w->stopping = true;
	timer_stop(&w->drain_timer);
	timer_set(w->loop, &w->stop_timer, STOP_MS);
	list_each(c, &w->conns, struct conn, node)
		let_go(c);
	worker_touch(w);
}

static void stop_run(struct inbox_item *item)
{
	struct worker *w = container_of(item, struct worker, stop_item);

	close_doors(w, w->draining);
	stop(w);
}

void worker_stop(struct worker *w)
{
	w->stop_item.run = stop_run;
	inbox_push(w->inbox, &w->stop_item);
}

/* ---- Some in each second ---- */

/* Who is still on his way in has deadlines of his own, and is sent away when he is in: a client
 * that was accepted a moment ago gets an answer, not a closed socket. */
static struct conn *oldest(const struct worker *w)
{
	struct conn *c;

	list_each(c, &w->conns, struct conn, node) {
		if (c->state == CONN_OPEN)
			return c;
	}
	return NULL;
}

static void step(struct timer *t)
{
	struct worker *w = container_of(t, struct worker, drain_timer);
	int64_t age = loop_now(w->loop) - w->drain_since;
	uint64_t due =
	    (uint64_t)(age + STEP_MS) * (uint64_t)w->config->drain_rate / 1000 / w->crew->workers;
	struct conn *c;

	if (w->order.deadline_ms && age >= w->order.deadline_ms) {
		stop(w);
		return;
	}
	/* the first of all is not kept waiting by a rate below ten a second */
	for (due += w->config->drain_rate != 0; w->drained < due && (c = oldest(w)); w->drained++)
		let_go(c);
	timer_set(w->loop, t, STEP_MS);
	worker_touch(w);
}

static void drain_run(struct inbox_item *item)
{
	struct worker *w = container_of(item, struct worker, drain_item);

	w->draining = true;
	close_doors(w, w->order.shared);
	LOG_INFO("", "draining", "worker=%u connections=%zu", w->index, w->conn_count);
	w->drain_since = loop_now(w->loop);
	if (w->config->drain_rate == 0 && w->order.deadline_ms)
		stop(w);
	else
		step(&w->drain_timer);
}

void worker_drain(struct worker *w, const struct drain_order *order)
{
	w->order = *order;
	w->drain_item.run = drain_run;
	inbox_push(w->inbox, &w->drain_item);
}

void drain_look(struct worker *w)
{
	if (w->draining && w->conn_count == 0)
		stop(w);
}

void drain_init(struct worker *w)
{
	timer_init(&w->drain_timer, step);
	timer_init(&w->stop_timer, stop_now);
}
