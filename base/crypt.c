/* crypt.c - hashing and randomness, by OpenSSL. */
#include "base/base.h"
#include "base/crypt.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>

/* Fetched once: each implicit fetch of OpenSSL 3.0 takes locks, which costs more than the hash
 * itself. */
static EVP_MD *sha256, *sha1;
static pthread_once_t hashes_once = PTHREAD_ONCE_INIT;

static void hashes_forget(void)
{
	EVP_MD_free(sha256);
	EVP_MD_free(sha1);
	sha256 = sha1 = NULL;
}

static void hashes_fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	/* with OpenSSL's own end, so that nothing is reported as leaked */
	if (sha256 || sha1)
		(void)OPENSSL_atexit(hashes_forget);
}

int crypt_random(void *out, size_t n)
{
	if (n > INT_MAX)
		return -E_IO;
	return RAND_bytes(out, (int)n) == 1 ? 0 : -E_IO;
}

static int digest(uint8_t *out, const EVP_MD *hash, struct str data)
{
	if (!hash || EVP_Digest(data.n ? data.p : "", data.n, out, NULL, hash, NULL) != 1)
		return -E_NOMEM;
	return 0;
}

int crypt_sha256(uint8_t out[CRYPT_HASH], struct str data)
{
	pthread_once(&hashes_once, hashes_fetch);
	return digest(out, sha256, data);
}

int crypt_sha1(uint8_t out[CRYPT_SHA1], struct str data)
{
	pthread_once(&hashes_once, hashes_fetch);
	return digest(out, sha1, data);
}

int crypt_hmac(uint8_t out[CRYPT_HASH], struct str key, struct str data)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	pthread_once(&hashes_once, hashes_fetch);
	if (!sha256 || key.n > INT_MAX)
		return -E_NOMEM;
	/* A NULL key would mean "the key of last time" to OpenSSL. */
	if (!HMAC(sha256, key.n ? key.p : "", (int)key.n,
	          (const unsigned char *)(data.n ? data.p : ""), data.n, mac, &n))
		return -E_NOMEM;
	MUST(n == CRYPT_HASH); /* whatever was hashed */
	memcpy(out, mac, CRYPT_HASH);
	return 0;
}

bool crypt_equal(const void *a, const void *b, size_t n)
{
	return n == 0 || CRYPTO_memcmp(a, b, n) == 0;
}

/* Half-byte table of the reflected polynomial 0xEDB88320: token checksums are short, a larger table
 * would not pay. */
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

/* ---- Base64 ---- */
static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t crypt_base64(char *out, struct str data)
{
	const uint8_t *p = (const uint8_t *)data.p;
	char *w = out;

	for (size_t left = data.n; left; p += 3, w += 4) {
		uint32_t v = (uint32_t)p[0] << 16;

		v |= left > 1 ? (uint32_t)p[1] << 8 : 0;
		v |= left > 2 ? p[2] : 0;
		w[0] = base64[v >> 18];
		w[1] = base64[v >> 12 & 63];
		w[2] = left > 1 ? base64[v >> 6 & 63] : '=';
		w[3] = left > 2 ? base64[v & 63] : '=';
		left -= size_min(left, 3);
	}
	return (size_t)(w - out);
}

/* 0..63, or 64 for what is no digit. */
static unsigned base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool crypt_unbase64(uint8_t *out, size_t *n, struct str text)
{
	uint8_t *w = out;
	size_t padding = 0;

	if (text.n % 4)
		return false;
	while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=')
		padding++;
	for (size_t i = 0; i < text.n; i += 4) {
		size_t digits = i + 4 == text.n ? 4 - padding : 4;
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			unsigned digit = k < digits ? base64_digit(text.p[i + k]) : 0;

			if (digit > 63)
				return false;
			v = v << 6 | digit;
		}
		/* What the padding cuts off must be zero, or one value had several spellings. */
		if (v & ((1u << (8 * (4 - digits))) - 1))
			return false;
		for (size_t k = 0; k + 1 < digits; k++)
			*w++ = (uint8_t)(v >> (16 - 8 * k));
	}
	*n = (size_t)(w - out);
	return true;
}
