/* proxy_credential.c - which of user name and password is the credential (flespi.md 1.5). */
#include "tests/kit/kit.h"
#include "proxy/auth.h"
#include "wire/token.h"

static char key_bytes[TOKEN_KEY], other_bytes[TOKEN_KEY];

static struct str make_key(char into[TOKEN_KEY], uint8_t seed)
{
	uint8_t random[TOKEN_RANDOM];

	memset(random, seed, sizeof(random));
	token_make(into, random);
	return str_make(into, TOKEN_KEY);
}

static struct str key(void)
{
	return make_key(key_bytes, 7);
}

static struct str prefixed(struct str k)
{
	static char text[12 + TOKEN_KEY];

	memcpy(text, "FlespiToken ", 12);
	memcpy(text + 12, k.p, TOKEN_KEY);
	return str_make(text, sizeof(text));
}

static struct credential found;
static enum credential_form any_first = CREDENTIAL_PASSWORD;

/* STR_NONE: absent */
static bool find(struct str username, struct str password, bool any_form)
{
	found = (struct credential){ 0 };
	return credential_find(username, username.p != NULL, password, password.p != NULL,
	                       any_form ? any_first : CREDENTIAL_MBUS, &found);
}

static void the_user_name_may_be_the_key(void)
{
	YES(find(key(), STR_NONE, false));
	IS_BYTES(found.key, key());
	IS(found.short_id, 0);
	YES(find(key(), STR(""), false));
}

static void the_user_name_may_carry_the_word_FlespiToken(void)
{
	YES(find(prefixed(key()), STR_NONE, false));
	IS_BYTES(found.key, key());
}

static void the_password_may_be_the_key(void)
{
	YES(find(STR("whoever"), key(), false));
	IS_BYTES(found.key, key());
	YES(find(STR_NONE, key(), false));
	YES(find(STR(""), prefixed(key()), false));
	IS_BYTES(found.key, key());
}

static void of_two_keys_the_user_name_counts(void)
{
	YES(find(key(), make_key(other_bytes, 9), false));
	IS_BYTES(found.key, key());
}

static void id_and_sixteen_characters_are_the_short_form(void)
{
	YES(find(STR("4711"), str_make(key().p, TOKEN_SHORT), false));
	IS(found.short_id, 4711);
	IS_BYTES(found.key, str_make(key().p, TOKEN_SHORT));
}

static void the_short_form_needs_both_parts_whole(void)
{
	struct str first = str_make(key().p, TOKEN_SHORT);

	NO(find(STR("4711"), str_make(key().p, TOKEN_SHORT - 1), false));
	NO(find(STR("4711"), str_make(key().p, TOKEN_SHORT + 1), false));
	NO(find(STR(""), first, false));
	NO(find(STR_NONE, first, false));
	NO(find(STR("0"), first, false));
	NO(find(STR("04711"), first, false));
	NO(find(STR("+4711"), first, false));
	NO(find(STR("99999999999999999999"), first, false));
	NO(find(STR("4711"), STR("0123456789abcde\n"), false));
}

static void a_key_with_one_wrong_character_is_no_key(void)
{
	for (size_t i = 0; i < TOKEN_KEY; i++) {
		char bad[TOKEN_KEY];

		memcpy(bad, key().p, TOKEN_KEY);
		bad[i] = bad[i] == 'x' ? 'y' : 'x';
		NO(find(str_make(bad, TOKEN_KEY), STR_NONE, false));
	}
}

static void nothing_is_no_credential(void)
{
	NO(find(STR_NONE, STR_NONE, false));
	NO(find(STR(""), STR(""), false));
	NO(find(STR("admin"), STR("admin"), false));
	NO(find(STR_NONE, STR_NONE, true));
	NO(find(STR(""), STR(""), true));
}

static void any_form_takes_a_name_as_the_key(void)
{
	YES(find(STR("eyJhbGciOi.J9-_.x=="), STR_NONE, true));
	IS_STR(found.key, "eyJhbGciOi.J9-_.x==");
	YES(find(STR(""), STR("secret"), true));
	IS_STR(found.key, "secret");
}

static void of_two_that_could_be_keys_the_password_is_the_key(void)
{
	YES(find(STR("device-7"), STR("s3cret"), true));
	IS_STR(found.key, "s3cret");
	YES(find(STR("device-7"), STR(""), true));
	IS_STR(found.key, "device-7");
	YES(find(STR("device-7"), STR("caf\xc3\xa9"), true));
	IS_STR(found.key, "device-7");
	NO(find(STR("device-7"), STR("s3cret"), false));
}

static void a_setting_looks_at_the_user_name_first(void)
{
	any_first = CREDENTIAL_USERNAME;
	YES(find(STR("device-7"), STR("s3cret"), true));
	IS_STR(found.key, "device-7");
	YES(find(STR("device 7"), STR("s3cret"), true));
	IS_STR(found.key, "s3cret");
	YES(find(STR("lamp"), key(), true));
	IS_BYTES(found.key, key());
	any_first = CREDENTIAL_PASSWORD;
}

static void any_form_still_prefers_what_is_surely_a_credential(void)
{
	YES(find(STR("lamp"), key(), true));
	IS_BYTES(found.key, key());
	YES(find(STR("12"), STR("0123456789abcdef"), true));
	IS(found.short_id, 12);
}

static void nothing_that_could_end_a_header_line_is_a_key(void)
{
	NO(find(STR("key\r\nX: y"), STR_NONE, true));
	NO(find(STR("key\nX"), STR_NONE, true));
	NO(find(STR("a b"), STR_NONE, true));
	NO(find(STR("tab\t"), STR_NONE, true));
	NO(find(STR("caf\xc3\xa9"), STR_NONE, true));
	NO(find(STR("del\x7f"), STR_NONE, true));
	NO(find(STR("nul\0x"), STR_NONE, true));
}

static void a_key_longer_than_the_limit_is_no_key(void)
{
	static char text[CREDENTIAL_MAX + 1];

	memset(text, 'a', sizeof(text));
	YES(find(str_make(text, CREDENTIAL_MAX), STR_NONE, true));
	NO(find(str_make(text, CREDENTIAL_MAX + 1), STR_NONE, true));
}

static void reading_stays_inside_both_strings(void)
{
	each_prefix(p, key()) NO(find(p.first, p.first, false));
	each_prefix(p, prefixed(key())) NO(find(p.first, STR_NONE, false));
}

RUN(the_user_name_may_be_the_key, the_user_name_may_carry_the_word_FlespiToken,
    the_password_may_be_the_key, of_two_keys_the_user_name_counts,
    id_and_sixteen_characters_are_the_short_form, the_short_form_needs_both_parts_whole,
    a_key_with_one_wrong_character_is_no_key, nothing_is_no_credential,
    any_form_takes_a_name_as_the_key, of_two_that_could_be_keys_the_password_is_the_key,
    a_setting_looks_at_the_user_name_first, any_form_still_prefers_what_is_surely_a_credential,
    nothing_that_could_end_a_header_line_is_a_key, a_key_longer_than_the_limit_is_no_key,
    reading_stays_inside_both_strings)
