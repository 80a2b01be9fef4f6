/* auth_table.c - the table of known credentials: found by workers without a lock, changed by the
 * authentication thread alone.
 *
 * Life: auth_table_add -> (asked) -> auth_table_list -> ... -> auth_table_forget; freed when the
 * last reference is gone and every reader has ended its turn. A reader that found an object may
 * only use it after known_try_get, or until the end of its turn. */
#include "base/base.h"
#include "proxy/auth_table.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "wire/mqtt.h"

enum { BUCKETS_LEAST = 64, BUCKETS_MOST = 16384, EVICT_LOOK = 64 };

struct group {
	struct map_node node;
	uint64_t customer, id;
	bool whole; /* all tokens of the customer; id is 0 */
	struct list places;
};

/* ---- Names ---- */
void auth_table_digest(const struct auth_table *t, const struct credential *c,
                       uint8_t out[CRYPT_HASH])
{
	uint8_t text[CRYPT_HASH + 1 + 8 + 1 + VERDICT_CERT_NAME_MAX + CREDENTIAL_MAX];
	size_t n = CRYPT_HASH;

	/* credential_ok() and token_cert_name_ok() have looked at what the client said */
	MUST(c->key.n <= CREDENTIAL_MAX && c->cert.n <= VERDICT_CERT_NAME_MAX);
	memcpy(text, t->salt, CRYPT_HASH);
	text[n++] = c->short_id ? 's' : 'k';
	for (int i = 0; i < 8; i++)
		text[n++] = (uint8_t)(c->short_id >> (8 * i));
	text[n++] = (uint8_t)c->cert.n;
	if (c->cert.n)
		memcpy(text + n, c->cert.p, c->cert.n);
	n += c->cert.n;
	/* The key comes last and everything before it has a size that is known by then, so the text
	 * can be read in one way only. */
	if (c->key.n)
		memcpy(text + n, c->key.p, c->key.n);
	n += c->key.n;
	MUST(crypt_sha256(out, str_make(text, n)) == 0);
	mem_wipe(text, n);
}

static unsigned long hash_of(const uint8_t digest[CRYPT_HASH])
{
	unsigned long h;

	memcpy(&h, digest, sizeof(h)); /* of a keyed hash: nobody outside can choose it */
	return h;
}

/* ---- Look-up by any reader ---- */
static int same_digest(struct cds_lfht_node *node, const void *digest)
{
	/* here and not after the look-up: the comparison already reads the entry */
	RCU_HEARD(node);
	return crypt_equal(container_of(node, struct known, rcu_node)->digest, digest, CRYPT_HASH);
}

struct known *auth_table_look(const struct auth_table *t, const uint8_t digest[CRYPT_HASH])
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	cds_lfht_lookup(t->listed, hash_of(digest), same_digest, digest, &iter);
	node = cds_lfht_iter_get_node(&iter);
	return node ? container_of(node, struct known, rcu_node) : NULL;
}

/* ---- References ---- */
bool known_try_get(struct known *k)
{
	uint32_t refs = atomic_load_explicit(&k->refs, memory_order_relaxed);

	do {
		if (refs == 0)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    &k->refs, &refs, refs + 1, memory_order_acq_rel, memory_order_relaxed));
	return true;
}

bool known_in_use(const struct known *k)
{
	return atomic_load_explicit(&k->refs, memory_order_acquire) > 1;
}

void verdict_free(struct verdict *v)
{
	if (!v)
		return;
	token_info_free(&v->info);
	mem_free(v);
}

static void verdict_free_rcu(struct rcu_head *head)
{
	verdict_free(container_of(head, struct verdict, rcu));
}

static void known_free(struct known *k)
{
	verdict_free(k->token.verdict);
	mem_wipe(k->key, k->key_size);
	mem_free(k);
}

static void known_free_rcu(struct rcu_head *head)
{
	known_free(container_of(head, struct known, token.rcu));
}

struct token *auth_token_get(struct token *t)
{
	atomic_fetch_add_explicit(&known_of(t)->refs, 1, memory_order_relaxed);
	return t;
}

void auth_token_put(struct token **slot)
{
	struct token *t = *slot;

	*slot = NULL;
	if (t && atomic_fetch_sub_explicit(&known_of(t)->refs, 1, memory_order_acq_rel) == 1)
		rcu_free_later(&t->rcu, known_free_rcu);
}

struct verdict *verdict_new(uint8_t reason)
{
	struct verdict *v = mem_zalloc(sizeof(*v));

	if (v)
		v->reason = reason;
	return v;
}

void known_publish(struct known *k, struct verdict *v)
{
	struct verdict *old = k->token.verdict;

	v->serial = old ? old->serial + 1 : 1;
	(void)rcu_xchg_pointer(&k->token.verdict, v);
	/* After it: who sees "not stale" sees the verdict that is not. */
	atomic_store_explicit(&k->stale, false, memory_order_release);
	if (old)
		rcu_free_later(&old->rcu, verdict_free_rcu);
}

/* ---- Groups ---- */
static uint64_t group_hash(uint64_t customer, uint64_t id, bool whole)
{
	return hash_mix(hash_mix(customer, id), whole);
}

static struct group *group_find(const struct auth_table *t, uint64_t customer, uint64_t id,
                                bool whole)
{
	for (struct map_node *n = map_first(&t->groups, group_hash(customer, id, whole)); n;
	     n = map_next(n)) {
		struct group *g = container_of(n, struct group, node);

		if (g->customer == customer && g->id == id && g->whole == whole)
			return g;
	}
	return NULL;
}

static int place_put(struct auth_table *t, struct place *p, uint64_t customer, uint64_t id,
                     bool whole)
{
	struct group *g = group_find(t, customer, id, whole);

	if (!g) {
		g = mem_zalloc(sizeof(*g));
		if (!g)
			return -E_NOMEM;
		g->customer = customer;
		g->id = id;
		g->whole = whole;
		list_init(&g->places);
		if (map_add(&t->groups, &g->node, group_hash(customer, id, whole))) {
			mem_free(g);
			return -E_NOMEM;
		}
	}
	p->group = g;
	list_add_tail(&g->places, &p->node);
	return 0;
}

static void place_leave(struct auth_table *t, struct place *p)
{
	struct group *g = p->group;

	if (!g)
		return;
	p->group = NULL;
	list_del(&p->node);
	if (!list_empty(&g->places))
		return;
	map_del(&t->groups, &g->node);
	mem_free(g);
}

int auth_table_group(struct auth_table *t, struct known *k, uint64_t customer, uint64_t id)
{
	int err;

	if (k->by_token.group && k->customer == customer && k->id == id)
		return 0;
	place_leave(t, &k->by_token);
	place_leave(t, &k->by_customer);
	err = place_put(t, &k->by_token, customer, id, false);
	if (!err)
		err = place_put(t, &k->by_customer, customer, 0, true);
	if (err) {
		place_leave(t, &k->by_token);
		return err;
	}
	k->customer = customer;
	k->id = id;
	return 0;
}

struct list *auth_table_of_token(const struct auth_table *t, uint64_t customer, uint64_t id)
{
	struct group *g = group_find(t, customer, id, false);

	return g ? &g->places : NULL;
}

struct list *auth_table_of_customer(const struct auth_table *t, uint64_t customer)
{
	struct group *g = group_find(t, customer, 0, true);

	return g ? &g->places : NULL;
}

/* ---- Coming and going ---- */
struct known *auth_table_find(const struct auth_table *t, const uint8_t digest[CRYPT_HASH])
{
	for (struct map_node *n = map_first(&t->all, hash_of(digest)); n; n = map_next(n)) {
		struct known *k = container_of(n, struct known, by_digest);

		if (crypt_equal(k->digest, digest, CRYPT_HASH))
			return k;
	}
	return NULL;
}

struct known *auth_table_add(struct auth_table *t, const struct credential *c,
                             const uint8_t digest[CRYPT_HASH])
{
	struct known *k = mem_zalloc(sizeof(*k) + c->key.n + c->cert.n);

	if (!k)
		return NULL;
	atomic_init(&k->refs, 1);
	memcpy(k->digest, digest, CRYPT_HASH);
	cds_lfht_node_init(&k->rcu_node);
	list_init(&k->queue);
	list_init(&k->turn);
	list_init(&k->waiting);
	list_init(&k->age);
	list_init(&k->by_token.node);
	list_init(&k->by_customer.node);
	k->by_token.known = k->by_customer.known = k;
	timer_init(&k->timer, NULL);
	k->short_id = c->short_id;
	k->key_size = c->key.n;
	memcpy(k->key, c->key.p, c->key.n);
	k->cert_size = c->cert.n;
	if (c->cert.n)
		memcpy(k->key + c->key.n, c->cert.p, c->cert.n);
	if (map_add(&t->all, &k->by_digest, hash_of(digest))) {
		known_free(k);
		return NULL;
	}
	return k;
}

void auth_table_list(struct auth_table *t, struct known *k)
{
	/* auth_table_room() was asked */
	MUST(!k->listed && k->token.verdict && t->count < t->most);
	auth_table_awake(t, k);
	RCU_TOLD(&k->rcu_node);
	cds_lfht_add(t->listed, hash_of(k->digest), &k->rcu_node);
	list_add_tail(&t->ages, &k->age);
	k->listed = true;
	t->count++;
}

void auth_table_renew(struct auth_table *t, struct known *k)
{
	MUST(k->listed);
	list_del(&k->age);
	list_add_tail(&t->ages, &k->age);
}

void auth_table_awake(struct auth_table *t, struct known *k)
{
	if (k->listed || list_empty(&k->age))
		return;
	list_del(&k->age);
	t->resting_count--;
}

void auth_table_rest(struct auth_table *t, struct known *k, size_t most)
{
	MUST(!k->listed && k->state == KNOWN_IDLE && list_empty(&k->waiting));
	auth_table_awake(t, k);
	list_add_tail(&t->resting, &k->age);
	t->resting_count++;
	while (t->resting_count > most)
		auth_table_forget(t, list_first(&t->resting, struct known, age));
}

bool auth_table_room(struct auth_table *t)
{
	for (size_t i = 0; t->count >= t->most && i < EVICT_LOOK && !list_empty(&t->ages); i++) {
		struct known *k = list_first(&t->ages, struct known, age);

		if (k->state == KNOWN_IDLE && !k->owes_notice && !k->owes_end && !known_in_use(k))
			auth_table_forget(t, k);
		else
			auth_table_renew(t, k);
	}
	return t->count < t->most;
}

static void unlist(struct auth_table *t, struct known *k)
{
	list_del(&k->age);
	k->listed = false;
	t->count--;
	MUST(cds_lfht_del(t->listed, &k->rcu_node) == 0);
}

void auth_table_forget(struct auth_table *t, struct known *k)
{
	struct token *token = &k->token;

	MUST(k->state == KNOWN_IDLE && list_empty(&k->waiting));
	timer_stop(&k->timer);
	auth_table_awake(t, k);
	if (k->listed)
		unlist(t, k);
	place_leave(t, &k->by_token);
	place_leave(t, &k->by_customer);
	map_del(&t->all, &k->by_digest);
	auth_token_put(&token);
}

/* ---- Life ---- */
/* Of fixed size: growing would be done by a thread of liburcu's, and chains of a few are cheap. */
static unsigned long buckets_for(size_t most)
{
	unsigned long n = BUCKETS_LEAST;

	while (n < BUCKETS_MOST && n < most)
		n *= 2;
	return n;
}

int auth_table_open(struct auth_table *t, size_t most)
{
	unsigned long buckets = buckets_for(most);

	*t = (struct auth_table){ .most = size_max(most, 1) };
	list_init(&t->ages);
	list_init(&t->resting);
	if (crypt_random(t->salt, sizeof(t->salt)))
		return -E_IO;
	t->listed = cds_lfht_new(buckets, buckets, buckets, 0, NULL);
	return t->listed ? 0 : -E_NOMEM;
}

void auth_table_close(struct auth_table *t)
{
	if (!t->listed)
		return;
	map_each(node, &t->all) {
		auth_table_forget(t, container_of(node, struct known, by_digest));
	}
	map_free(&t->all);
	map_free(&t->groups);
	MUST(cds_lfht_destroy(t->listed, NULL) == 0);
	t->listed = NULL;
	mem_wipe(t->salt, sizeof(t->salt));
}
