/* proxy_protocol.c - the header of the PROXY protocol (proxy_protocol.h). Sections are those of
 * haproxy's proxy-protocol.txt. */
#include "base/base.h"
#include "wire/proxy_protocol.h"
#include "base/bytes.h"
#include "wire/address.h"

static const struct str v1_begin = STR_INIT("PROXY ");
static const struct str v2_begin = STR_INIT("\r\n\r\n\0\r\nQUIT\n");

/* ---- Version 1, section 2.1: "PROXY TCP4 source destination port port\r\n" ---- */

/* The next word: up to a space, or to the end. Words are parted by exactly one space. */
static struct str word_take(struct str *line)
{
	const char *space = line->n ? memchr(line->p, ' ', line->n) : NULL;
	struct str word = *line;

	if (space)
		word.n = (size_t)(space - line->p);
	*line = space ? str_skip(*line, word.n + 1) : str_skip(*line, line->n);
	return word;
}

/* TCP6 with an IPv4 address in it is written ::ffff:a.b.c.d, with colons. */
static bool v1_address(struct str text, bool v6, struct sock_addr *out)
{
	return (text.n && memchr(text.p, ':', text.n) != NULL) == v6 && address_read(text, out);
}

static enum parse v1_line(struct str line, struct proxy_protocol *out)
{
	struct str family = word_take(&line), source, destination, from, to;
	bool v6 = str_eq(family, STR("TCP6"));

	if (str_eq(family, STR("UNKNOWN"))) {
		out->own = true; /* what follows is to be ignored */
		return PARSE_OK;
	}
	if (!v6 && !str_eq(family, STR("TCP4")))
		return PARSE_BAD;
	source = word_take(&line);
	destination = word_take(&line);
	from = word_take(&line);
	to = line; /* the last one: a space in it is no digit */
	if (!v1_address(source, v6, &out->source) ||
	    !v1_address(destination, v6, &out->destination))
		return PARSE_BAD;
	if (!address_port(from, &out->source.port) || !address_port(to, &out->destination.port))
		return PARSE_BAD;
	return PARSE_OK;
}

static enum parse v1_read(struct str bytes, struct proxy_protocol *out)
{
	size_t n = size_min(bytes.n, PROXY_V1_MAX);

	for (size_t i = v1_begin.n; i < n; i++) {
		uint8_t c = (uint8_t)bytes.p[i];

		if ((c == '\n') != (bytes.p[i - 1] == '\r'))
			return PARSE_BAD;
		if (c == '\n') {
			out->size = i + 1;
			return v1_line(str_make(bytes.p + v1_begin.n, i - 1 - v1_begin.n), out);
		}
		if (c != '\r' && (c < 0x20 || c >= 0x7f))
			return PARSE_BAD;
	}
	return n == PROXY_V1_MAX ? PARSE_BAD : PARSE_MORE;
}

/* ---- Version 2, section 2.2 ---- */
enum { LOCAL = 0x20, PROXY = 0x21 };
enum { TCP4 = 0x11, TCP6 = 0x21, UNIX = 0x31, UNSPEC = 0x00 };

/* Addresses have one place in the body for each family; LOCAL and UNSPEC may have anything there,
 * as one block that is skipped with the rest. */
static bool v2_addresses(struct take *t, unsigned family, struct proxy_protocol *out)
{
	struct str a, b;
	uint16_t from, to;

	if (family == UNIX) {
		out->source.local = out->destination.local = true;
		return take_bytes(t, 216, &a);
	}
	if (!take_bytes(t, family == TCP4 ? 4 : 16, &a) || !take_bytes(t, a.n, &b))
		return false;
	if (!take_u16(t, &from) || !take_u16(t, &to))
		return false;
	if (family == TCP4) {
		address_v4(&out->source, (const uint8_t *)a.p, from);
		address_v4(&out->destination, (const uint8_t *)b.p, to);
	} else {
		out->source.port = from;
		out->destination.port = to;
		memcpy(out->source.bytes, a.p, a.n);
		memcpy(out->destination.bytes, b.p, b.n);
	}
	return true;
}

/* ---- TLVs: type, two bytes of length, value ---- */
enum {
	ALPN = 0x01,
	AUTHORITY = 0x02,
	CHECKSUM = 0x03,
	UNIQUE_ID = 0x05,
	SSL = 0x20,
	SSL_VERSION = 0x21,
	SSL_CN = 0x22,
	UNIQUE_ID_MAX = 128, /* section 2.2.5 */
};

static bool tlv_take(struct take *t, uint8_t *type, struct str *value)
{
	uint16_t n;

	return take_u8(t, type) && take_u16(t, &n) && take_bytes(t, n, value);
}

static bool slice_once(struct str *slot, struct str value)
{
	if (slot->p)
		return false;
	*slot = value;
	return true;
}

static bool text_once(struct str *slot, struct str value)
{
	return mqtt_utf8_ok(value) && slice_once(slot, value);
}

/* Section 2.2.6: client bits, verify result, then TLVs of its own. */
static bool ssl_take(struct proxy_protocol *out, struct str value)
{
	struct take t = take_from(value.p, value.n);

	if (out->ssl || !take_u8(&t, &out->ssl_client) || !take_u32(&t, &out->ssl_verify))
		return false;
	out->ssl = true;
	while (take_left(&t)) {
		struct str inner;
		uint8_t type;

		if (!tlv_take(&t, &type, &inner))
			return false;
		if (type == SSL_VERSION && !text_once(&out->ssl_version, inner))
			return false;
		if (type == SSL_CN && !text_once(&out->ssl_cn, inner))
			return false;
	}
	return true;
}

/* CRC32c, by halves of bytes: a header is short. */
static uint32_t crc32c(uint32_t crc, struct str s)
{
	static const uint32_t half[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	for (size_t i = 0; i < s.n; i++) {
		crc ^= (uint8_t)s.p[i];
		crc = crc >> 4 ^ half[crc & 15];
		crc = crc >> 4 ^ half[crc & 15];
	}
	return crc;
}

/* Section 2.2.3: of the whole header, with zeros in its own place. */
static bool checksum_ok(struct str header, struct str value)
{
	struct take t = take_from(value.p, value.n);
	size_t at = (size_t)(value.p - header.p);
	uint32_t said, crc = UINT32_MAX;

	if (value.n != 4 || !take_u32(&t, &said))
		return false;
	crc = crc32c(crc, str_make(header.p, at));
	crc = crc32c(crc, STR("\0\0\0\0"));
	crc = crc32c(crc, str_skip(header, at + 4));
	return ~crc == said;
}

/* Types that are not known here are skipped (section 2.2.7 leaves room for them), but must fit. */
static bool tlvs_take(struct take *t, struct str header, struct proxy_protocol *out)
{
	while (take_left(t)) {
		struct str value;
		uint8_t type;
		bool ok = true;

		if (!tlv_take(t, &type, &value))
			return false;
		if (type == ALPN)
			ok = text_once(&out->alpn, value);
		else if (type == AUTHORITY)
			ok = text_once(&out->authority, value);
		else if (type == UNIQUE_ID)
			ok = value.n <= UNIQUE_ID_MAX && slice_once(&out->unique_id, value);
		else if (type == SSL)
			ok = ssl_take(out, value);
		else if (type == CHECKSUM)
			ok = checksum_ok(header, value);
		if (!ok)
			return false;
	}
	return true;
}

/* version and command, family and transport, length: each is judged as soon as it is there. */
static enum parse v2_read(struct str bytes, struct proxy_protocol *out)
{
	struct take t = take_from(bytes.p + v2_begin.n, bytes.n - v2_begin.n);
	uint8_t command, family;
	struct str header, skipped;
	uint16_t n;

	if (!take_u8(&t, &command))
		return PARSE_MORE;
	if (command != LOCAL && command != PROXY)
		return PARSE_BAD;
	if (!take_u8(&t, &family))
		return PARSE_MORE;
	if (command == PROXY && family != TCP4 && family != TCP6 && family != UNIX &&
	    family != UNSPEC)
		return PARSE_BAD;
	if (!take_u16(&t, &n))
		return PARSE_MORE;
	if (n > PROXY_V2_MAX - PROXY_V2_HEAD)
		return PARSE_BAD;
	if (take_left(&t) < n)
		return PARSE_MORE;
	out->size = PROXY_V2_HEAD + (size_t)n;
	header = str_make(bytes.p, out->size);
	t = take_from(header.p + PROXY_V2_HEAD, n);
	out->own = command == LOCAL || family == UNSPEC;
	if (out->own)
		return take_bytes(&t, n, &skipped) ? PARSE_OK : PARSE_BAD;
	return v2_addresses(&t, family, out) && tlvs_take(&t, header, out) ? PARSE_OK : PARSE_BAD;
}

/* ---- Both ---- */
static bool begins(struct str bytes, struct str with)
{
	size_t n = size_min(bytes.n, with.n);

	return n == 0 || memcmp(bytes.p, with.p, n) == 0;
}

enum parse proxy_protocol_read(struct str bytes, struct proxy_protocol *out)
{
	bool v1 = begins(bytes, v1_begin), v2 = begins(bytes, v2_begin);
	struct proxy_protocol p = { .version = v1 ? 1 : 2 };
	enum parse answer;

	if (!v1 && !v2)
		return PARSE_BAD;
	if (bytes.n < (v1 ? v1_begin.n : v2_begin.n))
		return PARSE_MORE;
	answer = v1 ? v1_read(bytes, &p) : v2_read(bytes, &p);
	if (answer == PARSE_OK)
		*out = p;
	return answer;
}

bool proxy_protocol_verified(const struct proxy_protocol *p)
{
	return p->ssl && p->ssl_verify == 0 && (p->ssl_client & PROXY_SSL) &&
	       (p->ssl_client & (PROXY_SSL_CERT_CONN | PROXY_SSL_CERT_SESSION));
}
