/* bytes.c - struct buf: bytes are added at the tail and consumed at the head. Memory moves only
 * when room is missing, and unread bytes are moved to the front only when at least as many have
 * been consumed, so appending stays O(1). */
#include "base/base.h"
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

enum { BUF_LEAST = 64 };

static void buf_to_front(struct buf *b)
{
	if (b->head == 0)
		return;
	if (buf_len(b))
		memmove(b->p, b->p + b->head, buf_len(b));
	b->tail -= b->head;
	b->head = 0;
}

/* Larger, and the unread bytes at its front: they are moved once. */
static uint8_t *buf_moved(struct buf *b, size_t cap)
{
	uint8_t *p = mem_alloc(cap);

	if (!p)
		return NULL;
	memcpy(p, b->p + b->head, buf_len(b));
	mem_free(b->p);
	b->tail -= b->head;
	b->head = 0;
	return p;
}

static uint8_t *buf_grow(struct buf *b, size_t n)
{
	size_t need, cap;
	uint8_t *p;

	if (__builtin_add_overflow(buf_len(b), n, &need) || need > SIZE_MAX / 4)
		goto fail;
	cap = size_max(b->cap, BUF_LEAST);
	while (cap < need)
		cap *= 2;
	if (cap == b->cap) {
		buf_to_front(b);
		return b->p + b->tail;
	}
	p = b->head ? buf_moved(b, cap) : mem_realloc(b->p, cap);
	if (!p)
		goto fail;
	b->p = p;
	b->cap = cap;
	return b->p + b->tail;
fail:
	b->broken = true;
	return NULL;
}

uint8_t *buf_reserve_more(struct buf *b, size_t n)
{
	if (unlikely(b->broken))
		return NULL;
	if (b->p && b->head >= buf_len(b) && b->cap - buf_len(b) >= n) {
		buf_to_front(b);
		return b->p + b->tail;
	}
	/* Full, but little was consumed: doubling now is what keeps the moves rare. */
	if (b->p && n <= b->cap / 2 && b->cap <= SIZE_MAX / 4)
		n = size_max(n, b->cap - buf_len(b) + 1);
	return buf_grow(b, n);
}

void buf_consume(struct buf *b, size_t n)
{
	MUST(n <= buf_len(b));
	b->head += n;
	if (b->head == b->tail)
		b->head = b->tail = 0;
}

void buf_cut(struct buf *b, size_t length)
{
	MUST(length <= buf_len(b));
	b->tail = b->head + length;
	b->broken = false;
}

void buf_reset(struct buf *b)
{
	b->head = b->tail = 0;
	b->broken = false;
}

void buf_free(struct buf *b)
{
	mem_free(b->p);
	*b = (struct buf){ 0 };
}

void buf_bytes(struct buf *b, const void *p, size_t n)
{
	uint8_t *to;

	if (n == 0)
		return;
	to = buf_reserve(b, n);
	if (!to)
		return;
	memcpy(to, p, n);
	b->tail += n;
}

void buf_str_add(struct buf *b, struct str s)
{
	buf_bytes(b, s.p, s.n);
}

void buf_u8(struct buf *b, uint8_t v)
{
	uint8_t *to = buf_reserve(b, 1);

	if (!to)
		return;
	*to = v;
	b->tail++;
}

void buf_u16(struct buf *b, uint16_t v)
{
	buf_bytes(b, (uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

void buf_u32(struct buf *b, uint32_t v)
{
	buf_bytes(
	    b, (uint8_t[]){ (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v },
	    4);
}

void buf_le16(struct buf *b, uint16_t v)
{
	buf_bytes(b, (uint8_t[]){ (uint8_t)v, (uint8_t)(v >> 8) }, 2);
}

void buf_le32(struct buf *b, uint32_t v)
{
	buf_bytes(
	    b, (uint8_t[]){ (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) },
	    4);
}

void buf_le64(struct buf *b, uint64_t v)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(v >> (8 * i));
	buf_bytes(b, bytes, sizeof(bytes));
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args, again;
	uint8_t *to;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	/* vsnprintf wants room for its NUL, which stays out of the buf */
	to = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
	if (to) {
		(void)vsnprintf((char *)to, (size_t)n + 1, format, again);
		b->tail += (size_t)n;
	} else {
		b->broken = true;
	}
	va_end(again);
	va_end(args);
}
