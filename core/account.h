/* account.h - what one token has of a customer's room: sessions, retained messages. An account is
 * there while it has something. Home's thread. */
#pragma once
#include "acl/limits.h"
#include "base/hash.h"
#include "base/list.h"

/* What of its retained messages is shown, and of its Wills sent (rights.h). */
enum account_state {
	ACCOUNT_FREE,    /* all */
	ACCOUNT_SOME,    /* where it may still publish: `rights` */
	ACCOUNT_OVER,    /* what came since; no room, or no word, for what it may of the older */
	ACCOUNT_HIDDEN,  /* nothing: disabled, expired, refused */
	ACCOUNT_DELETED, /* nothing, and all is being removed; it is found by nobody any more */
};

struct customer;
struct rights;

struct account {
	struct map_node node; /* in accounts, by token */
	struct map *accounts; /* NULL: DELETED */
	uint64_t token;
	size_t sessions, wills, retained, retained_bytes;
	struct list entries; /* its retained messages; retained.c */
	/* rights.c; version: of the state, what was judged under another one is judged again */
	uint8_t state;
	uint32_t version;
	struct rights *rights;
	size_t *rights_bytes; /* where its cost is counted, with rights */
	struct list grave;    /* DELETED: in home->graves, while it has messages */
	struct customer *buried;
	/* LIMIT_NONE: any number */
	int64_t most_sessions, most_retained, most_retained_bytes;
};

/* Made if need be, without limits; NULL: out of memory. token MUST NOT be 0, which is the
 * platform's and has none. */
struct account *account_get(struct map *accounts, uint64_t token);
struct account *account_find(const struct map *accounts, uint64_t token);
void rights_free(struct account *a); /* rights.c; harmless without */
/* frees it if it has nothing; empties the slot; NULL is fine */
void account_settle(struct account **slot);
void accounts_free(struct map *accounts); /* at the end: nobody has anything any more */
