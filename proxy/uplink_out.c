/* uplink_out.c - what goes to the core (uplink.h). Each customer's frames wait in its share, those
 * of the link itself in front of all: when the socket is full, nobody's wait behind what another
 * customer has said, and heartbeats wait for one frame at most. Everything of a turn leaves with
 * one write at its end, as long as the socket takes it. */
#include "base/base.h"
#include "proxy/uplink.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "proxy/conn.h"
#include "proxy/share.h"
#include "proxy/worker.h"

enum {
	/* memory that an emptied buffer may keep: there are few links, and few busy customers */
	OUT_KEEP = 1 << 20,
	OUT_KEEP_OF_MANY = 16 << 10,
	FEW = 8,
	/* of one customer until the others have had theirs; of many each has less, so that a round
	 * has about so much: a frame stands behind few kilobytes, however many neighbours have more
	 * (attack I24) */
	CHUNK = 8 << 10,
	ROUND = 16 << 10,
	CHUNKS = 64, /* of one write */
	/* in the socket: of one customer; as soon as two are active */
	ROOM_ALONE = 1 << 20,
	ROOM_BESIDE = 8 << 10,
	/* of a customer that waits, as soon as two are active: as PAUSE_ABOVE in later.c */
	HIGH_BESIDE = 128 << 10,
	/* however many customers wait, each may have so much waiting */
	LEAST = 64 << 10,
};

void uplink_touch(struct uplink *u)
{
	u->dirty = true;
	u->worker->dirty_links = true;
	worker_touch(u->worker);
}

struct buf *uplink_out(struct uplink *u)
{
	if (!uplink_up(u)) /* it is lost, and its connections end one after the other */
		return worker_sink(u->worker);
	uplink_touch(u);
	return &u->out;
}

static struct buf *say(struct uplink *u, struct customer_share *s)
{
	if (!uplink_up(u))
		return worker_sink(u->worker);
	uplink_touch(u);
	if (list_empty(&s->out_node)) {
		s->link = u;
		list_add_tail(&u->outs, &s->out_node);
		u->out_count++;
	}
	return &s->out;
}

struct buf *uplink_say(struct conn *c)
{
	return say(c->link, c->share);
}

struct buf *uplink_say_of(struct uplink *u, uint64_t customer)
{
	struct customer_share *s = share_find(u->worker, customer);

	return s ? say(u, s) : uplink_out(u);
}

size_t uplink_mark(const struct conn *c)
{
	return buf_len(&c->share->out);
}

bool uplink_unsaid(struct conn *c, size_t mark)
{
	if (likely(!c->channel || buf_ok(&c->share->out)))
		return false;
	buf_cut(&c->share->out, mark);
	return true;
}

/* ---- Full ---- */

static bool over(const struct uplink *u, size_t waiting, unsigned part)
{
	size_t high = (size_t)u->worker->config->link_high, mine;

	if (slices_contended(&u->worker->slices))
		high = size_min(high, HIGH_BESIDE);
	mine = high;
	if (u->out_count > 1) {
		mine = high / u->out_count;
		mine = mine > LEAST ? mine : size_min(LEAST, high);
	}
	return waiting > mine / part;
}

bool uplink_full(const struct uplink *u, uint64_t customer)
{
	const struct customer_share *s = share_find(u->worker, customer);

	return over(u, buf_len(s ? &s->out : &u->out), 1);
}

bool uplink_full_for(const struct conn *c)
{
	return over(c->link, buf_len(&c->share->out), 1);
}

void uplink_stall(struct conn *c)
{
	c->worker->n.link_stalls += !(c->share->stopped & SHARE_FULL);
	share_stop(c->share, SHARE_FULL);
}

static void release_stalled(struct uplink *u, struct customer_share *s)
{
	if (over(u, buf_len(&s->out), 2))
		return;
	share_release_regrants(u->worker, s);
	share_go_on(u->worker, s, SHARE_FULL);
}

/* ---- Writing ---- */

struct piece { /* of one write: whole frames, or what is left of one that was begun */
	struct buf *buf;
	struct customer_share *share; /* NULL: the link's own */
	size_t from, n;
};

struct batch {
	struct piece piece[CHUNKS];
	struct iovec iov[CHUNKS];
	unsigned count;
};

/* Bytes of the frame that begins here. What is in a buffer was written by us. */
static size_t frame_size(const struct buf *b, size_t from)
{
	uint32_t n;

	MUST(buf_len(b) - from >= LINK_HEAD);
	memcpy(&n, buf_data(b) + from, sizeof(n));
	n = le32toh(n);
	MUST(n >= LINK_HEAD && n <= buf_len(b) - from); /* half a frame was cut (link_end) */
	return n;
}

/* Where the last frame ends that begins before `most`. */
static size_t whole_frames(const struct buf *b, size_t from, size_t most)
{
	size_t at = from;

	if (buf_len(b) - from <= most)
		return buf_len(b) - from;
	while (at < buf_len(b) && at - from < most)
		at += frame_size(b, at);
	return at - from;
}

static void put(struct batch *x, struct buf *b, struct customer_share *s, size_t from, size_t n)
{
	if (n == 0)
		return;
	x->piece[x->count] = (struct piece){ b, s, from, n };
	x->iov[x->count] = (struct iovec){ b->p + b->head + from, n };
	x->count++;
}

static size_t begun_of(const struct uplink *u, const struct buf *b)
{
	return u->torn == b ? u->torn_left : 0;
}

static size_t chunk(const struct uplink *u)
{
	return u->out_count > 1 ? size_max(size_min(CHUNK, ROUND / u->out_count), 1) : SIZE_MAX;
}

static void gather_batch(struct uplink *u, struct batch *x)
{
	x->count = 0;
	if (u->torn)
		put(x, u->torn, u->torn_share, 0, u->torn_left);
	put(x, &u->out, NULL, begun_of(u, &u->out), buf_len(&u->out) - begun_of(u, &u->out));
	for (struct list *n = u->outs.next; n != &u->outs && x->count < CHUNKS; n = n->next) {
		struct customer_share *s = container_of(n, struct customer_share, out_node);
		size_t begun = begun_of(u, &s->out);

		put(x, &s->out, s, begun, whole_frames(&s->out, begun, chunk(u)));
	}
}

static ssize_t send_batch(struct uplink *u, struct batch *x)
{
	struct msghdr m = { .msg_iov = x->iov, .msg_iovlen = x->count };
	ssize_t n;

	do
		n = x->count == 1 ? send(u->watch.fd, x->iov[0].iov_base, x->iov[0].iov_len,
		                         MSG_NOSIGNAL | MSG_DONTWAIT)
		                  : sendmsg(u->watch.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n;
}

/* The socket took only `sent` of this piece: what is left of the frame it ends in comes first next
 * time. The bytes before were consumed from the buffer already. */
static void tear(struct uplink *u, const struct piece *p, size_t sent, bool begun)
{
	size_t end = 0;

	if (begun) { /* still in the frame that was torn before */
		u->torn_left -= sent;
		return;
	}
	while (end < sent)
		end += frame_size(p->buf, p->from + end);
	u->torn = end > sent ? p->buf : NULL;
	u->torn_share = p->share;
	u->torn_left = end - sent;
}

static void settle(struct uplink *u, struct batch *x, size_t sent)
{
	for (unsigned i = 0; i < x->count && sent; i++) {
		struct piece *p = &x->piece[i];
		bool begun = i == 0 && u->torn;
		size_t n = size_min(sent, p->n);

		for (unsigned k = 1; begun && k < x->count; k++) { /* of its bytes the rest */
			if (x->piece[k].buf == p->buf)
				x->piece[k].from -= n;
		}
		if (n < p->n)
			tear(u, p, n, begun);
		else if (begun)
			u->torn = NULL;
		buf_consume(p->buf, n);
		sent -= n;
		if (p->share) { /* the next write begins with a customer that had nothing in this
			           one */
			list_del(&p->share->out_node);
			list_add_tail(&u->outs, &p->share->out_node);
		}
	}
}

static void free_channels(struct uplink *u, struct customer_share *s)
{
	if (!s->freed_first)
		return;
	u->channel[s->freed_last].next_free = u->free_channel;
	u->free_channel = s->freed_first;
	s->freed_first = s->freed_last = 0;
}

static void keep_memory(struct worker *w, struct buf *b)
{
	if (b->cap > (w->shares.count <= FEW ? OUT_KEEP : OUT_KEEP_OF_MANY))
		buf_free(b);
}

/* Who has been served is behind the others, or has nothing left. */
static void after_write(struct uplink *u)
{
	struct list had;

	if (list_empty(&u->outs))
		return;
	had = u->outs;
	had.next->prev = had.prev->next = &had;
	list_init(&u->outs);
	while (!list_empty(&had)) {
		struct customer_share *s = container_of(had.next, struct customer_share, out_node);

		list_del(&s->out_node);
		if (buf_len(&s->out)) {
			list_add_tail(&u->outs, &s->out_node);
		} else {
			u->out_count--;
			free_channels(u, s);
			keep_memory(u->worker, &s->out);
		}
		release_stalled(u, s);
		share_tidy(u->worker, s);
	}
}

static bool all_ok(const struct uplink *u)
{
	if (!buf_ok(&u->out))
		return false;
	for (struct list *n = u->outs.next; n != &u->outs; n = n->next) {
		if (!buf_ok(&container_of(n, struct customer_share, out_node)->out))
			return false;
	}
	return true;
}

static bool anything(const struct uplink *u)
{
	return buf_len(&u->out) || !list_empty(&u->outs);
}

/* True: all of it was taken. */
static bool write_batch(struct uplink *u)
{
	struct batch x __attribute__((uninitialized));
	size_t whole = 0;
	ssize_t n;

	gather_batch(u, &x);
	for (unsigned i = 0; i < x.count; i++)
		whole += x.piece[i].n;
	if (whole == 0)
		return false;
	n = send_batch(u, &x);
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS) {
		uplink_fail(u, "cannot write");
		return false;
	}
	u->worker->n.link_writes++;
	if (n <= 0)
		return false;
	settle(u, &x, (size_t)n);
	u->said = loop_now(u->worker->loop);
	return (size_t)n == whole;
}

/* What lies in the socket stands in front of whatever comes next, and has no turns: as soon as two
 * customers are active, only little of it is allowed there, and the rest waits in their buffers. */
static void set_room(struct uplink *u)
{
	int room = slices_contended(&u->worker->slices) ? ROOM_BESIDE : ROOM_ALONE;

	if (likely(room == u->room))
		return;
	u->room = room;
	/* less is only slower */
	(void)setsockopt(u->watch.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
}

void uplink_write(struct uplink *u)
{
	set_room(u);
	if (!all_ok(u)) {
		uplink_fail(u, "out of memory");
		return;
	}
	while (anything(u)) {
		bool whole = write_batch(u);

		if (u->failed)
			return;
		after_write(u);
		if (!whole)
			break;
	}
	u->writing = anything(u);
	loop_rewatch(u->worker->loop, &u->watch,
	             (u->deaf ? 0u : LOOP_READ) | (u->writing ? LOOP_WRITE : 0u));
	if (buf_len(&u->out) == 0)
		keep_memory(u->worker, &u->out);
}

void uplink_forget_out(struct uplink *u)
{
	u->torn = NULL;
	buf_free(&u->out);
	for (struct list *n; (n = u->outs.next) != &u->outs;) {
		struct customer_share *s = container_of(n, struct customer_share, out_node);

		list_del(n);
		u->out_count--;
		buf_free(&s->out);
		free_channels(u, s);
		release_stalled(u, s);
		share_tidy(u->worker, s);
	}
}
