/* memo.c - a direct-mapped cache of answers (memo.h). */
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
static inline uint64_t name_hash(struct str key)
{
	uint64_t h = key.n, word = 0;

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

static inline struct place *place_of(const struct memo *m, struct str key)
{
	size_t size = sizeof(struct place) + m->value;

	return (void *)(m->places + (name_hash(key) % MEMO_PLACES) * size);
}

const void *memo_find(const struct memo *m, uint64_t a, uint64_t b, struct str key)
{
	const struct place *p;

	if (!m->places || key.n == 0 || key.n > MEMO_KEY)
		return NULL;
	p = place_of(m, key);
	if (p->a != a || p->b != b || p->n != key.n || memcmp(p->key, key.p, key.n) != 0)
		return NULL;
	return p->value;
}

void *memo_put(struct memo *m, uint64_t a, uint64_t b, struct str key)
{
	struct place *p;

	if (m->value == 0 || key.n == 0 || key.n > MEMO_KEY)
		return NULL;
	if (!m->places)
		m->places = mem_array(MEMO_PLACES, sizeof(struct place) + m->value);
	if (!m->places)
		return NULL;
	p = place_of(m, key);
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
