/* put.h - plain stores into memory that was reserved (buf_reserve): who counted the size of what he
 * writes calls these, and buf_commit once. Each returns the place after what it wrote. Big-endian
 * as in MQTT (put_u16), little-endian as on the link (put_le16). Single stores: the compiler does
 * not put eight single bytes together by itself. */
#pragma once
#include <endian.h>

#include "base/base.h"

static inline uint8_t *put_raw(uint8_t *w, const void *p, size_t n)
{
	memcpy(w, p, n);
	return w + n;
}

static inline uint8_t *put_u8(uint8_t *w, unsigned v)
{
	*w = (uint8_t)v;
	return w + 1;
}

static inline uint8_t *put_u16(uint8_t *w, unsigned v)
{
	uint16_t be = htobe16((uint16_t)v);

	return put_raw(w, &be, sizeof(be));
}

static inline uint8_t *put_u32(uint8_t *w, uint32_t v)
{
	uint32_t be = htobe32(v);

	return put_raw(w, &be, sizeof(be));
}

static inline uint8_t *put_le16(uint8_t *w, unsigned v)
{
	uint16_t le = htole16((uint16_t)v);

	return put_raw(w, &le, sizeof(le));
}

static inline uint8_t *put_le32(uint8_t *w, uint32_t v)
{
	uint32_t le = htole32(v);

	return put_raw(w, &le, sizeof(le));
}

static inline uint8_t *put_le64(uint8_t *w, uint64_t v)
{
	uint64_t le = htole64(v);

	return put_raw(w, &le, sizeof(le));
}

static inline uint8_t *put_bytes(uint8_t *w, struct str s)
{
	return s.n ? put_raw(w, s.p, s.n) : w; /* memcpy of NULL is undefined in C */
}
