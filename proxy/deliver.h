/* deliver.h - one message of the core to many clients of one worker. */
#pragma once
#include "wire/link.h"

struct customer_share;
struct uplink;

/* Whose clients it is for: the first that is still there. NULL: none of them is. */
struct customer_share *deliver_share(const struct uplink *u, const struct link_deliver *d);
/* From entry *next on, as many as its customer's slice has room for; then *next is the first that
 * is left, or 0: none is. False: the frame names what the core may not name; the link is to fail.
 */
bool deliver(struct uplink *u, struct link_deliver *d, uint32_t *next) MUST_CHECK;
