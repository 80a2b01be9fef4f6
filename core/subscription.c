/* subscription.c - one item of SUBSCRIBE, UNSUBSCRIBE and REGRANT (request.c). A subscription is
 * known by the client's filter, byte for byte (attack T14); what it matches is its set of inner
 * filters, which the proxy computes from the token's rights (set.c). Running out of memory leaves a
 * subscription as it was, or (REGRANT) matching nothing: never more than it may. */
#include "base/base.h"
#include "core/session.h"

#include "base/log.h"
#include "base/mem.h"

enum {
	SUB_BESIDE = 32, /* bytes: its places in tables, what malloc adds */
	SUB_UNITS = 10,  /* to free one */
	/* OPENED lists the filters of a session in one frame of the link, and they fit twice */
	FILTERS_MOST = LINK_FRAME_MAX / 2,
	LISTED = 8, /* bytes of one beside its text, at most */
};

static uint32_t listed(size_t filter_len)
{
	return (uint32_t)filter_len + LISTED;
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

/* What it takes of its customer's room beside its set. A condition is compiled to about so much. */
static bool sub_charge(struct subscription *sub, bool shared, bool conditions)
{
	struct customer *c = sub->session->customer;

	sub->charge = (uint32_t)(sizeof(*sub) + SUB_BESIDE + (shared ? sizeof(struct member) : 0) +
	                         (size_t)sub->filter_len * (conditions ? 16 : 1));
	c->filter_bytes += sub->charge;
	/* its group may be a new one */
	if (c->filter_bytes + (shared ? sizeof(struct group) + sub->filter_len : 0) <=
	    (size_t)c->home->config->customer_subscription_bytes)
		return true;
	c->home->counters.refused_subscription_bytes++;
	return false;
}

static void sub_free(struct subscription *sub, bool in_session)
{
	struct session *s = sub->session;

	work_spend(session_home(s), SUB_UNITS);
	set_leave(sub);
	condition_free(&sub->condition);
	s->customer->filter_bytes -= sub->charge;
	if (in_session) {
		map_del(&s->subs, &sub->node);
		s->filters_bytes -= listed(sub->filter_len);
		s->customer->subscriptions--;
		if (s->durable)
			store_sub_del(session_home(s)->store, s->customer->id, session_id(s),
			              sub_filter(sub));
	}
	mem_free(sub);
}

/* What has begun is completed [MQTT-3.10.4-3]: what came by it and waits stays with the session. */
void sub_drop(struct subscription *sub, bool session_ends)
{
	sub->ends = false; /* now */
	if (session_ends)
		sweep_stop(sub);
	else
		sweep_finish(sub);
	if (sub->member)
		group_leave(sub);
	list_del(&sub->outs);
	sub_free(sub, true);
}

/* ---- SUBSCRIBE ---- */
static bool over_limits(const struct session *s, size_t filter_len)
{
	const struct customer *c = s->customer;

	return s->subs.count >= s->subscriptions_max ||
	       s->filters_bytes + listed(filter_len) > FILTERS_MOST ||
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
	if (sub->member)
		group_read(sub_group(sub), extended);
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
	list_init(&sub->outs);
	err = -E_LIMIT;
	if (!sub_charge(sub, share->group.n, item->opts & LINK_EXTENDED))
		goto fail;
	err = sub_read(sub, item->filter, item->opts & LINK_EXTENDED);
	if (!err)
		err = set_take(sub, *item, bytes);
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
	s->filters_bytes += listed(sub->filter_len);
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

	sub->ends = sub->parts = false;
	if ((sub->opts ^ item->opts) & LINK_EXTENDED)
		err = sub_read(sub, item->filter, item->opts & LINK_EXTENDED);
	return err ? err : set_take(sub, *item, bytes);
}

bool sub_subscribe(struct session *s, uint32_t id, const struct link_item *item, uint8_t *code)
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
	if (item->count > INNER_MAX || (fresh && over_limits(s, item->filter.n)))
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
	if (!sub->member && (handling == 0 || (handling == 1 && fresh)))
		replay_start(sub);
	return true;
}

/* It matches nothing any more, and ends when what waits by it has been dropped or given to others.
 */
static void revoke(struct subscription *sub)
{
	set_leave(sub);
	sweep_start(sub);
	sub->ends = true;
	if (!sub->sweep)
		sub_drop(sub, false);
}

/* ---- UNSUBSCRIBE ---- */
uint8_t sub_unsubscribe(struct session *s, struct str filter)
{
	struct subscription *sub = sub_find(s, filter);

	if (!sub || sub->parts)
		return str_eq(filter, STR("#/#")) ? RC_TOPIC_FILTER_INVALID
		                                  : RC_NO_SUBSCRIPTION_EXISTED;
	session_home(s)->counters.unsubscribed++;
	sub->parts = sub->member;
	if (sub->parts)
		revoke(sub);
	else
		sub_drop(sub, false);
	return RC_SUCCESS;
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

bool sub_regrant(struct session *s, const struct link_item *item)
{
	struct home *h = session_home(s);
	struct subscription *sub;
	bool readable;
	size_t bytes;

	if (!set_measure(s->customer, *item, &bytes))
		return false;
	sub = sub_find(s, item->filter);
	if (!sub || sub->parts)
		return true; /* unsubscribed meanwhile */
	if (item->code >= 0x80) {
		h->counters.regranted++;
		revoke(sub); /* who has the session now may not even know of it */
		return true;
	}
	sub->ends = false;
	readable = read_as(sub, item->opts);
	if (readable && set_same(sub, *item))
		return true;
	h->counters.regranted++;
	if (!readable || item->count > INNER_MAX || set_take(sub, *item, bytes)) {
		LOG_ERROR(home_name(h), "regrant-failed", "cid=%" PRIu64 " client=%s filters=%u",
		          s->customer->id, log_esc(session_id(s)), item->count);
		set_leave(sub);
		sweep_start(sub);
	}
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
