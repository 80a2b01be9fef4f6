/* auth_refused.c - the bounded memory of refusals (auth_refused.h). Entries are written before they
 * are listed and never changed. */
#include "base/base.h"
#include "proxy/auth_refused.h"

#include "base/mem.h"

enum { SHARES = 16, SHARE_LEAST = 8, BUCKETS_LEAST = 64, BUCKETS_MOST = 16384 };

struct source {
	struct map_node node;
	uint8_t address[16];
	struct list refusals; /* oldest first */
	size_t count;
};

struct refusal {
	struct rcu_head rcu;
	struct cds_lfht_node node;
	uint8_t digest[CRYPT_HASH];
	uint8_t reason;
	int64_t until;
	/* Authentication thread */
	struct source *source;
	struct list age, of_source;
};

static unsigned long hash_of(const uint8_t digest[CRYPT_HASH])
{
	unsigned long h;

	memcpy(&h, digest, sizeof(h));
	return h;
}

static int same_digest(struct cds_lfht_node *node, const void *digest)
{
	/* here and not after the look-up: the comparison already reads the entry */
	RCU_HEARD(node);
	return crypt_equal(container_of(node, struct refusal, node)->digest, digest, CRYPT_HASH);
}

static struct refusal *find(const struct auth_refused *r, const uint8_t digest[CRYPT_HASH])
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	cds_lfht_lookup(r->table, hash_of(digest), same_digest, digest, &iter);
	node = cds_lfht_iter_get_node(&iter);
	return node ? container_of(node, struct refusal, node) : NULL;
}

uint8_t auth_refused_look(const struct auth_refused *r, const uint8_t digest[CRYPT_HASH],
                          int64_t now)
{
	const struct refusal *e = find(r, digest);

	return e && now < e->until ? e->reason : 0;
}

/* ---- Sources ---- */
/* Who holds one IPv6 address holds the whole /64 around it. */
static void source_of(const struct sock_addr *peer, uint8_t out[16])
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	memcpy(out, peer->bytes, 16);
	if (memcmp(out, mapped, sizeof(mapped)) != 0)
		memset(out + 8, 0, 8);
}

static struct source *source_get(struct auth_refused *r, const struct sock_addr *peer)
{
	uint8_t address[16];
	uint64_t hash;
	struct source *s;

	source_of(peer, address);
	hash = hash_bytes(address, sizeof(address));
	for (struct map_node *n = map_first(&r->sources, hash); n; n = map_next(n)) {
		s = container_of(n, struct source, node);
		if (memcmp(s->address, address, sizeof(address)) == 0)
			return s;
	}
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	memcpy(s->address, address, sizeof(address));
	list_init(&s->refusals);
	if (map_add(&r->sources, &s->node, hash)) {
		mem_free(s);
		return NULL;
	}
	return s;
}

/* a source without refusals is not kept */
static void source_put(struct auth_refused *r, struct source *s)
{
	if (s->count)
		return;
	map_del(&r->sources, &s->node);
	mem_free(s);
}

/* ---- Refusals ---- */
static void refusal_free_rcu(struct rcu_head *head)
{
	mem_free(container_of(head, struct refusal, rcu));
}

static void drop(struct auth_refused *r, struct refusal *e)
{
	list_del(&e->age);
	list_del(&e->of_source);
	e->source->count--;
	r->count--;
	MUST(cds_lfht_del(r->table, &e->node) == 0);
	rcu_free_later(&e->rcu, refusal_free_rcu);
}

static void drop_whole(struct auth_refused *r, struct refusal *e)
{
	struct source *s = e->source;

	drop(r, e);
	source_put(r, s);
}

void auth_refused_drop(struct auth_refused *r, const uint8_t digest[CRYPT_HASH])
{
	struct refusal *e = find(r, digest);

	if (e)
		drop_whole(r, e);
}

void auth_refused_add(struct auth_refused *r, const uint8_t digest[CRYPT_HASH], uint8_t reason,
                      int64_t until, const struct sock_addr *peer)
{
	struct refusal *e;
	struct source *s;

	auth_refused_drop(r, digest);
	s = source_get(r, peer);
	if (!s)
		return;
	while (s->count && (s->count >= r->share || r->count >= r->most))
		drop(r, list_first(&s->refusals, struct refusal, of_source));
	if (r->count >= r->most)
		/* of another source: this one has none left */
		drop_whole(r, list_first(&r->ages, struct refusal, age));
	e = mem_zalloc(sizeof(*e));
	if (!e) {
		source_put(r, s);
		return;
	}
	memcpy(e->digest, digest, CRYPT_HASH);
	e->reason = reason;
	e->until = until;
	e->source = s;
	cds_lfht_node_init(&e->node);
	list_add_tail(&r->ages, &e->age);
	list_add_tail(&s->refusals, &e->of_source);
	s->count++;
	r->count++;
	RCU_TOLD(&e->node);
	cds_lfht_add(r->table, hash_of(digest), &e->node);
}

void auth_refused_sweep(struct auth_refused *r, int64_t now)
{
	struct refusal *e;

	while ((e = list_first(&r->ages, struct refusal, age)) && e->until <= now)
		drop_whole(r, e);
	map_trim(&r->sources);
}

int auth_refused_open(struct auth_refused *r, size_t most)
{
	unsigned long buckets = BUCKETS_LEAST;

	*r = (struct auth_refused){ .most = size_max(most, 1),
		                    .share = size_max(most / SHARES, SHARE_LEAST) };
	list_init(&r->ages);
	while (buckets < BUCKETS_MOST && buckets < most)
		buckets *= 2;
	r->table = cds_lfht_new(buckets, buckets, buckets, 0, NULL);
	return r->table ? 0 : -E_NOMEM;
}

void auth_refused_close(struct auth_refused *r)
{
	if (!r->table)
		return;
	auth_refused_sweep(r, INT64_MAX);
	map_free(&r->sources);
	MUST(cds_lfht_destroy(r->table, NULL) == 0);
	r->table = NULL;
}
