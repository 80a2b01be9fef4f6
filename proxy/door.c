/* door.c - accepting connections (door.h). Counting per address comes first: nothing of a stranger
 * costs memory before it. */
#include "base/base.h"
#include "proxy/door.h"

#include "base/log.h"
#include "base/sock.h"
#include "proxy/caps.h"
#include "proxy/conn.h"
#include "proxy/rates.h"
#include "proxy/transport_tls.h"
#include "proxy/worker.h"

enum { ACCEPTS = 64, PAUSE_MS = 100 }; /* of one turn; when descriptors ran out */

const struct door_kind door_kinds[DOOR_KINDS] = {
	{ "tcp", "mqtt", offsetof(struct proxy_config, mqtt), &transport_tcp, false, NULL },
	{ "tls", "mqtts", offsetof(struct proxy_config, mqtts), &transport_tls, true, "mqtt" },
};

/* Attack R06: looked at before anything of the connection costs more than accept did. */
static int admit_rate(struct worker *w, const struct sock_addr *peer)
{
	if (!w->config->connect_rate_loopback && rates_loopback(peer))
		return 0;
	return rates_take_peer(w->crew->rates, peer, w->config->connect_rate_per_ip,
	                       loop_now(w->loop));
}

static void admit(struct door *d, int fd, const struct sock_addr *peer)
{
	struct worker *w = d->worker;
	struct cap *cap = NULL;
	int err = admit_rate(w, peer);
	char text[SOCK_TEXT];

	if (err) {
		w->n.refused_rate++;
	} else {
		err = caps_enter_peer(w->crew->caps, peer, w->config->connections_max,
		                      w->config->connections_per_ip, &cap);
		w->n.refused_full += err != 0;
	}
	if (!err) {
		conn_new(d, fd, peer, cap);
		return;
	}
	sock_text(peer, text);
	LOG_WARN("", "not-accepted", "peer=%s why=\"%s\"", text, err_text(err));
	sock_close(&fd);
}

static void come(struct watch *watch, unsigned events)
{
	struct door *d = container_of(watch, struct door, watch);
	struct worker *w = d->worker;
	struct sock_addr peer;
	int fd, err;

	(void)events;
	for (unsigned i = 0; i < ACCEPTS; i++) {
		err = sock_accept(d->fd, &fd, &peer);
		if (err == 0) {
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

static void again(struct timer *t)
{
	struct door *d = container_of(t, struct door, again);

	if (d->fd >= 0)
		loop_rewatch(d->worker->loop, &d->watch, LOOP_READ);
}

void door_init(struct door *d, struct worker *w, const struct door_kind *kind, int fd)
{
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
