/* Hashing, randomness and clocks. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <time.h>

#include "base/clock.h"
#include "base/crypt.h"

static void sha256_agrees_with_fips_180(void)
{
	uint8_t out[CRYPT_HASH];

	IS(crypt_sha256(out, STR("abc")), 0);
	IS_STR(str_make(out, sizeof(out)),
	       "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23\xb0\x03\x61\xa3"
	       "\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad");
	IS(crypt_sha256(out, STR_NONE), 0);
	YES(memcmp(out, "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14", 8) == 0);
}

static void hmac_agrees_with_rfc_4231(void)
{
	uint8_t out[CRYPT_HASH], first[CRYPT_HASH];
	char key[131];

	IS(crypt_hmac(out, STR("Jefe"), STR("what do ya want for nothing?")), 0);
	IS_STR(str_make(out, sizeof(out)),
	       "\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7\x5a\x00\x3f\x08"
	       "\x9d\x27\x39\x83\x9d\xec\x58\xb9\x64\xec\x38\x43");
	memset(key, 0xaa, sizeof(key));
	IS(crypt_hmac(out, str_make(key, sizeof(key)),
	              STR("Test Using Larger Than Block-Size Key - Hash Key First")),
	   0);
	YES(memcmp(out, "\x60\xe4\x31\x59\x1e\xe0\xb6\x7f", 8) == 0);
	/* An empty key is an empty key, not the one of last time. */
	IS(crypt_hmac(first, STR_NONE, STR("x")), 0);
	IS(crypt_hmac(out, STR("other"), STR("x")), 0);
	IS(crypt_hmac(out, STR_NONE, STR("x")), 0);
	YES(crypt_equal(first, out, sizeof(out)));
}

static void crc32_agrees_with_the_check_value(void)
{
	YES(crypt_crc32(STR("123456789")) == 0xcbf43926u);
	YES(crypt_crc32(STR_NONE) == 0);
	YES(crypt_crc32(STR("\0")) == 0xd202ef8du);
}

static void equal_means_every_byte(void)
{
	YES(crypt_equal("abc", "abc", 3));
	NO(crypt_equal("abc", "abd", 3));
	NO(crypt_equal("abc", "bbc", 3));
	YES(crypt_equal(NULL, NULL, 0));
}

static void random_bytes_fill_what_was_asked_for_and_differ(void)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };

	IS(crypt_random(a, 32), 0);
	IS(crypt_random(b, 32), 0);
	YES(memcmp(a, b, 32) != 0);
	for (size_t i = 32; i < 64; i++)
		IS(a[i], 0);
	IS(crypt_random(a, 0), 0);
}

static void clocks_move_only_as_the_system_or_the_test_says(void)
{
	int64_t mono = clock_mono_ms(), wall = clock_wall_ms();

	YES(wall / 1000 >= (int64_t)time(NULL) - 2 && wall / 1000 <= (int64_t)time(NULL) + 2);
	YES(clock_mono_ms() >= mono && clock_mono_ms() < mono + 5000);
	clock_shift(86400000, 0); /* O10: a jump of one clock leaves the other alone */
	YES(clock_mono_ms() >= mono + 86400000 && clock_wall_ms() < wall + 5000);
	clock_shift(0, -86400000);
	YES(clock_mono_ms() < mono + 5000 && clock_wall_ms() < wall - 86000000);
}

static void sha1_agrees_with_fips_180_and_rfc_6455(void)
{
	uint8_t out[CRYPT_SHA1];
	char text[CRYPT_BASE64(CRYPT_SHA1)];

	IS(crypt_sha1(out, STR("abc")), 0);
	IS_STR(str_make(out, sizeof(out)), "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71"
	                                   "\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d");
	IS(crypt_sha1(out, STR("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11")), 0);
	IS(crypt_base64(text, str_make(out, sizeof(out))), sizeof(text));
	IS_STR(str_make(text, sizeof(text)), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/* RFC 4648, section 10. */
static const struct {
	struct str plain, text;
} base64_rows[] = {
	{ STR_INIT(""), STR_INIT("") },
	{ STR_INIT("f"), STR_INIT("Zg==") },
	{ STR_INIT("fo"), STR_INIT("Zm8=") },
	{ STR_INIT("foo"), STR_INIT("Zm9v") },
	{ STR_INIT("foob"), STR_INIT("Zm9vYg==") },
	{ STR_INIT("fooba"), STR_INIT("Zm9vYmE=") },
	{ STR_INIT("foobar"), STR_INIT("Zm9vYmFy") },
	{ STR_INIT("\xfb\xff\xbf"), STR_INIT("+/+/") },
};

static void base64_agrees_with_rfc_4648_both_ways(void)
{
	for (size_t i = 0; i < ARRAY_LEN(base64_rows); i++) {
		struct str plain = base64_rows[i].plain, text = base64_rows[i].text;
		char *out = guard_put("########", text.n);
		uint8_t *back = guard_put("########", text.n / 4 * 3);
		size_t n = 99;

		IS(crypt_base64(out, guard_str(plain)), text.n);
		IS_BYTES(str_make(out, text.n), text);
		YES(crypt_unbase64(back, &n, guard_str(text)));
		IS_BYTES(str_make(back, n), plain);
	}
}

static void base64_has_one_spelling_for_every_value(void)
{
	static const char *const bad[] = { "Zg",       "Zg=",  "Zg===", "Z===",    "====",
		                           "=",        "Zh==", "Zm9=",  "Zm9v=",   "Zg==Zg==",
		                           "Zm8=Zm8=", "Zm9-", "Zm9_",  " Zm9v",   "Zm 9",
		                           "Zm9\n",    "Z=g=", "=Zg=",  "Zm9v\r\n" };
	uint8_t out[16];
	size_t n = 99;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (crypt_unbase64(out, &n, guard_str(str_c(bad[i]))))
			kit_failed("is taken", bad[i], __FILE__, __LINE__);
	}
	NO(crypt_unbase64(out, &n, STR("Zg\0=")));
	IS(n, 99);
}

RUN(sha256_agrees_with_fips_180, hmac_agrees_with_rfc_4231, crc32_agrees_with_the_check_value,
    equal_means_every_byte, random_bytes_fill_what_was_asked_for_and_differ,
    clocks_move_only_as_the_system_or_the_test_says, sha1_agrees_with_fips_180_and_rfc_6455,
    base64_agrees_with_rfc_4648_both_ways, base64_has_one_spelling_for_every_value)
