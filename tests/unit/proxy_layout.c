/* Layouts: what is written must read back as the message, by the codec that everybody else's
 * clients are written against. */
#include "proxy/layout.h"
#include "tests/kit/kit.h"
#include "wire/mqtt_write.h"

static struct buf props;

static struct layout_msg message(void)
{
	struct layout_msg m = { .topic = STR("a/b"),
		                .payload = STR("hello"),
		                .expiry_s = LINK_NO_EXPIRY };

	buf_reset(&props);
	buf_u8(&props, PROP_PAYLOAD_FORMAT);
	buf_u8(&props, 1);
	mqtt_user_property(&props, STR("k"), STR("v"));
	m.props = buf_str(&props);
	return m;
}

static struct mqtt_publish written(struct buf *out, const struct layout *l,
                                   const struct layout_msg *m, uint8_t version,
                                   struct layout_at *at)
{
	struct mqtt_publish p;
	struct mqtt_head h;

	buf_reset(out);
	YES(layout_write(out, l, m, at));
	if (at->packet_id) {
		out->p[out->head + at->packet_id] = 0x12;
		out->p[out->head + at->packet_id + 1] = 0x34;
	}
	if (at->alias) {
		out->p[out->head + at->alias] = 0x00;
		out->p[out->head + at->alias + 1] = 0x07;
	}
	IS(mqtt_head_read(buf_str(out), &h), PARSE_OK);
	IS(h.type, MQTT_PUBLISH);
	IS(h.size + h.remaining, buf_len(out));
	IS(mqtt_publish_read(str_skip(buf_str(out), h.size), h.flags, version, false, &p),
	   RC_SUCCESS);
	return p;
}

static void v3_clients_get_topic_and_payload_and_no_properties(void)
{
	struct buf out = { 0 };
	struct layout_msg m = message();
	struct layout l = layout_of(MQTT_V311, LINK_RETAIN, 9);
	struct layout_at at;
	struct mqtt_publish p = written(&out, &l, &m, MQTT_V311, &at);

	IS_STR(p.topic, "a/b");
	IS_STR(p.payload, "hello");
	YES(p.retain);
	IS(p.qos, 0);
	IS(at.packet_id, 0);
	buf_free(&out);
}

static void the_packet_id_stands_where_it_is_said_to(void)
{
	static const uint8_t flags[] = { 1, 2, 1 | LINK_DUP, 2 | LINK_RETAIN | LINK_DUP };
	struct buf out = { 0 };
	struct layout_msg m = message();
	struct layout_at at;

	for (uint8_t version = MQTT_V31; version <= MQTT_V5; version++) {
		for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
			struct layout l = layout_of(version, flags[i], 0);
			struct mqtt_publish p = written(&out, &l, &m, version, &at);

			IS(p.packet_id, 0x1234);
			IS(p.qos, flags[i] & LINK_QOS);
			IS(p.dup, !!(flags[i] & LINK_DUP));
			IS(p.retain, !!(flags[i] & LINK_RETAIN));
		}
	}
	buf_free(&out);
}

static void an_alias_stands_beside_the_topic_or_for_it(void)
{
	struct buf out = { 0 };
	struct layout_msg m = message();
	struct layout_at at;

	for (uint8_t flags = 0; flags < 3; flags++) {
		struct layout l = layout_of(MQTT_V5, flags, 5);
		struct mqtt_publish p;

		l.alias = ALIAS_SET;
		p = written(&out, &l, &m, MQTT_V5, &at);
		IS_STR(p.topic, "a/b");
		IS(p.props.topic_alias, 7);
		l.alias = ALIAS_ONLY;
		p = written(&out, &l, &m, MQTT_V5, &at);
		IS(p.topic.n, 0);
		IS(p.props.topic_alias, 7);
		IS(p.props.subscription_id[0], 5);
		IS_STR(p.payload, "hello");
		IS(p.packet_id, flags ? 0x1234 : 0);
		l.alias = ALIAS_NONE;
		p = written(&out, &l, &m, MQTT_V5, &at);
		IS(at.alias, 0);
		NO(mqtt_has(&p.props, PROP_TOPIC_ALIAS));
	}
	buf_free(&out);
}

static void v5_clients_get_every_property(void)
{
	struct buf out = { 0 }, extra = { 0 };
	struct layout_msg m = message();
	struct layout l = layout_of(MQTT_V5, 1, 300);
	struct mqtt_user_walk walk;
	struct str key, value;
	struct mqtt_publish p;
	struct layout_at at;

	m.expiry_s = 77;
	m.response_topic = STR("re/ply");
	mqtt_user_property(&extra, STR("cid"), STR("7"));
	m.extra = buf_str(&extra);
	l.extra = true;
	p = written(&out, &l, &m, MQTT_V5, &at);
	IS(p.props.message_expiry, 77);
	IS_STR(p.props.response_topic, "re/ply");
	IS(p.props.subscription_id[0], 300);
	IS(p.props.payload_format, 1);
	IS(p.props.user_count, 2);
	mqtt_user_start(&walk, &p.props);
	YES(mqtt_user_next(&walk, &key, &value));
	IS_STR(key, "k");
	YES(mqtt_user_next(&walk, &key, &value));
	IS_STR(key, "cid");
	IS_STR(value, "7");
	buf_free(&out);
	buf_free(&extra);
}

static void lengths_grow_over_every_step_of_the_varint(void)
{
	static const size_t sizes[] = { 0, 119, 120, 121, 16370, 16380, 16390, 70000 };
	struct buf out = { 0 }, payload = { 0 };
	struct layout_msg m = message();
	struct layout_at at;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct layout l = layout_of(MQTT_V5, 1, 0);
		struct mqtt_publish p;

		buf_reset(&payload);
		memset(buf_reserve(&payload, sizes[i] + 1), 'x', sizes[i]);
		buf_commit(&payload, sizes[i]);
		m.payload = buf_str(&payload);
		p = written(&out, &l, &m, MQTT_V5, &at);
		IS(p.payload.n, sizes[i]);
	}
	buf_free(&out);
	buf_free(&payload);
}

static void v3_versions_share_a_layout_and_subscription_ids_do_not_count_there(void)
{
	struct layout a = layout_of(MQTT_V31, 1, 5), b = layout_of(MQTT_V311, 1, 6),
		      c = layout_of(MQTT_V5, 1, 5), d = layout_of(MQTT_V5, 1, 6);

	YES(layout_same(&a, &b));
	NO(layout_same(&a, &c));
	NO(layout_same(&c, &d));
}

static void what_mqtt_cannot_say_is_not_begun(void)
{
	struct buf out = { 0 };
	struct layout_msg m = message();
	struct layout l = layout_of(MQTT_V311, 0, 0);
	struct layout_at at;

	buf_str_add(&out, STR("before"));
	/* never looked at: the sum is too great */
	m.payload.n = (size_t)MQTT_REMAINING_MAX;
	NO(layout_write(&out, &l, &m, &at));
	m.payload = STR("x");
	m.topic.n = 65536;
	NO(layout_write(&out, &l, &m, &at));
	IS_STR(buf_str(&out), "before");
	YES(buf_ok(&out));
	buf_free(&out);
	buf_free(&props);
}

static void without_memory_nothing_is_appended(void)
{
	struct buf out = { 0 };
	struct layout_msg m = message();
	struct layout l = layout_of(MQTT_V5, 0, 0);
	struct layout_at at;

	mem_fail_at(1, true);
	NO(layout_write(&out, &l, &m, &at));
	mem_fail_at(0, false);
	IS(buf_len(&out), 0);
	YES(layout_write(&out, &l, &m, &at));
	buf_free(&out);
	buf_free(&props);
}

RUN(v3_clients_get_topic_and_payload_and_no_properties, the_packet_id_stands_where_it_is_said_to,
    v5_clients_get_every_property, an_alias_stands_beside_the_topic_or_for_it,
    lengths_grow_over_every_step_of_the_varint,
    v3_versions_share_a_layout_and_subscription_ids_do_not_count_there,
    what_mqtt_cannot_say_is_not_begun, without_memory_nothing_is_appended)
