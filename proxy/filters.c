/* filters.c - a compact set of filters (filters.h). Looked through from the start: it has few
 * members, or changes rarely. */
#include "base/base.h"
#include "proxy/filters.h"

bool filters_next(struct str *walk, struct str *filter)
{
	struct take t = take_from(walk->p, walk->n);
	uint16_t n;

	if (!take_le16(&t, &n) || !take_bytes(&t, n, filter))
		return false;
	*walk = str_make(t.p, take_left(&t));
	return true;
}

bool filters_has(const struct buf *set, struct str filter)
{
	struct str walk = buf_str(set), have;

	while (filters_next(&walk, &have)) {
		if (str_eq(have, filter))
			return true;
	}
	return false;
}

bool filters_add(struct buf *set, struct str filter)
{
	size_t before = buf_len(set);

	MUST(filter.n <= UINT16_MAX);
	buf_le16(set, (uint16_t)filter.n);
	buf_str_add(set, filter);
	if (buf_ok(set))
		return true;
	buf_cut(set, before);
	return false;
}

bool filters_del(struct buf *set, struct str filter)
{
	struct str walk = buf_str(set), have;

	while (filters_next(&walk, &have)) {
		uint8_t *at;

		if (!str_eq(have, filter))
			continue;
		at = set->p + (have.p - (const char *)set->p) - 2;
		memmove(at, walk.p, walk.n);
		buf_cut(set, buf_len(set) - 2 - have.n);
		if (buf_len(set) == 0)
			buf_free(set);
		return true;
	}
	return false;
}
