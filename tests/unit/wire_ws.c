/* wire_ws.c - WebSocket frames: headers, unmasking, what we say. W14 and W15 are rows of the attack
 * table. */
#include "base/base.h"
#include "tests/unit/wire_ws.h"

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
    unmasking_is_xor_at_every_length_phase_and_distance, our_header_stands_right_before_the_payload,
    our_close_frame_has_code_and_reason, a_long_reason_is_cut_between_two_characters,
    a_pong_over_125_bytes_is_a_bug_of_ours)
