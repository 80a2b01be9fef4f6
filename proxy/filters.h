/* filters.h - the filters that a connection's session is subscribed to, as the client wrote them:
 * needed when rights change (REGRANT) and to hold the limit. Its worker's thread. Pure. */
#pragma once
#include "base/bytes.h"
#include "base/hash.h"
#include "base/list.h"

struct filters { /* zeroed: empty, and holds no memory */
	struct map map;
	/* SUBSCRIBEs that were sent to the core, and those it has answered, which it does in order
	 */
	uint32_t asked, answered;
	/* all, the longest unjudged first; those that an answer may take back, as they were asked
	 * for; those of `judged` that are going. No lists before the first filter comes */
	struct list judged, unanswered, ended;
	uint32_t rights;    /* changes with the rights: what was judged before is stale */
	size_t conditional; /* with conditions */
};

bool filters_has(const struct filters *set, struct str filter);
/* true if it is there now; false: no memory. MUST not be there already. item: 0, or its place
 * (from 1) in the SUBSCRIBE that `asked` counts next, whose answer may take it back. */
bool filters_add(struct filters *set, struct str filter, size_t item) MUST_CHECK;
/* It is asked for once more: the answer to the SUBSCRIBE that brought it does not take it back. */
void filters_again(struct filters *set, struct str filter);
bool filters_del(struct filters *set, struct str filter); /* was it there? */
/* The core's answer to the oldest SUBSCRIBE without one: what it refused (codes from 0x80) and what
 * came with it is not there any more. refused: told of each, before; NULL is fine. */
void filters_answered(struct filters *set, struct str codes,
                      void (*refused)(void *arg, struct str filter), void *arg);
/* They were asked for with another token: they may end, instead of being silent, when this one is
 * granted nothing of them. */
void filters_make_foreign(struct filters *set);
bool filters_foreign(const struct map_node *node);
/* It has ended, and is there until filters_drop_ended(), which tells of each. */
void filters_end(struct filters *set, struct map_node *node);
void filters_drop_ended(struct filters *set, void (*told)(void *arg, struct str filter), void *arg);
/* The rights have changed: all are to be judged again. */
void filters_make_stale(struct filters *set);
bool filters_any_stale(const struct filters *set);
/* The next stale one, NULL: there is none; and the same, which is stale no more then. */
struct map_node *filters_next_stale(const struct filters *set);
struct map_node *filters_stale(struct filters *set);
/* Has it conditions ($filter/...)? */
bool filters_conditional(struct str filter);
void filters_free(struct filters *set);
static inline size_t filters_count(const struct filters *set)
{
	return set->map.count;
}
/* map_each(node, &set->map) { struct str text = filters_text(node); ... }, in no order */
struct str filters_text(const struct map_node *node);
