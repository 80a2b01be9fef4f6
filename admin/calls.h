/* calls.h - how many REST calls a token, and all tokens of a customer, may make per minute
 * (api_calls of acl/limits.h). A bucket of one minute's worth each, there while it is not full.
 * Service thread. */
#pragma once
#include "acl/limits.h"
#include "base/hash.h"

struct calls { /* zeroed: nobody has called */
	struct map buckets;
	int64_t swept;
	uint64_t refused;
};

/* Counts one call of this token. 0; -E_LIMIT: it, or its customer, has had its calls of this
 * minute, and *most of them it may have; -E_NOMEM. Who is refused is not counted. */
int calls_take(struct calls *c, uint64_t cid, uint64_t token, int64_t per_token,
               int64_t per_customer, int64_t *most) MUST_CHECK;
void calls_free(struct calls *c);
