/* wire_mqtt_publish.c - PUBLISH, its acknowledgements, DISCONNECT and AUTH: read, written, and
 * refused. */
#include "base/base.h"
#include "tests/unit/wire_mqtt.h"

enum { QOS1 = 2, QOS2 = 4, DUP = 8, RETAIN = 1 };

#define READ(flags, version, literal) mqtt_publish_read(B(literal), flags, version, true, &p)
#define ACK(type, version, literal)   mqtt_ack_read(B(literal), MQTT_##type, version, &a)

static struct mqtt_publish p;
static struct mqtt_ack a;
static struct mqtt_disconnect d;

static void the_parts_of_a_publish_are_found(void)
{
	IS(READ(DUP | QOS2 | RETAIN, MQTT_V311,
	        "\x00\x03"
	        "a/b"
	        "\x12\x34"
	        "pay\x00load"),
	   RC_SUCCESS);
	IS_STR(p.topic, "a/b");
	IS(p.packet_id, 0x1234);
	IS(p.qos, 2);
	YES(p.dup);
	YES(p.retain);
	IS_BYTES(p.payload, STR("pay\0load"));
	IS(READ(0, MQTT_V5, "\x00\x01t\x00"), RC_SUCCESS);
	IS(p.packet_id, 0);
	IS(p.payload.n, 0);
	IS(p.props.has, 0);
}

static void P08_a_publish_without_a_body_is_malformed(void)
{
	IS(READ(0, MQTT_V311, ""), RC_MALFORMED_PACKET);
	IS(READ(0, MQTT_V5, ""), RC_MALFORMED_PACKET);
}

static void P10_a_publish_cut_before_its_payload_is_malformed(void)
{
	each_prefix(c, STR("\x00\x03"
	                   "a/b"
	                   "\x12\x34"
	                   "\x05\x02\x00\x00\x00\x01"))
	    IS(mqtt_publish_read(c.first, QOS1, MQTT_V5, true, &p), RC_MALFORMED_PACKET);
	each_prefix(c, STR("\x00\x03"
	                   "a/b"
	                   "\x12\x34"))
	    IS(mqtt_publish_read(c.first, QOS1, MQTT_V311, true, &p), RC_MALFORMED_PACKET);
	IS(READ(QOS1, MQTT_V311,
	        "\x00\x03"
	        "a/b"
	        "\x12\x34"),
	   RC_SUCCESS);
}

static void P16_an_empty_topic_needs_an_alias(void)
{
	IS(READ(0, MQTT_V311, "\x00\x00x"), RC_PROTOCOL_ERROR);
	IS(READ(0, MQTT_V5, "\x00\x00\x00x"), RC_PROTOCOL_ERROR);
	IS(READ(0, MQTT_V5, "\x00\x00\x02\x01\x01x"), RC_PROTOCOL_ERROR);
	IS(READ(0, MQTT_V5, "\x00\x00\x03\x23\x00\x07x"), RC_SUCCESS);
	IS(p.props.topic_alias, 7);
	IS(p.topic.n, 0);
}

static void P17_alias_zero_is_invalid(void)
{
	IS(READ(0, MQTT_V5, "\x00\x01t\x03\x23\x00\x00x"), RC_TOPIC_ALIAS_INVALID);
}

static void P20_a_topic_has_no_wildcards(void)
{
	IS(READ(0, MQTT_V311,
	        "\x00\x03"
	        "a/+"),
	   RC_TOPIC_NAME_INVALID);
	IS(READ(0, MQTT_V5, "\x00\x01#\x00"), RC_TOPIC_NAME_INVALID);
	IS(READ(0, MQTT_V5,
	        "\x00\x01t\x06\x08\x00\x03"
	        "a/#"),
	   RC_TOPIC_NAME_INVALID);
}

static void P24_flags_that_contradict_each_other_are_malformed(void)
{
	IS(READ(QOS1 | QOS2, MQTT_V311, "\x00\x01t\x00\x01"), RC_MALFORMED_PACKET);
	IS(READ(DUP, MQTT_V5, "\x00\x01t\x00"), RC_MALFORMED_PACKET);
}

static void P24_a_packet_id_of_zero_is_a_protocol_error(void)
{
	IS(READ(QOS1, MQTT_V311, "\x00\x01t\x00\x00"), RC_PROTOCOL_ERROR);
	IS(READ(QOS2, MQTT_V5, "\x00\x01t\x00\x00\x00"), RC_PROTOCOL_ERROR);
}

static void P25_P26_a_topic_that_is_not_text_is_malformed(void)
{
	IS(READ(0, MQTT_V311, "\x00\x02\xc0\x80"), RC_MALFORMED_PACKET);
	IS(READ(0, MQTT_V5,
	        "\x00\x03"
	        "a\x00"
	        "b\x00"),
	   RC_MALFORMED_PACKET);
	IS(READ(0, MQTT_V5, "\x00\x01t\x09\x26\x00\x02\xed\xa0\x00\x01xx"), RC_MALFORMED_PACKET);
}

static void P27_control_characters_are_for_payloads(void)
{
	IS(READ(0, MQTT_V311, "\x00\x01\x1f"), RC_TOPIC_NAME_INVALID);
	IS(READ(0, MQTT_V311, "\x00\x02\xc2\x9f"), RC_TOPIC_NAME_INVALID);
	IS(READ(0, MQTT_V311, "\x00\x03\xef\xbb\xbf"), RC_SUCCESS); /* [MQTT-1.5.4-3] */
	IS(READ(0, MQTT_V311, "\x00\x01t\x00\x1f\x7f"), RC_SUCCESS);
}

static void P19_a_topic_of_slashes_is_read_in_a_straight_line(void)
{
	struct buf b = { 0 };
	uint8_t *slashes;

	buf_u16(&b, 65000);
	slashes = buf_reserve(&b, 65000);
	YES(slashes);
	memset(slashes, '/', 65000);
	buf_commit(&b, 65000);
	IS(mqtt_publish_read(guard_str(buf_str(&b)), 0, MQTT_V311, true, &p), RC_SUCCESS);
	IS(p.topic.n, 65000); /* how deep a topic may be is topic_name_ok's to say */
	buf_free(&b);
}

static void a_client_has_no_subscription_identifiers_to_give(void)
{
	struct str body = B("\x00\x01t\x02\x0b\x05");

	IS(mqtt_publish_read(body, 0, MQTT_V5, true, &p), RC_PROTOCOL_ERROR);
	IS(mqtt_publish_read(body, 0, MQTT_V5, false, &p), RC_SUCCESS);
	IS(p.props.subscription_id[0], 5);
}

static void a_payload_that_calls_itself_text_must_be_text(void)
{
	IS(READ(0, MQTT_V5, "\x00\x01t\x02\x01\x01\xff"), RC_PAYLOAD_FORMAT_INVALID);
	IS(READ(0, MQTT_V5, "\x00\x01t\x02\x01\x01\xc3\xa9\x00"),
	   RC_SUCCESS); /* a zero is text, only not in MQTT's own strings */
	IS(READ(0, MQTT_V5, "\x00\x01t\x02\x01\x00\xff"), RC_SUCCESS);
}

static void P11_properties_do_not_reach_into_the_payload(void)
{
	IS(READ(0, MQTT_V5, "\x00\x01t\x7f\x01\x01"), RC_MALFORMED_PACKET);
	IS(READ(0, MQTT_V5, "\x00\x01t\x04\x03\x00\x05xpayload"), RC_MALFORMED_PACKET);
	IS(READ(0, MQTT_V5, "\x00\x01t\xff\xff\xff\xff\x01"), RC_MALFORMED_PACKET);
}

static void P12_a_property_of_connect_is_not_one_of_publish(void)
{
	IS(READ(0, MQTT_V5, "\x00\x01t\x05\x11\x00\x00\x00\x01"), RC_PROTOCOL_ERROR);
}

/* ---- Written and read back ---- */

static void is_publish(const struct mqtt_publish *q, const struct mqtt_publish *in)
{
	IS_BYTES(q->topic, in->topic);
	IS_BYTES(q->payload, in->payload);
	IS(q->qos, in->qos);
	IS(q->dup, in->dup);
	IS(q->retain, in->retain);
	IS(q->packet_id, in->packet_id);
}

static void every_publish_comes_back_as_it_was(void)
{
	struct buf user = { 0 };
	struct mqtt_props props = message_props(&user);

	for (unsigned i = 0; i < 5 * 3 * 2 * 2 * 3; i++) {
		static const size_t sizes[] = { 0, 1, 120, 130, 20000 };
		uint8_t payload[20000] = { 0 }, versions[] = { MQTT_V31, MQTT_V311, MQTT_V5 };
		uint8_t version = versions[i / 60], qos = i / 5 % 3;
		bool with_props = i & 1;
		struct mqtt_publish in = { .qos = qos,
			                   .dup = qos && i / 30 % 2,
			                   .retain = i / 15 % 2,
			                   .packet_id = qos ? 65535 - i : 0,
			                   .topic = STR("some/topic"),
			                   .payload = str_make(payload, sizes[i % 5]) };
		struct mqtt_head h;
		struct str body;
		struct buf b = { 0 };

		if (with_props)
			in.props = props;
		mqtt_publish_write(&b, version, &in);
		IS(buf_len(&b), mqtt_publish_size(version, &in));
		body = body_of(&b, &h);
		IS(mqtt_publish_read(body, h.flags, version, true, &p), RC_SUCCESS);
		is_publish(&p, &in);
		IS(!!p.props.has, with_props && version == MQTT_V5);
		if (p.props.has) {
			is_message_props(&p.props, buf_str(&user));
			IS(p.props.topic_alias, 9);
			NO(mqtt_has(&p.props, PROP_WILL_DELAY));
		}
		buf_free(&b);
		guard_reset();
	}
	buf_free(&user);
}

static void subscription_identifiers_reach_the_client(void)
{
	struct mqtt_publish in = { .topic = STR("t"),
		                   .props = { .subscription_id = { 1, 128, MQTT_REMAINING_MAX },
		                              .subscription_ids = 3 } };
	struct mqtt_head h;
	struct buf b = { 0 };

	mqtt_publish_write(&b, MQTT_V5, &in);
	IS(mqtt_publish_read(body_of(&b, &h), 0, MQTT_V5, false, &p), RC_SUCCESS);
	IS(h.flags, 0);
	IS(p.props.subscription_ids, 3);
	IS(p.props.subscription_id[1], 128);
	IS(p.props.subscription_id[2], MQTT_REMAINING_MAX);
	buf_free(&b);
}

static void a_publish_that_may_not_be_is_never_written(void)
{
	struct buf b = { 0 };
	struct mqtt_publish qos3 = { .qos = 3, .packet_id = 1, .topic = STR("t") },
			    no_id = { .qos = 1, .topic = STR("t") }, no_topic = { .qos = 0 },
			    dup = { .dup = true, .topic = STR("t") };

	DIES(mqtt_publish_write(&b, MQTT_V5, &qos3));
	DIES(mqtt_publish_write(&b, MQTT_V5, &no_id));
	DIES(mqtt_publish_write(&b, MQTT_V5, &no_topic));
	DIES(mqtt_publish_write(&b, MQTT_V311, &dup));
}

static void a_packet_longer_than_mqtt_can_say_breaks_the_buf_and_nothing_else(void)
{
	struct mqtt_publish in = {
		.topic = STR("t"), .payload = str_make("", MQTT_REMAINING_MAX - 3)
	}; /* fits v3, not v5; never read */
	struct buf b = { 0 };

	buf_u8(&b, 7);
	IS(mqtt_publish_size(MQTT_V311, &in), 5 + (size_t)MQTT_REMAINING_MAX);
	IS(mqtt_publish_size(MQTT_V5, &in), 5 + (size_t)MQTT_REMAINING_MAX + 1);
	mqtt_publish_write(&b, MQTT_V5, &in);
	NO(buf_ok(&b));
	IS(buf_len(&b), 1);
	buf_cut(&b, 1);
	YES(buf_ok(&b));
	buf_free(&b);
}

static void without_memory_nothing_is_written(void)
{
	struct mqtt_publish in = { .topic = STR("t"), .payload = STR("p") };

	each_alloc_failure(n)
	{
		struct buf b = { 0 };

		mqtt_publish_write(&b, MQTT_V5, &in);
		mqtt_pingresp_write(&b);
		mqtt_ack_write(&b, MQTT_PUBACK, MQTT_V5, 1, 0, NULL);
		IS(buf_ok(&b) ? buf_len(&b) : 0, buf_ok(&b) ? 7 + 2 + 4 : 0);
		IS(buf_ok(&b) || buf_len(&b) == 0, true);
		buf_free(&b);
	}
}

/* ---- Acknowledgements ---- */

static void an_ack_may_leave_out_what_is_nothing(void)
{
	IS(ACK(PUBACK, MQTT_V311, "\x00\x05"), RC_SUCCESS);
	IS(a.packet_id, 5);
	IS(ACK(PUBREC, MQTT_V5, "\x00\x05"), RC_SUCCESS);
	IS(a.code, RC_SUCCESS);
	IS(ACK(PUBREC, MQTT_V5, "\x00\x05\x10"), RC_SUCCESS);
	IS(a.code, RC_NO_MATCHING_SUBSCRIBERS);
	IS(ACK(PUBREL, MQTT_V5, "\x00\x05\x92\x00"), RC_SUCCESS);
	IS(ACK(PUBCOMP, MQTT_V5, "\x00\x05\x92\x04\x1f\x00\x01w"), RC_SUCCESS);
	IS_STR(a.props.reason_string, "w");
}

static void P08_an_ack_of_another_length_is_malformed(void)
{
	IS(ACK(PUBACK, MQTT_V311, ""), RC_MALFORMED_PACKET);
	IS(ACK(PUBACK, MQTT_V5, "\x00"), RC_MALFORMED_PACKET);
	IS(ACK(PUBACK, MQTT_V311, "\x00\x05\x00"), RC_MALFORMED_PACKET);
	IS(ACK(PUBACK, MQTT_V5, "\x00\x05\x00\x00\x00"), RC_MALFORMED_PACKET);
	IS(ACK(PUBACK, MQTT_V5, "\x00\x05\x00\x01"), RC_MALFORMED_PACKET);
	IS(ACK(PUBACK, MQTT_V311, "\x00\x00"), RC_PROTOCOL_ERROR);
}

static void an_ack_has_codes_of_its_own(void)
{
	IS(ACK(PUBACK, MQTT_V5, "\x00\x05\x92"), RC_PROTOCOL_ERROR);
	IS(ACK(PUBREL, MQTT_V5, "\x00\x05\x10"), RC_PROTOCOL_ERROR);
	IS(ACK(PUBACK, MQTT_V5, "\x00\x05\x05"), RC_PROTOCOL_ERROR);
	IS(ACK(PUBACK, MQTT_V5, "\x00\x05\x91"), RC_SUCCESS);
}

static void every_ack_comes_back_as_it_was(void)
{
	static const enum mqtt_type types[] = { MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBREL,
		                                MQTT_PUBCOMP };
	struct mqtt_props why = { .has = UINT64_C(1) << PROP_REASON_STRING,
		                  .reason_string = STR("because"),
		                  .topic_alias = 3 };

	for (unsigned i = 0; i < 4 * 2 * 2; i++) {
		enum mqtt_type type = types[i / 4];
		unsigned refusal =
		    i & 1 ? type >= MQTT_PUBREL ? RC_PACKET_IDENTIFIER_NOT_FOUND : RC_QUOTA_EXCEEDED
			  : 0;
		const struct mqtt_props *props = i & 2 ? &why : NULL;
		struct mqtt_head h;
		struct buf b = { 0 };

		mqtt_ack_write(&b, type, MQTT_V5, 300, refusal, props);
		IS(buf_len(&b), props ? 2 + 2 + 1 + 1 + 10 : refusal ? 5 : 4);
		IS(mqtt_ack_read(body_of(&b, &h), type, MQTT_V5, &a), RC_SUCCESS);
		IS(h.type, type);
		IS(a.packet_id, 300);
		IS(a.code, refusal);
		if (props)
			IS_STR(a.props.reason_string, "because");
		buf_reset(&b);
		mqtt_ack_write(&b, type, MQTT_V311, 300, refusal, props);
		IS(buf_len(&b), 4);
		IS(mqtt_ack_read(body_of(&b, &h), type, MQTT_V311, &a), RC_SUCCESS);
		buf_free(&b);
	}
}

static void a_refusal_that_an_ack_does_not_know_is_said_as_well_as_it_can(void)
{
	struct buf b = { 0 };

	mqtt_ack_write(&b, MQTT_PUBACK, MQTT_V5, 1, RC_MESSAGE_RATE_TOO_HIGH, NULL);
	mqtt_ack_write(&b, MQTT_PUBCOMP, MQTT_V5, 1, RC_NOT_AUTHORIZED, NULL);
	IS_BYTES(buf_str(&b), STR("\x40\x03\x00\x01\x80\x70\x03\x00\x01\x92"));
	buf_free(&b);
	DIES(mqtt_ack_write(&b, MQTT_PUBACK, MQTT_V5, 0, 0, NULL));
	DIES(mqtt_ack_write(&b, MQTT_SUBACK, MQTT_V5, 1, 0, NULL));
}

/* ---- DISCONNECT, AUTH, PING ---- */

static void a_disconnect_may_be_empty(void)
{
	IS(mqtt_disconnect_read(B(""), MQTT_V311, true, &d), RC_SUCCESS);
	IS(mqtt_disconnect_read(B(""), MQTT_V5, true, &d), RC_SUCCESS);
	IS(d.code, 0);
	IS(mqtt_disconnect_read(B("\x04"), MQTT_V5, true, &d), RC_SUCCESS);
	IS(d.code, RC_DISCONNECT_WITH_WILL);
	IS(mqtt_disconnect_read(B("\x00\x05\x11\x00\x00\x00\x09"), MQTT_V5, true, &d), RC_SUCCESS);
	IS(d.props.session_expiry, 9);
}

static void P33_a_disconnect_has_no_body_on_v3(void)
{
	IS(mqtt_disconnect_read(B("\x00"), MQTT_V311, true, &d), RC_MALFORMED_PACKET);
	IS(mqtt_disconnect_read(B("\x00"), MQTT_V31, true, &d), RC_MALFORMED_PACKET);
	IS(mqtt_disconnect_read(B("\x00\x00\x00"), MQTT_V5, true, &d), RC_MALFORMED_PACKET);
	IS(mqtt_disconnect_read(B(""), MQTT_V311, false, &d), RC_PROTOCOL_ERROR);
}

static void each_side_has_its_own_reasons_to_disconnect(void)
{
	IS(mqtt_disconnect_read(B("\x8e"), MQTT_V5, true, &d), RC_PROTOCOL_ERROR);
	IS(mqtt_disconnect_read(B("\x8e"), MQTT_V5, false, &d), RC_SUCCESS);
	IS(mqtt_disconnect_read(B("\x01"), MQTT_V5, false, &d), RC_PROTOCOL_ERROR);
	IS(mqtt_disconnect_read(B("\x9d\x04\x1c\x00\x01s"), MQTT_V5, false, &d), RC_SUCCESS);
	IS(mqtt_disconnect_read(B("\x80\x04\x1c\x00\x01s"), MQTT_V5, true, &d), RC_PROTOCOL_ERROR);
	IS(mqtt_disconnect_read(B("\x80\x05\x11\x00\x00\x00\x09"), MQTT_V5, false, &d),
	   RC_PROTOCOL_ERROR);
}

static void a_disconnect_is_written_as_short_as_it_can_be(void)
{
	struct mqtt_props why = { .has = UINT64_C(1) << PROP_REASON_STRING,
		                  .reason_string = STR("x") };
	struct buf b = { 0 };

	mqtt_disconnect_write(&b, MQTT_V311, 0, NULL);
	mqtt_disconnect_write(&b, MQTT_V5, 0, NULL);
	mqtt_disconnect_write(&b, MQTT_V5, RC_SESSION_TAKEN_OVER, NULL);
	mqtt_disconnect_write(&b, MQTT_V5, RC_PACKET_TOO_LARGE, &why);
	mqtt_pingreq_write(&b);
	mqtt_pingresp_write(&b);
	IS_BYTES(buf_str(&b),
	         STR("\xe0\x00\xe0\x00\xe0\x01\x8e\xe0\x06\x95\x04\x1f\x00\x01x\xc0\x00\xd0\x00"));
	buf_free(&b);
	DIES(mqtt_disconnect_write(&b, MQTT_V311, RC_SESSION_TAKEN_OVER, NULL));
}

static void A21_an_auth_needs_its_method(void)
{
	struct mqtt_props method = { .has = UINT64_C(1) << PROP_AUTH_METHOD,
		                     .auth_method = STR("m") };
	struct mqtt_head h;
	struct buf b = { 0 };

	IS(mqtt_auth_read(B(""), &d), RC_SUCCESS);
	IS(mqtt_auth_read(B("\x18"), &d), RC_PROTOCOL_ERROR);
	IS(mqtt_auth_read(B("\x18\x00"), &d), RC_PROTOCOL_ERROR);
	IS(mqtt_auth_read(B("\x80\x04\x15\x00\x01m"), &d), RC_PROTOCOL_ERROR);
	mqtt_auth_write(&b, RC_CONTINUE_AUTHENTICATION, &method);
	IS(mqtt_auth_read(body_of(&b, &h), &d), RC_SUCCESS);
	IS(d.code, RC_CONTINUE_AUTHENTICATION);
	IS_STR(d.props.auth_method, "m");
	buf_free(&b);
}

RUN(the_parts_of_a_publish_are_found, P08_a_publish_without_a_body_is_malformed,
    P10_a_publish_cut_before_its_payload_is_malformed, P16_an_empty_topic_needs_an_alias,
    P17_alias_zero_is_invalid, P20_a_topic_has_no_wildcards,
    P24_flags_that_contradict_each_other_are_malformed, P24_a_packet_id_of_zero_is_a_protocol_error,
    P25_P26_a_topic_that_is_not_text_is_malformed, P27_control_characters_are_for_payloads,
    P19_a_topic_of_slashes_is_read_in_a_straight_line,
    a_client_has_no_subscription_identifiers_to_give, a_payload_that_calls_itself_text_must_be_text,
    P11_properties_do_not_reach_into_the_payload, P12_a_property_of_connect_is_not_one_of_publish,
    every_publish_comes_back_as_it_was, subscription_identifiers_reach_the_client,
    a_publish_that_may_not_be_is_never_written,
    a_packet_longer_than_mqtt_can_say_breaks_the_buf_and_nothing_else,
    without_memory_nothing_is_written, an_ack_may_leave_out_what_is_nothing,
    P08_an_ack_of_another_length_is_malformed, an_ack_has_codes_of_its_own,
    every_ack_comes_back_as_it_was, a_refusal_that_an_ack_does_not_know_is_said_as_well_as_it_can,
    a_disconnect_may_be_empty, P33_a_disconnect_has_no_body_on_v3,
    each_side_has_its_own_reasons_to_disconnect, a_disconnect_is_written_as_short_as_it_can_be,
    A21_an_auth_needs_its_method)
