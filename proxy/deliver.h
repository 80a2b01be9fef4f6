/* deliver.h - one message of the core to many clients of one worker. */
#pragma once
#include "wire/link.h"

struct uplink;

/* False: the frame names what the core may not name; the link is to fail. */
bool deliver(struct uplink *u, struct link_deliver *d);
