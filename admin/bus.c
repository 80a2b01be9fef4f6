/* bus.c - the life of the connection to the core, and the queue of what is to be published (bus.h).
 */
#include "base/base.h"
#include "admin/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>

#include "admin/bus_parts.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"

enum {
	RETRY_FIRST_MS = 100,
	RETRY_MOST_MS = 5000,
	GREETING_MS = 5000,
	PING_MS = 20000,
	STOP_MS = 1000,
	READ_PIECE = 65536,
};

struct order { /* bus_follow and bus_stop on their way to the thread */
	struct inbox_item item;
	struct bus *bus;
	bool on;
};

/* ---- Down and up again ---- */
static void retry_later(struct bus *b)
{
	b->retry_ms = b->retry_ms ? b->retry_ms * 2 : RETRY_FIRST_MS;
	if (b->retry_ms > RETRY_MOST_MS)
		b->retry_ms = RETRY_MOST_MS;
	timer_set(b->loop, &b->retry, b->retry_ms);
}

void bus_drop(struct bus *b, const char *why)
{
	if (b->state != BUS_DOWN)
		LOG_WARN("", "bus-down", "why=%s queued=%zu", log_esc(str_c(why)),
		         atomic_load(&b->queued));
	loop_unwatch(b->loop, &b->watch);
	sock_close(&b->watch.fd);
	timer_stop(&b->greeting);
	timer_stop(&b->ping);
	buf_reset(&b->in);
	buf_reset(&b->out);
	b->state = BUS_DOWN;
	atomic_store(&b->up, false);
	/* What was not acknowledged is sent again, before what has not been sent: the order stays.
	 */
	while (!list_empty(&b->in_flight)) {
		struct list *last = b->in_flight.prev;

		list_del(last);
		list_add_head(&b->queue, last);
	}
	b->in_flight_count = 0;
	if (b->stopping)
		loop_stop(b->loop);
	else
		retry_later(b);
}

static void flush(struct bus *b)
{
	while (b->state != BUS_DOWN && buf_len(&b->out)) {
		ssize_t n = send(b->watch.fd, buf_data(&b->out), buf_len(&b->out),
		                 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0) {
			bus_drop(b, "write");
			return;
		}
		buf_consume(&b->out, (size_t)n);
	}
	if (b->state != BUS_DOWN)
		loop_rewatch(b->loop, &b->watch,
		             buf_len(&b->out) ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void at_end(struct hook *h)
{
	struct bus *b = container_of(h, struct bus, end);

	if (!buf_ok(&b->out)) {
		bus_drop(b, "memory");
		return;
	}
	if (b->state == BUS_OPEN)
		bus_pump(b);
	flush(b);
	if (b->stopping && b->state == BUS_OPEN && list_empty(&b->queue) &&
	    list_empty(&b->in_flight) && !buf_len(&b->out))
		loop_stop(b->loop);
}

void bus_soon(struct bus *b)
{
	loop_at_end(b->loop, &b->end);
}

static void on_ready(struct watch *w, unsigned events)
{
	struct bus *b = container_of(w, struct bus, watch);

	if (events & LOOP_READ) {
		uint8_t *p = buf_reserve(&b->in, READ_PIECE);
		ssize_t n = p ? recv(w->fd, p, READ_PIECE, MSG_DONTWAIT) : -1;

		if (!p) {
			bus_drop(b, "memory");
			return;
		}
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			bus_drop(b, n == 0 ? "closed" : "read");
			return;
		}
		if (n > 0) {
			buf_commit(&b->in, (size_t)n);
			bus_read(b);
		}
	}
	bus_soon(b);
}

static void on_retry(struct timer *t)
{
	struct bus *b = container_of(t, struct bus, retry);
	int fd, err = sock_dial_unix(&fd, b->path);

	if (!err) {
		b->watch.fd = fd;
		err = loop_watch(b->loop, &b->watch, fd, LOOP_READ, on_ready);
		if (err)
			sock_close(&b->watch.fd);
	}
	if (err) {
		if (!b->told_down)
			LOG_WARN("", "bus-down", "why=%s path=%s", log_esc(str_c(err_text(err))),
			         log_esc(str_c(b->path)));
		b->told_down = true;
		retry_later(b);
		return;
	}
	b->state = BUS_OPENING;
	timer_set(b->loop, &b->greeting, GREETING_MS);
	bus_greet(b);
	bus_soon(b);
}

static void on_greeting_late(struct timer *t)
{
	bus_drop(container_of(t, struct bus, greeting), "no greeting");
}

static void on_ping(struct timer *t)
{
	struct bus *b = container_of(t, struct bus, ping);

	if (b->pinged) {
		bus_drop(b, "no answer to ping");
		return;
	}
	b->pinged = true;
	b->retry_ms = 0; /* it has lasted: one that ends each connection at once is not asked ten
	                    times a second */
	mqtt_pingreq_write(&b->out);
	timer_set(b->loop, &b->ping, PING_MS);
	bus_soon(b);
}

void bus_is_up(struct bus *b)
{
	timer_stop(&b->greeting);
	b->state = BUS_OPEN;
	b->told_down = false;
	b->pinged = false;
	b->missed = true; /* whoever listens may have missed what was said while we were away */
	atomic_store(&b->up, true);
	atomic_fetch_add(&b->connects, 1);
	timer_set(b->loop, &b->ping, PING_MS);
	LOG_INFO("", "bus-up", "path=%s queued=%zu", log_esc(str_c(b->path)),
	         atomic_load(&b->queued));
	if (b->following)
		bus_say_follow(b);
	bus_soon(b);
}

/* ---- From other threads ---- */
void bus_item_free(struct bus *b, struct bus_item *item)
{
	list_del(&item->node);
	atomic_fetch_sub(&b->queued, 1);
	atomic_fetch_sub(&b->queued_bytes, item->topic_size + item->payload_size);
	mem_free(item);
}

static void on_item(struct inbox_item *i)
{
	struct bus_item *item = container_of(i, struct bus_item, item);

	list_add_tail(&item->bus->queue, &item->node);
	bus_soon(item->bus);
}

/* Something was dropped, perhaps after the queue was looked at: what to say instead must not wait
 * for the next message. */
static void on_overflow(struct inbox_item *i)
{
	struct bus *b = container_of(i, struct bus, wake);

	atomic_store(&b->waking, false);
	bus_soon(b);
}

void bus_publish(struct bus *b, struct str topic, struct str payload)
{
	size_t n = topic.n + payload.n;
	struct bus_item *item = NULL;

	if (atomic_load(&b->queued) < b->queue_most &&
	    atomic_load(&b->queued_bytes) + n <= b->queue_bytes)
		item = mem_zalloc(sizeof(*item) + n);
	if (!item) {
		uint64_t dropped = atomic_fetch_add(&b->dropped, 1) + 1;

		atomic_store(&b->overflowed, true);
		if (!atomic_exchange(&b->waking, true))
			inbox_push(b->inbox, &b->wake);
		LOG_WARN("", "bus-overflow", "dropped=%" PRIu64, dropped);
		return;
	}
	item->item.run = on_item;
	item->bus = b;
	list_init(&item->node);
	item->topic_size = topic.n;
	item->payload_size = payload.n;
	memcpy(item->bytes, topic.p, topic.n);
	if (payload.n)
		memcpy(item->bytes + topic.n, payload.p, payload.n);
	atomic_fetch_add(&b->queued, 1);
	atomic_fetch_add(&b->queued_bytes, n);
	inbox_push(b->inbox, &item->item);
}

static void on_follow(struct inbox_item *i)
{
	struct order *o = container_of(i, struct order, item);
	struct bus *b = o->bus;

	if (b->following != o->on) {
		b->following = o->on;
		if (b->state == BUS_OPEN)
			bus_say_follow(b);
		bus_soon(b);
	}
	mem_free(o);
}

static void on_stop(struct inbox_item *i)
{
	struct order *o = container_of(i, struct order, item);
	struct bus *b = o->bus;

	mem_free(o);
	b->stopping = true;
	timer_set(b->loop, &b->end_of_patience, b->state == BUS_OPEN ? STOP_MS : 0);
	bus_soon(b);
}

static void on_patience_over(struct timer *t)
{
	loop_stop(container_of(t, struct bus, end_of_patience)->loop);
}

static bool give_order(struct bus *b, bool on, void (*run)(struct inbox_item *))
{
	struct order *o = mem_zalloc(sizeof(*o));

	if (!o)
		return false;
	o->item.run = run;
	o->bus = b;
	o->on = on;
	inbox_push(b->inbox, &o->item);
	return true;
}

void bus_follow(struct bus *b, bool on)
{
	if (!give_order(b, on, on_follow))
		LOG_WARN("", "follow-lost", "why=memory");
}

void bus_count(const struct bus *b, struct bus_counters *out)
{
	out->published = atomic_load(&b->published);
	out->dropped = atomic_load(&b->dropped);
	out->connects = atomic_load(&b->connects);
	out->up = atomic_load(&b->up);
}

/* ---- Life ---- */
static void bus_main(void *arg)
{
	struct bus *b = arg;

	timer_set(b->loop, &b->retry, 0);
	loop_run(b->loop);
	if (b->state == BUS_OPEN) {
		mqtt_disconnect_write(&b->out, MQTT_V5, RC_SUCCESS, NULL);
		flush(b);
	}
	loop_unwatch(b->loop, &b->watch);
	sock_close(&b->watch.fd);
	timer_stop(&b->retry);
	timer_stop(&b->greeting);
	timer_stop(&b->ping);
	timer_stop(&b->end_of_patience);
	inbox_close(&b->inbox);
	hook_cancel(&b->end);
}

static void free_list(struct bus *b, struct list *head)
{
	struct bus_item *item;

	while ((item = list_first(head, struct bus_item, node)))
		bus_item_free(b, item);
}

static void bus_free(struct bus *b)
{
	size_t left = atomic_load(&b->queued);

	if (left)
		LOG_WARN("", "bus-ends", "unsent=%zu", left);
	free_list(b, &b->queue);
	free_list(b, &b->in_flight);
	buf_free(&b->in);
	buf_free(&b->out);
	if (b->inbox)
		inbox_close(&b->inbox);
	if (b->loop)
		loop_close(&b->loop);
	mem_free(b->path);
	mem_free(b);
}

int bus_start(struct bus **out, const struct bus_config *config)
{
	struct bus *b = mem_zalloc(sizeof(*b));
	int err = -E_NOMEM;

	if (!b)
		return err;
	list_init(&b->queue);
	list_init(&b->in_flight);
	timer_init(&b->retry, on_retry);
	timer_init(&b->greeting, on_greeting_late);
	timer_init(&b->ping, on_ping);
	timer_init(&b->end_of_patience, on_patience_over);
	hook_init(&b->end, at_end);
	b->wake.run = on_overflow;
	b->watch.fd = -1;
	b->queue_most = config->queue_most;
	b->queue_bytes = config->queue_bytes;
	b->record = config->record;
	b->arg = config->arg;
	b->path = str_dup_z(str_c(config->path));
	if (b->path)
		err = loop_open(&b->loop);
	if (!err)
		err = inbox_open(&b->inbox, b->loop);
	if (!err)
		err = thread_start(&b->thread, "bus", bus_main, b);
	if (err)
		bus_free(b);
	else
		*out = b;
	return err;
}

void bus_stop(struct bus **slot)
{
	struct bus *b = *slot;

	*slot = NULL;
	if (!b)
		return;
	if (!give_order(b, true, on_stop))
		loop_stop(b->loop);
	thread_join(&b->thread);
	bus_free(b);
}
