/* inflight.c - what a client has sent and nobody has acknowledged, and its topic aliases
 * (inflight.h). Acknowledgements come mostly in the order of the messages, so that the search ends
 * at the first place. */
#include "base/base.h"
#include "proxy/inflight.h"

#include "base/mem.h"

struct inflight {
	size_t count, room;
	uint16_t *id;
};

static int grow(struct inflight *f, size_t limit)
{
	size_t room = size_min(f->room ? f->room * 2 : 8, limit);
	uint16_t *id = mem_realloc(f->id, room * sizeof(*id));

	if (!id)
		return -E_NOMEM;
	f->id = id;
	f->room = room;
	return 0;
}

int inflight_add(struct inflight **slot, uint16_t packet_id, size_t limit)
{
	struct inflight *f = *slot;

	if (!f) {
		f = *slot = mem_zalloc(sizeof(*f));
		if (!f)
			return -E_NOMEM;
	}
	for (size_t i = 0; i < f->count; i++) {
		if (f->id[i] == packet_id)
			return 0;
	}
	if (f->count >= limit)
		return -E_LIMIT;
	if (f->count == f->room && grow(f, limit))
		return -E_NOMEM;
	f->id[f->count++] = packet_id;
	return 0;
}

bool inflight_del(struct inflight *f, uint16_t packet_id)
{
	for (size_t i = 0; f && i < f->count; i++) {
		if (f->id[i] != packet_id)
			continue;
		f->count--;
		memmove(f->id + i, f->id + i + 1, (f->count - i) * sizeof(*f->id));
		return true;
	}
	return false;
}

size_t inflight_count(const struct inflight *f)
{
	return f ? f->count : 0;
}

void inflight_free(struct inflight **slot)
{
	struct inflight *f = *slot;

	*slot = NULL;
	if (!f)
		return;
	mem_free(f->id);
	mem_free(f);
}

/* ---- Topic aliases, MQTT5 3.3.2.3.4: our own maximum bounds their number, topic_max each one's
 * length ---- */

struct alias_table {
	unsigned most;
	size_t bytes; /* of all of it */
	struct {
		char *p; /* owned; NULL: never set */
		size_t n;
	} topic[];
};

int alias_set(struct alias_table **slot, unsigned alias, unsigned most, struct str topic)
{
	struct alias_table *t = *slot;
	char *copy;

	/* in_publish.c has judged the client's; deliver.c counts its own */
	MUST(alias >= 1 && alias <= most && topic.n);
	if (!t) {
		t = *slot = mem_zalloc(sizeof(*t) + most * sizeof(t->topic[0]));
		if (!t)
			return -E_NOMEM;
		t->most = most;
		t->bytes = sizeof(*t) + most * sizeof(t->topic[0]);
	}
	copy = mem_dup(topic.p, topic.n);
	if (!copy)
		return -E_NOMEM;
	t->bytes += topic.n - t->topic[alias - 1].n;
	mem_free(t->topic[alias - 1].p);
	t->topic[alias - 1].p = copy;
	t->topic[alias - 1].n = topic.n;
	return 0;
}

size_t alias_bytes(const struct alias_table *t)
{
	return t ? t->bytes : 0;
}

size_t alias_cost(const struct alias_table *t, unsigned alias, unsigned most, struct str topic)
{
	size_t had;

	if (!t)
		return sizeof(*t) + most * sizeof(t->topic[0]) + topic.n;
	had = t->topic[alias - 1].n;
	return topic.n > had ? topic.n - had : 0;
}

struct str alias_get(const struct alias_table *t, unsigned alias)
{
	if (!t || alias < 1 || alias > t->most)
		return STR_NONE;
	return str_make(t->topic[alias - 1].p, t->topic[alias - 1].n);
}

/* Few, and most differ in length. */
unsigned alias_find(const struct alias_table *t, struct str topic)
{
	for (unsigned i = 0; t && i < t->most && t->topic[i].p; i++) {
		if (str_eq(str_make(t->topic[i].p, t->topic[i].n), topic))
			return i + 1;
	}
	return 0;
}

unsigned alias_next(const struct alias_table *t, unsigned most)
{
	unsigned i = 0;

	while (t && i < most && t->topic[i].p)
		i++;
	return i < most ? i + 1 : 0;
}

void alias_free(struct alias_table **slot)
{
	struct alias_table *t = *slot;

	*slot = NULL;
	for (unsigned i = 0; t && i < t->most; i++)
		mem_free(t->topic[i].p);
	mem_free(t);
}
