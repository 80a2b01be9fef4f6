/* bytes.h - reading bytes without passing the end (struct take), and growing bytes (struct buf).
 * Numbers on the wire of MQTT are big-endian (take_u16, buf_u16); the link's are little-endian
 * (take_le32, buf_le32). */
#pragma once
#include <endian.h>

#include "base/base.h"

/* ---- take: a cursor over borrowed bytes. Every take_* returns false, and moves nothing, when too
 * little is left ---- */
struct take {
	const uint8_t *p, *end;
};

static inline struct take take_from(const void *p, size_t n)
{
	/* NULL + 0 is undefined in C */
	return (struct take){ (const uint8_t *)p, n ? (const uint8_t *)p + n : p };
}

static inline size_t take_left(const struct take *t)
{
	return (size_t)(t->end - t->p);
}

static inline bool take_u8(struct take *t, uint8_t *out)
{
	if (t->p == t->end)
		return false;
	*out = *t->p++;
	return true;
}

static inline bool take_u16(struct take *t, uint16_t *out)
{
	if (take_left(t) < 2)
		return false;
	memcpy(out, t->p, 2);
	*out = be16toh(*out);
	t->p += 2;
	return true;
}

static inline bool take_u32(struct take *t, uint32_t *out)
{
	if (take_left(t) < 4)
		return false;
	memcpy(out, t->p, 4);
	*out = be32toh(*out);
	t->p += 4;
	return true;
}

/* The link runs between processes of one machine; the design fixes little-endian so that a dump
 * reads the same everywhere. */
static inline bool take_le16(struct take *t, uint16_t *out)
{
	if (take_left(t) < 2)
		return false;
	memcpy(out, t->p, 2);
	*out = le16toh(*out);
	t->p += 2;
	return true;
}

static inline bool take_le32(struct take *t, uint32_t *out)
{
	if (take_left(t) < 4)
		return false;
	memcpy(out, t->p, 4);
	*out = le32toh(*out);
	t->p += 4;
	return true;
}

static inline bool take_le64(struct take *t, uint64_t *out)
{
	if (take_left(t) < 8)
		return false;
	memcpy(out, t->p, 8);
	*out = le64toh(*out);
	t->p += 8;
	return true;
}

static inline bool take_bytes(struct take *t, size_t n, struct str *out)
{
	if (take_left(t) < n)
		return false;
	*out = str_make(t->p, n);
	t->p += n;
	return true;
}

/* ---- buf: bytes that grow. The unread bytes are p[head .. tail); capacity is kept until buf_free
 * ---- Appending never returns an error: when memory runs out the buf becomes `broken`, keeps what
 * it had, and drops what follows; the owner looks once, at the end of a packet (buf_ok), and rolls
 * back with buf_cut. */
struct buf {
	uint8_t *p;
	size_t head, tail, cap;
	bool broken;
};

static inline size_t buf_len(const struct buf *b)
{
	return b->tail - b->head;
}

static inline const uint8_t *buf_data(const struct buf *b)
{
	return b->p ? b->p + b->head : NULL;
}

static inline struct str buf_str(const struct buf *b)
{
	return str_make(b->p ? b->p + b->head : NULL, buf_len(b));
}

static inline bool buf_ok(const struct buf *b)
{
	return !b->broken;
}

/* room for n more bytes at the returned place (tail), or NULL and broken; may move p */
uint8_t *buf_reserve_more(struct buf *b, size_t n);
static inline uint8_t *buf_reserve(struct buf *b, size_t n)
{
	if (likely(!b->broken && b->p && b->cap - b->tail >= n))
		return b->p + b->tail;
	return buf_reserve_more(b, n);
}
static inline void buf_commit(struct buf *b, size_t n) /* n of the reserved bytes were written */
{
	MUST(n <= b->cap - b->tail);
	b->tail += n;
}
void buf_consume(struct buf *b, size_t n); /* n unread bytes are done with; MUST be there */
/* keep only the first `length` unread bytes; clears broken */
void buf_cut(struct buf *b, size_t length);
void buf_reset(struct buf *b); /* empty, memory kept */
void buf_free(struct buf *b);  /* empty, memory given back; b may be used again */
void buf_bytes(struct buf *b, const void *p, size_t n);
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v); /* big-endian, MQTT */
void buf_u32(struct buf *b, uint32_t v);
void buf_le16(struct buf *b, uint16_t v); /* little-endian, link */
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);
void buf_str_add(struct buf *b, struct str s); /* the bytes, no length */
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
