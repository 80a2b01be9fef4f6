/* store.c - which kind of store is in force, and the way from the home's calls to it. */
#include "base/base.h"
#include "core/store.h"

#include "core/store_parts.h"

static const struct store_kind *const kinds[] = { &store_memory };

static void kind_check(const struct store_kind *k)
{
	MUST(k->name && k->open && k->close && k->commit);
#define C(name, parameters, arguments) MUST(k->name);
	STORE_CALLS(C)
#undef C
}

int store_open(struct store **out, const char *kind, const char *dir, const char **why)
{
	struct store *s;
	int err;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i]->name, kind) != 0)
			continue;
		kind_check(kinds[i]);
		err = kinds[i]->open(&s, dir, why);
		if (err)
			return err;
		s->kind = kinds[i];
		*out = s;
		return 0;
	}
	*why = "no such kind of store";
	return -E_INVALID;
}

void store_close(struct store **s)
{
	if (*s)
		(*s)->kind->close(*s);
	*s = NULL;
}

const char *store_name(const struct store *s)
{
	return s->kind->name;
}

bool store_commit(struct store *s, struct store_commit *c)
{
	return s->kind->commit(s, c);
}

#define C(name, parameters, arguments) \
	void store_##name parameters \
	{ \
		s->kind->name arguments; \
	}
STORE_CALLS(C)
#undef C
