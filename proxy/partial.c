/* partial.c - bytes of packets that have not wholly come (partial.h, attack R02). */
#include "base/base.h"
#include "proxy/partial.h"

#include "base/mem.h"
#include "base/sock.h"
#include "proxy/conn.h"
#include "proxy/share.h"
#include "proxy/worker.h"
#include "wire/mqtt_write.h"

enum {
	ROOM_PART = 16, /* a full pool is emptied by this part of it: few searches */
	LOOK = 64,      /* holders of about the same size that are compared */
};

struct stranger { /* an address without a token */
	struct map_node node;
	uint64_t who[2];
	struct partial_holder holder;
};

static void pool_init(struct partial_pool *p, int64_t most)
{
	for (unsigned i = 0; i < PARTIAL_LEVELS; i++)
		list_init(&p->holders[i]);
	p->most = (size_t)most;
}

void partial_init(struct worker *w)
{
	pool_init(&w->partial, w->config->partial_bytes);
	pool_init(&w->partial_strangers, w->config->partial_strangers);
}

void partial_free(struct worker *w)
{
	MUST(w->partial_strangers.addresses.count == 0);
	map_free(&w->partial_strangers.addresses);
}

void partial_holder_init(struct partial_holder *h)
{
	list_init(&h->node);
	list_init(&h->conns);
}

/* ---- Holders ---- */

static bool is_stranger(const struct conn *c)
{
	return c->share->customer == 0;
}

static struct partial_pool *pool_of(struct worker *w, bool strangers)
{
	return strangers ? &w->partial_strangers : &w->partial;
}

static struct stranger *stranger_find(const struct map *m, const uint64_t who[2], uint64_t hash)
{
	for (struct map_node *n = map_first(m, hash); n; n = map_next(n)) {
		struct stranger *s = container_of(n, struct stranger, node);

		if (s->who[0] == who[0] && s->who[1] == who[1])
			return s;
	}
	return NULL;
}

static struct partial_holder *address_holder(struct map *m, const struct sock_addr *peer)
{
	struct stranger *s;
	uint64_t who[2], hash;

	sock_subscriber(peer, who);
	hash = hash_mix(who[0], who[1]);
	s = stranger_find(m, who, hash);
	if (s)
		return &s->holder;
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	if (map_add(m, &s->node, hash)) {
		mem_free(s);
		return NULL;
	}
	memcpy(s->who, who, sizeof(who));
	partial_holder_init(&s->holder);
	return &s->holder;
}

static struct partial_holder *holder_of(const struct conn *c)
{
	return is_stranger(c) ? address_holder(&c->worker->partial_strangers.addresses, &c->peer)
	                      : &c->share->partial;
}

/* An address that holds nothing is forgotten; a customer's holder is part of its share. */
static void emptied(struct partial_pool *p, struct partial_holder *h, bool stranger)
{
	list_del(&h->node);
	if (stranger) {
		struct stranger *s = container_of(h, struct stranger, holder);

		map_del(&p->addresses, &s->node);
		mem_free(s);
	}
}

static void count(struct partial_pool *p, struct partial_holder *h, size_t more, size_t less)
{
	unsigned level;

	p->bytes += more - less;
	h->bytes += more - less;
	level = h->bytes ? 63u - (unsigned)__builtin_clzll(h->bytes) : 0;
	MUST(level < PARTIAL_LEVELS);
	if (!list_empty(&h->node) && h->level == level)
		return;
	h->level = (uint8_t)level;
	list_del(&h->node);
	list_add_tail(&p->holders[level], &h->node);
}

static void leave(struct conn *c)
{
	struct partial_pool *p = pool_of(c->worker, c->partial_stranger);
	struct partial_holder *h = c->partial_holder;

	list_del(&c->partial_node);
	count(p, h, 0, c->partial);
	c->partial = 0;
	c->partial_holder = NULL;
	if (list_empty(&h->conns))
		emptied(p, h, c->partial_stranger);
}

static void join(struct conn *c, struct partial_holder *h)
{
	c->partial_holder = h;
	c->partial_stranger = is_stranger(c);
	list_add_tail(&h->conns, &c->partial_node);
}

/* ---- Room ---- */

/* Of thousands that hold about the same (within a factor of two) it need not be the very largest:
 * who has a whole /48 of IPv6 would have us compare 65,536 for each connection that goes. */
static struct partial_holder *largest(struct partial_pool *p)
{
	struct partial_holder *most = NULL, *h;
	unsigned level = PARTIAL_LEVELS - 1, looked = 0;

	while (level && list_empty(&p->holders[level]))
		level--;
	list_each(h, &p->holders[level], struct partial_holder, node) {
		if (!most || h->bytes > most->bytes)
			most = h;
		if (++looked == LOOK)
			break;
	}
	p->looked += looked;
	return most;
}

static void make_room(struct partial_pool *p)
{
	while (p->bytes > p->most - p->most / ROOM_PART) {
		struct partial_holder *h = largest(p);
		struct conn *oldest = list_first(&h->conns, struct conn, partial_node);

		oldest->worker->n.partials_closed++;
		conn_close_with(oldest, END_QUOTA, RC_QUOTA_EXCEEDED,
		                "too many half-received packets");
		MUST(oldest->partial == 0); /* conn_close() gives it back */
		buf_free(&oldest->in);
	}
}

int partial_set(struct conn *c, size_t bytes)
{
	struct partial_pool *p = pool_of(c->worker, is_stranger(c));
	size_t before = c->partial;

	if (c->partial_holder && (bytes == 0 || c->partial_stranger != is_stranger(c)))
		leave(c);
	if (bytes == 0)
		return 0;
	if (!c->partial_holder) {
		struct partial_holder *h = holder_of(c);

		if (!h)
			return -E_NOMEM;
		join(c, h);
	}
	count(p, c->partial_holder, bytes, c->partial);
	c->partial = bytes;
	if (bytes > before && p->bytes > p->most)
		make_room(p);
	return 0;
}

void partial_drop(struct conn *c)
{
	if (c->partial_holder)
		leave(c);
}
