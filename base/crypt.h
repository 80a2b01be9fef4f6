/* crypt.h - the door to OpenSSL's hashing and randomness (TLS has its own door). Any thread. */
#pragma once
#include "base/base.h"

enum { CRYPT_HASH = 32, CRYPT_SHA1 = 20 };

int crypt_random(void *out, size_t n) MUST_CHECK; /* 0 or -E_IO */
int crypt_sha256(uint8_t out[CRYPT_HASH], struct str data) MUST_CHECK;
/* HMAC-SHA-256 */
int crypt_hmac(uint8_t out[CRYPT_HASH], struct str key, struct str data) MUST_CHECK;
bool crypt_equal(const void *a, const void *b, size_t n); /* constant time */
uint32_t crypt_crc32(struct str data);                    /* IEEE, for token checksums; not a MAC */
/* Only because RFC 6455 4.2.2 demands it of Sec-WebSocket-Accept, which shows that the answer is to
 * that request and protects nothing. No security measure: never use it for anything else. */
int crypt_sha1(uint8_t out[CRYPT_SHA1], struct str data) MUST_CHECK;

/* ---- Base64, RFC 4648 section 4: with padding, no line breaks ---- */
#define CRYPT_BASE64(n) (((n) + 2) / 3 * 4)      /* characters for n bytes; no NUL */
size_t crypt_base64(char *out, struct str data); /* returns CRYPT_BASE64(data.n) */
/* Strict: exactly one spelling for every value, so padding is demanded and its unused bits are
 * zero. text.n / 4 * 3 bytes of room are enough. False: *n is untouched, out may be half-written.
 */
bool crypt_unbase64(uint8_t *out, size_t *n, struct str text);
