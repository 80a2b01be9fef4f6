/* ws_frames.c - fuzz target: frames of WebSocket, cut by the input itself. The story of the pieces
 * (plain bytes, events and where they stand) must be the story of the whole; and the whole is read
 * a second time by a reference that knows frames but no streams.
 *
 * Input: u8 seed of the cuts | u8 limits | bytes of the stream. */
#include "base/base.h"

#include <stdlib.h>

#include "wire/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ws_limits limits_of[] = {
	{ 1 << 20, 1 << 20, 1000 },
	{ 16, 40, 4 },
	{ UINT32_MAX, UINT32_MAX, UINT32_MAX },
	{ 1, 1, 1 },
};

/* ---- A story: what an observer of the decoder sees ---- */
struct told {
	uint8_t event;
	unsigned code;
	size_t plain;
	size_t payload_n;
	uint8_t payload[WS_CONTROL_DATA];
};

struct story {
	uint8_t *plain;
	size_t plain_n;
	struct told *told;
	size_t told_n;
};

static void story_new(struct story *s, size_t size)
{
	*s =
	    (struct story){ .plain = malloc(size + 1), .told = calloc(size + 1, sizeof(*s->told)) };
	MUST(s->plain && s->told);
}

static void story_free(struct story *s)
{
	free(s->plain);
	free(s->told);
}

static void story_add(struct story *s, unsigned event, unsigned code, struct str payload,
                      size_t plain)
{
	struct told *t = &s->told[s->told_n++];

	t->event = (uint8_t)event;
	t->code = code;
	t->plain = plain;
	t->payload_n = payload.n;
	MUST(payload.n <= sizeof(t->payload));
	if (payload.n)
		memcpy(t->payload, payload.p, payload.n);
}

static void story_same(const struct story *a, const struct story *b)
{
	MUST(a->plain_n == b->plain_n && memcmp(a->plain, b->plain, a->plain_n) == 0);
	MUST(a->told_n == b->told_n);
	for (size_t i = 0; i < a->told_n; i++) {
		const struct told *x = &a->told[i], *y = &b->told[i];

		MUST(x->event == y->event && x->code == y->code && x->plain == y->plain);
		MUST(x->payload_n == y->payload_n &&
		     memcmp(x->payload, y->payload, x->payload_n) == 0);
	}
}

/* One piece in a block of its own size. */
static void piece(struct story *s, struct ws *ws, const uint8_t *bytes, size_t n)
{
	uint8_t *room = malloc(n ? n : 1);
	enum ws_event event;
	struct ws_feed f;

	MUST(room);
	memcpy(room, bytes, n);
	ws_feed_start(&f, room, n);
	while ((event = ws_next(ws, &f)) != WS_MORE)
		story_add(s, event, f.code, f.payload, s->plain_n + ws_feed_plain(&f));
	MUST(f.at == f.end && f.to >= room && ws_feed_plain(&f) <= n);
	memcpy(s->plain + s->plain_n, room, ws_feed_plain(&f));
	s->plain_n += ws_feed_plain(&f);
	free(room);
}

/* ---- The reference: whole frames only, arithmetic of 128 bits, byte by byte ---- */
struct message {
	bool open;
	unsigned fragments;
	unsigned __int128 bytes;
};

static unsigned reference_data(struct message *m, unsigned first, uint64_t n,
                               const struct ws_limits *l)
{
	if (m->open == !!(first & 15))
		return 1002;
	if (!m->open)
		*m = (struct message){ 0 };
	if (n > l->frame_max || m->bytes + n > l->message_max)
		return 1009;
	if (m->fragments + 1u > l->fragments_max)
		return 1008;
	m->fragments++;
	m->bytes += n;
	m->open = !(first & 0x80);
	return 0;
}

static void reference_control(struct story *s, unsigned op, struct str payload, bool *over)
{
	unsigned code;

	if (op != WS_CLOSE) {
		story_add(s, op == WS_PING ? WS_CAME_PING : WS_CAME_PONG, 0, payload, s->plain_n);
		return;
	}
	*over = true;
	code = payload.n < 2 ? 0 : (uint8_t)payload.p[0] * 256u + (uint8_t)payload.p[1];
	if (payload.n == 0)
		story_add(s, WS_CAME_CLOSE, 1005, STR_NONE, s->plain_n);
	else if (payload.n == 1 || !ws_code_ok(code))
		story_add(s, WS_BAD, 1002, STR_NONE, s->plain_n);
	else
		/* whether the reason is UTF-8 is the business of the target utf8 */
		story_add(s, WS_CAME_CLOSE, code, str_skip(payload, 2), s->plain_n);
}

static void reference(struct story *s, const uint8_t *p, size_t n, const struct ws_limits *l)
{
	struct message m = { 0 };
	bool over = false;

	while (!over && n) {
		uint8_t payload[WS_CONTROL_DATA];
		struct ws_head h;
		unsigned code = 0;
		enum parse answer = ws_head_read(str_make(p, n), &h, &code);
		size_t here;

		if (answer == PARSE_MORE)
			return;
		if (answer == PARSE_OK && h.op < WS_CLOSE)
			code = reference_data(&m, p[0], h.length, l);
		if (code) {
			story_add(s, WS_BAD, code, STR_NONE, s->plain_n);
			return;
		}
		p += h.size;
		n -= h.size;
		here = h.length < n ? (size_t)h.length : n;
		for (size_t i = 0; i < here; i++) {
			uint8_t v = p[i] ^ h.mask[i % 4];

			if (h.op < WS_CLOSE)
				s->plain[s->plain_n++] = v;
			else
				payload[i] = v;
		}
		if (here < h.length)
			return;
		if (h.op >= WS_CLOSE)
			reference_control(s, h.op, str_make(payload, here), &over);
		p += here;
		n -= here;
	}
}

/* The reference does not judge the text of a close frame; take the decoder's word for that one. */
static void forgive_reason(struct story *r, const struct story *s)
{
	struct told *last = r->told_n ? &r->told[r->told_n - 1] : NULL;

	if (!last || r->told_n != s->told_n || last->event != WS_CAME_CLOSE)
		return;
	if (s->told[s->told_n - 1].event == WS_BAD && s->told[s->told_n - 1].code == WS_NOT_UTF8)
		*last = s->told[s->told_n - 1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ws_limits *limits;
	struct story whole, pieces, expected;
	struct ws ws;
	uint32_t random;

	if (size < 2)
		return 0;
	random = data[0] * 2654435761u + 1;
	limits = &limits_of[data[1] % ARRAY_LEN(limits_of)];
	data += 2;
	size -= 2;

	story_new(&whole, size);
	ws_start(&ws, limits);
	piece(&whole, &ws, data, size);

	story_new(&pieces, size);
	ws_start(&ws, limits);
	for (size_t at = 0; at < size;) {
		size_t n;

		random = random * 1664525u + 1013904223u;
		n = 1 + (random >> 16) % (random & 0x100 ? 3 : 40);
		n = size_min(n, size - at);
		piece(&pieces, &ws, data + at, n);
		at += n;
	}
	story_same(&whole, &pieces);

	story_new(&expected, size);
	reference(&expected, data, size, limits);
	forgive_reason(&expected, &whole);
	story_same(&whole, &expected);
	story_free(&whole);
	story_free(&pieces);
	story_free(&expected);
	return 0;
}
