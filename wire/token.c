/* token.c - how a token key is spelled (token.h), without knowing what it is worth.
 *
 * The checksum is not a secret and no MAC: it only lets us turn away what cannot be a key before
 * anything is looked up (attack A20), and lets scanners for leaked secrets be sure of what they
 * found. */
#include "base/base.h"
#include "wire/token.h"
#include "base/crypt.h"
#include "base/mem.h"

enum {
	PREFIX = 4,
	SECRET = 43,
	CHECK = 6,
	LOOKUP_AT = PREFIX + SECRET,
	CHECK_AT = LOOKUP_AT + TOKEN_LOOKUP
};
_Static_assert(CHECK_AT + CHECK == TOKEN_KEY, "the parts of a key fill it");

static const char prefix[PREFIX] = { 'm', 'b', 'u', 's' };
static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool all_alphanumeric(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!is_digit(c) && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z'))
			return false;
	}
	return true;
}

/* 62^6 > 2^32, so every checksum has one spelling of six digits. */
static void checksum(char out[CHECK], const char *key)
{
	uint32_t crc = crypt_crc32(str_make(key, CHECK_AT));

	for (int i = CHECK - 1; i >= 0; i--) {
		out[i] = alphabet[crc % 62];
		crc /= 62;
	}
}

bool token_key_ok(struct str key)
{
	char sum[CHECK];

	if (key.n != TOKEN_KEY || memcmp(key.p, prefix, PREFIX) != 0 || !all_alphanumeric(key))
		return false;
	checksum(sum, key.p);
	return memcmp(sum, key.p + CHECK_AT, CHECK) == 0;
}

struct str token_lookup(struct str key)
{
	MUST(key.n == TOKEN_KEY);
	return str_make(key.p + LOOKUP_AT, TOKEN_LOOKUP);
}

/* Divides the big-endian number by 62 in place and returns the remainder. */
static unsigned divide(uint8_t number[TOKEN_RANDOM])
{
	unsigned rest = 0;

	for (size_t i = 0; i < TOKEN_RANDOM; i++) {
		rest = rest << 8 | number[i];
		number[i] = (uint8_t)(rest / 62);
		rest %= 62;
	}
	return rest;
}

/* 384 random bits for 54 digits of base 62 (321.6 bits): what the division favours is less than one
 * part in 2^62. */
void token_make(char key[TOKEN_KEY], const uint8_t random[TOKEN_RANDOM])
{
	uint8_t number[TOKEN_RANDOM];

	memcpy(number, random, sizeof(number));
	memcpy(key, prefix, PREFIX);
	for (size_t i = PREFIX; i < CHECK_AT; i++)
		key[i] = alphabet[divide(number)];
	checksum(key + CHECK_AT, key);
	mem_wipe(number, sizeof(number));
}

struct str token_strip(struct str credential)
{
	const struct str word = STR("FlespiToken ");

	return str_starts(credential, word) ? str_skip(credential, word.n) : credential;
}

bool token_short_ok(struct str id, struct str first16, uint64_t *token_id)
{
	if (first16.n != TOKEN_SHORT || !all_alphanumeric(first16))
		return false;
	if (id.n == 0 || id.p[0] == '0')
		return false; /* ids start at 1 and have one spelling */
	return str_to_u64(id, token_id);
}
