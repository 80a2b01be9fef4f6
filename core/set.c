/* set.c - what a subscription matches: its set of inner filters, which the proxy computes from the
 * token's rights. A set is made whole before it takes the old one's place, so that running out of
 * memory leaves a subscription as it was.
 *
 * A set of one filter belongs to its subscription. Larger ones are shared: an access list of 256
 * grants makes the same 50 KB for each subscription that covers it. A shared set stands in the tree
 * once for up to SHARED_MOST subscriptions, so that no leaf is ever too much work for one slice;
 * then there is a second one. What is not used any more leaves the tree in slices.
 *
 * Sets are charged to the customer (filter_bytes), with what they take in the tree. */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"
#include "base/mem.h"

enum {
	SHARED_MOST = 64,
	MATCHED = 64,     /* bytes of a filter that are compared for one unit of work */
	LEAF_UNITS = 10,  /* to put one into the tree, or take it out */
	LEAF_BYTES = 128, /* of the tree's nodes for one; its text besides */
};

struct shared_set {
	struct map_node node;      /* in customer->sets while there is room for another one */
	struct work work;          /* once nobody uses it */
	struct subscription *subs; /* by sharer; SHARED_MOST at most */
	uint64_t stamp;            /* of the last message that matched */
	uint32_t uses;
	bool listed; /* in customer->sets */
	struct inner_set set;
};

bool set_measure(const struct customer *c, struct link_item item, size_t *bytes)
{
	struct str filter, name;
	bool system;

	*bytes = 0;
	while (link_item_next(&item, &filter, &system)) {
		if (!customer_name(c, filter, &name) || !topic_filter_ok(name))
			return false;
		*bytes += name.n;
	}
	return true;
}

static bool same(const struct customer *c, const struct inner_set *set, struct link_item item)
{
	struct str filter, name;
	bool system;
	unsigned i = 0;

	if (!set || set->count != item.count)
		return false;
	for (; link_item_next(&item, &filter, &system); i++) {
		if (!customer_name(c, filter, &name) || !str_eq(name, set->at[i].text) ||
		    system != set->at[i].leaf.system)
			return false;
	}
	return true;
}

bool set_same(const struct subscription *sub, struct link_item item)
{
	work_spend(sub->session->customer->home, item.inner.n / MATCHED);
	return same(sub->session->customer, sub->set, item);
}

bool set_matches(const struct subscription *sub, const struct msg *m)
{
	struct customer *c = sub->session->customer;
	struct str name = c->id ? msg_name(m) : m->m.topic;

	work_spend(c->home, 1);
	for (unsigned i = 0; sub->set && i < sub->set->count; i++) {
		work_spend(c->home, 1 + sub->set->at[i].text.n / MATCHED);
		if (topic_match(
			(struct filter){ sub->set->at[i].text, sub->set->at[i].leaf.system }, name))
			return true;
	}
	return false;
}

/* ---- Making ---- */
static void set_fill(const struct customer *c, struct inner_set *set, struct link_item item,
                     struct subscription *sub)
{
	char *at = (char *)&set->at[item.count];
	struct str filter, name;
	bool system;

	set->shared = !sub;
	while (link_item_next(&item, &filter, &system) && customer_name(c, filter, &name)) {
		struct inner *inner = &set->at[set->count];

		list_init(&inner->leaf.node);
		inner->leaf.sub = sub;
		inner->leaf.system = system;
		inner->leaf.shared = !sub;
		inner->leaf.index = set->count++;
		inner->text = str_make(memcpy(at, name.p, name.n), name.n);
		at += name.n;
	}
}

/* The trusted world's filters (home 0) stand in the trees of the other homes too. */
static bool set_mirrors(const struct customer *c)
{
	return c->id == 0 && c->home->count > 1;
}

static void leaf_out(struct customer *c, struct inner *inner)
{
	work_spend(c->home, LEAF_UNITS);
	tree_del(c->tree, &inner->leaf);
	if (set_mirrors(c) && trusted_mirror(c->home, inner->text, inner->leaf.system, false))
		/* costs a needless letter per match, nothing else */
		LOG_WARN(home_name(c->home), "mirror-kept", "why=memory");
}

static int set_in(struct customer *c, struct inner_set *set)
{
	unsigned i;
	int err = 0;

	for (i = 0; i < set->count && !err; i++) {
		work_spend(c->home, LEAF_UNITS);
		err = tree_add(c->tree, &set->at[i].leaf, set->at[i].text);
		if (!err && set_mirrors(c)) {
			err =
			    trusted_mirror(c->home, set->at[i].text, set->at[i].leaf.system, true);
			if (err)
				tree_del(c->tree, &set->at[i].leaf);
		}
	}
	if (!err)
		return 0;
	for (i--; i-- > 0;)
		leaf_out(c, &set->at[i]);
	return err;
}

static size_t set_size(unsigned count, size_t bytes)
{
	return sizeof(struct inner_set) + count * sizeof(struct inner) + bytes;
}

/* Its memory is zeroed and measured already; 0, or it is freed. */
static int set_stand(struct customer *c, struct inner_set *set, void *memory, size_t bytes)
{
	int err = set_in(c, set);

	if (err) {
		mem_free(memory);
		return err;
	}
	set->charge = (uint32_t)(bytes + set->count * LEAF_BYTES);
	c->filter_bytes += set->charge;
	return 0;
}

static bool too_much(struct customer *c, unsigned count, size_t bytes)
{
	size_t more = 2 * bytes + count * (sizeof(struct inner) + LEAF_BYTES);

	if (c->filter_bytes + more <= (size_t)c->home->config->customer_subscription_bytes)
		return false;
	c->home->counters.refused_subscription_bytes++;
	return true;
}

static int own_new(struct subscription *sub, struct link_item item, size_t bytes,
                   struct inner_set **out)
{
	struct customer *c = sub->session->customer;
	struct inner_set *set;
	int err;

	if (too_much(c, item.count, bytes))
		return -E_LIMIT;
	set = mem_zalloc(set_size(item.count, bytes));
	if (!set)
		return -E_NOMEM;
	set_fill(c, set, item, sub);
	err = set_stand(c, set, set, set_size(item.count, 2 * bytes));
	if (!err)
		*out = set;
	return err;
}

/* ---- Sharing ---- */
static struct shared_set *shared_of(const struct inner_set *set)
{
	return container_of(set, struct shared_set, set);
}

static struct shared_set *shared_find(const struct customer *c, struct link_item item,
                                      uint64_t hash)
{
	for (struct map_node *n = map_first(&c->sets, hash); n; n = map_next(n)) {
		struct shared_set *shared = container_of(n, struct shared_set, node);

		if (same(c, &shared->set, item))
			return shared;
	}
	return NULL;
}

static void shared_list(struct customer *c, struct shared_set *shared, bool listed)
{
	if (shared->listed && !listed)
		map_del(&c->sets, &shared->node);
	else if (!shared->listed && listed && map_add(&c->sets, &shared->node, shared->node.hash))
		return; /* without memory nobody else finds it, nothing worse */
	shared->listed = listed;
}

/* True: there is more to do. */
static bool set_shrink(struct customer *c, struct inner_set *set)
{
	while (set->count) {
		leaf_out(c, &set->at[--set->count]);
		if (work_over(c->home))
			break;
	}
	return set->count;
}

static bool unused_step(struct work *w)
{
	return set_shrink(w->customer, &container_of(w, struct shared_set, work)->set);
}

static void unused_drop(struct work *w)
{
	struct shared_set *shared = container_of(w, struct shared_set, work);

	while (set_shrink(w->customer, &shared->set)) /* nothing is left, but when the home ends */
		;
	w->customer->filter_bytes -= shared->set.charge;
	mem_free(shared);
}

static void unused(struct customer *c, struct shared_set *shared)
{
	shared_list(c, shared, false);
	shared->work.customer = c;
	if (work_over(c->home) || unused_step(&shared->work))
		work_add(c, &shared->work);
	else
		unused_drop(&shared->work);
}

static int shared_new(struct customer *c, struct link_item item, size_t bytes, uint64_t hash,
                      struct shared_set **out)
{
	struct shared_set *shared;
	int err;

	if (too_much(c, item.count, bytes))
		return -E_LIMIT;
	shared = mem_zalloc(offsetof(struct shared_set, set) + set_size(item.count, bytes));
	if (!shared)
		return -E_NOMEM;
	list_init(&shared->work.node);
	shared->work.step = unused_step;
	shared->work.drop = unused_drop;
	shared->node.hash = hash;
	set_fill(c, &shared->set, item, NULL);
	err = set_stand(c, &shared->set, shared,
	                offsetof(struct shared_set, set) + set_size(item.count, 2 * bytes));
	if (err)
		return err;
	shared_list(c, shared, true);
	if (!shared->listed) {
		unused(c, shared);
		return -E_NOMEM;
	}
	*out = shared;
	return 0;
}

/* One that is there already, or a new one. */
static int shared_take(struct subscription *sub, struct link_item item, size_t bytes,
                       struct inner_set **out)
{
	struct customer *c = sub->session->customer;
	uint64_t hash = hash_bytes(item.inner.p, item.inner.n);
	struct shared_set *shared;
	int err;

	work_spend(c->home, 2 * item.inner.n / MATCHED + item.count);
	shared = shared_find(c, item, hash);
	if (!shared) {
		err = shared_new(c, item, bytes, hash, &shared);
		if (err)
			return err;
	}
	if (++shared->uses == SHARED_MOST)
		shared_list(c, shared, false);
	*out = &shared->set;
	return 0;
}

void set_each(struct tree_leaf *leaf, uint64_t stamp,
              void (*each)(void *arg, struct subscription *sub), void *arg)
{
	const struct inner *inner = container_of(leaf, struct inner, leaf);
	struct shared_set *shared =
	    shared_of(container_of(inner - leaf->index, struct inner_set, at[0]));

	if (shared->stamp == stamp)
		return;
	shared->stamp = stamp;
	for (struct subscription *sub = shared->subs; sub; sub = sub->sharer)
		each(arg, sub);
}

static void set_put(struct customer *c, struct inner_set *set)
{
	struct shared_set *shared;

	if (!set->shared) {
		while (set_shrink(c, set))
			;
		c->filter_bytes -= set->charge;
		mem_free(set);
		return;
	}
	shared = shared_of(set);
	if (--shared->uses)
		shared_list(c, shared, true);
	else
		unused(c, shared);
}

/* ---- A subscription's set ---- */
void set_leave(struct subscription *sub)
{
	struct inner_set *set = sub->set;

	replay_stop(sub); /* it walks by the set */
	if (!set)
		return;
	sub->set = NULL;
	if (set->shared) {
		struct subscription **at = &shared_of(set)->subs;

		while (*at != sub)
			at = &(*at)->sharer;
		*at = sub->sharer;
	}
	set_put(sub->session->customer, set);
}

int set_take(struct subscription *sub, struct link_item item, size_t bytes)
{
	struct inner_set *set = NULL;
	bool replayed = sub->replay;
	int err;

	if (set_same(sub, item))
		return 0;
	err =
	    item.count > 1 ? shared_take(sub, item, bytes, &set) : own_new(sub, item, bytes, &set);
	if (err)
		return err;
	set_leave(sub);
	sub->set = set;
	if (set->shared) {
		sub->sharer = shared_of(set)->subs;
		shared_of(set)->subs = sub;
	}
	sweep_start(sub);
	if (replayed) /* from its beginning: what has come may come again */
		replay_start(sub);
	return 0;
}
