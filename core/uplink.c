/* uplink.c - the sockets of the link: listening, accepting, one read and one write per turn,
 * heartbeat, the end. */
#include "base/base.h"
#include "core/uplink_parts.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"
#include "core/session.h"
#include "core/work.h"

enum { ACCEPT_PAUSE_MS = 100, BUF_KEEP = 1 << 20, CHOKE = 4 };

/* ---- Writing ---- */
void link_say(struct link *l)
{
	if (unlikely(!buf_ok(&l->out)))
		link_break(l, "out of memory");
	home_flush_later(l->home, &l->ends);
}

static void seal(struct home_out *o)
{
	struct link *l = container_of(o, struct link, ends);

	link_gather_end(l);
	lanes_merge(l);
}

/* Answers are not dropped, so who makes us answer must read: far over the mark the link is not read
 * any more, and dies in LINK_DEAD_MS unless it takes something. */
void link_watch(struct link *l)
{
	bool choked = l->stuffed || buf_len(&l->out) > CHOKE * (size_t)l->home->config->link_high;

	loop_rewatch(l->home->loop, &l->watch,
	             (choked ? 0 : LOOP_READ) | (l->ends.sealed ? LOOP_WRITE : 0));
}

static void drained(struct link *l)
{
	lanes_written(l);
	if (buf_len(&l->out) == 0 && l->out.cap > BUF_KEEP)
		buf_free(&l->out);
}

static void link_write(struct link *l)
{
	ssize_t n;

	if (l->ends.sealed == 0)
		return;
	do
		n = send(l->watch.fd, buf_data(&l->out), l->ends.sealed,
		         MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		link_break(l, "cannot write");
		return;
	}
	if (n > 0) {
		buf_consume(&l->out, (size_t)n);
		l->ends.sealed -= (size_t)n;
		l->said = home_now(l->home);
		l->home->counters.bytes_out += (uint64_t)n;
	}
	drained(l);
	link_watch(l);
}

/* ---- The end of a link ---- */
void link_break(struct link *l, const char *why)
{
	if (l->broken)
		return;
	l->broken = why;
	/* it may have to wait for a commit: nothing must wake the loop for it */
	loop_unwatch(l->home->loop, &l->watch);
	home_flush_later(l->home, &l->ends);
}

void channel_lose(struct channel *c)
{
	if (c == &c->link->self) {
		if (c->port.session)
			session_close(&c->port, 0, 0);
		return;
	}
	if (c->port.session)
		session_lost(&c->port, c->link->home->config->will_grace);
	handover_cancel(c);
	channel_free(&c);
}

/* What it has said comes first. */
static void lose(struct channel *c)
{
	if (!c->waiting)
		channel_lose(c);
}

/* ---- All clients of a link: a job for each customer, for they may be many, with Wills and
 * sessions that end ---- */
enum { LOSE_UNITS = 100 };

struct loss {
	struct work work;
	struct lane *lane; /* held; in `draining` are those that are not lost yet */
	struct link *of;   /* counted in its `waiting` */
};

/* False: none is left. */
static bool lose_next(struct lane *a)
{
	struct channel *c = list_first(&a->draining, struct channel, in_lane);

	if (!c)
		return false;
	list_del(&c->in_lane);
	list_add_tail(&a->channels, &c->in_lane);
	lose(c);
	return true;
}

static bool loss_step(struct work *w)
{
	struct loss *loss = container_of(w, struct loss, work);
	struct home *h = loss->of->home;

	home_changed(h);
	while (lose_next(loss->lane)) {
		work_spend(h, LOSE_UNITS);
		if (work_over(h))
			return true;
	}
	return false;
}

static void loss_drop(struct work *w)
{
	struct loss *loss = container_of(w, struct loss, work);

	while (lose_next(loss->lane)) /* when the home ends */
		;
	loss->lane->held--;
	lane_settle(loss->lane);
	link_served(loss->of);
	mem_free(loss);
}

/* Its channels have no numbers any more. */
static void lane_lose(struct link *l, struct lane *a)
{
	struct customer *c = customer_find(l->home, a->customer);
	struct loss *loss = c ? mem_zalloc(sizeof(*loss)) : NULL;

	if (!list_empty(&a->drain.node))
		work_cancel(&a->drain);
	list_splice_tail(&a->draining, &a->channels);
	a->full = true; /* nothing is sent to them meanwhile */
	a->held++;
	if (loss) {
		loss->work.step = loss_step;
		loss->work.drop = loss_drop;
		loss->lane = a;
		loss->of = l;
		l->waiting++;
		work_add(c, &loss->work);
		return;
	}
	while (lose_next(a))
		;
	a->held--;
	lane_settle(a);
}

static void unnumber(struct channel *c)
{
	c->lost = true;
	handover_cancel(c);
	channel_unlist(c);
}

void link_served(struct link *l)
{
	if (--l->waiting == 0 && l->gone)
		mem_free(l);
}

/* Wills may be published while its clients are lost one after the other: the others of them are
 * told nothing any more. */
static void link_free(struct link **slot)
{
	struct link *l = *slot;

	*slot = NULL;
	if (!l->broken)
		l->broken = "ending"; /* nothing is gathered for it any more */
	timer_stop(&l->timer);
	l->self.lost = true;
	lose(&l->self);
	channels_each(l, unnumber);
	channels_free(l);
	map_each(n, &l->lanes)
		lane_lose(l, container_of(n, struct lane, node));
	lanes_end(l);
	msg_put(&l->gathered);
	loop_unwatch(l->home->loop, &l->watch);
	home_out_cancel(&l->ends);
	sock_close(&l->watch.fd);
	buf_free(&l->in);
	buf_free(&l->out);
	list_del(&l->node);
	l->uplink->count--;
	l->gone = true;
	if (l->waiting == 0)
		mem_free(l);
}

static void flush(struct home_out *o)
{
	struct link *l = container_of(o, struct link, ends);

	if (!l->broken)
		link_write(l);
	if (!l->broken)
		return;
	LOG_INFO(l->name, "link-closed", "why=\"%s\" clients=%zu", l->broken, l->channels);
	link_free(&l);
}

/* ---- Reading ---- */
void link_nonsense(struct link *l, const struct link_head *head)
{
	if (l->broken)
		return;
	l->home->counters.links_broken++;
	LOG_ERROR(l->name, "link-nonsense", "frame=%s channel=%u bytes=%u",
	          link_type_name(head->type), head->channel, head->length);
	link_break(l, "frame that makes no sense");
}

static void work(struct link *l)
{
	struct link_head head;
	struct str bytes;
	enum parse found;

	while (!l->broken) {
		bytes = buf_str(&l->in);
		found = link_head_read(bytes, &head);
		if (found == PARSE_MORE)
			return;
		if (found == PARSE_BAD) {
			l->home->counters.links_broken++;
			LOG_ERROR(l->name, "link-nonsense", "frame=head type=%u",
			          bytes.n > 4 ? (uint8_t)bytes.p[4] : 0);
			link_break(l, "frame that does not parse");
			return;
		}
		l->home->counters.frames_in++;
		if (!link_frame(l, &head, str_make(bytes.p + LINK_HEAD, head.length - LINK_HEAD))) {
			link_nonsense(l, &head);
			return;
		}
		buf_consume(&l->in, head.length);
	}
}

static void link_read(struct link *l)
{
	/* who is not alone does not wait while all of this is looked at */
	size_t most = work_mixed(l->home) ? UPLINK_READ_BESIDE : UPLINK_READ;
	uint8_t *room = buf_reserve(&l->in, most);
	ssize_t n;

	if (!room) {
		link_break(l, "out of memory");
		return;
	}
	do
		n = recv(l->watch.fd, room, most, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		link_break(l, n == 0 ? "closed by the other side" : "cannot read");
		return;
	}
	buf_commit(&l->in, (size_t)n);
	l->heard = home_now(l->home);
	l->home->counters.bytes_in += (uint64_t)n;
	home_changed(l->home);
	work_turn_is(l->home);
	work(l);
	if (buf_len(&l->in) == 0 && l->in.cap > 2 * UPLINK_READ) /* a huge frame came by */
		buf_free(&l->in);
}

static void link_ready(struct watch *w, unsigned events)
{
	struct link *l = container_of(w, struct link, watch);

	if (l->broken)
		return;
	loop_step(l->home->loop, "link-read");
	if (events & LOOP_WRITE)
		link_write(l);
	if ((events & LOOP_READ) && !l->broken)
		link_read(l);
	loop_step(l->home->loop, "event");
}

static void heartbeat(struct timer *t)
{
	struct link *l = container_of(t, struct link, timer);
	int64_t now = home_now(l->home);

	if (l->stuffed) /* it is us who do not listen */
		l->heard = now;
	if (now - l->heard >= LINK_DEAD_MS) {
		l->home->counters.links_dead++;
		link_break(l, "nothing heard");
		return;
	}
	if (now - l->said >= LINK_PING_MS && buf_len(&l->out) == 0) {
		link_bare_write(&l->out, LINK_PING, 0, 0);
		link_say(l);
	}
	timer_set(l->home->loop, t, LINK_PING_MS);
}

/* ---- Coming ---- */

/* The link's own session: the trusted world, QoS 0, never stored. A control character keeps its id
 * apart from the door's clients. */
static bool open_self(struct link *l)
{
	char id[32];
	struct link_open o = { .version = MQTT_V5, .receive_maximum = 1 };

	o.client_id = str_make(id, (size_t)snprintf(id, sizeof(id), "\x01link/%u/%" PRIu64,
	                                            l->home->index, l->uplink->serial));
	l->self.link = l;
	l->self.port.ops = &self_ops;
	l->self.port.full = &l->own.full;
	l->self.lane = &l->own;
	if (!session_open(l->home, &l->self.port, LINK_OPEN_CLEAN, &o) || !l->self.port.session)
		return false;
	l->self.port.session->qos_max = 0;
	session_resume(&l->self.port);
	return true;
}

static void say_hello(struct link *l)
{
	struct link_hello hello = { .major = LINK_MAJOR,
		                    .minor = LINK_MINOR,
		                    .homes = (uint16_t)l->home->count,
		                    .home = (uint16_t)l->home->index,
		                    .name = STR("mbus-core") };

	link_hello_write(&l->out, &hello);
	link_say(l);
}

int uplink_take(struct uplink *u, int fd)
{
	struct home *h = u->home;
	struct link *l = mem_zalloc(sizeof(*l));
	int err = -E_NOMEM;

	if (!l) {
		sock_close(&fd);
		return err;
	}
	l->uplink = u;
	l->home = h;
	list_init(&l->node);
	list_init(&l->ready);
	list_init(&l->marked);
	lane_init(&l->own, l, 0);
	home_out_init(&l->ends, &l->out, seal, flush);
	timer_init(&l->timer, heartbeat);
	l->heard = l->said = home_now(h);
	(void)snprintf(l->name, sizeof(l->name), "link=%u.%" PRIu64, h->index, ++u->serial);
	u->count++;
	err = loop_watch(h->loop, &l->watch, fd, LOOP_READ, link_ready);
	l->watch.fd = fd;
	if (err)
		goto fail;
	err = -E_NOMEM;
	if (!open_self(l))
		goto fail;
	list_add_tail(&u->links, &l->node);
	say_hello(l);
	timer_set(h->loop, &l->timer, LINK_PING_MS);
	h->counters.links++;
	return 0;
fail:
	link_free(&l);
	return err;
}

static const char *stranger(const struct uplink *u, int fd)
{
	uid_t uid;

	if (sock_peer_uid(fd, &uid) || !core_uid_may(u->home->config, uid, CORE_LINK))
		return "uid";
	if (u->count >= (size_t)u->home->config->links_max)
		return "links_max";
	return home_ending(u->home) ? "ending" : NULL;
}

static void come(struct watch *w, unsigned events)
{
	struct uplink *u = container_of(w, struct uplink, watch);
	struct sock_addr peer;
	const char *why;
	int fd, err;

	(void)events;
	while ((err = sock_accept(w->fd, &fd, &peer)) == 0) {
		why = stranger(u, fd);
		if (why)
			sock_close(&fd);
		else if (uplink_take(u, fd))
			why = "memory";
		if (why) {
			u->home->counters.links_refused++;
			LOG_WARN(home_name(u->home), "link-refused", "why=%s", why);
		}
	}
	/* out of descriptors: do not spin (fault F14) */
	if (err == -E_LIMIT) {
		loop_rewatch(u->home->loop, w, 0);
		timer_set(u->home->loop, &u->pause, ACCEPT_PAUSE_MS);
	}
}

static void look_again(struct timer *t)
{
	struct uplink *u = container_of(t, struct uplink, pause);

	loop_rewatch(u->home->loop, &u->watch, LOOP_READ);
}

int uplink_open(struct uplink **out, struct home *h, const char *path, const char **why)
{
	struct uplink *u = mem_zalloc(sizeof(*u));
	int err = -E_NOMEM, fd = -1;

	*why = err_text(err);
	if (!u)
		return err;
	u->home = h;
	u->watch.fd = -1;
	list_init(&u->links);
	lane_marks_init(&u->marks);
	timer_init(&u->pause, look_again);
	u->path = str_dup_z(str_c(path));
	if (!u->path)
		goto fail;
	err = sock_listen_unix(&fd, path, 0660, why);
	if (err) {
		mem_free(u->path);
		u->path = NULL;
		goto fail;
	}
	err = loop_watch(h->loop, &u->watch, fd, LOOP_READ, come);
	u->watch.fd = fd;
	if (err) {
		*why = err_text(err);
		goto fail;
	}
	*out = u;
	return 0;
fail:
	uplink_close(&u);
	return err;
}

void uplink_close(struct uplink **slot)
{
	struct uplink *u = *slot;
	struct link *l;

	*slot = NULL;
	if (!u)
		return;
	work_drop_all(u->home);
	while ((l = list_first(&u->links, struct link, node)))
		link_free(&l);
	work_drop_all(u->home); /* their clients are lost now */
	timer_stop(&u->pause);
	loop_unwatch(u->home->loop, &u->watch);
	sock_close(&u->watch.fd);
	if (u->path)
		(void)unlink(u->path);
	mem_free(u->path);
	mem_free(u);
}

size_t uplink_links(const struct uplink *u)
{
	return u->count;
}
