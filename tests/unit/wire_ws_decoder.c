/* wire_ws_decoder.c - the WebSocket decoder, whole and at every split. W14 to W17 are rows of the
 * attack table. */
#include "base/base.h"
#include "tests/unit/wire_ws.h"

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

RUN(the_masked_example_of_section_5_7_reads_hello, the_fragmented_example_reads_hello,
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
    random_frames_read_the_same_however_they_are_cut)
