/* The fields of the frames: what each may say, and what goes with what. */
#include "base/base.h"
#include "tests/unit/wire_link.h"

static void an_open_tells_all_about_the_session(void)
{
	struct buf b = { 0 };
	struct link_limit l;
	struct link_open o;

	link_open_write(&b, 9, 3, LINK_OPEN_WILL, &sample_open);
	YES(link_open_read(body_of(buf_str(&b)), LINK_OPEN_WILL, &o));
	IS(o.version, MQTT_V5);
	IS(o.receive_maximum, 100);
	IS(o.customer, 7);
	IS(o.token, 42);
	IS(o.session_expiry_s, 3600);
	IS(o.rights_until, 1900000000);
	YES(link_limits_next(&o.limits, &l));
	YES(l.level == 0 && l.id == 3 && l.value == 1000);
	YES(link_limits_next(&o.limits, &l));
	YES(l.level == 2 && l.id == 1 && l.value == -1);
	NO(link_limits_next(&o.limits, &l));
	IS_STR(o.client_id, "lamp-1");
	IS_STR(o.peer, "192.0.2.1:4711");
	IS(o.will_qos, 1);
	YES(o.will_retain);
	IS(o.will_delay_s, 5);
	IS_STR(o.will.topic, "customer/7/will");
	IS(o.will.expiry_s, LINK_NO_EXPIRY);
	buf_free(&b);
}

static bool opens(struct link_open o, uint8_t flags)
{
	struct buf b = { 0 };
	struct link_open out;
	bool ok;

	link_open_write(&b, 9, 3, flags, &o);
	ok = link_open_read(body_of(buf_str(&b)), flags, &out);
	buf_free(&b);
	return ok;
}

static void an_open_that_makes_no_sense_is_refused(void)
{
	struct link_open o = sample_open;

	YES(opens(o, LINK_OPEN_WILL));
	o.customer = 0; /* the trusted world */
	NO(opens(o, LINK_OPEN_WILL));
	o = sample_open;
	o.version = 6;
	NO(opens(o, LINK_OPEN_WILL));
	o.version = 2;
	NO(opens(o, LINK_OPEN_WILL));
	o = sample_open;
	o.receive_maximum = 0;
	NO(opens(o, LINK_OPEN_WILL));
	o = sample_open;
	o.client_id = STR_NONE;
	NO(opens(o, LINK_OPEN_WILL));
	o = sample_open;
	o.will_qos = 3;
	NO(opens(o, LINK_OPEN_WILL));
	YES(opens(o, 0)); /* there is no Will to be wrong */
	o = sample_open;
	o.will.topic = STR_NONE;
	NO(opens(o, LINK_OPEN_WILL));
	o = sample_open;
	o.rights_until = -1;
	NO(opens(o, LINK_OPEN_WILL));
	o = sample_open;
	o.limits = STR("\0\1\376\377\377\377\377\377\377\377"); /* -2 */
	NO(opens(o, LINK_OPEN_WILL));
	o.limits = STR("\0\1\1\0\0\0\0\0\0"); /* a byte short */
	NO(opens(o, LINK_OPEN_WILL));
}

static const struct qos_row {
	uint8_t flags;
	uint16_t packet_id;
	bool ok;
} qos_rows[] = {
	{ 0, 0, true },
	{ 0, 1, false },
	{ 1, 1, true },
	{ 1, 0, false },
	{ 2, 9, true },
	{ 2, 0, false },
	{ 3, 9, false },
	{ LINK_DUP, 0, false },
	{ LINK_RETAIN, 0, true },
	{ LINK_DUP | 1, 1, true },
	{ LINK_RETAIN | LINK_DUP | 2, 65535, true },
};

static void qos_packet_id_and_dup_agree(void)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(qos_rows); i++) {
		const struct qos_row *r = &qos_rows[i];
		struct link_deliver d = { .msg = small_msg, .customer = 7 };

		buf_reset(&b);
		link_publish_write(&b, 9, 3, r->flags,
		                   &(struct link_publish){ r->packet_id, small_msg });
		IS(parses(buf_str(&b)), r->ok);
		buf_reset(&b);
		link_deliver_write(&b, &d, &(struct link_entry){ 1, 1, r->packet_id, r->flags, 0 },
		                   1);
		IS(parses(buf_str(&b)), r->ok);
	}
	buf_free(&b);
}

static void an_ack_is_one_of_four_kinds_with_a_packet_id(void)
{
	struct buf b = { 0 };

	for (unsigned type = 0; type < 8; type++) {
		buf_reset(&b);
		link_ack_write(&b, 9, 3, type, 1, 0);
		IS(parses(buf_str(&b)), type >= MQTT_PUBACK && type <= MQTT_PUBCOMP);
	}
	buf_reset(&b);
	link_ack_write(&b, 9, 3, MQTT_PUBACK, 0, 0);
	NO(parses(buf_str(&b)));
	buf_free(&b);
}

static const struct props_row {
	struct str props;
	bool ok;
} props_rows[] = {
	{ STR_INIT(""), true },
	{ STR_INIT("\x01\x00"), true },
	{ STR_INIT("\x01\x01\x03\x00\x01t\x09\x00\x02xy\x26\x00\x01k\x00\x01v\x26\x00\x00\x00\x00"),
	  true },
	{ STR_INIT("\x26\x00\x01k\x00\x01v\x09\x00\x00"), true },
	{ STR_INIT("\x01"), false },
	{ STR_INIT("\x01\x02"), false },
	{ STR_INIT("\x01\x01\x01\x01"), false },
	{ STR_INIT("\x03\x00\x00\x03\x00\x00"), false },
	{ STR_INIT("\x09\x00\x00\x09\x00\x00"), false },
	{ STR_INIT("\x02\x00\x00\x00\x01"), false }, /* message expiry has its own field */
	{ STR_INIT("\x08\x00\x01r"), false },        /* so has the response topic */
	{ STR_INIT("\x0b\x01"), false },
	{ STR_INIT("\x23\x00\x01"), false }, /* aliases belong to one hop */
	{ STR_INIT("\x00"), false },
	{ STR_INIT("\xff"), false },
	{ STR_INIT("\x03\x00\x05t"), false },
	{ STR_INIT("\x26\x00\x01k"), false },
	{ STR_INIT("\x26\x00\x01k\x00\x02v"), false },
	{ STR_INIT("\x01\x01\x00"), false },
};

static void only_properties_of_the_message_cross_the_link(void)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(props_rows); i++) {
		struct link_publish p = { 0, small_msg };

		p.msg.props = props_rows[i].props;
		buf_reset(&b);
		link_publish_write(&b, 9, 3, 0, &p);
		if (parses(buf_str(&b)) != props_rows[i].ok)
			fail_msg("row %zu", i);
	}
	buf_free(&b);
}

static void a_message_needs_a_topic(void)
{
	struct buf b = { 0 };
	struct link_publish p = { 0, small_msg };

	p.msg.topic = STR_NONE;
	link_publish_write(&b, 9, 3, 0, &p);
	NO(parses(buf_str(&b)));
	buf_free(&b);
}

static void inner_names_may_be_longer_than_mqtt_can_say(void)
{
	static char topic[TOPIC_BYTES_MAX + 29];
	struct buf b = { 0 };
	struct link_publish p = { 0, small_msg }, out;

	memset(topic, 'a', sizeof(topic));
	p.msg.topic = p.msg.response_topic = str_make(topic, sizeof(topic));
	p.msg.payload = STR("x");
	link_publish_write(&b, 9, 3, 0, &p);
	YES(link_publish_read(body_of(buf_str(&b)), 0, &out));
	IS(out.msg.topic.n, sizeof(topic));
	IS(out.msg.response_topic.n, sizeof(topic));
	IS_STR(out.msg.payload, "x");
	buf_free(&b);
}

static void a_delivery_carries_the_message_once_and_all_its_channels(void)
{
	enum { COUNT = 1000 };
	static struct link_entry entries[COUNT];
	struct link_deliver d = { .msg = small_msg,
		                  .customer = 7,
		                  .token = 42,
		                  .timestamp_ms = -5 },
			    out;
	struct buf b = { 0 };

	d.msg.payload = STR("payload");
	for (uint32_t i = 0; i < COUNT; i++)
		entries[i] = (struct link_entry){ i, (uint16_t)(i * 7), i % 3 ? (uint16_t)i : 0,
			                          i % 3, i * 1000 };
	link_deliver_write(&b, &d, entries, COUNT);
	IS(buf_len(&b), 12 + 28 + COUNT * 16 + 16 + 12 + 17 + 9 + 7);
	YES(link_deliver_read(body_of(buf_str(&b)), &out));
	IS(out.count, COUNT);
	IS(out.customer, 7);
	IS(out.token, 42);
	IS(out.timestamp_ms, -5);
	IS_STR(out.msg.payload, "payload");
	IS_STR(out.msg.response_topic, "customer/7/answer");
	for (uint32_t i = 0; i < COUNT; i++) {
		struct link_entry e = link_deliver_entry(&out, i);

		IS(memcmp(&e.channel, &entries[i].channel, 4) |
		       (e.generation ^ entries[i].generation) |
		       (e.packet_id ^ entries[i].packet_id) | (e.flags ^ entries[i].flags),
		   0);
		IS(e.subscription_id, entries[i].subscription_id);
	}
	DIES((void)link_deliver_entry(&out, COUNT));
	DIES(link_deliver_write(&b, &d, entries, 0));
	buf_free(&b);
}

static void a_delivery_to_nobody_or_nowhere_is_refused(void)
{
	struct link_deliver d = { .msg = small_msg, .customer = 7 };
	struct buf b = { 0 };

	link_deliver_write(&b, &d, &(struct link_entry){ LINK_CHANNELS_MAX + 1, 0, 0, 0, 0 }, 1);
	NO(parses(buf_str(&b)));
	buf_reset(&b);
	link_deliver_write(&b, &d, &(struct link_entry){ 1, 0, 0, 0, 268435456 }, 1);
	NO(parses(buf_str(&b)));
	buf_reset(&b);
	link_deliver_write(&b, &d, &(struct link_entry){ 1, 0, 0, 0x10, 0 }, 1);
	NO(parses(buf_str(&b)));
	buf_reset(&b);
	link_deliver_write(&b, &d, &(struct link_entry){ 1, 0, 0, 0, 0 }, 1);
	YES(parses(buf_str(&b)));
	memset(b.p + LINK_HEAD + 24, 0, 4);
	NO(parses(buf_str(&b)));
	buf_free(&b);
}

static void a_hello_names_a_home_that_exists(void)
{
	static const struct {
		uint16_t homes, home;
		bool ok;
	} rows[] = {
		{ 0, 0, true },  { 1, 0, true },  { 2, 1, true },   { 64, 63, true },
		{ 1, 1, false }, { 0, 1, false }, { 65, 0, false },
	};
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_reset(&b);
		link_hello_write(
		    &b, &(struct link_hello){ 1, 0, rows[i].homes, rows[i].home, 0, STR("x") });
		IS(parses(buf_str(&b)), rows[i].ok);
	}
	b.p[LINK_HEAD] ^= 1; /* the magic */
	NO(parses(buf_str(&b)));
	buf_free(&b);
}

/* And LINK_EXTENDED, which MQTT has reserved. */
static void subscription_options_are_those_of_mqtt(void)
{
	struct buf b = { 0 };

	for (unsigned opts = 0; opts < 256; opts++) {
		size_t frame;

		buf_reset(&b);
		frame = link_subscribe_begin(&b, LINK_SUBSCRIBE, 9, 3, 1, 0);
		(void)link_item_begin(&b, frame, 0, (uint8_t)opts, STR("a"));
		link_end(&b, frame);
		IS(parses(buf_str(&b)), opts < 128 && opts % 4 != 3 && opts / 16 % 4 != 3);
	}
	buf_free(&b);
}

static void empty_filters_are_refused_everywhere(void)
{
	struct buf b = { 0 };
	size_t frame = link_subscribe_begin(&b, LINK_SUBSCRIBE, 9, 3, 1, 0);

	(void)link_item_begin(&b, frame, 0, 0, STR(""));
	link_end(&b, frame);
	NO(parses(buf_str(&b)));
	buf_reset(&b);
	frame = link_subscribe_begin(&b, LINK_SUBSCRIBE, 9, 3, 1, 0);
	link_item_inner(&b, link_item_begin(&b, frame, 0, 0, STR("a")), STR(""), true);
	link_end(&b, frame);
	NO(parses(buf_str(&b)));
	buf_reset(&b);
	frame = link_unsubscribe_begin(&b, 9, 3, 1);
	link_unsubscribe_add(&b, frame, STR(""));
	link_end(&b, frame);
	NO(parses(buf_str(&b)));
	buf_reset(&b);
	frame = link_rights_begin(&b, 7, 1);
	link_rights_add(&b, frame, STR(""), false);
	link_end(&b, frame);
	NO(parses(buf_str(&b)));
	buf_free(&b);
}

/* Each is repeated to a client, in a packet that has only some of them. */
static void only_codes_that_a_client_can_be_told_are_read(void)
{
	struct buf b = { 0 };

	for (unsigned code = 0; code < 256; code++) {
		uint8_t one = (uint8_t)code;
		bool no = code >= RC_UNSPECIFIED_ERROR;

		buf_reset(&b);
		link_suback_write(&b, LINK_SUBACK, 9, 3, 12, &one, 1);
		IS(parses(buf_str(&b)), no || code <= 2);
		buf_reset(&b);
		link_suback_write(&b, LINK_UNSUBACK, 9, 3, 12, &one, 1);
		IS(parses(buf_str(&b)), no || code == 0 || code == RC_NO_SUBSCRIPTION_EXISTED);
		buf_reset(&b);
		link_ack_write(&b, 9, 3, MQTT_PUBACK, 12, one);
		IS(parses(buf_str(&b)), no || code == 0 || code == RC_NO_MATCHING_SUBSCRIBERS);
		buf_reset(&b);
		link_ack_write(&b, 9, 3, MQTT_PUBREL, 12, one);
		IS(parses(buf_str(&b)), no || code == 0);
	}
	buf_free(&b);
}

RUN(an_open_tells_all_about_the_session, an_open_that_makes_no_sense_is_refused,
    qos_packet_id_and_dup_agree, an_ack_is_one_of_four_kinds_with_a_packet_id,
    only_properties_of_the_message_cross_the_link, a_message_needs_a_topic,
    inner_names_may_be_longer_than_mqtt_can_say,
    a_delivery_carries_the_message_once_and_all_its_channels,
    a_delivery_to_nobody_or_nowhere_is_refused, a_hello_names_a_home_that_exists,
    subscription_options_are_those_of_mqtt, only_codes_that_a_client_can_be_told_are_read,
    empty_filters_are_refused_everywhere)
