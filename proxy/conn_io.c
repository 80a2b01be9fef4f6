/* conn_io.c - the bytes of a connection: one receive when it is readable, one send at the end of
 * the turn. An idle connection holds no buffer. */
#include "base/base.h"
#include "proxy/conn.h"

#include "base/clock.h"
#include "proxy/finish.h"
#include "proxy/gate.h"
#include "proxy/greet.h"
#include "proxy/listen.h"
#include "proxy/partial.h"
#include "proxy/quotas.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"

enum {
	/* so much is sent at once: one great message to many must not lie here many times */
	EAGER = 64 << 10,
};

static struct proxy_config const *config_of(const struct conn *c)
{
	return c->door->listener->config;
}

static int64_t now_of(const struct conn *c)
{
	return loop_now(c->worker->loop);
}

/* Plain bytes are the socket's own: what was read tells whether it is empty. */
static bool bare(const struct conn *c)
{
	return c->transport.ops == &transport_tcp;
}

/* A read that filled the room has left something. */
static void read_on(struct conn *c, struct str plain)
{
	if (bare(c) && unlikely(plain.n == TRANSPORT_READ))
		loop_again(c->worker->loop, &c->watch);
}

static void watch_again(struct conn *c)
{
	unsigned events = 0;

	if (c->done)
		return;
	if (c->lingering ? !c->linger_waits : !c->hold)
		events |= LOOP_READ;
	if (c->writing)
		events |= LOOP_WRITE;
	if (bare(c))
		events |= LOOP_EDGE;
	loop_rewatch(c->worker->loop, &c->watch, events);
}

void conn_finish(struct conn *c)
{
	c->done = true;
	timer_stop(&c->timer);
	list_del(&c->due);
	loop_unwatch(c->worker->loop, &c->watch);
	conn_touch(c);
}

void conn_touch(struct conn *c)
{
	share_dirty(c);
}

struct buf *conn_out(struct conn *c)
{
	if (c->state == CONN_CLOSING)
		return worker_sink(c->worker);
	conn_touch(c);
	if (!c->out.p)
		worker_buf_take(c->worker, &c->out);
	return &c->out;
}

/* ---- Reading ---- */

/* What has not wholly come is charged to its customer, or address: many clients may each begin a
 * great packet (attack R02). */
static void charge_partial(struct conn *c, bool progressed)
{
	size_t before = c->partial, n = buf_len(&c->in) + c->transport.partial;

	if (c->state == CONN_CLOSING)
		return;
	if (partial_set(c, n)) {
		conn_close(c, END_MEMORY);
		return;
	}
	if (c->partial == 0)
		return;
	if (progressed || before == 0)
		c->partial_since = now_of(c);
	if (before == 0)
		conn_timer_arm(c);
}

/* The slice of its customer was used up in the midst of what one read brought. */
static bool is_behind(const struct conn *c, enum feed answer)
{
	return answer == FEED_HOLD && buf_len(&c->in) && c->state != CONN_CLOSING &&
	       !(c->hold & HOLD_PACKETS);
}

static void fed(struct conn *c, enum feed answer, uint64_t frames_before)
{
	c->behind = is_behind(c, answer);
	if (c->behind)
		share_wait(c, true);
	if (answer == FEED_NOMEM)
		conn_close(c, END_MEMORY);
	MUST(answer != FEED_BAD || c->state == CONN_CLOSING); /* the gate has said why */
	charge_partial(c, c->frames_in != frames_before);
}

static void read_failed(struct conn *c, int err)
{
	switch (err) {
	case -E_AGAIN:
		break;
	case -E_CLOSED:
		conn_close(c, END_GONE);
		break;
	case -E_INVALID:
	case -E_DENIED:
		c->said_end = c->transport.held > 0; /* an alert, a page, a refusal */
		conn_close(c, err == -E_INVALID ? END_TRANSPORT : END_ANSWERED);
		break;
	default:
		conn_close(c, END_SOCKET);
		break;
	}
}

/* One read of the transport. Its handshakes have their part of the time for CONNECT. */
static int read_plain(struct conn *c, struct str *plain)
{
	struct transport *t = &c->transport;
	bool settled = t->settled;
	int64_t since = bare(c) ? 0 : clock_mono_us();
	int err = t->ops->read(t, c->watch.fd, c->worker->room, plain);

	/* handshakes; and thousands of records or frames may bring a byte each (attack W22) */
	if (!bare(c))
		share_charge(c, (uint32_t)(clock_mono_us() - since));
	if (unlikely(t->held))
		conn_touch(c);
	if (unlikely(settled != t->settled)) {
		c->heard = now_of(c);
		conn_timer_arm(c);
	}
	return err;
}

/* The stream ended behind what was read: that comes first. */
static void ended(struct conn *c)
{
	if (unlikely(c->transport.over) && !c->behind && c->state != CONN_CLOSING)
		read_failed(c, c->transport.over);
}

static void read_some(struct conn *c)
{
	struct worker *w = c->worker;
	struct str plain = STR_NONE;
	uint64_t frames = c->frames_in, msgs = c->msgs_in;
	int64_t before;
	int err;

	c->readable = false;
	share_charge(c, SLICE_READ);
	err = read_plain(c, &plain);
	if (err) {
		read_failed(c, err);
		return;
	}
	read_on(c, plain);
	w->n.recvs++;
	w->n.bytes_in += plain.n;
	if (plain.n == 0) { /* a handshake, or the beginning of a record */
		charge_partial(c, false);
		return;
	}
	before = c->heard;
	c->heard = now_of(c);
	w->burst = 0;
	if (c->bytes_in == 0)
		conn_timer_arm(c); /* the first byte doubles the time for CONNECT */
	c->bytes_in += plain.n;
	fed(c, feed(&gate_ops, c, &c->in, plain), frames);
	if (c->msgs_in != msgs)
		gather_heard(&w->gather, now_of(c) - before);
	ended(c);
	finish_look(c);
}

void conn_resume_rest(struct conn *c)
{
	uint64_t frames = c->frames_in;

	c->worker->burst = 0;
	if (buf_len(&c->in) && !(c->hold & HOLD_PACKETS))
		fed(c, feed_rest(&gate_ops, c, &c->in), frames);
	finish_look(c);
}

/* Our last words are only safe when the peer has read them: closing with unread bytes in our socket
 * would send a reset. What comes is thrown away, but to read it is work. */
static void linger(struct conn *c)
{
	struct str plain = STR_NONE;
	int64_t since = bare(c) ? 0 : clock_mono_us();
	int err = c->transport.ops->read(&c->transport, c->watch.fd, c->worker->room, &plain);

	share_charge(c, SLICE_READ + (bare(c) ? (uint32_t)(plain.n / SLICE_BYTES)
	                                      : (uint32_t)(clock_mono_us() - since)));
	if (err && err != -E_AGAIN)
		conn_finish(c);
	else
		read_on(c, plain);
}

static void linger_in_turn(struct conn *c)
{
	if (share_may_read(c)) {
		linger(c);
		return;
	}
	c->linger_waits = true;
	watch_again(c);
	share_wait(c, false);
}

static void linger_on(struct conn *c)
{
	if (!c->linger_waits)
		return;
	c->linger_waits = false;
	linger(c);
	watch_again(c);
}

/* What waits for the core stops its customer until half of it has left. */
static bool may_read(struct conn *c)
{
	if (unlikely(c->link && uplink_full_for(c)))
		uplink_stall(c);
	return share_may_read(c);
}

/* Who comes while others of its customer wait is behind them. */
static void read_in_turn(struct conn *c)
{
	c->readable = true;
	if (unlikely(c->share->stopped))
		conn_hold(c, HOLD_SHARE); /* it is not to be told of again and again */
	if (!list_empty(&c->unread))
		return;
	if (!list_empty(&c->share->unread) || !may_read(c))
		share_wait(c, false);
	else
		read_some(c);
}

void conn_read_on(struct conn *c)
{
	if (c->state == CONN_CLOSING) {
		linger_on(c);
		return;
	}
	conn_go_on(c, HOLD_SHARE);
	if (c->asking) {
		in_subscribe_go_on(c);
		return;
	}
	if (c->behind) {
		conn_resume_rest(c);
		ended(c);
	}
	if (!c->readable || c->behind || c->hold || c->state == CONN_CLOSING)
		return;
	if (may_read(c))
		read_some(c);
	else
		share_wait(c, false);
}

static void ready(struct watch *w, unsigned events)
{
	struct conn *c = container_of(w, struct conn, watch);

	if (events & LOOP_WRITE) {
		c->writable = true;
		conn_touch(c);
	}
	if (c->state == CONN_CLOSING) {
		if (c->lingering && !c->linger_waits && (events & (LOOP_READ | LOOP_HANGUP)))
			linger_in_turn(c);
		else if (events & LOOP_HANGUP)
			conn_finish(c);
		return;
	}
	if (!c->hold && (events & (LOOP_READ | LOOP_HANGUP)))
		read_in_turn(c);
	else if (events & LOOP_HANGUP)
		/* held, but there is nobody any more (attack A07) */
		conn_close(c, END_GONE);
}

void conn_hold(struct conn *c, unsigned why)
{
	c->hold |= (uint8_t)why;
	watch_again(c);
}

void conn_go_on(struct conn *c, unsigned why)
{
	if (!(c->hold & why))
		return;
	c->hold &= (uint8_t)~why;
	if (c->hold & HOLD_ASKING) /* it goes on, unless all is said */
		share_wait(c, true);
	if (c->hold)
		return;
	c->heard = c->partial_since = now_of(c); /* while held it could not be heard */
	watch_again(c);
	conn_timer_arm(c);
	if (buf_len(&c->in) == 0)
		finish_look(c); /* else conn_resume_rest() comes */
}

void conn_go_on_rest(struct conn *c, unsigned why)
{
	if (!(c->hold & why))
		return;
	conn_go_on(c, why);
	if (c->state == CONN_CLOSING || (c->hold & HOLD_PACKETS) || buf_len(&c->in) == 0)
		return;
	c->behind = true;
	share_wait(c, true);
}

/* Attack R18: back-pressure first; a client that goes on for long is not only bursting. */
bool conn_pace(struct conn *c, unsigned kind, uint64_t n)
{
	int64_t patience = config_of(c)->rate_patience;

	if (!pace_take(&c->pace[kind], n, now_of(c)) || c->hold & HOLD_RATE)
		return true;
	if (patience && pace_over(&c->pace[kind], now_of(c)) >= patience) {
		conn_close(c, END_RATE);
		return false;
	}
	c->worker->n.rate_pauses++;
	if (kind == PACE_CONTROL)
		c->worker->n.control_pauses++;
	else if (kind != PACE_FILTERS)
		(void)quota_over(c->worker, kind == PACE_BYTES ? LIMIT_TRAFFIC : LIMIT_MESSAGES);
	conn_hold(c, HOLD_RATE);
	conn_timer_arm(c);
	return true;
}

/* ---- Writing ---- */

void conn_core_pause(struct conn *c, unsigned why)
{
	if (!c->channel || c->state != CONN_OPEN)
		return;
	if (!c->core_paused)
		link_bare_write(uplink_say(c), LINK_PAUSE, c->channel, c->generation);
	c->core_paused |= (uint8_t)why;
}

void conn_core_resume(struct conn *c, unsigned why)
{
	if (!(c->core_paused & why))
		return;
	c->core_paused &= (uint8_t)~why;
	if (!c->core_paused && c->channel && c->state == CONN_OPEN)
		link_bare_write(uplink_say(c), LINK_RESUME, c->channel, c->generation);
}

/* A client that does not read pauses its session, not its neighbours (design section 4); nor may it
 * fill us with answers. */
static void backpressure(struct conn *c)
{
	size_t waiting = buf_len(&c->out) + c->transport.held;

	if (!c->channel || c->state != CONN_OPEN)
		return;
	if (!(c->core_paused & PAUSED_OUT) && waiting > (size_t)config_of(c)->out_high) {
		conn_core_pause(c, PAUSED_OUT);
		conn_hold(c, HOLD_OUT);
	} else if ((c->core_paused & PAUSED_OUT) && waiting <= (size_t)config_of(c)->out_low) {
		conn_core_resume(c, PAUSED_OUT);
		conn_go_on(c, HOLD_OUT);
	}
}

static void charge_waiting(struct conn *c)
{
	size_t waiting = buf_len(&c->out) + c->transport.held;

	c->worker->waiting += waiting - c->waiting;
	c->waiting = waiting;
}

static void wrote(struct conn *c, bool moved, bool waits)
{
	if (c->state != CONN_CLOSING && (moved || !c->writing))
		c->progress = now_of(c);
	if (waits != c->writing) {
		c->writing = waits;
		watch_again(c);
		if (waits)
			conn_timer_arm(c);
	}
	backpressure(c);
}

static void last_said(struct conn *c)
{
	if (!c->said_end) {
		conn_finish(c);
		return;
	}
	if (c->lingering)
		return;
	c->lingering = true;
	c->transport.ops->shut(&c->transport, c->watch.fd);
	watch_again(c);
}

static void count_sent(struct conn *c, size_t before)
{
	/* a layer may have put heads of frames in between */
	size_t sent = before - size_min(before, buf_len(&c->out));

	c->bytes_out += sent;
	c->worker->n.bytes_out += sent;
}

bool conn_flush(struct conn *c)
{
	size_t before = buf_len(&c->out), held = c->transport.held;
	/* nobody waits for what is still there */
	bool leave = c->state == CONN_CLOSING && !c->said_end;
	int err;

	list_del(&c->todo);
	if (c->done)
		return true;
	if (c->writing && !c->writable &&
	    !leave) { /* still full: more only waits behind what waits */
		backpressure(c);
		return false;
	}
	c->writable = false;
	err = c->transport.ops->write(&c->transport, c->watch.fd, &c->out);
	if (before + held)
		c->worker->n.sends++;
	if (err && err != -E_AGAIN) {
		if (c->state == CONN_CLOSING)
			return true;
		conn_close(c, err == -E_CLOSED ? END_GONE : END_SOCKET);
		return false;
	}
	charge_waiting(c);
	count_sent(c, before);
	wrote(c, c->waiting < before + held, err == -E_AGAIN && !leave);
	if (err)
		return leave;
	worker_buf_give(c->worker, &c->out);
	if (c->state == CONN_CLOSING)
		last_said(c);
	return c->done;
}

/* Much waits, here or in all: what waits only for the end of the turn must not. */
static bool eager(const struct conn *c)
{
	return c->waiting >= EAGER || c->worker->waiting > (size_t)config_of(c)->waiting_bytes;
}

void conn_wrote(struct conn *c)
{
	charge_waiting(c);
	if (c->writing || !eager(c))
		return;
	slice_charge(&c->worker->slices, &c->share->flush, SLICE_SEND);
	if (conn_flush(c))
		conn_touch(c);
}

/* ---- Life ---- */

void conn_io_start(struct conn *c)
{
	struct worker *w = c->worker;
	int fd = c->watch.fd;

	conn_timer_init(c);
	c->watch.fd = -1;
	if (c->transport.ops->open(&c->transport, c) ||
	    loop_watch(w->loop, &c->watch, fd, LOOP_READ | (bare(c) ? LOOP_EDGE : 0), ready)) {
		c->watch.fd = fd;
		c->done = true;
		conn_close(c, END_SOCKET);
		return;
	}
	conn_timer_arm(c);
}

void conn_io_closing(struct conn *c)
{
	c->hold |= HOLD_END;
	if (c->transport.ops->lingers && c->transport.settled && !c->transport.over &&
	    c->end != END_GONE && c->end != END_SOCKET)
		c->said_end = true;
	partial_drop(c);
	c->transport.ending = true;
	c->transport.reason = c->end_reason;
	c->progress = now_of(c);
	if (c->end == END_GONE || c->end == END_SOCKET)
		buf_reset(&c->out);
	watch_again(c);
	conn_timer_arm(c);
	conn_touch(c);
}

void conn_io_end(struct conn *c)
{
	timer_stop(&c->timer);
	loop_unwatch(c->worker->loop, &c->watch);
	c->transport.ops->end(&c->transport);
	sock_close(&c->watch.fd);
	c->worker->waiting -= c->waiting;
	c->waiting = 0;
	buf_free(&c->in);
	buf_free(&c->out);
}
