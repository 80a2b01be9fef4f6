/* proxy_protocol.c - fuzz target: the header of the PROXY protocol. Every prefix must ask for more
 * until the answer comes, which then stays; what was read lies in the header; a header made from
 * what was read is read the same. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "wire/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A block of its own size: a sanitizer sees the first byte too far. */
static enum parse read_exact(const uint8_t *data, size_t n, size_t *header)
{
	char *copy = malloc(n ? n : 1);
	struct proxy_protocol p = { 0 };
	enum parse answer;

	MUST(copy);
	if (n)
		memcpy(copy, data, n);
	answer = proxy_protocol_read(str_make(copy, n), &p);
	*header = p.size;
	free(copy);
	return answer;
}

static void inside(struct str part, struct str header)
{
	if (part.p)
		MUST(part.p >= header.p && part.p + part.n <= header.p + header.n);
}

static bool is_v4(const struct sock_addr *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(a->bytes, mapped, sizeof(mapped)) == 0;
}

static bool same(const struct sock_addr *a, const struct sock_addr *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0 && a->port == b->port &&
	       a->local == b->local;
}

/* Version 1 of what version 2 said, and the other way round, say the same. */
static void say_again(const struct proxy_protocol *p)
{
	bool v4 = is_v4(&p->source) && is_v4(&p->destination);
	char from[SOCK_TEXT], to[SOCK_TEXT], line[PROXY_V1_MAX + 40];
	uint8_t v2[16 + 36] = "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24";
	struct proxy_protocol again;

	if (p->own || p->source.local)
		return;
	sock_text(&p->source, from);
	sock_text(&p->destination, to);
	if (v4 || (!is_v4(&p->source) && !is_v4(&p->destination))) {
		int n =
		    snprintf(line, sizeof(line), "PROXY %s %s %s %u %u\r\n", v4 ? "TCP4" : "TCP6",
		             from, to, p->source.port, p->destination.port);

		MUST(proxy_protocol_read(str_make(line, (size_t)n), &again) == PARSE_OK &&
		     again.size == (size_t)n);
		MUST(same(&again.source, &p->source) && same(&again.destination, &p->destination));
	}
	memcpy(v2 + 16, p->source.bytes, 16);
	memcpy(v2 + 32, p->destination.bytes, 16);
	v2[48] = (uint8_t)(p->source.port >> 8);
	v2[49] = (uint8_t)p->source.port;
	v2[50] = (uint8_t)(p->destination.port >> 8);
	v2[51] = (uint8_t)p->destination.port;
	MUST(proxy_protocol_read(str_make(v2, sizeof(v2)), &again) == PARSE_OK &&
	     again.size == sizeof(v2));
	MUST(same(&again.source, &p->source) && same(&again.destination, &p->destination));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_protocol p = { 0 };
	enum parse whole = proxy_protocol_read(str_make(data, size), &p);
	struct str header = str_make(data, p.size);
	size_t most = size_min(size, 300), said;
	enum parse last = PARSE_MORE;

	for (size_t n = 0; n <= most; n++) {
		enum parse answer = read_exact(data, n, &said);

		MUST(last == PARSE_MORE || answer == last);
		MUST(answer == PARSE_MORE || answer == whole);
		if (answer == PARSE_OK)
			MUST(said == p.size && n >= said);
		last = answer;
	}
	if (size <= 300)
		MUST(last == whole);
	if (whole != PARSE_OK)
		return 0;
	MUST(p.size <= size && p.size <= (p.version == 1 ? PROXY_V1_MAX : PROXY_V2_MAX));
	inside(p.alpn, header);
	inside(p.authority, header);
	inside(p.unique_id, header);
	inside(p.ssl_version, header);
	inside(p.ssl_cn, header);
	MUST(mqtt_utf8_ok(p.ssl_cn) && (p.ssl || !p.ssl_cn.p));
	MUST(!proxy_protocol_verified(&p) || (p.ssl && p.ssl_verify == 0));
	say_again(&p);
	return 0;
}
