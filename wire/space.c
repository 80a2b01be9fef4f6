/* space.c - customer/<id>/<name>: the whole of the isolation by names (design section 3).
 *
 * Injective because an id has one spelling: decimal without leading zeros, never 0, and the name
 * that follows is never empty. So "customer/7/" itself, and "customer/07/x", belong to nobody
 * (attack T08). */
#include "base/base.h"
#include "wire/space.h"

#include <endian.h>

static const struct str root = STR_INIT("customer/");

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
enum { BLOCK = 8 };

/* The decimal digits of v, most significant first, without an end mark; at most 20. */
static size_t digits_of(char *out, uint64_t v)
{
	char reversed[20];
	size_t n = 0;

	do {
		reversed[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	for (size_t i = 0; i < n; i++)
		out[i] = reversed[n - 1 - i];
	return n;
}

void space_make(struct space *s, uint64_t customer)
{
	size_t n = root.n;

	MUST(customer != 0); /* a verdict without one is refused (acl/verdict.c) */
	memcpy(s->prefix, root.p, root.n);
	n += digits_of(s->prefix + n, customer);
	s->prefix[n++] = '/';
	s->prefix_len = (uint8_t)n;
	s->customer = customer;
}

void space_map(const struct space *s, struct str name, struct buf *out)
{
	uint8_t *p = buf_reserve(out, s->prefix_len + name.n);

	if (!p)
		return;
	memcpy(p, s->prefix, s->prefix_len);
	if (name.n)
		memcpy(p + s->prefix_len, name.p, name.n);
	buf_commit(out, s->prefix_len + name.n);
}

bool space_owns(const struct space *s, struct str inner)
{
	return inner.n > s->prefix_len && memcmp(inner.p, s->prefix, s->prefix_len) == 0;
}

bool space_unmap(const struct space *s, struct str inner, struct str *name)
{
	if (!space_owns(s, inner))
		return false;
	*name = str_skip(inner, s->prefix_len);
	return true;
}

/* How many of these eight bytes are digits, until one is none, and their number. */
static inline size_t digits8(const char *p, uint64_t *value)
{
	uint64_t w, strange;
	size_t n = BLOCK;

	memcpy(&w, p, sizeof(w));
	w = le64toh(w); /* the first digit is the lowest byte */
	strange = ((w & EACH(0xf0)) ^ EACH(0x30)) | (((w + EACH(0x06)) & EACH(0xf0)) ^ EACH(0x30));
	if (strange) {
		n = (size_t)__builtin_ctzll(strange) / 8;
		if (n == 0)
			return 0;
		w <<= 8 * (BLOCK - n); /* zeros before them */
	}
	/* pairs of digits, then of these, then of those */
	w = (w & EACH(0x0f)) * (10 * 256 + 1) >> 8;
	w = (w & UINT64_C(0x00ff00ff00ff00ff)) * (100 * 65536 + 1) >> 16;
	*value = (w & UINT64_C(0x0000ffff0000ffff)) * (10000 * UINT64_C(0x100000000) + 1) >> 32;
	return n;
}

/* The digits that s begins with, as one number; 0: none, or too great a number. Every message comes
 * here twice, and an id has 16 digits: eight at a time, as long as nothing can overflow. */
static size_t id_of(struct str s, uint64_t *id)
{
	static const uint32_t power[] = { 1,      10,      100,      1000,     10000,
		                          100000, 1000000, 10000000, 100000000 };
	uint64_t value = 0, block;
	size_t n = 0, more = BLOCK;

	while (more == BLOCK && n < 2 * BLOCK && s.n - n >= BLOCK) {
		more = digits8(s.p + n, &block);
		if (more)
			value = value * power[more] + block;
		n += more;
	}
	for (; n < s.n && s.p[n] >= '0' && s.p[n] <= '9'; n++) {
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(s.p[n] - '0'), &value))
			return 0;
	}
	*id = value;
	return n;
}

bool space_of(struct str inner, uint64_t *customer, struct str *name)
{
	struct str rest;
	uint64_t id;
	size_t n;

	if (!str_starts(inner, root))
		return false;
	rest = str_skip(inner, root.n);
	if (rest.n == 0 || rest.p[0] == '0')
		return false; /* no id 0, and no second spelling of another one */
	n = id_of(rest, &id);
	if (n == 0 || rest.n < n + 2 || rest.p[n] != '/')
		return false;
	*customer = id;
	*name = str_skip(rest, n + 1);
	return true;
}

void space_level(struct buf *out, struct str client_id)
{
	static const char hex[] = "0123456789ABCDEF";

	if (client_id.n == 0)
		buf_u8(out, '%');
	for (size_t i = 0; i < client_id.n; i++) {
		uint8_t b = (uint8_t)client_id.p[i];

		if (b > 0x20 && b <= 0x7e && !strchr("/+#%", b)) {
			buf_u8(out, b);
			continue;
		}
		buf_u8(out, '%');
		buf_u8(out, (uint8_t)hex[b >> 4]);
		buf_u8(out, (uint8_t)hex[b & 15]);
	}
}
