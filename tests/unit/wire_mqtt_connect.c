/* wire_mqtt_connect.c - CONNECT and CONNACK: the packet that strangers get read. */
#include "base/base.h"
#include "tests/unit/wire_mqtt.h"

#define READ(literal) mqtt_connect_read(B(literal), &c, &known)
#define V4            "\x00\x04MQTT\x04"
#define V5            "\x00\x04MQTT\x05"
#define V3            "\x00\x06MQIsdp\x03"
#define KEEP          "\x00\x3c" /* 60 s */
#define NO_ID         "\x00\x00"

static struct mqtt_connect c;
static bool known;

static void a_v311_connect_is_read_whole(void)
{
	IS(READ(V4 "\xee" KEEP "\x00\x02id"
	           "\x00\x01w"
	           "\x00\x02\x00\xff"
	           "\x00\x01u"
	           "\x00\x03p\x00q"),
	   RC_SUCCESS);
	YES(known);
	IS(c.version, MQTT_V311);
	YES(c.clean_start);
	IS(c.keep_alive, 60);
	IS_STR(c.client_id, "id");
	YES(c.will.present);
	YES(c.will.retain);
	IS(c.will.qos, 1);
	IS_STR(c.will.topic, "w");
	IS_BYTES(c.will.payload, STR("\x00\xff"));
	YES(c.has_username);
	IS_STR(c.username, "u");
	YES(c.has_password);
	IS_BYTES(c.password, STR("p\0q"));
}

static void a_v31_connect_is_read(void)
{
	IS(READ(V3 "\x02" KEEP "\x00\x18"
	           "a-client-id-of-24-letter"),
	   RC_SUCCESS); /* the limit of 23 is not kept */
	IS(c.version, MQTT_V31);
	NO(c.has_username);
	NO(c.will.present);
}

static void a_v5_connect_is_read_with_its_properties(void)
{
	IS(READ(V5 "\xc4" KEEP "\x08\x11\x00\x00\x00\x0a\x21\x00\x05" NO_ID
	           "\x05\x18\x00\x00\x00\x07"
	           "\x00\x01w"
	           "\x00\x00"
	           "\x00\x00"
	           "\x00\x00"),
	   RC_SUCCESS);
	NO(c.clean_start);
	IS(c.props.session_expiry, 10);
	IS(c.props.receive_maximum, 5);
	IS(c.will.props.will_delay, 7);
	IS(c.will.qos, 0);
	IS(c.will.payload.n, 0);
	YES(c.has_username &&
	    c.username.n == 0); /* there, and empty: not the same as missing (attack A02) */
	YES(c.has_password && c.password.n == 0);
}

static void P30_an_unknown_name_is_not_even_answered(void)
{
	IS(READ("\x00\x04MQTX\x04\x02" KEEP NO_ID), RC_MALFORMED_PACKET);
	NO(known);
	IS(READ("\x00\x03MQT\x04\x02" KEEP NO_ID), RC_MALFORMED_PACKET);
	NO(known);
	IS(READ("\x00\x04mqtt\x04\x02" KEEP NO_ID), RC_MALFORMED_PACKET);
	NO(known);
	IS(READ("\x00\x00\x04\x02" KEEP NO_ID), RC_MALFORMED_PACKET);
	NO(known);
	IS(READ("\x00\x04MQTX\x02" KEEP NO_ID),
	   RC_MALFORMED_PACKET); /* what would be fine after a name without a level */
	IS(READ("\xff\xff\x02" KEEP NO_ID), RC_MALFORMED_PACKET); /* and after no name at all */
}

static void P30_an_unknown_level_is_answered_in_a_form_the_client_may_understand(void)
{
	static const struct {
		struct str body;
		uint8_t form;
	} rows[] = {
		{ STR_INIT("\x00\x04MQTT\x00\x02\x00\x3c\x00\x00"), MQTT_V311 },
		{ STR_INIT("\x00\x04MQTT\x03\x02\x00\x3c\x00\x00"), MQTT_V311 },
		{ STR_INIT("\x00\x04MQTT\x06\x02\x00\x3c\x00\x00"), MQTT_V5 },
		{ STR_INIT("\x00\x04MQTT\x83\x02\x00\x3c\x00\x00"), MQTT_V311 },
		{ STR_INIT("\x00\x04MQTT\x85\x02\x00\x3c\x00\x00"), MQTT_V5 },
		{ STR_INIT("\x00\x06MQIsdp\x04\x02\x00\x3c\x00\x00"), MQTT_V311 },
		{ STR_INIT("\x00\x06MQIsdp\x84\x02\x00\x3c\x00\x00"), MQTT_V311 },
		{ STR_INIT("\x00\x06MQIsdp\x05\x02\x00\x3c\x00\x00"), MQTT_V311 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		IS(mqtt_connect_read(guard_str(rows[i].body), &c, &known),
		   RC_UNSUPPORTED_PROTOCOL_VERSION);
		YES(known);
		IS(c.version, rows[i].form);
	}
}

static void the_bridge_bit_is_taken_of_the_versions_that_have_it(void)
{
	IS(READ("\x00\x04MQTT\x84\x02" KEEP "\x00\x01"
	        "b"),
	   RC_SUCCESS);
	YES(c.bridge);
	IS(c.version, MQTT_V311);
	IS(READ("\x00\x06MQIsdp\x83\x02" KEEP "\x00\x01"
	        "b"),
	   RC_SUCCESS);
	YES(c.bridge);
	IS(c.version, MQTT_V31);
	IS(READ("\x00\x04MQTT\x04\x02" KEEP "\x00\x01"
	        "b"),
	   RC_SUCCESS);
	NO(c.bridge);
}

static void P31_flags_that_contradict_each_other_are_malformed(void)
{
	IS(READ(V4 "\x03" KEEP NO_ID), RC_MALFORMED_PACKET); /* reserved bit */
	IS(READ(V5 "\x03" KEEP "\x00" NO_ID), RC_MALFORMED_PACKET);
	IS(READ(V4 "\x1e" KEEP NO_ID "\x00\x01w\x00\x00"), RC_MALFORMED_PACKET); /* Will QoS 3 */
	IS(READ(V4 "\x22" KEEP NO_ID), RC_MALFORMED_PACKET);        /* Will retain without Will */
	IS(READ(V5 "\x0a" KEEP "\x00" NO_ID), RC_MALFORMED_PACKET); /* Will QoS without Will */
	YES(known);
}

static void P31_a_password_without_user_name_is_for_v5_only(void)
{
	IS(READ(V4 "\x42" KEEP NO_ID "\x00\x01p"), RC_MALFORMED_PACKET);
	IS(READ(V3 "\x42" KEEP "\x00\x01i"
	           "\x00\x01p"),
	   RC_MALFORMED_PACKET);
	IS(READ(V5 "\x42" KEEP "\x00" NO_ID "\x00\x01p"), RC_SUCCESS);
	NO(c.has_username);
	IS_STR(c.password, "p");
}

static void A01_a_user_name_without_password_is_read_as_just_that(void)
{
	IS(READ(V4 "\x82" KEEP NO_ID "\x00\x01u"), RC_SUCCESS);
	YES(c.has_username);
	NO(c.has_password);
}

static void P32_an_empty_client_id_needs_a_clean_session_on_v3(void)
{
	IS(READ(V4 "\x00" KEEP NO_ID), RC_CLIENT_IDENTIFIER_NOT_VALID);
	YES(known);
	IS(READ(V4 "\x02" KEEP NO_ID), RC_SUCCESS);
	IS(READ(V5 "\x00" KEEP "\x00" NO_ID), RC_SUCCESS);
	IS(READ(V3 "\x02" KEEP NO_ID),
	   RC_CLIENT_IDENTIFIER_NOT_VALID); /* MQTT 3.1 knows no empty one */
}

static void P20_a_will_topic_is_a_topic_name(void)
{
	IS(READ(V4 "\x06" KEEP NO_ID "\x00\x03"
	           "a/+"
	           "\x00\x00"),
	   RC_TOPIC_NAME_INVALID);
	IS(READ(V4 "\x06" KEEP NO_ID "\x00\x01#"
	           "\x00\x00"),
	   RC_TOPIC_NAME_INVALID);
	IS(READ(V4 "\x06" KEEP NO_ID "\x00\x00"
	           "\x00\x00"),
	   RC_TOPIC_NAME_INVALID);
	IS(READ(V5 "\x06" KEEP "\x00" NO_ID "\x00"
	           "\x00\x02"
	           "a\x7f"
	           "\x00\x00"),
	   RC_TOPIC_NAME_INVALID);
}

static void P25_bad_utf8_is_malformed_in_every_string(void)
{
	IS(READ(V4 "\x02" KEEP "\x00\x02\xc0\xaf"), RC_MALFORMED_PACKET);
	IS(READ(V4 "\x06" KEEP NO_ID "\x00\x03\xed\xa0\x80"
	           "\x00\x00"),
	   RC_MALFORMED_PACKET);
	IS(READ(V4 "\x82" KEEP NO_ID "\x00\x01\xff"), RC_MALFORMED_PACKET);
}

static void P26_a_zero_is_malformed_in_every_string(void)
{
	IS(READ(V4 "\x02" KEEP "\x00\x03"
	           "a\x00"
	           "b"),
	   RC_MALFORMED_PACKET);
	IS(READ(V4 "\x06" KEEP NO_ID "\x00\x01\x00"
	           "\x00\x00"),
	   RC_MALFORMED_PACKET);
	IS(READ(V4 "\x82" KEEP NO_ID "\x00\x01\x00"), RC_MALFORMED_PACKET);
}

static void a_client_id_is_any_text_without_controls(void)
{
	IS(READ(V4 "\x02" KEEP "\x00\x05+/#$ "), RC_SUCCESS);
	IS(READ(V4 "\x02" KEEP "\x00\x06\xef\xbb\xbf\xef\xbf\xbf"), RC_SUCCESS);
}

static void P27_control_characters_have_a_reason_by_place(void)
{
	IS(READ(V4 "\x02" KEEP "\x00\x01\x1b"), RC_CLIENT_IDENTIFIER_NOT_VALID);
	IS(READ(V4 "\x02" KEEP "\x00\x02\xc2\x85"), RC_CLIENT_IDENTIFIER_NOT_VALID);
	IS(READ(V4 "\x82" KEEP NO_ID "\x00\x02u\x0a"), RC_BAD_USER_NAME_OR_PASSWORD);
	IS(READ(V4 "\x06" KEEP NO_ID "\x00\x01\x07"
	           "\x00\x00"),
	   RC_TOPIC_NAME_INVALID);
	IS(READ(V4 "\x06" KEEP NO_ID "\x00\x01w"
	           "\x00\x02\x00\x07"),
	   RC_SUCCESS); /* a payload is bytes */
}

static void a_will_that_calls_itself_text_must_be_text(void)
{
	IS(READ(V5 "\x06" KEEP "\x00" NO_ID "\x02\x01\x01"
	           "\x00\x01w"
	           "\x00\x01\xff"),
	   RC_PAYLOAD_FORMAT_INVALID);
	IS(READ(V5 "\x06" KEEP "\x00" NO_ID "\x02\x01\x01"
	           "\x00\x01w"
	           "\x00\x02\xc3\xa9"),
	   RC_SUCCESS);
	IS(READ(V5 "\x06" KEEP "\x00" NO_ID "\x02\x01\x00"
	           "\x00\x01w"
	           "\x00\x01\xff"),
	   RC_SUCCESS);
}

static void P12_the_properties_of_connect_and_will_are_not_mixed_up(void)
{
	IS(READ(V5 "\x02" KEEP "\x05\x18\x00\x00\x00\x07" NO_ID),
	   RC_PROTOCOL_ERROR); /* Will delay among CONNECT's */
	IS(READ(V5 "\x06" KEEP "\x00" NO_ID "\x05\x11\x00\x00\x00\x07"
	           "\x00\x01w"
	           "\x00\x00"),
	   RC_PROTOCOL_ERROR);
	IS(READ(V5 "\x06" KEEP "\x00" NO_ID "\x03\x23\x00\x01"
	           "\x00\x01w"
	           "\x00\x00"),
	   RC_PROTOCOL_ERROR);
}

static void P13_zero_maxima_are_protocol_errors(void)
{
	IS(READ(V5 "\x02" KEEP "\x03\x21\x00\x00" NO_ID), RC_PROTOCOL_ERROR);
	IS(READ(V5 "\x02" KEEP "\x05\x27\x00\x00\x00\x00" NO_ID), RC_PROTOCOL_ERROR);
	IS(READ(V5 "\x02" KEEP "\x06\x22\x00\x01\x22\x00\x01" NO_ID), RC_PROTOCOL_ERROR);
}

static void P14_will_properties_of_an_invalid_type_are_malformed(void)
{
	IS(READ(V5 "\x06" KEEP "\x00" NO_ID "\x02\x7f\x01"
	           "\x00\x01w"
	           "\x00\x00"),
	   RC_MALFORMED_PACKET);
	YES(known);
	IS(c.version, MQTT_V5);
}

static const struct str whole[] = {
	STR_INIT(V3 "\xee" KEEP "\x00\x02id"
	            "\x00\x01w"
	            "\x00\x02\x00\xff"
	            "\x00\x01u"
	            "\x00\x03p\x00q"),
	STR_INIT(V4 "\xee" KEEP "\x00\x02id"
	            "\x00\x01w"
	            "\x00\x02\x00\xff"
	            "\x00\x01u"
	            "\x00\x03p\x00q"),
	STR_INIT(V5 "\xee" KEEP "\x14\x11\x00\x00\x00\x0a\x26\x00\x01"
	            "a\x00\x01"
	            "b\x15\x00\x01m\x16\x00\x01"
	            "d"
	            "\x00\x02id"
	            "\x05\x18\x00\x00\x00\x07"
	            "\x00\x01w"
	            "\x00\x02\x00\xff"
	            "\x00\x01u"
	            "\x00\x03p\x00q"),
};

static void P15_a_connect_cut_anywhere_fails_without_allocating(void)
{
	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		IS(mqtt_connect_read(guard_str(whole[i]), &c, &known), RC_SUCCESS);
		each_prefix(p, whole[i])
		{
			mem_fail_at(1, true);
			IS(mqtt_connect_read(p.first, &c, &known), RC_MALFORMED_PACKET);
			IS(mem_count(), 0);
			mem_fail_at(0, false);
			IS(known, p.cut >= (i ? 7 : 9));
		}
	}
}

static void P08_bytes_after_the_last_field_are_malformed(void)
{
	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		struct buf b = { 0 };

		buf_str_add(&b, whole[i]);
		buf_u8(&b, 0);
		IS(mqtt_connect_read(guard_str(buf_str(&b)), &c, &known), RC_MALFORMED_PACKET);
		buf_free(&b);
	}
}

static void every_connect_is_written_as_it_was_read(void)
{
	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		struct buf b = { 0 };
		struct mqtt_head h;

		IS(mqtt_connect_read(whole[i], &c, &known), RC_SUCCESS);
		mqtt_connect_write(&b, &c);
		if (i < 2) /* v5 properties come out in another order */
			IS_BYTES(body_of(&b, &h), whole[i]);
		else
			IS(body_of(&b, &h).n, whole[i].n);
		IS(h.type, MQTT_CONNECT);
		buf_free(&b);
	}
}

static void a_v5_connect_comes_back_with_all_its_fields(void)
{
	struct buf user = { 0 }, b = { 0 };
	struct mqtt_connect in = { .version = MQTT_V5,
		                   .clean_start = true,
		                   .has_username = true,
		                   .keep_alive = 65535,
		                   .client_id = STR("x"),
		                   .username = STR("name") };
	struct mqtt_head h;

	in.props.has = UINT64_C(1) << PROP_SESSION_EXPIRY |
	               UINT64_C(1) << PROP_MAXIMUM_PACKET_SIZE | UINT64_C(1) << PROP_AUTH_METHOD;
	in.props.session_expiry = UINT32_MAX;
	in.props.maximum_packet_size = 1;
	in.props.auth_method = STR("m");
	in.will = (struct mqtt_will){ .present = true,
		                      .qos = 2,
		                      .topic = STR("t"),
		                      .payload = STR("text"),
		                      .props = message_props(&user) };
	mqtt_connect_write(&b, &in);
	IS(mqtt_connect_read(body_of(&b, &h), &c, &known), RC_SUCCESS);
	IS(c.keep_alive, 65535);
	IS(c.props.session_expiry, UINT32_MAX);
	IS(c.props.maximum_packet_size, 1);
	IS_STR(c.props.auth_method, "m");
	IS(c.will.qos, 2);
	NO(c.will.retain);
	IS(c.will.props.will_delay, 77);
	is_message_props(&c.will.props, buf_str(&user));
	IS_STR(c.username, "name");
	NO(c.has_password);
	buf_free(&b);
	buf_free(&user);
}

/* ---- CONNACK ---- */

static void a_v3_connack_is_two_bytes(void)
{
	struct mqtt_connack a;
	struct mqtt_head h;
	struct buf b = { 0 };

	mqtt_connack_write(&b, MQTT_V311, true, RC_SUCCESS, NULL);
	IS_BYTES(buf_str(&b), STR("\x20\x02\x01\x00"));
	IS(mqtt_connack_read(body_of(&b, &h), MQTT_V311, &a), RC_SUCCESS);
	YES(a.session_present);
	buf_reset(&b);
	mqtt_connack_write(&b, MQTT_V311, false, RC_NOT_AUTHORIZED, NULL);
	IS_BYTES(buf_str(&b), STR("\x20\x02\x00\x05"));
	IS(mqtt_connack_read(body_of(&b, &h), MQTT_V311, &a), RC_SUCCESS);
	IS(a.code, 5);
	buf_reset(&b);
	mqtt_connack_write(&b, MQTT_V31, true, RC_SUCCESS, NULL);
	IS_BYTES(buf_str(&b), STR("\x20\x02\x00\x00")); /* MQTT 3.1 has no session present */
	buf_free(&b);
}

static void a_v5_connack_comes_back_with_its_properties(void)
{
	struct mqtt_props p = { .receive_maximum = 20,
		                .assigned_client_id = STR("made-up"),
		                .retain_available = 0,
		                .server_keep_alive = 30 };
	struct mqtt_connack a;
	struct mqtt_head h;
	struct buf b = { 0 };

	p.has = UINT64_C(1) << PROP_RECEIVE_MAXIMUM | UINT64_C(1) << PROP_ASSIGNED_CLIENT_ID |
	        UINT64_C(1) << PROP_RETAIN_AVAILABLE | UINT64_C(1) << PROP_SERVER_KEEP_ALIVE;
	mqtt_connack_write(&b, MQTT_V5, false, RC_SUCCESS, &p);
	IS(mqtt_connack_read(body_of(&b, &h), MQTT_V5, &a), RC_SUCCESS);
	IS(a.props.has, p.has);
	IS(a.props.receive_maximum, 20);
	IS(a.props.server_keep_alive, 30);
	IS_STR(a.props.assigned_client_id, "made-up");
	each_prefix(cut, body_of(&b, &h))
	    IS(mqtt_connack_read(cut.first, MQTT_V5, &a), RC_MALFORMED_PACKET);
	buf_free(&b);
}

static void a_connack_that_contradicts_itself_is_refused(void)
{
	struct mqtt_connack a;

	IS(mqtt_connack_read(B("\x02\x00"), MQTT_V311, &a), RC_MALFORMED_PACKET);
	IS(mqtt_connack_read(B("\x01\x05"), MQTT_V311, &a), RC_PROTOCOL_ERROR);
	IS(mqtt_connack_read(B("\x00\x06"), MQTT_V311, &a), RC_PROTOCOL_ERROR);
	IS(mqtt_connack_read(B("\x00\x01\x00"), MQTT_V5, &a), RC_PROTOCOL_ERROR);
	IS(mqtt_connack_read(B("\x00\x00\x00"), MQTT_V311, &a), RC_MALFORMED_PACKET);
	IS(mqtt_connack_read(B("\x00\x00\x00\x00"), MQTT_V5, &a), RC_MALFORMED_PACKET);
}

static void a_refusal_that_connack_does_not_know_is_unspecified(void)
{
	struct buf b = { 0 };

	mqtt_connack_write(&b, MQTT_V5, false, RC_MESSAGE_RATE_TOO_HIGH, NULL);
	IS_BYTES(buf_str(&b), STR("\x20\x03\x00\x80\x00"));
	buf_free(&b);
	DIES(mqtt_connack_write(&b, MQTT_V5, false, RC_GRANTED_QOS1, NULL));
	DIES(mqtt_connack_write(&b, MQTT_V5, true, RC_NOT_AUTHORIZED, NULL));
}

RUN(a_v311_connect_is_read_whole, a_v31_connect_is_read, a_v5_connect_is_read_with_its_properties,
    P30_an_unknown_name_is_not_even_answered,
    P30_an_unknown_level_is_answered_in_a_form_the_client_may_understand,
    the_bridge_bit_is_taken_of_the_versions_that_have_it,
    P31_flags_that_contradict_each_other_are_malformed,
    P31_a_password_without_user_name_is_for_v5_only,
    A01_a_user_name_without_password_is_read_as_just_that,
    P32_an_empty_client_id_needs_a_clean_session_on_v3, P20_a_will_topic_is_a_topic_name,
    P25_bad_utf8_is_malformed_in_every_string, P26_a_zero_is_malformed_in_every_string,
    a_client_id_is_any_text_without_controls, P27_control_characters_have_a_reason_by_place,
    a_will_that_calls_itself_text_must_be_text,
    P12_the_properties_of_connect_and_will_are_not_mixed_up, P13_zero_maxima_are_protocol_errors,
    P14_will_properties_of_an_invalid_type_are_malformed,
    P15_a_connect_cut_anywhere_fails_without_allocating,
    P08_bytes_after_the_last_field_are_malformed, every_connect_is_written_as_it_was_read,
    a_v5_connect_comes_back_with_all_its_fields, a_v3_connack_is_two_bytes,
    a_v5_connack_comes_back_with_its_properties, a_connack_that_contradicts_itself_is_refused,
    a_refusal_that_connack_does_not_know_is_unspecified)
