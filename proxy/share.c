/* share.c - what one customer has of one worker (share.h). */
#include "base/base.h"
#include "proxy/share.h"

#include <inttypes.h>

#include "base/log.h"
#include "base/mem.h"
#include "proxy/conn.h"
#include "proxy/worker.h"

static uint64_t hash_of(uint64_t customer)
{
	return hash_mix(customer, 0);
}

struct customer_share *share_find(const struct worker *w, uint64_t customer)
{
	for (struct map_node *n = map_first(&w->shares, hash_of(customer)); n; n = map_next(n)) {
		struct customer_share *s = container_of(n, struct customer_share, node);

		if (s->customer == customer)
			return s;
	}
	return NULL;
}

static struct customer_share *find_or_make(struct worker *w, uint64_t customer)
{
	struct customer_share *s = share_find(w, customer);

	if (s)
		return s;
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	if (map_add(&w->shares, &s->node, hash_of(customer))) {
		mem_free(s);
		return NULL;
	}
	s->customer = customer;
	list_init(&s->conns);
	return s;
}

static void free_if_idle(struct worker *w, struct customer_share *s)
{
	if (s == &w->strangers || s->held || !list_empty(&s->conns))
		return;
	map_del(&w->shares, &s->node);
	mem_free(s);
}

void shares_init(struct worker *w)
{
	list_init(&w->strangers.conns);
}

void shares_free(struct worker *w)
{
	map_each(n, &w->shares) {
		struct customer_share *s = container_of(n, struct customer_share, node);

		s->held = false;
		free_if_idle(w, s);
	}
	MUST(w->shares.count == 0);
	map_free(&w->shares);
}

/* ---- A connection's share ---- */

void share_begin(struct conn *c)
{
	c->share = &c->worker->strangers;
	list_add_tail(&c->share->conns, &c->share_node);
}

int share_enter(struct conn *c, uint64_t customer)
{
	struct customer_share *s;

	MUST(customer);
	if (c->share->customer == customer)
		return 0;
	s = find_or_make(c->worker, customer);
	if (!s)
		return -E_NOMEM;
	share_leave(c);
	c->share = s;
	list_add_tail(&s->conns, &c->share_node);
	if (s->held)
		conn_hold(c, HOLD_SHARE);
	return 0;
}

void share_leave(struct conn *c)
{
	struct customer_share *s = c->share;

	c->share = NULL;
	list_del(&c->share_node);
	free_if_idle(c->worker, s);
}

/* ---- Held by the core ---- */

static void go_on(struct worker *w, struct customer_share *s)
{
	struct conn *c;

	s->held = false;
	list_each(c, &s->conns, struct conn, share_node)
		conn_go_on_rest(c, HOLD_SHARE);
	free_if_idle(w, s);
}

void share_hold(struct worker *w, uint64_t customer, bool hold)
{
	struct customer_share *s = hold ? find_or_make(w, customer) : share_find(w, customer);
	struct conn *c;

	if (!s || s->held == hold) /* no memory: the core has other means against too much */
		return;
	if (!hold) {
		go_on(w, s);
		return;
	}
	LOG_DEBUG("", "held", "cid=%" PRIu64, customer);
	w->n.holds++;
	s->held = true;
	list_each(c, &s->conns, struct conn, share_node)
		conn_hold(c, HOLD_SHARE);
}

void shares_go_on(struct worker *w, unsigned home)
{
	map_each(n, &w->shares) {
		struct customer_share *s = container_of(n, struct customer_share, node);

		if (s->held && (w->homes == 0 || link_home_of(s->customer, w->homes) == home))
			go_on(w, s);
	}
}
