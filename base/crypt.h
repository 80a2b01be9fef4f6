/* crypt.h - the door to OpenSSL's hashing and randomness (TLS has its own door). Any thread. */
#pragma once
#include "base/base.h"

enum { CRYPT_HASH = 32 };

int crypt_random(void *out, size_t n) MUST_CHECK; /* 0 or -E_IO */
int crypt_sha256(uint8_t out[CRYPT_HASH], struct str data) MUST_CHECK;
/* HMAC-SHA-256 */
int crypt_hmac(uint8_t out[CRYPT_HASH], struct str key, struct str data) MUST_CHECK;
bool crypt_equal(const void *a, const void *b, size_t n); /* constant time */
uint32_t crypt_crc32(struct str data);                    /* IEEE, for token checksums; not a MAC */
