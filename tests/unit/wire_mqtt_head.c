/* wire_mqtt_head.c - the fixed header and the variable byte integer. */
#include "base/base.h"
#include "tests/unit/wire_mqtt.h"
#include "wire/mqtt_parts.h"

#define HEAD(literal) mqtt_head_read(B(literal), &h)

static enum parse varint(struct str s, uint32_t *v, size_t *used)
{
	struct take t = take_from(s.p, s.n);
	enum parse answer = mqtt_varint_take(&t, v);

	*used = s.n - take_left(&t);
	return answer;
}

static void every_boundary_of_the_varint_is_read_as_it_was_written(void)
{
	static const uint32_t values[] = { 0,       1,       127,
		                           128,     16383,   16384,
		                           2097151, 2097152, MQTT_REMAINING_MAX };

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct buf b = { 0 };
		uint32_t v = 0;
		size_t used;

		mqtt_varint_put(&b, values[i]);
		IS(buf_len(&b), mqtt_varint_size(values[i]));
		IS(varint(guard_str(buf_str(&b)), &v, &used), PARSE_OK);
		IS(v, values[i]);
		IS(used, buf_len(&b));
		each_prefix(p, buf_str(&b)) IS(varint(p.first, &v, &used), PARSE_MORE);
		buf_free(&b);
	}
}

static void a_varint_moves_nothing_unless_it_is_whole(void)
{
	uint32_t v = 5;
	size_t used;

	IS(varint(B("\x80\x80"), &v, &used), PARSE_MORE);
	IS(used, 0);
	IS(varint(B("\x80\x80\x80\x80"), &v, &used), PARSE_BAD);
	IS(used, 0);
	IS(v, 5);
}

static void a_number_over_the_maximum_cannot_be_written(void)
{
	struct buf b = { 0 };

	DIES(mqtt_varint_put(&b, MQTT_REMAINING_MAX + 1));
}

static void P06_a_length_of_five_bytes_is_bad(void)
{
	struct mqtt_head h;

	IS(HEAD("\x30\xff\xff\xff\xff\x01"), PARSE_BAD);
	IS(HEAD("\x30\xff\xff\xff\xff"),
	   PARSE_BAD); /* a fifth byte is announced: no need to wait for it */
	IS(HEAD("\x30\xff\xff\xff\x7f"), PARSE_OK);
	IS(h.remaining, MQTT_REMAINING_MAX);
}

static void P07_a_length_that_is_padded_is_bad(void)
{
	struct mqtt_head h;

	IS(HEAD("\x30\x80\x00"), PARSE_BAD);
	IS(HEAD("\x30\xff\x00"), PARSE_BAD);
	IS(HEAD("\x30\x80\x80\x00"), PARSE_BAD);
	IS(HEAD("\x30\x80\x80\x80\x00"), PARSE_BAD);
	IS(HEAD("\x30\x80\x80\x01"), PARSE_OK);
	IS(h.remaining, 16384);
}

static void P35_a_header_cut_anywhere_asks_for_more(void)
{
	struct mqtt_head h;

	each_prefix(p, STR("\x30\x80\x80\x80\x01")) IS(mqtt_head_read(p.first, &h), PARSE_MORE);
	IS(HEAD("\x30\x80\x80\x80\x01"), PARSE_OK);
	IS(h.size, 5);
	IS(h.remaining, 2097152);
}

static void a_header_is_whole_before_its_body_is(void)
{
	struct mqtt_head h;

	IS(HEAD("\x3d\x05"
	        "x"),
	   PARSE_OK);
	IS(h.type, MQTT_PUBLISH);
	IS(h.flags, 13);
	IS(h.size, 2);
	IS(h.remaining, 5);
}

static void P05_type_zero_and_wrong_flags_are_bad_and_all_others_are_not(void)
{
	static const uint8_t must[16] = {
		[MQTT_PUBREL] = 2, [MQTT_SUBSCRIBE] = 2, [MQTT_UNSUBSCRIBE] = 2
	};

	for (unsigned first = 0; first < 256; first++) {
		unsigned type = first >> 4, flags = first & 15;
		bool good = type && (type == MQTT_PUBLISH || flags == must[type]);
		uint8_t bytes[2] = { (uint8_t)first, 0 };
		struct mqtt_head h;

		IS(mqtt_head_read(guard_str(str_make(bytes, 2)), &h), good ? PARSE_OK : PARSE_BAD);
		if (good) {
			IS(h.type, type);
			IS(h.flags, flags);
		}
	}
}

static void P02_the_first_byte_alone_is_enough_for_bad(void)
{
	struct mqtt_head h;

	IS(HEAD(""), PARSE_MORE);
	IS(HEAD("\x00"), PARSE_BAD);
	IS(HEAD("\x11"), PARSE_BAD);
	IS(HEAD("\x80"), PARSE_BAD); /* SUBSCRIBE without its flags */
	IS(HEAD("\x10"), PARSE_MORE);
	IS(HEAD("G"), PARSE_BAD); /* "GET / HTTP/1.1" would be a PUBACK with flags 7 */
}

static void P33_a_ping_with_a_body_is_bad(void)
{
	struct mqtt_head h;

	IS(HEAD("\xc0\x00"), PARSE_OK);
	IS(HEAD("\xc0\x01"), PARSE_BAD);
	IS(HEAD("\xd0\x00"), PARSE_OK);
	IS(HEAD("\xd0\x80\x01"), PARSE_BAD);
}

static void bytes_at_random_end_in_an_answer(void)
{
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t bytes[6];
		size_t n = any_below(sizeof(bytes) + 1);
		struct mqtt_head h;

		any_bytes(bytes, n);
		if (mqtt_head_read(guard_str(str_make(bytes, n)), &h) == PARSE_OK) {
			YES(h.size >= 2 && h.size <= n);
			YES(h.remaining <= MQTT_REMAINING_MAX);
			IS(h.size, 1 + mqtt_varint_size(h.remaining));
		}
		guard_reset();
	}
}

static void types_and_reasons_have_names(void)
{
	IS_STR(str_c(mqtt_type_name(MQTT_CONNECT)), "CONNECT");
	IS_STR(str_c(mqtt_type_name(MQTT_AUTH)), "AUTH");
	IS_STR(str_c(mqtt_type_name(0)), "reserved");
	IS_STR(str_c(mqtt_type_name(16)), "unknown");
	IS_STR(str_c(mqtt_reason_text(RC_TOPIC_NAME_INVALID)), "topic name invalid");
	IS_STR(str_c(mqtt_reason_text(0x05)), "unknown reason");
	IS_STR(str_c(mqtt_reason_text(0xFFFF)), "unknown reason");
}

static void a_code_stands_only_in_its_packets(void)
{
	YES(mqtt_reason_may(RC_SUCCESS, MQTT_AUTH));
	NO(mqtt_reason_may(RC_SUCCESS, MQTT_SUBSCRIBE));
	YES(mqtt_reason_may(RC_SESSION_TAKEN_OVER, MQTT_DISCONNECT));
	NO(mqtt_reason_may(RC_SESSION_TAKEN_OVER, IN_CLIENT_DISCONNECT));
	YES(mqtt_reason_may(RC_DISCONNECT_WITH_WILL, IN_CLIENT_DISCONNECT));
	for (unsigned code = 256; code < 1024; code++)
		NO(mqtt_reason_may(code, MQTT_CONNACK));
}

static void a_v3_client_hears_one_of_five_refusals(void)
{
	IS(mqtt_v3_connack(RC_SUCCESS), 0);
	IS(mqtt_v3_connack(RC_UNSUPPORTED_PROTOCOL_VERSION), 1);
	IS(mqtt_v3_connack(RC_CLIENT_IDENTIFIER_NOT_VALID), 2);
	IS(mqtt_v3_connack(RC_SERVER_UNAVAILABLE), 3);
	IS(mqtt_v3_connack(RC_SERVER_BUSY), 3);
	IS(mqtt_v3_connack(RC_CONNECTION_RATE_EXCEEDED), 3);
	IS(mqtt_v3_connack(RC_BAD_USER_NAME_OR_PASSWORD), 4);
	IS(mqtt_v3_connack(RC_NOT_AUTHORIZED), 5);
	IS(mqtt_v3_connack(RC_BANNED), 5);
	for (unsigned code = 1; code < 512; code++)
		YES(mqtt_v3_connack(code) >= 1 && mqtt_v3_connack(code) <= 5);
}

static void a_v3_suback_knows_one_refusal(void)
{
	IS(mqtt_v3_suback(RC_GRANTED_QOS2), 2);
	IS(mqtt_v3_suback(RC_NOT_AUTHORIZED), 0x80);
	IS(mqtt_v3_suback(RC_TOPIC_FILTER_INVALID), 0x80);
}

RUN(every_boundary_of_the_varint_is_read_as_it_was_written,
    a_varint_moves_nothing_unless_it_is_whole, a_number_over_the_maximum_cannot_be_written,
    P06_a_length_of_five_bytes_is_bad, P07_a_length_that_is_padded_is_bad,
    P35_a_header_cut_anywhere_asks_for_more, a_header_is_whole_before_its_body_is,
    P05_type_zero_and_wrong_flags_are_bad_and_all_others_are_not,
    P02_the_first_byte_alone_is_enough_for_bad, P33_a_ping_with_a_body_is_bad,
    bytes_at_random_end_in_an_answer, types_and_reasons_have_names,
    a_code_stands_only_in_its_packets, a_v3_client_hears_one_of_five_refusals,
    a_v3_suback_knows_one_refusal)
