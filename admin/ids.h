/* ids.h - the ids of tokens and customers: numbers that tell nobody how many there are.
 *
 * A counter, enciphered under a secret of this database: each id comes once and never again (in the
 * core, names live on under a customer's number), and whoever sees some of them can tell neither
 * the next one, nor how many were given to others in between. They lie between 2^40 and 2^41:
 * thirteen digits, below the 2^53 that every JSON reader keeps whole. Those of databases made
 * before are small, and stay as they are. */
#pragma once
#include "admin/db.h"

enum { IDS_SECRET = 16 };

/* of: "token" or "customer". Inside the caller's transaction: what is rolled back was not given. */
int ids_next(struct db *db, const char *of, uint64_t *out) MUST_CHECK;
/* Pure: the id for n, which is below 2^40. */
uint64_t ids_encipher(const uint8_t secret[IDS_SECRET], uint64_t n);
