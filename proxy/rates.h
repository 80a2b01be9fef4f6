/* rates.h - how often strangers may begin something, over all workers: connections of one address
 * (attack R06), of one customer. A bucket per name, filled evenly, that holds ten seconds' worth.
 * Any thread. Guarded by a mutex: taken when a connection begins, never on the way of a packet.
 *
 * A name costs memory only until its bucket is full again, ten seconds at most; and there is a
 * bound on all of them together. */
#pragma once
#include "base/sock.h"

struct rates;

enum { RATES_BURST_S = 10, RATES_MAX = 1 << 20 };

int rates_new(struct rates **out) MUST_CHECK;
void rates_free(struct rates **r);
/* One more, at `now` (monotonic ms). per_second 0 = any number. 0, -E_LIMIT, or -E_NOMEM. An IPv6
 * address counts as its /64: whoever has one of them has them all. */
int rates_take_peer(struct rates *r, const struct sock_addr *peer, int64_t per_second,
                    int64_t now) MUST_CHECK;
int rates_take_customer(struct rates *r, uint64_t customer, int64_t per_second,
                        int64_t now) MUST_CHECK;
size_t rates_count(struct rates *r); /* names remembered; for tests */
/* 127.0.0.0/8, ::1, a Unix socket: not a stranger's address, but whatever forwards for many */
bool rates_loopback(const struct sock_addr *peer);
