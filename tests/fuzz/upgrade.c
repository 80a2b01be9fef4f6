/* upgrade.c - fuzz target: the HTTP request before a WebSocket, whole and in pieces that grow as
 * the input says; the answers must be one. What was read must be what is written in the head: each
 * fact is a slice of it, and the characters are those that may stand there. Addresses as text and
 * the query are tried on the way.
 *
 * Input: u8 seed of the cuts | u8 rules | bytes of the request. */
#include "base/base.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "wire/address.h"
#include "wire/upgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct str origins[] = { STR_INIT("https://a.example"), STR_INIT("null") };
static const struct upgrade_rules rules_of[] = {
	{ .any_origin = true },
	{ .path = STR_INIT("/mqtt"), .origins = origins, .origin_count = ARRAY_LEN(origins) },
};

static void inside(struct str part, struct str head)
{
	if (part.p)
		MUST(part.p >= head.p && part.p + part.n <= head.p + head.n);
	for (size_t i = 0; i < part.n; i++)
		MUST((uint8_t)part.p[i] >= 0x20 || part.p[i] == '\t');
}

static bool trusted(const struct sock_addr *a, void *arg)
{
	(void)arg;
	return a->bytes[15] & 1;
}

static void facts(const struct upgrade *u, struct str head)
{
	const struct str parts[] = { u->query, u->host,    u->origin, u->authorization,
		                     u->key,   u->version, u->real_ip };
	struct sock_addr peer = { .bytes = { [15] = 1 } }, out;
	struct str value;

	MUST(u->size <= UPGRADE_HEAD_MAX && u->headers <= UPGRADE_HEADERS_MAX);
	MUST(u->size >= 4 && memcmp(head.p + u->size - 4, "\r\n\r\n", 4) == 0);
	MUST(!memmem(head.p, u->size - 1, "\r\n\r\n", 4));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		inside(parts[i], head);
	if (u->method != UPGRADE_OTHER)
		MUST(u->path.n && u->path.p[0] == '/');
	MUST(u->forwarded_count <= UPGRADE_FORWARDED_MAX);
	for (size_t i = 0; i < u->forwarded_count; i++)
		inside(u->forwarded[i], head);
	(void)upgrade_client(u, UPGRADE_FORWARDED_FOR, &peer, trusted, NULL, &out);
	(void)upgrade_client(u, UPGRADE_REAL_IP, &peer, trusted, NULL, &out);
	if (upgrade_query_find(u->query, STR("token"), &value))
		inside(value, head);
}

/* An answer is one head, and one body of the length that it says. */
static void answered(struct buf *b)
{
	static const char length[] = "Content-Length: ";
	struct str all = buf_str(b);
	const char *end = memmem(all.p, all.n, "\r\n\r\n", 4);
	const char *at = memmem(all.p, all.n, length, sizeof(length) - 1);

	MUST(end && str_starts(all, STR("HTTP/1.1 ")));
	if (at)
		MUST(strtoul(at + sizeof(length) - 1, NULL, 10) ==
		     all.n - (size_t)(end + 4 - all.p));
	buf_free(b);
}

/* The shortest prefixes first, as reads of a socket bring them, each in a block of its own size. */
static enum parse in_pieces(const uint8_t *data, size_t size, uint32_t random, struct upgrade *u,
                            unsigned *status)
{
	enum parse answer = PARSE_MORE;
	size_t n = 0, seen = 0;

	while (answer == PARSE_MORE && n < size) {
		char *copy;

		random = random * 1664525u + 1013904223u;
		n = size_min(size, n + 1 + (random >> 16) % 200);
		copy = malloc(n);
		MUST(copy);
		memcpy(copy, data, n);
		answer = upgrade_read(str_make(copy, n), seen, u, status);
		seen = n;
		free(copy);
	}
	return answer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct upgrade_rules *rules;
	struct upgrade u = { 0 }, other = { 0 };
	unsigned status = 0, other_status = 0;
	struct sock_addr a;
	struct buf b = { 0 };
	enum parse answer;
	const char *why;
	uint32_t random;

	if (size < 2)
		return 0;
	random = data[0];
	rules = &rules_of[data[1] % ARRAY_LEN(rules_of)];
	data += 2;
	size -= 2;
	(void)address_port_read(str_make(data, size), &a);
	answer = upgrade_read(str_make(data, size), 0, &u, &status);
	MUST(in_pieces(data, size, random, &other, &other_status) == answer &&
	     other_status == status);
	MUST(u.size == other.size && u.headers == other.headers && u.protocol == other.protocol);
	if (answer == PARSE_MORE)
		return 0;
	if (answer == PARSE_OK) {
		facts(&u, str_make(data, size));
		status = upgrade_judge(&u, rules, size - u.size, &why);
	}
	if (status == 101)
		MUST(upgrade_accept_write(&b, &u) == 0 && u.size == size);
	else if (status == 200)
		upgrade_page_write(&b, false, STR("text/html"), STR("page"));
	else
		upgrade_refuse_write(&b, status, "fuzz");
	answered(&b);
	return 0;
}
