/* filters.h - the filters that a connection's session is subscribed to, as the client wrote them:
 * needed when rights change (REGRANT) and to hold the limit. Its worker's thread. Pure. */
#pragma once
#include "base/bytes.h"
#include "base/hash.h"

struct filters { /* zeroed: empty, and holds no memory */
	struct map map;
};

bool filters_has(const struct filters *set, struct str filter);
/* true if it is there now; false: no memory. MUST not be there already */
bool filters_add(struct filters *set, struct str filter) MUST_CHECK;
bool filters_del(struct filters *set, struct str filter); /* was it there? */
void filters_free(struct filters *set);
static inline size_t filters_count(const struct filters *set)
{
	return set->map.count;
}
/* map_each(node, &set->map) { struct str text = filters_text(node); ... }, in no order */
struct str filters_text(const struct map_node *node);
