/* subscription.c - SUBSCRIBE, UNSUBSCRIBE and REGRANT. A subscription is known by the client's
 * filter, byte for byte (attack T14); what it matches is its set of inner filters, which the proxy
 * computes from the token's rights. A set is made whole before it takes the old one's place, so
 * that running out of memory leaves a subscription as it was, or (REGRANT) matching nothing: never
 * more than it may. */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"
#include "base/mem.h"

/* ---- Sets ---- */
static bool set_measure(const struct customer *c, struct link_item item, size_t *bytes)
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

/* Measured already: names are inside, their bytes fit. */
static struct inner_set *set_new(struct subscription *sub, struct link_item item, size_t bytes)
{
	struct customer *c = sub->session->customer;
	struct inner_set *set =
	    mem_zalloc(sizeof(*set) + item.count * sizeof(struct inner) + bytes);
	struct str filter, name;
	char *at;
	bool system;

	if (!set)
		return NULL;
	at = (char *)&set->at[item.count];
	while (link_item_next(&item, &filter, &system) && customer_name(c, filter, &name)) {
		struct inner *inner = &set->at[set->count++];

		list_init(&inner->leaf.node);
		inner->leaf.sub = sub;
		inner->leaf.system = system;
		inner->text = str_make(memcpy(at, name.p, name.n), name.n);
		at += name.n;
	}
	return set;
}

/* The trusted world's filters (home 0) stand in the trees of the other homes too. */
static bool set_mirrors(const struct customer *c)
{
	return c->id == 0 && c->home->count > 1;
}

static void set_out(struct customer *c, struct inner_set *set, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		tree_del(c->tree, &set->at[i].leaf);
		if (set_mirrors(c) &&
		    trusted_mirror(c->home, set->at[i].text, set->at[i].leaf.system, false))
			/* costs a needless letter per match, nothing else */
			LOG_WARN(home_name(c->home), "mirror-kept", "why=memory");
	}
}

static int set_in(struct customer *c, struct inner_set *set)
{
	for (unsigned i = 0; i < set->count; i++) {
		int err = tree_add(c->tree, &set->at[i].leaf, set->at[i].text);

		if (!err && set_mirrors(c)) {
			err =
			    trusted_mirror(c->home, set->at[i].text, set->at[i].leaf.system, true);
			if (err)
				tree_del(c->tree, &set->at[i].leaf);
		}
		if (err) {
			set_out(c, set, i);
			return err;
		}
	}
	return 0;
}

static void set_free(struct customer *c, struct inner_set **set)
{
	if (*set)
		set_out(c, *set, (*set)->count);
	mem_free(*set);
	*set = NULL;
}

static bool set_same(const struct subscription *sub, struct link_item item)
{
	const struct inner_set *set = sub->set;
	struct str filter, name;
	bool system;
	unsigned i = 0;

	if (!set || set->count != item.count)
		return false;
	for (; link_item_next(&item, &filter, &system); i++) {
		if (!customer_name(sub->session->customer, filter, &name) ||
		    !str_eq(name, set->at[i].text) || system != set->at[i].leaf.system)
			return false;
	}
	return true;
}

/* The new set in the place of the old one. -E_NOMEM: as it was. */
static int set_change(struct subscription *sub, struct link_item item, size_t bytes)
{
	struct customer *c = sub->session->customer;
	struct inner_set *set;
	bool replayed = sub->replay;
	int err;

	if (set_same(sub, item))
		return 0;
	set = set_new(sub, item, bytes);
	if (!set)
		return -E_NOMEM;
	err = set_in(c, set);
	if (err) {
		mem_free(set);
		return err;
	}
	replay_stop(sub); /* it walks by the old set */
	set_free(c, &sub->set);
	sub->set = set;
	sweep_start(sub);
	if (replayed) /* from its beginning: what has come may come again */
		replay_start(sub);
	return 0;
}

/* ---- Subscriptions ---- */
enum { MATCHED = 64 }; /* bytes of a filter that are compared for one unit of work */

static bool set_matches(const struct subscription *sub, const struct msg *m)
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

bool sub_wants(const struct subscription *sub, struct msg *m)
{
	bool unsure;

	if (!set_matches(sub, m))
		return false;
	return !sub->condition || condition_passes(sub, m, &unsure) || unsure;
}

static struct str sub_filter(const struct subscription *sub)
{
	return str_make(sub->filter, sub->filter_len);
}

struct subscription *sub_find(const struct session *s, struct str filter)
{
	for (struct map_node *n = map_first(&s->subs, hash_bytes(filter.p, filter.n)); n;
	     n = map_next(n)) {
		struct subscription *sub = container_of(n, struct subscription, node);

		if (str_eq(sub_filter(sub), filter))
			return sub;
	}
	return NULL;
}

static void sub_free(struct subscription *sub, bool in_session)
{
	struct session *s = sub->session;

	replay_stop(sub);
	set_free(s->customer, &sub->set);
	condition_free(&sub->condition);
	if (in_session) {
		map_del(&s->subs, &sub->node);
		s->customer->subscriptions--;
		if (s->durable)
			store_sub_del(session_home(s)->store, s->customer->id, session_id(s),
			              sub_filter(sub));
	}
	mem_free(sub);
}

/* What has begun is completed [MQTT-3.10.4-3]: what came by it and waits stays with the session. */
static void sub_drop(struct subscription *sub, bool session_ends)
{
	if (session_ends)
		sweep_stop(sub);
	else
		sweep_finish(sub);
	if (sub->group)
		group_leave(sub, session_ends);
	list_del(&sub->outs);
	sub_free(sub, true);
}

void subs_clear(struct session *s)
{
	map_each(n, &s->subs)
		sub_drop(container_of(n, struct subscription, node), true);
	map_free(&s->subs);
}

/* ---- SUBSCRIBE ---- */
static bool over_limits(const struct session *s)
{
	const struct customer *c = s->customer;

	return s->subs.count >= s->subscriptions_max ||
	       c->subscriptions >= (size_t)session_home(s)->config->customer_subscriptions;
}

/* What the text means beyond its set: how the name of its group is read, and the condition. The
 * proxy has read it before. 0, -E_INVALID, -E_LIMIT or -E_NOMEM; nothing has changed then. */
static int sub_read(struct subscription *sub, struct str text, bool extended)
{
	struct condition *condition = NULL;
	struct str conditions = STR_NONE;
	struct share share;
	int err = 0;

	if (extended && condition_split(text, &share, &conditions) == SHARE_BAD)
		return -E_INVALID;
	if (conditions.n)
		err = condition_new(&condition, conditions);
	if (err)
		return err;
	condition_free(&sub->condition);
	sub->condition = condition;
	sub->opts = (uint8_t)((sub->opts & ~LINK_EXTENDED) | (extended ? LINK_EXTENDED : 0));
	if (sub->group)
		group_read(sub->group, extended);
	return 0;
}

static int sub_new(struct subscription **out, struct session *s, const struct link_item *item,
                   const struct share *share, size_t bytes)
{
	struct subscription *sub = mem_zalloc(sizeof(*sub) + item->filter.n);
	int err = -E_NOMEM;

	if (!sub)
		return err;
	sub->session = s;
	sub->filter_len = (uint16_t)item->filter.n;
	memcpy(sub->filter, item->filter.p, item->filter.n);
	list_init(&sub->member);
	list_init(&sub->outs);
	err = sub_read(sub, item->filter, item->opts & LINK_EXTENDED);
	if (!err)
		err = set_change(sub, *item, bytes);
	if (err)
		goto fail;
	err = map_add(&s->subs, &sub->node, hash_bytes(item->filter.p, item->filter.n));
	if (err)
		goto fail;
	s->customer->subscriptions++;
	if (share->group.n) {
		/* to the end of the text: conditions are part of it */
		err = group_join(sub, str_skip(item->filter, STR("$share/").n));
		if (err) {
			map_del(&s->subs, &sub->node);
			s->customer->subscriptions--;
			goto fail;
		}
	}
	*out = sub;
	return 0;
fail:
	sub_free(sub, false);
	return err;
}

/* The same text is said once more. */
static int sub_again(struct subscription *sub, const struct link_item *item, size_t bytes)
{
	int err = 0;

	if ((sub->opts ^ item->opts) & LINK_EXTENDED)
		err = sub_read(sub, item->filter, item->opts & LINK_EXTENDED);
	return err ? err : set_change(sub, *item, bytes);
}

/* One item. *code: what SUBACK says at its place. False: names outside the customer's space. */
static bool subscribe_one(struct session *s, uint32_t id, const struct link_item *item,
                          uint8_t *code)
{
	struct subscription *sub = sub_find(s, item->filter);
	unsigned handling = item->opts >> SUB_HANDLING & SUB_HANDLING_MASK;
	bool fresh = !sub;
	struct share share;
	size_t bytes;
	int err;

	if (!set_measure(s->customer, *item, &bytes) || item->filter.n == 0 ||
	    item->filter.n > UINT16_MAX)
		return false;
	if (share_split(item->filter, &share) == SHARE_BAD) {
		*code = RC_TOPIC_FILTER_INVALID;
		return true;
	}
	*code = RC_QUOTA_EXCEEDED;
	if (item->count > INNER_MAX || (fresh && over_limits(s)))
		return true;
	err = fresh ? sub_new(&sub, s, item, &share, bytes) : sub_again(sub, item, bytes);
	if (err == -E_INVALID)
		*code = RC_TOPIC_FILTER_INVALID;
	if (err)
		return true;
	sub->id = id;
	sub->opts = item->opts;
	if (s->durable)
		store_sub_put(session_home(s)->store, s->customer->id, session_id(s),
		              &(struct link_sub){ item->filter, item->opts, id });
	*code = item->opts & SUB_QOS;
	if (*code > s->qos_max)
		*code = s->qos_max;
	/* MQTT5 3.3.1.3: 0 always, 1 if it is new, 2 never; and never to a shared one (4.8.2). */
	if (!sub->group && (handling == 0 || (handling == 1 && fresh)))
		replay_start(sub);
	return true;
}

/* The trusted world lives on home 0; on other homes its members publish only. */
static bool may_subscribe(const struct session *s)
{
	return s->customer->id != 0 || home_index(session_home(s)) == 0;
}

bool session_subscribe(struct port *p, struct link_subscribe *sub)
{
	struct session *s = p->session;
	struct home *h = session_home(s);
	struct link_item item;
	size_t count = 0;

	while (link_subscribe_next(sub, &item)) {
		uint8_t *code = &h->codes[count++];

		*code = item.code;
		if (item.code >= 0x80)
			continue;
		if (!may_subscribe(s))
			*code = RC_USE_ANOTHER_SERVER;
		else if (!subscribe_one(s, sub->subscription_id, &item, code))
			return false;
		if (*code >= 0x80)
			h->counters.refused_subscriptions++;
		else
			h->counters.subscribed++;
	}
	p->ops->suback(p, LINK_SUBACK, sub->packet_id, h->codes, count);
	if (s->replays)
		replay_go_on(s);
	return true;
}

bool session_unsubscribe(struct port *p, struct link_unsubscribe *u)
{
	struct session *s = p->session;
	struct home *h = session_home(s);
	struct str filter;
	size_t count = 0;

	while (link_unsubscribe_next(u, &filter)) {
		struct subscription *sub = sub_find(s, filter);

		h->codes[count++] = sub ? RC_SUCCESS : RC_NO_SUBSCRIPTION_EXISTED;
		if (!sub)
			continue;
		h->counters.unsubscribed++;
		sub_drop(sub, false);
	}
	map_trim(&s->subs);
	p->ops->suback(p, LINK_UNSUBACK, u->packet_id, h->codes, count);
	return true;
}

/* ---- REGRANT ---- */

/* Its customer's filters may be read with flespi's extensions now, or not any more. False: it
 * cannot be read any more. */
static bool read_as(struct subscription *sub, uint8_t opts)
{
	struct session *s = sub->session;

	if (!((sub->opts ^ opts) & LINK_EXTENDED))
		return true;
	if (sub_read(sub, sub_filter(sub), opts & LINK_EXTENDED))
		return false;
	if (s->durable)
		store_sub_put(session_home(s)->store, s->customer->id, session_id(s),
		              &(struct link_sub){ sub_filter(sub), sub->opts, sub->id });
	return true;
}

bool session_regrant(struct port *p, struct link_subscribe *r)
{
	struct session *s = p->session;
	struct home *h = session_home(s);
	struct link_item item;
	struct subscription *sub;
	size_t bytes;

	s->sweeps++; /* nothing goes before all of it is judged */
	while (link_subscribe_next(r, &item)) {
		bool readable;

		if (!set_measure(s->customer, item, &bytes)) {
			s->sweeps--;
			return false;
		}
		sub = sub_find(s, item.filter);
		if (!sub)
			continue; /* unsubscribed meanwhile */
		readable = read_as(sub, item.opts);
		if (readable && set_same(sub, item))
			continue;
		h->counters.regranted++;
		if (!readable || item.count > INNER_MAX || set_change(sub, item, bytes)) {
			LOG_ERROR(home_name(h), "regrant-failed",
			          "cid=%" PRIu64 " client=%s filters=%u", s->customer->id,
			          log_esc(session_id(s)), item.count);
			replay_stop(sub);
			set_free(s->customer, &sub->set);
			sweep_start(sub);
		}
	}
	s->sweeps--;
	out_pump(s);
	return true;
}

/* ---- What a resumed session has ---- */
void session_each_sub(struct session *s, void (*visit)(void *arg, const struct link_sub *sub),
                      void *arg)
{
	map_each(n, &s->subs) {
		const struct subscription *sub = container_of(n, struct subscription, node);

		visit(arg, &(struct link_sub){ sub_filter(sub), sub->opts, sub->id });
	}
}

size_t session_sub_count(const struct session *s)
{
	return s->subs.count;
}
