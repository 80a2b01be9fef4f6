/* ids.c - a Feistel network of eight rounds over 40 bits (ids.h), with SipHash as the round
 * function: a permutation, so no two numbers become one id. */
#include "base/base.h"
#include "admin/ids.h"

#include <endian.h>

#include "base/hash.h"
#include "base/mem.h"

enum { HALF = 20, ROUNDS = 8 };
#define HALF_MASK ((UINT64_C(1) << HALF) - 1)
#define FIRST     (UINT64_C(1) << 2 * HALF) /* also how many there are */

uint64_t ids_encipher(const uint8_t secret[IDS_SECRET], uint64_t n)
{
	uint64_t key[2], left = n >> HALF, right = n & HALF_MASK;

	MUST(n < FIRST);
	memcpy(key, secret, sizeof(key));
	key[0] = le64toh(key[0]);
	key[1] = le64toh(key[1]);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		const uint64_t text[2] = { htole64(round), htole64(right) };
		uint64_t mixed =
		    left ^ (hash_sip13(key[0], key[1], text, sizeof(text)) & HALF_MASK);

		left = right;
		right = mixed;
	}
	mem_wipe(key, sizeof(key));
	return FIRST | left << HALF | right;
}

int ids_next(struct db *db, const char *of, uint64_t *out)
{
	struct db_q q = db_start(
	    db, "UPDATE sequence SET last = last + 1 WHERE name = ? RETURNING last, secret");
	uint8_t secret[IDS_SECRET];
	uint64_t n = FIRST;
	int err;

	db_text(&q, str_c(of));
	if (db_row(&q)) {
		struct str s = db_get_bytes(&q, 1);

		if (s.n == IDS_SECRET) {
			memcpy(secret, s.p, IDS_SECRET);
			n = (uint64_t)db_get_int(&q, 0);
		}
	}
	err = db_end(&q);
	if (!err && n >= FIRST)
		err = -E_CORRUPT; /* no such row, or a million millions were given */
	if (!err)
		*out = ids_encipher(secret, n);
	mem_wipe(secret, sizeof(secret));
	return err;
}
