/* in_subscribe.c - SUBSCRIBE and UNSUBSCRIBE. One filter of a client becomes a set of inner filters
 * (grants.h).
 *
 * A SUBSCRIBE of a thousand filters, each of which meets hundreds of grants, is work for 0.1 s: it
 * is done in slices of the customer's turns, and said to the core in frames of some 64 KiB, as if
 * it had been several SUBSCRIBEs [MQTT-3.8.4-5]. Until all of them are answered, which makes one
 * SUBACK, nothing else of this client is looked at (HOLD_ASKING). */
#include "base/base.h"
#include "proxy/gate.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/badge.h"
#include "proxy/events.h"
#include "proxy/filters.h"
#include "proxy/grants.h"
#include "proxy/share.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"
#include "wire/condition.h"
#include "wire/lists.h"

enum {
	/* Filters of one packet: what the link can count, whatever the quotas say (attack I02). */
	PACKET_FILTERS = UINT16_MAX,
	/* Bytes that the inner filters of one SUBSCRIBE may have; filters beyond it are refused.
	 * With a packet of the greatest size it still fits into LINK_FRAME_MAX. */
	GRANTED_BYTES = 8 << 20,
	REFUSED_COST = 64, /* so many filters beyond the quota are as much work as one within */
};

/* The core repeats the code and does nothing; an empty filter has no place in a frame, so a text
 * stands there that is no filter. */
static struct str on_link(struct str text)
{
	return text.n ? text : STR("#/#");
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

/* One more filter with conditions: each of them is asked about each message it matches. */
static bool conditions_full(const struct conn *c)
{
	return (int64_t)c->filters.conditional >= c->worker->config->conditions_max;
}

static unsigned admit(struct conn *c, struct str text, unsigned place)
{
	if (filters_has(&c->filters, text)) {
		filters_again(&c->filters, text);
		return RC_SUCCESS;
	}
	if ((int64_t)filters_count(&c->filters) >= c->badge->quotas.token[LIMIT_SUBSCRIPTIONS])
		return quota_over(c->worker, LIMIT_SUBSCRIPTIONS); /* attack R09 */
	if (c->badge->extended && filters_conditional(text) && conditions_full(c))
		return RC_QUOTA_EXCEEDED;
	return filters_add(&c->filters, text, place) ? RC_SUCCESS : RC_UNSPECIFIED_ERROR;
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
	struct mqtt_subscribe left; /* filters that were not looked at */
	struct buf *out;
	size_t frame;
	unsigned place;     /* in the frame */
	unsigned nth, over; /* filters looked at; of them, beyond the quota */
	unsigned account;   /* the reason to refuse them all, or 0 */
	size_t granted;     /* bytes of inner filters */
	struct refusals refusals;
};

/* One that is more than a frame, or a slice. */
struct asking {
	struct subscribing now; /* points into `bytes` */
	uint32_t first;         /* filters.asked of its first frame */
	bool said;              /* wholly */
	struct buf codes;       /* what the core has answered */
	char bytes[];
};

static unsigned judge(struct conn *c, struct subscribing *s, struct str text)
{
	struct share share;
	struct str conditions;
	unsigned code;

	if (s->account)
		return s->account;
	code = grants_judge(c, text, &share, &conditions);
	if (!code && !fits(c, text, share.filter, conditions))
		code = RC_TOPIC_FILTER_INVALID; /* attack P19 */
	if (!code)
		code = grants_find(c, &c->granting, share.filter);
	if (!code && s->granted + buf_len(&c->worker->encoded) > GRANTED_BYTES)
		code = RC_QUOTA_EXCEEDED;
	return code ? code : admit(c, text, s->place);
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
		if (code == GRANTS_MORE)
			return code;
		if (code)
			LOG_INFO(conn_name(c), "refused-subscribe", "reason=0x%02x filter=%s", code,
			         log_esc(text));
	}
	if (code) {
		(void)link_item_begin(s->out, s->frame, (uint8_t)code, 0, on_link(text));
		return code;
	}
	s->granted += buf_len(&c->worker->encoded);
	grants_write(c, s->out, s->frame, opts_byte(o) | bridge_opts(c, text) | grants_how_read(c),
	             text);
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

static void tell_subscribed(struct conn *c, struct mqtt_subscribe s, unsigned count)
{
	struct mqtt_sub_opts opts;
	struct str text;

	while (count-- && mqtt_subscribe_next(&s, c->version, &text, &opts)) {
		if (filters_has(&c->filters, text))
			event_subscription(c, EVENT_SUBSCRIBED, text, opts.qos);
	}
}

/* What a filter costs is best told by the clock. Those beyond the quota are only answered. */
static void charge(struct conn *c, const struct subscribing *s, int64_t *since)
{
	int64_t now = clock_mono_us();

	share_charge(c, slice_of_us(now - *since) + (s->over ? 0 : SLICE_FILTER));
	*since = now;
}

/* The next filter. False: there is none. more: it is a list, and its next part comes with the next
 * call. */
static bool say_one(struct conn *c, struct subscribing *s, int64_t *since, bool *more)
{
	struct mqtt_subscribe before = s->left;
	struct mqtt_sub_opts opts;
	struct str text;
	unsigned code;

	if (!mqtt_subscribe_next(&s->left, c->version, &text, &opts))
		return false;
	s->place++;
	code = write_item(c, s, &opts, text);
	*more = code == GRANTS_MORE;
	if (*more) {
		s->left = before;
		s->place--;
	} else {
		note_refusal(&s->refusals, text, code);
		s->nth++;
	}
	charge(c, s, since);
	return true;
}

/* One frame, or nothing yet. False: it could not be said, for want of memory. */
static bool say_some(struct conn *c, struct subscribing *s)
{
	struct mqtt_subscribe begun = s->left;
	uint32_t id = begun.props.subscription_ids ? begun.props.subscription_id[0] : 0;
	int64_t since = clock_mono_us();
	bool more = false;
	size_t start;

	s->out = uplink_say(c);
	start = buf_len(s->out);
	s->frame = link_subscribe_begin(s->out, LINK_SUBSCRIBE, c->channel, c->generation,
	                                begun.packet_id, id);
	s->place = 0;
	while (say_one(c, s, &since, &more) && buf_len(s->out) - start < GRANTS_FRAME &&
	       ((s->place < GRANTS_TOGETHER && !more) || share_may_read(c)))
		;
	if (s->place == 0)
		return grants_unsaid(s->out, start);
	if (!link_end(s->out, s->frame))
		return false;
	c->filters.asked++;
	tell_subscribed(c, begun, s->place);
	return true;
}

static void all_said(struct conn *c, struct subscribing *s)
{
	if (s->over)
		LOG_INFO(conn_name(c), "refused-subscribe", "over=filters_per_subscribe count=%u",
		         s->over);
	tell_refusals(c, &s->refusals);
}

/* ---- In slices ---- */

static struct str moved(struct str s, const char *from, char *to)
{
	return s.n ? str_make(to + (s.p - from), s.n) : s;
}

/* Keeps what is left of it; body goes when its read is over. False: no memory. */
static bool go_on_later(struct conn *c, const struct subscribing *s, struct str body)
{
	struct asking *a = mem_zalloc(sizeof(*a) + body.n);

	if (!a)
		return false;
	memcpy(a->bytes, body.p, body.n);
	a->now = *s;
	a->now.left.entries = moved(s->left.entries, body.p, a->bytes);
	a->now.refusals.first = moved(s->refusals.first, body.p, a->bytes);
	a->first = c->filters.asked - (s->place > 0);
	c->asking = a;
	c->worker->n.subscribes_cut++;
	conn_hold(c, HOLD_ASKING);
	share_wait(c, true);
	return true;
}

void in_subscribe_go_on(struct conn *c)
{
	struct asking *a = c->asking;
	size_t mark;

	while (!a->said) {
		if (uplink_full_for(c))
			uplink_stall(c);
		if (!share_may_read(c)) {
			share_wait(c, true);
			return;
		}
		mark = uplink_mark(c);
		if (!say_some(c, &a->now)) {
			conn_close(c, END_MEMORY);
			return;
		}
		a->said = a->now.left.entries.n == 0;
		if (a->said)
			all_said(c, &a->now);
		if (uplink_unsaid(c, mark)) {
			conn_close(c, END_MEMORY);
			return;
		}
	}
}

static void taken_back(void *arg, struct str filter)
{
	event_subscription(arg, EVENT_UNSUBSCRIBED, filter, 0);
}

bool in_subscribe_answered(struct conn *c, struct str *codes)
{
	struct asking *a = c->asking;
	bool ours = a && (int32_t)(c->filters.answered - a->first) >= 0;

	for (size_t i = 0; i < codes->n; i++)
		c->refused += (uint8_t)codes->p[i] >= RC_UNSPECIFIED_ERROR;
	filters_answered(&c->filters, *codes, taken_back, c);
	if (!ours)
		return true;
	buf_str_add(&a->codes, *codes);
	if (!buf_ok(&a->codes)) {
		conn_close(c, END_MEMORY);
		return false;
	}
	*codes = buf_str(&a->codes);
	return a->said && c->filters.answered == c->filters.asked;
}

void in_subscribe_forget(struct conn *c)
{
	if (c->asking)
		buf_free(&c->asking->codes);
	mem_free(c->asking);
	c->asking = NULL;
}

void in_subscribe_done(struct conn *c)
{
	if (!c->asking || !c->asking->said || c->filters.answered != c->filters.asked)
		return;
	in_subscribe_forget(c);
	conn_go_on_rest(c, HOLD_ASKING);
}

void in_subscribe(struct conn *c, const struct mqtt_head *h, struct str body)
{
	struct subscribing now = { 0 };
	/* no-local on a shared one (attack P22) ends here */
	unsigned reason = mqtt_subscribe_read(body, c->version, &now.left);

	(void)h;
	if (!reason)
		reason = gate_props(c, &now.left.props);
	if (!reason && now.left.count > PACKET_FILTERS)
		reason = quota_over(c->worker, LIMIT_SUBSCRIBE_FILTERS);
	if (reason) {
		conn_break(c, reason);
		return;
	}
	if (!conn_pace(c, PACE_FILTERS, work_of(c, now.left))) /* attack R14 */
		return;
	now.account = judge_account(c, &now.left.props);
	if (!say_some(c, &now) || (now.left.entries.n && !go_on_later(c, &now, body)))
		conn_close(c, END_MEMORY);
	else if (!c->asking)
		all_said(c, &now);
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
	share_charge(c, u.count * SLICE_FILTER);
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
