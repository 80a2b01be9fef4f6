/* account.h - what one token has of a customer's room: sessions, retained messages. An account is
 * there while it has something. Home's thread. */
#pragma once
#include "acl/limits.h"
#include "base/hash.h"

struct account {
	struct map_node node; /* in accounts, by token */
	struct map *accounts;
	uint64_t token;
	size_t sessions, retained, retained_bytes;
	/* LIMIT_NONE: any number */
	int64_t most_sessions, most_retained, most_retained_bytes;
};

/* Made if need be, without limits; NULL: out of memory. token MUST NOT be 0, which is the
 * platform's and has none. */
struct account *account_get(struct map *accounts, uint64_t token);
/* frees it if it has nothing; empties the slot; NULL is fine */
void account_settle(struct account **slot);
void accounts_free(struct map *accounts); /* at the end: nobody has anything any more */
