/* http.c - the HTTP server: its listener, its loop, and what other threads may ask of it (http.h).
 */
#include "base/base.h"
#include "admin/http.h"

#include <stdio.h>

#include "admin/http_parts.h"
#include "base/log.h"
#include "base/mem.h"

enum { ACCEPT_MOST = 64, PAUSE_MS = 100, TICK = 1000 };

/* ---- Accepting ---- */
static void on_pause_over(struct timer *t)
{
	struct http *h = container_of(t, struct http, pause);

	loop_rewatch(h->loop, &h->listener, LOOP_READ);
}

/* Without descriptors the connection stays in the queue and the socket stays ready. */
static void pause_accepting(struct http *h)
{
	LOG_WARN("", "accept-paused", "why=descriptors");
	loop_rewatch(h->loop, &h->listener, 0);
	timer_set(h->loop, &h->pause, PAUSE_MS);
}

static void on_connection(struct watch *w, unsigned events)
{
	struct http *h = container_of(w, struct http, listener);

	(void)events;
	for (unsigned i = 0; i < ACCEPT_MOST; i++) {
		struct sock_addr peer;
		struct holder *holder;
		int fd = -1, err = sock_accept(h->fd, &fd, &peer);

		if (err == -E_LIMIT)
			pause_accepting(h);
		if (err)
			return;
		holder = hold_admit(h, &peer);
		if (holder)
			conn_new(h, fd, &peer, holder);
		else
			sock_close(&fd);
	}
}

/* ---- The loop's own work ---- */
static void on_tick(struct timer *t)
{
	struct http *h = container_of(t, struct http, ticker);

	timer_set(h->loop, t, TICK);
	if (h->handler.tick)
		h->handler.tick(h->handler.arg);
}

static void on_wake(struct inbox_item *item)
{
	struct http *h = container_of(item, struct http, wake);

	atomic_store(&h->woken, false);
	if (h->handler.woken)
		h->handler.woken(h->handler.arg);
}

static void on_reaper(struct hook *hook)
{
	struct http *h = container_of(hook, struct http, reaper);
	struct conn *c;

	while ((c = list_first(&h->doomed, struct conn, node)))
		conn_free(c);
}

/* ---- Life ---- */
static int open_loop(struct http *h)
{
	int err = loop_open(&h->loop);

	if (!err)
		err = inbox_open(&h->inbox, h->loop);
	if (!err)
		err = loop_watch(h->loop, &h->listener, h->fd, LOOP_READ, on_connection);
	if (!err)
		timer_set(h->loop, &h->ticker, TICK);
	return err;
}

int http_open(struct http **out, const struct http_config *config,
              const struct http_handler *handler, char *why, size_t why_size)
{
	struct http *h = mem_zalloc(sizeof(*h));
	const char *cause = "out of memory";
	int err = -E_NOMEM;

	if (!h)
		goto fail;
	h->config = *config;
	h->handler = *handler;
	h->fd = -1;
	h->wake.run = on_wake;
	list_init(&h->conns);
	list_init(&h->doomed);
	hook_init(&h->reaper, on_reaper);
	timer_init(&h->ticker, on_tick);
	timer_init(&h->pause, on_pause_over);
	err = hold_open(h);
	if (!err)
		err = sock_listen_tcp(&h->fd, config->host, config->port, false, &cause);
	if (err)
		goto fail;
	cause = "no descriptors, or out of memory";
	err = open_loop(h);
	if (err)
		goto fail;
	*out = h;
	return 0;
fail:
	(void)snprintf(why, why_size, "cannot listen on %s port %u: %s", config->host, config->port,
	               cause);
	http_close(&h);
	return err;
}

uint16_t http_port(const struct http *h)
{
	return sock_port(h->fd);
}

void http_run(struct http *h)
{
	loop_run(h->loop);
}

void http_stop(struct http *h)
{
	atomic_store(&h->stopping, true);
	loop_stop(h->loop);
}

void http_wake(struct http *h)
{
	if (!atomic_exchange(&h->woken, true))
		inbox_push(h->inbox, &h->wake);
}

void http_close(struct http **slot)
{
	struct http *h = *slot;
	struct conn *c;

	*slot = NULL;
	if (!h)
		return;
	while ((c = list_first(&h->conns, struct conn, node)))
		conn_free(c);
	while ((c = list_first(&h->doomed, struct conn, node)))
		conn_free(c);
	h->handler.woken = NULL;
	inbox_close(&h->inbox);
	sock_close(&h->fd);
	loop_close(&h->loop);
	hold_close(h);
	mem_free(h);
}
