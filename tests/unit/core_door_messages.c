/* core_door_messages.c - what goes through the trusted MQTT door arrives as it was sent, and only
 * as fast as it is read. */
#include "tests/unit/core_door_kit.h"

/* ---- Messages ---- */
static void a_service_sees_the_inner_names_of_customers(void)
{
	struct client reader, writer;
	struct mqtt_publish p;

	start();
	reader = guest(MQTT_V311, "reader");
	writer = guest(MQTT_V5, "writer");
	IS(subscribe(&reader, "customer/7/#", 1), 1);
	publish(&writer, "customer/7/flespi/log/x", "one", 1, false);
	IS(receive(&writer), MQTT_PUBACK);
	p = arrives(&reader);
	IS_STR(p.topic, "customer/7/flespi/log/x");
	IS_STR(p.payload, "one");
	IS(p.qos, 1);
	mqtt_ack_write(&reader.out, MQTT_PUBACK, MQTT_V311, p.packet_id, 0, NULL);
	nothing_else(&reader);
	hang_up(&reader);
	hang_up(&writer);
	stop();
}

static void properties_arrive_as_they_were_sent(void)
{
	struct client c;
	struct buf user = { 0 };
	struct mqtt_publish out = { .topic = STR("a/b"), .payload = STR("x"), .qos = 0 }, p;
	struct str key, value;
	struct mqtt_user_walk walk;

	start();
	c = guest(MQTT_V5, "c");
	IS(subscribe_with(&c, "a/#", (struct mqtt_sub_opts){ .qos = 2 }, 300), 2);
	mqtt_user_property(&user, STR("k"), STR("v"));
	out.props = (struct mqtt_props){ .payload_format = 1,
		                         .message_expiry = 60,
		                         .content_type = STR("text"),
		                         .response_topic = STR("re/ply"),
		                         .correlation_data = STR("id"),
		                         .user = buf_str(&user),
		                         .user_count = 1 };
	out.props.has = UINT64_C(1) << PROP_PAYLOAD_FORMAT | UINT64_C(1) << PROP_MESSAGE_EXPIRY |
	                UINT64_C(1) << PROP_CONTENT_TYPE | UINT64_C(1) << PROP_RESPONSE_TOPIC |
	                UINT64_C(1) << PROP_CORRELATION_DATA | UINT64_C(1) << PROP_USER_PROPERTY;
	mqtt_publish_write(&c.out, MQTT_V5, &out);
	p = arrives(&c);
	IS(p.props.payload_format, 1);
	IS(p.props.message_expiry, 60);
	IS_STR(p.props.content_type, "text");
	IS_STR(p.props.response_topic, "re/ply");
	IS_STR(p.props.correlation_data, "id");
	IS(p.props.subscription_id[0], 300);
	mqtt_user_start(&walk, &p.props);
	YES(mqtt_user_next(&walk, &key, &value));
	IS_STR(key, "k");
	IS_STR(value, "v");
	buf_free(&user);
	hang_up(&c);
	stop();
}

static void qos_2_goes_through_once_both_ways(void)
{
	struct client c;
	struct mqtt_publish p;

	start();
	c = guest(MQTT_V5, "c");
	IS(subscribe(&c, "a", 2), 2);
	publish(&c, "a", "x", 2, false);
	IS(receive(&c), MQTT_PUBLISH);
	IS(mqtt_publish_read(c.body, c.head.flags, MQTT_V5, false, &p), RC_SUCCESS);
	IS(receive(&c), MQTT_PUBREC);
	mqtt_ack_write(&c.out, MQTT_PUBREC, MQTT_V5, p.packet_id, 0, NULL);
	IS(receive(&c), MQTT_PUBREL);
	mqtt_ack_write(&c.out, MQTT_PUBCOMP, MQTT_V5, p.packet_id, 0, NULL);
	mqtt_ack_write(&c.out, MQTT_PUBREL, MQTT_V5, 77, 0, NULL);
	IS(receive(&c), MQTT_PUBCOMP);
	nothing_else(&c);
	hang_up(&c);
	stop();
}

static void what_is_retained_comes_after_the_suback(void)
{
	struct client c;
	struct mqtt_publish p;

	start();
	c = guest(MQTT_V5, "c");
	publish(&c, "customer/9/state", "on", 1, true);
	IS(receive(&c), MQTT_PUBACK);
	IS(subscribe(&c, "customer/+/state", 0), 0);
	p = arrives(&c);
	YES(p.retain);
	IS_STR(p.payload, "on");
	hang_up(&c);
	stop();
}

static void a_bad_filter_is_refused_alone(void)
{
	struct client c;

	start();
	c = guest(MQTT_V5, "c");
	IS(subscribe(&c, "a/#/b", 0), RC_TOPIC_FILTER_INVALID);
	IS(subscribe(&c, "$share/g", 0), RC_TOPIC_FILTER_INVALID);
	IS(subscribe(&c, "a/b", 1), 1);
	hang_up(&c);
	stop();
}

static void a_group_shares_what_arrives(void)
{
	struct client a, b, writer;
	unsigned count = 0;

	start();
	a = guest(MQTT_V5, "a");
	b = guest(MQTT_V5, "b");
	writer = guest(MQTT_V311, "writer");
	IS(subscribe(&a, "$share/g/t/#", 0), 0);
	IS(subscribe(&b, "$share/g/t/#", 0), 0);
	for (unsigned i = 0; i < 10; i++)
		publish(&writer, "t/x", "x", 0, false);
	nothing_else(&writer);
	for (struct client *c = &a; c; c = c == &a ? &b : NULL) {
		mqtt_pingreq_write(&c->out);
		while (receive(c) == MQTT_PUBLISH)
			count++;
		IS(c->head.type, MQTT_PINGRESP);
	}
	IS(count, 10);
	hang_up(&a);
	hang_up(&b);
	hang_up(&writer);
	stop();
}

static void unsubscribed_is_unheard(void)
{
	struct client c;
	struct str filter = STR("a");

	start();
	c = guest(MQTT_V5, "c");
	IS(subscribe(&c, "a", 0), 0);
	mqtt_unsubscribe_write(&c.out, MQTT_V5, 8, &filter, 1, NULL);
	IS(receive(&c), MQTT_UNSUBACK);
	publish(&c, "a", "x", 0, false);
	nothing_else(&c);
	hang_up(&c);
	stop();
}

static void what_is_too_large_for_a_client_does_not_stop_it(void)
{
	struct client reader, writer;
	struct mqtt_connect terms = { .clean_start = true,
		                      .props = { .has = UINT64_C(1) << PROP_MAXIMUM_PACKET_SIZE |
		                                        UINT64_C(1) << PROP_RECEIVE_MAXIMUM,
		                                 .maximum_packet_size = 50,
		                                 .receive_maximum = 1 } };
	static char large[100];
	struct mqtt_publish p;

	start();
	memset(large, 'x', sizeof(large) - 1);
	reader = dial(MQTT_V5);
	writer = guest(MQTT_V311, "w");
	IS(greet_as(&reader, &terms).code, 0);
	IS(subscribe(&reader, "a", 2), 2);
	publish(&writer, "a", large, 1, false);
	publish(&writer, "a", large, 2, false);
	publish(&writer, "a", "small", 1, false);
	p = arrives(&reader);
	IS_STR(p.payload, "small");
	hang_up(&reader);
	hang_up(&writer);
	stop();
}

/* ---- Flow ---- */
static void who_does_not_read_costs_a_bounded_amount(void)
{
	enum { COUNT = 4000, SIZE = 4000 };
	struct client reader, writer;
	static char payload[SIZE + 1];
	unsigned got = 0;

	start_with((char *)"--link-high", (char *)"64k");
	memset(payload, 'x', SIZE);
	reader = guest(MQTT_V311, "reader");
	writer = guest(MQTT_V311, "writer");
	IS(subscribe(&reader, "a", 0), 0);
	for (unsigned i = 0; i < COUNT; i++)
		publish(&writer, "a", payload, 0, false);
	nothing_else(&writer);
	mqtt_pingreq_write(&reader.out);
	while (receive(&reader) == MQTT_PUBLISH)
		got++;
	IS(reader.head.type, MQTT_PINGRESP);
	YES(got > 0);
	YES((size_t)got * SIZE <
	    2 << 20); /* the mark, a turn, and what the kernel holds; not 16 MB */
	publish(&writer, "a", "fresh", 0, false);
	IS_STR(arrives(&reader).payload, "fresh");
	hang_up(&reader);
	hang_up(&writer);
	stop();
}

static void one_who_only_writes_is_slowed_down_and_gets_all_answers(void)
{
	enum { COUNT = 20000 };
	struct client c;
	struct mqtt_publish p = { .topic = STR("a"), .qos = 1, .packet_id = 9 };
	struct buf all = { 0 };
	unsigned got = 0;

	start_with((char *)"--link-high", (char *)"64k");
	c = guest(MQTT_V311, "c");
	for (unsigned i = 0; i < COUNT; i++)
		mqtt_publish_write(&all, MQTT_V311, &p);
	while (buf_len(&all) || got < COUNT) {
		ssize_t n = buf_len(&all) ? send(c.fd, buf_data(&all), buf_len(&all),
		                                 MSG_NOSIGNAL | MSG_DONTWAIT)
		                          : 0;

		if (n > 0) {
			buf_consume(&all, (size_t)n);
			continue;
		}
		IS(receive(&c), MQTT_PUBACK);
		got++;
	}
	nothing_else(&c);
	buf_free(&all);
	hang_up(&c);
	stop();
}

RUN(a_service_sees_the_inner_names_of_customers, properties_arrive_as_they_were_sent,
    qos_2_goes_through_once_both_ways, what_is_retained_comes_after_the_suback,
    a_bad_filter_is_refused_alone, a_group_shares_what_arrives, unsubscribed_is_unheard,
    what_is_too_large_for_a_client_does_not_stop_it, who_does_not_read_costs_a_bounded_amount,
    one_who_only_writes_is_slowed_down_and_gets_all_answers)
