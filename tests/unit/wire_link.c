/* The frames of the link: what is written reads back; what is cut, longer, or has no meaning does not parse (attacks B08, B09). */
#include "base/base.h"
#include "tests/kit/kit.h"
#include "tests/kit/link_copy.h"
#include "wire/link.h"
#include "wire/topic.h"

static const struct link_msg small_msg = { STR_INIT("customer/7/a"), STR_INIT("customer/7/answer"), STR_INIT("\x01\x01\x26\x00\x01k\x00\x01v"),
					   STR_INIT(""), 60 };

/* ---- One frame of each kind; none ends in bytes that may be cut without notice ---- */

static void write_hello(struct buf *b)
{
	link_hello_write(b, &(struct link_hello){ LINK_MAJOR, LINK_MINOR, 2, 1, 0x01020304, STR("mbus-core/0") });
}

static void write_ping(struct buf *b)
{
	link_bare_write(b, LINK_PING, 0, 0);
}

static void write_pause(struct buf *b)
{
	link_bare_write(b, LINK_PAUSE, 9, 3);
}

static const struct link_open sample_open = {
	.version = MQTT_V5, .will_qos = 1, .will_retain = true, .receive_maximum = 100, .customer = 7, .token = 42,
	.session_expiry_s = 3600, .will_delay_s = 5, .rights_until = 1900000000, .queue_messages = 1000, .queue_bytes = 1 << 20,
	.subscriptions = 50, .client_id = STR_INIT("lamp-1"), .peer = STR_INIT("192.0.2.1:4711"),
	.will = { STR_INIT("customer/7/will"), STR_INIT(""), STR_INIT(""), STR_INIT(""), LINK_NO_EXPIRY },
};

static void write_open(struct buf *b)
{
	link_open_write(b, 9, 3, LINK_OPEN_CLEAN, &sample_open);
}

static void write_open_with_will(struct buf *b)
{
	link_open_write(b, LINK_CHANNELS_MAX, 65535, LINK_OPEN_WILL | LINK_OPEN_REATTACH, &sample_open);
}

static void write_opened(struct buf *b)
{
	size_t frame = link_opened_begin(b, 9, 3, true, 0, 2);

	link_opened_add(b, &(struct link_sub){ STR("a/#"), 0x2e, 0 });
	link_opened_add(b, &(struct link_sub){ STR("$share/g/b"), 0x01, 268435455 });
	link_end(b, frame);
}

static void write_close(struct buf *b)
{
	link_close_write(b, 9, 3, LINK_CLOSE_WILL, 77);
}

static void write_close_with_expiry(struct buf *b)
{
	link_close_write(b, 9, 3, LINK_CLOSE_EXPIRY, 77);
}

static void write_closed(struct buf *b)
{
	link_closed_write(b, 9, 3, RC_SESSION_TAKEN_OVER);
}

static void write_publish(struct buf *b)
{
	link_publish_write(b, 9, 3, 2 | LINK_RETAIN | LINK_DUP, &(struct link_publish){ 500, small_msg });
}

static void write_deliver(struct buf *b)
{
	struct link_deliver d = { .msg = small_msg, .customer = 7, .token = 42, .timestamp_ms = 1700000000123 };
	struct link_entry entries[] = { { 1, 2, 0, 0, 0 }, { LINK_CHANNELS_MAX, 65535, 65535, LINK_QOS & 2, 268435455 }, { 5, 6, 7, 1 | LINK_DUP, 8 } };

	link_deliver_write(b, &d, entries, ARRAY_LEN(entries));
}

static void write_ack(struct buf *b)
{
	link_ack_write(b, 9, 3, MQTT_PUBREC, 500, RC_NO_MATCHING_SUBSCRIBERS);
}

static void write_subscribe(struct buf *b)
{
	size_t frame = link_subscribe_begin(b, LINK_SUBSCRIBE, 9, 3, 12, 13), item;

	item = link_item_begin(b, frame, 1, 0x2d, STR("#"));
	link_item_inner(b, item, STR("customer/7/a/#"), false);
	link_item_inner(b, item, STR("customer/7/flespi/log/mqtt/#"), true);
	(void)link_item_begin(b, frame, RC_NOT_AUTHORIZED, 0, STR("secret"));
	link_end(b, frame);
}

static void write_regrant(struct buf *b)
{
	size_t frame = link_subscribe_begin(b, LINK_REGRANT, 9, 3, 0, 0);

	link_item_inner(b, link_item_begin(b, frame, 0, 0, STR("a")), STR("customer/7/a"), true);
	link_end(b, frame);
}

static void write_suback(struct buf *b)
{
	link_suback_write(b, LINK_SUBACK, 9, 3, 12, (const uint8_t[]){ 0, 1, 0x87 }, 3);
}

static void write_unsuback(struct buf *b)
{
	link_suback_write(b, LINK_UNSUBACK, 9, 3, 12, NULL, 0);
}

static void write_unsubscribe(struct buf *b)
{
	size_t frame = link_unsubscribe_begin(b, 9, 3, 14);

	link_unsubscribe_add(b, frame, STR("a/#"));
	link_unsubscribe_add(b, frame, STR("b"));
	link_end(b, frame);
}

static void write_rights(struct buf *b)
{
	size_t frame = link_rights_begin(b, 7, UINT64_MAX);

	link_rights_add(b, frame, STR("customer/7/#"), false);
	link_end(b, frame);
}

static const struct sample {
	void (*write)(struct buf *b);
	enum link_type type;
	bool open_end;                           /* what is left is a value: cutting or adding there is another valid body */
} samples[] = {
	{ write_hello, LINK_HELLO, false },        { write_ping, LINK_PING, false },
	{ write_pause, LINK_PAUSE, false },        { write_open, LINK_OPEN, false },
	{ write_open_with_will, LINK_OPEN, true }, { write_opened, LINK_OPENED, false },
	{ write_close, LINK_CLOSE, false },        { write_close_with_expiry, LINK_CLOSE, false },
	{ write_closed, LINK_CLOSED, false },      { write_publish, LINK_PUBLISH, true },
	{ write_deliver, LINK_DELIVER, true },     { write_ack, LINK_ACK, false },
	{ write_subscribe, LINK_SUBSCRIBE, false }, { write_regrant, LINK_REGRANT, false },
	{ write_suback, LINK_SUBACK, true },       { write_unsuback, LINK_UNSUBACK, true },
	{ write_unsubscribe, LINK_UNSUBSCRIBE, false }, { write_rights, LINK_RIGHTS, false },
};

static struct str frame_of(struct buf *b, const struct sample *s)
{
	buf_reset(b);
	s->write(b);
	YES(buf_ok(b));
	return buf_str(b);
}

static struct str body_of(struct str frame)
{
	return str_skip(frame, LINK_HEAD);
}

static struct link_head head_of(struct str frame)
{
	struct link_head h;

	IS(link_head_read(frame, &h), PARSE_OK);
	IS(h.length, frame.n);
	return h;
}

/* The frame with its length set to what it has: so that only the body can be wrong. */
static bool parses(struct str frame)
{
	struct buf out = { 0 };
	struct link_head h;
	bool ok;

	if (frame.n < LINK_HEAD)
		return false;
	frame = guard_str(frame);
	((uint8_t *)frame.p)[0] = (uint8_t)frame.n;
	((uint8_t *)frame.p)[1] = (uint8_t)(frame.n >> 8);
	ok = link_head_read(frame, &h) == PARSE_OK && link_copy(h, frame, &out);
	if (ok && !str_eq(buf_str(&out), frame))
		fail_msg("%s is not copied as it was", link_type_name(h.type));
	buf_free(&out);
	guard_reset();
	return ok;
}

/* ---- Heads ---- */

static void a_head_is_read_as_it_was_written(void)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(samples); i++)
		IS(head_of(frame_of(&b, &samples[i])).type, samples[i].type);
	buf_reset(&b);
	link_ack_write(&b, 0x00abcdef, 0x1234, MQTT_PUBACK, 1, 0);
	IS_STR(buf_str(&b), "\x0f\0\0\0\x16\x04\x34\x12\xef\xcd\xab\0\x01\0\0");
	buf_free(&b);
}

static void a_frame_that_is_not_whole_asks_for_more(void)
{
	struct buf b = { 0 };
	struct link_head h;

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		each_prefix(p, frame_of(&b, &samples[i]))
			IS(link_head_read(p.first, &h), PARSE_MORE);
	}
	buf_free(&b);
}

static const struct head_row {
	uint32_t length;
	uint8_t type, flags;
	uint32_t channel;
	uint16_t generation;
	bool ok;
} head_rows[] = {
	{ 12, LINK_PING, 0, 0, 0, true },         { 11, LINK_PING, 0, 0, 0, false },
	{ 0, LINK_PING, 0, 0, 0, false },         { 13, LINK_PING, 0, 0, 0, false },
	{ LINK_FRAME_MAX + 1, LINK_PUBLISH, 0, 1, 77, false },
	{ UINT32_MAX, LINK_PUBLISH, 0, 1, 77, false },
	{ 12, 0, 0, 0, 0, false },                { 12, 4, 0, 0, 0, false },
	{ 12, 255, 0, 0, 0, false },              { 12, LINK_RIGHTS + 1, 0, 0, 0, false },
	{ 12, LINK_PING, 0, 1, 77, false },        { 12, LINK_PING, 1, 0, 0, false },
	{ 12, LINK_PAUSE, 0, 1, 77, true },        { 12, LINK_PAUSE, 0, 0, 0, false },
	{ 12, LINK_PAUSE, 0, LINK_CHANNELS_MAX, 77, true },
	{ 12, LINK_PAUSE, 0, LINK_CHANNELS_MAX + 1, 77, false },
	{ 12, LINK_OPEN, 0, 0, 0, false },        { 12, LINK_OPEN, 7, 1, 77, true },
	{ 12, LINK_OPEN, 8, 1, 77, false },        { 12, LINK_DELIVER, 0, 1, 77, false },
	{ 12, LINK_PUBLISH, 0x0f, 0, 0, true },   { 12, LINK_PUBLISH, 0x10, 1, 77, false },
	{ 12, LINK_RIGHTS, 0, 1, 77, false },      { 12, LINK_REGRANT, 0, 0, 0, false },
	{ 12, LINK_CLOSE, 4, 1, 77, false },       { 12, LINK_SUBSCRIBE, 0, 0, 0, true },
	{ 12, LINK_PING, 0, 0, 1, false },     { 12, LINK_SUBSCRIBE, 0, 0, 1, false },
};

static void the_table_of_heads_holds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(head_rows); i++) {
		const struct head_row *r = &head_rows[i];
		struct buf b = { 0 };
		struct link_head h;
		enum parse answer;

		buf_le32(&b, r->length);
		buf_u8(&b, r->type);
		buf_u8(&b, r->flags);
		buf_le16(&b, r->generation);
		buf_le32(&b, r->channel);
		buf_u8(&b, 0);
		answer = link_head_read(buf_str(&b), &h);
		if ((answer == PARSE_OK) != r->ok || answer == PARSE_MORE)
			fail_msg("row %zu: %d", i, answer);
		buf_free(&b);
	}
}

static void every_type_has_a_name(void)
{
	for (size_t i = 0; i < ARRAY_LEN(samples); i++)
		assert_string_not_equal(link_type_name(samples[i].type), "unknown frame");
	assert_string_equal(link_type_name(LINK_DELIVER), "DELIVER");
	assert_string_equal(link_type_name(0), "unknown frame");
	assert_string_equal(link_type_name(4000), "unknown frame");
}

/* ---- Bodies ---- */

static void every_frame_reads_back_to_the_same_bytes(void)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(samples); i++)
		YES(parses(frame_of(&b, &samples[i])));
	buf_free(&b);
}

static void a_body_cut_anywhere_does_not_parse(void)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		if (samples[i].type == LINK_SUBACK || samples[i].type == LINK_UNSUBACK)
			continue;                /* any codes are codes; see below */
		struct str frame = frame_of(&b, &samples[i]);

		for (size_t n = LINK_HEAD; n < frame.n; n++) {
			if (parses(str_make(frame.p, n)))
				fail_msg("%s cut at %zu of %zu", link_type_name(samples[i].type), n, frame.n);
		}
	}
	NO(parses(STR("\x0d\0\0\0\x1f\0\0\0\x01\0\0\0\x01")));
	buf_free(&b);
}

static void a_byte_too_much_does_not_parse(void)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		(void)frame_of(&b, &samples[i]);
		buf_u8(&b, 0);
		if (!samples[i].open_end && parses(buf_str(&b)))
			fail_msg("%s", link_type_name(samples[i].type));
	}
	buf_free(&b);
}

static void changed_bytes_parse_to_themselves_or_not_at_all(void)
{
	struct buf b = { 0 };

	for (unsigned i = 0; i < 20000; i++) {
		struct str frame = frame_of(&b, &samples[any_below(ARRAY_LEN(samples))]);

		for (uint64_t n = 1 + any_below(3); n; n--)
			((uint8_t *)frame.p)[4 + any_below(frame.n - 4)] ^= (uint8_t)(1u << any_below(8));
		(void)parses(frame);             /* fails if the copy differs, dies if it reads too far */
	}
	buf_free(&b);
}

static void a_count_or_length_larger_than_the_frame_does_not_parse(void)
{
	static const struct { size_t sample, at, bytes; } counts[] = {
		{ 0, 16, 2 }, { 3, 6, 2 }, { 3, 8, 2 }, { 5, 1, 4 }, { 5, 10, 2 }, { 9, 6, 4 }, { 9, 10, 4 }, { 9, 14, 4 },
		{ 10, 24, 4 }, { 12, 2, 2 }, { 12, 10, 2 }, { 12, 12, 2 }, { 12, 16, 4 }, { 16, 2, 2 }, { 16, 4, 2 }, { 17, 16, 2 }, { 17, 19, 4 },
	};
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct str frame = frame_of(&b, &samples[counts[i].sample]);

		memset((char *)frame.p + LINK_HEAD + counts[i].at, 0xff, counts[i].bytes);
		if (parses(frame))
			fail_msg("row %zu", i);
	}
	buf_free(&b);
}

static void an_open_tells_all_about_the_session(void)
{
	struct buf b = { 0 };
	struct link_open o;

	link_open_write(&b, 9, 3, LINK_OPEN_WILL, &sample_open);
	YES(link_open_read(body_of(buf_str(&b)), LINK_OPEN_WILL, &o));
	IS(o.version, MQTT_V5);
	IS(o.receive_maximum, 100);
	IS(o.customer, 7);
	IS(o.token, 42);
	IS(o.session_expiry_s, 3600);
	IS(o.rights_until, 1900000000);
	IS(o.queue_messages, 1000);
	IS(o.queue_bytes, 1 << 20);
	IS(o.subscriptions, 50);
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
	o.customer = 0;                                                  /* the trusted world */
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
	YES(opens(o, 0));                                                /* there is no Will to be wrong */
	o = sample_open;
	o.will.topic = STR_NONE;
	NO(opens(o, LINK_OPEN_WILL));
	o = sample_open;
	o.rights_until = -1;
	NO(opens(o, LINK_OPEN_WILL));
}

static const struct qos_row {
	uint8_t flags;
	uint16_t packet_id;
	bool ok;
} qos_rows[] = {
	{ 0, 0, true },  { 0, 1, false },  { 1, 1, true },         { 1, 0, false },
	{ 2, 9, true },  { 2, 0, false },  { 3, 9, false },        { LINK_DUP, 0, false },
	{ LINK_RETAIN, 0, true },          { LINK_DUP | 1, 1, true }, { LINK_RETAIN | LINK_DUP | 2, 65535, true },
};

static void qos_packet_id_and_dup_agree(void)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(qos_rows); i++) {
		const struct qos_row *r = &qos_rows[i];
		struct link_deliver d = { .msg = small_msg, .customer = 7 };

		buf_reset(&b);
		link_publish_write(&b, 9, 3, r->flags, &(struct link_publish){ r->packet_id, small_msg });
		IS(parses(buf_str(&b)), r->ok);
		buf_reset(&b);
		link_deliver_write(&b, &d, &(struct link_entry){ 1, 1, r->packet_id, r->flags, 0 }, 1);
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
	{ STR_INIT("\x01\x01\x03\x00\x01t\x09\x00\x02xy\x26\x00\x01k\x00\x01v\x26\x00\x00\x00\x00"), true },
	{ STR_INIT("\x26\x00\x01k\x00\x01v\x09\x00\x00"), true },
	{ STR_INIT("\x01"), false },
	{ STR_INIT("\x01\x02"), false },
	{ STR_INIT("\x01\x01\x01\x01"), false },
	{ STR_INIT("\x03\x00\x00\x03\x00\x00"), false },
	{ STR_INIT("\x09\x00\x00\x09\x00\x00"), false },
	{ STR_INIT("\x02\x00\x00\x00\x01"), false },                     /* message expiry has its own field */
	{ STR_INIT("\x08\x00\x01r"), false },                            /* so has the response topic */
	{ STR_INIT("\x0b\x01"), false },
	{ STR_INIT("\x23\x00\x01"), false },                             /* aliases belong to one hop */
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
	struct link_deliver d = { .msg = small_msg, .customer = 7, .token = 42, .timestamp_ms = -5 }, out;
	struct buf b = { 0 };

	d.msg.payload = STR("payload");
	for (uint32_t i = 0; i < COUNT; i++)
		entries[i] = (struct link_entry){ i, (uint16_t)(i * 7), i % 3 ? (uint16_t)i : 0, i % 3, i * 1000 };
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

		IS(memcmp(&e.channel, &entries[i].channel, 4) | (e.generation ^ entries[i].generation) | (e.packet_id ^ entries[i].packet_id) |
		   (e.flags ^ entries[i].flags), 0);
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
	static const struct { uint16_t homes, home; bool ok; } rows[] = {
		{ 0, 0, true }, { 1, 0, true }, { 2, 1, true }, { 64, 63, true }, { 1, 1, false }, { 0, 1, false }, { 65, 0, false },
	};
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_reset(&b);
		link_hello_write(&b, &(struct link_hello){ 1, 0, rows[i].homes, rows[i].home, 0, STR("x") });
		IS(parses(buf_str(&b)), rows[i].ok);
	}
	b.p[LINK_HEAD] ^= 1;                                             /* the magic */
	NO(parses(buf_str(&b)));
	buf_free(&b);
}

static void subscription_options_are_those_of_mqtt(void)
{
	struct buf b = { 0 };

	for (unsigned opts = 0; opts < 256; opts++) {
		size_t frame;

		buf_reset(&b);
		frame = link_subscribe_begin(&b, LINK_SUBSCRIBE, 9, 3, 1, 0);
		(void)link_item_begin(&b, frame, 0, (uint8_t)opts, STR("a"));
		link_end(&b, frame);
		IS(parses(buf_str(&b)), opts < 64 && opts % 4 != 3 && opts / 16 != 3);
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

/* ---- Writing under pressure ---- */

static void frames_in_pieces_survive_a_buffer_that_moves(void)
{
	struct buf b = { 0 }, alone = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct str frame = frame_of(&alone, &samples[i]);

		buf_free(&b);
		buf_bytes(&b, "0123456789012345678901234567890123456789", 40);
		buf_consume(&b, 37);
		samples[i].write(&b);
		IS_BYTES(str_skip(buf_str(&b), 3), frame);
	}
	buf_free(&b);
	buf_free(&alone);
}

static void without_memory_the_buffer_is_broken_and_can_be_rolled_back(void)
{
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct buf whole = { 0 };
		struct str frame = frame_of(&whole, &samples[i]);

		each_alloc_failure(n) {
			struct buf b = { 0 };

			buf_bytes(&b, "before", 6);
			if (buf_ok(&b)) {
				samples[i].write(&b);
				if (buf_ok(&b))
					IS_BYTES(str_skip(buf_str(&b), 6), frame);
				buf_cut(&b, 6);
				IS_STR(buf_str(&b), "before");
			}
			buf_free(&b);
		}
		buf_free(&whole);
	}
}

static void more_items_than_a_count_can_say_break_the_buffer(void)
{
	struct buf b = { 0 };
	size_t frame = link_unsubscribe_begin(&b, 9, 3, 1);

	for (unsigned i = 0; i < UINT16_MAX; i++)
		link_unsubscribe_add(&b, frame, STR("a"));
	YES(buf_ok(&b));
	link_unsubscribe_add(&b, frame, STR("a"));
	NO(buf_ok(&b));
	buf_free(&b);
}

static void a_frame_over_the_limit_breaks_the_buffer_and_touches_nothing(void)
{
	struct buf b = { 0 };
	struct link_publish p = { 0, small_msg };

	p.msg.payload = str_make("", LINK_FRAME_MAX);                    /* not read: the size alone refuses it */
	link_publish_write(&b, 9, 3, 0, &p);
	NO(buf_ok(&b));
	IS(buf_len(&b), 0);
	buf_free(&b);
}

/* ---- Homes ---- */

static void a_customer_has_the_same_home_in_every_release(void)
{
	IS(link_home_of(0, 7), 0);
	IS(link_home_of(1, 1), 0);
	IS(link_home_of(1, 64), 37);
	IS(link_home_of(2, 64), 10);
	IS(link_home_of(123456789, 64), 32);
	IS(link_home_of(UINT64_MAX, 63), 42);
}

static void customers_are_spread_over_the_homes(void)
{
	unsigned at[5] = { 0 };

	for (uint64_t c = 1; c <= 50000; c++) {
		unsigned home = link_home_of(c, 5);

		YES(home < 5);
		at[home]++;
	}
	for (unsigned i = 0; i < 5; i++)
		YES(at[i] > 9500 && at[i] < 10500);
}

RUN(a_head_is_read_as_it_was_written, a_frame_that_is_not_whole_asks_for_more, the_table_of_heads_holds, every_type_has_a_name,
    every_frame_reads_back_to_the_same_bytes, a_body_cut_anywhere_does_not_parse, a_byte_too_much_does_not_parse,
    changed_bytes_parse_to_themselves_or_not_at_all, a_count_or_length_larger_than_the_frame_does_not_parse,
    an_open_tells_all_about_the_session, an_open_that_makes_no_sense_is_refused, qos_packet_id_and_dup_agree,
    an_ack_is_one_of_four_kinds_with_a_packet_id, only_properties_of_the_message_cross_the_link, a_message_needs_a_topic,
    inner_names_may_be_longer_than_mqtt_can_say, a_delivery_carries_the_message_once_and_all_its_channels,
    a_delivery_to_nobody_or_nowhere_is_refused, a_hello_names_a_home_that_exists, subscription_options_are_those_of_mqtt,
    empty_filters_are_refused_everywhere, frames_in_pieces_survive_a_buffer_that_moves,
    without_memory_the_buffer_is_broken_and_can_be_rolled_back, more_items_than_a_count_can_say_break_the_buffer,
    a_frame_over_the_limit_breaks_the_buffer_and_touches_nothing, a_customer_has_the_same_home_in_every_release,
    customers_are_spread_over_the_homes)
