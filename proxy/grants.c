/* grants.c - what a client is granted of a filter: its intersection with what the token may
 * receive, mapped (design section 3). Each filter is judged on its own (attack C08); the bare
 * filter, without its share (attack C09). A list in a level (flespi's, wire/lists.h) makes several
 * filters of one before they meet the rights. */
#include "base/base.h"
#include "proxy/grants.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/badge.h"
#include "proxy/events.h"
#include "proxy/gate.h"
#include "proxy/share.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"
#include "wire/condition.h"
#include "wire/lists.h"

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

unsigned grants_judge(const struct conn *c, struct str text, struct share *share,
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

enum { STEP_US = 500 };

/* The inner filters of one item: u8 system, le32 length, bytes. */
struct grant_set {
	struct buf *set;
	const struct space *space;
	int count; /* or -E_* */
};

/* What was found of a list so far. */
struct granting {
	uint64_t rights; /* acl_stamp() */
	struct buf set;
	int count;
	struct lists lists; /* of text */
	size_t size;
	char text[];
};

static void collect(void *arg, struct filter f)
{
	struct grant_set *g = arg;

	buf_u8(g->set, f.system);
	buf_le32(g->set, (uint32_t)(g->space->prefix_len + f.text.n));
	space_map(g->space, f.text, g->set);
}

static void grant_plain(const struct conn *c, struct grant_set *g, struct str plain)
{
	int n = c->badge->ended ? -E_DENIED : acl_intersect(c->badge->acl, plain, collect, g);

	g->count = n < 0 ? n : g->count + n;
	if (g->count > ACL_RESULT_MAX)
		g->count = -E_LIMIT;
}

static bool is_list(const struct conn *c, struct str bare)
{
	return c->badge->extended && memchr(bare.p, ',', bare.n);
}

/* Room for the filters that a list stands for, one at a time; NULL: no memory. */
static char *list_room(struct conn *c, struct str bare)
{
	struct buf *room = &c->worker->scratch;

	buf_reset(room);
	if (buf_reserve(room, bare.n))
		return (char *)room->p;
	buf_free(room);
	return NULL;
}

void grants_forget(struct granting **begun)
{
	struct granting *g = *begun;

	*begun = NULL;
	if (!g)
		return;
	buf_free(&g->set);
	mem_free(g);
}

static struct granting *begin(const struct conn *c, struct str bare)
{
	struct granting *g = mem_zalloc(sizeof(*g) + bare.n);

	if (!g)
		return NULL;
	g->rights = acl_stamp(c->badge->acl);
	g->size = bare.n;
	memcpy(g->text, bare.p, bare.n);
	lists_begin(&g->lists, str_make(g->text, g->size));
	return g;
}

static bool is_of(const struct granting *g, const struct conn *c, struct str bare)
{
	return g && g->rights == acl_stamp(c->badge->acl) &&
	       str_eq(str_make(g->text, g->size), bare);
}

/* Words of a list are different, so what its filters are granted does not overlap. True: all of it
 * is done. */
static bool grant_some(struct conn *c, struct granting *begun, struct grant_set *g, char *room)
{
	int64_t since = clock_mono_us();
	struct str plain;

	while (g->count >= 0 && lists_next(&begun->lists, room, &plain)) {
		if (plain.p[0] == '$')
			g->count = -E_DENIED; /* as when it stands there alone */
		else
			grant_plain(c, g, plain);
		if (clock_mono_us() - since >= STEP_US)
			return g->count < 0;
	}
	return true;
}

/* The same as of a plain one, of all that a list stands for; or GRANTS_MORE. */
static int grant_list(struct conn *c, struct granting **begun, struct str bare)
{
	struct grant_set g = { .space = &c->badge->space };
	struct buf *set = &c->worker->encoded;
	char *room = list_room(c, bare);

	if (!is_of(*begun, c, bare)) {
		grants_forget(begun);
		*begun = begin(c, bare);
	}
	if (!room || !*begun) {
		grants_forget(begun);
		return -E_NOMEM;
	}
	g.set = &(*begun)->set;
	g.count = (*begun)->count;
	if (!grant_some(c, *begun, &g, room)) {
		(*begun)->count = g.count;
		return GRANTS_MORE;
	}
	buf_free(set);
	*set = *g.set;
	*g.set = (struct buf){ 0 };
	grants_forget(begun);
	return g.count;
}

unsigned grants_find(struct conn *c, struct granting **begun, struct str bare)
{
	struct grant_set g = { .set = &c->worker->encoded, .space = &c->badge->space };

	buf_reset(g.set);
	if (is_list(c, bare))
		g.count = grant_list(c, begun, bare);
	else
		grant_plain(c, &g, bare);
	if (g.count == GRANTS_MORE)
		return GRANTS_MORE;
	if (g.count > 0 && buf_ok(g.set))
		return RC_SUCCESS;
	buf_free(g.set);
	return g.count == 0 || g.count == -E_DENIED ? RC_NOT_AUTHORIZED
	       : g.count == -E_LIMIT                ? RC_QUOTA_EXCEEDED
	                                            : RC_UNSPECIFIED_ERROR;
}

/* Is anything granted of it? Less work than finding out what. */
static bool meets_any(struct conn *c, struct str bare, size_t *looked)
{
	char *room = is_list(c, bare) ? list_room(c, bare) : NULL;
	struct lists l;
	struct str plain;

	if (!is_list(c, bare))
		return acl_meets(c->badge->acl, bare, looked);
	for (lists_begin(&l, bare);
	     room && *looked <= GRANTS_LOOK_MOST && lists_next(&l, room, &plain);) {
		if (plain.p[0] != '$' && acl_meets(c->badge->acl, plain, looked))
			return true;
	}
	return false;
}

void grants_write(struct conn *c, struct buf *out, size_t frame, uint8_t opts, struct str text)
{
	struct take t = take_from(buf_data(&c->worker->encoded), buf_len(&c->worker->encoded));
	size_t item = link_item_begin(out, frame, 0, opts, text);
	struct str inner;
	uint8_t system;
	uint32_t n;

	while (take_u8(&t, &system) && take_le32(&t, &n) && take_bytes(&t, n, &inner))
		link_item_inner(out, item, inner, system);
}

uint8_t grants_how_read(const struct conn *c)
{
	return c->badge->extended ? LINK_EXTENDED : 0;
}

/* ---- REGRANT ---- */

bool grants_may(struct conn *c, struct str text, size_t *looked)
{
	struct share share;
	struct str conditions;

	return grants_judge(c, text, &share, &conditions) == RC_SUCCESS &&
	       meets_any(c, share.filter, looked);
}

/* What the rights do not cover is silent until they do: no inner filters. If it was another token's
 * it ends. False: it is a list, and there is more to do. */
static bool regrant_one(struct conn *c, struct buf *out, size_t frame, struct map_node *filter)
{
	struct str text = filters_text(filter), conditions;
	struct share share;
	unsigned code = grants_judge(c, text, &share, &conditions);
	bool ends;

	if (!code)
		code = grants_find(c, &c->regranting, share.filter);
	if (code == GRANTS_MORE)
		return false;
	MUST(filters_stale(&c->filters) == filter);
	ends = code == RC_NOT_AUTHORIZED && filters_foreign(filter);
	if (code == RC_SUCCESS)
		grants_write(c, out, frame, grants_how_read(c), text);
	else
		(void)link_item_begin(out, frame, (uint8_t)(ends ? code : 0), grants_how_read(c),
		                      text);
	if (ends)
		filters_end(&c->filters, filter);
	return true;
}

static void has_ended(void *arg, struct str filter)
{
	struct conn *c = arg;

	LOG_INFO(conn_name(c), "subscription-ended", "why=rights filter=%s", log_esc(filter));
	event_subscription(c, EVENT_UNSUBSCRIBED, filter, 0);
}

/* Counts what was done since then, by the clock: what a filter costs, times grants, is best told by
 * it. */
static void charge(struct conn *c, int64_t *since)
{
	int64_t now = clock_mono_us();

	slices_busy(&c->worker->slices, &c->share->window);
	slice_charge(&c->worker->slices, &c->share->grants, slice_of_us(now - *since) + 1);
	*since = now;
}

bool grants_unsaid(struct buf *out, size_t start)
{
	bool ok = buf_ok(out);

	buf_cut(out, start);
	return ok;
}

/* One frame, or as much of it as the slice has room for. False: it could not be said, for want of
 * memory. */
static bool say_some(struct conn *c)
{
	struct buf *out = uplink_say(c);
	size_t start = buf_len(out);
	size_t frame = link_subscribe_begin(out, LINK_REGRANT, c->channel, c->generation, 0, 0);
	int64_t since = clock_mono_us();
	struct map_node *filter;
	unsigned said = 0;
	bool more = false;

	do {
		filter = filters_next_stale(&c->filters);
		if (!filter)
			break;
		more = !regrant_one(c, out, frame, filter);
		said += !more;
		charge(c, &since);
	} while (buf_len(out) - start < GRANTS_FRAME &&
	         ((said < GRANTS_TOGETHER && !more) ||
	          slice_open(&c->worker->slices, &c->share->grants)));
	if (said == 0)
		return grants_unsaid(out, start);
	if (!link_end(out, frame))
		return false;
	filters_drop_ended(&c->filters, has_ended, c);
	return true;
}

bool grants_renew(struct conn *c)
{
	c->worker->n.regrants += filters_any_stale(&c->filters);
	while (filters_any_stale(&c->filters)) {
		if (uplink_full_for(c) || !slice_open(&c->worker->slices, &c->share->grants))
			return false;
		if (!say_some(c)) {
			/* the core would go on by the old rights */
			uplink_fail(c->link, "out of memory");
			return true;
		}
	}
	return true;
}
