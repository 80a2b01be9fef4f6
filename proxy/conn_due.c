/* conn_due.c - every deadline of a connection, on one timer: the nearest one is set. */
#include "base/base.h"
#include "proxy/conn.h"

#include "proxy/greet.h"
#include "proxy/listen.h"
#include "proxy/share.h"
#include "proxy/worker.h"

enum {
	PARTIAL_LOOK_MS = 5000,
	LINGER_MS = 1000, /* for the peer to read our last words */
};

static struct proxy_config const *config_of(const struct conn *c)
{
	return c->door->listener->config;
}

static int64_t now_of(const struct conn *c)
{
	return loop_now(c->worker->loop);
}

/* ---- When ---- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Attacks R01, R02, W03: half of the time for all handshakes, again half until the first byte of
 * CONNECT, and then what is left of all of it. */
static int64_t greeting_due(const struct conn *c)
{
	int64_t deadline = config_of(c)->connect_deadline;

	if (c->bytes_in)
		return c->since + deadline;
	return (c->transport.settled ? c->heard : c->since) + deadline / 2;
}

static int64_t rate_due(const struct conn *c)
{
	int64_t due = 0;

	for (unsigned i = 0; i < PACE_KINDS; i++) {
		if (c->pace[i].per_second && pace_free(&c->pace[i]) > due)
			due = pace_free(&c->pace[i]);
	}
	return due;
}

/* Attack R03: from here on, a packet on its way must have come at 1 KiB/s. */
static int64_t partial_due(const struct conn *c)
{
	return c->partial_since + config_of(c)->packet_grace;
}

static int64_t open_due(const struct conn *c)
{
	int64_t due = INT64_MAX;

	if (c->keep_alive_ms && !c->hold)
		due = earlier(due, c->heard + c->keep_alive_ms);
	if (c->writing)
		due = earlier(due, c->progress + config_of(c)->write_deadline);
	if (c->partial && !c->hold && !c->behind)
		due = earlier(due, partial_due(c) > now_of(c) ? partial_due(c)
		                                              : now_of(c) + PARTIAL_LOOK_MS);
	if (c->hold & HOLD_RATE)
		due = earlier(due, rate_due(c));
	return due;
}

void conn_timer_arm(struct conn *c)
{
	int64_t due;

	list_del(&c->due);
	switch ((enum conn_state)c->state) {
	case CONN_GREETING:
		due = greeting_due(c);
		break;
	case CONN_AUTH:
	case CONN_OPENING:
		due = c->heard + config_of(c)->answer_deadline;
		break;
	case CONN_OPEN:
		due = open_due(c);
		break;
	default:
		due = c->progress + LINGER_MS;
		break;
	}
	if (due == INT64_MAX)
		timer_stop(&c->timer);
	else
		timer_set(c->worker->loop, &c->timer, due - now_of(c));
}

static bool too_slow(const struct conn *c)
{
	int64_t age = now_of(c) - partial_due(c);

	return c->partial && !c->hold && !c->behind && age > 0 &&
	       (int64_t)c->partial * 1000 < age << 10;
}

static void open_fired(struct conn *c)
{
	int64_t now = now_of(c);

	if (c->writing && now >= c->progress + config_of(c)->write_deadline)
		conn_close(c, END_SLOW_READER);
	else if (c->keep_alive_ms && !c->hold && now >= c->heard + c->keep_alive_ms)
		conn_close(c, END_KEEP_ALIVE);
	else if (too_slow(c))
		conn_close(c, END_SLOW_SENDER);
	else if ((c->hold & HOLD_RATE) && now >= rate_due(c)) {
		conn_go_on_rest(c, HOLD_RATE);
	}
}

void conn_due(struct conn *c)
{
	switch ((enum conn_state)c->state) {
	case CONN_GREETING:
		if (now_of(c) >= greeting_due(c))
			conn_close(c, END_CONNECT_LATE);
		break;
	case CONN_AUTH:
	case CONN_OPENING:
		if (now_of(c) >= c->heard + config_of(c)->answer_deadline)
			greet_refuse(c, RC_SERVER_UNAVAILABLE, "no answer in time");
		break;
	case CONN_OPEN:
		open_fired(c);
		break;
	default:
		conn_finish(c);
		return;
	}
	conn_timer_arm(c);
}

/* Thousands at once must not keep others waiting. */
static void fired(struct timer *t)
{
	share_due(container_of(t, struct conn, timer));
}

void conn_timer_init(struct conn *c)
{
	timer_init(&c->timer, fired);
}
