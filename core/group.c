/* group.c - shared subscriptions (MQTT5 4.8.2). The group is (customer, name, filter); its members
 * stand in the tree with filters of their own, each by its token's rights, so a message is only
 * ever offered to members that may have it (attack C09).
 *
 * Who gets it: a member that takes it at once; else, for QoS 1 and 2, one that is connected; else
 * one whose session waits. Among equals it is the one whose last turn is longest ago. In a sticky
 * group it is who the name belongs to among those that are connected. When a member
 * goes, what still waits for it goes to the others; so does what it was sent with QoS 1 if its
 * session ends, but never QoS 2 that it was sent [MQTT-4.8.2-5]. */
#include "base/base.h"
#include "core/session.h"

#include "base/mem.h"

enum {
	GIVE_UNITS = 5,
	KEY_BYTES = 16, /* of a name, or of a client id, hashed for one unit of work */
};

static struct group *group_find(const struct customer *c, struct str key, uint64_t hash)
{
	for (struct map_node *n = map_first(&c->groups, hash); n; n = map_next(n)) {
		struct group *g = container_of(n, struct group, node);

		if (str_eq(str_make(g->key, g->key_len), key))
			return g;
	}
	return NULL;
}

static size_t name_size(struct str key) /* the name ends there; share_split found it */
{
	return (size_t)((const char *)memchr(key.p, '/', key.n) - key.p);
}

static void group_settle(struct group *g);
static bool move_step(struct work *w);
static void move_drop(struct work *w);

static struct group *group_new(struct customer *c, struct str key, uint64_t hash)
{
	struct group *g = mem_zalloc(sizeof(*g) + key.n);

	if (!g)
		return NULL;
	g->customer = c;
	list_init(&g->members);
	list_init(&g->loose);
	list_init(&g->move.node);
	g->move.step = move_step;
	g->move.drop = move_drop;
	list_init(&g->hit);
	g->key_len = (uint16_t)key.n;
	memcpy(g->key, key.p, key.n);
	if (map_add(&c->groups, &g->node, hash)) {
		mem_free(g);
		return NULL;
	}
	/* a member's subscription has been refused already, if it was too much */
	g->charge = (uint32_t)(sizeof(*g) + key.n);
	c->filter_bytes += g->charge;
	return g;
}

void group_read(struct group *g, bool extended)
{
	struct str key = str_make(g->key, g->key_len);

	g->sticky = extended ? sticky_of(str_make(key.p, name_size(key))) : (struct sticky){ 0, 0 };
}

int group_join(struct subscription *sub, struct str key)
{
	struct customer *c = sub->session->customer;
	uint64_t hash = hash_bytes(key.p, key.n);
	struct group *g = group_find(c, key, hash);
	struct member *m;

	if (!g)
		g = group_new(c, key, hash);
	if (!g)
		return -E_NOMEM;
	group_read(g, sub->opts & LINK_EXTENDED);
	m = mem_zalloc(sizeof(*m));
	if (!m) {
		group_settle(g);
		return -E_NOMEM;
	}
	m->group = g;
	m->sub = sub;
	m->chosen = ++c->home->chosen; /* a newcomer's turn comes after those who wait */
	list_add_tail(&g->members, &m->node);
	sub->member = m;
	return 0;
}

/* ---- Choosing ---- */
static uint8_t qos_for(const struct subscription *sub, const struct msg *m)
{
	uint8_t qos = sub->opts & SUB_QOS;

	if (qos > m->qos)
		qos = m->qos;
	return qos > sub->session->qos_max ? sub->session->qos_max : qos;
}

static enum rank rank_of(const struct subscription *sub, const struct msg *m)
{
	const struct session *s = sub->session;
	uint8_t qos = qos_for(sub, m);

	if (out_ready(s, qos))
		return RANK_NOW;
	if (qos == 0 || !out_room(s, m->size))
		return RANK_NONE;
	return s->port ? RANK_CONNECTED : RANK_WAITING;
}

static struct choice choice_begin(const struct group *g, const struct msg *m)
{
	struct choice choice = { .rank = RANK_NONE };

	if (unlikely(g->sticky.count)) {
		work_spend(g->customer->home, m->m.topic.n / KEY_BYTES);
		choice.key = sticky_key(g->sticky, g->customer->id ? msg_name(m) : m->m.topic);
	}
	return choice;
}

/* Its place is its place, also while it is slow: the message waits in its queue. */
static void consider_sticky(struct choice *choice, struct subscription *sub, const struct msg *m)
{
	enum rank rank = rank_of(sub, m);
	uint64_t weight;

	if (rank == RANK_NONE)
		return;
	if (rank == RANK_CONNECTED)
		rank = RANK_NOW;
	work_spend(session_home(sub->session), 1 + sub->session->id_len / KEY_BYTES);
	weight = sticky_weight(choice->key, session_id(sub->session));
	if (!choice->best || rank < choice->rank ||
	    (rank == choice->rank && weight > choice->weight))
		*choice = (struct choice){ sub, rank, choice->key, weight };
}

static void consider(struct choice *choice, struct subscription *sub, const struct msg *m)
{
	enum rank rank = rank_of(sub, m);

	if (rank == RANK_NONE)
		return;
	if (choice->best &&
	    (rank > choice->rank ||
	     (rank == choice->rank && sub->member->chosen >= choice->best->member->chosen)))
		return;
	choice->best = sub;
	choice->rank = rank;
}

static void consider_in(struct group *g, struct choice *choice, struct subscription *sub,
                        const struct msg *m)
{
	if (unlikely(g->sticky.count))
		consider_sticky(choice, sub, m);
	else
		consider(choice, sub, m);
}

/* Who looks through the members may stand at this one. */
static void member_out(struct group *g, struct subscription *sub)
{
	if (g->looking == &sub->member->node)
		g->looking = sub->member->node.next;
	if (g->choice.best == sub)
		g->looking = NULL; /* from the beginning */
	list_del(&sub->member->node);
}

static bool give(struct group *g, struct subscription *sub, struct msg *m)
{
	struct home *h = g->customer->home;
	struct out_how how = { .qos = qos_for(sub, m) };

	sub->member->chosen = ++h->chosen;
	member_out(g, sub);
	list_add_tail(&g->members, &sub->member->node);
	how.retain = m->retain && (sub->opts & SUB_AS_PUBLISHED);
	return out_add(sub, m, &how);
}

void group_hit(struct group *g, const struct msg *m)
{
	g->offer = choice_begin(g, m);
	g->lost = false;
}

void group_consider(struct subscription *sub, const struct msg *m)
{
	struct group *g = sub_group(sub);

	work_spend(g->customer->home, 1);
	consider_in(g, &g->offer, sub, m);
}

/* ---- What members that left did not get ---- */
static void group_settle(struct group *g)
{
	if (!list_empty(&g->members) || !list_empty(&g->loose))
		return;
	list_del(&g->hit);
	map_del(&g->customer->groups, &g->node);
	g->customer->filter_bytes -= g->charge;
	mem_free(g);
}

/* Looks through the members, from where it stood, for the one to take m; the first that takes it
 * at once is it. False: goes on in the next slice. */
static bool look_on(struct group *g, struct msg *m)
{
	struct choice *choice = &g->choice;

	if (!g->looking) {
		*choice = choice_begin(g, m);
		g->looking = g->members.next;
	}
	while (g->looking != &g->members) {
		struct subscription *sub = list_entry(g->looking, struct member, node)->sub;

		g->looking = g->looking->next;
		if (sub_wants(sub, m)) {
			consider_in(g, choice, sub, m);
			if (!g->sticky.count && choice->best && choice->rank == RANK_NOW)
				return true;
		}
		if (work_over(g->customer->home) && g->looking != &g->members)
			return false;
	}
	return true;
}

/* The first of those that are loose. False: goes on in the next slice. */
static bool move_first(struct group *g)
{
	struct customer *c = g->customer;
	struct out *o = list_first(&g->loose, struct out, node);
	struct msg *m = o->msg;
	struct subscription *best;
	bool found;

	c->queue_bytes -= m->size; /* it takes its own room again */
	found = look_on(g, m);
	c->queue_bytes += m->size;
	if (!found)
		return false;
	best = g->choice.best;
	g->looking = NULL;
	g->choice.best = NULL;
	m = msg_get(m);
	list_del(&o->node);
	out_free(c, &o);
	if (best && give(g, best, m))
		c->home->counters.moved_in_group++;
	else
		c->home->counters.dropped_ended++;
	msg_put(&m);
	return true;
}

static bool move_step(struct work *w)
{
	struct group *g = container_of(w, struct group, move);
	struct home *h = g->customer->home;

	home_changed(h);
	while (!list_empty(&g->loose) && move_first(g)) {
		if (work_over(h))
			break;
	}
	conditions_forget(h);
	return !list_empty(&g->loose);
}

/* The group goes with it, if it has no members any more. */
static void move_drop(struct work *w)
{
	struct group *g = container_of(w, struct group, move);
	struct out *o;

	list_each(o, &g->loose, struct out, node) {
		list_del(&o->node);
		out_free(g->customer, &o);
	}
	group_settle(g);
}

/* At once, as far as it goes. May free g. */
static void move_on(struct group *g)
{
	if (!list_empty(&g->move.node))
		return;
	if (work_over(g->customer->home) || move_step(&g->move))
		work_add(g->customer, &g->move);
	else
		group_settle(g);
}

/* ---- One message ---- */

/* The one that was chosen has left, or takes it less readily than it did: its own copies came
 * before, or it was several turns ago. */
static bool changed(struct group *g, struct subscription *best, const struct msg *m)
{
	struct choice now = { .rank = RANK_NONE };

	if (!best)
		return g->lost;
	now.key = g->offer.key;
	consider_in(g, &now, best, m);
	return now.rank > g->offer.rank;
}

/* Among all members, in slices. False: out of memory. */
static bool give_later(struct group *g, struct msg *m)
{
	struct out *o = out_loose(g->customer, m);

	if (!o)
		return false;
	list_add_tail(&g->loose, &o->node);
	move_on(g);
	return true;
}

void group_give(struct group *g, struct msg *m)
{
	struct subscription *best = g->offer.best;
	bool again = changed(g, best, m);

	work_spend(g->customer->home, GIVE_UNITS);
	g->offer.best = NULL;
	if (again && give_later(g, m))
		return;
	if (best)
		(void)give(g, best, m);
	else if (m->qos)
		g->customer->home->counters.dropped_full++;
	else
		g->customer->home->counters.dropped_paused++;
}

void group_take_back(struct subscription *sub, struct out *o)
{
	struct group *g = sub_group(sub);

	out_loosen(sub->session, o);
	list_add_tail(&g->loose, &o->node);
	move_on(g);
}

/* ---- Leaving ---- */
bool group_part(struct subscription *sub)
{
	struct out *o;

	sweep_stop(sub);
	o = list_first(&sub->outs, struct out, peer);
	if (!o)
		return false;
	work_spend(session_home(sub->session), 1);
	if (o->state == OUT_QUEUED || (o->flags & LINK_QOS) == 1)
		group_take_back(sub, o);
	else
		list_del(&o->peer);
	return true;
}

void group_leave(struct subscription *sub)
{
	struct group *g = sub_group(sub);

	while (group_part(sub))
		;
	if (g->offer.best == sub) {
		g->offer.best = NULL;
		g->lost = true;
	}
	member_out(g, sub);
	mem_free(sub->member);
	sub->member = NULL;
	if (list_empty(&g->move.node))
		group_settle(g);
}
