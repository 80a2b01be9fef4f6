/* Keys of 64 characters: what is one, and that what we make is one. */
#include "base/base.h"
#include "tests/kit/kit.h"
#include "wire/token.h"

static const char zeros_key[] = "mbus"
				"0000000000000000000000000000000000000000000"
				"00000000000";

static struct str make(char key[TOKEN_KEY], int fill)
{
	uint8_t random[TOKEN_RANDOM];

	memset(random, fill, sizeof(random));
	token_make(key, random);
	return str_make(key, TOKEN_KEY);
}

static void a_made_key_is_ok(void)
{
	char key[TOKEN_KEY];
	uint8_t random[TOKEN_RANDOM];

	for (unsigned i = 0; i < 20000; i++) {
		any_bytes(random, sizeof(random));
		token_make(key, random);
		YES(token_key_ok(guard_str(str_make(key, TOKEN_KEY))));
		guard_reset();
	}
}

static void the_digits_are_those_of_the_random_number(void)
{
	char key[TOKEN_KEY];
	uint8_t random[TOKEN_RANDOM] = { 0 };

	IS_BYTES(str_make(make(key, 0).p, 58), str_c(zeros_key));
	random[TOKEN_RANDOM - 1] = 61; /* the least digit comes first */
	token_make(key, random);
	IS(key[4], 'z');
	IS(key[5], '0');
	random[TOKEN_RANDOM - 1] = 62;
	token_make(key, random);
	IS(key[4], '0');
	IS(key[5], '1');
	random[TOKEN_RANDOM - 2] = 62 * 62 >> 8;
	random[TOKEN_RANDOM - 1] = (62 * 62) & 0xff;
	token_make(key, random);
	IS_STR(str_make(key, 8), "mbus0010");
}

static void the_random_bytes_are_not_changed(void)
{
	char key[TOKEN_KEY];
	uint8_t random[TOKEN_RANDOM], copy[TOKEN_RANDOM];

	any_bytes(random, sizeof(random));
	memcpy(copy, random, sizeof(random));
	token_make(key, random);
	IS(memcmp(copy, random, sizeof(random)), 0);
}

static void every_character_comes_up_equally_often(void)
{
	enum { KEYS = 20000, EXPECTED = KEYS * 54 / 62 };
	unsigned seen[256] = { 0 };
	uint8_t random[TOKEN_RANDOM];
	char key[TOKEN_KEY];

	for (unsigned i = 0; i < KEYS; i++) {
		any_bytes(random, sizeof(random));
		token_make(key, random);
		for (size_t j = 4; j < 58; j++)
			seen[(unsigned char)key[j]]++;
	}
	for (const char *c = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"; *c;
	     c++) {
		YES(seen[(unsigned char)*c] >
		    EXPECTED * 95 / 100); /* 6 standard deviations are 4.6 % */
		YES(seen[(unsigned char)*c] < EXPECTED * 105 / 100);
	}
}

static void every_single_change_of_a_key_is_noticed(void) /* attack A20 */
{
	static const char digits[] =
	    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	char key[TOKEN_KEY];

	(void)make(key, 0x5a);
	for (size_t i = 0; i < TOKEN_KEY; i++) {
		char was = key[i];

		for (size_t d = 0; d < 62; d++) {
			key[i] = digits[d];
			IS(token_key_ok(str_make(key, TOKEN_KEY)), digits[d] == was);
		}
		key[i] = was;
	}
}

static void other_lengths_and_characters_are_no_keys(void)
{
	char key[TOKEN_KEY + 1];

	(void)make(key, 0x77);
	key[TOKEN_KEY] = '0';
	each_prefix(p, str_make(key, TOKEN_KEY)) NO(token_key_ok(p.first));
	NO(token_key_ok(str_make(key, TOKEN_KEY + 1)));
	NO(token_key_ok(STR_NONE));
	key[20] = '-';
	NO(token_key_ok(str_make(key, TOKEN_KEY)));
	key[20] = '\0';
	NO(token_key_ok(str_make(key, TOKEN_KEY)));
	key[20] = (char)0xe4;
	NO(token_key_ok(str_make(key, TOKEN_KEY)));
}

static void the_checksum_is_known(void) /* so that a change of the form does not go unnoticed */
{
	char key[TOKEN_KEY];

	IS_BYTES(make(key, 0), str_c("mbus"
	                             "0000000000000000000000000000000000000000000"
	                             "00000000000"
	                             "1UZkur"));
}

static void the_lookup_id_stands_after_the_secret(void)
{
	char key[TOKEN_KEY];
	struct str lookup = token_lookup(make(key, 0xc3));

	IS(lookup.n, TOKEN_LOOKUP);
	IS(lookup.p - key, 47);
	DIES((void)token_lookup(STR("short")));
}

static void the_word_before_a_key_is_stripped_once(void)
{
	IS_STR(token_strip(STR("FlespiToken abc")), "abc");
	IS_STR(token_strip(STR("abc")), "abc");
	IS_STR(token_strip(STR("FlespiToken  abc")), " abc");
	IS_STR(token_strip(STR("FlespiToken FlespiToken a")), "FlespiToken a");
	IS_STR(token_strip(STR("flespitoken abc")), "flespitoken abc");
	IS_STR(token_strip(STR("FlespiToken")), "FlespiToken");
	IS_STR(token_strip(STR("FlespiToken ")), "");
	IS(token_strip(STR_NONE).n, 0);
}

static void a_short_credential_is_an_id_and_sixteen_characters(void)
{
	uint64_t id = 5;

	YES(token_short_ok(STR("42"), STR("mbus0123456789ab"), &id));
	IS(id, 42);
	YES(token_short_ok(STR("18446744073709551615"), STR("abcdefghABCDEFGH"), &id));
	id = 5;
	NO(token_short_ok(STR(""), STR("mbus0123456789ab"), &id));
	NO(token_short_ok(STR("0"), STR("mbus0123456789ab"), &id));
	NO(token_short_ok(STR("042"), STR("mbus0123456789ab"), &id));
	NO(token_short_ok(STR("+42"), STR("mbus0123456789ab"), &id));
	NO(token_short_ok(STR("42 "), STR("mbus0123456789ab"), &id));
	NO(token_short_ok(STR("18446744073709551616"), STR("mbus0123456789ab"), &id));
	NO(token_short_ok(STR("42"), STR("mbus0123456789a"), &id));
	NO(token_short_ok(STR("42"), STR("mbus0123456789abc"), &id));
	NO(token_short_ok(STR("42"), STR("mbus0123456789a-"), &id));
	NO(token_short_ok(STR("42"), STR("mbus0123456789a\0"), &id));
	IS(id, 5);
}

RUN(a_made_key_is_ok, the_digits_are_those_of_the_random_number, the_random_bytes_are_not_changed,
    every_character_comes_up_equally_often, every_single_change_of_a_key_is_noticed,
    other_lengths_and_characters_are_no_keys, the_checksum_is_known,
    the_lookup_id_stands_after_the_secret, the_word_before_a_key_is_stripped_once,
    a_short_credential_is_an_id_and_sixteen_characters)
