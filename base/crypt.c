/* crypt.c - hashing and randomness, by OpenSSL. */
#include "base/base.h"
#include "base/crypt.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>

/* Fetched once: each implicit fetch of OpenSSL 3.0 takes locks, which costs more than the hash itself. */
static EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void sha256_forget(void)
{
	EVP_MD_free(sha256);
	sha256 = NULL;
}

static void sha256_fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (sha256)
		/* with OpenSSL's own end, so that nothing is reported as leaked */
		(void)OPENSSL_atexit(sha256_forget);
}

int crypt_random(void *out, size_t n)
{
	if (n > INT_MAX)
		return -E_IO;
	return RAND_bytes(out, (int)n) == 1 ? 0 : -E_IO;
}

int crypt_sha256(uint8_t out[CRYPT_HASH], struct str data)
{
	pthread_once(&sha256_once, sha256_fetch);
	if (!sha256)
		return -E_NOMEM;
	return EVP_Digest(data.n ? data.p : "", data.n, out, NULL, sha256, NULL) == 1 ? 0
	                                                                              : -E_NOMEM;
}

int crypt_hmac(uint8_t out[CRYPT_HASH], struct str key, struct str data)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	pthread_once(&sha256_once, sha256_fetch);
	if (!sha256 || key.n > INT_MAX)
		return -E_NOMEM;
	/* A NULL key would mean "the key of last time" to OpenSSL. */
	if (!HMAC(sha256, key.n ? key.p : "", (int)key.n,
	          (const unsigned char *)(data.n ? data.p : ""), data.n, mac, &n))
		return -E_NOMEM;
	MUST(n == CRYPT_HASH);
	memcpy(out, mac, CRYPT_HASH);
	return 0;
}

bool crypt_equal(const void *a, const void *b, size_t n)
{
	return n == 0 || CRYPTO_memcmp(a, b, n) == 0;
}

/* Half-byte table of the reflected polynomial 0xEDB88320: token checksums are short, a larger table would not pay. */
uint32_t crypt_crc32(struct str data)
{
	static const uint32_t half[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < data.n; i++) {
		crc ^= (uint8_t)data.p[i];
		crc = crc >> 4 ^ half[crc & 15];
		crc = crc >> 4 ^ half[crc & 15];
	}
	return ~crc;
}
