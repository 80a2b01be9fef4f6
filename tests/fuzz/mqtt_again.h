/* mqtt_again.h - a packet decoded, encoded, decoded again, and held against the first reading field
 * by field. mqtt_roundtrip.c does it with our codec alone, mqtt_other.c with another implementation
 * between the two readings. */
#pragma once
#include "base/base.h"

#include "wire/mqtt_read.h"
#include "wire/mqtt_write.h"

static uint8_t version;
static bool from_client;
static struct buf out;

/* What was written takes a way through another implementation, if there is one; NULL: none. It
 * answers with one packet, which may not be longer than what means something of the one it got. */
static struct str (*detour)(struct str packet);

/* ---- Equality, field by field ---- */

/* The n-th value of this key. */
static bool user_value(const struct mqtt_props *p, struct str key, unsigned n, struct str *value)
{
	struct mqtt_user_walk w;
	struct str k;

	for (mqtt_user_start(&w, p); mqtt_user_next(&w, &k, value);) {
		if (str_eq(k, key) && n-- == 0)
			return true;
	}
	return false;
}

/* Others may keep them in a table: the values of each key in order, the keys in any. */
static void same_by_key(const struct mqtt_props *a, const struct mqtt_props *b)
{
	struct mqtt_user_walk w;
	struct str key, value, first, other;

	for (mqtt_user_start(&w, a); mqtt_user_next(&w, &key, &value);) {
		for (unsigned n = 0; user_value(a, key, n, &first); n++)
			MUST(user_value(b, key, n, &other) && str_eq(first, other));
	}
}

static void same_user(const struct mqtt_props *a, const struct mqtt_props *b)
{
	struct mqtt_user_walk wa, wb;
	struct str ka, va, kb, vb;

	MUST(a->user_count == b->user_count &&
	     !b->user_scattered); /* written together, whatever it was before */
	if (detour) {
		same_by_key(a, b);
		return;
	}
	mqtt_user_start(&wa, a);
	mqtt_user_start(&wb, b);
	while (mqtt_user_next(&wa, &ka, &va)) {
		MUST(mqtt_user_next(&wb, &kb, &vb));
		MUST(str_eq(ka, kb) && str_eq(va, vb));
	}
	MUST(!mqtt_user_next(&wb, &kb, &vb));
}

static void same_props(const struct mqtt_props *a, const struct mqtt_props *b)
{
	MUST(a->has == b->has);
	MUST(a->message_expiry == b->message_expiry && a->session_expiry == b->session_expiry &&
	     a->will_delay == b->will_delay);
	MUST(a->maximum_packet_size == b->maximum_packet_size &&
	     a->server_keep_alive == b->server_keep_alive);
	MUST(a->receive_maximum == b->receive_maximum &&
	     a->topic_alias_maximum == b->topic_alias_maximum && a->topic_alias == b->topic_alias);
	MUST(a->payload_format == b->payload_format &&
	     a->request_problem_info == b->request_problem_info);
	MUST(a->request_response_info == b->request_response_info &&
	     a->maximum_qos == b->maximum_qos);
	MUST(a->retain_available == b->retain_available &&
	     a->wildcard_available == b->wildcard_available);
	MUST(a->subscription_id_available == b->subscription_id_available &&
	     a->shared_available == b->shared_available);
	MUST(str_eq(a->content_type, b->content_type) &&
	     str_eq(a->response_topic, b->response_topic));
	MUST(str_eq(a->correlation_data, b->correlation_data) &&
	     str_eq(a->assigned_client_id, b->assigned_client_id));
	MUST(str_eq(a->auth_method, b->auth_method) && str_eq(a->auth_data, b->auth_data) &&
	     str_eq(a->response_info, b->response_info));
	MUST(str_eq(a->server_reference, b->server_reference) &&
	     str_eq(a->reason_string, b->reason_string));
	MUST(a->subscription_ids == b->subscription_ids);
	for (unsigned i = 0; i < a->subscription_ids; i++)
		MUST(a->subscription_id[i] == b->subscription_id[i]);
	same_user(a, b);
}

/* The one packet in `out`. */
static struct str written(struct mqtt_head *h, enum mqtt_type type)
{
	struct str s = buf_str(&out);

	MUST(buf_ok(&out));
	if (detour)
		s = detour(s);
	MUST(mqtt_head_read(s, h) == PARSE_OK && h->type == type &&
	     s.n == h->size + (size_t)h->remaining);
	return str_skip(s, h->size);
}

/* ---- One function per packet: decode, encode, decode, compare ---- */

static void connect_again(struct str body)
{
	struct mqtt_connect a, b;
	struct mqtt_head h;
	bool known;

	if (mqtt_connect_read(body, &a, &known))
		return;
	mqtt_connect_write(&out, &a);
	MUST(mqtt_connect_read(written(&h, MQTT_CONNECT), &b, &known) == RC_SUCCESS);
	MUST(h.remaining == body.n); /* every byte of a CONNECT means something */
	MUST(a.version == b.version && a.bridge == b.bridge && a.clean_start == b.clean_start &&
	     a.keep_alive == b.keep_alive);
	MUST(a.has_username == b.has_username && a.has_password == b.has_password);
	MUST(str_eq(a.client_id, b.client_id) && str_eq(a.username, b.username) &&
	     str_eq(a.password, b.password));
	MUST(a.will.present == b.will.present && a.will.retain == b.will.retain &&
	     a.will.qos == b.will.qos);
	MUST(str_eq(a.will.topic, b.will.topic) && str_eq(a.will.payload, b.will.payload));
	same_props(&a.props, &b.props);
	same_props(&a.will.props, &b.will.props);
}

static void connack_again(struct str body)
{
	static const uint8_t reasons[] = { RC_SUCCESS,
		                           RC_UNSUPPORTED_PROTOCOL_VERSION,
		                           RC_CLIENT_IDENTIFIER_NOT_VALID,
		                           RC_SERVER_UNAVAILABLE,
		                           RC_BAD_USER_NAME_OR_PASSWORD,
		                           RC_NOT_AUTHORIZED };
	struct mqtt_connack a, b;
	struct mqtt_head h;

	if (mqtt_connack_read(body, version, &a))
		return;
	mqtt_connack_write(&out, version, a.session_present,
	                   version == MQTT_V5 ? a.code : reasons[a.code], &a.props);
	MUST(mqtt_connack_read(written(&h, MQTT_CONNACK), version, &b) == RC_SUCCESS);
	MUST(a.code == b.code && (a.session_present == b.session_present || version == MQTT_V31));
	same_props(&a.props, &b.props);
}

static void publish_again(struct str body, uint8_t flags)
{
	struct mqtt_publish a, b;
	struct mqtt_head h;
	struct str again;

	if (mqtt_publish_read(body, flags, version, from_client, &a))
		return;
	mqtt_publish_write(&out, version, &a);
	MUST(buf_len(&out) == mqtt_publish_size(version, &a));
	again = written(&h, MQTT_PUBLISH);
	MUST(h.flags == flags);
	MUST(mqtt_publish_read(again, h.flags, version, from_client, &b) == RC_SUCCESS);
	MUST(a.qos == b.qos && a.dup == b.dup && a.retain == b.retain &&
	     a.packet_id == b.packet_id);
	MUST(str_eq(a.topic, b.topic) && str_eq(a.payload, b.payload));
	same_props(&a.props, &b.props);
}

static void ack_again(struct str body, enum mqtt_type type)
{
	struct mqtt_ack a, b;
	struct mqtt_head h;

	if (mqtt_ack_read(body, type, version, &a))
		return;
	mqtt_ack_write(&out, type, version, a.packet_id, a.code, &a.props);
	MUST(mqtt_ack_read(written(&h, type), type, version, &b) == RC_SUCCESS);
	MUST(detour || h.remaining <= body.n); /* the short form, where there is one */
	MUST(a.packet_id == b.packet_id && a.code == b.code);
	same_props(&a.props, &b.props);
}

enum { FILTERS_MAX = 64 };

static void subscribe_again(struct str body)
{
	struct str filters[FILTERS_MAX], filter;
	struct mqtt_sub_opts opts[FILTERS_MAX], o;
	struct mqtt_subscribe a, b;
	struct mqtt_head h;
	size_t n = 0;

	if (mqtt_subscribe_read(body, version, &a) || a.count > FILTERS_MAX)
		return;
	while (mqtt_subscribe_next(&a, version, &filters[n], &opts[n]))
		n++;
	mqtt_subscribe_write(&out, version, a.packet_id, filters, opts, n, &a.props);
	MUST(mqtt_subscribe_read(written(&h, MQTT_SUBSCRIBE), version, &b) == RC_SUCCESS);
	MUST(h.remaining == body.n && a.packet_id == b.packet_id && a.count == b.count &&
	     n == a.count);
	for (size_t i = 0; i < n; i++) {
		MUST(mqtt_subscribe_next(&b, version, &filter, &o) && str_eq(filter, filters[i]));
		MUST(o.qos == opts[i].qos && o.no_local == opts[i].no_local &&
		     o.retain_handling == opts[i].retain_handling);
		MUST(o.retain_as_published == opts[i].retain_as_published);
	}
	same_props(&a.props, &b.props);
}

static void unsubscribe_again(struct str body)
{
	struct str filters[FILTERS_MAX], filter;
	struct mqtt_unsubscribe a, b;
	struct mqtt_head h;
	size_t n = 0;

	if (mqtt_unsubscribe_read(body, version, &a) || a.count > FILTERS_MAX)
		return;
	while (mqtt_unsubscribe_next(&a, &filters[n]))
		n++;
	mqtt_unsubscribe_write(&out, version, a.packet_id, filters, n, &a.props);
	MUST(mqtt_unsubscribe_read(written(&h, MQTT_UNSUBSCRIBE), version, &b) == RC_SUCCESS);
	MUST(h.remaining == body.n && a.packet_id == b.packet_id && a.count == b.count &&
	     n == a.count);
	for (size_t i = 0; i < n; i++)
		MUST(mqtt_unsubscribe_next(&b, &filter) && str_eq(filter, filters[i]));
	same_props(&a.props, &b.props);
}

static void suback_again(struct str body, enum mqtt_type type)
{
	struct mqtt_suback a, b;
	struct mqtt_head h;

	if (mqtt_suback_read(body, type, version, &a))
		return;
	if (type == MQTT_SUBACK)
		mqtt_suback_write(&out, version, a.packet_id, (const uint8_t *)a.codes.p, a.codes.n,
		                  &a.props);
	else
		mqtt_unsuback_write(&out, version, a.packet_id, (const uint8_t *)a.codes.p,
		                    a.codes.n, &a.props);
	MUST(mqtt_suback_read(written(&h, type), type, version, &b) == RC_SUCCESS);
	MUST(h.remaining == body.n && a.packet_id == b.packet_id && str_eq(a.codes, b.codes));
	same_props(&a.props, &b.props);
}

static void end_again(struct str body, enum mqtt_type type)
{
	struct mqtt_disconnect a, b;
	struct mqtt_head h;
	bool auth = type == MQTT_AUTH;

	if (auth ? mqtt_auth_read(body, &a) : mqtt_disconnect_read(body, version, from_client, &a))
		return;
	if (auth)
		mqtt_auth_write(&out, a.code, &a.props);
	else
		mqtt_disconnect_write(&out, version, a.code, &a.props);
	body = written(&h, type);
	MUST((auth ? mqtt_auth_read(body, &b)
	           : mqtt_disconnect_read(body, version, from_client, &b)) == RC_SUCCESS);
	MUST(a.code == b.code);
	same_props(&a.props, &b.props);
}

static void packet_again(struct str body, const struct mqtt_head *h)
{
	switch ((enum mqtt_type)h->type) {
	case MQTT_CONNECT:
		connect_again(body);
		break;
	case MQTT_CONNACK:
		connack_again(body);
		break;
	case MQTT_PUBLISH:
		publish_again(body, h->flags);
		break;
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
		ack_again(body, h->type);
		break;
	case MQTT_SUBSCRIBE:
		subscribe_again(body);
		break;
	case MQTT_UNSUBSCRIBE:
		unsubscribe_again(body);
		break;
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		suback_again(body, h->type);
		break;
	case MQTT_DISCONNECT:
	case MQTT_AUTH:
		end_again(body, h->type);
		break;
	case MQTT_PINGREQ:
	case MQTT_PINGRESP:
		break;
	}
}
