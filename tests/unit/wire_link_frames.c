/* The frames of the link as a whole: what is written reads back; what is cut, longer or changed
 * does not (attacks B08, B09). */
#include "base/base.h"
#include "tests/unit/wire_link.h"

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
	{ 12, LINK_PING, 0, 0, 0, true },
	{ 11, LINK_PING, 0, 0, 0, false },
	{ 0, LINK_PING, 0, 0, 0, false },
	{ 13, LINK_PING, 0, 0, 0, false },
	{ LINK_FRAME_MAX + 1, LINK_PUBLISH, 0, 1, 77, false },
	{ UINT32_MAX, LINK_PUBLISH, 0, 1, 77, false },
	{ 12, 0, 0, 0, 0, false },
	{ 12, 4, 0, 0, 0, false },
	{ 12, 255, 0, 0, 0, false },
	{ 12, LINK_HOLD + 1, 0, 0, 0, false },
	{ 12, LINK_PING, 0, 1, 77, false },
	{ 12, LINK_PING, 1, 0, 0, false },
	{ 12, LINK_PAUSE, 0, 1, 77, true },
	{ 12, LINK_PAUSE, 0, 0, 0, false },
	{ 12, LINK_PAUSE, 0, LINK_CHANNELS_MAX, 77, true },
	{ 12, LINK_PAUSE, 0, LINK_CHANNELS_MAX + 1, 77, false },
	{ 12, LINK_OPEN, 0, 0, 0, false },
	{ 12, LINK_OPEN, 7, 1, 77, true },
	{ 12, LINK_OPEN, 8, 1, 77, false },
	{ 12, LINK_DELIVER, 0, 1, 77, false },
	{ 12, LINK_PUBLISH, 0x0f, 0, 0, true },
	{ 12, LINK_PUBLISH, 0x10, 1, 77, false },
	{ 12, LINK_RIGHTS, 0, 1, 77, false },
	{ 12, LINK_REGRANT, 0, 0, 0, false },
	{ 12, LINK_CLOSE, 7, 1, 77, true },
	{ 12, LINK_CLOSE, 8, 1, 77, false },
	{ 12, LINK_SUBSCRIBE, 0, 0, 0, true },
	{ 12, LINK_PING, 0, 0, 1, false },
	{ 12, LINK_SUBSCRIBE, 0, 0, 1, false },
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
			continue; /* any codes are codes; see below */
		struct str frame = frame_of(&b, &samples[i]);

		for (size_t n = LINK_HEAD; n < frame.n; n++) {
			if (parses(str_make(frame.p, n)))
				fail_msg("%s cut at %zu of %zu", link_type_name(samples[i].type), n,
				         frame.n);
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
			((uint8_t *)frame.p)[4 + any_below(frame.n - 4)] ^=
			    (uint8_t)(1u << any_below(8));
		(void)parses(frame); /* fails if the copy differs, dies if it reads too far */
	}
	buf_free(&b);
}

static void a_count_or_length_larger_than_the_frame_does_not_parse(void)
{
	static const struct {
		size_t sample, at, bytes;
	} counts[] = {
		{ 0, 16, 2 },  { 3, 6, 2 },   { 3, 8, 2 },   { 5, 1, 4 },   { 5, 10, 2 },
		{ 9, 6, 4 },   { 9, 10, 4 },  { 9, 14, 4 },  { 10, 24, 4 }, { 12, 2, 2 },
		{ 12, 10, 2 }, { 12, 12, 2 }, { 12, 16, 4 }, { 16, 2, 2 },  { 16, 4, 2 },
		{ 17, 16, 2 }, { 17, 19, 4 },
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

		each_alloc_failure(n)
		{
			struct buf b = { 0 };

			buf_bytes(&b, "before", 6);
			if (buf_ok(&b)) {
				samples[i].write(&b);
				/* one of a list is taken back as a whole */
				if (buf_ok(&b) && buf_len(&b) > 6)
					IS_BYTES(str_skip(buf_str(&b), 6), frame);
				buf_cut(&b, 6);
				IS_STR(buf_str(&b), "before");
			}
			buf_free(&b);
		}
		buf_free(&whole);
	}
}

static bool write_items(struct buf *b, unsigned count)
{
	size_t frame = link_unsubscribe_begin(b, 9, 3, 1);

	for (unsigned i = 0; i < count; i++)
		link_unsubscribe_add(b, frame, STR("a"));
	return link_end(b, frame);
}

static bool write_inner(struct buf *b, unsigned count)
{
	size_t frame = link_subscribe_begin(b, LINK_SUBSCRIBE, 9, 3, 1, 0),
	       item = link_item_begin(b, frame, 0, 0, STR("#"));

	for (unsigned i = 0; i < count; i++)
		link_item_inner(b, item, STR("customer/7/a"), false);
	return link_end(b, frame);
}

static bool write_filters(struct buf *b, unsigned count)
{
	size_t frame = link_rights_begin(b, 7, 42);

	for (unsigned i = 0; i < count; i++)
		link_rights_add(b, frame, STR("customer/7/a"), false);
	return link_end(b, frame);
}

static void more_than_a_count_can_say_is_not_said_and_costs_nobody_else_a_byte(void)
{
	static bool (*const write[])(struct buf * b, unsigned count) = { write_items, write_inner,
		                                                         write_filters };

	for (size_t i = 0; i < ARRAY_LEN(write); i++) {
		struct buf b = { 0 };

		buf_bytes(&b, "of others", 9);
		NO(write[i](&b, UINT16_MAX + 1));
		YES(buf_ok(&b));
		IS_STR(buf_str(&b), "of others");
		YES(write[i](&b, UINT16_MAX));
		YES(buf_len(&b) > 9 + UINT16_MAX);
		buf_free(&b);
	}
}

static void what_broke_the_buffer_before_a_frame_is_not_hidden_by_its_end(void)
{
	struct link_publish p = { 0, small_msg };
	struct buf b = { 0 };

	p.msg.payload = str_make("", LINK_FRAME_MAX);
	link_publish_write(&b, 9, 3, 0, &p);
	NO(write_items(&b, 1));
	NO(buf_ok(&b));
	buf_free(&b);
}

static void a_frame_over_the_limit_breaks_the_buffer_and_touches_nothing(void)
{
	struct buf b = { 0 };
	struct link_publish p = { 0, small_msg };

	p.msg.payload = str_make("", LINK_FRAME_MAX); /* not read: the size alone refuses it */
	link_publish_write(&b, 9, 3, 0, &p);
	NO(buf_ok(&b));
	IS(buf_len(&b), 0);
	buf_free(&b);
}

static void a_prefix_stands_before_both_topics_and_is_not_seen_apart(void)
{
	struct buf whole = { 0 }, parts = { 0 };
	struct link_publish p = { 0, small_msg };

	link_publish_write(&whole, 9, 3, 0, &p);
	p.msg.prefix = STR("customer/7/");
	p.msg.topic = STR("a");
	p.msg.response_topic = STR("answer");
	link_publish_write(&parts, 9, 3, 0, &p);
	IS_BYTES(buf_str(&parts), buf_str(&whole));
	buf_reset(&parts);
	p.msg.response_topic = STR_NONE;
	link_publish_write(&parts, 9, 3, 0, &p);
	YES(link_publish_read(str_skip(buf_str(&parts), LINK_HEAD), 0, &p));
	IS_STR(p.msg.topic, "customer/7/a");
	IS(p.msg.response_topic.n, 0);
	IS(p.msg.prefix.n, 0);
	buf_free(&whole);
	buf_free(&parts);
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

static void nothing_is_said_that_an_older_core_does_not_know(void)
{
	const uint8_t all = LINK_CLOSE_GRACE | LINK_CLOSE_EXPIRY;

	IS(link_close_known(all, LINK_MINOR), all);
	IS(link_close_known(all, LINK_MINOR_GRACE + 1), all);
	IS(link_close_known(all, LINK_MINOR_GRACE - 1), LINK_CLOSE_WILL | LINK_CLOSE_EXPIRY);
	IS(link_close_known(LINK_CLOSE_EXPIRY, 0), LINK_CLOSE_EXPIRY);
	IS(link_close_known(0, 0), 0);
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

RUN(a_head_is_read_as_it_was_written, a_frame_that_is_not_whole_asks_for_more,
    the_table_of_heads_holds, every_type_has_a_name, every_frame_reads_back_to_the_same_bytes,
    a_body_cut_anywhere_does_not_parse, a_byte_too_much_does_not_parse,
    changed_bytes_parse_to_themselves_or_not_at_all,
    a_count_or_length_larger_than_the_frame_does_not_parse,
    frames_in_pieces_survive_a_buffer_that_moves,
    without_memory_the_buffer_is_broken_and_can_be_rolled_back,
    more_than_a_count_can_say_is_not_said_and_costs_nobody_else_a_byte,
    what_broke_the_buffer_before_a_frame_is_not_hidden_by_its_end,
    a_frame_over_the_limit_breaks_the_buffer_and_touches_nothing,
    a_prefix_stands_before_both_topics_and_is_not_seen_apart,
    nothing_is_said_that_an_older_core_does_not_know, a_customer_has_the_same_home_in_every_release,
    customers_are_spread_over_the_homes)
