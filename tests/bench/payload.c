/* payload.c - a message that proves itself: who sent it, its number, when, and a pattern in the
 * rest that follows from those. */
#include "tests/bench/bench.h"

enum { MAGIC = 0x4d425355 };

struct head {
	uint32_t magic, publisher;
	uint64_t seq, sent, check;
};

static uint64_t check_of(const struct head *h, size_t n)
{
	uint64_t x = h->seq * 0x9E3779B97F4A7C15u ^ ((uint64_t)h->publisher << 32 | n) ^ h->sent;

	x ^= x >> 29;
	return x * 0xBF58476D1CE4E5B9u;
}

void bench_payload_write(uint8_t *p, size_t n, uint32_t publisher, uint64_t seq, uint64_t now)
{
	struct head h = { MAGIC, publisher, seq, now, 0 };

	MUST(n >= sizeof(h));
	h.check = check_of(&h, n);
	memcpy(p, &h, sizeof(h));
	memset(p + sizeof(h), (int)(h.check & 0x7F), n - sizeof(h));
}

bool bench_payload_read(struct str payload, uint32_t *publisher, uint64_t *seq, uint64_t *sent)
{
	struct head h;

	if (payload.n < sizeof(h))
		return false;
	memcpy(&h, payload.p, sizeof(h));
	if (h.magic != MAGIC || h.check != check_of(&h, payload.n))
		return false;
	for (size_t i = sizeof(h); i < payload.n; i++) {
		if ((uint8_t)payload.p[i] != (h.check & 0x7F))
			return false;
	}
	*publisher = h.publisher;
	*seq = h.seq;
	*sent = h.sent;
	return true;
}
