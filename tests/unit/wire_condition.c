/* Conditions of a filter: where they stand in its text, what is one, and what they ask. */
#include "base/base.h"
#include "tests/kit/kit.h"
#include "wire/condition.h"

#include <stdio.h>

static void conditions_stand_between_the_group_and_the_filter(void)
{
	static const struct {
		const char *text, *group, *conditions, *filter;
	} rows[] = {
		{ "a/b", "", "", "a/b" },
		{ "$filter/cid=1/a/b", "", "cid=1", "a/b" },
		{ "$filter/x//a", "", "x", "/a" },
		{ "$share/g/$filter/p&q/#", "g", "p&q", "#" },
		{ "$share/g/a/$filter/b", "g", "", "a/$filter/b" },
		{ "$filters/x/a", "", "", "$filters/x/a" },
		{ "a/$filter/x/y", "", "", "a/$filter/x/y" },
		{ "$filter/x/$share/g/a", "", "x", "$share/g/a" },
	};
	static const char *bad[] = {
		"$filter",           "$filter/",           "$filter/x",
		"$filter//a",        "$filter/x/",         "$share/g/$filter",
		"$share/g/$filter/", "$share/g/$filter/x", "$share//$filter/x/a"
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct share share;
		struct str conditions;

		YES(condition_split(guard_str(str_c(rows[i].text)), &share, &conditions) !=
		    SHARE_BAD);
		IS_BYTES(share.group, str_c(rows[i].group));
		IS_BYTES(conditions, str_c(rows[i].conditions));
		IS_BYTES(share.filter, str_c(rows[i].filter));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct share share;
		struct str conditions;

		IS(condition_split(guard_str(str_c(bad[i])), &share, &conditions), SHARE_BAD);
	}
}

/* 1, 0, or the error of reading them */
static int ask(const char *conditions, const char *payload)
{
	struct expr_facts f = { .topic = STR("t"),
		                .payload = str_c(payload),
		                .cid = 7,
		                .timestamp_ms = 1700000000250,
		                .payload_most = 1000,
		                .steps = 10000 };
	struct condition *c;
	int err = condition_new(&c, guard_str(str_c(conditions))), answer;

	guard_reset();
	if (err)
		return err;
	answer = condition_holds(c, &f);
	expr_facts_end(&f);
	condition_free(&c);
	return answer;
}

static void an_account_is_asked_for_by_its_number(void)
{
	struct condition *c;

	IS(ask("cid=7", ""), 1);
	IS(ask("cid=8", ""), 0);
	IS(ask("cid=7&cid=8", ""), 0);
	IS(ask("cid=0", ""), -E_INVALID);
	IS(ask("cid=", ""), -E_INVALID);
	IS(ask("cid=x", ""), -E_INVALID);
	IS(ask("cid=7,8", ""), -E_INVALID);
	IS(ask("cid=18446744073709551616", ""), -E_INVALID);
	IS(condition_new(&c, STR("cid=7&modified_since>1")), 0);
	YES(condition_admits(c, 7));
	NO(condition_admits(c, 8));
	condition_free(&c);
}

static void a_time_is_asked_for_in_seconds(void)
{
	IS(ask("modified_since>1700000000", ""), 1);
	IS(ask("modified_since>1700000000.249999", ""), 1);
	IS(ask("modified_since>1700000000.25", ""), 0);
	IS(ask("modified_since>1700000000.250000000", ""), 0);
	IS(ask("modified_since>=1700000000.25", ""), 1);
	IS(ask("modified_since>=1700000000.250001", ""), 0);
	IS(ask("modified_since>1700000001", ""), 0);
	IS(ask("modified_since%3E%3D1700000000", ""), 1);
	IS(ask("modified_since>0", ""), 1);
	IS(ask("modified_since>1&modified_since>1700000001", ""), 0);
	IS(ask("modified_since=1", ""), -E_INVALID);
	IS(ask("modified_since<1", ""), -E_INVALID);
	IS(ask("modified_since", ""), -E_INVALID);
	IS(ask("modified_since>", ""), -E_INVALID);
	IS(ask("modified_since>-1", ""), -E_INVALID);
	IS(ask("modified_since>1.", ""), -E_INVALID);
	IS(ask("modified_since>1.0000000001", ""), -E_INVALID);
	IS(ask("modified_since>1e3", ""), -E_INVALID);
	IS(ask("modified_since>9999999999999999999", ""), -E_INVALID);
}

static void an_expression_may_be_percent_encoded_as_a_whole(void)
{
	IS(ask("payload=position.speed%3E60", "{\"position.speed\":61}"), 1);
	IS(ask("payload=position.speed>60", "{\"position.speed\":60}"), 0);
	IS(ask("payload=x%3D%3D'a%2Fb'", "{\"x\":\"a/b\"}"), 1);
	IS(ask("payload=a%26%26b", "{\"a\":1,\"b\":2}"), 1);
	IS(ask("message=cid%3D%3D7%26%26tonumber(payload)%3E10", "11"), 1);
	IS(ask("payload=x~'%25%c3%A4*'", "{\"x\":\"%\xc3\xa4!\"}"), 1);
	IS(ask("payload=x%20%3d%3d%201", "{\"x\":1}"), 1);
}

static void all_of_them_must_hold(void)
{
	IS(ask("payload=a&cid=7&message=topic=='t'&modified_since>5", "{\"a\":1}"), 1);
	IS(ask("payload=a&cid=7&message=topic=='u'&modified_since>5", "{\"a\":1}"), 0);
	IS(ask("payload=a&payload=b", "{\"a\":1}"), 0);
}

static void what_is_malformed_is_told(void)
{
	static const char *bad[] = { "",
		                     "&",
		                     "cid=7&",
		                     "&cid=7",
		                     "cid=7&&cid=7",
		                     "payload",
		                     "payload=",
		                     "payload=(",
		                     "payload=%",
		                     "payload=%4",
		                     "payload=%zz",
		                     "payload='%00'",
		                     "payload='%ff'",
		                     "nope=1",
		                     "Payload=1",
		                     "message=nope",
		                     "payload=a&&b",
		                     "x" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (ask(bad[i], "{}") != -E_INVALID)
			fail_msg("%s: %d", bad[i], ask(bad[i], "{}"));
	}
}

static void number_and_length_are_bounded(void)
{
	static char text[CONDITIONS_BYTES_MAX + 2];

	IS(ask("cid=7&cid=7&cid=7&cid=7&cid=7&cid=7&cid=7&cid=7", ""), 1);
	IS(ask("cid=7&cid=7&cid=7&cid=7&cid=7&cid=7&cid=7&cid=7&cid=7", ""), -E_LIMIT);
	memset(text, '1', sizeof(text) - 1);
	memcpy(text, "payload=", 8);
	IS(ask(text, ""), -E_LIMIT);
	text[CONDITIONS_BYTES_MAX] = 0;
	IS(ask(text, ""), -E_LIMIT); /* an expression of more than 1024 bytes */
	/* which may need three times as many to be written */
	memcpy(text, "payload='", 9);
	for (size_t i = 0; i < EXPR_BYTES_MAX - 2; i++)
		memcpy(text + 9 + 3 * i, "%41", 3);
	memcpy(text + 9 + 3 * (EXPR_BYTES_MAX - 2), "'", 2);
	IS(ask(text, ""), 1);
}

static void every_prefix_is_read_without_passing_its_end(void)
{
	struct str whole = STR("payload=a%3E1&cid=7&modified_since>=1.5&message=topic~'*%2A'");

	each_prefix(p, whole)
	{
		struct condition *c = NULL;

		if (condition_new(&c, p.first) == 0)
			condition_free(&c);
	}
}

static void running_out_of_memory_makes_no_condition(void)
{
	each_alloc_failure(n)
	{
		struct condition *c = NULL;
		int err = condition_new(&c, STR("payload=a&message=cid"));

		YES(err == 0 || (err == -E_NOMEM && !c));
		condition_free(&c);
	}
}

RUN(conditions_stand_between_the_group_and_the_filter, an_account_is_asked_for_by_its_number,
    a_time_is_asked_for_in_seconds, an_expression_may_be_percent_encoded_as_a_whole,
    all_of_them_must_hold, what_is_malformed_is_told, number_and_length_are_bounded,
    every_prefix_is_read_without_passing_its_end, running_out_of_memory_makes_no_condition)
