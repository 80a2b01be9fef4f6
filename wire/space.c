/* space.c - customer/<id>/<name>: the whole of the isolation by names (design section 3).
 *
 * Injective because an id has one spelling: decimal without leading zeros, never 0, and the name
 * that follows is never empty. So "customer/7/" itself, and "customer/07/x", belong to nobody
 * (attack T08). */
#include "base/base.h"
#include "wire/space.h"

static const struct str root = STR_INIT("customer/");

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

bool space_of(struct str inner, uint64_t *customer, struct str *name)
{
	struct str rest;
	const char *slash;
	uint64_t id;

	if (!str_starts(inner, root))
		return false;
	rest = str_skip(inner, root.n);
	slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
	if (!slash || rest.p[0] == '0')
		return false; /* no id 0, and no second spelling of another one */
	if (!str_to_u64(str_make(rest.p, (size_t)(slash - rest.p)), &id))
		return false;
	rest = str_skip(rest, (size_t)(slash - rest.p) + 1);
	if (rest.n == 0)
		return false;
	*customer = id;
	*name = rest;
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
