/* route.c - the way of a message inside the core: is it retained, whose subscriptions does it
 * match? A message is matched once; a subscription whose filters match it several times gets it
 * once (the stamp); of a shared group one member gets it. */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"

struct match {
	struct home *home;
	struct msg *m;
	/* that were hit; one member each is chosen when the tree has been walked */
	struct group *groups;
	unsigned given; /* subscriptions that the message was for */
	bool elsewhere; /* the trusted world on home 0 wants it */
};

/* Attack R15: one message must not become as many copies for a client as it can think of filters.
 */
static bool copy_fits(struct match *match, struct session *s)
{
	struct home *h = match->home;

	if (s->copies_stamp != h->stamp) {
		s->copies_stamp = h->stamp;
		s->copies = 0;
	}
	if (++s->copies <= h->config->copies_max)
		return true;
	h->counters.dropped_copies++;
	return false;
}

static void give(struct match *match, struct subscription *sub)
{
	struct session *s = sub->session;
	struct msg *m = match->m;
	struct out_how how;

	if ((sub->opts & SUB_NO_LOCAL) && m->from == s) /* MQTT5 [MQTT-3.8.3-3] */
		return;
	how.qos = sub->opts & SUB_QOS;
	if (how.qos > m->qos)
		how.qos = m->qos;
	if (how.qos > s->qos_max)
		how.qos = s->qos_max;
	if (unlikely(!copy_fits(match, s)))
		return;
	/* [MQTT-3.3.1-12], [MQTT-3.3.1-13] */
	how.retain = m->retain && (sub->opts & SUB_AS_PUBLISHED);
	match->given++;
	(void)out_add(sub, m, &how);
}

static void hit_group(struct match *match, struct subscription *sub)
{
	struct group *g = sub->group;

	if (g->stamp != match->home->stamp) {
		g->stamp = match->home->stamp;
		g->hits = NULL;
		g->next_hit = match->groups;
		match->groups = g;
	}
	sub->next_hit = g->hits;
	g->hits = sub;
}

/* Before it takes a place in a queue, and before a group chooses. */
static bool passes(struct match *match, struct subscription *sub)
{
	struct group *g = sub->group;
	bool unsure;

	if (!g)
		return condition_passes(sub, match->m, &unsure);
	if (g->asked != match->home->stamp) {
		g->asked = match->home->stamp;
		g->passes = condition_passes(sub, match->m, &unsure);
	}
	return g->passes;
}

static void hit_sub(void *arg, struct subscription *sub)
{
	struct match *match = arg;

	if (sub->stamp == match->home->stamp)
		return;
	sub->stamp = match->home->stamp;
	if (unlikely(sub->condition) && !passes(match, sub))
		return;
	if (sub->group)
		hit_group(match, sub);
	else
		give(match, sub);
}

static void hit(void *arg, struct tree_leaf *leaf)
{
	struct match *match = arg;

	if (leaf->sub)
		hit_sub(match, leaf->sub);
	else if (leaf->shared)
		set_each(leaf, match->home->stamp, hit_sub, match);
	else
		match->elsewhere = true;
}

/* A message given to every subscription of a tree that was hit. */
static void match_begin(struct match *match)
{
	match->home->stamp++;
	match->groups = NULL;
}

static void match_end(struct match *match)
{
	struct group *next;

	for (struct group *g = match->groups; g; g = next) {
		next = g->next_hit;
		match->given++;
		(void)group_give(g, match->m);
	}
}

static void match_tree(struct match *match, struct tree *tree, struct str name)
{
	if (tree_empty(tree))
		return;
	match_begin(match);
	tree_match(tree, name, hit, match);
	match_end(match);
}

unsigned route_trusted(struct home *h, struct msg *m)
{
	struct match match = { .home = h, .m = m };

	match_tree(&match, h->trusted->tree, m->m.topic);
	return match.given;
}

/* ---- Names that were walked before. Publishers say the same few names again and again: what the
 * two trees answered is remembered until one of them changes. ---- */
enum { ROUTED_LEAVES = 6 };

struct routed {
	uint32_t own, all; /* leaves of the customer's tree, then those of the trusted world's */
	struct tree_leaf *leaf[ROUTED_LEAVES];
};

struct walked { /* a walk that is written down */
	struct match *match;
	struct routed *to;
};

void route_init(struct home *h)
{
	h->routes.value = sizeof(struct routed);
}

static void hit_noted(void *arg, struct tree_leaf *leaf)
{
	struct walked *w = arg;

	if (w->to->all < ROUTED_LEAVES)
		w->to->leaf[w->to->all] = leaf;
	w->to->all++;
	hit(w->match, leaf);
}

static void walk_tree(struct walked *w, struct tree *tree, struct str name)
{
	if (tree_empty(tree))
		return;
	match_begin(w->match);
	tree_match(tree, name, hit_noted, w);
	match_end(w->match);
}

static void walk_again(struct match *match, const struct routed *r, uint32_t from, uint32_t to)
{
	if (from == to)
		return;
	match_begin(match);
	for (uint32_t i = from; i < to; i++)
		hit(match, r->leaf[i]);
	match_end(match);
}

static void walk(struct match *match, struct tree *own, struct tree *trusted)
{
	struct home *h = match->home;
	struct msg *m = match->m;
	uint64_t a = own ? tree_stamp(own) : 0, b = tree_stamp(trusted);
	struct routed found = { 0 };
	struct walked w = { match, &found };
	void *kept;

	if (own)
		walk_tree(&w, own, msg_name(m));
	found.own = found.all;
	walk_tree(&w, trusted, m->m.topic);
	if (found.all > ROUTED_LEAVES)
		return;
	kept = memo_put(&h->routes, a, b, m->m.topic);
	if (kept)
		memcpy(kept, &found, sizeof(found));
}

static unsigned route(struct home *h, struct customer *c, struct msg *m)
{
	struct match match = { .home = h, .m = m };
	struct tree *own = c && c->id ? c->tree : NULL, *trusted = h->trusted->tree;
	const struct routed *known =
	    memo_find(&h->routes, own ? tree_stamp(own) : 0, tree_stamp(trusted), m->m.topic);

	if (known) {
		struct routed r = *known; /* nothing in the table is held while others are called */

		walk_again(&match, &r, 0, r.own);
		walk_again(&match, &r, r.own, r.all);
	} else {
		walk(&match, own, trusted);
	}
	if (unlikely(h->asked != NULL))
		conditions_forget(h);
	if (match.elsewhere) {
		trusted_show(h, m);
		match.given++;
	}
	return match.given;
}

/* MQTT5 3.3.1.3. Over the customer's limits the message is passed on like any other, but not kept
 * (attack R13). */
static uint8_t retain(struct home *h, struct customer *c, struct msg *m)
{
	int err;

	if (m->m.payload.n == 0) {
		if (c && retained_clear(c->retained, msg_name(m))) {
			h->counters.retained_cleared++;
			store_retained_del(h->store, m->m.topic);
		}
		return RC_SUCCESS;
	}
	err = c ? retained_set(c->retained, msg_name(m), m) : -E_NOMEM;
	if (err) {
		h->counters.retained_refused++;
		LOG_WARN(home_name(h), "retained-refused", "cid=%" PRIu64 " why=\"%s\"",
		         m->customer, err_text(err));
		return RC_QUOTA_EXCEEDED;
	}
	h->counters.retained_set++;
	store_retained_put(h->store, m);
	return RC_SUCCESS;
}

uint8_t route_publish(struct home *h, struct customer *c, struct msg *m)
{
	unsigned given;
	uint8_t reason = RC_SUCCESS;

	h->counters.published++;
	if (m->retain)
		reason = retain(h, c, m);
	given = route(h, c, m);
	if (c)
		/* cleared its last retained message, or could not keep its first */
		customer_settle(c);
	if (given)
		return reason;
	h->counters.unmatched++;
	return reason ? reason : RC_NO_MATCHING_SUBSCRIBERS;
}

uint8_t home_publish(struct home *h, struct msg *m)
{
	unsigned to = link_home_of(m->customer, h->count);

	if (to != h->index) {
		trusted_hand(h, m, to);
		return RC_SUCCESS;
	}
	return route_publish(h,
	                     m->retain && m->m.payload.n ? customer_get(h, m->customer)
	                                                 : customer_find(h, m->customer),
	                     m);
}
