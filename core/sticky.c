/* sticky.c - who of a sticky group gets what (sticky.h). The hash is not keyed: only clients of one
 * customer compete, and where a key belongs is to outlive this process. */
#include "base/base.h"
#include "core/sticky.h"

#include "wire/topic.h"

static bool number(struct str s, unsigned least, uint8_t *out)
{
	uint64_t n;

	if (s.n == 0 || s.n > 3 || !str_to_u64(s, &n) || n < least || n > TOPIC_LEVELS_MAX)
		return false;
	*out = (uint8_t)n;
	return true;
}

/* what stands before the next colon; false: there is none, and all of it */
static bool part(struct str *rest, struct str *out)
{
	const char *colon = rest->n ? memchr(rest->p, ':', rest->n) : NULL;

	*out = colon ? str_make(rest->p, (size_t)(colon - rest->p)) : *rest;
	*rest = colon ? str_skip(*rest, out->n + 1) : STR_NONE;
	return colon;
}

struct sticky sticky_of(struct str group)
{
	const struct sticky none = { 0 };
	struct sticky s = none;
	struct str rest = group, name, first, second;

	if (!part(&rest, &name) || name.n == 0)
		return none;
	if (!part(&rest, &first))
		return number(first, 1, &s.count) ? s : none;
	if (part(&rest, &second) || !number(first, 0, &s.from) || !number(second, 1, &s.count))
		return none;
	return s;
}

/* FNV-1a */
static uint64_t add(uint64_t hash, struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i++)
		hash = (hash ^ (uint8_t)bytes.p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* The end of splitmix64: every bit of x has its say in every bit of the result. */
static uint64_t scatter(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

enum { NO_BYTE = 0x100 }; /* between two levels: no byte of a name is it */
#define FNV_START UINT64_C(0xcbf29ce484222325)

uint64_t sticky_key(struct sticky s, struct str name)
{
	uint64_t hash = FNV_START;
	unsigned nth = 0;
	struct str level;

	for (struct levels l = levels_of(name); levels_next(&l, &level); nth++) {
		if (nth >= s.from && nth - s.from < s.count)
			hash = (add(hash, level) ^ NO_BYTE) * UINT64_C(0x100000001b3);
	}
	return scatter(hash);
}

uint64_t sticky_weight(uint64_t key, struct str member)
{
	return scatter(key ^ scatter(add(FNV_START, member)));
}
