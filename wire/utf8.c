/* utf8.c - is this text what MQTT calls a UTF-8 Encoded String, and is it a name we accept? One
 * scan in five degrees of strictness, made by the compiler from one body. Nearly all names are
 * ASCII, so eight bytes are looked at at a time until one is not plain; only then it goes
 * character by character. Length-counted throughout (attacks P25, P26, P27). */
#include "base/base.h"
#include "wire/mqtt_parts.h"

enum strictness {
	TEXT,   /* well-formed: RFC 3629 shortest forms, no surrogates, nothing above U+10FFFF */
	STRING, /* and no U+0000 [MQTT-1.5.4-2] */
	ID,     /* and no control characters: our policy, attack P27 */
	NAME,   /* and no non-characters: the same */
	TOPIC,  /* and no wildcard characters [MQTT-3.3.2-2] */
};

#define EACH(byte) (0x0101010101010101u * (uint64_t)(byte))

/* Eight bytes that need no closer look. Each term sets the top bit of some byte if and only if
 * there is one it is looking for: with all bytes below 0x80 (the first term), a subtraction
 * borrows only at a byte that is too small, and an addition never carries. */
static inline bool plain8(const uint8_t *p, enum strictness how)
{
	uint64_t w, bad;

	memcpy(&w, p, sizeof(w));
	bad = w;
	if (how == STRING)
		bad |= w - EACH(0x01); /* 00 */
	if (how >= ID)
		bad |= (w - EACH(0x20)) | (w + EACH(0x01)); /* 00-1F, 7F */
	if (how == TOPIC)
		/* the wildcards differ in one bit, which '+' has */
		bad |= ((w | EACH('+' ^ '#')) ^ EACH('+')) - EACH(0x01);
	return !(bad & EACH(0x80));
}

static inline bool ascii_ok(uint8_t c, enum strictness how)
{
	if (how == STRING)
		return c != 0;
	if (how >= ID && (c < 0x20 || c == 0x7f))
		return false;
	return how < TOPIC || (c != '+' && c != '#');
}

static inline bool is_tail(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/* One character beyond ASCII: its length in bytes, or 0 when it is not well-formed (the table of
 * RFC 3629, section 4). */
static size_t wide_char(const uint8_t *p, size_t left, uint32_t *out)
{
	uint8_t c = p[0];

	if (c < 0xc2) /* a tail without a head, or two bytes for what fits in one */
		return 0;
	if (c < 0xe0) {
		if (left < 2 || !is_tail(p[1]))
			return 0;
		*out = (c & 0x1fu) << 6 | (p[1] & 0x3fu);
		return 2;
	}
	if (c < 0xf0) {
		if (left < 3 || !is_tail(p[1]) || !is_tail(p[2]))
			return 0;
		*out = (c & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
		return *out < 0x800 || (*out >= 0xd800 && *out <= 0xdfff) ? 0 : 3;
	}
	if (c > 0xf4 || left < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3]))
		return 0;
	*out = (c & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
	return *out < 0x10000 || *out > 0x10ffff ? 0 : 4;
}

/* U+0080-009F are the C1 controls; the non-characters are FDD0-FDEF and the last two of each plane.
 * Names that programs cannot print are a way to hurt the other side, never a need. U+FEFF is a
 * character like any other [MQTT-1.5.4-3]. */
static bool wide_ok(uint32_t c, enum strictness how)
{
	if (how < ID)
		return true;
	return c >= 0xa0 &&
	       (how < NAME || (!(c >= 0xfdd0 && c <= 0xfdef) && (c & 0xfffe) != 0xfffe));
}

static inline __attribute__((always_inline)) bool scan(struct str s, enum strictness how)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t i = 0;

	while (s.n - i >= 8 && plain8(p + i, how))
		i += 8;
	/* The rest of a plain text: eight bytes that reach back into what is known to be plain
	 * cost one look instead of seven. */
	if (s.n >= 8 && s.n - i < 8 && plain8(p + s.n - 8, how))
		return true;
	while (i < s.n) {
		uint32_t c;
		size_t size;

		if (p[i] < 0x80) {
			if (!ascii_ok(p[i], how))
				return false;
			i++;
			continue;
		}
		size = wide_char(p + i, s.n - i, &c);
		if (size == 0 || !wide_ok(c, how))
			return false;
		i += size;
	}
	return true;
}

bool mqtt_text_ok(struct str s)
{
	return scan(s, TEXT);
}

bool mqtt_utf8_ok(struct str s)
{
	return scan(s, STRING);
}

bool mqtt_client_id_ok(struct str s)
{
	return scan(s, ID);
}

bool mqtt_name_ok(struct str s)
{
	return scan(s, NAME);
}

unsigned mqtt_topic_judge(struct str topic)
{
	if (likely(topic.n && scan(topic, TOPIC)))
		return RC_SUCCESS;
	/* An empty name [MQTT-4.7.3-1], a wildcard in it [MQTT-3.3.2-2], or what mqtt_name_ok
	 * refuses; else it was not text at all. */
	return mqtt_utf8_ok(topic) ? RC_TOPIC_NAME_INVALID : RC_MALFORMED_PACKET;
}
