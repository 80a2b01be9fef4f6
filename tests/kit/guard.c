/* guard.c - bytes before an unmapped page, cuts of them, random bytes and folders that vanish. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/kit/kit_parts.h"

/* ---- Guard pages ---- */
static struct guard {
	struct guard *next;
	uint8_t *p;
	size_t size; /* with the unmapped page */
} * guards, *spares;

static struct guard *guard_take(size_t room, size_t page)
{
	struct guard *g;

	for (struct guard **at = &spares; *at; at = &(*at)->next) {
		g = *at;
		if (g->size - page == room) {
			*at = g->next;
			return g;
		}
	}
	g = calloc(1, sizeof(*g));
	MUST(g);
	g->size = room + page;
	g->p = mmap(NULL, g->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(g->p != MAP_FAILED);
	MUST(mprotect(g->p + room, page, PROT_NONE) == 0);
	return g;
}

void *guard_put(const void *p, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE),
	       room = size_max((n + page - 1) / page, 1) * page;
	struct guard *g = guard_take(room, page);
	uint8_t *to = g->p + room - n;

	g->next = guards;
	guards = g;
	if (n)
		memcpy(to, p, n);
	return to;
}

struct str guard_str(struct str s)
{
	return str_make(guard_put(s.p, s.n), s.n);
}

/* Kept as spares: tests that try every split would otherwise spend their time in mmap. */
void guard_reset(void)
{
	while (guards) {
		struct guard *g = guards;

		guards = g->next;
		g->next = spares;
		spares = g;
	}
}

/* Leaves other guard pages of the test alone: a split gives back only what it took last. */
static void guard_drop(struct str s)
{
	for (struct guard **at = &guards; *at; at = &(*at)->next) {
		struct guard *g = *at;

		if ((const uint8_t *)s.p >= g->p && (const uint8_t *)s.p < g->p + g->size) {
			*at = g->next;
			g->next = spares;
			spares = g;
			return;
		}
	}
}

/* ---- Cuts ---- */
static bool next_cut(struct split *s, size_t last)
{
	if (s->first.p)
		guard_drop(s->first);
	if (s->rest.p)
		guard_drop(s->rest);
	s->first = s->rest = STR_NONE;
	s->cut++; /* from SIZE_MAX to 0 in the first round */
	return s->cut <= last;
}

bool kit_next_split(struct split *s)
{
	if (!next_cut(s, s->whole.n))
		return false;
	s->first = guard_str(str_make(s->whole.p, s->cut));
	s->rest = guard_str(str_skip(s->whole, s->cut));
	return true;
}

bool kit_next_prefix(struct split *s)
{
	if (s->whole.n == 0 || !next_cut(s, s->whole.n - 1))
		return false;
	s->first = guard_str(str_make(s->whole.p, s->cut));
	return true;
}

/* ---- Randomness: splitmix64 ---- */
uint64_t any(void)
{
	static uint64_t state;
	static bool seeded;
	uint64_t z;

	if (!seeded) {
		const char *seed = getenv("MBUS_SEED");

		state = seed ? strtoull(seed, NULL, 0) : 20260301;
		seeded = true;
		printf("MBUS_SEED=%llu\n", (unsigned long long)state);
	}
	z = state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint64_t any_below(uint64_t limit)
{
	MUST(limit);
	return any() % limit;
}

void any_bytes(void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)p)[i] = (uint8_t)any();
}

/* ---- Folders ---- */
static char folder[64];

const char *temp_dir(void)
{
	if (!folder[0]) {
		strcpy(folder, "/tmp/mbus-unit-XXXXXX");
		MUST(mkdtemp(folder));
	}
	return folder;
}

const char *temp_file(const char *name, const char *content)
{
	static char paths[16][256];
	static unsigned turn;
	char *path = paths[turn++ % ARRAY_LEN(paths)];
	FILE *f;

	MUST((size_t)snprintf(path, sizeof(paths[0]), "%s/%s", temp_dir(), name) <
	     sizeof(paths[0]));
	if (!content)
		return path;
	f = fopen(path, "w");
	MUST(f && fputs(content, f) >= 0 && fclose(f) == 0);
	return path;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

void temp_clean(void)
{
	if (!folder[0])
		return;
	(void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	folder[0] = '\0';
}
