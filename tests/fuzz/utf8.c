/* utf8.c - fuzz target: the scan of text and names against a reference that goes byte by byte
 * through the grammar of RFC 3629, section 4, and shares no line with it. Every tail of the
 * input is judged too, so that the eight-byte steps begin everywhere. */
#include "base/base.h"

#include "wire/mqtt_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* UTF8-2 .. UTF8-4 of the grammar: the first two bytes decide, all others are 80-BF. */
static const struct row {
	uint8_t first_low, first_high, second_low, second_high, size;
} grammar[] = {
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static bool between(uint8_t v, uint8_t low, uint8_t high)
{
	return v >= low && v <= high;
}

/* Length of the character at p and its number, or 0. */
static size_t reference_char(const uint8_t *p, size_t left, uint32_t *c)
{
	static const uint8_t payload_bits[] = { 0, 0, 0x1f, 0x0f, 0x07 };

	*c = p[0];
	if (p[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(grammar); i++) {
		const struct row *r = &grammar[i];

		if (!between(p[0], r->first_low, r->first_high))
			continue;
		if (left < r->size || !between(p[1], r->second_low, r->second_high))
			return 0;
		*c = p[0] & payload_bits[r->size];
		for (size_t k = 1; k < r->size; k++) {
			if (!between(p[k], 0x80, 0xbf))
				return 0;
			*c = *c * 64 + (p[k] - 0x80);
		}
		return r->size;
	}
	return 0;
}

struct answers {
	bool text, string, id, name, topic;
};

static struct answers reference(const uint8_t *p, size_t n)
{
	struct answers a = { true, true, true, true, n > 0 };

	while (n) {
		uint32_t c;
		size_t size = reference_char(p, n, &c);

		if (size == 0)
			return (struct answers){ 0 };
		if (c == 0)
			a.string = false;
		if (c < 32 || (c >= 127 && c < 160))
			a.id = false;
		if ((c >= 0xfdd0 && c <= 0xfdef) || c % 0x10000 >= 0xfffe)
			a.name = false;
		if (c == '+' || c == '#')
			a.topic = false;
		p += size;
		n -= size;
	}
	a.name = a.name && a.id;
	a.topic = a.topic && a.name;
	return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (size_t from = 0; from < size && from < 40; from++) {
		struct str s = str_make(data + from, size - from);
		struct answers a = reference(data + from, size - from);
		unsigned topic = mqtt_topic_judge(s);

		MUST(mqtt_text_ok(s) == a.text);
		MUST(mqtt_utf8_ok(s) == a.string);
		MUST(mqtt_client_id_ok(s) == a.id);
		MUST(mqtt_name_ok(s) == a.name);
		MUST(topic == (a.topic    ? RC_SUCCESS
		               : a.string ? RC_TOPIC_NAME_INVALID
		                          : RC_MALFORMED_PACKET));
	}
	return 0;
}
