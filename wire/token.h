/* token.h - the form of a token key: 64 alphanumeric characters (flespi's clients accept nothing
 * else).
 *
 *   mbus | 43 secret | 11 lookup | 6 CRC32 of the first 58, base62
 *     4       43          11       6
 *
 * The secret (256 bits) comes before the lookup id so that the first 16 characters (flespi's short
 * credential: token id + 16 characters) hold 12 secret ones (71 bits). Prefix and checksum let
 * secret scanners find leaked keys, and let us refuse a random string before any look-up (attack
 * A20). Pure. */
#pragma once
#include "base/base.h"

enum { TOKEN_KEY = 64, TOKEN_SHORT = 16, TOKEN_LOOKUP = 11, TOKEN_RANDOM = 48 };

/* length, alphabet, prefix, checksum */
bool token_key_ok(struct str key);
struct str token_lookup(struct str key); /* borrowed; key MUST be ok */
/* not NUL-terminated; uniform base62 from random bytes */
void token_make(char key[TOKEN_KEY], const uint8_t random[TOKEN_RANDOM]);

/* What a client or a REST caller presented: "FlespiToken " stripped if there (case-sensitive, one
 * space). */
struct str token_strip(struct str credential);
/* The short credential: id of decimal digits and exactly 16 alphanumeric characters. */
bool token_short_ok(struct str id, struct str first16, uint64_t *token_id);
