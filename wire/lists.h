/* lists.h - flespi's lists in a level of a filter: `a/1,2,3/b` stands for a/1/b, a/2/b and a/3/b,
 * several lists for each combination (docs/filters.md). Items are words: not empty, no wildcards.
 * Pure, no memory; filters are valid ones (topic_filter_ok), and may begin with anything. */
#pragma once
#include "wire/topic.h"

enum { LISTS_MOST = 256 }; /* filters that one may stand for */

/* How many filters it stands for, a word that occurs twice in a list counted once: 1 without lists.
 * -E_INVALID: an empty word. -E_LIMIT: more than LISTS_MOST. */
int lists_count(struct str filter) MUST_CHECK;

struct lists {
	struct str filter;
	unsigned at[TOPIC_LEVELS_MAX]; /* which word of each level */
	bool begun;
};
/* struct lists l; for (lists_begin(&l, filter); lists_next(&l, room, &plain);)
 * lists_count MUST have answered with a number. room: filter.n bytes; plain lies there. */
void lists_begin(struct lists *l, struct str filter);
bool lists_next(struct lists *l, char *room, struct str *plain);
