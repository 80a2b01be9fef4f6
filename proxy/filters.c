/* filters.c - a set of filters (filters.h). Hashed: UNSUBSCRIBE may name as many as there are, and
 * must not cost the square of that (attack R24). */
#include "base/base.h"
#include "proxy/filters.h"

#include "base/mem.h"
#include "wire/condition.h"

struct entry {
	struct map_node node;
	struct list judged, unanswered; /* of the set; in no list: no answer takes it back */
	uint32_t rights;                /* as the set's when it was judged */
	/* as `asked` was; place of it there, from 1 */
	uint32_t asked, item;
	uint16_t size;
	bool conditional, foreign; /* filters_make_foreign */
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

bool filters_conditional(struct str filter)
{
	struct share share;
	struct str conditions;

	return condition_split(filter, &share, &conditions) != SHARE_BAD && conditions.n;
}

static void enlist(struct filters *set, struct entry *e)
{
	if (!set->judged.next) {
		list_init(&set->judged);
		list_init(&set->unanswered);
		list_init(&set->ended);
	}
	list_add_tail(&set->judged, &e->judged);
	list_init(&e->unanswered);
	if (e->item)
		list_add_tail(&set->unanswered, &e->unanswered);
	set->conditional += e->conditional;
}

static void drop(struct filters *set, struct entry *e)
{
	map_del(&set->map, &e->node);
	list_del(&e->judged);
	list_del(&e->unanswered);
	set->conditional -= e->conditional;
	mem_free(e);
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
	e->rights = set->rights;
	e->conditional = filters_conditional(filter);
	memcpy(e->text, filter.p, filter.n);
	if (map_add(&set->map, &e->node, hash_bytes(filter.p, filter.n))) {
		mem_free(e);
		return false;
	}
	enlist(set, e);
	return true;
}

void filters_again(struct filters *set, struct str filter)
{
	struct entry *e = container_of(find(set, filter), struct entry, node);

	list_del(&e->unanswered);
	e->foreign = false;
}

static bool is_refused(const struct entry *e, struct str codes)
{
	return e->item <= codes.n && (uint8_t)codes.p[e->item - 1] >= 0x80;
}

/* Answers come in the order of asking: only what was asked for with it is looked at. */
void filters_answered(struct filters *set, struct str codes,
                      void (*refused)(void *arg, struct str filter), void *arg)
{
	uint32_t answered = set->answered++;
	struct entry *e;

	while (set->unanswered.next &&
	       (e = list_first(&set->unanswered, struct entry, unanswered)) &&
	       e->asked == answered) {
		list_del(&e->unanswered);
		if (!is_refused(e, codes))
			continue;
		if (refused)
			refused(arg, filters_text(&e->node));
		drop(set, e);
	}
	map_trim(&set->map);
}

void filters_make_foreign(struct filters *set)
{
	map_each(n, &set->map)
		container_of(n, struct entry, node)->foreign = true;
}

bool filters_foreign(const struct map_node *node)
{
	return container_of(node, struct entry, node)->foreign;
}

void filters_end(struct filters *set, struct map_node *node)
{
	struct entry *e = container_of(node, struct entry, node);

	list_del(&e->judged);
	list_add_tail(&set->ended, &e->judged);
}

void filters_drop_ended(struct filters *set, void (*told)(void *arg, struct str filter), void *arg)
{
	struct entry *e;

	while (set->ended.next && (e = list_first(&set->ended, struct entry, judged))) {
		told(arg, filters_text(&e->node));
		drop(set, e);
	}
	map_trim(&set->map);
}

bool filters_del(struct filters *set, struct str filter)
{
	struct map_node *n = find(set, filter);

	if (!n)
		return false;
	drop(set, container_of(n, struct entry, node));
	map_trim(&set->map);
	return true;
}

void filters_make_stale(struct filters *set)
{
	set->rights++;
}

static struct entry *stale(const struct filters *set)
{
	struct entry *e = set->judged.next ? list_first(&set->judged, struct entry, judged) : NULL;

	return e && e->rights != set->rights ? e : NULL;
}

bool filters_any_stale(const struct filters *set)
{
	return stale(set);
}

struct map_node *filters_next_stale(const struct filters *set)
{
	struct entry *e = stale(set);

	return e ? &e->node : NULL;
}

struct map_node *filters_stale(struct filters *set)
{
	struct entry *e = stale(set);

	if (!e)
		return NULL;
	e->rights = set->rights;
	list_del(&e->judged);
	list_add_tail(&set->judged, &e->judged);
	return &e->node;
}

void filters_free(struct filters *set)
{
	map_each(n, &set->map)
		mem_free(container_of(n, struct entry, node));
	map_free(&set->map);
}
