/* topic.h - topic names and filters: validity, matching, intersection, shared names. Pure,
 * iterative, bytes compared as bytes. MQTT5 4.7. A level is what stands between slashes; it may be
 * empty.
 *
 * The root rule: a wildcard in the first level matches no name that begins with '$' [MQTT-4.7.2-1].
 * We apply the same rule to the platform's own tree: a wildcard in the first level reaches
 * `flespi/...` only if the filter is marked `system`. All filters that a client writes are marked;
 * grants of an ACL token are not (so that a grant of `#` does not open the system tree). */
#pragma once
#include "base/bytes.h"

enum { TOPIC_BYTES_MAX = 65535, TOPIC_LEVELS_MAX = 128 };

/* not empty, no wildcard, mqtt_name_ok, <= TOPIC_LEVELS_MAX levels */
bool topic_name_ok(struct str name);
/* the same limits, wildcards alone in their level, '#' last; no $share handling here */
bool topic_filter_ok(struct str filter);
unsigned topic_levels(struct str name);
bool topic_is_system(struct str name); /* first level is exactly "flespi" */

struct filter { /* borrowed bytes */
	struct str text;
	bool system; /* see the root rule */
};

/* Does the name match, root rule applied? Both must be valid. */
bool topic_match(struct filter f, struct str name);

/* Does every name that `inner` matches also match `outer`? */
bool filter_covers(struct filter outer, struct filter inner);

/* The names that match both a and b are exactly those that match *out, or none: returns false.
 * out->text is written into `room` (at least a.text.n + b.text.n + 1 bytes... never more than
 * TOPIC_BYTES_MAX; false also when longer, which cannot match any legal name). Two MQTT filters
 * always intersect in one MQTT filter:  a/+ & +/b = a/b;  a/# & +/b/# = a/b/#;  a/# & a = a. */
bool filter_intersect(struct filter a, struct filter b, char *room, size_t room_size,
                      struct filter *out);

/* $share/<group>/<filter>: MQTT5 4.8.2. */
struct share {
	/* group empty = not shared, filter = the whole text */
	struct str group, filter;
};
enum share_kind { SHARE_NONE, SHARE_OK, SHARE_BAD };
/* BAD: "$share", "$share/g", "$share//x", group with + or # or not mqtt_name_ok, no filter */
enum share_kind share_split(struct str text, struct share *out);

/* Walks levels: struct str level; for (struct levels l = levels_of(text); levels_next(&l, &level);)
 */
struct levels {
	struct str rest;
	bool more;
};
static inline struct levels levels_of(struct str text)
{
	return (struct levels){ text, true };
}
static inline bool levels_next(struct levels *l, struct str *level)
{
	if (!l->more)
		return false;
	const char *slash = l->rest.n ? memchr(l->rest.p, '/', l->rest.n) : NULL;
	if (slash) {
		*level = str_make(l->rest.p, (size_t)(slash - l->rest.p));
		l->rest = str_skip(l->rest, level->n + 1);
	} else {
		*level = l->rest;
		l->more = false;
	}
	return true;
}
