/* filters.c - a set of filters (filters.h). Hashed: UNSUBSCRIBE may name as many as there are, and
 * must not cost the square of that (attack R24). */
#include "base/base.h"
#include "proxy/filters.h"

#include "base/mem.h"

struct entry {
	struct map_node node;
	uint16_t size;
	char text[];
};

struct str filters_text(const struct map_node *node)
{
	const struct entry *e = container_of(node, struct entry, node);

	return str_make(e->text, e->size);
}

static struct map_node *find(const struct filters *set, struct str filter)
{
	struct map_node *n = map_first(&set->map, hash_bytes(filter.p, filter.n));

	while (n && !str_eq(filters_text(n), filter))
		n = map_next(n);
	return n;
}

bool filters_has(const struct filters *set, struct str filter)
{
	return filters_count(set) && find(set, filter);
}

bool filters_add(struct filters *set, struct str filter)
{
	struct entry *e = mem_zalloc(sizeof(*e) + filter.n);

	MUST(filter.n <= UINT16_MAX);
	if (!e)
		return false;
	e->size = (uint16_t)filter.n;
	memcpy(e->text, filter.p, filter.n);
	if (!map_add(&set->map, &e->node, hash_bytes(filter.p, filter.n)))
		return true;
	mem_free(e);
	return false;
}

bool filters_del(struct filters *set, struct str filter)
{
	struct map_node *n = find(set, filter);

	if (!n)
		return false;
	map_del(&set->map, n);
	mem_free(container_of(n, struct entry, node));
	map_trim(&set->map);
	return true;
}

void filters_free(struct filters *set)
{
	map_each(n, &set->map)
		mem_free(container_of(n, struct entry, node));
	map_free(&set->map);
}
