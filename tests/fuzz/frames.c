/* frames.c - fuzz target: the frame splitter (proxy/feed.h) over MQTT heads and over heads of the
 * link. However the bytes are cut into reads, and wherever the taker says "no more now", the same
 * frames come out as from the whole stream looked at once by a parser that is as dumb as the
 * standard; and what is kept between reads is never more than what has come (attack R02).
 *
 * Input: u8 mode (bit 0: link; bit 1: the taker holds now and then), u8 seed of the cuts, stream.
 */
#include "base/base.h"

#include <stdlib.h>

#include "proxy/feed.h"
#include "wire/link.h"
#include "wire/mqtt_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MQTT_LIMIT = 256 << 10 };

struct taker {
	bool link, holds, bad;
	uint32_t cuts; /* state of a small generator */
	struct str stream;
	size_t taken; /* of stream, in whole frames */
};

static uint32_t next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 16;
}

/* ---- The oracle: the length of the frame that begins here. 0: its head is not whole, SIZE_MAX: no
 * frame begins like that ---- */

static bool flags_fit(uint8_t first)
{
	unsigned type = first >> 4, flags = first & 15;

	if (type == 0)
		return false;
	if (type == 3)
		return true; /* they mean something: mqtt_publish_read judges them */
	return flags == (type == 6 || type == 8 || type == 10 ? 2 : 0);
}

static size_t mqtt_length(struct str s)
{
	size_t value = 0;

	if (s.n && !flags_fit((uint8_t)s.p[0]))
		return SIZE_MAX;
	for (size_t i = 1; i < s.n; i++) {
		uint8_t byte = (uint8_t)s.p[i];

		if (i == 5)
			return SIZE_MAX; /* a fifth one */
		value += (size_t)(byte & 127) << 7 * (i - 1);
		if (byte & 128) {
			if (i == 4)
				return SIZE_MAX; /* says that a fifth one comes */
			continue;
		}
		if (i > 1 && byte == 0)
			return SIZE_MAX; /* padded */
		if (((uint8_t)s.p[0] >> 4 == 12 || (uint8_t)s.p[0] >> 4 == 13) && value)
			return SIZE_MAX; /* pings have no body */
		return value + i + 1 > MQTT_LIMIT ? SIZE_MAX : value + i + 1;
	}
	return 0;
}

static size_t oracle(const struct taker *t, struct str s)
{
	struct link_head h;
	struct take fixed = take_from(s.p, s.n);
	uint32_t length;

	if (!t->link)
		return mqtt_length(s);
	if (link_head_read(s, &h) == PARSE_BAD)
		return SIZE_MAX; /* judged by its own target: link_frames.c */
	return s.n < LINK_HEAD || !take_le32(&fixed, &length) ? 0 : length;
}

/* ---- As proxy/gate.c and proxy/uplink.c measure ---- */

static enum parse measure(void *owner, struct str bytes, size_t *whole)
{
	struct taker *t = owner;
	struct take fixed = take_from(bytes.p, bytes.n);
	struct link_head link;
	struct mqtt_head h;
	enum parse answer;
	uint32_t length;

	if (t->link) {
		answer = link_head_read(bytes, &link);
		if (answer == PARSE_BAD || bytes.n < LINK_HEAD || !take_le32(&fixed, &length))
			return answer;
		*whole = length;
		return PARSE_OK;
	}
	answer = mqtt_head_read(bytes, &h);
	if (answer != PARSE_OK)
		return answer;
	*whole = h.size + (size_t)h.remaining;
	return *whole > MQTT_LIMIT ? PARSE_BAD : PARSE_OK;
}

static bool frame(void *owner, struct str bytes)
{
	struct taker *t = owner;
	struct str rest = str_skip(t->stream, t->taken);

	MUST(oracle(t, rest) == bytes.n);
	MUST(bytes.n <= rest.n && memcmp(bytes.p, rest.p, bytes.n) == 0);
	t->taken += bytes.n;
	return !(t->holds && next(&t->cuts) % 4 == 0);
}

static const struct feed_ops ops = { .measure = measure, .frame = frame };

/* One read: a block of its own, so that reading past it shows. */
static enum feed one_read(struct taker *t, struct buf *rest, struct str part)
{
	char *copy = malloc(part.n);
	enum feed answer;

	MUST(copy);
	memcpy(copy, part.p, part.n);
	answer = feed(&ops, t, rest, str_make(copy, part.n));
	free(copy);
	while (answer == FEED_HOLD)
		answer = feed_rest(&ops, t, rest);
	MUST(answer != FEED_NOMEM);
	return answer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct taker t;
	struct buf rest = { 0 };
	enum feed answer = FEED_OK;
	size_t came = 0, most;

	if (size < 2)
		return 0;
	t = (struct taker){ .link = data[0] & 1,
		            .holds = data[0] & 2,
		            .cuts = data[1],
		            .stream = str_make(data + 2, size - 2) };
	most = data[1] & 1 ? 3 : data[1] & 2 ? 64 : SIZE_MAX;
	while (came < t.stream.n && answer == FEED_OK) {
		size_t n = size_min(1 + next(&t.cuts) % most, t.stream.n - came);

		answer = one_read(&t, &rest, str_make(t.stream.p + came, n));
		came += n;
		MUST(answer != FEED_OK || buf_len(&rest) == came - t.taken);
		MUST(buf_len(&rest) <= came && rest.cap <= 4 * came + 4096);
	}
	if (answer == FEED_BAD) {
		/* not a byte of what follows was handed over, and no byte too many was needed */
		MUST(oracle(&t, str_skip(str_make(t.stream.p, came), t.taken)) == SIZE_MAX);
	} else {
		size_t left = oracle(&t, str_skip(t.stream, t.taken));

		MUST(left != SIZE_MAX && (left == 0 || left > t.stream.n - t.taken));
	}
	buf_free(&rest);
	return 0;
}
