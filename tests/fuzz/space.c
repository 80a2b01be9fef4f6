/* space.c - fuzz target: the mapping between a client's names and the core's (wire/space.h, attacks
 * T04 to T10): what it maps, it maps back to the same bytes; two different (customer, name) never
 * meet; nothing mapped leaves the prefix of its customer; and of all bytes that may be given to it
 * as an inner name, only its own are taken for its own.
 *
 * Input: u64 customer, u64 other customer, name, newline, name or inner name. */
#include "base/base.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/space.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The prefix as one would write it by hand. */
static struct str prefix_of(uint64_t customer)
{
	static char room[2][40];
	static unsigned turn;
	char *p = room[turn++ % 2];
	int n = snprintf(p, sizeof(room[0]), "customer/%" PRIu64 "/", customer);

	return str_make(p, (size_t)n);
}

static bool begins(struct str s, struct str with)
{
	return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

static void there_and_back(uint64_t customer, struct str name, struct buf *inner)
{
	struct space space;
	struct str back, prefix = prefix_of(customer);
	uint64_t whose = 0;

	space_make(&space, customer);
	MUST(space.customer == customer && space.prefix_len <= SPACE_PREFIX_MAX);
	MUST(str_eq(str_make(space.prefix, space.prefix_len), prefix));
	space_map(&space, name, inner);
	MUST(buf_ok(inner) && begins(buf_str(inner), prefix));
	MUST(str_eq(str_skip(buf_str(inner), prefix.n), name));
	MUST(space_owns(&space, buf_str(inner)) == (name.n > 0));
	MUST(space_unmap(&space, buf_str(inner), &back) == (name.n > 0));
	if (name.n == 0)
		return; /* the bare prefix is nobody's name (attack T08) */
	MUST(str_eq(back, name));
	MUST(space_of(buf_str(inner), &whose, &back) && whose == customer && str_eq(back, name));
}

/* Bytes from anywhere: ours exactly if they begin like ours, and something follows. */
static void strange(uint64_t customer, struct str inner)
{
	struct space space;
	struct str name, prefix = prefix_of(customer);
	bool own = begins(inner, prefix) && inner.n > prefix.n;
	uint64_t whose = 0;

	space_make(&space, customer);
	MUST(space_owns(&space, inner) == own);
	MUST(space_unmap(&space, inner, &name) == own);
	if (own)
		MUST(str_eq(name, str_skip(inner, prefix.n)));
	if (space_of(inner, &whose, &name)) {
		MUST(whose && begins(inner, prefix_of(whose)) && name.n);
		MUST(str_eq(name, str_skip(inner, prefix_of(whose).n)));
	}
	if (own)
		MUST(space_of(inner, &whose, &name) && whose == customer);
}

static struct str exact(const uint8_t *p, size_t n)
{
	char *copy = malloc(n ? n : 1);

	MUST(copy);
	memcpy(copy, p, n);
	return str_make(copy, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct take t = take_from(data, size);
	struct buf a = { 0 }, b = { 0 };
	struct str first, second;
	uint64_t one, other;
	const uint8_t *end;

	if (!take_le64(&t, &one) || !take_le64(&t, &other) || one == 0 || other == 0)
		return 0;
	end = take_left(&t) ? memchr(t.p, '\n', take_left(&t)) : NULL;
	if (!end)
		return 0;
	first = exact(t.p, (size_t)(end - t.p));
	second = exact(end + 1, (size_t)(data + size - end - 1));
	there_and_back(one, first, &a);
	there_and_back(other, second, &b);
	/* injective */
	MUST(str_eq(buf_str(&a), buf_str(&b)) == (one == other && str_eq(first, second)));
	strange(one, second);
	strange(other, first);
	strange(other, buf_str(&a));
	strange(one, buf_str(&b));
	free((void *)(uintptr_t)first.p);
	free((void *)(uintptr_t)second.p);
	buf_free(&a);
	buf_free(&b);
	return 0;
}
