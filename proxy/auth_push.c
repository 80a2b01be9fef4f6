/* auth_push.c - what the platform tells about tokens and customers, and telling the workers.
 *
 * A push is never more than it says: it can end or narrow a right at once, and it can widen the
 * rights of a credential that is good already, but it never prolongs a verdict, and it never makes
 * a refused credential good: the key may have changed with it, so the endpoint is asked again.
 * Every worker brings the same push: the copies are recognised by their hash. Copies of several
 * pushes may interleave (worker 1 late with an old one), so tokens in use are asked again once
 * after a push; the endpoint has the last word. */
#include "base/base.h"
#include "proxy/auth_parts.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "wire/mqtt.h"

enum { SAME_PUSH_MS = 5000, SAME_PUSH_LOOK = 64, CONFIRM_MS = 500, TOPIC_MAX = 256 };

/* ---- Notices ---- */
struct notice {
	struct auth_notice n; /* first: the worker knows only this */
	auth_notice_fn told;
};

static void notice_run(struct inbox_item *item) /* worker's thread */
{
	struct notice *o = container_of(item, struct notice, n.item);

	o->told(&o->n);
}

void auth_notice_free(struct auth_notice **slot)
{
	struct auth_notice *n = *slot;

	*slot = NULL;
	if (!n)
		return;
	auth_token_put(&n->token);
	acl_put(&n->acl);
	mem_free(container_of(n, struct notice, n));
}

/* All or none: first everything is made, then everything is sent. */
int auth_notify(struct auth *a, struct token *token, uint64_t customer, uint64_t id,
                struct acl *acl, uint8_t reason, enum auth_tell tell)
{
	struct notice *made[AUTH_WORKERS_MAX];
	size_t count = token ? a->worker_count : size_min(a->worker_count, 1);

	for (size_t i = 0; i < count; i++) {
		made[i] = mem_zalloc(sizeof(*made[i]));
		if (made[i])
			continue;
		while (i-- > 0)
			mem_free(made[i]);
		return -E_NOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		struct notice *o = made[i];

		o->told = a->workers[i].notice;
		o->n.item.run = notice_run;
		o->n.worker = a->workers[i].worker;
		o->n.token = token ? auth_token_get(token) : NULL;
		o->n.customer = customer;
		o->n.id = id;
		o->n.acl = acl ? acl_get(acl) : NULL;
		o->n.reason = reason;
		o->n.tell = tell;
		inbox_push(a->workers[i].inbox, &o->n.item);
	}
	return 0;
}

/* ---- Which answers are too old ---- */
static bool push_covers(const struct push *p, uint64_t customer, uint64_t id)
{
	return p->scope == PUSH_ALL ||
	       (p->customer == customer && (p->scope == PUSH_CUSTOMER || p->id == id));
}

bool auth_pushed_since(const struct auth *a, uint64_t serial, uint64_t customer, uint64_t id)
{
	if (a->push_serial - serial > AUTH_PUSHES)
		return true; /* more than we remember: better ask again */
	for (uint64_t s = serial + 1; s <= a->push_serial; s++) {
		if (push_covers(&a->pushes[s % AUTH_PUSHES], customer, id))
			return true;
	}
	return false;
}

static void push_note(struct auth *a, const struct push *p)
{
	a->pushes[++a->push_serial % AUTH_PUSHES] = *p;
}

/* The latest push about this very thing was the same one, a moment ago. */
static bool push_seen(const struct auth *a, const struct push *p)
{
	for (uint64_t s = a->push_serial; s > 0 && a->push_serial - s < SAME_PUSH_LOOK; s--) {
		const struct push *was = &a->pushes[s % AUTH_PUSHES];

		if (was->scope == p->scope && was->customer == p->customer && was->id == p->id)
			return was->hash == p->hash && p->at - was->at < SAME_PUSH_MS;
	}
	return false;
}

/* ---- A token changed ---- */
/* A yes with the rights of info that lives exactly as long as the one it replaces. */
static struct verdict *verdict_like(const struct verdict *old, const struct token_info *info)
{
	struct verdict *v = verdict_new(RC_SUCCESS);

	if (!v)
		return NULL;
	v->fresh_until = old->fresh_until;
	v->stale_until = old->stale_until;
	v->info = *info;
	v->info.acl = acl_get(info->acl);
	v->info.limits = NULL;
	v->info.ips = info->ips ? str_dup_z(str_c(info->ips)) : NULL;
	v->info.certs = info->certs ? str_dup_z(str_c(info->certs)) : NULL;
	v->info.client_ids = info->client_ids ? str_dup_z(str_c(info->client_ids)) : NULL;
	if (limits_copy(&v->info.limits, info->limits) == 0 && (!info->ips || v->info.ips) &&
	    (!info->certs || v->info.certs) && (!info->client_ids || v->info.client_ids))
		return v;
	verdict_free(v);
	return NULL;
}

/* info: NULL when the token has no rights any more. */
static void push_known(struct auth *a, struct known *k, const struct token_info *info)
{
	int64_t confirm = loop_now(a->loop) + CONFIRM_MS;
	struct verdict *v;

	if (!k->listed)
		return;
	if (k->token.verdict->reason != RC_SUCCESS) {
		if (info)
			auth_mark_stale(a, k); /* perhaps good again: the endpoint knows */
		return;
	}
	v = info ? verdict_like(k->token.verdict, info) : NULL;
	if (!v) {
		auth_end(a, k, info ? RC_SERVER_UNAVAILABLE : RC_NOT_AUTHORIZED, TELL_NOTHING);
		return;
	}
	/* Stale stays stale: a push does not say that the credential is still good. */
	if (atomic_load_explicit(&k->stale, memory_order_relaxed))
		v->fresh_until = loop_now(a->loop);
	k->refresh_at = k->refresh_at < confirm ? k->refresh_at : confirm;
	auth_changed(a, k, v, TELL_NOTHING);
}

/* Whoever is connected, the core hears what a push says: sessions and Wills in it may hold the
 * rights of the token, and what it had retained is hidden or shown. False: no memory. */
static bool tell_core(struct auth *a, const struct push *p, uint64_t id, struct acl *acl,
                      enum auth_tell tell)
{
	if (!auth_notify(a, NULL, p->customer, id, acl, acl ? RC_SUCCESS : RC_NOT_AUTHORIZED, tell))
		return true;
	LOG_ERROR("auth", "push_lost", "cid=%" PRIu64 " token=%" PRIu64 " why=memory", p->customer,
	          id);
	return false;
}

/* The same about the token; without memory now, with the next notice of a credential of it. */
static void tell_core_of_token(struct auth *a, const struct push *p, struct list *places,
                               struct acl *acl, enum auth_tell tell)
{
	struct place *place;

	if (tell_core(a, p, p->id, acl, tell) || !places)
		return;
	list_each(place, places, struct place, node) {
		struct known *k = place->known;

		if (!k->listed)
			continue;
		k->owes_notice = true;
		k->owes_tell = (uint8_t)tell;
		auth_arm(a, k);
	}
}

/* info: NULL when the token is deleted. */
static void push_token(struct auth *a, const struct push *p, const struct token_info *info)
{
	const struct token_info *good = info && auth_info_valid(a, info) ? info : NULL;
	struct list *places = auth_table_of_token(&a->table, p->customer, p->id);
	struct place *place;

	if (places) {
		list_each(place, places, struct place, node)
			push_known(a, place->known, good);
	}
	if (!info) {
		tell_core_of_token(a, p, places, NULL, TELL_DELETED);
		return;
	}
	(void)tell_core(a, p, 0, NULL, info->customer_blocked ? TELL_BLOCKED : TELL_FREE);
	if (auth_token_valid(a, info))
		tell_core_of_token(a, p, places, info->acl, TELL_RIGHTS);
	else
		tell_core_of_token(a, p, places, NULL, TELL_HIDDEN);
}

/* An admin that does not say whether it is blocked, or deleted: the core hears of it token by
 * token. */
static void push_customer(struct auth *a, const struct push *p, const json_t *object)
{
	struct list *places = auth_table_of_customer(&a->table, p->customer);
	struct place *place;
	bool deleted, blocked;

	if (json_get_bool(object, "deleted", &deleted) && deleted)
		(void)tell_core(a, p, 0, NULL, TELL_CUSTOMER_DELETED);
	else if (json_get_bool(object, "blocked", &blocked))
		(void)tell_core(a, p, 0, NULL, blocked ? TELL_BLOCKED : TELL_FREE);
	if (!places)
		return;
	list_each(place, places, struct place, node) {
		if (place->known->listed)
			auth_mark_stale(a, place->known);
	}
}

static void push_all(struct auth *a, const char *why)
{
	const struct push p = { .scope = PUSH_ALL, .at = loop_now(a->loop) };

	LOG_INFO("auth", "all_stale", "why=%s known=%zu", why, a->table.count);
	push_note(a, &p);
	map_each(node, &a->table.all) {
		struct known *k = container_of(node, struct known, by_digest);

		if (k->listed)
			auth_mark_stale(a, k);
	}
}

/* ---- Reading ---- */
static bool take_word(struct str *topic, struct str word)
{
	if (!str_starts(*topic, word))
		return false;
	*topic = str_skip(*topic, word.n);
	return true;
}

/* "mbus/token/<cid>/<id>" or "mbus/customer/<cid>" */
static bool read_topic(struct str topic, struct push *out)
{
	const char *slash;
	struct str cid;

	if (take_word(&topic, STR("mbus/customer/"))) {
		out->scope = PUSH_CUSTOMER;
		return str_to_u64(topic, &out->customer);
	}
	if (!take_word(&topic, STR("mbus/token/")))
		return false;
	slash = topic.n ? memchr(topic.p, '/', topic.n) : NULL;
	if (!slash)
		return false;
	out->scope = PUSH_TOKEN;
	cid = str_make(topic.p, (size_t)(slash - topic.p));
	return str_to_u64(cid, &out->customer) && str_to_u64(str_skip(topic, cid.n + 1), &out->id);
}

static bool is_u64(const json_t *object, const char *key, uint64_t expected)
{
	int64_t v;

	return json_get_int(object, key, &v) && v >= 0 && (uint64_t)v == expected;
}

/* The payload must tell the same as the topic. */
static int read_token(const struct push *p, const json_t *object, struct token_info *info,
                      bool *deleted, char *why, size_t why_size)
{
	*deleted = false;
	if (json_get_bool(object, "deleted", deleted) && *deleted)
		return is_u64(object, "cid", p->customer) && is_u64(object, "id", p->id)
		           ? 0
		           : -E_INVALID;
	*deleted = false;
	if (token_info_read(info, object, why, why_size))
		return -E_INVALID;
	if (info->customer == p->customer && info->id == p->id)
		return 0;
	token_info_free(info);
	return -E_INVALID;
}

static int apply(struct auth *a, const struct push *p, const json_t *object, char *why,
                 size_t why_size)
{
	struct token_info info = { 0 };
	bool deleted;

	if (p->scope == PUSH_CUSTOMER) {
		if (!is_u64(object, "cid", p->customer))
			return -E_INVALID;
		push_note(a, p);
		push_customer(a, p, object);
		return 0;
	}
	if (read_token(p, object, &info, &deleted, why, why_size))
		return -E_INVALID;
	push_note(a, p);
	push_token(a, p, deleted ? NULL : &info);
	token_info_free(&info);
	return 0;
}

/* ---- Arrival ---- */
struct push_item {
	struct inbox_item item;
	struct auth *auth;
	struct str topic, payload;
	char bytes[];
};

static void push_run(struct inbox_item *item)
{
	struct push_item *i = container_of(item, struct push_item, item);
	struct auth *a = i->auth;
	struct push p = { .at = loop_now(a->loop), .hash = hash_bytes(i->payload.p, i->payload.n) };
	char why[120] = "topic and payload do not agree";
	json_t *object = NULL;
	bool ok = read_topic(i->topic, &p);

	if (!ok || !push_seen(a, &p)) {
		ok = ok &&
		     json_read(&object, i->payload, AUTH_PAYLOAD_MAX, JSON_DEPTH, why,
		               sizeof(why)) == 0 &&
		     apply(a, &p, object, why, sizeof(why)) == 0;
		json_decref(object);
		thread_give_way(); /* the next one may be as long */
	}
	if (!ok) {
		LOG_ERROR("auth", "strange_push", "topic=%s why=%s", log_esc(i->topic),
		          log_esc(str_c(why)));
		push_all(a, "strange_push");
	}
	mem_free(i);
}

void auth_push(struct auth *a, struct str topic, struct str payload)
{
	struct push_item *i = NULL;

	if (topic.n <= TOPIC_MAX && payload.n <= AUTH_PAYLOAD_MAX)
		i = mem_alloc(sizeof(*i) + topic.n + payload.n);
	if (!i) {
		LOG_ERROR("auth", "strange_push", "why=too_long_or_no_memory bytes=%zu", payload.n);
		auth_stale_all(a);
		return;
	}
	i->item.run = push_run;
	i->auth = a;
	if (topic.n)
		memcpy(i->bytes, topic.p, topic.n);
	if (payload.n)
		memcpy(i->bytes + topic.n, payload.p, payload.n);
	i->topic = str_make(i->bytes, topic.n);
	i->payload = str_make(i->bytes + topic.n, payload.n);
	inbox_push(a->inbox, &i->item);
}

void auth_stale_run(struct inbox_item *item)
{
	struct auth *a = container_of(item, struct auth, stale_item);

	/* Before the work: who asks from now on means what we have not seen yet. */
	atomic_store_explicit(&a->stale_asked, false, memory_order_release);
	push_all(a, "asked");
}

/* Allocates nothing: it is also what is left when memory is short. */
void auth_stale_all(struct auth *a)
{
	if (!atomic_exchange_explicit(&a->stale_asked, true, memory_order_acq_rel))
		inbox_push(a->inbox, &a->stale_item);
}
