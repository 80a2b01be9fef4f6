/* core_msg.c - one allocation, whose name space the topic is in, and how long it lives. */
#include "tests/kit/kit.h"

#include "core/msg.h"

static struct msg *make(const char *topic, uint32_t expiry_s, int64_t wall_ms)
{
	struct link_msg src = { .topic = str_c(topic),
		                .payload = STR("payload"),
		                .expiry_s = expiry_s };
	struct msg *m = msg_new(&src, 1, true, 5, NULL, wall_ms);

	MUST(m);
	return m;
}

static void a_message_is_a_copy_of_all_its_parts(void)
{
	char topic[] = "customer/7/a", response[] = "customer/7/r", props[] = "\x01\x01",
	     payload[] = "xyz";
	struct link_msg src = {
		str_c(topic), str_c(response), str_make(props, 2), str_make(payload, 3), 9, STR_NONE
	};
	struct msg *m = msg_new(&src, 2, true, 11, NULL, 1000);

	memset(topic, 'x', sizeof(topic));
	memset(response, 'x', sizeof(response));
	memset(props, 'x', sizeof(props));
	memset(payload, '-', sizeof(payload));
	IS_STR(m->m.topic, "customer/7/a");
	IS_STR(m->m.response_topic, "customer/7/r");
	IS_STR(m->m.props, "\x01\x01");
	IS_STR(m->m.payload, "xyz");
	IS(m->qos, 2);
	YES(m->retain);
	IS(m->token, 11);
	IS(m->timestamp_ms, 1000);
	IS(m->size, sizeof(*m) + 12 + 12 + 2 + 3);
	msg_put(&m);
	NO(m);
}

static void a_name_under_customer_belongs_to_that_customer(void)
{
	struct msg *m = make("customer/7/a/b", LINK_NO_EXPIRY, 0);

	IS(m->customer, 7);
	IS(m->prefix, 11);
	IS_STR(msg_name(m), "a/b");
	NO(m->system);
	msg_put(&m);
}

static void other_names_belong_to_the_trusted_world(void)
{
	static const char *const names[] = { "mbus/token/1/2", "customer/07/a", "customer/7",
		                             "customer/0/x", "customers/7/a" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct msg *m = make(names[i], LINK_NO_EXPIRY, 0);

		IS(m->customer, 0);
		IS(m->prefix, 0);
		IS_BYTES(msg_name(m), str_c(names[i]));
		msg_put(&m);
	}
}

static void the_system_tree_is_marked(void)
{
	static const struct {
		const char *topic;
		bool system;
	} rows[] = { { "customer/7/flespi/log/x", true },
		     { "customer/7/flespi", true },
		     { "customer/7/flespix", false },
		     { "customer/7/a/flespi", false },
		     { "flespi/x", true } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct msg *m = make(rows[i].topic, LINK_NO_EXPIRY, 0);

		IS(m->system, rows[i].system);
		msg_put(&m);
	}
}

static void the_last_reference_frees(void)
{
	struct msg *m = make("customer/7/a", LINK_NO_EXPIRY, 0), *second = msg_get(m), *none = NULL;

	msg_put(&m);
	IS_STR(msg_name(second), "a");
	msg_put(&second);
	msg_put(&none); /* harmless */
}

static void without_expiry_a_message_never_ends(void)
{
	struct msg *m = make("customer/7/a", LINK_NO_EXPIRY, 1000);

	IS(m->expires_ms, 0);
	NO(msg_expired(m, INT64_MAX));
	IS(msg_expiry_left(m, INT64_MAX), LINK_NO_EXPIRY);
	msg_put(&m);
}

static void what_is_left_counts_down_to_nothing(void)
{
	struct msg *m = make("customer/7/a", 10, 1000);

	IS(msg_expiry_left(m, 1000), 10);
	IS(msg_expiry_left(m, 1001), 10);
	IS(msg_expiry_left(m, 2000), 9);
	IS(msg_expiry_left(m, 10999), 1);
	NO(msg_expired(m, 10999));
	YES(msg_expired(m, 11000));
	IS(msg_expiry_left(m, 99999), 0);
	msg_put(&m);
}

static void a_clock_set_back_does_not_make_a_message_eternal(void)
{
	struct msg *m = make("customer/7/a", UINT32_MAX - 1, 5000000);

	IS(msg_expiry_left(m, 0), LINK_NO_EXPIRY - 1);
	msg_put(&m);
}

static void without_memory_there_is_no_message(void)
{
	struct link_msg src = { .topic = STR("a"), .expiry_s = LINK_NO_EXPIRY };

	mem_fail_at(1, false);
	NO(msg_new(&src, 0, false, 0, NULL, 0));
}

/* Of all sizes around the steps, made and ended in another order: none is given out twice, none is
 * smaller than it should be. */
static void memory_of_messages_is_used_again_and_never_twice(void)
{
	static char payload[700];
	struct msg *m[64];

	memset(payload, 'p', sizeof(payload));
	msg_spares_keep();
	for (size_t size = 0; size < sizeof(payload); size += 9) {
		struct link_msg src = { .topic = STR("customer/7/a"),
			                .payload = str_make(payload, size),
			                .expiry_s = LINK_NO_EXPIRY };

		for (unsigned i = 0; i < ARRAY_LEN(m); i++) {
			m[i] = msg_new(&src, 0, false, 1, NULL, 1000);
			YES(m[i]);
			memset(m[i]->bytes + src.topic.n, (int)i, size);
			for (unsigned k = 0; k < i; k++)
				YES(m[k] != m[i]);
		}
		for (unsigned i = 0; i < ARRAY_LEN(m); i++) {
			unsigned k = (i * 37 + 5) % ARRAY_LEN(m);

			for (size_t n = 0; n < size; n++)
				YES((unsigned char)m[k]->m.payload.p[n] == k);
			msg_put(&m[k]);
			m[k] = msg_new(&src, 0, false, 1, NULL, 1000);
			memset(m[k]->bytes + src.topic.n, (int)k, size);
		}
		for (unsigned i = 0; i < ARRAY_LEN(m); i++)
			msg_put(&m[i]);
	}
	msg_spares_free();
}

RUN(a_message_is_a_copy_of_all_its_parts, a_name_under_customer_belongs_to_that_customer,
    other_names_belong_to_the_trusted_world, the_system_tree_is_marked, the_last_reference_frees,
    without_expiry_a_message_never_ends, what_is_left_counts_down_to_nothing,
    a_clock_set_back_does_not_make_a_message_eternal,
    memory_of_messages_is_used_again_and_never_twice, without_memory_there_is_no_message)
