/* caps.h - how many connections there are: in all, of one address, with one token, of one customer;
 * over all workers (attack R05). Any thread. Guarded by a mutex: counting happens when a connection
 * begins and ends, never on the way of a packet. */
#pragma once
#include "base/sock.h"

struct caps;
struct cap; /* one place taken; given back with caps_leave */

int caps_new(struct caps **out) MUST_CHECK;
void caps_free(struct caps **c); /* all places MUST have been given back */
/* 0, -E_LIMIT, or -E_NOMEM; *out is what caps_leave takes. Of an address, limit 0 = any number.
 * An IPv6 address counts as its /64 (sock_subscriber). ledger: doors that count together have the
 * same one; all_limit is over all of them. */
int caps_enter_peer(struct caps *c, const struct sock_addr *peer, uint8_t ledger, int64_t all_limit,
                    int64_t limit, struct cap **out) MUST_CHECK;
int caps_enter_token(struct caps *c, uint64_t customer, uint64_t token, int64_t limit,
                     struct cap **out) MUST_CHECK;
int caps_enter_customer(struct caps *c, uint64_t customer, int64_t limit,
                        struct cap **out) MUST_CHECK;
void caps_leave(struct caps *c, struct cap **slot); /* empties the slot; NULL is fine */
