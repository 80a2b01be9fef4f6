/* share.c - what one customer has of one worker (share.h). */
#include "base/base.h"
#include "proxy/share.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/badge.h"
#include "proxy/conn.h"
#include "proxy/grants.h"
#include "proxy/inflight.h"
#include "proxy/uplink.h"
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

static void init(struct customer_share *s, uint64_t customer)
{
	s->customer = customer;
	list_init(&s->conns);
	partial_holder_init(&s->partial);
	list_init(&s->unread);
	list_init(&s->regrants);
	list_init(&s->regrant_node);
	list_init(&s->endings);
	list_init(&s->endings_node);
	list_init(&s->dues);
	list_init(&s->dues_node);
	list_init(&s->unread_node);
	list_init(&s->dirty);
	list_init(&s->dirty_node);
	list_init(&s->later_node);
	list_init(&s->out_node);
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
	init(s, customer);
	return s;
}

void share_tidy(struct worker *w, struct customer_share *s)
{
	if (s == &w->strangers || s->pins || (s->stopped & SHARE_HELD) || !list_empty(&s->conns) ||
	    buf_len(&s->later) || buf_len(&s->out))
		return;
	MUST(list_empty(&s->unread) && list_empty(&s->dirty) && !s->freed_first);
	list_del(&s->unread_node);
	list_del(&s->regrant_node);
	list_del(&s->endings_node);
	list_del(&s->dues_node);
	list_del(&s->dirty_node);
	list_del(&s->later_node);
	list_del(&s->out_node);
	buf_free(&s->later);
	buf_free(&s->out);
	map_del(&w->shares, &s->node);
	mem_free(s);
}

void shares_init(struct worker *w)
{
	init(&w->strangers, 0);
	list_init(&w->unread);
	list_init(&w->regrants);
	list_init(&w->endings);
	list_init(&w->dues);
	list_init(&w->dirty);
	list_init(&w->later);
}

void shares_free(struct worker *w)
{
	map_each(n, &w->shares) {
		struct customer_share *s = container_of(n, struct customer_share, node);

		s->stopped = 0;
		share_tidy(w, s);
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
	bool unread = !list_empty(&c->unread), dirty = !list_empty(&c->todo),
	     due = !list_empty(&c->due);
	struct customer_share *s;

	MUST(customer); /* of a verdict: never 0 */
	if (c->share->customer == customer)
		return 0;
	s = find_or_make(c->worker, customer);
	if (!s)
		return -E_NOMEM;
	share_leave(c);
	c->share = s;
	list_add_tail(&s->conns, &c->share_node);
	if (unread)
		share_wait(c, c->behind);
	if (dirty)
		share_dirty(c);
	if (due)
		share_due(c);
	share_charge(c, SLICE_CONNECT);
	return 0;
}

void share_leave(struct conn *c)
{
	struct customer_share *s = c->share;

	c->share = NULL;
	list_del(&c->share_node);
	list_del(&c->unread);
	list_del(&c->regrant);
	list_del(&c->due);
	list_del(&c->todo);
	share_tidy(c->worker, s);
}

/* ---- Memory ---- */

int share_alias(struct conn *c, struct alias_table **table, unsigned alias, unsigned most,
                struct str topic)
{
	size_t before = alias_bytes(*table), limit = (size_t)c->worker->config->alias_bytes;
	int err;

	if (c->share->alias_bytes + alias_cost(*table, alias, most, topic) > limit) {
		c->worker->n.aliases_refused++;
		return -E_LIMIT;
	}
	err = alias_set(table, alias, most, topic);
	c->share->alias_bytes += alias_bytes(*table) - before;
	return err;
}

void share_forget_aliases(struct conn *c)
{
	c->share->alias_bytes -= alias_bytes(c->aliases) + alias_bytes(c->aliases_out);
	alias_free(&c->aliases);
	alias_free(&c->aliases_out);
}

/* ---- Reading ---- */

void share_charge(struct conn *c, uint32_t units)
{
	struct slices *all = &c->worker->slices;

	slices_busy(all, &c->share->window);
	slice_charge(all, &c->share->read, units);
}

bool share_spend(struct conn *c, uint32_t units)
{
	struct slices *all = &c->worker->slices;
	struct customer_share *s = c->share;

	slices_busy(all, &s->window);
	return slice_spend(all, &s->read, units) && !s->stopped;
}

bool share_may_read(const struct conn *c)
{
	return !c->share->stopped && slice_open(&c->worker->slices, &c->share->read);
}

void share_ended(struct conn *c)
{
	share_charge(c, SLICE_END);
	slice_charge(&c->worker->slices, &c->share->ends, SLICE_END);
}

void share_wait(struct conn *c, bool behind)
{
	struct customer_share *s = c->share;
	struct worker *w = c->worker;

	list_del(&c->unread);
	if (behind)
		list_add_head(&s->unread, &c->unread);
	else
		list_add_tail(&s->unread, &c->unread);
	if (s->stopped)
		return;
	if (list_empty(&s->unread_node))
		list_add_tail(&w->unread, &s->unread_node);
	worker_touch(w);
}

static void read_share(struct worker *w, struct customer_share *s)
{
	struct conn *c;

	s->pins++;
	while (!s->stopped && slice_open(&w->slices, &s->read) &&
	       (c = list_first(&s->unread, struct conn, unread))) {
		list_del(&c->unread);
		conn_read_on(c);
	}
	s->pins--;
}

/* Each share has its slice once; one that has more to read then stands behind the others. */
void shares_each(struct worker *w, struct list *shares, size_t node,
                 void (*run)(struct worker *w, struct customer_share *s),
                 bool (*more)(const struct customer_share *s))
{
	struct list now;

	list_init(&now);
	if (list_empty(shares))
		return;
	/* taken as a whole: those that come meanwhile are for the next time */
	now = *shares;
	now.next->prev = now.prev->next = &now;
	list_init(shares);
	while (!list_empty(&now)) {
		struct list *first = now.next;
		struct customer_share *s = (struct customer_share *)((char *)first - node);

		list_del(first);
		run(w, s);
		if (more(s) && list_empty(first))
			list_add_tail(shares, first);
		share_tidy(w, s);
	}
}

static bool has_unread(const struct customer_share *s)
{
	return !s->stopped && !list_empty(&s->unread);
}

void shares_read(struct worker *w)
{
	shares_each(w, &w->unread, offsetof(struct customer_share, unread_node), read_share,
	            has_unread);
}

/* ---- Rights ---- */

static void grants_wait(struct conn *c)
{
	struct customer_share *s = c->share;

	if (list_empty(&s->regrant_node))
		list_add_tail(&c->worker->regrants, &s->regrant_node);
	worker_touch(c->worker);
}

void share_regrant_rest(struct conn *c)
{
	if (!list_empty(&c->regrant))
		return;
	list_add_tail(&c->share->regrants, &c->regrant);
	grants_wait(c);
}

void share_regrant(struct conn *c)
{
	filters_make_stale(&c->filters);
	share_regrant_rest(c);
}

void share_judge(struct conn *c)
{
	if (c->judge_due)
		return;
	c->judge_due = true;
	list_del(&c->regrant);
	list_add_head(&c->share->regrants, &c->regrant);
	grants_wait(c);
}

/* Its subscriptions come behind all who are to be judged. What masks cost is best told by the
 * clock. */
static void judge(struct worker *w, struct conn *c)
{
	int64_t since = clock_mono_us();

	c->judge_due = false;
	list_del(&c->regrant);
	list_add_tail(&c->share->regrants, &c->regrant);
	rights_judge(c);
	slices_busy(&w->slices, &c->share->window);
	slice_charge(&w->slices, &c->share->grants, slice_of_us(clock_mono_us() - since) + 1);
}

/* For the link, or for the core: of what it has to keep for one customer, no more than a limit may
 * wait there, or it reads nothing of this link any more. share_release_regrants() comes then. */
static bool must_wait(const struct conn *c)
{
	return !c->judge_due && c->state == CONN_OPEN && c->channel &&
	       (c->share->stopped & SHARE_HELD || uplink_full_for(c));
}

void share_release_regrants(struct worker *w, struct customer_share *s)
{
	if (list_empty(&s->regrants) || !list_empty(&s->regrant_node))
		return;
	list_add_tail(&w->regrants, &s->regrant_node);
	worker_touch(w);
}

static void regrant_share(struct worker *w, struct customer_share *s)
{
	struct conn *c;

	while (slice_open(&w->slices, &s->grants) &&
	       (c = list_first(&s->regrants, struct conn, regrant))) {
		if (c->judge_due) {
			judge(w, c);
			continue;
		}
		if (must_wait(c))
			return;
		if (c->state == CONN_OPEN && c->channel && uplink_up(c->link) && !grants_renew(c))
			return;
		list_del(&c->regrant);
		conn_core_resume(c, PAUSED_RIGHTS);
	}
}

static bool has_regrants(const struct customer_share *s)
{
	const struct conn *c = list_first(&s->regrants, struct conn, regrant);

	return c && !must_wait(c);
}

void shares_regrant(struct worker *w)
{
	shares_each(w, &w->regrants, offsetof(struct customer_share, regrant_node), regrant_share,
	            has_regrants);
}

/* ---- Those whose token has ended ---- */

void share_end(struct conn *c)
{
	struct customer_share *s = c->share;

	list_del(&c->regrant);
	list_add_tail(&s->endings, &c->regrant);
	if (list_empty(&s->endings_node))
		list_add_tail(&c->worker->endings, &s->endings_node);
	worker_touch(c->worker);
}

static void end_share(struct worker *w, struct customer_share *s)
{
	struct conn *c;

	while (slice_open(&w->slices, &s->ends) &&
	       (c = list_first(&s->endings, struct conn, regrant))) {
		list_del(&c->regrant);
		if (!badge_end(c) && c->state == CONN_OPEN)
			share_regrant_rest(c); /* it has another token now, by AUTH */
	}
}

static bool has_endings(const struct customer_share *s)
{
	return !list_empty(&s->endings);
}

void shares_end(struct worker *w)
{
	shares_each(w, &w->endings, offsetof(struct customer_share, endings_node), end_share,
	            has_endings);
}

/* ---- Deadlines ---- */

void share_due(struct conn *c)
{
	struct customer_share *s = c->share;

	list_del(&c->due);
	list_add_tail(&s->dues, &c->due);
	if (list_empty(&s->dues_node))
		list_add_tail(&c->worker->dues, &s->dues_node);
	worker_touch(c->worker);
}

static void due_share(struct worker *w, struct customer_share *s)
{
	struct conn *c;

	s->pins++;
	while (slice_open(&w->slices, &s->ends) && (c = list_first(&s->dues, struct conn, due))) {
		list_del(&c->due);
		slice_charge(&w->slices, &s->ends, 1);
		conn_due(c);
	}
	s->pins--;
}

static bool has_dues(const struct customer_share *s)
{
	return !list_empty(&s->dues);
}

void shares_due(struct worker *w)
{
	shares_each(w, &w->dues, offsetof(struct customer_share, dues_node), due_share, has_dues);
}

/* ---- Flushing ---- */

void share_dirty(struct conn *c)
{
	struct customer_share *s = c->share;

	if (!list_empty(&c->todo))
		return;
	list_add_tail(&s->dirty, &c->todo);
	if (list_empty(&s->dirty_node))
		list_add_tail(&c->worker->dirty, &s->dirty_node);
	worker_touch(c->worker);
}

static void flush_share(struct worker *w, struct customer_share *s)
{
	struct conn *c;

	s->pins++;
	while (slice_open(&w->slices, &s->flush) &&
	       (c = list_first(&s->dirty, struct conn, todo))) {
		slice_charge(&w->slices, &s->flush, SLICE_SEND);
		if (conn_flush(c))
			conn_free(c);
	}
	s->pins--;
}

static bool has_dirty(const struct customer_share *s)
{
	return !list_empty(&s->dirty);
}

void shares_flush(struct worker *w)
{
	shares_each(w, &w->dirty, offsetof(struct customer_share, dirty_node), flush_share,
	            has_dirty);
}

bool shares_done(const struct worker *w)
{
	return list_empty(&w->dues) && list_empty(&w->endings) && list_empty(&w->regrants) &&
	       list_empty(&w->unread) && list_empty(&w->dirty) && list_empty(&w->later);
}

/* ---- Stopped ---- */

void share_stop(struct customer_share *s, unsigned why)
{
	s->stopped |= (uint8_t)why;
	list_del(&s->unread_node);
}

void share_go_on(struct worker *w, struct customer_share *s, unsigned why)
{
	if (!(s->stopped & why))
		return;
	s->stopped &= (uint8_t)~why;
	if (why & SHARE_HELD)
		share_release_regrants(w, s);
	if (s->stopped || list_empty(&s->unread))
		return;
	list_add_tail(&w->unread, &s->unread_node);
	worker_touch(w);
}

void share_hold(struct worker *w, uint64_t customer, bool hold)
{
	struct customer_share *s = hold ? find_or_make(w, customer) : share_find(w, customer);

	/* no memory: the core has other means against too much */
	if (!s || !!(s->stopped & SHARE_HELD) == hold)
		return;
	if (!hold) {
		share_go_on(w, s, SHARE_HELD);
		share_tidy(w, s);
		return;
	}
	LOG_DEBUG("", "held", "cid=%" PRIu64, customer);
	w->n.holds++;
	share_stop(s, SHARE_HELD);
}

void shares_go_on(struct worker *w, unsigned home)
{
	map_each(n, &w->shares) {
		struct customer_share *s = container_of(n, struct customer_share, node);

		if (w->homes && link_home_of(s->customer, w->homes) != home)
			continue;
		share_go_on(w, s, SHARE_HELD);
		share_tidy(w, s);
	}
}
