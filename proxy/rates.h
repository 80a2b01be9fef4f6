/* rates.h - how often strangers may begin something, over all workers: connections of one address
 * (attack R06), with one token, of one customer, under one client id (attack R07). A bucket per
 * name, filled evenly, that holds ten seconds' worth. Any thread. Guarded by a mutex: taken when a
 * connection begins, never on the way of a packet.
 *
 * A name costs memory only until its bucket is full again, ten seconds at most; and there is a
 * bound on all of them together. */
#pragma once
#include "base/sock.h"

struct rates;

enum { RATES_BURST_S = 10, RATES_MAX = 1 << 20 };

int rates_new(struct rates **out) MUST_CHECK;
void rates_free(struct rates **r);
/* One more, at `now` (monotonic ms). per_second INT64_MAX = any number, 0 = none. 0, -E_LIMIT, or
 * -E_NOMEM. An IPv6 address counts as its /64: whoever has one of them has them all; and of an
 * address 0 is any number. ledger: as of caps_enter_peer. */
int rates_take_peer(struct rates *r, const struct sock_addr *peer, uint8_t ledger,
                    int64_t per_second, int64_t now) MUST_CHECK;
int rates_take_customer(struct rates *r, uint64_t customer, int64_t per_second,
                        int64_t now) MUST_CHECK;
int rates_take_token(struct rates *r, uint64_t customer, uint64_t token, int64_t per_second,
                     int64_t now) MUST_CHECK;
/* Client ids fill no more than half of what is remembered, and not beyond it is asked: false,
 * because the rate of the customer holds all the same. True: too often. */
bool rates_take_client(struct rates *r, uint64_t customer, struct str client_id, int64_t per_second,
                       int64_t now);
size_t rates_count(struct rates *r); /* names remembered; for tests */
/* 127.0.0.0/8, ::1, a Unix socket: not a stranger's address, but whatever forwards for many */
bool rates_loopback(const struct sock_addr *peer);
