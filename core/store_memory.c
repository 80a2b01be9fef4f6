/* store_memory.c - the store that keeps nothing: what the home has in memory is all there is, and a
 * restart forgets it. Every change is accepted and every commit is done at once; store_name() says
 * "memory", so that nobody takes it for more. */
#include "base/base.h"
#include "core/store_parts.h"

#include "base/mem.h"

static int memory_open(struct store **out, const char *dir, const char **why)
{
	struct store *s = mem_zalloc(sizeof(*s));

	(void)dir; /* nothing is written there */
	if (!s) {
		*why = "out of memory";
		return -E_NOMEM;
	}
	*out = s;
	return 0;
}

static void memory_close(struct store *s)
{
	mem_free(s);
}

static bool memory_commit(struct store *s, struct store_commit *c)
{
	(void)s;
	(void)c;
	return true;
}

/* One function per change, all the same: nothing to keep. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define C(name, parameters, arguments) \
	static void memory_##name parameters \
	{ \
	}
STORE_CALLS(C)
#undef C
#pragma GCC diagnostic pop

const struct store_kind store_memory = { .name = "memory",
	                                 .open = memory_open,
	                                 .close = memory_close,
	                                 .commit = memory_commit,
#define C(name, parameters, arguments) .name = memory_##name,
	                                 STORE_CALLS(C)
#undef C
};
