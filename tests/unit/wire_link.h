/* wire_link.h - one frame of each kind, and what is done with all of them. */
#pragma once
#include "base/base.h"
#include "tests/kit/kit.h"
#include "tests/kit/link_copy.h"
#include "wire/link.h"
#include "wire/topic.h"

static const struct link_msg small_msg = { STR_INIT("customer/7/a"),
	                                   STR_INIT("customer/7/answer"),
	                                   STR_INIT("\x01\x01\x26\x00\x01k\x00\x01v"),
	                                   STR_INIT(""),
	                                   60,
	                                   STR_INIT("") };

/* ---- One frame of each kind; none ends in bytes that may be cut without notice ---- */

static inline void write_hello(struct buf *b)
{
	link_hello_write(b, &(struct link_hello){ LINK_MAJOR, LINK_MINOR, 2, 1, 0x01020304,
	                                          STR("mbus-core/0") });
}

static inline void write_ping(struct buf *b)
{
	link_bare_write(b, LINK_PING, 0, 0);
}

static inline void write_hold(struct buf *b)
{
	link_hold_write(b, 7, true);
}

static inline void write_pause(struct buf *b)
{
	link_bare_write(b, LINK_PAUSE, 9, 3);
}

static const struct link_open sample_open = {
	.version = MQTT_V5,
	.will_qos = 1,
	.will_retain = true,
	.receive_maximum = 100,
	.customer = 7,
	.token = 42,
	.session_expiry_s = 3600,
	.will_delay_s = 5,
	.rights_until = 1900000000,
	.limits = STR_INIT("\0\3\350\3\0\0\0\0\0\0\2\1\377\377\377\377\377\377\377\377"),
	.client_id = STR_INIT("lamp-1"),
	.peer = STR_INIT("192.0.2.1:4711"),
	.will = { STR_INIT("customer/7/will"), STR_INIT(""), STR_INIT(""), STR_INIT(""),
	          LINK_NO_EXPIRY },
};

static inline void write_open(struct buf *b)
{
	link_open_write(b, 9, 3, LINK_OPEN_CLEAN, &sample_open);
}

static inline void write_open_with_will(struct buf *b)
{
	link_open_write(b, LINK_CHANNELS_MAX, 65535, LINK_OPEN_WILL | LINK_OPEN_REATTACH,
	                &sample_open);
}

static inline void write_opened(struct buf *b)
{
	size_t frame = link_opened_begin(b, 9, 3, true, 0, 2);

	link_opened_add(b, &(struct link_sub){ STR("a/#"), 0x2e, 0 });
	link_opened_add(b, &(struct link_sub){ STR("$share/g/b"), 0x01, 268435455 });
	link_end(b, frame);
}

static inline void write_close(struct buf *b)
{
	link_close_write(b, 9, 3, LINK_CLOSE_WILL, 77);
}

static inline void write_close_with_expiry(struct buf *b)
{
	link_close_write(b, 9, 3, LINK_CLOSE_EXPIRY, 77);
}

static inline void write_token(struct buf *b)
{
	link_token_write(b, 9, 3, &(struct link_token){ 42, 1700000000, sample_open.limits });
}

static inline void write_closed(struct buf *b)
{
	link_closed_write(b, 9, 3, RC_SESSION_TAKEN_OVER);
}

static inline void write_publish(struct buf *b)
{
	link_publish_write(b, 9, 3, 2 | LINK_RETAIN | LINK_DUP,
	                   &(struct link_publish){ 500, small_msg });
}

static inline void write_deliver(struct buf *b)
{
	struct link_deliver d = {
		.msg = small_msg, .customer = 7, .token = 42, .timestamp_ms = 1700000000123
	};
	struct link_entry entries[] = { { 1, 2, 0, 0, 0 },
		                        { LINK_CHANNELS_MAX, 65535, 65535, LINK_QOS & 2,
		                          268435455 },
		                        { 5, 6, 7, 1 | LINK_DUP, 8 } };

	link_deliver_write(b, &d, entries, ARRAY_LEN(entries));
}

static inline void write_ack(struct buf *b)
{
	link_ack_write(b, 9, 3, MQTT_PUBREC, 500, RC_NO_MATCHING_SUBSCRIBERS);
}

static inline void write_subscribe(struct buf *b)
{
	size_t frame = link_subscribe_begin(b, LINK_SUBSCRIBE, 9, 3, 12, 13), item;

	item = link_item_begin(b, frame, 1, 0x2d, STR("#"));
	link_item_inner(b, item, STR("customer/7/a/#"), false);
	link_item_inner(b, item, STR("customer/7/flespi/log/mqtt/#"), true);
	(void)link_item_begin(b, frame, RC_NOT_AUTHORIZED, 0, STR("secret"));
	link_end(b, frame);
}

static inline void write_regrant(struct buf *b)
{
	size_t frame = link_subscribe_begin(b, LINK_REGRANT, 9, 3, 0, 0);

	link_item_inner(b, link_item_begin(b, frame, 0, 0, STR("a")), STR("customer/7/a"), true);
	link_end(b, frame);
}

static inline void write_suback(struct buf *b)
{
	link_suback_write(b, LINK_SUBACK, 9, 3, 12, (const uint8_t[]){ 0, 1, 0x87 }, 3);
}

static inline void write_unsuback(struct buf *b)
{
	link_suback_write(b, LINK_UNSUBACK, 9, 3, 12, NULL, 0);
}

static inline void write_unsubscribe(struct buf *b)
{
	size_t frame = link_unsubscribe_begin(b, 9, 3, 14);

	link_unsubscribe_add(b, frame, STR("a/#"));
	link_unsubscribe_add(b, frame, STR("b"));
	link_end(b, frame);
}

static inline void write_rights(struct buf *b)
{
	size_t frame = link_rights_begin(b, 7, UINT64_MAX);

	link_rights_add(b, frame, STR("customer/7/#"), false);
	link_end(b, frame);
}

static const struct sample {
	void (*write)(struct buf *b);
	enum link_type type;
	bool open_end; /* what is left is a value: cutting or adding there is another valid body */
} samples[] = {
	{ write_hello, LINK_HELLO, false },
	{ write_ping, LINK_PING, false },
	{ write_pause, LINK_PAUSE, false },
	{ write_open, LINK_OPEN, false },
	{ write_open_with_will, LINK_OPEN, true },
	{ write_opened, LINK_OPENED, false },
	{ write_close, LINK_CLOSE, false },
	{ write_close_with_expiry, LINK_CLOSE, false },
	{ write_closed, LINK_CLOSED, false },
	{ write_publish, LINK_PUBLISH, true },
	{ write_deliver, LINK_DELIVER, true },
	{ write_ack, LINK_ACK, false },
	{ write_subscribe, LINK_SUBSCRIBE, false },
	{ write_regrant, LINK_REGRANT, false },
	{ write_suback, LINK_SUBACK, true },
	{ write_unsuback, LINK_UNSUBACK, true },
	{ write_unsubscribe, LINK_UNSUBSCRIBE, false },
	{ write_rights, LINK_RIGHTS, false },
	{ write_token, LINK_TOKEN, false },
	{ write_hold, LINK_HOLD, false },
};

static inline struct str frame_of(struct buf *b, const struct sample *s)
{
	buf_reset(b);
	s->write(b);
	YES(buf_ok(b));
	return buf_str(b);
}

static inline struct str body_of(struct str frame)
{
	return str_skip(frame, LINK_HEAD);
}

static inline struct link_head head_of(struct str frame)
{
	struct link_head h;

	IS(link_head_read(frame, &h), PARSE_OK);
	IS(h.length, frame.n);
	return h;
}

/* The frame with its length set to what it has: so that only the body can be wrong. */
static inline bool parses(struct str frame)
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
