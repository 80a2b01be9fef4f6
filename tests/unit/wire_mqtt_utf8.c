/* wire_mqtt_utf8.c - text and names, against an encoder that knows nothing of the scan. */
#include "base/base.h"
#include "tests/unit/wire_mqtt.h"
#include "wire/mqtt_parts.h"

/* Writes code point c in `size` bytes, also where that is not the shortest form, or no character
 * at all. */
static struct str encoded(uint8_t *room, uint32_t c, unsigned size)
{
	static const uint8_t heads[] = { 0, 0x00, 0xc0, 0xe0, 0xf0, 0xf8 };

	for (unsigned i = size; i-- > 1; c >>= 6)
		room[i] = 0x80 | (c & 0x3f);
	room[0] = (uint8_t)(heads[size] | c);
	return str_make(room, size);
}

static unsigned shortest(uint32_t c)
{
	return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

/* Where the eight-byte steps begin and end must not matter: s between `before` and `after`
 * letters, at a page's end. */
static struct str embedded(struct str s, size_t before, size_t after)
{
	uint8_t room[64];

	MUST(before + s.n + after <= sizeof(room));
	memset(room, 'a', sizeof(room));
	memcpy(room + before, s.p, s.n);
	return guard_str(str_make(room, before + s.n + after));
}

/* Strides over the planes where nothing changes; never over an edge. */
static uint32_t next_interesting(uint32_t c)
{
	if (c < 0x3000 || (c >= 0xd700 && c < 0x10100) || (c & 0xffff) >= 0xfff0 ||
	    (c & 0xffff) < 0x10)
		return c + 1;
	return c + 7;
}

static void every_character_is_text_and_nothing_else_is(void)
{
	uint8_t room[8];

	for (uint32_t c = 0; c < 0x110000; c = next_interesting(c)) {
		struct str s = encoded(room, c, shortest(c));
		bool surrogate = c >= 0xd800 && c <= 0xdfff;

		IS(mqtt_text_ok(s), !surrogate);
		IS(mqtt_utf8_ok(s), !surrogate && c != 0);
	}
}

static void P27_names_refuse_controls_and_non_characters_and_ids_only_controls(void)
{
	uint8_t room[8];

	for (uint32_t c = 0; c < 0x110000; c = next_interesting(c)) {
		bool control = c < 0x20 || (c >= 0x7f && c < 0xa0),
		     none = (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xffff) >= 0xfffe,
		     surrogate = c >= 0xd800 && c <= 0xdfff;
		struct str s = encoded(room, c, shortest(c));

		IS(mqtt_client_id_ok(s), !control && !surrogate);
		IS(mqtt_name_ok(s), !control && !surrogate && !none);
	}
}

static void P25_overlong_forms_are_not_text(void)
{
	uint8_t room[8];

	for (uint32_t c = 0; c < 0x10000; c = next_interesting(c)) {
		for (unsigned size = shortest(c) + 1; size <= 4; size++)
			NO(mqtt_utf8_ok(encoded(room, c, size)));
	}
}

static void P25_nothing_above_10FFFF_is_text(void)
{
	uint8_t room[8];

	for (uint32_t c = 0x110000; c < 0x200000; c += 251)
		NO(mqtt_utf8_ok(encoded(room, c, 4)));
	NO(mqtt_utf8_ok(B("\xf8\x88\x80\x80\x80")));
	NO(mqtt_utf8_ok(B("\xfe")));
	NO(mqtt_utf8_ok(B("\xff\xff\xff\xff\xff\xff\xff\xff\xff")));
}

static void P25_a_character_cut_short_is_not_text_wherever_it_stands(void)
{
	static const struct str whole[] = { STR_INIT("\xc3\xa9"), STR_INIT("\xe2\x82\xac"),
		                            STR_INIT("\xf0\x9f\x98\x80") };

	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		for (size_t before = 0; before < 20; before++) {
			for (size_t keep = 1; keep < whole[i].n; keep++) {
				NO(mqtt_utf8_ok(embedded(str_make(whole[i].p, keep), before, 0)));
				NO(mqtt_utf8_ok(embedded(str_make(whole[i].p, keep), before, 9)));
				NO(mqtt_utf8_ok(embedded(str_skip(whole[i], keep), before, 3)));
			}
			YES(mqtt_utf8_ok(embedded(whole[i], before, 0)));
			YES(mqtt_name_ok(embedded(whole[i], before, 11)));
			guard_reset();
		}
	}
}

static void P26_a_zero_is_found_at_every_place(void)
{
	for (size_t before = 0; before < 20; before++) {
		for (size_t after = 0; after < 20; after++) {
			struct str s = embedded(STR("\0"), before, after);

			NO(mqtt_utf8_ok(s));
			NO(mqtt_name_ok(s));
			YES(mqtt_text_ok(s));
		}
		guard_reset();
	}
}

static void P27_a_control_character_is_found_at_every_place(void)
{
	static const struct str bad[] = { STR_INIT("\x01"),        STR_INIT("\x1f"),
		                          STR_INIT("\x7f"),        STR_INIT("\xc2\x80"),
		                          STR_INIT("\xc2\x9f"),    STR_INIT("\xef\xbf\xbf"),
		                          STR_INIT("\xef\xb7\x90") };

	for (size_t before = 0; before < 20; before++) {
		for (size_t i = 0; i < ARRAY_LEN(bad) * 20; i++) {
			struct str s =
			    embedded(bad[i % ARRAY_LEN(bad)], before, i / ARRAY_LEN(bad));

			NO(mqtt_name_ok(s));
			YES(mqtt_utf8_ok(s));
			IS(mqtt_topic_judge(s), RC_TOPIC_NAME_INVALID);
		}
		guard_reset();
	}
}

static void P20_a_wildcard_is_found_at_every_place(void)
{
	for (size_t before = 0; before < 20; before++) {
		for (size_t after = 0; after < 20; after++) {
			IS(mqtt_topic_judge(embedded(STR("+"), before, after)),
			   RC_TOPIC_NAME_INVALID);
			IS(mqtt_topic_judge(embedded(STR("#"), before, after)),
			   RC_TOPIC_NAME_INVALID);
			IS(mqtt_topic_judge(embedded(STR("*"), before, after)), RC_SUCCESS);
			IS(mqtt_topic_judge(embedded(STR("\xff"), before, after)),
			   RC_MALFORMED_PACKET);
		}
		guard_reset();
	}
}

static void an_empty_text_is_text_but_no_topic(void)
{
	YES(mqtt_utf8_ok(STR_NONE));
	YES(mqtt_name_ok(STR_NONE));
	YES(mqtt_text_ok(B("")));
	IS(mqtt_topic_judge(STR_NONE), RC_TOPIC_NAME_INVALID);
}

static void P36_magic_words_are_plain_bytes(void)
{
	YES(mqtt_name_ok(B("__proto__")));
	YES(mqtt_name_ok(B("%n%s%x")));
	YES(mqtt_name_ok(B("'; DROP TABLE tokens; --")));
	IS(mqtt_topic_judge(B("$constructor/%n/../a b")), RC_SUCCESS);
}

RUN(every_character_is_text_and_nothing_else_is,
    P27_names_refuse_controls_and_non_characters_and_ids_only_controls,
    P25_overlong_forms_are_not_text, P25_nothing_above_10FFFF_is_text,
    P25_a_character_cut_short_is_not_text_wherever_it_stands, P26_a_zero_is_found_at_every_place,
    P27_a_control_character_is_found_at_every_place, P20_a_wildcard_is_found_at_every_place,
    an_empty_text_is_text_but_no_topic, P36_magic_words_are_plain_bytes)
