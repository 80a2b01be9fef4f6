/* tokens_parts.h - between tokens.c, tokens_change.c and tokens_used.c only. */
#pragma once
#include <pthread.h>

#include "admin/pepper.h"
#include "admin/tokens.h"
#include "base/crypt.h"
#include "base/hash.h"

/* Last uses that are not in the database yet, or not yet in what another thread sees of it. */
struct used {
	pthread_mutex_t lock; /* of all below; held for a look-up, never for a statement */
	/* since the last flush; being written by the service thread, which alone changes it;
	 * written by the flush before: a transaction that reads may have begun before its commit */
	struct map fresh, going, done;
	uint64_t lost;
};

struct tokens {
	struct db *db;
	uint8_t pepper[PEPPER];
	struct used *used; /* the authority's; its readers borrow it */
	bool reader;
};

int tokens_hash_key(const struct tokens *t, struct str key, uint8_t out[CRYPT_HASH]) MUST_CHECK;
int tokens_hash_short(const struct tokens *t, uint64_t id, struct str first16,
                      uint8_t out[CRYPT_HASH]) MUST_CHECK;
int64_t tokens_touched(const struct tokens *t, uint64_t id); /* 0: not since the last flush */

int used_open(struct used **out) MUST_CHECK;
void used_close(struct used **slot);
size_t used_waiting(struct used *u);
