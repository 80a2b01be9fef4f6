/* memo.h - what was worked out for a name before: a small table of answers. Nothing is ever wrong
 * in it: the whole key is compared, and the two stamps say of which state of the world the answer
 * was. So the hash needs no secret: who makes names collide only makes them be worked out again.
 * Answers of several states of the world stay beside each other (devices and those who listen to
 * them have different rights to the same names). One thread. */
#pragma once
#include "base/base.h"

/* A name may lie in any of the MEMO_WAYS places of its set; of a full set the one goes whose turn
 * it is. */
enum { MEMO_KEY = 104, MEMO_WAYS = 4, MEMO_SETS = 1024, MEMO_PLACES = MEMO_WAYS * MEMO_SETS };

struct memo {
	uint8_t *places; /* NULL until something is remembered */
	size_t value;    /* bytes of an answer; a multiple of 8 */
	unsigned turn;
};

/* A zeroed memo with `value` set is ready; with 0 it remembers nothing. Stamps MUST never come
 * again with another meaning. */
/* the answer, or NULL; borrowed until the next memo_put */
const void *memo_find(const struct memo *m, uint64_t a, uint64_t b, struct str key);
/* where to write the answer; NULL: key too long, or no memory: it is not remembered */
void *memo_put(struct memo *m, uint64_t a, uint64_t b, struct str key);
void memo_free(struct memo *m);
