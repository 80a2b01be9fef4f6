/* uplink.c - the proxy's side of the link: dialling, HELLO, heartbeat, one read per turn, the table
 * of channels (uplink.h). What goes out is in uplink_out.c, what the frames mean in uplink_in.c. */
#include "base/base.h"
#include "proxy/uplink.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"
#include "proxy/conn.h"
#include "proxy/feed.h"
#include "proxy/greet.h"
#include "proxy/later.h"
#include "proxy/share.h"
#include "proxy/worker.h"

enum {
	BACKOFF_FIRST_MS = 50,
	BACKOFF_MOST_MS = 2000,
	READ_BESIDE = 64 << 10,
	CHANNELS_FIRST = 64,
	/* of a lost link in one turn: channels looked at, each with a client as much as 64 */
	LOSE_MOST = 4096,
	LOSE_COST = 64,
};

static const char *name_of(const struct uplink *u)
{
	static _Thread_local char room[48];

	(void)snprintf(room, sizeof(room), "link=w%u.h%u", u->worker->index, u->home);
	return room;
}

static int64_t now_of(const struct uplink *u)
{
	return loop_now(u->worker->loop);
}

void uplink_fail(struct uplink *u, const char *why)
{
	if (u->failed || u->state == UPLINK_DOWN)
		return;
	u->failed = true;
	u->why = why;
	uplink_touch(u);
}

/* ---- In ---- */

static enum parse measure(void *owner, struct str bytes, size_t *whole)
{
	struct uplink *u = owner;
	enum parse answer = link_head_peek(bytes, &u->head);

	if (answer == PARSE_BAD)
		uplink_fail(u, "frame that does not parse");
	else if (answer == PARSE_OK)
		*whole = u->head.length;
	return answer;
}

static bool hello(struct uplink *u, const struct link_head *h, struct str body)
{
	struct link_hello hello;

	if (h->type != LINK_HELLO || !link_hello_read(body, &hello))
		return false;
	if (hello.major != LINK_MAJOR || hello.homes == 0 || hello.home != u->home) {
		LOG_ERROR(name_of(u), "link-version", "theirs=%u.%u ours=%u.%u home=%u of %u",
		          hello.major, hello.minor, LINK_MAJOR, LINK_MINOR, hello.home,
		          hello.homes);
		return false;
	}
	u->state = UPLINK_UP;
	u->minor = hello.minor;
	u->backoff_ms = BACKOFF_FIRST_MS;
	LOG_INFO(name_of(u), "link-up", "homes=%u version=%u.%u", hello.homes, hello.major,
	         hello.minor);
	if (u->home == 0 && u->worker->homes != hello.homes) {
		u->worker->homes = hello.homes;
		worker_link_changed(u->worker);
	}
	return true;
}

/* mbus/#: what changed about tokens and customers. Home 0 has the trusted world. */
static void subscribe(struct uplink *u)
{
	struct buf *out = uplink_out(u);
	size_t frame = link_subscribe_begin(out, LINK_SUBSCRIBE, 0, 0, 1, 0),
	       item = link_item_begin(out, frame, 0, 0, STR("mbus/#"));

	link_item_inner(out, item, STR("mbus/#"), false);
	if (!link_end(out, frame))
		uplink_fail(u, "out of memory");
}

/* The first frame. */
static bool greeted(struct uplink *u, const struct link_head *h, struct str body)
{
	if (!hello(u, h, body))
		return false;
	if (u->home == 0)
		subscribe(u);
	worker_link_changed(u->worker);
	return true;
}

static void nonsense(struct uplink *u, const struct link_head *h)
{
	if (u->failed)
		return;
	LOG_ERROR(name_of(u), "link-nonsense", "frame=%s channel=%u bytes=%u",
	          link_type_name(h->type), h->channel, h->length);
	uplink_fail(u, "frame that makes no sense");
}

bool uplink_take(struct uplink *u, const struct link_head *h, struct str body)
{
	bool sense =
	    unlikely(u->state == UPLINK_HELLO) ? greeted(u, h, body) : uplink_frame(u, h, body);

	if (unlikely(!sense))
		nonsense(u, h);
	return !u->failed;
}

static bool frame(void *owner, struct str bytes)
{
	struct uplink *u = owner;
	struct link_head h = u->head; /* measured a moment ago */

	MUST(bytes.n == h.length);
	u->worker->n.link_frames_in++;
	u->entry = 0;
	return uplink_take(u, &h, str_skip(bytes, LINK_HEAD));
}

static const struct feed_ops ops = { .measure = measure, .frame = frame };

static void read_in(struct uplink *u)
{
	struct worker *w = u->worker;
	/* who is not alone does not wait while all of this is looked at */
	size_t most = slices_contended(&w->slices) ? READ_BESIDE : WORKER_ROOM;
	ssize_t n;

	if (later_full(u))
		return;
	do
		n = recv(u->watch.fd, w->room, most, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		uplink_fail(u, n == 0 ? "closed by the core" : "cannot read");
		return;
	}
	w->n.link_reads++;
	u->heard = now_of(u);
	if (feed(&ops, u, &u->in, str_make(w->room, (size_t)n)) == FEED_NOMEM)
		uplink_fail(u, "out of memory");
}

static void ready(struct watch *w, unsigned events)
{
	struct uplink *u = container_of(w, struct uplink, watch);

	if (u->failed)
		return;
	loop_step(u->worker->loop, "link-read");
	if (events & LOOP_WRITE)
		uplink_touch(u);
	if (events & (LOOP_READ | LOOP_HANGUP))
		read_in(u);
	loop_step(u->worker->loop, "event");
}

/* ---- Up and down ---- */

static void again_later(struct uplink *u)
{
	unsigned jitter =
	    (unsigned)(hash_mix((uint64_t)now_of(u), u->worker->index * 64u + u->home) % 50);

	timer_set(u->worker->loop, &u->timer,
	          u->backoff_ms + (int64_t)u->backoff_ms * jitter / 100);
	u->backoff_ms = u->backoff_ms * 2 < BACKOFF_MOST_MS ? u->backoff_ms * 2 : BACKOFF_MOST_MS;
}

/* Its clients cannot be served any more; they come back, and find their sessions. Thousands are
 * ended in slices, because clients of other homes go on meanwhile. What those say that are still
 * there goes nowhere, and the link is not dialled again before the last one is gone: the core would
 * not know their channels. */
static void lose_some(struct hook *h)
{
	struct uplink *u = container_of(h, struct uplink, losing);

	for (unsigned cost = 0; u->lose_at < u->channels && cost < LOSE_MOST; u->lose_at++) {
		struct conn *c = u->channel[u->lose_at].conn;

		cost += c ? LOSE_COST : 1;
		if (!c)
			continue;
		u->lost++;
		if (c->state == CONN_OPENING)
			greet_refuse(c, RC_SERVER_UNAVAILABLE, "broker not available");
		else
			conn_close(c, END_CORE_LOST);
	}
	if (u->lose_at < u->channels) {
		loop_at_next_end(u->worker->loop, h);
		return;
	}
	if (u->lost)
		LOG_WARN(name_of(u), "link-lost", "clients=%zu", u->lost);
	if (!u->worker->stopping)
		again_later(u);
}

static void go_down(struct uplink *u)
{
	LOG_WARN(name_of(u), "link-down", "why=\"%s\"", u->why);
	timer_stop(&u->timer);
	loop_unwatch(u->worker->loop, &u->watch);
	sock_close(&u->watch.fd);
	u->state = UPLINK_DOWN;
	u->failed = u->dirty = u->writing = u->subscribed = false;
	u->lost_once = true;
	buf_free(&u->in);
	later_forget(u);
	uplink_forget_out(u);
	shares_go_on(u->worker, u->home);
	u->lose_at = 1;
	u->lost = 0;
	lose_some(&u->losing);
}

void uplink_flush(struct uplink *u)
{
	if (!u->dirty)
		return;
	u->dirty = false;
	if (!u->failed && u->state != UPLINK_DOWN)
		uplink_write(u);
	if (u->failed)
		go_down(u);
}

/* The core is the one who owns the folder, or ourselves, or root: nobody else may pose as it. */
static bool is_core(const struct uplink *u)
{
	struct stat st;
	uid_t uid;

	if (sock_peer_uid(u->watch.fd, &uid))
		return false;
	if (uid == 0 || uid == geteuid())
		return true;
	return stat(u->worker->config->core_dir, &st) == 0 && st.st_uid == uid;
}

static int dial(struct uplink *u)
{
	struct link_hello hello = { .major = LINK_MAJOR,
		                    .minor = LINK_MINOR,
		                    .features = LINK_MAY_ALL };
	char path[256], name[32];
	int fd = -1, err;

	if (snprintf(path, sizeof(path), "%s/link-%u.sock", u->worker->config->core_dir, u->home) >=
	    (int)sizeof(path))
		return -E_LIMIT;
	err = sock_dial_unix(&fd, path);
	if (err)
		return err;
	u->watch.fd = fd;
	if (!is_core(u)) {
		LOG_ERROR(name_of(u), "link-stranger", "path=%s", log_esc(str_c(path)));
		sock_close(&u->watch.fd);
		return -E_DENIED;
	}
	u->room = 0; /* set with the first write */
	err = loop_watch(u->worker->loop, &u->watch, fd, LOOP_READ, ready);
	if (err) {
		u->watch.fd = fd;
		sock_close(&u->watch.fd);
		return err;
	}
	hello.name =
	    str_make(name, (size_t)snprintf(name, sizeof(name), "mbus-proxy/%u", u->worker->index));
	link_hello_write(&u->out, &hello);
	u->state = UPLINK_HELLO;
	u->heard = u->said = now_of(u);
	uplink_touch(u);
	return 0;
}

static void fired(struct timer *t)
{
	struct uplink *u = container_of(t, struct uplink, timer);
	int64_t now = now_of(u);
	int err;

	if (u->state == UPLINK_DOWN) {
		if (u->home && u->home >= u->worker->homes) { /* the core has fewer homes now */
			timer_set(u->worker->loop, t, BACKOFF_MOST_MS);
			return;
		}
		err = dial(u);
		if (err) {
			LOG_WARN(name_of(u), "link-dial", "why=\"%s\" dir=%s", err_text(err),
			         log_esc(str_c(u->worker->config->core_dir)));
			again_later(u);
			return;
		}
	} else if (!u->deaf && now - u->heard >= LINK_DEAD_MS) {
		uplink_fail(u, "nothing heard");
		return;
	} else if (u->state == UPLINK_UP && now - u->said >= LINK_PING_MS) {
		link_bare_write(uplink_out(u), LINK_PING, 0, 0);
	}
	timer_set(u->worker->loop, t, LINK_PING_MS);
}

int uplink_new(struct uplink **out, struct worker *w, unsigned home)
{
	struct uplink *u = mem_zalloc(sizeof(*u));

	if (!u)
		return -E_NOMEM;
	u->worker = w;
	u->home = home;
	u->watch.fd = -1;
	u->backoff_ms = BACKOFF_FIRST_MS;
	u->channels = 1;
	list_init(&u->outs);
	hook_init(&u->losing, lose_some);
	timer_init(&u->timer, fired);
	*out = u;
	return 0;
}

void uplink_start(struct uplink *u)
{
	timer_set(u->worker->loop, &u->timer, 0);
}

void uplink_free(struct uplink **slot)
{
	struct uplink *u = *slot;

	*slot = NULL;
	if (!u)
		return;
	later_forget(u);
	uplink_forget_out(u);
	hook_cancel(&u->losing);
	timer_stop(&u->timer);
	loop_unwatch(u->worker->loop, &u->watch);
	sock_close(&u->watch.fd);
	buf_free(&u->in);
	buf_free(&u->out);
	mem_free(u->channel);
	mem_free(u);
}

/* ---- Channels ---- */

static int grow(struct uplink *u)
{
	uint32_t room = u->channel_room ? u->channel_room * 2 : CHANNELS_FIRST;
	struct channel *channel;

	if (room > LINK_CHANNELS_MAX)
		return -E_LIMIT;
	channel = mem_realloc(u->channel, room * sizeof(*channel));
	if (!channel)
		return -E_NOMEM;
	memset(channel + u->channel_room, 0, (room - u->channel_room) * sizeof(*channel));
	u->channel = channel;
	u->channel_room = room;
	return 0;
}

int uplink_attach(struct uplink *u, struct conn *c)
{
	struct channel *ch;
	uint32_t number = u->free_channel;
	int err;

	if (number) {
		u->free_channel = u->channel[number].next_free;
	} else {
		err = u->channels < u->channel_room ? 0 : grow(u);
		if (err)
			return err;
		number = u->channels++;
	}
	ch = &u->channel[number];
	ch->conn = c;
	/* what is still on its way for the last client of this number is recognised */
	ch->generation++;
	c->link = u;
	c->channel = number;
	c->generation = ch->generation;
	return 0;
}

void uplink_detach(struct conn *c)
{
	struct customer_share *s = c->share;
	struct uplink *u = c->link;
	struct channel *ch;

	if (!c->channel)
		return;
	ch = &u->channel[c->channel];
	MUST(ch->conn == c);
	ch->conn = NULL;
	if (list_empty(&s->out_node)) {
		ch->next_free = u->free_channel;
		u->free_channel = c->channel;
	} else { /* another customer's OPEN must not overtake this one's CLOSE */
		ch->next_free = s->freed_first;
		s->freed_first = c->channel;
		if (!s->freed_last)
			s->freed_last = c->channel;
	}
	c->channel = 0;
	c->link = NULL;
}

struct conn *uplink_find(const struct uplink *u, uint32_t channel, uint16_t generation)
{
	if (channel == 0 || channel >= u->channels || u->channel[channel].generation != generation)
		return NULL;
	return u->channel[channel].conn;
}
