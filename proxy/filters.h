/* filters.h - the filters that a connection's session is subscribed to, as the client wrote them:
 * needed when rights change (REGRANT) and to hold the limit. Compact, because there are many
 * connections with few filters: u16 length and bytes, one after the other. Pure. */
#pragma once
#include "base/bytes.h"

bool filters_has(const struct buf *set, struct str filter);
/* true if it is there now; false: no memory. MUST not be there already */
bool filters_add(struct buf *set, struct str filter);
bool filters_del(struct buf *set, struct str filter); /* was it there? */
/* struct str walk = buf_str(set), filter; while (filters_next(&walk, &filter)) */
bool filters_next(struct str *walk, struct str *filter);
