/* in_subscribe.c - SUBSCRIBE and UNSUBSCRIBE. One filter of a client becomes a set of inner
 * filters: its intersection with what the token may receive, mapped (design section 3). Each filter
 * is judged on its own (attack C08); the bare filter, without its share (attack C09). A list in a
 * level (flespi's, wire/lists.h) makes several filters of one before they meet the rights. */
#include "base/base.h"
#include "proxy/gate.h"

#include "base/log.h"
#include "proxy/badge.h"
#include "proxy/events.h"
#include "proxy/filters.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"
#include "wire/condition.h"
#include "wire/lists.h"

enum {
	REGRANT_FRAME = 64 << 10, /* about so long; then another one */
	/* Filters of one packet: what the link can count, whatever the quotas say (attack I02). */
	PACKET_FILTERS = UINT16_MAX,
	/* Bytes that the inner filters of one SUBSCRIBE may have; filters beyond it are refused.
	 * With a packet of the greatest size it still fits into LINK_FRAME_MAX. */
	GRANTED_BYTES = 8 << 20,
	REFUSED_COST = 64, /* so many filters beyond the quota are as much work as one within */
};

/* ---- One filter ---- */

static unsigned judge_lists(struct str bare)
{
	int n = lists_count(bare);

	return n > 0 ? RC_SUCCESS : n == -E_LIMIT ? RC_QUOTA_EXCEEDED : RC_TOPIC_FILTER_INVALID;
}

/* Compiled here to see whether it can be; the core does it again, and keeps it. */
static unsigned judge_conditions(const struct conn *c, struct str conditions)
{
	struct condition *condition = NULL;
	int err = condition_new(&condition, conditions);
	unsigned code = err == 0            ? RC_SUCCESS
	                : err == -E_INVALID ? RC_TOPIC_FILTER_INVALID
	                : err == -E_LIMIT   ? RC_QUOTA_EXCEEDED
	                                    : RC_UNSPECIFIED_ERROR;

	/* messages of other accounts never come: nothing could ever match */
	if (!code && !condition_admits(condition, c->badge->customer))
		code = RC_NOT_AUTHORIZED;
	condition_free(&condition);
	return code;
}

/* share: what is left for the rights to judge; conditions: what stood before it, or nothing */
static unsigned judge_filter(const struct conn *c, struct str text, struct share *share,
                             struct str *conditions)
{
	enum share_kind kind;
	unsigned code;

	*conditions = STR_NONE;
	kind = c->badge->extended ? condition_split(text, share, conditions)
	                          : share_split(text, share);
	if (kind == SHARE_BAD || !topic_filter_ok(share->filter))
		return RC_TOPIC_FILTER_INVALID; /* attack P21 */
	if (share->filter.p[0] == '$')
		/* attack T06: no such word means anything here */
		return RC_NOT_AUTHORIZED;
	code = c->badge->extended ? judge_lists(share->filter) : RC_SUCCESS;
	return code || !conditions->n ? code : judge_conditions(c, *conditions);
}

/* The inner filters of one item, collected in worker->encoded: u8 system, le32 length, bytes. */
struct granting {
	struct buf *set;
	const struct space *space;
	int count; /* or -E_* */
};

static void collect(void *arg, struct filter f)
{
	struct granting *g = arg;

	buf_u8(g->set, f.system);
	buf_le32(g->set, (uint32_t)(g->space->prefix_len + f.text.n));
	space_map(g->space, f.text, g->set);
}

static void grant_plain(const struct conn *c, struct granting *g, struct str plain)
{
	int n = acl_intersect(c->badge->acl, plain, collect, g);

	g->count = n < 0 ? n : g->count + n;
	if (g->count > ACL_RESULT_MAX)
		g->count = -E_LIMIT;
}

/* Words of a list are different, so what its filters are granted does not overlap. */
static void grant_list(struct conn *c, struct granting *g, struct str bare)
{
	struct buf *room = &c->worker->scratch;
	struct lists l;
	struct str plain;

	buf_reset(room);
	if (!buf_reserve(room, bare.n)) {
		buf_free(room);
		g->count = -E_NOMEM;
		return;
	}
	for (lists_begin(&l, bare); g->count >= 0 && lists_next(&l, (char *)room->p, &plain);) {
		if (plain.p[0] == '$')
			g->count = -E_DENIED; /* as when it stands there alone */
		else
			grant_plain(c, g, plain);
	}
}

static unsigned grant(struct conn *c, struct str bare)
{
	struct granting g = { .set = &c->worker->encoded, .space = &c->badge->space };

	buf_reset(g.set);
	if (c->badge->extended && memchr(bare.p, ',', bare.n))
		grant_list(c, &g, bare);
	else
		grant_plain(c, &g, bare);
	if (g.count > 0 && buf_ok(g.set))
		return RC_SUCCESS;
	buf_free(g.set);
	return g.count == 0 || g.count == -E_DENIED ? RC_NOT_AUTHORIZED
	       : g.count == -E_LIMIT                ? RC_QUOTA_EXCEEDED
	                                            : RC_UNSPECIFIED_ERROR;
}

static void write_granted(struct conn *c, struct buf *out, size_t frame, uint8_t opts,
                          struct str text)
{
	struct take t = take_from(buf_data(&c->worker->encoded), buf_len(&c->worker->encoded));
	size_t item = link_item_begin(out, frame, 0, opts, text);
	struct str inner;
	uint8_t system;
	uint32_t n;

	while (take_u8(&t, &system) && take_le32(&t, &n) && take_bytes(&t, n, &inner))
		link_item_inner(out, item, inner, system);
}

/* The core repeats the code and does nothing; an empty filter has no place in a frame, so a text
 * stands there that is no filter. */
static struct str on_link(struct str text)
{
	return text.n ? text : STR("#/#");
}

static uint8_t how_read(const struct conn *c)
{
	return c->badge->extended ? LINK_EXTENDED : 0;
}

/* ---- REGRANT ---- */

/* What it is granted stands in worker->encoded then. */
static unsigned judge_again(struct conn *c, struct str text)
{
	struct share share;
	struct str conditions;
	unsigned code = judge_filter(c, text, &share, &conditions);

	return code ? code : grant(c, share.filter);
}

bool in_subscribe_may(struct conn *c, struct str text)
{
	return judge_again(c, text) == RC_SUCCESS;
}

/* ends: what the rights do not cover at all is no more, instead of being silent until they do. */
static void regrant_one(struct conn *c, struct buf *out, size_t frame, struct map_node *filter,
                        bool ends)
{
	struct str text = filters_text(filter);
	unsigned code = judge_again(c, text);

	ends = ends && code == RC_NOT_AUTHORIZED;
	if (code == RC_SUCCESS)
		write_granted(c, out, frame, how_read(c), text);
	else
		(void)link_item_begin(out, frame, (uint8_t)(ends ? code : 0), how_read(c), text);
	if (ends)
		filters_end(filter);
}

/* False: it could not be said, for want of memory. */
static bool regrant(struct conn *c, struct buf *out, bool ends)
{
	size_t frame = 0, start = 0;
	bool begun = false;

	map_each(n, &c->filters.map) {
		if (!begun) {
			start = buf_len(out);
			frame = link_subscribe_begin(out, LINK_REGRANT, c->channel, c->generation,
			                             0, 0);
			begun = true;
		}
		regrant_one(c, out, frame, n, ends);
		if (buf_len(out) - start < REGRANT_FRAME)
			continue;
		if (!link_end(out, frame))
			return false;
		begun = false;
	}
	return !begun || link_end(out, frame);
}

void in_subscribe_regrant(struct conn *c)
{
	c->worker->n.regrants++;
	if (!regrant(c, uplink_say(c), false))
		/* the core would go on by the old rights */
		uplink_fail(c->link, "out of memory");
}

static void has_ended(void *arg, struct str filter)
{
	struct conn *c = arg;

	LOG_INFO(conn_name(c), "subscription-ended", "why=rights filter=%s", log_esc(filter));
	event_subscription(c, EVENT_UNSUBSCRIBED, filter, 0);
}

void in_subscribe_inherit(struct conn *c, bool other)
{
	c->worker->n.regrants++;
	if (regrant(c, uplink_say(c), other))
		filters_drop_ended(&c->filters, has_ended, c);
	else
		uplink_fail(c->link, "out of memory");
}

/* ---- SUBSCRIBE ---- */

static uint8_t opts_byte(const struct mqtt_sub_opts *o)
{
	return (uint8_t)(o->qos | (o->no_local ? 4 : 0) | (o->retain_as_published ? 8 : 0) |
	                 o->retain_handling << 4);
}

/* No Local does not go with a shared subscription [MQTT-3.8.3-4]. */
static uint8_t bridge_opts(const struct conn *c, struct str text)
{
	struct share share;

	if (likely(!c->bridge))
		return 0;
	return share_split(text, &share) == SHARE_NONE ? 4 | 8 : 8;
}

static bool is_conditional(struct str text)
{
	struct share share;
	struct str conditions;

	return condition_split(text, &share, &conditions) != SHARE_BAD && conditions.n;
}

/* One more filter with conditions: each of them is asked about each message it matches. */
static bool conditions_full(const struct conn *c)
{
	int64_t left = c->worker->config->conditions_max;

	map_each(node, &c->filters.map) {
		if (left > 0 && is_conditional(filters_text(node)))
			left--;
	}
	return left == 0;
}

static unsigned admit(struct conn *c, struct str text, unsigned nth)
{
	if (filters_has(&c->filters, text)) {
		filters_again(&c->filters, text);
		return RC_SUCCESS;
	}
	if ((int64_t)filters_count(&c->filters) >= c->badge->quotas.token[LIMIT_SUBSCRIPTIONS])
		return quota_over(c->worker, LIMIT_SUBSCRIPTIONS); /* attack R09 */
	if (c->badge->extended && is_conditional(text) && conditions_full(c))
		return RC_QUOTA_EXCEEDED;
	return filters_add(&c->filters, text, nth + 1) ? RC_SUCCESS : RC_UNSPECIFIED_ERROR;
}

/* flespi's user property `cid` of SUBSCRIBE: the account that all its filters are restricted to. */
static unsigned judge_account(const struct conn *c, const struct mqtt_props *p)
{
	struct mqtt_user_walk walk;
	struct str key, value;
	uint64_t cid;

	if (!c->badge->extended || p->user_count == 0)
		return RC_SUCCESS;
	mqtt_user_start(&walk, p);
	while (mqtt_user_next(&walk, &key, &value)) {
		if (!str_eq(key, STR("cid")))
			continue;
		if (!str_to_u64(value, &cid) || cid == 0)
			return RC_TOPIC_FILTER_INVALID;
		if (cid != c->badge->customer)
			return RC_NOT_AUTHORIZED; /* as $filter/cid= */
	}
	return RC_SUCCESS;
}

/* Conditions have limits of their own (condition.h). */
static bool fits(struct conn *c, struct str text, struct str bare, struct str conditions)
{
	if (!conditions.n)
		return gate_topic_fits(c, text);
	return (int64_t)(text.n - conditions.n) <= c->badge->quotas.token[LIMIT_TOPIC_SIZE] &&
	       gate_topic_fits(c, bare);
}

/* What was refused of one SUBSCRIBE, for the customer's log. */
struct refusals {
	struct str first;
	unsigned code, count;
};

/* One SUBSCRIBE while it is worked through. */
struct subscribing {
	struct buf *out;
	size_t frame;
	unsigned nth, over; /* filters looked at; of them, beyond the quota */
	unsigned account;   /* the reason to refuse them all, or 0 */
	size_t granted;     /* bytes of inner filters */
};

static unsigned judge(struct conn *c, struct subscribing *s, struct str text)
{
	struct share share;
	struct str conditions;
	unsigned code;

	if (s->account)
		return s->account;
	code = judge_filter(c, text, &share, &conditions);
	if (!code && !fits(c, text, share.filter, conditions))
		code = RC_TOPIC_FILTER_INVALID; /* attack P19 */
	if (!code)
		code = grant(c, share.filter);
	if (!code && s->granted + buf_len(&c->worker->encoded) > GRANTED_BYTES)
		code = RC_QUOTA_EXCEEDED;
	return code ? code : admit(c, text, s->nth);
}

static unsigned write_item(struct conn *c, struct subscribing *s, const struct mqtt_sub_opts *o,
                           struct str text)
{
	unsigned code;

	if (s->nth >= c->badge->quotas.token[LIMIT_SUBSCRIBE_FILTERS]) {
		s->over++;
		code = quota_over(c->worker, LIMIT_SUBSCRIBE_FILTERS);
	} else {
		code = judge(c, s, text);
		if (code)
			LOG_INFO(conn_name(c), "refused-subscribe", "reason=0x%02x filter=%s", code,
			         log_esc(text));
	}
	if (code) {
		(void)link_item_begin(s->out, s->frame, (uint8_t)code, 0, on_link(text));
		return code;
	}
	s->granted += buf_len(&c->worker->encoded);
	write_granted(c, s->out, s->frame, opts_byte(o) | bridge_opts(c, text) | how_read(c), text);
	return RC_SUCCESS;
}

static void note_refusal(struct refusals *r, struct str text, unsigned code)
{
	if (code && r->count++ == 0) {
		r->first = text;
		r->code = code;
	}
}

static void tell_refusals(struct conn *c, const struct refusals *r)
{
	if (r->count && event_refusal_due(c))
		event_refusal(c, EVENT_FILTER_REFUSED, r->first, r->code,
		              r->code == RC_NOT_AUTHORIZED ? "no grant to receive any of it"
		                                           : NULL);
	c->refusals_untold += r->count ? r->count - 1 : 0;
}
/* How many filters are to be judged: a list is as much work as what it stands for. Those beyond
 * LIMIT_SUBSCRIBE_FILTERS are only answered. */
static uint64_t work_of(const struct conn *c, struct mqtt_subscribe s)
{
	size_t most = size_min(s.count, (size_t)c->badge->quotas.token[LIMIT_SUBSCRIBE_FILTERS]);
	struct mqtt_sub_opts opts;
	struct str text;
	uint64_t work = most + (s.count - most) / REFUSED_COST;

	for (size_t i = 0; c->badge->extended && i < most; i++) {
		int n = mqtt_subscribe_next(&s, c->version, &text, &opts) ? lists_count(text) : 0;

		work += n > 1 ? (unsigned)n - 1 : 0;
	}
	return work;
}

static bool ask_core(struct conn *c, struct mqtt_subscribe s, struct refusals *refusals)
{
	struct subscribing now = { .out = uplink_say(c), .account = judge_account(c, &s.props) };
	struct mqtt_sub_opts opts;
	struct str text;

	now.frame =
	    link_subscribe_begin(now.out, LINK_SUBSCRIBE, c->channel, c->generation, s.packet_id,
	                         s.props.subscription_ids ? s.props.subscription_id[0] : 0);
	for (; mqtt_subscribe_next(&s, c->version, &text, &opts); now.nth++)
		note_refusal(refusals, text, write_item(c, &now, &opts, text));
	if (now.over)
		LOG_INFO(conn_name(c), "refused-subscribe", "over=filters_per_subscribe count=%u",
		         now.over);
	return link_end(now.out, now.frame);
}

void in_subscribe(struct conn *c, const struct mqtt_head *h, struct str body)
{
	struct refusals refusals = { 0 };
	struct mqtt_subscribe s;
	struct mqtt_sub_opts opts;
	struct str text;
	/* no-local on a shared one (attack P22) ends here */
	unsigned reason = mqtt_subscribe_read(body, c->version, &s);

	(void)h;
	if (!reason)
		reason = gate_props(c, &s.props);
	if (!reason && s.count > PACKET_FILTERS)
		reason = quota_over(c->worker, LIMIT_SUBSCRIBE_FILTERS);
	if (reason) {
		conn_break(c, reason);
		return;
	}
	if (!conn_pace(c, PACE_FILTERS, work_of(c, s))) /* attack R14 */
		return;
	if (!ask_core(c, s, &refusals)) {
		conn_close(c, END_MEMORY);
		return;
	}
	c->filters.asked++;
	tell_refusals(c, &refusals);
	while (mqtt_subscribe_next(&s, c->version, &text, &opts)) {
		if (filters_has(&c->filters, text))
			event_subscription(c, EVENT_SUBSCRIBED, text, opts.qos);
	}
}

static void taken_back(void *arg, struct str filter)
{
	event_subscription(arg, EVENT_UNSUBSCRIBED, filter, 0);
}

void in_subscribe_answered(struct conn *c, struct str codes)
{
	for (size_t i = 0; i < codes.n; i++)
		c->refused += (uint8_t)codes.p[i] >= RC_UNSPECIFIED_ERROR;
	filters_answered(&c->filters, codes, taken_back, c);
}

/* ---- UNSUBSCRIBE ---- */

/* Filters of one packet: as many as there can be, or as anybody may ask for and be refused. */
static int64_t unsubscribable(const struct conn *c)
{
	int64_t most = c->badge->quotas.token[LIMIT_SUBSCRIPTIONS],
		usual = c->worker->config->subscriptions_max;

	most = most > usual ? most : usual;
	return most < PACKET_FILTERS ? most : PACKET_FILTERS;
}

static bool tell_core(struct conn *c, struct mqtt_unsubscribe u)
{
	struct buf *out = uplink_say(c);
	size_t frame = link_unsubscribe_begin(out, c->channel, c->generation, u.packet_id);
	struct str text;

	while (mqtt_unsubscribe_next(&u, &text))
		link_unsubscribe_add(out, frame, on_link(text));
	return link_end(out, frame);
}

void in_unsubscribe(struct conn *c, const struct mqtt_head *h, struct str body)
{
	struct mqtt_unsubscribe u;
	struct str text;
	unsigned reason = mqtt_unsubscribe_read(body, c->version, &u);

	(void)h;
	if (!reason)
		reason = gate_props(c, &u.props);
	if (!reason && u.count > unsubscribable(c))
		/* only work (attack R24) */
		reason = quota_over(c->worker, LIMIT_SUBSCRIPTIONS);
	if (reason) {
		conn_break(c, reason);
		return;
	}
	if (!conn_pace(c, PACE_FILTERS, u.count))
		return;
	if (!tell_core(c, u)) {
		conn_close(c, END_MEMORY);
		return;
	}
	while (mqtt_unsubscribe_next(&u, &text)) {
		if (filters_del(&c->filters, text))
			event_subscription(c, EVENT_UNSUBSCRIBED, text, 0);
	}
}
