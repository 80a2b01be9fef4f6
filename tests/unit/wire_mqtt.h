/* wire_mqtt.h - what the tests of the codec share: bytes at the end of a guard page, and packets
 * taken apart. */
#pragma once
#include "tests/kit/kit.h"
#include "wire/mqtt_read.h"
#include "wire/mqtt_write.h"

#define B(literal) guard_str(STR(literal))

/* The one packet in b: its header, and its body at the end of a guard page. Claims that there is
 * nothing else. */
static inline struct str body_of(const struct buf *b, struct mqtt_head *h)
{
	struct str all = guard_str(buf_str(b));

	YES(buf_ok(b));
	IS(mqtt_head_read(all, h), PARSE_OK);
	IS(all.n, h->size + h->remaining);
	return str_skip(all, h->size);
}

/* The properties that a PUBLISH may have, each with a value of its own; for a Will without alias
 * and with a delay instead. */
static inline struct mqtt_props message_props(struct buf *user)
{
	struct mqtt_props p = { .payload_format = 1,
		                .message_expiry = 0x01020304,
		                .will_delay = 77,
		                .topic_alias = 9 };

	mqtt_user_property(user, STR("k"), STR("v1"));
	mqtt_user_property(user, STR("k"), STR("v2"));
	mqtt_user_property(user, STR(""), STR(""));
	p.has = UINT64_C(1) << PROP_PAYLOAD_FORMAT | UINT64_C(1) << PROP_MESSAGE_EXPIRY |
	        UINT64_C(1) << PROP_CONTENT_TYPE | UINT64_C(1) << PROP_RESPONSE_TOPIC |
	        UINT64_C(1) << PROP_CORRELATION_DATA | UINT64_C(1) << PROP_TOPIC_ALIAS |
	        UINT64_C(1) << PROP_WILL_DELAY;
	p.content_type = STR("text/plain");
	p.response_topic = STR("answers/here");
	p.correlation_data = STR("\x00\xff\x01");
	p.user = buf_str(user);
	return p;
}

static inline void is_message_props(const struct mqtt_props *p, struct str user)
{
	IS(p->payload_format, 1);
	IS(p->message_expiry, 0x01020304);
	IS_STR(p->content_type, "text/plain");
	IS_STR(p->response_topic, "answers/here");
	IS_BYTES(p->correlation_data, STR("\x00\xff\x01"));
	IS_BYTES(p->user, user);
	IS(p->user_count, 3);
	NO(p->user_scattered);
}
