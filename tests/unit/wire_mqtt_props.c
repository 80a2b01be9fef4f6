/* wire_mqtt_props.c - properties: where each may stand, what its value may be, and that they are
 * written as they were read. */
#include "base/base.h"
#include "tests/unit/wire_mqtt.h"
#include "wire/mqtt_parts.h"

#define JUDGE(where, literal) mqtt_props_judge(B(literal), where, &p)

/* MQTT5 table 2-4 once more, typed in from the standard: bit 0 is the Will, bit n the packet
 * type n. A sample value for each. */
#define T(x) (1u << MQTT_##x)
enum { W = 1, ACKS = 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7, ANY = 0xcfff };
static const struct sample {
	struct str bytes;
	unsigned in;
} samples[] = {
	{ STR_INIT("\x01\x01"), T(PUBLISH) | W },
	{ STR_INIT("\x02\x00\x00\x00\x0a"), T(PUBLISH) | W },
	{ STR_INIT("\x03\x00\x01"
	           "c"),
	  T(PUBLISH) | W },
	{ STR_INIT("\x08\x00\x03"
	           "a/b"),
	  T(PUBLISH) | W },
	{ STR_INIT("\x09\x00\x02\x00\xff"), T(PUBLISH) | W },
	{ STR_INIT("\x0b\x81\x01"), T(PUBLISH) | T(SUBSCRIBE) },
	{ STR_INIT("\x11\x00\x00\x00\x00"), T(CONNECT) | T(CONNACK) | T(DISCONNECT) },
	{ STR_INIT("\x12\x00\x02"
	           "id"),
	  T(CONNACK) },
	{ STR_INIT("\x13\x00\x3c"), T(CONNACK) },
	{ STR_INIT("\x15\x00\x01"
	           "m"),
	  T(CONNECT) | T(CONNACK) | T(AUTH) },
	{ STR_INIT("\x17\x00"), T(CONNECT) },
	{ STR_INIT("\x18\x00\x00\x00\x05"), W },
	{ STR_INIT("\x19\x01"), T(CONNECT) },
	{ STR_INIT("\x1a\x00\x01"
	           "r"),
	  T(CONNACK) },
	{ STR_INIT("\x1c\x00\x01"
	           "s"),
	  T(CONNACK) | T(DISCONNECT) },
	{ STR_INIT("\x1f\x00\x01"
	           "w"),
	  T(CONNACK) | ACKS | T(SUBACK) | T(UNSUBACK) | T(DISCONNECT) | T(AUTH) },
	{ STR_INIT("\x21\x00\x01"), T(CONNECT) | T(CONNACK) },
	{ STR_INIT("\x22\x00\x00"), T(CONNECT) | T(CONNACK) },
	{ STR_INIT("\x23\x00\x01"), T(PUBLISH) },
	{ STR_INIT("\x24\x01"), T(CONNACK) },
	{ STR_INIT("\x25\x00"), T(CONNACK) },
	{ STR_INIT("\x26\x00\x01"
	           "k\x00\x01"
	           "v"),
	  ANY },
	{ STR_INIT("\x27\x00\x00\x00\x01"), T(CONNECT) | T(CONNACK) },
	{ STR_INIT("\x28\x00"), T(CONNACK) },
	{ STR_INIT("\x29\x00"), T(CONNACK) },
	{ STR_INIT("\x2a\x00"), T(CONNACK) },
};

static void P12_a_property_stands_only_where_the_standard_says(void)
{
	struct mqtt_props p;

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		for (unsigned where = 0; where < 16; where++) {
			bool may = samples[i].in >> where & 1;

			IS(mqtt_props_judge(guard_str(samples[i].bytes), where, &p),
			   may ? RC_SUCCESS : RC_PROTOCOL_ERROR);
			IS(may && !mqtt_has(&p, (enum mqtt_prop)samples[i].bytes.p[0]), 0);
		}
		guard_reset();
	}
}

static void an_identifier_that_does_not_exist_is_malformed(void)
{
	struct mqtt_props p;

	for (unsigned id = 0; id < 256; id++) {
		uint8_t bytes[8] = { (uint8_t)id };
		bool exists = false;

		for (size_t i = 0; i < ARRAY_LEN(samples); i++)
			exists |= (uint8_t)samples[i].bytes.p[0] == id;
		if (!exists && id != PROP_AUTH_DATA)
			IS(mqtt_props_judge(guard_str(str_make(bytes, sizeof(bytes))), MQTT_CONNECT,
			                    &p),
			   RC_MALFORMED_PACKET);
	}
	IS(JUDGE(MQTT_PUBLISH, "\x81\x00\x01"), RC_MALFORMED_PACKET); /* 1, in two bytes */
}

static void P13_a_property_that_stands_once_may_not_stand_twice(void)
{
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct str s = samples[i].bytes;
		unsigned where = (unsigned)__builtin_ctz(samples[i].in);
		bool repeats = s.p[0] == PROP_USER_PROPERTY ||
		               (s.p[0] == PROP_SUBSCRIPTION_ID && where == MQTT_PUBLISH);
		struct mqtt_props p;
		struct buf b = { 0 };

		buf_str_add(&b, s);
		buf_str_add(&b, s);
		IS(mqtt_props_judge(guard_str(buf_str(&b)), where, &p),
		   repeats ? RC_SUCCESS : RC_PROTOCOL_ERROR);
		buf_free(&b);
	}
}

static void P13_a_subscribe_has_one_subscription_identifier(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_SUBSCRIBE, "\x0b\x01\x0b\x02"), RC_PROTOCOL_ERROR);
	IS(JUDGE(MQTT_SUBSCRIBE, "\x0b\xff\xff\xff\x7f"), RC_SUCCESS);
	IS(p.subscription_ids, 1);
	IS(p.subscription_id[0], MQTT_REMAINING_MAX);
}

static void P13_a_yes_or_no_is_zero_or_one(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_PUBLISH, "\x01\x02"), RC_PROTOCOL_ERROR);
	IS(JUDGE(MQTT_CONNECT, "\x17\x02"), RC_PROTOCOL_ERROR);
	IS(JUDGE(MQTT_CONNECT, "\x19\xff"), RC_PROTOCOL_ERROR);
	IS(JUDGE(MQTT_CONNACK, "\x24\x02"), RC_PROTOCOL_ERROR);
	IS(JUDGE(MQTT_CONNACK, "\x2a\x03"), RC_PROTOCOL_ERROR);
}

static void P13_a_receive_maximum_of_zero_is_a_protocol_error(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_CONNECT, "\x21\x00\x00"), RC_PROTOCOL_ERROR);
}

static void P13_a_maximum_packet_size_of_zero_is_a_protocol_error(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_CONNECT, "\x27\x00\x00\x00\x00"), RC_PROTOCOL_ERROR);
}

static void a_subscription_identifier_of_zero_is_a_protocol_error(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_SUBSCRIBE, "\x0b\x00"), RC_PROTOCOL_ERROR);
}

static void P17_a_topic_alias_of_zero_has_a_reason_of_its_own(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_PUBLISH, "\x23\x00\x00"), RC_TOPIC_ALIAS_INVALID);
}

static void P07_a_padded_number_in_a_property_is_malformed(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_SUBSCRIBE, "\x0b\x81\x00"), RC_MALFORMED_PACKET);
	IS(JUDGE(MQTT_SUBSCRIBE, "\x0b\xff\xff\xff\xff\x01"), RC_MALFORMED_PACKET);
}

static void P20_a_response_topic_is_a_topic_name(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_PUBLISH, "\x08\x00\x03"
	                       "a/+"),
	   RC_TOPIC_NAME_INVALID);
	IS(JUDGE(IN_WILL, "\x08\x00\x01#"), RC_TOPIC_NAME_INVALID);
	IS(JUDGE(MQTT_PUBLISH, "\x08\x00\x00"), RC_TOPIC_NAME_INVALID);
	IS(JUDGE(MQTT_PUBLISH, "\x08\x00\x01\x07"), RC_TOPIC_NAME_INVALID);
	IS(JUDGE(MQTT_PUBLISH, "\x08\x00\x02\xc0\x80"), RC_MALFORMED_PACKET);
}

static void P25_text_in_a_property_is_utf8_and_binary_need_not_be(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_PUBLISH, "\x03\x00\x01\xff"), RC_MALFORMED_PACKET);
	IS(JUDGE(MQTT_PUBACK, "\x1f\x00\x03\xed\xa0\x80"), RC_MALFORMED_PACKET);
	IS(JUDGE(MQTT_PUBLISH, "\x26\x00\x01\xff\x00\x00"), RC_MALFORMED_PACKET);
	IS(JUDGE(MQTT_PUBLISH, "\x26\x00\x00\x00\x01\xff"), RC_MALFORMED_PACKET);
	IS(JUDGE(MQTT_PUBLISH, "\x09\x00\x01\xff"), RC_SUCCESS);
}

static void P26_a_zero_in_a_property_is_malformed(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_PUBLISH, "\x03\x00\x01\x00"), RC_MALFORMED_PACKET);
	IS(JUDGE(MQTT_PUBLISH, "\x26\x00\x01\x00\x00\x00"), RC_MALFORMED_PACKET);
}

static void authentication_data_needs_a_method(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_CONNECT, "\x16\x00\x01x"), RC_PROTOCOL_ERROR);
	IS(JUDGE(MQTT_CONNECT, "\x16\x00\x01x\x15\x00\x01m"), RC_SUCCESS);
}

static void P11_a_string_never_reaches_past_its_block(void)
{
	struct mqtt_props p;
	struct str rest;
	struct take t;

	IS(JUDGE(MQTT_PUBLISH, "\x03\x00\x05"
	                       "abcd"),
	   RC_MALFORMED_PACKET);
	/* A block of 4 bytes in a longer packet: the string says 5, and there would be enough
	 * behind the block. */
	rest = B("\x04\x03\x00\x05"
	         "abcdefgh");
	t = take_from(rest.p, rest.n);
	IS(mqtt_props_take(&t, MQTT_PUBLISH, &p), RC_MALFORMED_PACKET);
}

static void P11_a_block_longer_than_the_packet_is_malformed(void)
{
	struct str s = B("\x06\x01\x01");
	struct take t = take_from(s.p, s.n);
	struct mqtt_props p;

	IS(mqtt_props_take(&t, MQTT_PUBLISH, &p), RC_MALFORMED_PACKET);
}

static void P06_a_block_length_of_five_bytes_is_malformed(void)
{
	struct str s = B("\x80\x80\x80\x80\x01");
	struct take t = take_from(s.p, s.n);
	struct mqtt_props p;

	IS(mqtt_props_take(&t, MQTT_PUBLISH, &p), RC_MALFORMED_PACKET);
}

static void every_property_cut_short_is_malformed(void)
{
	struct mqtt_props p;

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		each_prefix(cut, samples[i].bytes)
		{
			if (cut.cut)
				IS(mqtt_props_judge(cut.first,
				                    (unsigned)__builtin_ctz(samples[i].in), &p),
				   RC_MALFORMED_PACKET);
		}
	}
}

/* ---- User properties ---- */

static void adjacent_user_properties_are_one_range(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_PUBLISH, "\x01\x00\x26\x00\x01"
	                       "a\x00\x00\x26\x00\x01"
	                       "b\x00\x00\x23\x00\x01"),
	   RC_SUCCESS);
	NO(p.user_scattered);
	IS(p.user_count, 2);
	IS_BYTES(p.user, STR("\x26\x00\x01"
	                     "a\x00\x00\x26\x00\x01"
	                     "b\x00\x00"));
}

static void scattered_user_properties_keep_their_order(void)
{
	struct mqtt_props p;
	struct mqtt_user_walk w;
	struct str key, value;
	struct buf b = { 0 };

	IS(JUDGE(MQTT_PUBLISH, "\x26\x00\x01"
	                       "b\x00\x01"
	                       "1\x0b\x80\x01\x26\x00\x01"
	                       "a\x00\x00\x02\x00\x00\x00\x01\x03\x00\x01x\x23\x00\x01\x01\x01"
	                       "\x26\x00\x01"
	                       "b\x00\x01"
	                       "2"),
	   RC_SUCCESS);
	YES(p.user_scattered);
	IS(p.user.n, 0);
	IS(p.user_count, 3);
	mqtt_props_user(&p, &b);
	IS_BYTES(buf_str(&b), STR("\x26\x00\x01"
	                          "b\x00\x01"
	                          "1\x26\x00\x01"
	                          "a\x00\x00\x26\x00\x01"
	                          "b\x00\x01"
	                          "2"));
	mqtt_user_start(&w, &p);
	YES(mqtt_user_next(&w, &key, &value));
	IS_STR(key, "b");
	IS_STR(value, "1");
	YES(mqtt_user_next(&w, &key, &value));
	IS_STR(key, "a");
	IS_STR(value, "");
	YES(mqtt_user_next(&w, &key, &value));
	IS_STR(value, "2");
	NO(mqtt_user_next(&w, &key, &value));
	buf_free(&b);
}

static void scattered_user_properties_are_written_too(void)
{
	struct mqtt_props p, q;
	struct buf b = { 0 };
	struct take t;

	IS(JUDGE(MQTT_PUBLISH, "\x26\x00\x01"
	                       "b\x00\x01"
	                       "1\x01\x01\x26\x00\x01"
	                       "a\x00\x00"),
	   RC_SUCCESS);
	mqtt_props_write(&b, MQTT_PUBLISH, false, &p);
	IS(buf_len(&b), mqtt_props_size(MQTT_PUBLISH, false, &p));
	t = take_from(buf_data(&b), buf_len(&b));
	IS(mqtt_props_take(&t, MQTT_PUBLISH, &q), RC_SUCCESS);
	IS(q.payload_format, 1);
	IS(q.user_count, 2);
	NO(q.user_scattered);
	buf_free(&b);
}

/* ---- Writing ---- */

static void what_may_not_stand_in_a_packet_is_left_out(void)
{
	struct buf user = { 0 }, b = { 0 };
	struct mqtt_props p = message_props(&user), q;
	struct take t;

	p.subscription_id[0] = 300;
	p.subscription_ids = 1;
	mqtt_props_write(&b, MQTT_PUBLISH, true, &p);
	IS(buf_len(&b), mqtt_props_size(MQTT_PUBLISH, true, &p));
	t = take_from(buf_data(&b), buf_len(&b));
	IS(mqtt_props_take(&t, IN_WILL, &q), RC_SUCCESS);
	NO(mqtt_has(&q, PROP_TOPIC_ALIAS));
	NO(mqtt_has(&q, PROP_SUBSCRIPTION_ID));
	IS(q.will_delay, 77);
	is_message_props(&q, buf_str(&user));
	buf_free(&b);
	buf_free(&user);
}

static void no_properties_are_one_byte(void)
{
	struct mqtt_props none = { 0 };
	struct buf b = { 0 };

	mqtt_props_write(&b, MQTT_CONNACK, false, NULL);
	mqtt_props_write(&b, MQTT_CONNACK, false, &none);
	IS_BYTES(buf_str(&b), STR("\0\0"));
	IS(mqtt_props_size(MQTT_CONNACK, false, NULL), 1);
	buf_free(&b);
}

static void every_sample_is_written_as_it_was_read(void)
{
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		for (unsigned where = 0; where < 16; where++) {
			struct mqtt_props p;
			struct buf b = { 0 };

			if (!(samples[i].in >> where & 1))
				continue;
			IS(mqtt_props_judge(samples[i].bytes, where, &p), RC_SUCCESS);
			mqtt_props_write(&b, where ? where : MQTT_PUBLISH, where == 0, &p);
			IS(buf_len(&b), 1 + samples[i].bytes.n);
			IS_BYTES(str_skip(buf_str(&b), 1), samples[i].bytes);
			buf_free(&b);
		}
	}
}

static void more_subscription_identifiers_than_room_are_still_accepted(void)
{
	struct mqtt_props p;

	IS(JUDGE(MQTT_PUBLISH,
	         "\x0b\x01\x0b\x02\x0b\x03\x0b\x04\x0b\x05\x0b\x06\x0b\x07\x0b\x08\x0b\x09"),
	   RC_SUCCESS);
	IS(p.subscription_ids, 8);
	IS(p.subscription_id[7], 8);
}

RUN(P12_a_property_stands_only_where_the_standard_says,
    an_identifier_that_does_not_exist_is_malformed,
    P13_a_property_that_stands_once_may_not_stand_twice,
    P13_a_subscribe_has_one_subscription_identifier, P13_a_yes_or_no_is_zero_or_one,
    P13_a_receive_maximum_of_zero_is_a_protocol_error,
    P13_a_maximum_packet_size_of_zero_is_a_protocol_error,
    a_subscription_identifier_of_zero_is_a_protocol_error,
    P17_a_topic_alias_of_zero_has_a_reason_of_its_own,
    P07_a_padded_number_in_a_property_is_malformed, P20_a_response_topic_is_a_topic_name,
    P25_text_in_a_property_is_utf8_and_binary_need_not_be, P26_a_zero_in_a_property_is_malformed,
    authentication_data_needs_a_method, P11_a_string_never_reaches_past_its_block,
    P11_a_block_longer_than_the_packet_is_malformed, P06_a_block_length_of_five_bytes_is_malformed,
    every_property_cut_short_is_malformed, adjacent_user_properties_are_one_range,
    scattered_user_properties_keep_their_order, scattered_user_properties_are_written_too,
    what_may_not_stand_in_a_packet_is_left_out, no_properties_are_one_byte,
    every_sample_is_written_as_it_was_read,
    more_subscription_identifiers_than_room_are_still_accepted)
