/* hash.c - SipHash-1-3 under a key nobody outside knows, and the chained table over it.
 * 1-3 rather than 2-4: half the time, and what an attacker would need here is collisions he cannot
 * see (R21). */
#include "base/base.h"
#include "base/hash.h"

#include <errno.h>
#include <sys/random.h>

#include "base/mem.h"

/* ---- SipHash ---- */
struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

static inline struct sip sip_start(uint64_t k0, uint64_t k1)
{
	return (struct sip){ k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du,
		             k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u };
}

static inline uint64_t sip_end(struct sip *s)
{
	s->v2 ^= 0xff;
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t hash_sip13(uint64_t k0, uint64_t k1, const void *p, size_t n)
{
	struct sip s = sip_start(k0, k1);
	/* p may be NULL then */
	const uint8_t *at = n ? p : (const void *)"", *end = at + (n & ~(size_t)7);
	uint64_t word, last = (uint64_t)n << 56;

	for (; at != end; at += 8) {
		memcpy(&word, at, 8);
		sip_word(&s, le64toh(word));
	}
	for (unsigned i = 0; i < (n & 7); i++)
		last |= (uint64_t)at[i] << (8 * i);
	sip_word(&s, last);
	return sip_end(&s);
}

/* ---- The key of this process: written before threads, then only read ---- */
static uint64_t key0, key1;
static bool started;

void hash_start_with(uint64_t k0, uint64_t k1)
{
	key0 = k0;
	key1 = k1;
	started = true;
}

void hash_start(void)
{
	uint64_t key[2];
	ssize_t n;

	if (started)
		return;
	do
		n = getrandom(key, sizeof(key), 0);
	while (n < 0 && errno == EINTR);
	MUST(n == (ssize_t)sizeof(key));
	hash_start_with(key[0], key[1]);
}

uint64_t hash_bytes(const void *p, size_t n)
{
	MUST(started); /* an all-zero key would be a public key */
	return hash_sip13(key0, key1, p, n);
}

uint64_t hash_mix(uint64_t a, uint64_t b)
{
	struct sip s;

	MUST(started);
	s = sip_start(key0, key1);
	sip_word(&s, a);
	sip_word(&s, b);
	sip_word(&s, (uint64_t)16 << 56);
	return sip_end(&s);
}

/* ---- The table ---- */
enum { MAP_LEAST = 8, TRIM_MOST = 1024 };

/* Buckets that are not in use yet have their nodes in the one that will be split. */
static inline struct map_node **bucket_of(const struct map *m, uint64_t hash)
{
	size_t i = hash & m->mask;

	return &m->bucket[i < m->used ? i : i & m->mask >> 1];
}

static int map_start(struct map *m)
{
	m->bucket = mem_array(MAP_LEAST, sizeof(struct map_node *));
	if (!m->bucket)
		return -E_NOMEM;
	m->mask = MAP_LEAST - 1;
	m->used = MAP_LEAST;
	return 0;
}

/* One more bucket: takes its nodes from the one that had them. Without memory the chains get
 * longer, nothing else. */
static void map_split(struct map *m)
{
	size_t room = m->mask + 1;
	struct map_node **bucket, **from, **to, *n;

	if (m->used == room) {
		bucket = mem_realloc(m->bucket, 2 * room * sizeof(struct map_node *));
		if (!bucket)
			return;
		m->bucket = bucket;
		m->mask = 2 * room - 1;
	}
	from = &m->bucket[m->used & m->mask >> 1];
	to = &m->bucket[m->used];
	*to = NULL;
	while ((n = *from)) {
		if ((n->hash & m->mask) != m->used) {
			from = &n->next;
			continue;
		}
		*from = n->next;
		n->next = *to;
		*to = n;
	}
	m->used++;
}

/* The reverse. */
static void map_merge(struct map *m)
{
	size_t half = (m->mask + 1) / 2;
	struct map_node **bucket, **end = &m->bucket[--m->used & m->mask >> 1];

	while (*end)
		end = &(*end)->next;
	*end = m->bucket[m->used];
	if (m->used > half)
		return;
	m->mask = half - 1;
	bucket = mem_realloc(m->bucket, half * sizeof(struct map_node *));
	if (bucket)
		m->bucket = bucket;
}

int map_add(struct map *m, struct map_node *node, uint64_t hash)
{
	struct map_node **to;

	if (!m->bucket && map_start(m))
		return -E_NOMEM;
	for (unsigned i = 0; i < 2 && m->count >= m->used; i++) /* 2: after a lack of memory */
		map_split(m);
	to = bucket_of(m, hash);
	node->hash = hash;
	node->next = *to;
	*to = node;
	m->count++;
	return 0;
}

void map_del(struct map *m, struct map_node *node)
{
	struct map_node **at;

	MUST(m->bucket);
	at = bucket_of(m, node->hash);
	while (*at != node) {
		MUST(*at);
		at = &(*at)->next;
	}
	*at = node->next;
	node->next = NULL;
	m->count--;
}

static struct map_node *chain_find(struct map_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct map_node *map_first(const struct map *m, uint64_t hash)
{
	return m->bucket ? chain_find(*bucket_of(m, hash), hash) : NULL;
}

struct map_node *map_next(const struct map_node *node)
{
	return chain_find(node->next, node->hash);
}

struct map_node *map_walk(const struct map *m, size_t *bucket, struct map_node *after)
{
	if (!m->bucket)
		return NULL;
	if (after) {
		if (after->next)
			return after->next;
		(*bucket)++;
	}
	for (; *bucket < m->used; (*bucket)++) {
		if (m->bucket[*bucket])
			return m->bucket[*bucket];
	}
	return NULL;
}

void map_trim(struct map *m)
{
	if (m->count == 0) {
		map_free(m);
		return;
	}
	for (unsigned i = 0; i < TRIM_MOST && m->used > MAP_LEAST && m->used / 4 >= m->count; i++)
		map_merge(m);
}

void map_free(struct map *m)
{
	mem_free(m->bucket);
	*m = (struct map){ 0 };
}
