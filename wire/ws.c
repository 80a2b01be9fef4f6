/* ws.c - the frames of WebSocket (ws.h). Sections and rules cited are RFC 6455's.
 *
 * The decoder is a state machine over four states; each step takes what it can from the feed. Data
 * moves towards the front by the headers that stood before it, in the same pass that unmasks it. */
#include "base/base.h"
#include "wire/ws.h"
#include "wire/mqtt_parts.h"

enum { OVER, HEAD, DATA, CONTROL }; /* ws_over() knows that OVER is 0 */

/* ---- Header, section 5.2 ---- */
static bool is_control(unsigned op)
{
	return op & 8;
}

/* FIN, RSV1-3, opcode. 0 or the code to close with. */
static unsigned first_byte_judge(uint8_t first)
{
	unsigned op = first & 0x0f;

	if (first & 0x70)
		return WS_PROTOCOL_ERROR; /* RSV: no extension was agreed */
	if (op == WS_TEXT)
		return WS_UNSUPPORTED; /* MQTT is binary [MQTT-6.0.0-1] */
	if (op > WS_PONG || (op > WS_BINARY && op < WS_CLOSE))
		return WS_PROTOCOL_ERROR;
	if (is_control(op) && !(first & 0x80))
		return WS_PROTOCOL_ERROR; /* section 5.5: control frames are not fragmented */
	return 0;
}

/* MASK, and the first seven bits of the length. */
static unsigned second_byte_judge(uint8_t first, uint8_t second)
{
	if (!(second & 0x80))
		return WS_PROTOCOL_ERROR; /* section 5.1: a client masks */
	if (is_control(first & 0x0f) && (second & 0x7f) > WS_CONTROL_DATA)
		return WS_PROTOCOL_ERROR;
	return 0;
}

/* The length in its minimal form; nothing is added to it or subtracted from it before this
 * (attack W14). */
static enum parse length_take(struct take *t, uint8_t second, uint64_t *out)
{
	uint16_t two;
	uint32_t high, low;

	*out = second & 0x7f;
	if (*out < 126)
		return PARSE_OK;
	if (*out == 126) {
		if (!take_u16(t, &two))
			return PARSE_MORE;
		*out = two;
		return two < 126 ? PARSE_BAD : PARSE_OK;
	}
	if (take_left(t) < 8 || !take_u32(t, &high) || !take_u32(t, &low))
		return PARSE_MORE;
	*out = (uint64_t)high << 32 | low;
	return *out >> 63 || *out < 65536 ? PARSE_BAD : PARSE_OK;
}

enum parse ws_head_read(struct str bytes, struct ws_head *out, unsigned *code)
{
	struct take t = take_from(bytes.p, bytes.n);
	uint8_t first, second;
	enum parse answer;
	struct str mask;
	unsigned why;

	if (!take_u8(&t, &first))
		return PARSE_MORE;
	why = first_byte_judge(first);
	if (why)
		goto bad;
	if (!take_u8(&t, &second))
		return PARSE_MORE;
	why = second_byte_judge(first, second);
	if (why)
		goto bad;
	answer = length_take(&t, second, &out->length);
	why = WS_PROTOCOL_ERROR;
	if (answer == PARSE_BAD)
		goto bad;
	if (answer == PARSE_MORE || !take_bytes(&t, sizeof(out->mask), &mask))
		return PARSE_MORE;
	memcpy(out->mask, mask.p, sizeof(out->mask));
	out->fin = first & 0x80;
	out->op = first & 0x0f;
	out->size = (uint8_t)(bytes.n - take_left(&t));
	return PARSE_OK;
bad:
	*code = why;
	return PARSE_BAD;
}

/* ---- Unmasking ---- */

/* Each step has read all its bytes before it writes the first, and `to` is never behind `from`, so
 * what is still to be read is never written over. */
void ws_unmask(uint8_t *to, const uint8_t *from, size_t n, const uint8_t mask[4], unsigned phase)
{
	uint8_t key[8];
	uint64_t k, v[4];

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = mask[(phase + i) & 3];
	memcpy(&k, key, sizeof(k));
	for (; n >= sizeof(v); n -= sizeof(v), from += sizeof(v), to += sizeof(v)) {
		memcpy(v, from, sizeof(v));
		for (unsigned i = 0; i < ARRAY_LEN(v); i++)
			v[i] ^= k;
		memcpy(to, v, sizeof(v));
	}
	for (; n >= sizeof(k); n -= sizeof(k), from += sizeof(k), to += sizeof(k)) {
		memcpy(v, from, sizeof(k));
		v[0] ^= k;
		memcpy(to, v, sizeof(k));
	}
	for (size_t i = 0; i < n; i++)
		to[i] = from[i] ^ key[i];
}

/* ---- The decoder ---- */
void ws_start(struct ws *w, const struct ws_limits *limits)
{
	MUST(limits->frame_max && limits->message_max && limits->fragments_max);
	*w = (struct ws){ .limits = *limits, .state = HEAD };
}

static size_t feed_left(const struct ws_feed *f)
{
	return (size_t)(f->end - f->at);
}

/* The last event: nothing that comes later is looked at. */
static enum ws_event finish(struct ws *w, struct ws_feed *f, enum ws_event event, unsigned code)
{
	w->state = OVER;
	f->code = code;
	f->at = f->end;
	return event;
}

/* A data frame begins: fragmentation (section 5.4) and limits. 0 or the code to close with. */
static unsigned data_begin(struct ws *w, const struct ws_head *h)
{
	if (w->open != (h->op == WS_CONTINUATION))
		return WS_PROTOCOL_ERROR; /* nothing to continue, or the last message has no end */
	if (!w->open) {
		w->message = 0;
		w->fragments = 0;
	}
	if (h->length > w->limits.frame_max || h->length > w->limits.message_max - w->message)
		return WS_TOO_BIG;
	if (++w->fragments > w->limits.fragments_max)
		return WS_POLICY;
	w->message += h->length;
	w->open = !h->fin;
	w->frames++;
	return 0;
}

/* Collects a header that came in pieces; one that lies in the feed whole is read from there.
 * WS_MORE: state tells whether it is complete. */
static enum ws_event head_step(struct ws *w, struct ws_feed *f)
{
	size_t n = feed_left(f);
	struct str bytes = str_make(f->at, n);
	struct ws_head h;
	unsigned code = 0;
	enum parse answer;

	if (w->held || n < WS_HEAD_MAX) {
		n = size_min(n, WS_HEAD_MAX - (size_t)w->held);
		memcpy(w->hold + w->held, f->at, n);
		bytes = str_make(w->hold, w->held + n);
	}
	answer = ws_head_read(bytes, &h, &code);
	if (answer == PARSE_MORE) { /* so these are fewer than WS_HEAD_MAX, and all there is */
		w->held = (uint8_t)bytes.n;
		f->at = f->end;
		return WS_MORE;
	}
	if (answer == PARSE_OK && !is_control(h.op))
		code = data_begin(w, &h);
	if (code)
		return finish(w, f, WS_BAD, code);
	f->at += h.size - w->held;
	w->held = 0;
	w->op = h.op;
	w->left = h.length;
	w->phase = 0;
	memcpy(w->mask, h.mask, sizeof(w->mask));
	w->state = is_control(h.op) ? CONTROL : DATA;
	return WS_MORE;
}

static void data_step(struct ws *w, struct ws_feed *f)
{
	size_t n = feed_left(f);

	if (n > w->left)
		n = (size_t)w->left;
	if (n)
		ws_unmask(f->to, f->at, n, w->mask, w->phase);
	w->phase = (w->phase + n) & 3;
	w->left -= n;
	f->at += n;
	f->to += n;
	if (w->left == 0)
		w->state = HEAD;
}

bool ws_code_ok(unsigned code)
{
	if (code >= 3000)
		return code < 5000; /* registered and private use, section 7.4.2 */
	/* 1004-1006 and 1015 are not for the wire; 1012-1014 were registered later. */
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

/* Section 5.5.1: no body, or a code and UTF-8 text. */
static enum ws_event close_event(struct ws *w, struct ws_feed *f)
{
	struct str reason;
	unsigned code;

	if (w->held == 0)
		return finish(w, f, WS_CAME_CLOSE, WS_NO_CODE);
	if (w->held == 1)
		return finish(w, f, WS_BAD, WS_PROTOCOL_ERROR);
	code = (unsigned)w->hold[0] << 8 | w->hold[1];
	if (!ws_code_ok(code))
		return finish(w, f, WS_BAD, WS_PROTOCOL_ERROR);
	reason = str_make(w->hold + 2, w->held - 2u);
	if (!mqtt_text_ok(reason))
		return finish(w, f, WS_BAD, WS_NOT_UTF8);
	f->payload = reason;
	return finish(w, f, WS_CAME_CLOSE, code);
}

static enum ws_event control_event(struct ws *w, struct ws_feed *f)
{
	if (w->op == WS_CLOSE)
		return close_event(w, f);
	f->payload = str_make(w->hold, w->held);
	w->held = 0; /* the bytes stay until the next call */
	w->state = HEAD;
	if (w->op == WS_PING) {
		w->pings++;
		return WS_CAME_PING;
	}
	w->pongs++;
	return WS_CAME_PONG;
}

/* Control payload is collected in hold also when it lies in the feed whole: it is small, and data
 * that is moved to the front may need the place where it lies. */
static enum ws_event control_step(struct ws *w, struct ws_feed *f)
{
	size_t n = feed_left(f);

	if (n > w->left)
		n = (size_t)w->left;
	if (n)
		ws_unmask(w->hold + w->held, f->at, n, w->mask, w->held & 3);
	w->held = (uint8_t)(w->held + n);
	w->left -= n;
	f->at += n;
	return w->left ? WS_MORE : control_event(w, f);
}

enum ws_event ws_next(struct ws *w, struct ws_feed *f)
{
	enum ws_event event = WS_MORE;

	f->payload = STR_NONE;
	f->code = 0;
	/* A frame without payload is complete with its header: then no byte is left, but a step is.
	 */
	while (event == WS_MORE && (f->at < f->end || (w->state > HEAD && w->left == 0))) {
		if (w->state == HEAD)
			event = head_step(w, f);
		else if (w->state == DATA)
			data_step(w, f);
		else if (w->state == CONTROL)
			event = control_step(w, f);
		else
			f->at = f->end;
	}
	return event;
}

/* ---- What we say ---- */
size_t ws_head_before(uint8_t *payload, uint64_t n)
{
	size_t size = ws_head_size(n);
	uint8_t *w = payload - size;

	w = put_u8(w, 0x80 | WS_BINARY);
	if (size == 2) {
		(void)put_u8(w, (unsigned)n);
	} else if (size == 4) {
		(void)put_u16(put_u8(w, 126), (unsigned)n);
	} else {
		MUST(!(n >> 63)); /* bytes that lie in memory */
		w = put_u32(put_u8(w, 127), (uint32_t)(n >> 32));
		(void)put_u32(w, (uint32_t)n);
	}
	return size;
}

static size_t control_put(uint8_t *to, enum ws_op op, struct str payload)
{
	uint8_t *w = put_u8(to, 0x80u | op);

	/* a ping's that is answered was read by the decoder, which allows no more */
	MUST(payload.n <= WS_CONTROL_DATA);
	w = put_bytes(put_u8(w, (unsigned)payload.n), payload);
	return (size_t)(w - to);
}

size_t ws_ping_put(uint8_t to[WS_CONTROL_MAX], struct str payload)
{
	return control_put(to, WS_PING, payload);
}

size_t ws_pong_put(uint8_t to[WS_CONTROL_MAX], struct str payload)
{
	return control_put(to, WS_PONG, payload);
}

size_t ws_close_put(uint8_t to[WS_CONTROL_MAX], unsigned code, struct str reason)
{
	uint8_t body[WS_CONTROL_DATA];

	if (code == WS_NO_CODE)
		return control_put(to, WS_CLOSE, STR_NONE);
	/* our own, or what the decoder found to be one */
	MUST(ws_code_ok(code) && mqtt_text_ok(reason));
	if (reason.n > WS_REASON_MAX) {
		reason.n = WS_REASON_MAX;
		while (reason.n && ((uint8_t)reason.p[reason.n] & 0xc0) == 0x80)
			reason.n--; /* what would come next is the tail of a character */
	}
	(void)put_bytes(put_u16(body, code), reason);
	return control_put(to, WS_CLOSE, str_make(body, 2 + reason.n));
}
