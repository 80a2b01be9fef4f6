/* door.c - accepting connections (door.h). Counting per address comes first: nothing of a stranger
 * costs memory before it. */
#include "base/base.h"
#include "proxy/door.h"

#include "base/log.h"
#include "base/sock.h"
#include "proxy/caps.h"
#include "proxy/conn.h"
#include "proxy/front.h"
#include "proxy/listen.h"
#include "proxy/rates.h"
#include "proxy/transport_tls.h"
#include "proxy/worker.h"

/* of one turn; when descriptors ran out; twice the longest queue of a socket */
enum { ACCEPTS = 64, PAUSE_MS = 100, EMPTY_MOST = 8192 };
/* of who speaks for others: whatever doors it uses, its own clients' are not among them */
enum { LEDGER_OF_FRONTS = UINT8_MAX };

const struct door_kind door_kinds[DOOR_KINDS] = {
	{ "tcp", "mqtt", offsetof(struct proxy_config, mqtt), &transport_tcp, false, NULL },
	{ "tls", "mqtts", offsetof(struct proxy_config, mqtts), &transport_tls, true, "mqtt" },
	{ "ws", "ws", offsetof(struct proxy_config, ws), &transport_ws, false, NULL },
	{ "wss", "wss", offsetof(struct proxy_config, wss), &transport_ws, true, "http/1.1" },
};

/* Attack R06: looked at before anything of the connection costs more than accept did. */
static int admit_rate(const struct door *d, const struct sock_addr *peer)
{
	const struct proxy_config *config = d->listener->config;

	if (!config->connect_rate_loopback && rates_loopback(peer))
		return 0;
	return rates_take_peer(d->worker->crew->rates, peer, d->listener->rate_ledger,
	                       config->connect_rate_per_ip, loop_now(d->worker->loop));
}

static int count_peer(const struct door *d, const struct sock_addr *peer, struct cap **cap)
{
	struct worker *w = d->worker;
	int err = admit_rate(d, peer);
	char text[SOCK_TEXT];

	if (err) {
		w->n.refused_rate++;
	} else {
		err = caps_enter_peer(w->crew->caps, peer, d->listener->count_ledger,
		                      w->config->connections_max,
		                      d->listener->config->connections_per_ip, cap);
		w->n.refused_full += err != 0;
	}
	if (err) {
		sock_text(peer, text);
		LOG_WARN("", "not-accepted", "peer=%s why=\"%s\"", text, err_text(err));
	}
	return err;
}

/* Who speaks for many is not counted as one of them, only as a connection; nor is who comes over a
 * Unix socket, and has no address. */
static bool speaks_for_others(const struct door *d, const struct sock_addr *peer)
{
	const struct front *f = &d->listener->front;

	return peer->local || peers_hold(&f->proxy_protocol, peer) ||
	       (d->kind->transport == &transport_ws && peers_hold(&f->forwarded, peer));
}

static void admit(struct door *d, int fd, const struct sock_addr *peer)
{
	struct worker *w = d->worker;
	struct cap *cap = NULL;
	int err;

	if (unlikely(speaks_for_others(d, peer)))
		err = caps_enter_peer(w->crew->caps, peer, LEDGER_OF_FRONTS,
		                      w->config->connections_max, 0, &cap);
	else
		err = count_peer(d, peer, &cap);
	if (err)
		sock_close(&fd);
	else
		conn_new(d, fd, peer, cap);
}

const struct transport_ops *door_base(const struct conn *c)
{
	const struct front *f = &c->door->listener->front;

	return peers_hold(&f->proxy_protocol, &c->peer) ? &transport_front : &transport_tcp;
}

int door_came_from(struct conn *c, const struct sock_addr *peer)
{
	struct cap *cap = NULL;
	int err = count_peer(c->door, peer, &cap);

	if (err)
		return err;
	caps_leave(c->worker->crew->caps, &c->peer_cap);
	c->peer_cap = cap;
	c->peer = *peer;
	return 0;
}

static void come(struct watch *watch, unsigned events)
{
	struct door *d = container_of(watch, struct door, watch);
	struct worker *w = d->worker;
	struct sock_addr peer;
	int fd, err;

	(void)events;
	for (unsigned i = 0; i < ACCEPTS; i++) {
		if (!slice_open(&w->slices, &w->strangers.read)) { /* told again next turn */
			worker_touch(w);
			return;
		}
		err = sock_accept(d->fd, &fd, &peer);
		if (err == 0) {
			slices_busy(&w->slices, &w->strangers.window);
			slice_charge(&w->slices, &w->strangers.read, SLICE_ACCEPT);
			admit(d, fd, &peer);
			continue;
		}
		if (err == -E_LIMIT || err == -E_IO) {
			w->n.accept_pauses++;
			LOG_WARN("", "accept-paused", "why=\"%s\" connections=%zu", err_text(err),
			         w->conn_count);
			loop_rewatch(w->loop, &d->watch, 0);
			timer_set(w->loop, &d->again, PAUSE_MS);
		}
		return;
	}
}

void door_empty(struct door *d)
{
	struct sock_addr peer;
	int fd;

	for (unsigned i = 0; d->fd >= 0 && i < EMPTY_MOST; i++) {
		if (sock_accept(d->fd, &fd, &peer))
			return;
		admit(d, fd, &peer);
	}
}

static void again(struct timer *t)
{
	struct door *d = container_of(t, struct door, again);

	if (d->fd >= 0)
		loop_rewatch(d->worker->loop, &d->watch, LOOP_READ);
}

void door_init(struct door *d, struct worker *w, const struct door_kind *kind,
               const struct listener *listener, int fd)
{
	d->listener = listener;
	d->worker = w;
	d->kind = kind;
	d->fd = fd;
	timer_init(&d->again, again);
}

int door_open(struct door *d)
{
	return d->fd < 0 ? 0 : loop_watch(d->worker->loop, &d->watch, d->fd, LOOP_READ, come);
}

void door_close(struct door *d)
{
	timer_stop(&d->again);
	loop_unwatch(d->worker->loop, &d->watch);
	sock_close(&d->fd);
}
