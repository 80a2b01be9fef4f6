/* auth_known.c - what becomes of a credential, on the authentication thread.
 *
 *   asked -> yes          listed; fresh for auth_cache, refreshed ahead while connections use it,
 * forgotten when it lapses unused
 *         -> no           listed: its connections are told, remembered for auth_no; else:
 * remembered in auth_refused
 *         -> unavailable  listed: keeps its last yes for its connections until auth_stale; else:
 * rests 0.2 to 2 s end by its clock, revoked by a push, longer unavailable than auth_stale:
 * auth_end
 *
 * A verdict is never changed, only replaced. A revocation for which memory is short is not lost:
 * the credential admits nobody new from that moment (`stale`), and its end is tried again every 100
 * ms (`owes_end`, `owes_notice`). */
#include "base/base.h"
#include "proxy/auth_parts.h"

#include <inttypes.h>

#include "base/log.h"
#include "wire/mqtt.h"

enum {
	REST_MS = 250,
	REST_MAX_MS = 2000, /* after an unavailable, less up to 20 % */
	/* how long a failed credential is kept after its rest, so that the next rest is longer */
	REST_KEEP_MS = 4000,
	OWED_MS = 100,
	UNUSED_LOOK_MS = 2000,
	ENDED_LOOK_MS = 1000,
	STALE_MAX_MS = 3600 * 1000,
	LAST_MS = 1000, /* of a token's life, without a refresh */
};

/* ---- Small things ---- */
/* for spreading load, not for secrets: splitmix64 */
uint32_t auth_random(struct auth *a)
{
	uint64_t x = a->random += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)(x >> 32);
}

int64_t auth_jitter(struct auth *a, int64_t ms, unsigned percent)
{
	int64_t span = ms / 100 * percent;

	return span > 0 ? ms - (int64_t)(auth_random(a) % ((uint64_t)span + 1)) : ms;
}

static int64_t least(int64_t x, int64_t y)
{
	return x < y ? x : y;
}

static int64_t most(int64_t x, int64_t y)
{
	return x > y ? x : y;
}

/* Milliseconds until the token ends by the wall clock; far away when it never does. */
static int64_t ends_in(const struct auth *a, const struct token_info *info)
{
	if (info->expire == 0 || info->expire > INT64_MAX / 2000)
		return INT64_MAX / 4;
	return info->expire * 1000 - loop_wall(a->loop);
}

bool auth_token_valid(const struct auth *a, const struct token_info *info)
{
	return info->enabled && ends_in(a, info) > 0;
}

bool auth_info_valid(const struct auth *a, const struct token_info *info)
{
	return !info->customer_blocked && auth_token_valid(a, info);
}

static bool is_yes(const struct verdict *v)
{
	return v->reason == RC_SUCCESS;
}

/* ---- What comes next for a credential ---- */
void auth_arm(struct auth *a, struct known *k)
{
	const struct verdict *v = k->token.verdict;
	bool idle = k->state == KNOWN_IDLE, used = known_in_use(k);
	int64_t now = loop_now(a->loop), at;

	MUST(k->listed);
	if (k->owes_end || k->owes_notice)
		at = now + OWED_MS;
	else if (!used && !idle)
		at = now + ENDED_LOOK_MS; /* the answer decides */
	else if (!used)
		at = atomic_load_explicit(&k->stale, memory_order_relaxed)
		         ? now
		         : least(v->fresh_until, most(k->refresh_at, now + UNUSED_LOOK_MS));
	else if (!is_yes(v))
		at = now + ENDED_LOOK_MS;
	else
		at = idle ? least(v->stale_until, k->refresh_at) : v->stale_until;
	if (is_yes(v))
		at = least(at, now + ends_in(a, &v->info));
	timer_set(a->loop, &k->timer, at - now);
}

void auth_later(struct auth *a, struct known *k)
{
	int64_t at = most(k->rest_until, loop_now(a->loop) + REST_MS);

	if (a->breaker.state == BREAKER_OPEN)
		at = most(at, a->breaker.retry_at);
	/* Spread over a second, or all would come in the same turn. */
	k->refresh_at = most(k->refresh_at, at + (int64_t)(auth_random(a) % 1000));
	auth_arm(a, k);
}

/* A key and the name of a certificate may be refused while the same token is good with another
 * name: then it has not lost its rights. */
static bool good_otherwise(struct auth *a, const struct known *k)
{
	struct list *places = auth_table_of_token(&a->table, k->customer, k->id);
	struct place *place;

	if (!places)
		return false;
	list_each(place, places, struct place, node) {
		if (place->known != k && place->known->listed &&
		    is_yes(place->known->token.verdict))
			return true;
	}
	return false;
}

/* Tells the connections and the core what the present verdict of k is. */
static void tell(struct auth *a, struct known *k, enum auth_tell tell)
{
	const struct verdict *v = k->token.verdict;
	struct acl *acl = is_yes(v) ? v->info.acl : NULL;

	if (tell == TELL_HIDDEN && good_otherwise(a, k))
		tell = TELL_NOTHING;
	k->owes_notice = auth_notify(a, &k->token, k->customer, k->id, acl, v->reason, tell) != 0;
	k->owes_tell = (uint8_t)tell;
}

static bool publish_no(struct auth *a, struct known *k, uint8_t reason)
{
	struct verdict *v = verdict_new(reason);

	if (!v)
		return false;
	/* "No answer" is for those who are here now; it is never remembered against who comes next.
	 */
	v->fresh_until =
	    loop_now(a->loop) + (reason == RC_SERVER_UNAVAILABLE ? 0 : a->config->auth_no);
	v->stale_until = v->fresh_until;
	known_publish(k, v);
	return true;
}

void auth_end(struct auth *a, struct known *k, uint8_t reason, enum auth_tell how)
{
	k->owes_end = 0;
	atomic_store_explicit(&k->untold, reason != RC_SERVER_UNAVAILABLE, memory_order_release);
	if (publish_no(a, k, reason)) {
		LOG_INFO("auth", "ended", "cid=%" PRIu64 " token=%" PRIu64 " reason=0x%02x",
		         k->customer, k->id, reason);
		tell(a, k, how);
	} else {
		atomic_store_explicit(&k->stale, true, memory_order_release);
		k->owes_end = reason;
		k->owes_tell = (uint8_t)how;
	}
	auth_arm(a, k);
}

static bool same_rights(const struct token_info *x, const struct token_info *y)
{
	return acl_same(x->acl, y->acl) && str_eq(str_c(x->ips), str_c(y->ips)) &&
	       str_eq(str_c(x->certs), str_c(y->certs)) &&
	       str_eq(str_c(x->client_ids), str_c(y->client_ids)) &&
	       x->flespi_extensions == y->flespi_extensions && limits_same(x->limits, y->limits);
}

void auth_changed(struct auth *a, struct known *k, struct verdict *v, enum auth_tell how)
{
	const struct verdict *old = k->token.verdict;
	bool same = is_yes(old) && same_rights(&old->info, &v->info);

	known_publish(k, v); /* old stays readable until the end of this turn */
	if (!same)
		tell(a, k, how);
	auth_arm(a, k);
}

void auth_mark_stale(struct auth *a, struct known *k)
{
	atomic_store_explicit(&k->stale, true, memory_order_release);
	k->refresh_at = loop_now(a->loop);
	if (known_in_use(k))
		auth_ask_refresh(a, k);
	auth_arm(a, k);
}

static void known_tick(struct timer *t)
{
	struct known *k = container_of(t, struct known, timer);
	struct auth *a = k->auth;
	const struct verdict *v = k->token.verdict;
	int64_t now = loop_now(a->loop);
	bool used = known_in_use(k);

	if (!k->listed) {
		auth_table_forget(&a->table, k); /* it has rested long enough */
		return;
	}
	if (k->owes_end) {
		auth_end(a, k, k->owes_end, (enum auth_tell)k->owes_tell);
		return;
	}
	if (k->owes_notice)
		tell(a, k, (enum auth_tell)k->owes_tell);
	if (is_yes(v) && ends_in(a, &v->info) <= 0) {
		auth_end(a, k, RC_NOT_AUTHORIZED, TELL_HIDDEN);
		return;
	}
	if (is_yes(v) && used && now >= v->stale_until) {
		auth_end(a, k, RC_SERVER_UNAVAILABLE, TELL_NOTHING);
		return;
	}
	if (!used && k->state == KNOWN_IDLE && !k->owes_notice &&
	    (now >= v->fresh_until || atomic_load_explicit(&k->stale, memory_order_relaxed))) {
		auth_table_forget(&a->table, k);
		return;
	}
	if (used && is_yes(v) && now >= k->refresh_at)
		auth_ask_refresh(a, k);
	auth_arm(a, k);
}

void auth_adopt(struct auth *a, struct known *k)
{
	k->auth = a;
	timer_init(&k->timer, known_tick);
}

/* ---- Answers ---- */
/* takes what is in info */
static struct verdict *yes_verdict(struct auth *a, struct known *k, struct token_info *info)
{
	int64_t now = loop_now(a->loop), life = auth_jitter(a, a->config->auth_cache, 20),
		left = ends_in(a, info);
	struct verdict *v = verdict_new(RC_SUCCESS);

	if (!v) {
		token_info_free(info);
		return NULL;
	}
	v->info = *info;
	k->refresh_at = now + least(life, left) * 4 / 5;
	if (left < life && left < LAST_MS)
		/* or each refresh would be followed by one five times as soon */
		k->refresh_at = now + left;
	life = least(life, left);
	v->fresh_until = now + life;
	v->stale_until = now + most(life, least(a->config->auth_stale, STALE_MAX_MS));
	if (a->config->auth_poll > 0)
		k->refresh_at =
		    least(k->refresh_at, now + auth_jitter(a, a->config->auth_poll, 20));
	return v;
}

static void said_nothing(struct auth *a, struct known *k)
{
	unsigned doublings = k->failures < 4 ? k->failures : 4;
	int64_t rest = auth_jitter(a, least((int64_t)REST_MS << doublings, REST_MAX_MS), 20);

	k->failures++;
	k->rest_until = loop_now(a->loop) + rest;
	auth_ask_waiting(a, k, RC_SERVER_UNAVAILABLE);
	if (k->listed) {
		auth_later(a, k);
		return;
	}
	timer_set(a->loop, &k->timer, rest + REST_KEEP_MS);
	/* may forget k */
	auth_table_rest(&a->table, k, (size_t)most(a->config->auth_queue, 1));
}

static void said_no(struct auth *a, struct known *k, uint8_t reason, bool blocked)
{
	struct auth_ask *first = list_first(&k->waiting, struct auth_ask, waiting);

	k->failures = 0;
	k->rest_until = 0;
	if (k->listed) {
		auth_table_renew(&a->table, k);
		if (is_yes(k->token.verdict))
			auth_end(a, k, reason, blocked ? TELL_BLOCKED : TELL_HIDDEN);
		else
			/* nobody has rights by the old one either */
			(void)publish_no(a, k, reason);
		auth_ask_waiting(a, k, reason);
		auth_arm(a, k);
		return;
	}
	if (first) {
		auth_refused_add(&a->refused, k->digest, reason,
		                 loop_now(a->loop) + a->config->auth_no, &first->peer);
		auth_tidy_in(a, AUTH_SWEEP_MS);
	}
	auth_ask_waiting(a, k, reason);
	auth_table_forget(&a->table, k);
}

/* The credential means another token or customer now. Workers have put connections into a namespace
 * by this object, so it is never used for another one: it ends and is forgotten, and who waits may
 * try again and gets a new object. */
static void change_owner(struct auth *a, struct known *k)
{
	if (is_yes(k->token.verdict))
		auth_end(a, k, RC_NOT_AUTHORIZED, TELL_HIDDEN);
	auth_ask_waiting(a, k, RC_SERVER_UNAVAILABLE);
	if (!k->owes_end && !k->owes_notice)
		auth_table_forget(&a->table, k);
}

static bool same_owner(const struct known *k, const struct token_info *info)
{
	return !k->listed || (k->customer == info->customer && k->id == info->id);
}

static void said_yes(struct auth *a, struct known *k, struct token_info *info)
{
	struct verdict *v;

	if (!same_owner(k, info)) {
		token_info_free(info);
		change_owner(a, k);
		return;
	}
	if (auth_table_group(&a->table, k, info->customer, info->id)) {
		token_info_free(info);
		said_nothing(a, k);
		return;
	}
	v = yes_verdict(a, k, info);
	if (!v) {
		said_nothing(a, k);
		return;
	}
	if (!k->listed && !auth_table_room(&a->table)) {
		verdict_free(v);
		auth_ask_waiting(a, k, RC_SERVER_BUSY);
		auth_table_forget(&a->table, k);
		return;
	}
	k->failures = 0;
	k->rest_until = 0;
	k->owes_end = 0;
	if (k->listed) {
		auth_table_renew(&a->table, k);
		auth_changed(a, k, v, TELL_RIGHTS);
	} else {
		known_publish(k, v);
		auth_table_list(&a->table, k);
		auth_refused_drop(&a->refused, k->digest);
	}
	auth_ask_waiting(a, k, RC_SUCCESS);
	auth_arm(a, k);
}

/* Who asks for the sake of a refused token's customer learns whose it was. */
static void tell_whose(struct known *k, uint64_t customer, uint64_t id)
{
	struct auth_ask *ask;

	list_each(ask, &k->waiting, struct auth_ask, waiting) {
		ask->customer = customer;
		ask->id = id;
	}
}

void auth_answered(struct auth *a, struct known *k, struct auth_reply *reply)
{
	bool token = reply->said == SAID_TOKEN;

	if (k->listed && list_empty(&k->waiting) && reply->said != SAID_NOTHING)
		COUNT(a, refreshed);
	if (token && k->short_id && reply->info.id != k->short_id) {
		LOG_WARN("auth", "unavailable", "why=asked_for_token_%" PRIu64 "_told_of_%" PRIu64,
		         k->short_id, reply->info.id);
		token_info_free(&reply->info);
		said_nothing(a, k);
	} else if (token && auth_info_valid(a, &reply->info)) {
		said_yes(a, k, &reply->info);
	} else if (token) {
		bool blocked = reply->info.customer_blocked && auth_token_valid(a, &reply->info);

		tell_whose(k, reply->info.customer, reply->info.id);
		token_info_free(&reply->info);
		said_no(a, k, RC_NOT_AUTHORIZED, blocked);
	} else if (reply->said == SAID_NO) {
		tell_whose(k, reply->customer, reply->id);
		said_no(a, k, reply->reason, reply->blocked);
	} else {
		said_nothing(a, k);
	}
}
