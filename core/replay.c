/* replay.c - retained messages for a new subscription, in slices (attack R14): a slice looks at a
 * bounded number of names, a turn has a bounded number of slices, customers take turns; one whose
 * links have enough for its clients (work_slow) has none meanwhile. Replays of
 * a session that does not take more stand in its own list and cost nothing until it does. Then one
 * of them is woken: what a session takes is the same for all, so the others would only look.
 * Unsubscribing ends a replay; over the end of a connection it waits with the session, or what was
 * still to come would never come [MQTT-3.3.1-6 of 3.1.1].
 *
 * The trusted world's filters reach into the customers' stores as well: those of this home are
 * walked one after the other, and other homes are asked (far.c). */
#include "base/base.h"
#include "core/session.h"

#include "base/mem.h"

enum {
	SLICE_NAMES = 256,
	SLICE_BYTES = 1 << 20,
	SLICES_PER_TURN = 4,
	LOOK_MOST = 64, /* replays of a customer that turn out to take nothing now, in a turn */
	SHOW_UNITS = 10,
	SLICE_UNITS = 100,
	SLICE_MOST = 10000, /* units for what its names are compared with */
	MATCHED = 64,       /* bytes of a filter that are compared for one unit of work */
};

struct replay {
	struct list node; /* in customer->replays; in session->asleep */
	struct subscription *sub;
	uint64_t run;   /* in which it was looked at last */
	unsigned inner; /* which filter of the set */
	/* 0: the subscriber's own store; n: that of ids[n - 1] */
	size_t store;
	struct retained_walk walk;
	size_t count;
	/* trusted world: customers of this home when it began */
	uint64_t ids[];
};

static void replay_ask(struct home *h)
{
	if (h->replay_asked)
		return;
	h->replay_asked = true;
	inbox_push(h->inbox, &h->replay_item);
}

static void enlist(struct replay *r)
{
	struct customer *c = r->sub->session->customer;

	list_add_tail(&c->replays, &r->node);
	if (list_empty(&c->replaying))
		list_add_tail(&c->home->replays, &c->replaying);
}

static void delist(struct replay *r)
{
	struct customer *c = r->sub->session->customer;

	list_del(&r->node);
	if (list_empty(&c->replays))
		list_del(&c->replaying);
}

/* Of a session that takes nothing now. */
static void sleep_on(struct replay *r)
{
	delist(r);
	list_add_tail(&r->sub->session->asleep, &r->node);
}

static void wake_one(struct session *s)
{
	struct replay *r = list_first(&s->asleep, struct replay, node);

	if (!r)
		return;
	list_del(&r->node);
	enlist(r);
	replay_ask(session_home(s));
}

static size_t others(const struct customer *c)
{
	return c->id == 0 ? c->home->customers.count : 0;
}

/* Out of memory: the subscription stands, its retained messages do not come; counted. */
void replay_start(struct subscription *sub)
{
	struct customer *c = sub->session->customer;
	struct replay *r;

	replay_stop(sub);
	if (!sub->set || !sub->set->count || (c->id && retained_count(c->retained) == 0))
		return;
	r = mem_zalloc(sizeof(*r) + others(c) * sizeof(r->ids[0]));
	if (!r) {
		c->home->counters.dropped_memory++;
		return;
	}
	r->sub = sub;
	if (c->id == 0) {
		map_each(n, &c->home->customers) {
			uint64_t id = container_of(n, struct customer, node)->id;

			if (id)
				r->ids[r->count++] = id;
		}
	}
	sub->replay = r;
	sub->session->replays++;
	enlist(r);
	if (c->id == 0)
		far_ask(sub);
}

void replay_stop(struct subscription *sub)
{
	struct replay *r = sub->replay;

	if (!r)
		return;
	sub->replay = NULL;
	sub->session->replays--;
	delist(r);
	retained_walk_end(&r->walk);
	mem_free(r);
	wake_one(sub->session); /* this one may have been the one that was awake */
}

void replays_pause(struct session *s)
{
	if (!s->replays)
		return;
	work_spend(session_home(s), s->subs.count);
	map_each(n, &s->subs) {
		struct subscription *sub = container_of(n, struct subscription, node);

		if (sub->replay)
			delist(sub->replay);
	}
}

void replays_unpause(struct session *s)
{
	if (!s->replays)
		return;
	work_spend(session_home(s), s->subs.count);
	map_each(n, &s->subs) {
		struct subscription *sub = container_of(n, struct subscription, node);

		if (sub->replay && list_empty(&sub->replay->node))
			enlist(sub->replay);
	}
}

/* ---- One slice ---- */

bool replay_inside(struct str text, const struct customer *c, struct str *rest)
{
	struct levels l = levels_of(text);
	struct levels names = levels_of(str_make(c->space.prefix, c->space.prefix_len));
	struct str level, have;

	for (unsigned i = 0; i < 2; i++) {
		if (!levels_next(&l, &level) || !levels_next(&names, &have))
			return false;
		if (str_eq(level, STR("#"))) {
			*rest = level;
			return true;
		}
		if (!str_eq(level, STR("+")) && !str_eq(level, have))
			return false;
	}
	*rest = l.rest;
	return l.more;
}

static bool step_of(const struct replay *r, struct customer **store, struct filter *f)
{
	const struct inner *inner = &r->sub->set->at[r->inner];
	struct customer *own = r->sub->session->customer;

	*f = (struct filter){ inner->text, inner->leaf.system };
	*store = own;
	if (r->store == 0)
		return true;
	*store = customer_find(own->home, r->ids[r->store - 1]);
	/* its first level is not the first level of the filter as it was written */
	f->system = true;
	return *store && replay_inside(inner->text, *store, &f->text);
}

/* Did an earlier filter of the set show it already? */
static bool shown(const struct replay *r, const struct msg *m)
{
	struct str name = r->sub->session->customer->id ? msg_name(m) : m->m.topic;

	for (unsigned i = 0; i < r->inner; i++) {
		const struct inner *inner = &r->sub->set->at[i];

		work_spend(session_home(r->sub->session), 1 + inner->text.n / MATCHED);
		if (topic_match((struct filter){ inner->text, inner->leaf.system }, name))
			return true;
	}
	return false;
}

void replay_show(struct subscription *sub, struct msg *m)
{
	struct session *s = sub->session;
	struct out_how how = { .retain = true }; /* [MQTT-3.3.1-8] */

	how.qos = sub->opts & SUB_QOS;
	if (how.qos > m->qos)
		how.qos = m->qos;
	if (how.qos > s->qos_max)
		how.qos = s->qos_max;
	session_home(s)->counters.retained_sent++;
	(void)out_add(sub, m, &how);
}

static void visit(void *arg, struct msg *m)
{
	const struct replay *r = arg;
	bool unsure;

	work_spend(session_home(r->sub->session), SHOW_UNITS);
	if (shown(r, m) || (r->sub->condition && !condition_passes(r->sub, m, &unsure)))
		return;
	replay_show(r->sub, m);
}

/* How many names the subscriber can take now: never more than half of what is left of its queue. 0:
 * wait. To ask a condition about a message costs more than to copy it, and each is compared with
 * the filters of the set that were walked before (shown). */
static size_t appetite(const struct replay *r, const struct customer *store)
{
	const struct subscription *sub = r->sub;
	const struct session *s = sub->session;
	size_t count = retained_count(store->retained), each, bytes = SLICE_BYTES,
	       names = size_min(SLICE_NAMES, SLICE_MOST / (SHOW_UNITS + r->inner));
	/* who may let nothing wait gets them one by one, as they can be sent */
	size_t queue = size_max(s->queue_messages_max, 1),
	       queue_bytes = size_max(s->queue_bytes_max, 1);

	if (!session_flowing(s) || s->queue_count * 2 >= queue || s->queue_bytes * 2 >= queue_bytes)
		return 0;
	if (s->customer->egress != LIMIT_NONE)
		return 1; /* or the rest of a slice would find no room, and be dropped */
	each = count ? retained_bytes(store->retained) / count + 1 : 1;
	names = size_min(names, (queue - s->queue_count) / 2 + 1);
	bytes = size_min(bytes, (queue_bytes - s->queue_bytes) / 2);
	if (sub->condition) /* it may cost as much as a message may (condition_steps) */
		return 1;
	return size_max(1, size_min(names, bytes / each));
}

static bool next_step(struct replay *r)
{
	retained_walk_end(&r->walk);
	r->walk = (struct retained_walk){ 0 };
	if (++r->store <= r->count)
		return true;
	r->store = 0;
	return ++r->inner < r->sub->set->count;
}

/* May free r. *worked stays false when the subscriber takes nothing now. */
static void slice(struct home *h, struct replay *r, bool *worked)
{
	struct subscription *sub = r->sub;
	struct customer *store;
	struct filter f;
	size_t most;
	int err;

	/* many stores may be empty */
	for (unsigned steps = 0; steps < SLICE_NAMES; steps++) {
		if (step_of(r, &store, &f)) {
			most = appetite(r, store);
			if (most == 0) {
				sleep_on(r);
				egress_hold(sub->session);
				return;
			}
			*worked = true;
			err = retained_walk(store->retained, f, &r->walk, most, home_wall(h), visit,
			                    r);
			work_spend(h, r->walk.cost);
			if (err) {
				h->counters.dropped_memory++;
				replay_stop(sub);
				return;
			}
			if (!r->walk.done)
				return;
		}
		*worked = true;
		if (!next_step(r)) {
			replay_stop(sub);
			return;
		}
	}
}

/* ---- Turns ---- */
/* A slice of the first replay of c whose subscriber takes something. False: none does. *more: not
 * all of them were looked at. Those that take nothing leave the list, so this ends. */
static bool replay_one(struct home *h, struct customer *c, bool *more)
{
	struct replay *r;
	bool worked = false;

	for (unsigned looked = 0; !worked && (r = list_first(&c->replays, struct replay, node));
	     looked++) {
		if (r->run == h->replay_run) /* all were looked at in this turn */
			return false;
		if (looked == LOOK_MOST) {
			*more = true;
			return false;
		}
		r->run = h->replay_run;
		/* the others have their turn before it comes again */
		list_del(&r->node);
		list_add_tail(&c->replays, &r->node);
		work_spend(h, 1);
		slice(h, r, &worked);
	}
	return worked;
}

/* Customers take turns, and then the replays of each. */
void replay_run(struct inbox_item *item)
{
	struct home *h = container_of(item, struct home, replay_item);
	uint64_t end;
	size_t idle = 0, customers = 0;
	unsigned slices = 0;
	bool more = false;
	struct customer *c;

	loop_step(h->loop, "replay");
	work_turn_is(h);
	end = h->spent + work_part(h, h->most.turn / 2);
	h->replay_asked = false;
	h->replay_run++;
	list_each(c, &h->replays, struct customer, replaying)
		customers++;
	while (slices < SLICES_PER_TURN && h->spent < end && idle < customers &&
	       (c = list_first(&h->replays, struct customer, replaying))) {
		uint64_t before = h->spent;
		bool worked;

		list_del(&c->replaying);
		list_add_tail(&h->replays, &c->replaying);
		/* its links have enough for its clients; replays_go_on() comes */
		worked = !c->stopped && replay_one(h, c, &more);
		work_spend(h, worked ? SLICE_UNITS : 0);
		c->credit -= (int64_t)(h->spent - before);
		slices += worked;
		idle = worked ? 0 : idle + 1;
	}
	conditions_forget(h);
	if (slices || more)
		/* none: replay_go_on() comes when a session takes more */
		replay_ask(h);
}

void replays_go_on(struct customer *c)
{
	if (!list_empty(&c->replays))
		replay_ask(c->home);
}

void replay_go_on(struct session *s)
{
	wake_one(s);
	replay_ask(session_home(s));
}
