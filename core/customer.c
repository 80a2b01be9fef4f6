/* customer.c - the customers of a home. One is made when it is first needed (a session, a retained
 * message) and freed when nothing is left of it, so that the memory of a home follows its use
 * (attack T15: what comes back under the same id starts empty). */
#include "base/base.h"
#include "core/session.h"
#include "core/work.h"

#include "base/mem.h"

static uint64_t customer_hash(uint64_t id)
{
	return hash_mix(id, 0);
}

struct customer *customer_find(const struct home *h, uint64_t id)
{
	for (struct map_node *n = map_first(&h->customers, customer_hash(id)); n; n = map_next(n)) {
		struct customer *c = container_of(n, struct customer, node);

		if (c->id == id)
			return c;
	}
	return NULL;
}

static void customer_free(struct customer **slot)
{
	struct customer *c = *slot;

	*slot = NULL;
	if (!c)
		return;
	timer_stop(&c->settle_again);
	timer_stop(&c->egress_timer);
	work_customer_end(c);
	list_del(&c->doomed);
	list_del(&c->replaying);
	if (c->tree)
		tree_free(&c->tree);
	retained_free(&c->retained);
	accounts_free(&c->accounts);
	map_free(&c->sessions);
	map_free(&c->groups);
	map_free(&c->sets);
	mem_free(c);
}

static void settle_again(struct timer *t)
{
	customer_settle(container_of(t, struct customer, settle_again));
}

static struct customer *customer_new(struct home *h, uint64_t id)
{
	struct customer *c = mem_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->home = h;
	c->id = id;
	list_init(&c->idle);
	list_init(&c->doomed);
	sessions_due_init(c);
	egress_init(c);
	work_customer_init(c);
	list_init(&c->replays);
	list_init(&c->replaying);
	timer_init(&c->settle_again, settle_again);
	if (id)
		space_make(&c->space, id);
	if (tree_new(&c->tree) || retained_new(&c->retained, id ? &c->accounts : NULL))
		goto fail;
	retained_judge(c->retained, h->config->retained_of_revoked == REVOKED_HIDE);
	quota_customer(c, NULL);
	if (map_add(&h->customers, &c->node, customer_hash(id)))
		goto fail;
	return c;
fail:
	customer_free(&c);
	return NULL;
}

struct customer *customer_get(struct home *h, uint64_t id)
{
	struct customer *c = customer_find(h, id);

	return c ? c : customer_new(h, id);
}

void customer_settle(struct customer *c)
{
	struct home *h = c->home;
	int64_t bucket_ms = c->wills_due / 1000 + 1 - home_now(h);

	if (c->id == 0 || c->sessions.count || c->groups.count || retained_count(c->retained))
		return;
	if (work_waits(c) || h->serving == c) /* work.c asks again */
		return;
	if (c->wills_due && bucket_ms > 0) { /* attack R19: or each Will would begin a new one */
		timer_set(h->loop, &c->settle_again, bucket_ms);
		return;
	}
	map_del(&h->customers, &c->node);
	customer_free(&c);
}

void customers_free(struct home *h)
{
	map_each(n, &h->customers) {
		struct customer *c = container_of(n, struct customer, node);

		work_customer_end(c);
		session_free_all(c);
		map_del(&h->customers, &c->node);
		customer_free(&c);
	}
	map_free(&h->customers);
	h->trusted = NULL;
}

bool customer_name(const struct customer *c, struct str inner, struct str *name)
{
	if (c->id)
		return space_unmap(&c->space, inner, name);
	*name = inner;
	return inner.n != 0;
}
