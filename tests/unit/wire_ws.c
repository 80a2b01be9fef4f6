/* wire_ws.c - frames of WebSocket: headers, unmasking, the decoder at every split, what we say.
 * W14 .. W17 are rows of the attack table. */
#include "base/base.h"
#include "tests/kit/kit.h"

#include <stdio.h>

#include "base/bytes.h"
#include "wire/ws.h"

static const struct ws_limits usual = { 1 << 20, 2 << 20, 64 };

/* ---- Frames as a client makes them ---- */
static const uint8_t key[4] = { 0x37, 0xfa, 0x21, 0x3d }; /* section 5.7 */

static void add_head(struct buf *b, unsigned first, uint64_t n)
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

static void add(struct buf *b, unsigned first, struct str payload)
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

static void story_start(struct story *s, const struct ws_limits *limits)
{
	*s = (struct story){ 0 };
	ws_start(&s->ws, limits);
}

static void story_free(struct story *s)
{
	buf_free(&s->plain);
	buf_free(&s->events);
}

/* Bytes lie at the end of a guard page and are writable; what was handed over is kept. */
static void tell(struct story *s, struct str bytes)
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
static void told(struct str bytes, const struct ws_limits *limits, struct str plain,
                 const char *events)
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

/* ---- Headers ---- */
#define READ(literal) ws_head_read(guard_str(STR(literal)), &h, &code)

static void a_header_has_three_lengths(void)
{
	struct ws_head h;
	unsigned code = 0;

	IS(READ("\x82\x85\x37\xfa\x21\x3d"), PARSE_OK);
	IS(h.size, 6);
	IS(h.length, 5);
	IS(h.op, WS_BINARY);
	YES(h.fin);
	YES(memcmp(h.mask, key, 4) == 0);
	IS(READ("\x02\xfe\x01\x00\x37\xfa\x21\x3d"), PARSE_OK);
	IS(h.size, 8);
	IS(h.length, 256);
	NO(h.fin);
	IS(READ("\x80\xff\x00\x00\x00\x00\x00\x01\x00\x00\x37\xfa\x21\x3d"), PARSE_OK);
	IS(h.size, 14);
	IS(h.length, 65536);
	IS(h.op, WS_CONTINUATION);
	IS(code, 0);
}

static void a_header_cut_anywhere_asks_for_more(void)
{
	static const struct str whole[] = {
		STR_INIT("\x82\x85\x37\xfa\x21\x3d"), STR_INIT("\x82\xfe\x01\x00\x37\xfa\x21\x3d"),
		STR_INIT("\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x37\xfa\x21\x3d"),
		STR_INIT("\x89\x80\x00\x00\x00\x00")
	};
	struct ws_head h;
	unsigned code;

	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		each_prefix(p, whole[i]) IS(ws_head_read(p.first, &h, &code), PARSE_MORE);
		IS(ws_head_read(guard_str(whole[i]), &h, &code), PARSE_OK);
		IS(h.size, whole[i].n);
	}
}

/* Every pair of first bytes against the rules written down once more, as sets. */
static void W15_the_first_two_bytes_are_judged_as_section_5_says(void)
{
	for (unsigned pair = 0; pair < 65536; pair++) {
		uint8_t bytes[14] = { (uint8_t)(pair >> 8), (uint8_t)pair, 0, 0, 0, 0, 1 };
		unsigned op = bytes[0] & 15, n = bytes[1] & 127, code = 0, expected = 0;
		struct ws_head h;

		if (n == 126)
			memcpy(bytes + 2, "\x01\x00", 2);
		if (bytes[0] & 0x70)
			expected = 1002;
		else if (op == 1)
			expected = 1003;
		else if (!(op == 0 || op == 2 || (op >= 8 && op <= 10)))
			expected = 1002;
		else if (op >= 8 && (!(bytes[0] & 0x80) || n > 125))
			expected = 1002;
		else if (!(bytes[1] & 0x80))
			expected = 1002;
		IS(ws_head_read(str_make(bytes, sizeof(bytes)), &h, &code),
		   expected ? PARSE_BAD : PARSE_OK);
		IS(code, expected);
	}
}

static void W15_one_byte_is_enough_for_bad(void)
{
	struct ws_head h;
	unsigned code = 0;

	IS(READ("\xc2"), PARSE_BAD);
	IS(code, 1002);
	IS(READ("\x81"), PARSE_BAD);
	IS(code, 1003);
	IS(READ("\x0a"), PARSE_BAD);
	IS(code, 1002);
	IS(READ("\x82"), PARSE_MORE);
	IS(READ("\x82\x05"), PARSE_BAD);
	IS(code, 1002);
	IS(READ("\x88\xfe"), PARSE_BAD);
	IS(code, 1002);
}

static void W14_a_length_that_is_padded_is_bad(void)
{
	struct ws_head h;
	unsigned code = 0;

	IS(READ("\x82\xfe\x00\x7d"), PARSE_BAD);
	IS(code, 1002);
	IS(READ("\x82\xfe\x00\x7e\x00\x00\x00\x00"), PARSE_OK);
	IS(h.length, 126);
	IS(READ("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff"), PARSE_BAD);
	IS(READ("\x82\xff\x00\x00\x00\x00\x00\x00\x00\x00"), PARSE_BAD);
}

static void W14_the_top_bit_of_a_length_is_zero(void)
{
	struct ws_head h;
	unsigned code = 0;

	IS(READ("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00"), PARSE_BAD);
	IS(code, 1002);
	IS(READ("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"), PARSE_BAD);
	IS(READ("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"
	        "abcd"),
	   PARSE_OK);
	YES(h.length == INT64_MAX);
}

/* ---- Unmasking ---- */
static void unmasking_is_xor_at_every_length_phase_and_distance(void)
{
	uint8_t from[120], expected[120];

	for (size_t n = 0; n <= 100; n++) {
		for (unsigned phase = 0; phase < 4; phase++) {
			for (size_t distance = 0; distance <= 20; distance++) {
				uint8_t *room;

				any_bytes(from, n + distance);
				for (size_t i = 0; i < n; i++)
					expected[i] = from[distance + i] ^ key[(phase + i) & 3];
				room = guard_put(from, n + distance);
				ws_unmask(room, room + distance, n, key, phase);
				IS_BYTES(str_make(room, n), str_make(expected, n));
				if (distance > n)
					IS_BYTES(str_make(room + n, distance - n),
					         str_make(from + n, distance - n));
				guard_reset();
			}
		}
	}
}

/* ---- The decoder ---- */
static void the_masked_example_of_section_5_7_reads_hello(void)
{
	TOLD(STR("\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "Hello", "");
}

static void the_fragmented_example_reads_hello(void)
{
	struct buf b = { 0 };

	add(&b, WS_BINARY, STR("Hel"));
	add(&b, FIN | WS_CONTINUATION, STR("lo"));
	TOLD(buf_str(&b), "Hello", "");
	buf_free(&b);
}

static void the_ping_of_section_5_7_is_answered_with_its_payload(void)
{
	uint8_t pong[WS_CONTROL_MAX];

	TOLD(STR("\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "", "0 ping Hello; ");
	IS_STR(str_make(pong, ws_pong_put(pong, STR("Hello"))), "\x8a\x05Hello");
	IS_STR(str_make(pong, ws_ping_put(pong, STR("Hello"))), "\x89\x05Hello");
}

static void frames_of_256_bytes_and_64_kibibytes_are_read(void)
{
	static const size_t sizes[] = { 125, 126, 256, 65535, 65536 };
	char *payload = mem_alloc(65536);

	MUST(payload);
	any_bytes(payload, 65536);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct str whole = str_make(payload, sizes[i]);
		struct buf b = { 0 };
		struct story s;

		add(&b, FIN | WS_BINARY, whole);
		for (size_t cut = 0; cut < 20; cut++) {
			story_start(&s, &usual);
			tell(&s, str_make(buf_str(&b).p, cut));
			tell(&s, str_skip(buf_str(&b), cut));
			IS_BYTES(buf_str(&s.plain), whole);
			IS(buf_len(&s.events), 0);
			story_free(&s);
			guard_reset();
		}
		buf_free(&b);
	}
	mem_free(payload);
}

static void control_frames_may_stand_between_fragments(void)
{
	struct buf b = { 0 };

	add(&b, WS_BINARY, STR("one "));
	add(&b, FIN | WS_PING, STR("p"));
	add(&b, WS_CONTINUATION, STR("two "));
	add(&b, FIN | WS_PONG, STR(""));
	add(&b, FIN | WS_CONTINUATION, STR("three"));
	add(&b, FIN | WS_BINARY, STR("!"));
	TOLD(buf_str(&b), "one two three!", "4 ping p; 8 pong; ");
	buf_free(&b);
}

static void half_a_frame_is_handed_on_as_it_arrives(void)
{
	struct buf b = { 0 };
	struct story s;

	add(&b, FIN | WS_BINARY, STR("abcdefghijklmnopqrstuvwxyz"));
	story_start(&s, &usual);
	tell(&s, str_make(buf_str(&b).p, 6 + 11));
	IS_STR(buf_str(&s.plain), "abcdefghijk");
	tell(&s, str_skip(buf_str(&b), 6 + 11));
	IS_STR(buf_str(&s.plain), "abcdefghijklmnopqrstuvwxyz");
	story_free(&s);
	buf_free(&b);
}

static void W16_several_packets_in_a_frame_and_a_packet_over_frames_are_the_same_bytes(void)
{
	struct buf b = { 0 };

	add(&b, FIN | WS_BINARY, STR("\xc0\x01"));
	add(&b, FIN | WS_BINARY, STR("\x02\xc0"));
	add(&b, FIN | WS_BINARY, STR("\x03\xc0\x04\xc0\x05"));
	TOLD(buf_str(&b), "\xc0\x01\x02\xc0\x03\xc0\x04\xc0\x05", "");
	buf_free(&b);
}

static void W16_an_empty_frame_is_nothing(void)
{
	struct buf b = { 0 };
	struct story s;

	add(&b, FIN | WS_BINARY, STR(""));
	add(&b, WS_BINARY, STR(""));
	add(&b, WS_CONTINUATION, STR(""));
	add(&b, FIN | WS_CONTINUATION, STR("x"));
	add(&b, FIN | WS_BINARY, STR(""));
	TOLD(buf_str(&b), "x", "");
	story_start(&s, &usual);
	tell(&s, buf_str(&b));
	IS(s.ws.frames, 5); /* counted, so that a flood of them can be limited */
	story_free(&s);
	buf_free(&b);
}

static void W16_a_text_frame_is_1003(void)
{
	struct buf b = { 0 };

	add(&b, FIN | WS_BINARY, STR("before"));
	add(&b, FIN | WS_TEXT, STR("hello"));
	add(&b, FIN | WS_BINARY, STR("after"));
	TOLD(buf_str(&b), "before", "6 bad 1003; ");
	buf_free(&b);
}

static void W16_a_continuation_of_nothing_is_1002(void)
{
	struct buf b = { 0 };

	add(&b, FIN | WS_CONTINUATION, STR("x"));
	TOLD(buf_str(&b), "", "0 bad 1002; ");
	buf_reset(&b);
	add(&b, FIN | WS_BINARY, STR("whole"));
	add(&b, WS_CONTINUATION, STR("x"));
	TOLD(buf_str(&b), "whole", "5 bad 1002; ");
	buf_free(&b);
}

static void W16_a_message_inside_a_message_is_1002(void)
{
	struct buf b = { 0 };

	add(&b, WS_BINARY, STR("one"));
	add(&b, FIN | WS_BINARY, STR("two"));
	TOLD(buf_str(&b), "one", "3 bad 1002; ");
	buf_free(&b);
}

static void W15_an_unmasked_frame_is_1002_and_nothing_of_it_is_seen(void)
{
	TOLD(STR("\x82\x05Hello"), "", "0 bad 1002; ");
	TOLD(STR("\x82\x00\x82\x00"), "", "0 bad 1002; ");
}

static void W15_a_control_frame_in_pieces_is_1002(void)
{
	struct buf b = { 0 };

	add(&b, WS_PING, STR("x"));
	TOLD(buf_str(&b), "", "0 bad 1002; ");
	buf_free(&b);
}

static void W15_a_control_frame_of_126_bytes_is_1002_and_one_of_125_is_not(void)
{
	char payload[126];
	char expected[160];
	struct buf b = { 0 };

	memset(payload, 'p', sizeof(payload));
	add(&b, FIN | WS_PING, str_make(payload, 125));
	(void)snprintf(expected, sizeof(expected), "0 ping %.125s; ", payload);
	TOLD(buf_str(&b), "", expected);
	buf_reset(&b);
	add(&b, FIN | WS_PING, str_make(payload, 126));
	TOLD(buf_str(&b), "", "0 bad 1002; ");
	buf_free(&b);
}

static void W14_a_frame_over_the_limit_is_1009_before_a_byte_of_it(void)
{
	static const struct ws_limits small = { 10, 100, 64 };
	struct buf b = { 0 };

	add(&b, FIN | WS_BINARY, STR("0123456789"));
	add(&b, FIN | WS_BINARY, STR("0123456789+"));
	told(buf_str(&b), &small, STR("0123456789"), "10 bad 1009; ");
	buf_reset(&b);
	add_head(&b, FIN | WS_BINARY, INT64_MAX);
	buf_str_add(&b, STR("little"));
	told(buf_str(&b), &small, STR(""), "0 bad 1009; ");
	buf_free(&b);
}

static void W14_lengths_that_would_overflow_when_added_are_1009(void)
{
	static const struct ws_limits largest = { UINT32_MAX, UINT32_MAX, 64 };
	struct buf b = { 0 };

	add(&b, WS_BINARY, STR("0123456789"));
	add_head(&b, WS_CONTINUATION, UINT32_MAX - 9);
	told(buf_str(&b), &largest, STR("0123456789"), "10 bad 1009; ");
	buf_reset(&b);
	add(&b, WS_BINARY, STR("0123456789"));
	add_head(&b, WS_CONTINUATION, UINT64_C(0x7fffffffffffffff));
	told(buf_str(&b), &largest, STR("0123456789"), "10 bad 1009; ");
	buf_free(&b);
}

static void a_message_over_the_limit_is_1009_and_the_next_one_starts_from_zero(void)
{
	static const struct ws_limits small = { 10, 12, 64 };
	struct buf b = { 0 };

	add(&b, WS_BINARY, STR("0123456"));
	add(&b, FIN | WS_CONTINUATION, STR("01234"));
	add(&b, WS_BINARY, STR("0123456"));
	add(&b, FIN | WS_CONTINUATION, STR("012345"));
	told(buf_str(&b), &small, STR("0123456012340123456"), "19 bad 1009; ");
	buf_free(&b);
}

static void W17_a_hundred_thousand_fragments_end_at_the_cap(void)
{
	struct buf b = { 0 };
	struct story s;

	add(&b, WS_BINARY, STR("x"));
	for (unsigned i = 1; i < 100000; i++)
		add(&b, WS_CONTINUATION, STR("x"));
	story_start(&s, &usual);
	tell(&s, buf_str(&b));
	IS(buf_len(&s.plain), usual.fragments_max);
	IS_STR(buf_str(&s.events), "64 bad 1008; ");
	story_free(&s);
	buf_free(&b);
}

static void W17_pings_are_counted_for_the_caller(void)
{
	struct buf b = { 0 };
	struct story s;

	for (unsigned i = 0; i < 1000; i++)
		add(&b, FIN | (i % 4 ? WS_PING : WS_PONG), STR("x"));
	story_start(&s, &usual);
	tell(&s, buf_str(&b));
	IS(s.ws.pings, 750);
	IS(s.ws.pongs, 250);
	story_free(&s);
	buf_free(&b);
}

static void W17_what_comes_after_a_close_frame_is_ignored(void)
{
	struct buf b = { 0 };

	add(&b, FIN | WS_BINARY, STR("data"));
	add(&b, FIN | WS_CLOSE,
	    STR("\x03\xe8"
	        "bye"));
	add(&b, FIN | WS_BINARY, STR("more"));
	add(&b, FIN | WS_PING, STR("x"));
	add(&b, FIN | WS_CLOSE, STR("\x03\xe9"));
	buf_str_add(&b, STR("\xff\xff nonsense"));
	TOLD(buf_str(&b), "data", "4 close 1000 bye; ");
	buf_free(&b);
}

static void W17_a_close_frame_inside_a_message_closes(void)
{
	struct buf b = { 0 };

	add(&b, WS_BINARY, STR("half"));
	add(&b, FIN | WS_CLOSE, STR("\x03\xe9"));
	TOLD(buf_str(&b), "half", "4 close 1001; ");
	buf_free(&b);
}

static void W17_a_close_frame_with_one_byte_is_1002_and_with_none_has_no_code(void)
{
	struct buf b = { 0 };

	add(&b, FIN | WS_CLOSE, STR("\x03"));
	TOLD(buf_str(&b), "", "0 bad 1002; ");
	buf_reset(&b);
	add(&b, FIN | WS_CLOSE, STR(""));
	TOLD(buf_str(&b), "", "0 close 1005; ");
	buf_free(&b);
}

static void only_codes_that_may_be_sent_are_taken_from_a_close_frame(void)
{
	for (unsigned code = 0; code < 65536; code++) {
		bool ok = (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 &&
		           code != 1006) ||
		          (code >= 3000 && code <= 4999);
		uint8_t body[2] = { (uint8_t)(code >> 8), (uint8_t)code };
		struct buf b = { 0 };
		struct ws_feed f;
		struct ws ws;

		add(&b, FIN | WS_CLOSE, str_make(body, 2));
		ws_start(&ws, &usual);
		ws_feed_start(&f, b.p, buf_len(&b));
		IS(ws_next(&ws, &f), ok ? WS_CAME_CLOSE : WS_BAD);
		IS(f.code, ok ? code : 1002);
		YES(ws_over(&ws));
		buf_free(&b);
	}
}

static void a_reason_that_is_not_utf8_is_1007(void)
{
	struct buf b = { 0 };

	add(&b, FIN | WS_CLOSE, STR("\x03\xe8 \xe2\x82"));
	TOLD(buf_str(&b), "", "0 bad 1007; ");
	buf_reset(&b);
	add(&b, FIN | WS_CLOSE, STR("\x03\xe8\xed\xa0\x80"));
	TOLD(buf_str(&b), "", "0 bad 1007; ");
	buf_reset(&b);
	add(&b, FIN | WS_CLOSE, STR("\x03\xe8 \xe2\x82\xac"));
	TOLD(buf_str(&b), "", "0 close 1000  \xe2\x82\xac; ");
	buf_free(&b);
}

static void a_decoder_that_was_not_started_reads_nothing(void)
{
	struct ws ws = { 0 };
	uint8_t *room = guard_put("\x82\x81\x00\x00\x00\x00x", 7);
	struct ws_feed f;

	ws_feed_start(&f, room, 7);
	IS(ws_next(&ws, &f), WS_MORE);
	IS(ws_feed_plain(&f), 0);
	YES(ws_over(&ws));
}

static void limits_of_zero_are_a_bug_of_ours(void)
{
	static const struct ws_limits none = { 1, 1, 0 };
	struct ws ws;

	DIES(ws_start(&ws, &none));
}

/* Frames at random, cut at random: the story is the one of the whole. */
static void random_frames_read_the_same_however_they_are_cut(void)
{
	static const uint8_t firsts[] = { 0x82, 0x82, 0x82, 0x02, 0x00, 0x80,
		                          0x89, 0x8a, 0x88, 0x81, 0xc2 };

	for (unsigned round = 0; round < 3000; round++) {
		struct buf b = { 0 };
		struct story whole, cut;
		size_t at = 0;

		for (unsigned i = 0; i < 1 + any_below(8); i++) {
			uint8_t payload[150];
			size_t n = any_below(any_below(4) ? 20 : sizeof(payload));

			any_bytes(payload, n);
			add(&b, firsts[any_below(any_below(3) ? 8 : ARRAY_LEN(firsts))],
			    str_make(payload, n));
		}
		story_start(&whole, &usual);
		tell(&whole, buf_str(&b));
		story_start(&cut, &usual);
		while (at < buf_len(&b)) {
			size_t n = size_min(1 + any_below(any_below(2) ? 4 : 64), buf_len(&b) - at);

			tell(&cut, str_make(buf_str(&b).p + at, n));
			at += n;
		}
		IS_BYTES(buf_str(&cut.plain), buf_str(&whole.plain));
		IS_BYTES(buf_str(&cut.events), buf_str(&whole.events));
		story_free(&whole);
		story_free(&cut);
		buf_free(&b);
		guard_reset();
	}
}

/* ---- What we say ---- */
static void our_header_stands_right_before_the_payload(void)
{
	static const struct {
		uint64_t n;
		struct str head;
	} rows[] = {
		{ 0, STR_INIT("\x82\x00") },
		{ 125, STR_INIT("\x82\x7d") },
		{ 126, STR_INIT("\x82\x7e\x00\x7e") },
		{ 65535, STR_INIT("\x82\x7e\xff\xff") },
		{ 65536, STR_INIT("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00") },
		{ INT64_MAX, STR_INIT("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff") },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t *room = guard_put("##########", WS_OWN_HEAD_MAX);
		size_t n = ws_head_before(room + WS_OWN_HEAD_MAX, rows[i].n);

		IS(n, ws_head_size(rows[i].n));
		IS_BYTES(str_make(room + WS_OWN_HEAD_MAX - n, n), rows[i].head);
		for (size_t k = 0; k < WS_OWN_HEAD_MAX - n; k++)
			IS(room[k], '#');
	}
}

static void our_close_frame_has_code_and_reason(void)
{
	uint8_t to[WS_CONTROL_MAX];

	IS_STR(str_make(to, ws_close_put(to, WS_PROTOCOL_ERROR, STR("no mask"))),
	       "\x88\x09\x03\xeano mask");
	IS_STR(str_make(to, ws_close_put(to, WS_GOING_AWAY, STR_NONE)), "\x88\x02\x03\xe9");
	IS_STR(str_make(to, ws_close_put(to, WS_NO_CODE, STR_NONE)), "\x88\x00");
	DIES(ws_close_put(to, 1006, STR_NONE));
	DIES(ws_close_put(to, 999, STR_NONE));
}

static void a_long_reason_is_cut_between_two_characters(void)
{
	char reason[200];
	uint8_t *to = guard_put(memset(reason, 'x', sizeof(reason)), WS_CONTROL_MAX);

	IS(ws_close_put(to, WS_NORMAL, str_make(reason, WS_REASON_MAX + 1)), WS_CONTROL_MAX);
	memcpy(reason + WS_REASON_MAX - 2, "\xe2\x82\xac", 3);
	IS(ws_close_put(to, WS_NORMAL, str_make(reason, WS_REASON_MAX + 1)), WS_CONTROL_MAX - 2);
	IS(to[1], WS_CONTROL_DATA - 2);
	memcpy(reason + WS_REASON_MAX - 2, "x\xe2\x82\xac", 4);
	IS(ws_close_put(to, WS_NORMAL, str_make(reason, WS_REASON_MAX + 2)), WS_CONTROL_MAX - 1);
}

static void a_pong_over_125_bytes_is_a_bug_of_ours(void)
{
	uint8_t to[WS_CONTROL_MAX];
	char payload[126] = { 0 };

	DIES(ws_pong_put(to, str_make(payload, sizeof(payload))));
}

RUN(a_header_has_three_lengths, a_header_cut_anywhere_asks_for_more,
    W15_the_first_two_bytes_are_judged_as_section_5_says, W15_one_byte_is_enough_for_bad,
    W14_a_length_that_is_padded_is_bad, W14_the_top_bit_of_a_length_is_zero,
    unmasking_is_xor_at_every_length_phase_and_distance,
    the_masked_example_of_section_5_7_reads_hello, the_fragmented_example_reads_hello,
    the_ping_of_section_5_7_is_answered_with_its_payload,
    frames_of_256_bytes_and_64_kibibytes_are_read, control_frames_may_stand_between_fragments,
    half_a_frame_is_handed_on_as_it_arrives,
    W16_several_packets_in_a_frame_and_a_packet_over_frames_are_the_same_bytes,
    W16_an_empty_frame_is_nothing, W16_a_text_frame_is_1003, W16_a_continuation_of_nothing_is_1002,
    W16_a_message_inside_a_message_is_1002, W15_an_unmasked_frame_is_1002_and_nothing_of_it_is_seen,
    W15_a_control_frame_in_pieces_is_1002,
    W15_a_control_frame_of_126_bytes_is_1002_and_one_of_125_is_not,
    W14_a_frame_over_the_limit_is_1009_before_a_byte_of_it,
    W14_lengths_that_would_overflow_when_added_are_1009,
    a_message_over_the_limit_is_1009_and_the_next_one_starts_from_zero,
    W17_a_hundred_thousand_fragments_end_at_the_cap, W17_pings_are_counted_for_the_caller,
    W17_what_comes_after_a_close_frame_is_ignored, W17_a_close_frame_inside_a_message_closes,
    W17_a_close_frame_with_one_byte_is_1002_and_with_none_has_no_code,
    only_codes_that_may_be_sent_are_taken_from_a_close_frame, a_reason_that_is_not_utf8_is_1007,
    a_decoder_that_was_not_started_reads_nothing, limits_of_zero_are_a_bug_of_ours,
    random_frames_read_the_same_however_they_are_cut, our_header_stands_right_before_the_payload,
    our_close_frame_has_code_and_reason, a_long_reason_is_cut_between_two_characters,
    a_pong_over_125_bytes_is_a_bug_of_ours)
