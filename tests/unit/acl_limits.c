/* The quotas: the table, what may be said about one, and what holds when several have a say. */
#include "base/base.h"
#include "acl/limits.h"
#include "base/mem.h"
#include "tests/kit/kit.h"
static json_t *json_of(const char *text)
{
	char why[128];
	json_t *value = NULL;

	MUST(json_read(&value, str_c(text), 1 << 22, JSON_DEPTH, why, sizeof(why)) == 0);
	return value;
}

static struct limits *told(const char *text)
{
	json_t *object = json_of(text);
	struct limits *l = NULL;
	char why[200] = "";

	if (limits_read(&l, object, why, sizeof(why)))
		fail_msg("%s: %s", why, text);
	json_decref(object);
	return l;
}

static void every_quota_has_a_name_of_its_own_and_a_range(void)
{
	for (unsigned i = 0; i < LIMIT_COUNT; i++) {
		const struct limit_row *row = &limit_rows[i];

		YES(row->name && row->what && row->settings && row->file);
		YES(row->least >= 0 && row->least <= row->most);
		for (unsigned j = 0; j < i; j++)
			NO(strcmp(row->name, limit_rows[j].name) == 0);
	}
}

static const struct holds_row {
	const char *object;
	int64_t ours, server, customer, token;
} holds_rows[] = {
	/* nothing is said: the setting */
	{ "{}", 100, 100, 100, 100 },
	/* a token and a customer only lower */
	{ "{\"limits\":{\"mqtt_sessions\":5}}", 100, 100, 100, 5 },
	{ "{\"limits\":{\"mqtt_sessions\":500}}", 100, 100, 100, 100 },
	{ "{\"customer_limits\":{\"mqtt_sessions\":50},\"limits\":{\"mqtt_sessions\":5}}", 100, 100,
	  50, 5 },
	{ "{\"customer_limits\":{\"mqtt_sessions\":50},\"limits\":{\"mqtt_sessions\":70}}", 100,
	  100, 50, 50 },
	/* what the operator gave stands in the place of the setting */
	{ "{\"server_limits\":{\"mqtt_sessions\":500}}", 100, 500, 500, 500 },
	{ "{\"server_limits\":{\"mqtt_sessions\":500},\"limits\":{\"mqtt_sessions\":300}}", 100,
	  500, 500, 300 },
	/* -1: no limit of its own, what is above holds; for the operator's word that is the most */
	{ "{\"limits\":{\"mqtt_sessions\":-1},\"customer_limits\":{\"mqtt_sessions\":-1}}", 100,
	  100, 100, 100 },
	{ "{\"server_limits\":{\"mqtt_sessions\":-1}}", 100, 10000000, 10000000, 10000000 },
	{ "{\"server_limits\":{\"mqtt_sessions\":-1},\"limits\":{\"mqtt_sessions\":9}}", 100,
	  10000000, 10000000, 9 },
	/* 0: nothing */
	{ "{\"limits\":{\"mqtt_sessions\":0}}", 100, 100, 100, 0 },
	{ "{\"server_limits\":{\"mqtt_sessions\":0},\"limits\":{\"mqtt_sessions\":7}}", 100, 0, 0,
	  0 },
	/* no setting */
	{ "{}", LIMIT_NONE, LIMIT_NONE, LIMIT_NONE, LIMIT_NONE },
	{ "{\"limits\":{\"mqtt_sessions\":-1}}", LIMIT_NONE, LIMIT_NONE, LIMIT_NONE, LIMIT_NONE },
	{ "{\"customer_limits\":{\"mqtt_sessions\":3}}", LIMIT_NONE, LIMIT_NONE, 3, 3 },
	/* very much is the most; but a setting of more is meant */
	{ "{\"server_limits\":{\"mqtt_sessions\":99999999999}}", 100, 10000000, 10000000,
	  10000000 },
	{ "{\"server_limits\":{\"mqtt_sessions\":99999999}}", 20000000, 20000000, 20000000,
	  20000000 },
	/* another quota is another matter */
	{ "{\"limits\":{\"mqtt_messages\":1},\"server_limits\":{\"mqtt_connects\":2}}", 100, 100,
	  100, 100 },
};

static void the_strictest_that_is_set_holds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(holds_rows); i++) {
		const struct holds_row *row = &holds_rows[i];
		struct limits *l = told(row->object);

		IS(limits_value(l, LIMIT_SESSIONS, LIMIT_BY_SERVER, row->ours), row->server);
		IS(limits_value(l, LIMIT_SESSIONS, LIMIT_BY_CUSTOMER, row->ours), row->customer);
		IS(limits_value(l, LIMIT_SESSIONS, LIMIT_BY_TOKEN, row->ours), row->token);
		limits_free(&l);
	}
}

static void the_order_in_which_they_are_said_does_not_matter(void)
{
	struct limits *a = told("{\"limits\":{\"mqtt_sessions\":1,\"mqtt_messages\":2},"
	                        "\"server_limits\":{\"mqtt_retained_storage\":3}}"),
		      *b = told("{\"server_limits\":{\"mqtt_retained_storage\":3},"
	                        "\"limits\":{\"mqtt_messages\":2,\"mqtt_sessions\":1}}"),
		      *c = told("{\"customer_limits\":{\"mqtt_retained_storage\":3},"
	                        "\"limits\":{\"mqtt_messages\":2,\"mqtt_sessions\":1}}");

	YES(limits_same(a, b));
	NO(limits_same(a, c));
	NO(limits_same(a, NULL));
	YES(limits_same(NULL, NULL));
	limits_free(&a);
	limits_free(&b);
	limits_free(&c);
	limits_free(&c);
}

static const struct check_row {
	const char *object;
	bool ok;
} check_rows[] = {
	{ "{}", true },
	{ "{\"mqtt_sessions\":0}", true },
	{ "{\"mqtt_sessions\":-1,\"mqtt_retained_storage\":-1}", true },
	{ "{\"mqtt_sessions\":10000000}", true },
	{ "{\"mqtt_sessions\":10000001}", false },
	{ "{\"mqtt_sessions\":-2}", false },
	{ "{\"mqtt_sessions\":1.0}", false },
	{ "{\"mqtt_sessions\":\"1\"}", false },
	{ "{\"mqtt_sessions\":null}", false },
	{ "{\"mqtt_packet_size\":0}", false },
	{ "{\"mqtt_packet_size\":128}", true },
	{ "{\"mqtt_keep_alive\":0}", false },
	{ "{\"mqtt_receive_maximum\":0}", false },
	{ "{\"mqtt_topic_alias_maximum\":0}", true },
	{ "{\"nope\":1}", false },
	{ "{\"\":1}", false },
};

static void what_may_be_set_is_known_and_in_range(void)
{
	char why[200];

	for (size_t i = 0; i < ARRAY_LEN(check_rows); i++) {
		json_t *object = json_of(check_rows[i].object);

		if ((limits_check_token(object, why, sizeof(why)) == 0) != check_rows[i].ok ||
		    (limits_check_customer(object, why, sizeof(why)) == 0) != check_rows[i].ok)
			fail_msg("%s", check_rows[i].object);
		json_decref(object);
	}
}

static void what_counts_all_of_a_customer_is_not_a_tokens(void)
{
	json_t *object = json_of("{\"mqtt_egress\":1000,\"mqtt_sessions_storage\":0}");
	char why[200];

	IS(limits_check_customer(object, why, sizeof(why)), 0);
	IS(limits_check_token(object, why, sizeof(why)), -E_INVALID);
	json_decref(object);
}

static const struct lower_row {
	const char *limits, *cap, *result;
} lower_rows[] = {
	{ "{}", "{}", "{}" },
	{ "{}", "{\"mqtt_sessions\":5}", "{\"mqtt_sessions\":5}" },
	{ "{\"mqtt_sessions\":3}", "{\"mqtt_sessions\":5}", "{\"mqtt_sessions\":3}" },
	{ "{\"mqtt_sessions\":7}", "{\"mqtt_sessions\":5}", "{\"mqtt_sessions\":5}" },
	{ "{\"mqtt_sessions\":-1}", "{\"mqtt_sessions\":5}", "{\"mqtt_sessions\":5}" },
	{ "{\"mqtt_sessions\":7}", "{\"mqtt_sessions\":-1}", "{\"mqtt_sessions\":7}" },
	{ "{}", "{\"mqtt_sessions\":-1}", "{\"mqtt_sessions\":-1}" },
	{ "{\"mqtt_sessions\":7}", "{\"mqtt_sessions\":0}", "{\"mqtt_sessions\":0}" },
	{ "{\"mqtt_sessions\":0}", "{\"mqtt_sessions\":7}", "{\"mqtt_sessions\":0}" },
	{ "{\"mqtt_messages\":7}", "{\"mqtt_sessions\":1}",
	  "{\"mqtt_messages\":7,\"mqtt_sessions\":1}" },
};

static void joined_limits_are_the_lower_ones(void)
{
	for (size_t i = 0; i < ARRAY_LEN(lower_rows); i++) {
		json_t *limits = json_of(lower_rows[i].limits), *cap = json_of(lower_rows[i].cap),
		       *result = json_of(lower_rows[i].result);

		IS(limits_lower(limits, cap), 0);
		YES(json_equal(limits, result));
		json_decref(limits);
		json_decref(cap);
		json_decref(result);
	}
}

static void without_memory_nothing_is_read(void)
{
	json_t *object = json_of("{\"limits\":{\"mqtt_sessions\":1}}");
	struct limits *l = (struct limits *)object;
	char why[200];

	mem_fail_at(1, false);
	IS(limits_read(&l, object, why, sizeof(why)), -E_NOMEM);
	mem_fail_at(0, false);
	YES((void *)l == object);
	json_decref(object);
}

RUN(every_quota_has_a_name_of_its_own_and_a_range, the_strictest_that_is_set_holds,
    the_order_in_which_they_are_said_does_not_matter, what_may_be_set_is_known_and_in_range,
    what_counts_all_of_a_customer_is_not_a_tokens, joined_limits_are_the_lower_ones,
    without_memory_nothing_is_read)
