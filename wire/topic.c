/* topic.c - topic names and filters as MQTT5 4.7 has them, plus the root rule of topic.h.
 *
 * Everything here is one walk from left to right, without recursion, without memory, linear in the
 * bytes it is given: a filter of 65,000 slashes (Mosquitto CVE-2019-11779) costs what any text of
 * that length costs. Bytes are compared as bytes; nothing is folded, normalised or decoded (attack
 * C13). */
#include "base/base.h"
#include "wire/topic.h"
#include "wire/mqtt_parts.h"

static bool is_plus(struct str level)
{
	return level.n == 1 && level.p[0] == '+';
}

static bool is_hash(struct str level)
{
	return level.n == 1 && level.p[0] == '#';
}

static bool has_byte(struct str s, char byte)
{
	return s.n && memchr(s.p, byte, s.n);
}

/* the first byte is the lowest */
static inline uint64_t load8(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return le64toh(w);
}

/* How many of eight bytes are '/': those that are zero after the xor. The sum of the low seven bits
 * cannot carry into the next byte, so only a zero byte keeps its high bit clear. */
static inline unsigned slashes8(uint64_t w)
{
	const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);

	w ^= UINT64_C(0x2f2f2f2f2f2f2f2f);
	/* a bit per '/', at the bottom of its byte; the product adds them up in the top byte */
	w = ~(((w & low) + low) | w | low) >> 7;
	return (unsigned)(w * UINT64_C(0x0101010101010101) >> 56);
}

unsigned topic_levels(struct str name)
{
	unsigned levels = 1;
	size_t i = 0;

	for (; name.n - i >= 8; i += 8)
		levels += slashes8(load8(name.p + i));
	if (i == name.n)
		return levels;
	if (i) /* eight bytes that reach back; those that were counted are shifted out */
		return levels + slashes8(load8(name.p + name.n - 8) >> 8 * (8 - (name.n - i)));
	for (; i < name.n; i++)
		levels += name.p[i] == '/';
	return levels;
}

/* What names and filters have in common; a filter deeper than any name could match none (attack
 * P19). */
static bool size_ok(struct str text)
{
	return text.n > 0 && text.n <= TOPIC_BYTES_MAX && topic_levels(text) <= TOPIC_LEVELS_MAX;
}

bool topic_name_ok(struct str name)
{
	return size_ok(name) && mqtt_topic_judge(name) == RC_SUCCESS;
}

bool topic_filter_ok(struct str filter)
{
	struct str level;

	if (!size_ok(filter) || !mqtt_name_ok(filter))
		return false;
	for (struct levels l = levels_of(filter); levels_next(&l, &level);) {
		if (is_hash(level) && l.more)
			return false; /* [MQTT-4.7.1-1] */
		if (level.n > 1 && (has_byte(level, '+') || has_byte(level, '#')))
			return false; /* [MQTT-4.7.1-2] */
	}
	return true;
}

bool topic_is_system(struct str name)
{
	return str_starts(name, STR("flespi")) && (name.n == 6 || name.p[6] == '/');
}

static bool starts_wild(struct str filter)
{
	return filter.p[0] == '+' || filter.p[0] == '#';
}

/* The root rule: may a wildcard in the first level of a filter with this mark stand for the first
 * level of this text? The text is a name, or a filter that does not start with a wildcard. */
static bool root_admits(bool system, struct str text)
{
	if (text.p[0] == '$')
		return false; /* [MQTT-4.7.2-1] */
	return system || !topic_is_system(text);
}

bool topic_match(struct filter f, struct str name)
{
	const char *p = f.text.p, *end = p + f.text.n;
	const char *n = name.p, *name_end = n + name.n;

	if (starts_wild(f.text) && !root_admits(f.system, name))
		return false;
	for (; p < end; p++) {
		if (*p == '+') {
			n = memchr(n, '/', (size_t)(name_end - n));
			n = n ? n : name_end;
			continue;
		}
		if (*p == '#')
			return true;
		if (n == name_end) /* "a/#" matches "a", MQTT5 4.7.1.2 */
			return end - p == 2 && p[0] == '/' && p[1] == '#';
		if (*p != *n++)
			return false;
	}
	return n == name_end;
}

/* What is left of the text when this level, which levels_next() has just given, is put back. */
static struct str from_level(struct str text, struct str level)
{
	return str_skip(text, (size_t)(level.p - text.p));
}

/* The part of covering that is about the first level. */
static bool root_covers(struct filter outer, struct filter inner)
{
	if (!starts_wild(outer.text))
		return true; /* literal against whatever: the walk compares them */
	if (starts_wild(inner.text))
		return outer.system || !inner.system;
	return root_admits(outer.system, inner.text);
}

/* "x/#" matches "x" too. But the name with no level does not exist, nor does the empty name, so "#"
 * is the same as "+/#", and "/#" is the same as "/+/#": nothing that ends before this '#' is a
 * name. */
static bool nothing_before_hash(struct str filter)
{
	return str_eq(filter, STR("#")) || str_eq(filter, STR("/#"));
}

bool filter_covers(struct filter outer, struct filter inner)
{
	struct levels lo = levels_of(outer.text), li = levels_of(inner.text);
	struct str o, i;

	if (!root_covers(outer, inner))
		return false;
	while (levels_next(&lo, &o)) {
		if (is_hash(o))
			return true; /* the inner one has all the levels before it */
		if (!levels_next(&li, &i))
			return false; /* inner matches a name too short for outer */
		if (is_hash(i))
			return nothing_before_hash(inner.text) &&
			       str_eq(from_level(outer.text, o), STR("+/#"));
		if (!is_plus(o) && !str_eq(o, i))
			return false;
	}
	return !li.more;
}

/* ---- Intersection ---- */

struct room { /* where the result is put together */
	char *p;
	size_t n, size;
	bool full;
};

static void room_add(struct room *r, struct str bytes)
{
	if (bytes.n > r->size - r->n) {
		r->full = true;
		return;
	}
	if (bytes.n)
		memcpy(r->p + r->n, bytes.p, bytes.n);
	r->n += bytes.n;
}

static void room_add_level(struct room *r, bool first, struct str level)
{
	if (!first)
		room_add(r, STR("/"));
	room_add(r, level);
}

/* Can the first levels meet, as far as the root rule is concerned? If both are wildcards, what they
 * meet in is one too. */
static bool root_meets(struct filter a, struct filter b)
{
	if (starts_wild(a.text) == starts_wild(b.text))
		return true;
	return starts_wild(a.text) ? root_admits(a.system, b.text) : root_admits(b.system, a.text);
}

/* Writes the levels both agree on into r; false when there is no name that matches both. */
static bool meet(struct room *r, struct str a, struct str b)
{
	struct levels la = levels_of(a), lb = levels_of(b);
	struct str x, y;

	for (bool first = true;; first = false) {
		bool more_a = levels_next(&la, &x), more_b = levels_next(&lb, &y);

		if (!more_a && !more_b)
			return true;
		if (!more_a)
			return is_hash(y); /* a & a/# = a */
		if (!more_b)
			return is_hash(x);
		if (is_hash(x)) { /* from here on the other one decides, to its end */
			room_add_level(r, first, from_level(b, y));
			return true;
		}
		if (is_hash(y)) {
			room_add_level(r, first, from_level(a, x));
			return true;
		}
		if (!is_plus(x) && !is_plus(y) && !str_eq(x, y))
			return false;
		room_add_level(r, first, is_plus(x) ? y : x);
	}
}

bool filter_intersect(struct filter a, struct filter b, char *room, size_t room_size,
                      struct filter *out)
{
	struct room r = { room, 0, size_min(room_size, TOPIC_BYTES_MAX), false };

	/* by the callers' code, whatever the filters are */
	MUST(room_size >= size_min(a.text.n + b.text.n + 1, TOPIC_BYTES_MAX));
	if (!root_meets(a, b) || !meet(&r, a.text, b.text) || r.full)
		return false;
	if (r.n == 0)
		return false; /* "+" and "/#" meet in the empty name, which is none */
	out->text = str_make(r.p, r.n);
	out->system = !starts_wild(out->text) || (a.system && b.system);
	return true;
}

/* ---- Shared subscriptions ---- */

enum share_kind share_split(struct str text, struct share *out)
{
	struct levels l = levels_of(text);
	struct str word, group;

	if (!levels_next(&l, &word) || !str_eq(word, STR("$share"))) {
		*out = (struct share){ STR_NONE, text };
		return SHARE_NONE;
	}
	if (!levels_next(&l, &group) || group.n == 0 || !l.more || l.rest.n == 0)
		return SHARE_BAD; /* [MQTT-4.8.2-1] */
	if (has_byte(group, '+') || has_byte(group, '#') || !mqtt_name_ok(group))
		return SHARE_BAD; /* [MQTT-4.8.2-2] */
	*out = (struct share){ group, l.rest };
	return SHARE_OK;
}
