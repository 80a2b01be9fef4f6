/* ws.h - WebSocket frames, RFC 6455 section 5, the server's side; the upgrade before them is
 * upgrade.h. Pure: the caller owns bytes and clock, and decides what happens after an event.
 *
 * MQTT does not look at frame borders [MQTT-6.0.0-4], so data needs no event: what binary frames
 * hold is unmasked as it arrives, also from half a frame, and laid end to end, in place.
 *
 *   ws_feed_start(&f, room, got);                  what one recv (or TLS) brought
 *   while ((event = ws_next(&ws, &f)) != WS_MORE)
 *           ...                                    answer PING, obey CLOSE and BAD
 *   plain = str_make(room, ws_feed_plain(&f))
 *
 * What stood before an event is plain data already; after CLOSE or BAD the rest is thrown away
 * (attack W17), so the loop above needs no special case. permessage-deflate is never agreed to:
 * RSV bits are errors (attacks W15, W18). */
#pragma once
#include "base/bytes.h"
#include "wire/mqtt.h"

enum ws_op {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10,
};

/* Section 7.4.1, as far as we say them. */
enum ws_code {
	WS_NORMAL = 1000,
	WS_GOING_AWAY = 1001,
	WS_PROTOCOL_ERROR = 1002,
	WS_UNSUPPORTED = 1003, /* a text frame */
	WS_NO_CODE = 1005,     /* a close frame without one; never on the wire */
	WS_NOT_UTF8 = 1007,
	WS_POLICY = 1008, /* a message of too many fragments */
	WS_TOO_BIG = 1009,
	WS_SERVER_ERROR = 1011,
	WS_TRY_AGAIN = 1013,
};

enum {
	WS_HEAD_MAX = 14,                     /* from a client: with its mask */
	WS_OWN_HEAD_MAX = 10,                 /* from us: without */
	WS_CONTROL_DATA = 125,                /* payload of a control frame, section 5.5 */
	WS_CONTROL_MAX = 2 + WS_CONTROL_DATA, /* a control frame of ours */
	WS_REASON_MAX = WS_CONTROL_DATA - 2,  /* text of a close frame */
};

/* ---- One frame's header, as a client must send it ---- */
struct ws_head {
	bool fin;
	uint8_t op;   /* enum ws_op, never WS_TEXT */
	uint8_t size; /* 6, 8 or 14 */
	uint8_t mask[4];
	uint64_t length; /* < 2^63 */
};

/* OK as soon as the header is whole. BAD as soon as a byte is wrong, with the code to close with in
 * *code: 1002 for RSV bits, unknown opcodes, no mask, long or fragmented control frames, lengths
 * that are not minimal or have their top bit set; 1003 for text. What the shortest wrong prefix
 * gets, every longer one gets too. Limits are the decoder's. */
enum parse ws_head_read(struct str bytes, struct ws_head *out, unsigned *code);

/* ---- The decoder: one per connection, below 200 bytes, nothing to free ---- */
struct ws_limits {
	uint32_t frame_max;     /* payload bytes of a frame; over it: 1009 */
	uint32_t message_max;   /* payload bytes of a message, all its fragments; over it: 1009 */
	uint32_t fragments_max; /* frames of a message; over it: 1008 */
};

struct ws {
	struct ws_limits limits;
	uint8_t state; /* ws.c */
	bool open;     /* inside a fragmented message */
	uint8_t op;    /* of the frame whose payload comes now */
	uint8_t mask[4];
	uint8_t phase;      /* which byte of the mask is next */
	uint8_t held;       /* bytes in hold: of a header, or of a control frame's payload */
	uint32_t fragments; /* of this message so far */
	uint64_t left;      /* of this frame's payload */
	uint64_t message;   /* payload bytes of this message so far */
	/* What it did, for the caller's rates: it may set them to zero whenever it likes. */
	uint32_t
	    frames; /* of data, empty ones too: a flood of them costs without bringing a byte */
	uint32_t pings, pongs;
	uint8_t hold[WS_CONTROL_DATA];
};

struct ws_feed {
	uint8_t *room, *at, *end, *to; /* plain data is [room, to), not yet read is [at, end) */
	struct str payload;            /* PING, PONG; CLOSE: the reason. Until the next ws_next */
	unsigned
	    code; /* CLOSE: the client's, WS_NO_CODE if it gave none; BAD: what to close with */
};

enum ws_event {
	WS_MORE,       /* all is read */
	WS_CAME_PING,  /* answer with a pong of the same payload, at most WS_CONTROL_DATA bytes */
	WS_CAME_PONG,  /* asked for or not: it shows that the client is there */
	WS_CAME_CLOSE, /* answer with the same code, then close; once */
	WS_BAD,        /* close with this code; once */
};

void ws_start(struct ws *w, const struct ws_limits *limits); /* every limit MUST be > 0 */
enum ws_event ws_next(struct ws *w, struct ws_feed *f);
static inline bool ws_over(const struct ws *w) /* CLOSE or BAD was told */
{
	return w->state == 0;
}

static inline void ws_feed_start(struct ws_feed *f, uint8_t *room, size_t n)
{
	*f = (struct ws_feed){ .room = room, .at = room, .end = n ? room + n : room, .to = room };
}

static inline size_t ws_feed_plain(const struct ws_feed *f)
{
	return (size_t)(f->to - f->room);
}

/* XOR with the mask from its byte `phase` on, section 5.3. to may be from, or lie anywhere before
 * it, overlapping. */
void ws_unmask(uint8_t *to, const uint8_t *from, size_t n, const uint8_t mask[4], unsigned phase);

bool ws_code_ok(unsigned code); /* may stand in a close frame: section 7.4, and what IANA added */

/* ---- What we say ---- */
/* Header of one whole binary frame of n bytes: 2, 4 or 10 bytes, written right before `payload`, so
 * that many packets can be sent as one frame from the place where they were put together. The
 * caller has left WS_OWN_HEAD_MAX bytes there. Returns the size. */
size_t ws_head_before(uint8_t *payload, uint64_t n);
static inline size_t ws_head_size(uint64_t n)
{
	return n < 126 ? 2 : n < 65536 ? 4 : 10;
}
size_t ws_ping_put(uint8_t to[WS_CONTROL_MAX], struct str payload); /* at most WS_CONTROL_DATA */
size_t ws_pong_put(uint8_t to[WS_CONTROL_MAX], struct str payload);
/* WS_NO_CODE: a close frame without a body, as it answers one. Another code that may not stand
 * there is a bug of ours. A long reason is cut between two characters. */
size_t ws_close_put(uint8_t to[WS_CONTROL_MAX], unsigned code, struct str reason);
