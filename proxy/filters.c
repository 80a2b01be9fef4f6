/* filters.c - a set of filters (filters.h). Hashed: UNSUBSCRIBE may name as many as there are, and
 * must not cost the square of that (attack R24). */
#include "base/base.h"
#include "proxy/filters.h"

#include "base/mem.h"

struct entry {
	struct map_node node;
	/* as `asked` was; place of it there, from 1. 0: no answer takes it back */
	uint32_t asked, item;
	uint16_t size;
	bool ended;
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

bool filters_add(struct filters *set, struct str filter, size_t item)
{
	struct entry *e = mem_zalloc(sizeof(*e) + filter.n);

	MUST(filter.n <= UINT16_MAX); /* a string of MQTT, or of OPENED: counted in 16 bits */
	if (!e)
		return false;
	e->size = (uint16_t)filter.n;
	e->asked = set->asked;
	e->item = (uint32_t)item;
	memcpy(e->text, filter.p, filter.n);
	if (!map_add(&set->map, &e->node, hash_bytes(filter.p, filter.n)))
		return true;
	mem_free(e);
	return false;
}

void filters_again(struct filters *set, struct str filter)
{
	container_of(find(set, filter), struct entry, node)->item = 0;
}

static bool is_refused(const struct entry *e, uint32_t answered, struct str codes)
{
	return e->item && e->asked == answered && e->item <= codes.n &&
	       (uint8_t)codes.p[e->item - 1] >= 0x80;
}

void filters_answered(struct filters *set, struct str codes,
                      void (*refused)(void *arg, struct str filter), void *arg)
{
	uint32_t answered = set->answered++;
	bool any = false;

	for (size_t i = 0; i < codes.n && !any; i++)
		any = (uint8_t)codes.p[i] >= 0x80;
	if (!any)
		return;
	map_each(n, &set->map) {
		struct entry *e = container_of(n, struct entry, node);

		if (!is_refused(e, answered, codes))
			continue;
		if (refused)
			refused(arg, filters_text(n));
		map_del(&set->map, n);
		mem_free(e);
	}
	map_trim(&set->map);
}

void filters_end(struct map_node *node)
{
	container_of(node, struct entry, node)->ended = true;
}

void filters_drop_ended(struct filters *set, void (*told)(void *arg, struct str filter), void *arg)
{
	map_each(n, &set->map) {
		struct entry *e = container_of(n, struct entry, node);

		if (!e->ended)
			continue;
		told(arg, filters_text(n));
		map_del(&set->map, n);
		mem_free(e);
	}
	map_trim(&set->map);
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
