/* wire_mqtt_subscribe.c - SUBSCRIBE, UNSUBSCRIBE and their answers. */
#include "base/base.h"
#include "tests/unit/wire_mqtt.h"

#define SUB(version, literal)   mqtt_subscribe_read(B(literal), version, &s)
#define UNSUB(version, literal) mqtt_unsubscribe_read(B(literal), version, &u)

static struct mqtt_subscribe s;
static struct mqtt_unsubscribe u;

static void the_entries_are_walked_in_order(void)
{
	struct mqtt_sub_opts o;
	struct str filter;

	IS(SUB(MQTT_V5, "\x00\x07\x02\x0b\x09\x00\x01"
	                "a\x01\x00\x03"
	                "b/#\x2e"),
	   RC_SUCCESS);
	IS(s.packet_id, 7);
	IS(s.count, 2);
	IS(s.props.subscription_id[0], 9);
	YES(mqtt_subscribe_next(&s, MQTT_V5, &filter, &o));
	IS_STR(filter, "a");
	IS(o.qos, 1);
	YES(!o.no_local && !o.retain_as_published && o.retain_handling == 0);
	YES(mqtt_subscribe_next(&s, MQTT_V5, &filter, &o));
	IS_STR(filter, "b/#");
	YES(o.qos == 2 && o.no_local && o.retain_as_published && o.retain_handling == 2);
	NO(mqtt_subscribe_next(&s, MQTT_V5, &filter, &o));
}

static void P08_P09_a_subscribe_cut_anywhere_is_refused(void)
{
	each_prefix(c, STR("\x00\x07\x00\x03"
	                   "a/b\x01")) IS(mqtt_subscribe_read(c.first, MQTT_V311, &s),
	                                  c.cut == 2 ? RC_PROTOCOL_ERROR : RC_MALFORMED_PACKET);
	each_prefix(c, STR("\x00\x07\x02\x0b\x09\x00\x03"
	                   "a/b\x01")) IS(mqtt_subscribe_read(c.first, MQTT_V5, &s),
	                                  c.cut == 5 ? RC_PROTOCOL_ERROR : RC_MALFORMED_PACKET);
	IS(SUB(MQTT_V311, "\x00\x07\x00\x03"
	                  "a/b\x01\x00\x01"
	                  "c"),
	   RC_MALFORMED_PACKET); /* the second entry lacks its options */
}

static void P23_a_subscribe_names_something(void)
{
	IS(SUB(MQTT_V311, "\x00\x07"), RC_PROTOCOL_ERROR);
	IS(SUB(MQTT_V5, "\x00\x07\x00"), RC_PROTOCOL_ERROR);
	IS(UNSUB(MQTT_V311, "\x00\x07"), RC_PROTOCOL_ERROR);
	IS(UNSUB(MQTT_V5, "\x00\x07\x00"), RC_PROTOCOL_ERROR);
}

static void P23_packet_id_zero_is_a_protocol_error(void)
{
	IS(SUB(MQTT_V311, "\x00\x00\x00\x01"
	                  "a\x00"),
	   RC_PROTOCOL_ERROR);
	IS(UNSUB(MQTT_V5, "\x00\x00\x00\x00\x01"
	                  "a"),
	   RC_PROTOCOL_ERROR);
}

static void P23_options_out_of_range_are_refused(void)
{
	IS(SUB(MQTT_V5, "\x00\x07\x00\x00\x01"
	                "a\x03"),
	   RC_PROTOCOL_ERROR); /* QoS 3 */
	IS(SUB(MQTT_V311, "\x00\x07\x00\x01"
	                  "a\x03"),
	   RC_PROTOCOL_ERROR);
	IS(SUB(MQTT_V5, "\x00\x07\x00\x00\x01"
	                "a\x30"),
	   RC_PROTOCOL_ERROR); /* retain handling 3 */
	IS(SUB(MQTT_V5, "\x00\x07\x00\x00\x01"
	                "a\x40"),
	   RC_MALFORMED_PACKET); /* reserved */
	IS(SUB(MQTT_V5, "\x00\x07\x00\x00\x01"
	                "a\x80"),
	   RC_MALFORMED_PACKET);
	IS(SUB(MQTT_V311, "\x00\x07\x00\x01"
	                  "a\x04"),
	   RC_MALFORMED_PACKET); /* v5's options are reserved on v3 */
}

static void P22_no_local_is_not_for_shared_subscriptions(void)
{
	IS(SUB(MQTT_V5, "\x00\x07\x00\x00\x0a$share/g/a\x04"), RC_PROTOCOL_ERROR);
	IS(SUB(MQTT_V5, "\x00\x07\x00\x00\x0a$share/g/a\x01"), RC_SUCCESS);
	IS(SUB(MQTT_V5, "\x00\x07\x00\x00\x08$shared/\x04"), RC_SUCCESS);
}

static void P21_what_is_text_but_no_filter_is_left_to_suback(void)
{
	IS(SUB(MQTT_V311, "\x00\x07\x00\x05"
	                  "a/#/b\x00\x00\x00\x01\x00\x01\x07\x00"),
	   RC_SUCCESS);
	IS(s.count, 3);
}

static void P25_P26_a_filter_is_text(void)
{
	IS(SUB(MQTT_V311, "\x00\x07\x00\x01\xff\x00"), RC_MALFORMED_PACKET);
	IS(SUB(MQTT_V5, "\x00\x07\x00\x00\x01\x00\x00"), RC_MALFORMED_PACKET);
	IS(UNSUB(MQTT_V311, "\x00\x07\x00\x02\xc1\x81"), RC_MALFORMED_PACKET);
}

static void an_unsubscribe_is_walked_in_order_and_refused_when_cut(void)
{
	struct str filter;

	IS(UNSUB(MQTT_V5, "\x00\x07\x00\x00\x01"
	                  "a\x00\x03"
	                  "b/#"),
	   RC_SUCCESS);
	IS(u.count, 2);
	YES(mqtt_unsubscribe_next(&u, &filter));
	IS_STR(filter, "a");
	YES(mqtt_unsubscribe_next(&u, &filter));
	IS_STR(filter, "b/#");
	NO(mqtt_unsubscribe_next(&u, &filter));
	each_prefix(c, STR("\x00\x07\x00\x00\x03"
	                   "a/b")) IS(mqtt_unsubscribe_read(c.first, MQTT_V5, &u),
	                              c.cut == 3 ? RC_PROTOCOL_ERROR : RC_MALFORMED_PACKET);
}

/* ---- Written and read back ---- */

static const struct str filters[] = { STR_INIT("a/+"), STR_INIT("#"), STR_INIT("$share/g/x") };
static const struct mqtt_sub_opts opts[] = { { .qos = 2, .no_local = true, .retain_handling = 1 },
	                                     { .qos = 1 },
	                                     { .retain_as_published = true } };

static void a_subscribe_comes_back_as_it_was(void)
{
	static const uint8_t versions[] = { MQTT_V31, MQTT_V311, MQTT_V5 };
	struct mqtt_props props = { .subscription_ids = 1, .subscription_id = { 200000 } };

	for (unsigned v = 0; v < 3; v++) {
		bool v5 = versions[v] == MQTT_V5;
		struct mqtt_head h;
		struct buf b = { 0 };

		mqtt_subscribe_write(&b, versions[v], 9, filters, opts, 3, &props);
		IS(mqtt_subscribe_read(body_of(&b, &h), versions[v], &s), RC_SUCCESS);
		IS(h.type, MQTT_SUBSCRIBE);
		IS(s.packet_id, 9);
		IS(s.count, 3);
		IS(s.props.subscription_ids, v5);
		IS(s.props.subscription_id[0], v5 ? 200000 : 0);
		for (unsigned i = 0; i < 3; i++) {
			struct mqtt_sub_opts o;
			struct str filter;

			YES(mqtt_subscribe_next(&s, versions[v], &filter, &o));
			IS_BYTES(filter, filters[i]);
			IS(o.qos, opts[i].qos);
			IS(o.no_local, v5 && opts[i].no_local);
			IS(o.retain_as_published, v5 && opts[i].retain_as_published);
			IS(o.retain_handling, v5 ? opts[i].retain_handling : 0);
		}
		buf_reset(&b);
		mqtt_unsubscribe_write(&b, versions[v], 10, filters, 3, NULL);
		IS(mqtt_unsubscribe_read(body_of(&b, &h), versions[v], &u), RC_SUCCESS);
		IS(u.count, 3);
		buf_free(&b);
	}
}

static void a_suback_speaks_the_version_of_its_client(void)
{
	static const uint8_t codes[] = { 0, 2, RC_NOT_AUTHORIZED, RC_TOPIC_FILTER_INVALID,
		                         RC_MESSAGE_RATE_TOO_HIGH };
	struct mqtt_suback a;
	struct mqtt_head h;
	struct buf b = { 0 };

	mqtt_suback_write(&b, MQTT_V311, 5, codes, 5, NULL);
	IS_BYTES(buf_str(&b), STR("\x90\x07\x00\x05\x00\x02\x80\x80\x80"));
	IS(mqtt_suback_read(body_of(&b, &h), MQTT_SUBACK, MQTT_V311, &a), RC_SUCCESS);
	IS_BYTES(a.codes, STR("\x00\x02\x80\x80\x80"));
	buf_reset(&b);
	mqtt_suback_write(&b, MQTT_V5, 5, codes, 5, NULL);
	IS_BYTES(
	    buf_str(&b),
	    STR("\x90\x08\x00\x05\x00\x00\x02\x87\x8f\x80")); /* the last is none of SUBACK's */
	IS(mqtt_suback_read(body_of(&b, &h), MQTT_SUBACK, MQTT_V5, &a), RC_SUCCESS);
	IS(a.packet_id, 5);
	buf_free(&b);
}

static void an_unsuback_has_codes_on_v5_only(void)
{
	static const uint8_t codes[] = { RC_SUCCESS, RC_NO_SUBSCRIPTION_EXISTED };
	struct mqtt_suback a;
	struct mqtt_head h;
	struct buf b = { 0 };

	mqtt_unsuback_write(&b, MQTT_V311, 5, codes, 2, NULL);
	IS_BYTES(buf_str(&b), STR("\xb0\x02\x00\x05"));
	IS(mqtt_suback_read(body_of(&b, &h), MQTT_UNSUBACK, MQTT_V311, &a), RC_SUCCESS);
	buf_reset(&b);
	mqtt_unsuback_write(&b, MQTT_V5, 5, codes, 2, NULL);
	IS_BYTES(buf_str(&b), STR("\xb0\x05\x00\x05\x00\x00\x11"));
	IS(mqtt_suback_read(body_of(&b, &h), MQTT_UNSUBACK, MQTT_V5, &a), RC_SUCCESS);
	IS(a.codes.n, 2);
	buf_free(&b);
}

static void an_answer_with_a_foreign_code_or_none_is_refused(void)
{
	struct mqtt_suback a;

	IS(mqtt_suback_read(B("\x00\x05\x03"), MQTT_SUBACK, MQTT_V311, &a), RC_PROTOCOL_ERROR);
	IS(mqtt_suback_read(B("\x00\x05\x87"), MQTT_SUBACK, MQTT_V311, &a), RC_PROTOCOL_ERROR);
	IS(mqtt_suback_read(B("\x00\x05\x00\x11"), MQTT_SUBACK, MQTT_V5, &a), RC_PROTOCOL_ERROR);
	IS(mqtt_suback_read(B("\x00\x05\x00\x01"), MQTT_UNSUBACK, MQTT_V5, &a), RC_PROTOCOL_ERROR);
	IS(mqtt_suback_read(B("\x00\x05"), MQTT_SUBACK, MQTT_V311, &a), RC_MALFORMED_PACKET);
	IS(mqtt_suback_read(B("\x00\x05\x00"), MQTT_UNSUBACK, MQTT_V311, &a), RC_MALFORMED_PACKET);
	each_prefix(c, STR("\x00\x05\x04\x1f\x00\x01w\x00"))
	    IS(mqtt_suback_read(c.first, MQTT_SUBACK, MQTT_V5, &a), RC_MALFORMED_PACKET);
}

RUN(the_entries_are_walked_in_order, P08_P09_a_subscribe_cut_anywhere_is_refused,
    P23_a_subscribe_names_something, P23_packet_id_zero_is_a_protocol_error,
    P23_options_out_of_range_are_refused, P22_no_local_is_not_for_shared_subscriptions,
    P21_what_is_text_but_no_filter_is_left_to_suback, P25_P26_a_filter_is_text,
    an_unsubscribe_is_walked_in_order_and_refused_when_cut, a_subscribe_comes_back_as_it_was,
    a_suback_speaks_the_version_of_its_client, an_unsuback_has_codes_on_v5_only,
    an_answer_with_a_foreign_code_or_none_is_refused)
