/* sticky.h - flespi's sticky shared subscriptions: messages with the same levels go to the same
 * member. Pure.
 *
 *   $share/<group>:<count>/<filter>          the first <count> levels of the name
 *   $share/<group>:<from>:<count>/<filter>   <count> levels from the <from>th on, counted from 0
 *
 * The member is chosen by rendezvous hashing: each gets a weight for the key, the highest has it.
 * So a member that joins takes its part from all others, one that leaves gives its part to all
 * others, and no key moves between two that stay. Weights depend on names and client ids only: they
 * are the same after a restart. */
#pragma once
#include "base/base.h"

struct sticky { /* count 0: an ordinary group */
	uint8_t from, count;
};

/* The name of a group, as it stands in $share/. Anything but exactly one of the forms (a name
 * without colon, then one or two numbers) is an ordinary name. */
struct sticky sticky_of(struct str group);
/* of a topic name; levels that it does not have count as nothing */
uint64_t sticky_key(struct sticky s, struct str name);
uint64_t sticky_weight(uint64_t key, struct str member);
