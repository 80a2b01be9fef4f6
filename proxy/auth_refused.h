/* auth_refused.h - credentials that were refused a moment ago, so that a device with a wrong key
 * does not cost a request each second.
 *
 * Bounded twice: as a whole, and per source address (IPv4 address, IPv6 /64), so that a flood of
 * invented keys from one place (attack A20) pushes out its own entries and nobody else's; known
 * good credentials are in another table altogether. Look-ups by any RCU reader, the rest for the
 * authentication thread. */
#pragma once
#include "base/crypt.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/rcu.h"
#include "base/sock.h"

#include <urcu/rculfhash.h> /* after base/rcu.h: it takes the flavour from there */

struct auth_refused {
	struct cds_lfht *table; /* constant while open */
	struct map sources;
	/* oldest first; all live equally long, so this is also the order of their end */
	struct list ages;
	size_t count, most, share;
};

int auth_refused_open(struct auth_refused *r, size_t most) MUST_CHECK;
void auth_refused_close(struct auth_refused *r); /* zeroed is fine */
/* Any RCU reader: the reason, or 0 when nothing is remembered at `now`. */
uint8_t auth_refused_look(const struct auth_refused *r, const uint8_t digest[CRYPT_HASH],
                          int64_t now);
void auth_refused_add(struct auth_refused *r, const uint8_t digest[CRYPT_HASH], uint8_t reason,
                      int64_t until,
                      /* nothing is remembered when memory is short */
                      const struct sock_addr *peer);
/* if it is there */
void auth_refused_drop(struct auth_refused *r, const uint8_t digest[CRYPT_HASH]);
void auth_refused_sweep(struct auth_refused *r, int64_t now); /* drops what has ended */
