/* memo.c - a set-associative cache of answers (memo.h). Before the places lie their tags, a word
 * each: those of a set share a cache line, and a place is looked at only if its tag fits. */
#include "base/base.h"
#include "base/memo.h"

#include "base/mem.h"

struct place {
	uint64_t a, b;
	uint32_t n; /* of key; 0: empty */
	char key[MEMO_KEY];
	uint64_t value[];
};

static inline uint64_t mixed(uint64_t h, uint64_t word)
{
	__uint128_t wide = (__uint128_t)(h ^ word) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint64_t)wide ^ (uint64_t)(wide >> 64);
}

/* Eight bytes at a time; the last eight may overlap. */
static inline uint64_t hash_of(uint64_t a, uint64_t b, struct str key)
{
	uint64_t h = key.n ^ a ^ (b << 32 | b >> 32), word = 0;

	if (key.n < 8) {
		memcpy(&word, key.p, key.n);
		return mixed(h, word);
	}
	for (size_t i = 0; i + 8 < key.n; i += 8) {
		memcpy(&word, key.p + i, 8);
		h = mixed(h, word);
	}
	memcpy(&word, key.p + key.n - 8, 8);
	return mixed(h, word);
}

static inline uint32_t *tags_of(const struct memo *m, uint64_t hash)
{
	return (uint32_t *)m->places + (size_t)(hash % MEMO_SETS) * MEMO_WAYS;
}

static inline uint32_t tag_of(uint64_t hash)
{
	return (uint32_t)(hash >> 32) | 1; /* 0: empty */
}

static inline struct place *place_at(const struct memo *m, const uint32_t *tag)
{
	size_t i = (size_t)(tag - (const uint32_t *)m->places);

	return (void *)(m->places + MEMO_PLACES * sizeof(*tag) +
	                i * (sizeof(struct place) + m->value));
}

static inline struct place *find(const struct memo *m, uint64_t hash, uint64_t a, uint64_t b,
                                 struct str key)
{
	const uint32_t *tag = tags_of(m, hash);

	for (unsigned i = 0; i < MEMO_WAYS; i++) {
		struct place *p;

		if (tag[i] != tag_of(hash))
			continue;
		p = place_at(m, &tag[i]);
		if (p->a == a && p->b == b && p->n == key.n && memcmp(p->key, key.p, key.n) == 0)
			return p;
	}
	return NULL;
}

const void *memo_find(const struct memo *m, uint64_t a, uint64_t b, struct str key)
{
	const struct place *p;

	if (!m->places || key.n == 0 || key.n > MEMO_KEY)
		return NULL;
	p = find(m, hash_of(a, b, key), a, b, key);
	return p ? p->value : NULL;
}

static bool make_places(struct memo *m)
{
	/* zeroed: pages that no name falls into are never touched */
	m->places = mem_array(MEMO_PLACES, sizeof(uint32_t) + sizeof(struct place) + m->value);
	return m->places;
}

static struct place *take_place(struct memo *m, uint64_t hash)
{
	uint32_t *tag = tags_of(m, hash);
	unsigned i = 0;

	while (i < MEMO_WAYS && tag[i])
		i++;
	if (i == MEMO_WAYS)
		i = m->turn++ % MEMO_WAYS;
	tag[i] = tag_of(hash);
	return place_at(m, &tag[i]);
}

void *memo_put(struct memo *m, uint64_t a, uint64_t b, struct str key)
{
	uint64_t hash;
	struct place *p;

	if (m->value == 0 || key.n == 0 || key.n > MEMO_KEY)
		return NULL;
	if (!m->places && !make_places(m))
		return NULL;
	hash = hash_of(a, b, key);
	p = find(m, hash, a, b, key);
	if (p)
		return p->value;
	p = take_place(m, hash);
	p->a = a;
	p->b = b;
	p->n = (uint32_t)key.n;
	memcpy(p->key, key.p, key.n);
	return p->value;
}

void memo_free(struct memo *m)
{
	mem_free(m->places);
	m->places = NULL;
}
