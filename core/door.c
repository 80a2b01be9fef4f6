/* door.c - the trusted MQTT door: who comes in, and the life of a guest from accept to close. No
 * credentials are asked for: the mode of the socket and of its folder say who can reach it, and the
 * uid of the peer is looked at when it is accepted (attack B01).
 *
 * A guest is read when something is there, at most DOOR_SCRATCH bytes a turn, into memory that all
 * guests share; only an incomplete packet is kept. What is said to it is collected and written
 * once, after the turn's commit (home.h). When more waits than `link_high`, the guest is not read,
 * and its session holds back, until half of that is gone: a service that does not read costs a
 * bounded amount of memory. */
#include "base/base.h"
#include "core/door_parts.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"

enum { ACCEPT_MOST = 64, ACCEPT_PAUSE_MS = 100, KEPT_BUFFER = 16 << 10 };

/* ---- State ---- */
#define TO(state) (1u << GUEST_##state)
static const struct {
	const char *name;
	unsigned next;
} guest_states[] = {
#define S(name, next) [GUEST_##name] = { #name, next },
	GUEST_STATES(S)
#undef S
};
#undef TO

static const char *guest_subject(const struct guest *g)
{
	static _Thread_local char text[48];

	snprintf(text, sizeof(text), "door=%" PRIu64, g->number);
	return text;
}

void guest_enter(struct guest *g, enum guest_state to)
{
	MUST(guest_states[g->state].next & 1u << to); /* a second CONNECT is refused before */
	LOG_DEBUG(guest_subject(g), "state", "from=%s to=%s", guest_states[g->state].name,
	          guest_states[to].name);
	g->state = (uint8_t)to;
}

/* ---- Writing ---- */
static size_t high_mark(const struct guest *g)
{
	return (size_t)home_config(g->door->home)->link_high;
}

static void guest_watch(struct guest *g)
{
	if (g->state == GUEST_CLOSING)
		return;
	loop_rewatch(home_loop(g->door->home), &g->watch,
	             (g->full ? 0 : LOOP_READ) | (g->out.sealed ? LOOP_WRITE : 0));
}

void guest_later(struct guest *g)
{
	loop_at_end(home_loop(g->door->home), &g->settle);
}

void guest_said(struct guest *g)
{
	if (!buf_ok(&g->send)) { /* no memory: half an answer is none */
		g->broken = true;
		guest_later(g);
		return;
	}
	g->packets_out++;
	if (!g->full && buf_len(&g->send) > high_mark(g)) {
		g->full = true;
		guest_watch(g);
	}
	home_flush_later(g->door->home, &g->out);
}

static void guest_free(struct guest *g)
{
	struct door *d = g->door;
	struct loop *loop = home_loop(d->home);

	home_out_cancel(&g->out);
	hook_cancel(&g->settle);
	timer_stop(&g->timer);
	loop_unwatch(loop, &g->watch);
	sock_close(&g->fd);
	list_del(&g->node);
	d->count--;
	buf_free(&g->in);
	buf_free(&g->send);
	buf_free(&g->late);
	buf_free(&g->name);
	mem_free(g);
}

/* Up to what is sealed. false: the connection is no more. */
static bool guest_write(struct guest *g)
{
	while (g->out.sealed) {
		ssize_t n =
		    send(g->fd, buf_data(&g->send), g->out.sealed, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		buf_consume(&g->send, (size_t)n);
		g->out.sealed -= (size_t)n;
	}
	if (buf_len(&g->send) == 0 && g->send.cap > KEPT_BUFFER)
		buf_free(&g->send);
	return true;
}

static void guest_flush(struct home_out *o)
{
	struct guest *g = container_of(o, struct guest, out);
	bool alive = guest_write(g);

	if (g->state == GUEST_CLOSING) {
		if (!alive || g->out.sealed || buf_len(&g->send) == 0)
			guest_free(g); /* who does not take it now does not read any more */
		return;                /* its last words wait for the next commit */
	}
	if (!alive) {
		g->broken = true;
		guest_later(g);
		return;
	}
	if (g->full && buf_len(&g->send) <= high_mark(g) / 2) {
		g->full = false;
		g->drained = true;
		guest_later(g);
	}
	guest_watch(g);
}

/* ---- Ending ---- */
enum { WHY_ROOM = 48 };

/* A reason of a few words as one word of a log line. */
static const char *one_word(char room[WHY_ROOM], const char *words)
{
	snprintf(room, WHY_ROOM, "%s", words);
	for (char *at = room; (at = strchr(at, ' '));)
		*at = '-';
	return room;
}

void guest_end(struct guest *g, const char *why)
{
	struct home *h = g->door->home;
	char room[WHY_ROOM];

	if (g->state == GUEST_CLOSING)
		return;
	LOG_INFO(guest_subject(g), "close",
	         "client=%s v=%u why=%s age=%" PRId64 "ms in=%" PRIu64 " out=%" PRIu64
	         " dropped=%" PRIu64,
	         log_esc(buf_str(&g->name)), g->version, one_word(room, why), home_now(h) - g->born,
	         g->packets_in, g->packets_out, g->dropped);
	guest_enter(g, GUEST_CLOSING);
	timer_stop(&g->timer);
	loop_unwatch(home_loop(h), &g->watch);
	guest_later(g);
}

void guest_close(struct guest *g, uint8_t flags, uint32_t expiry_s, const char *why)
{
	if (g->state == GUEST_OPEN)
		session_close(&g->port, flags, expiry_s);
	guest_end(g, why);
}

void guest_fail(struct guest *g, unsigned reason)
{
	/* What is no CONNECT gets no CONNACK from a v3 server (MQTT 3.1.1, 4.8). */
	if (g->state == GUEST_GREETING &&
	    (g->version >= MQTT_V5 ||
	     (g->version && reason != RC_MALFORMED_PACKET && reason != RC_PROTOCOL_ERROR)))
		guest_connack(g, false, reason);
	if (g->state == GUEST_OPEN && g->version >= MQTT_V5) {
		mqtt_disconnect_write(&g->send, g->version, reason, NULL);
		guest_said(g);
	}
	guest_close(g, LINK_CLOSE_WILL, 0, mqtt_reason_text(reason));
}

/* ---- The end of a turn ---- */
static void guest_feed_kept(struct guest *g)
{
	if (buf_len(&g->in) == 0 || g->full)
		return;
	buf_consume(&g->in, guest_feed(g, buf_str(&g->in)));
	if (buf_len(&g->in) == 0)
		buf_free(&g->in);
}

static void guest_settle(struct hook *hook)
{
	struct guest *g = container_of(hook, struct guest, settle);

	if (g->state != GUEST_CLOSING && g->broken) {
		guest_close(g, LINK_CLOSE_WILL, 0, buf_ok(&g->send) ? "broken" : "memory");
	}
	if (g->state == GUEST_CLOSING) {
		if (buf_len(&g->send) && !g->broken)
			home_flush_later(g->door->home, &g->out); /* guest_flush() frees it then */
		else
			guest_free(g);
		return;
	}
	if (buf_len(&g->late))
		guest_settle_late(g);
	if (g->opened) {
		g->opened = false;
		session_resume(&g->port);
	}
	if (g->drained) {
		g->drained = false;
		session_drained(&g->port);
		guest_feed_kept(g);
		guest_watch(g);
	}
}

/* ---- Reading ---- */

/* Whole packets are taken where they were read; what is left over is kept for the next time. */
static void guest_take(struct guest *g, struct str bytes)
{
	struct str rest;

	if (buf_len(&g->in) == 0) {
		rest = str_skip(bytes, guest_feed(g, bytes));
		if (g->state != GUEST_CLOSING)
			buf_str_add(&g->in, rest);
	} else {
		buf_str_add(&g->in, bytes);
		guest_feed_kept(g);
	}
	if (!buf_ok(&g->in) || g->broken) {
		g->broken = true;
		guest_later(g);
	}
}

static void guest_ready(struct watch *w, unsigned events)
{
	struct guest *g = container_of(w, struct guest, watch);
	struct door *d = g->door;
	ssize_t n;

	if (events & LOOP_WRITE) {
		guest_flush(&g->out); /* not CLOSING, so g is still there */
		if (g->broken)
			return;
	}
	if (!(events & LOOP_READ) || (g->full && !(events & LOOP_HANGUP)))
		return;
	n = recv(g->fd, d->scratch, sizeof(d->scratch), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		guest_close(g, LINK_CLOSE_WILL, 0, n == 0 ? "hangup" : "reset");
		return;
	}
	loop_step(home_loop(d->home), "door");
	guest_take(g, str_make(d->scratch, (size_t)n));
	loop_step(home_loop(d->home), "event");
}

/* CONNECT did not come in time, or nothing came for one and a half keep-alives [MQTT-3.1.2-22].
 * Looked at when it could be, not at each packet. */
static void guest_late_timer(struct timer *t)
{
	struct guest *g = container_of(t, struct guest, timer);
	int64_t left = g->heard + g->keep_alive_ms - home_now(g->door->home);

	if (g->state == GUEST_GREETING)
		guest_close(g, 0, 0, "no CONNECT");
	else if (g->keep_alive_ms && left <= 0)
		guest_fail(g, RC_KEEP_ALIVE_TIMEOUT);
	else if (g->keep_alive_ms)
		timer_set(home_loop(g->door->home), t, left);
}

/* ---- Coming in ---- */
static bool guest_new(struct door *d, int fd, bool admin)
{
	struct loop *loop = home_loop(d->home);
	struct guest *g = mem_zalloc(sizeof(*g));

	if (!g)
		return false;
	g->door = d;
	g->fd = fd;
	g->admin = admin;
	g->number = ++d->number;
	g->born = g->heard = home_now(d->home);
	g->port = (struct port){ .ops = &guest_ops, .paused = true, .full = &g->full };
	timer_init(&g->timer, guest_late_timer);
	hook_init(&g->settle, guest_settle);
	home_out_init(&g->out, &g->send, NULL, guest_flush);
	if (loop_watch(loop, &g->watch, fd, LOOP_READ, guest_ready)) {
		mem_free(g);
		return false;
	}
	timer_set(loop, &g->timer, DOOR_CONNECT_MS);
	list_add_tail(&d->guests, &g->node);
	d->count++;
	home_counters(d->home)->doors++;
	return true;
}

static const char *why_not(const struct door *d, int fd, bool *admin)
{
	const struct core_config *config = home_config(d->home);
	uid_t uid;

	if (sock_peer_uid(fd, &uid) || !core_uid_may(config, uid, CORE_DOOR))
		return "uid";
	*admin = core_uid_may(config, uid, CORE_ADMIN);
	if (d->count >= (size_t)config->door_connections)
		return "connections";
	return home_ending(d->home) ? "ending" : NULL;
}

static void door_ready(struct watch *w, unsigned events)
{
	struct door *d = container_of(w, struct door, watch);
	struct loop *loop = home_loop(d->home);
	struct sock_addr peer;
	int fd, err = 0;

	(void)events;
	for (unsigned i = 0; i < ACCEPT_MOST && !err; i++) {
		const char *why;
		bool admin = false;

		err = sock_accept(d->fd, &fd, &peer);
		if (err)
			break;
		why = why_not(d, fd, &admin);
		if (!why && guest_new(d, fd, admin))
			continue;
		home_counters(d->home)->doors_refused++;
		LOG_WARN(home_name(d->home), "door-refused", "why=%s", why ? why : "memory");
		sock_close(&fd);
	}
	if (err && err != -E_AGAIN) {
		LOG_WARN(home_name(d->home), "door-accept", "why=%s",
		         log_esc(str_c(err_text(err))));
		/* whoever waits stays in the queue: do not spin on him */
		loop_rewatch(loop, &d->watch, 0);
		timer_set(loop, &d->pause, ACCEPT_PAUSE_MS);
	}
}

static void door_again(struct timer *t)
{
	struct door *d = container_of(t, struct door, pause);

	loop_rewatch(home_loop(d->home), &d->watch, LOOP_READ);
}

/* ---- The door ---- */
int door_open(struct door **out, struct home *h, const char *path, const char **why)
{
	struct door *d = mem_zalloc(sizeof(*d));
	int err;

	*why = "out of memory";
	if (!d)
		return -E_NOMEM;
	d->home = h;
	d->fd = -1;
	list_init(&d->guests);
	timer_init(&d->pause, door_again);
	err = sock_listen_unix(&d->fd, path, 0660, why);
	if (!err)
		err = loop_watch(home_loop(h), &d->watch, d->fd, LOOP_READ, door_ready);
	if (err) {
		sock_close(&d->fd);
		mem_free(d);
		return err;
	}
	*out = d;
	return 0;
}

void door_close(struct door **door)
{
	struct door *d = *door;
	struct guest *g;

	*door = NULL;
	if (!d)
		return;
	list_each(g, &d->guests, struct guest, node)
		guest_free(g);
	timer_stop(&d->pause);
	loop_unwatch(home_loop(d->home), &d->watch);
	sock_close(&d->fd);
	buf_free(&d->frame);
	mem_free(d);
}
