/* wire_ws.h - what the tests of WebSocket frames share: frames as a client makes them, and the
 * story of what a decoder gave. */
#pragma once
#include "base/base.h"
#include "tests/kit/kit.h"

#include <stdio.h>

#include "base/bytes.h"
#include "wire/ws.h"

static const struct ws_limits usual __attribute__((unused)) = { 1 << 20, 2 << 20, 64 };

/* ---- Frames as a client makes them ---- */
static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d }; /* section 5.7 */

static __attribute__((unused)) void add_head(struct buf *b, unsigned first, uint64_t n)
{
	buf_u8(b, (uint8_t)first);
	if (n < 126) {
		buf_u8(b, (uint8_t)(0x80 | n));
	} else if (n < 65536) {
		buf_u8(b, 0x80 | 126);
		buf_u16(b, (uint16_t)n);
	} else {
		buf_u8(b, 0x80 | 127);
		buf_u32(b, (uint32_t)(n >> 32));
		buf_u32(b, (uint32_t)n);
	}
	buf_bytes(b, key, sizeof(key));
}

static __attribute__((unused)) void add(struct buf *b, unsigned first, struct str payload)
{
	add_head(b, first, payload.n);
	for (size_t i = 0; i < payload.n; i++)
		buf_u8(b, (uint8_t)payload.p[i] ^ key[i & 3]);
}

enum { FIN = 0x80 };

/* ---- What came out: the plain bytes, and one line per event with how much was plain then ---- */
struct story {
	struct ws ws;
	struct buf plain, events;
};

static __attribute__((unused)) void story_start(struct story *s, const struct ws_limits *limits)
{
	*s = (struct story){ 0 };
	ws_start(&s->ws, limits);
}

static __attribute__((unused)) void story_free(struct story *s)
{
	buf_free(&s->plain);
	buf_free(&s->events);
}

/* Bytes lie at the end of a guard page and are writable; what was handed over is kept. */
static __attribute__((unused)) void tell(struct story *s, struct str bytes)
{
	static const char *const names[] = { "", "ping", "pong", "close", "bad" };
	uint8_t *room = guard_put(bytes.p, bytes.n);
	struct ws_feed f;
	enum ws_event event;

	ws_feed_start(&f, room, bytes.n);
	while ((event = ws_next(&s->ws, &f)) != WS_MORE) {
		buf_printf(&s->events, "%zu %s", buf_len(&s->plain) + ws_feed_plain(&f),
		           names[event]);
		if (event >= WS_CAME_CLOSE)
			buf_printf(&s->events, " %u", f.code);
		if (f.payload.n)
			buf_printf(&s->events, " %.*s", (int)f.payload.n, f.payload.p);
		buf_printf(&s->events, "; ");
	}
	YES(f.at == f.end);
	YES(f.to >= f.room && f.to <= f.end);
	buf_bytes(&s->plain, f.room, ws_feed_plain(&f));
}

/* All at once, in two pieces cut anywhere, and byte by byte: one story. */
static __attribute__((unused)) void told(struct str bytes, const struct ws_limits *limits,
                                         struct str plain, const char *events)
{
	struct story s;

	each_split(cut, bytes)
	{
		story_start(&s, limits);
		tell(&s, cut.first);
		tell(&s, cut.rest);
		IS_BYTES(buf_str(&s.plain), plain);
		IS_BYTES(buf_str(&s.events), str_c(events));
		story_free(&s);
	}
	story_start(&s, limits);
	for (size_t i = 0; i < bytes.n; i++) {
		tell(&s, str_make(bytes.p + i, 1));
		guard_reset();
	}
	IS_BYTES(buf_str(&s.plain), plain);
	IS_BYTES(buf_str(&s.events), str_c(events));
	story_free(&s);
}

#define TOLD(bytes, plain, events) told((bytes), &usual, STR(plain), (events))
