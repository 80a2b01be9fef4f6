/* route.c - the way of a message inside the core: is it retained, whose subscriptions does it
 * match? A message is matched once; a subscription whose filters match it several times gets it
 * once (the stamp); of a shared group one member gets it. */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"
#include "base/mem.h"

enum {
	GIVE_UNITS = 5,
	/* retained names looked at when there is no room for another; what each costs; and more
	 * that is taken away */
	SWEPT = 256,
	SWEEP_UNITS = 5,
	TAKE_UNITS = 50,
	KEEP_UNITS =
	    10, /* to find its place among the retained; and so many bytes of its name for */
	KEEP_BYTES = 8, /* one more: it is compared with some dozens of others */
};

struct match {
	struct home *home;
	struct msg *m;
	uint64_t stamp; /* whoever has it was offered m already */
	/* that were hit; one member each is chosen when the tree has been walked */
	struct list groups;
	unsigned given; /* subscriptions that the message was for */
	bool elsewhere; /* the trusted world on home 0 wants it */
};

/* Attack R15: one message must not become as many copies for a client as it can think of filters.
 */
static bool copy_fits(struct match *match, struct session *s)
{
	struct home *h = match->home;

	if (s->copies_stamp != match->stamp) {
		s->copies_stamp = match->stamp;
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

	work_spend(match->home, GIVE_UNITS);
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
	struct group *g = sub_group(sub);

	if (g->stamp != match->stamp) {
		g->stamp = match->stamp;
		list_add_tail(&match->groups, &g->hit);
		group_hit(g, match->m);
	}
	group_consider(sub, match->m);
}

/* Before it takes a place in a queue, and before a group chooses. */
static bool passes(struct match *match, struct subscription *sub)
{
	struct group *g = sub_group(sub);
	bool unsure;

	if (!g)
		return condition_passes(sub, match->m, &unsure);
	if (g->asked != match->stamp) {
		g->asked = match->stamp;
		g->passes = condition_passes(sub, match->m, &unsure);
	}
	return g->passes;
}

static void hit_sub(void *arg, struct subscription *sub)
{
	struct match *match = arg;

	if (sub->stamp == match->stamp)
		return;
	sub->stamp = match->stamp;
	if (unlikely(sub->condition) && !passes(match, sub))
		return;
	if (sub->member)
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
		set_each(leaf, match->stamp, hit_sub, match);
	else
		match->elsewhere = true;
}

/* A message given to every subscription of a tree that was hit. */
static void match_begin(struct match *match)
{
	match->stamp = ++match->home->stamp;
	list_init(&match->groups);
}

/* A member of each group that was hit gets it. False: `until` came first. */
static bool match_end(struct match *match, uint64_t until)
{
	struct group *g;

	while ((g = list_first(&match->groups, struct group, hit))) {
		list_del(&g->hit);
		match->given++;
		group_give(g, match->m);
		if (unlikely(match->home->spent >= until) && !list_empty(&match->groups))
			return false;
	}
	return true;
}

/* The trusted world's, whose subscriptions are few: at once. */
static void match_trusted(struct match *match, void (*each)(void *arg, struct tree_leaf *leaf),
                          void *arg)
{
	struct home *h = match->home;
	struct tree *tree = h->trusted->tree;
	struct tree_walk walk __attribute__((uninitialized));

	if (tree_empty(tree))
		return;
	match_begin(match);
	tree_walk_begin(&walk, tree, match->m->m.topic);
	(void)tree_walk_on(&walk, each, arg, &h->spent, UINT64_MAX);
	(void)match_end(match, UINT64_MAX);
}

unsigned route_trusted(struct home *h, struct msg *m)
{
	struct match match = { .home = h, .m = m };

	match_trusted(&match, hit, &match);
	return match.given;
}

/* ---- Names that were walked before. Publishers say the same few names again and again: what the
 * two trees answered is remembered until one of them changes. ---- */
enum { ROUTED_LEAVES = 6 };

struct routed {
	uint32_t own, all; /* leaves of the customer's tree, then those of the trusted world's */
	struct tree_leaf *leaf[ROUTED_LEAVES];
};

/* A walk that is written down: by hit_noted. */
struct walked {
	struct match match;
	struct routed found;
};

void route_init(struct home *h)
{
	h->routes.value = sizeof(struct routed);
}

static void hit_noted(void *arg, struct tree_leaf *leaf)
{
	struct walked *w = arg;

	if (w->found.all < ROUTED_LEAVES)
		w->found.leaf[w->found.all] = leaf;
	w->found.all++;
	hit(&w->match, leaf);
}

static void walk_again(struct match *match, const struct routed *r, uint32_t from, uint32_t to)
{
	if (from == to)
		return;
	match_begin(match);
	for (uint32_t i = from; i < to; i++)
		hit(match, r->leaf[i]);
	(void)match_end(match, UINT64_MAX); /* few leaves, so few groups */
}

/* The customer's tree was walked; now the trusted world's, and the message has its way behind it.
 */
static void walked_own(struct walked *w, struct tree *own)
{
	struct match *match = &w->match;
	struct home *h = match->home;
	struct msg *m = match->m;
	struct tree *trusted = h->trusted->tree;
	void *kept;

	w->found.own = w->found.all;
	match_trusted(match, hit_noted, w);
	if (w->found.all > ROUTED_LEAVES)
		return;
	kept = memo_put(&h->routes, own ? tree_stamp(own) : 0, tree_stamp(trusted), m->m.topic);
	if (kept)
		memcpy(kept, &w->found, sizeof(w->found));
}

static void routed(struct match *match)
{
	struct home *h = match->home;

	if (unlikely(h->asked != NULL))
		conditions_forget(h);
	if (match->elsewhere) {
		trusted_show(h, match->m);
		match->given++;
	}
	h->counters.unmatched += !match->given;
}

/* ---- A way that is too long for one slice: it goes on as a job. Until it is done no other message
 * of the customer is matched, so what its stamps say holds from slice to slice. ---- */
struct route_job {
	struct work work;
	struct walked walked; /* holds a reference to its message */
	struct tree_walk walk;
	uint64_t stamp; /* of the tree that is walked; 0: not begun */
	bool through;   /* it has been walked, and groups choose */
	uint32_t steps; /* left to conditions; when asked */
	bool asked;
	bool answers;   /* the customer's awaited port is told when it is done */
	uint8_t reason; /* what it is told, if somebody got it */
	uint8_t type;   /* 0: nobody waits for an acknowledgement */
	uint16_t packet_id;
};

static void job_drop(struct work *w)
{
	struct route_job *j = container_of(w, struct route_job, work);

	if (j->answers)
		w->customer->awaited = NULL;
	/* groups that were hit and have not chosen: only when the home ends */
	list_del(&j->walked.match.groups);
	msg_put(&j->walked.match.m);
	mem_free(j);
}

static void job_done(struct route_job *j)
{
	struct customer *c = j->work.customer;
	uint8_t reason = j->reason;

	if (j->stamp != tree_stamp(c->tree)) /* what was found may be gone */
		j->walked.found.all = ROUTED_LEAVES + 1;
	walked_own(&j->walked, c->tree);
	routed(&j->walked.match);
	if (!j->answers || !c->awaited || !j->type)
		return;
	if (!reason && !j->walked.match.given)
		reason = RC_NO_MATCHING_SUBSCRIBERS;
	c->awaited->ops->ack(c->awaited, (enum mqtt_type)j->type, j->packet_id, reason);
}

static bool job_step(struct work *w)
{
	struct route_job *j = container_of(w, struct route_job, work);
	struct customer *c = w->customer;
	struct home *h = c->home;
	struct msg *m = j->walked.match.m;

	home_changed(h);
	if (!j->stamp)
		match_begin(&j->walked.match);
	/* It has changed: once more, but who was offered the message is passed over. */
	if (!j->through && j->stamp != tree_stamp(c->tree)) {
		j->walked.found.all = 0;
		tree_walk_begin(&j->walk, c->tree, msg_name(m));
		j->stamp = tree_stamp(c->tree);
	}
	if (j->asked)
		conditions_go_on(h, m, j->steps);
	if (!j->through)
		j->through =
		    !tree_walk_on(&j->walk, hit_noted, &j->walked, &h->spent, h->slice_end);
	if (j->through && match_end(&j->walked.match, h->slice_end)) {
		job_done(j);
		return false;
	}
	j->asked = conditions_left(h, m, &j->steps);
	conditions_forget(h);
	return true;
}

/* NULL: out of memory. */
static struct route_job *job_new(struct customer *c, struct msg *m, uint8_t reason)
{
	struct route_job *j = mem_zalloc(sizeof(*j));

	if (!j)
		return NULL;
	j->work.step = job_step;
	j->work.drop = job_drop;
	j->walked.match.home = c->home;
	j->walked.match.m = msg_get(m);
	list_init(&j->walked.match.groups);
	j->reason = reason;
	c->home->counters.routes_cut++;
	work_add(c, &j->work);
	return j;
}

/* What stands on the stack goes on as a job. False: out of memory. */
static bool job_from(struct customer *c, const struct walked *w, const struct tree_walk *walk,
                     bool through, uint8_t reason)
{
	struct home *h = c->home;
	struct route_job *j = job_new(c, w->match.m, reason);
	struct list groups;

	if (!j)
		return false;
	groups = j->walked.match.groups;
	j->walked = *w;
	j->walked.match.groups = groups;
	list_init(&j->walked.match.groups);
	if (!list_empty(&w->match.groups)) {
		list_add_head((struct list *)&w->match.groups, &j->walked.match.groups);
		list_del((struct list *)&w->match.groups);
	}
	memcpy(&j->walk, walk, sizeof(*walk));
	j->through = through;
	j->stamp = tree_stamp(c->tree);
	j->asked = conditions_left(h, w->match.m, &j->steps);
	conditions_forget(h);
	return true;
}

void route_answer(struct customer *c, struct port *p, enum mqtt_type type, uint16_t packet_id)
{
	struct route_job *j = list_entry(c->works.prev, struct route_job, work.node);

	MUST(j->work.step == job_step); /* added a moment ago, by route_publish() */
	if (c->awaited) {               /* a service that does not wait its turn */
		p->ops->ack(p, type, packet_id, RC_SUCCESS);
		return;
	}
	c->awaited = p;
	j->answers = true;
	j->type = (uint8_t)type;
	j->packet_id = packet_id;
}

/* What local services and other homes publish, and what a link says by itself, has no slice of its
 * customer: it gets one, or a customer with many subscriptions would hold the home with it. */
static uint64_t slice_end(const struct home *h)
{
	return h->slice_end == UINT64_MAX ? h->spent + h->most.slice : h->slice_end;
}

/* True: it goes on as a job. Out of memory for one, it is done at once. */
static bool walk(struct walked *w, struct customer *c, uint8_t reason)
{
	struct match *match = &w->match;
	struct home *h = match->home;
	struct tree_walk walk __attribute__((uninitialized));
	uint64_t end = slice_end(h);
	bool through;

	match_begin(match);
	tree_walk_begin(&walk, c->tree, msg_name(match->m));
	through = !tree_walk_on(&walk, hit_noted, w, &h->spent, end);
	if (through && match_end(match, end))
		return false;
	if (job_from(c, w, &walk, through, reason))
		return true;
	if (!through)
		(void)tree_walk_on(&walk, hit_noted, w, &h->spent, UINT64_MAX);
	(void)match_end(match, UINT64_MAX);
	return false;
}

/* True: it goes on as a job. */
static bool route(struct home *h, struct customer *c, struct msg *m, uint8_t reason,
                  unsigned *given)
{
	struct walked w = { .match = { .home = h, .m = m } };
	struct tree *own = c && c->id ? c->tree : NULL, *trusted = h->trusted->tree;
	const struct routed *known;

	list_init(&w.match.groups);
	if (own && unlikely(work_jobs(c)) && job_new(c, m, reason))
		return true;
	known = memo_find(&h->routes, own ? tree_stamp(own) : 0, tree_stamp(trusted), m->m.topic);
	if (known) {
		struct routed r = *known; /* nothing in the table is held while others are called */

		walk_again(&w.match, &r, 0, r.own);
		walk_again(&w.match, &r, r.own, r.all);
	} else {
		if (own && !tree_empty(own) && walk(&w, c, reason))
			return true;
		walked_own(&w, own);
	}
	routed(&w.match);
	*given = w.match.given;
	return false;
}

/* Goes on where it stood, so that some refusals later all names were looked at. */
static bool sweep_some(struct home *h, struct customer *c)
{
	size_t gone;

	if (!retained_expires(c->retained))
		return false;
	gone = retained_sweep(c->retained, home_wall(h), SWEPT);
	work_spend(h, SWEPT * SWEEP_UNITS + gone * TAKE_UNITS);
	return gone > 0;
}

/* MQTT5 3.3.1.3. Over the customer's limits the message is passed on like any other, but not kept
 * (attack R13). */
static uint8_t retain(struct home *h, struct customer *c, struct msg *m)
{
	int err;

	work_spend(h, KEEP_UNITS + m->m.topic.n / KEEP_BYTES);
	if (m->m.payload.n == 0) {
		if (c && retained_clear(c->retained, msg_name(m))) {
			h->counters.retained_cleared++;
			store_retained_del(h->store, m->m.topic);
		}
		return RC_SUCCESS;
	}
	err = c ? retained_set(c->retained, msg_name(m), m) : -E_NOMEM;
	/* those that have expired have no right to their places */
	if (err == -E_LIMIT && sweep_some(h, c))
		err = retained_set(c->retained, msg_name(m), m);
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
	unsigned given = 0;
	uint8_t reason = RC_SUCCESS;
	bool later;

	h->counters.published++;
	if (m->retain)
		reason = retain(h, c, m);
	later = route(h, c, m, reason, &given);
	if (c)
		/* cleared its last retained message, or could not keep its first */
		customer_settle(c);
	if (later)
		return ROUTE_LATER;
	return reason || given ? reason : RC_NO_MATCHING_SUBSCRIBERS;
}

uint8_t home_publish(struct home *h, struct msg *m)
{
	unsigned to = link_home_of(m->customer, h->count);
	uint8_t reason;

	if (to != h->index) {
		trusted_hand(h, m, to);
		return RC_SUCCESS;
	}
	reason = route_publish(h,
	                       m->retain && m->m.payload.n ? customer_get(h, m->customer)
	                                                   : customer_find(h, m->customer),
	                       m);
	return reason == ROUTE_LATER ? RC_SUCCESS : reason;
}
