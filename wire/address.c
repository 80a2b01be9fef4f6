/* address.c - IP addresses as text (address.h), by inet_pton, which takes no octal and no short
 * forms. */
#include "base/base.h"
#include "wire/address.h"

#include <arpa/inet.h>

void address_v4(struct sock_addr *out, const uint8_t bytes[4], uint16_t port)
{
	*out = (struct sock_addr){ .bytes = { [10] = 0xff, [11] = 0xff }, .port = port };
	memcpy(out->bytes + 12, bytes, 4);
}

bool address_read(struct str text, struct sock_addr *out)
{
	char z[INET6_ADDRSTRLEN];
	uint8_t bytes[16];

	/* A NUL inside would let "192.0.2.7\0..." pass. */
	if (text.n == 0 || text.n >= sizeof(z) || memchr(text.p, '\0', text.n))
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	if (inet_pton(AF_INET, z, bytes) == 1) {
		address_v4(out, bytes, 0);
		return true;
	}
	if (inet_pton(AF_INET6, z, bytes) == 1) {
		*out = (struct sock_addr){ .port = 0 };
		memcpy(out->bytes, bytes, sizeof(bytes));
		return true;
	}
	return false;
}

bool address_port(struct str text, uint16_t *out)
{
	uint64_t v;

	if (!str_to_u64(text, &v) || v > UINT16_MAX || (text.n > 1 && text.p[0] == '0'))
		return false;
	*out = (uint16_t)v;
	return true;
}

/* "[host]" and what follows. */
static bool in_brackets(struct str text, struct str *host, struct str *rest)
{
	const char *colon = memchr(text.p, ':', text.n), *end = memchr(text.p, ']', text.n);

	if (!colon || !end || colon > end)
		return false; /* brackets are IPv6's */
	*host = str_make(text.p + 1, (size_t)(end - text.p) - 1);
	*rest = str_skip(text, host->n + 2);
	return true;
}

bool address_port_read(struct str text, struct sock_addr *out)
{
	struct str host = text, rest = STR_NONE;
	const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
	uint16_t port = 0;

	if (text.n && text.p[0] == '[') {
		if (!in_brackets(text, &host, &rest))
			return false;
	} else if (colon && memchr(text.p, '.', (size_t)(colon - text.p))) {
		host.n = (size_t)(colon - text.p); /* a dot before the first colon: IPv4 */
		rest = str_skip(text, host.n);
	}
	if (rest.n && (rest.p[0] != ':' || !address_port(str_skip(rest, 1), &port)))
		return false;
	if (!address_read(host, out))
		return false;
	out->port = port;
	return true;
}
