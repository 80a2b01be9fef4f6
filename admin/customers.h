/* customers.h - customers and their subaccounts: up to four levels below a first one. A customer
 * that is disabled or blocked blocks everything below it. Service thread; changes run inside the
 * caller's transaction. */
#pragma once
#include "admin/db.h"
#include "admin/fields.h"

enum { CUSTOMER_LEVELS = 4 };

struct customer_row {
	uint64_t id, cid; /* cid: the parent, 0 = none */
	unsigned level;
	bool enabled;
	int64_t blocked; /* 0 = no, else flespi's code of why */
	bool flespi_extensions;
	json_t *object; /* as `GET /platform/subaccounts` shows it; owned */
};
void customer_row_free(struct customer_row *c);

extern const struct field_table
    customer_fields; /* the account itself: GET, PUT /platform/customer */
extern const struct field_table
    subaccount_fields; /* what is below the acting customer, itself left out */

/* Within the branch of `scope`, itself included; else -E_NOTFOUND. */
int customers_get(struct db *db, uint64_t scope, uint64_t id, struct customer_row *out) MUST_CHECK;
/* parent 0: a first customer. -E_DENIED: more than four levels. fields: checked by
 * subaccount_fields. */
int customers_create(struct db *db, uint64_t parent, const json_t *fields,
                     struct customer_row *out) MUST_CHECK;
int customers_update(struct db *db, const struct customer_row *old, const json_t *fields,
                     struct customer_row *out) MUST_CHECK;
int customers_delete(struct db *db,
                     uint64_t id) MUST_CHECK; /* with all below it and all their tokens */

int customers_any(struct db *db, bool *out) MUST_CHECK; /* is there one at all? */
int customers_count(struct db *db, uint64_t id, uint64_t *subaccounts) MUST_CHECK; /* direct ones */
/* 0: it is `ancestor` or below it; -E_NOTFOUND: it is not, or does not exist. */
int customers_within(struct db *db, uint64_t ancestor, uint64_t id) MUST_CHECK;
/* itself and those above it: how many, of `most` at most; 0: it is not there, or on error */
size_t customers_above(struct db *db, uint64_t id, uint64_t *ancestors, size_t most);
/* Is it, or anything above it, disabled or blocked? -E_NOTFOUND: no such customer. */
int customers_blocked(struct db *db, uint64_t id, bool *out) MUST_CHECK;
/* Does it want flespi's filter extensions? -E_NOTFOUND: no such customer. */
int customers_extensions(struct db *db, uint64_t id, bool *out) MUST_CHECK;
/* The branch of `id` from the given one on, ascending; for telling proxies about all of it. */
int customers_branch(struct db *db, uint64_t id, void (*visit)(void *arg, uint64_t cid),
                     void *arg) MUST_CHECK;
/* Both begin as empty objects. lowest: of each limit the lowest value set among `id` and all above
 * it. given: the same of those whose limits are the operator's to set, and may be more than the
 * programs' settings: a first customer, and those directly below it. */
int customers_limits(struct db *db, uint64_t id, json_t *given, json_t *lowest) MUST_CHECK;
