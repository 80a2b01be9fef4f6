/* memo.h - what was worked out for a name before: a small table of answers, one place per hash, the
 * newest one stays. Nothing is ever wrong in it: the whole key is compared, and the two stamps say
 * of which state of the world the answer was. So the hash needs no key: who makes names collide
 * only makes them be worked out again. One thread. */
#pragma once
#include "base/base.h"

enum { MEMO_KEY = 104, MEMO_PLACES = 1024 };

struct memo {
	uint8_t *places; /* NULL until something is remembered */
	size_t value;    /* bytes of an answer; a multiple of 8 */
};

/* A zeroed memo with `value` set is ready; with 0 it remembers nothing. Stamps MUST never come
 * again with another meaning. */
/* the answer, or NULL; borrowed until the next memo_put */
const void *memo_find(const struct memo *m, uint64_t a, uint64_t b, struct str key);
/* where to write the answer; NULL: key too long, or no memory: it is not remembered */
void *memo_put(struct memo *m, uint64_t a, uint64_t b, struct str key);
void memo_free(struct memo *m);
