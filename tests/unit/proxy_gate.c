/* The decision table: which packet is legal where, and the checks that handlers share. */
#include "proxy/badge.h"
#include "proxy/config.h"
#include "proxy/gate.h"
#include "proxy/worker.h"
#include "tests/kit/kit.h"

static const uint8_t versions[] = { MQTT_V31, MQTT_V311, MQTT_V5 };

static void greeting_takes_connect_and_nothing_else(void)
{
	for (unsigned type = 0; type < 16; type++) {
		if (type == MQTT_CONNECT)
			IS(gate_judge(type, CONN_GREETING, 0), RC_SUCCESS);
		else
			YES(gate_judge(type, CONN_GREETING, 0) >= RC_UNSPECIFIED_ERROR);
	}
}

static void nothing_is_legal_before_the_verdict_or_after_the_end(void)
{
	static const enum conn_state closed[] = { CONN_AUTH, CONN_OPENING, CONN_CLOSING };

	for (size_t s = 0; s < ARRAY_LEN(closed); s++) {
		for (unsigned type = 0; type < 16; type++) {
			for (size_t v = 0; v < ARRAY_LEN(versions); v++)
				YES(gate_judge(type, closed[s], versions[v]) >=
				    RC_UNSPECIFIED_ERROR);
		}
	}
}

static void an_open_connection_takes_what_clients_may_say(void)
{
	static const uint8_t legal[] = { MQTT_PUBLISH,     MQTT_PUBACK,  MQTT_PUBREC,
		                         MQTT_PUBREL,      MQTT_PUBCOMP, MQTT_SUBSCRIBE,
		                         MQTT_UNSUBSCRIBE, MQTT_PINGREQ, MQTT_DISCONNECT };

	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		for (size_t i = 0; i < ARRAY_LEN(legal); i++)
			IS(gate_judge(legal[i], CONN_OPEN, versions[v]), RC_SUCCESS);
	}
}

static void a_second_connect_is_a_protocol_error(void)
{
	IS(gate_judge(MQTT_CONNECT, CONN_OPEN, MQTT_V5), RC_PROTOCOL_ERROR);
}

static void packets_of_servers_are_protocol_errors(void)
{
	static const uint8_t servers[] = { MQTT_CONNACK, MQTT_SUBACK, MQTT_UNSUBACK,
		                           MQTT_PINGRESP };

	for (size_t i = 0; i < ARRAY_LEN(servers); i++)
		IS(gate_judge(servers[i], CONN_OPEN, MQTT_V5), RC_PROTOCOL_ERROR);
}

static void reserved_types_are_malformed(void)
{
	IS(gate_judge(0, CONN_OPEN, MQTT_V5), RC_MALFORMED_PACKET);
	IS(gate_judge(MQTT_AUTH, CONN_OPEN, MQTT_V311), RC_MALFORMED_PACKET);
	IS(gate_judge(MQTT_AUTH, CONN_OPEN, MQTT_V5), RC_SUCCESS); /* reauth.c judges it */
	IS(gate_judge(MQTT_AUTH, CONN_AUTH, MQTT_V5), RC_PROTOCOL_ERROR);
	IS(gate_judge(16, CONN_OPEN, MQTT_V5), RC_MALFORMED_PACKET);
}

static void what_is_legal_somewhere_has_a_handler_and_a_name(void)
{
	for (unsigned type = 1; type < 16; type++) {
		YES(gate_row(type)->name);
		IS(gate_row(type)->states != 0, gate_row(type)->handle != NULL);
	}
}

static void a_topic_may_have_so_many_bytes_and_levels(void)
{
	struct worker w = { .index = 0 };
	struct badge b = { .quotas.token = { [LIMIT_TOPIC_SIZE] = 8, [LIMIT_TOPIC_LEVELS] = 3 } };
	struct conn c = { .worker = &w, .badge = &b };

	YES(gate_topic_fits(&c, STR("12345678")));
	NO(gate_topic_fits(&c, STR("123456789")));
	YES(gate_topic_fits(&c, STR("a/b/c")));
	NO(gate_topic_fits(&c, STR("a/b/c/")));
	IS(w.over[LIMIT_TOPIC_SIZE], 1);
	IS(w.over[LIMIT_TOPIC_LEVELS], 1);
}

static struct mqtt_props with_user(struct buf *room, unsigned count, size_t value)
{
	struct mqtt_props p = { 0 };
	char text[200] = { 0 };

	memset(text, 'v', sizeof(text));
	for (unsigned i = 0; i < count; i++) {
		buf_u8(room, PROP_USER_PROPERTY);
		buf_u16(room, 1);
		buf_u8(room, 'k');
		buf_u16(room, (uint16_t)value);
		buf_bytes(room, text, value);
	}
	p.user = p.all = buf_str(room);
	p.user_count = count;
	return p;
}

static void user_properties_are_bounded_in_number_and_bytes(void)
{
	struct worker w = { .index = 0 };
	struct badge b = { .quotas.token = {
			       [LIMIT_USER_PROPERTIES] = 4, [LIMIT_USER_PROPERTIES_SIZE] = 100 } };
	struct conn c = { .worker = &w, .badge = &b };
	struct buf room = { 0 };
	struct mqtt_props p = with_user(&room, 4, 19); /* 4 * (5 + 1 + 19) = 100 */

	IS(gate_props(&c, &p), RC_SUCCESS);
	buf_reset(&room);
	p = with_user(&room, 5, 1);
	IS(gate_props(&c, &p), RC_QUOTA_EXCEEDED);
	buf_reset(&room);
	p = with_user(&room, 4, 20);
	IS(gate_props(&c, &p), RC_PACKET_TOO_LARGE);
	IS(w.over[LIMIT_USER_PROPERTIES], 1);
	IS(w.over[LIMIT_USER_PROPERTIES_SIZE], 1);
	buf_free(&room);
}

static struct acl *acl_of(const char *access)
{
	struct acl *a = NULL;
	json_t *object = NULL;
	char why[200];

	IS(json_read(&object, str_c(access), 4096, JSON_DEPTH, why, sizeof(why)), 0);
	IS(acl_compile(&a, object, why, sizeof(why)), 0);
	json_decref(object);
	return a;
}

static void the_answer_for_one_message_is_remembered_and_no_longer(void)
{
	struct worker w = { .deliver_serial = 1 };
	struct badge b = { .acl = acl_of("{\"type\":2,\"acl\":[{\"uri\":\"mqtt\",\"topic\":\"a/"
		                         "#\",\"actions\":[\"subscribe\"]}]}") };

	YES(gate_deliver(&w, &b, STR("a/b")));
	/* the same message, says the serial: not asked again */
	YES(gate_deliver(&w, &b, STR("secret")));
	w.deliver_serial++;
	NO(gate_deliver(&w, &b, STR("secret")));
	acl_put(&b.acl);
}

/* Its connections end a little later; meanwhile nothing passes. */
static void a_token_that_has_ended_opens_no_gate(void)
{
	struct badge b = { .acl = acl_of("{\"type\":1}") };
	struct worker w = { .rights.value = sizeof(uint64_t), .deliver_serial = 1 };

	for (unsigned ended = 0; ended < 2; ended++, w.deliver_serial++) {
		b.ended = ended ? RC_NOT_AUTHORIZED : 0;
		IS(gate_publish(&w, &b, STR("a/b")), b.ended);
		IS(gate_deliver(&w, &b, STR("a/b")), !ended);
		if (!ended) { /* nor what was remembered */
			b.ended = RC_NOT_AUTHORIZED;
			NO(gate_deliver(&w, &b, STR("a/b")));
		}
	}
	acl_put(&b.acl);
	memo_free(&w.rights);
}

static void nobody_publishes_to_reserved_names(void)
{
	struct badge b = { .acl = acl_of("{\"type\":1}") };
	struct worker w = { .rights.value = sizeof(uint64_t) };

	IS(gate_publish(&w, &b, STR("a/b")), RC_SUCCESS);
	IS(gate_publish(&w, &b, STR("flespi/state/x")), RC_NOT_AUTHORIZED);
	IS(gate_publish(&w, &b, STR("$SYS/x")), RC_NOT_AUTHORIZED);
	acl_put(&b.acl);
	memo_free(&w.rights);
}

static void what_is_remembered_of_an_acl_is_not_taken_for_anothers(void)
{
	struct badge wide = { .acl = acl_of("{\"type\":1}") },
		     narrow = { .acl = acl_of("{\"type\":2,\"acl\":[{\"uri\":\"mqtt\",\"topic\":"
		                              "\"a/#\",\"actions\":[\"subscribe\"]}]}") };
	struct worker w = { .rights.value = sizeof(uint64_t), .deliver_serial = 1 };

	for (unsigned again = 0; again < 3; again++, w.deliver_serial++) {
		IS(gate_publish(&w, &wide, STR("a/b")), RC_SUCCESS);
		IS(gate_publish(&w, &narrow, STR("a/b")), RC_NOT_AUTHORIZED);
		YES(gate_deliver(&w, &wide, STR("a/b")));
		YES(gate_deliver(&w, &narrow, STR("a/b")));
	}
	acl_put(&wide.acl);
	acl_put(&narrow.acl);
	memo_free(&w.rights);
}

RUN(greeting_takes_connect_and_nothing_else, nothing_is_legal_before_the_verdict_or_after_the_end,
    an_open_connection_takes_what_clients_may_say, a_second_connect_is_a_protocol_error,
    packets_of_servers_are_protocol_errors, reserved_types_are_malformed,
    what_is_legal_somewhere_has_a_handler_and_a_name, a_topic_may_have_so_many_bytes_and_levels,
    user_properties_are_bounded_in_number_and_bytes,
    the_answer_for_one_message_is_remembered_and_no_longer, a_token_that_has_ended_opens_no_gate,
    nobody_publishes_to_reserved_names, what_is_remembered_of_an_acl_is_not_taken_for_anothers)
