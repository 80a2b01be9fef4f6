/* tokens_parts.h - between tokens.c, tokens_change.c and tokens_used.c only. */
#pragma once
#include "admin/pepper.h"
#include "admin/tokens.h"
#include "base/crypt.h"
#include "base/hash.h"

struct tokens {
	struct db *db;
	uint8_t pepper[PEPPER];
	struct map touched; /* last uses that are not in the database yet */
	uint64_t touches_lost;
};

int tokens_hash_key(const struct tokens *t, struct str key, uint8_t out[CRYPT_HASH]) MUST_CHECK;
int tokens_hash_short(const struct tokens *t, uint64_t id, struct str first16,
                      uint8_t out[CRYPT_HASH]) MUST_CHECK;
int64_t tokens_touched(const struct tokens *t, uint64_t id); /* 0: not since the last flush */
void tokens_forget_touched(struct tokens *t);
