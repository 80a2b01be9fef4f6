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

RUN(sha256_agrees_with_fips_180, hmac_agrees_with_rfc_4231, crc32_agrees_with_the_check_value,
    equal_means_every_byte, random_bytes_fill_what_was_asked_for_and_differ,
    clocks_move_only_as_the_system_or_the_test_says)
