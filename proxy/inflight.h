/* inflight.h - the QoS 1 and 2 messages of a client that are not acknowledged yet: enforces our
 * Receive Maximum exactly (attacks P29, R11), so a repeated packet id counts once. And
 * topic aliases, those that it has set and those that were set for it. All die with the connection.
 * Pure. */
#pragma once
#include "base/bytes.h"

struct inflight;
/* 0: counted (or it was already), -E_LIMIT: `limit` others are on their way, -E_NOMEM. *slot is
 * made when first needed. */
int inflight_add(struct inflight **slot, uint16_t packet_id, size_t limit) MUST_CHECK;
/* was it there? NULL is fine */
bool inflight_del(struct inflight *f, uint16_t packet_id);
size_t inflight_count(const struct inflight *f);
void inflight_free(struct inflight **slot);

struct alias_table;
/* 0 or -E_NOMEM; alias MUST be 1..most */
int alias_set(struct alias_table **slot, unsigned alias, unsigned most,
              struct str topic) MUST_CHECK;
struct str alias_get(const struct alias_table *t, unsigned alias); /* empty: never set */
/* the alias of this topic, or 0 */
unsigned alias_find(const struct alias_table *t, struct str topic);
/* one of 1..most that was never set, or 0; t may be NULL */
unsigned alias_next(const struct alias_table *t, unsigned most);
void alias_free(struct alias_table **slot);
/* bytes that it holds; NULL is fine */
size_t alias_bytes(const struct alias_table *t);
/* that it would hold more if alias_set() were called so */
size_t alias_cost(const struct alias_table *t, unsigned alias, unsigned most, struct str topic);
