/* May this token do this to that topic: a table of grants, verb, topic and answer, then the same
 * for REST, explanations and sameness. */
#include "base/base.h"
#include "tests/kit/kit.h"
#include "tests/kit/topic_oracle.h"
#include "tests/unit/acl_help.h"
#include "wire/mqtt.h"

static const struct row {
	const char *grants;
	char verb; /* p publish, s receive */
	const char *topic;
	bool may;
} rows[] = {
	/* nothing granted, nothing allowed */
	{ "", 'p', "a", false },
	{ "", 's', "a", false },
	{ "s a", 'p', "a", false },
	{ "p a", 's', "a", false },
	/* exact, wildcard, depth (C10, C11) */
	{ "ps a/1", 's', "a/1", true },
	{ "ps a/1", 's', "a/2", false },
	{ "ps a/1", 'p', "a/1/2", false },
	{ "ps a/#", 'p', "a", true },
	{ "ps a/#", 'p', "a/b/c", true },
	{ "ps a/#", 'p', "ab", false },
	{ "ps a/+", 'p', "a", false },
	{ "ps a/+", 'p', "a/", true },
	{ "ps a/+", 'p', "a/b/", false },
	{ "ps /a", 'p', "a", false },
	{ "ps a", 'p', "a/", false },
	{ "ps +/+", 'p', "/", true },
	{ "ps /#", 'p', "/", true },
	{ "ps /#", 'p', "a", false },
	{ "ps +/#", 'p', "a", true },
	{ "ps #", 's', "a/b/c", true },
	/* bytes, not characters (C13) */
	{ "ps Secret/#", 's', "secret/x", false },
	{ "ps a%2Fb", 's', "a/b", false },
	/* several grants */
	{ "s a/#, p b/#", 'p', "b/x", true },
	{ "s a/#, p b/#", 's', "b/x", false },
	{ "s a/+/c, s a/b", 's', "a/b/c", true },
	{ "s a/+/c, s a/b", 's', "a/b", true },
	{ "s a/+/c, s a/b", 's', "a/b/d", false },
	{ "s +/x, s a/#", 's', "b/x", true },
	{ "s a/b/c, s a/+/d", 's', "a/b/d",
	  true }, /* the literal branch is a dead end, the other is not */
	{ "s abcdefgh1/x, s abcdefgh2/y", 's', "abcdefgh2/y", true }, /* same first eight bytes */
	{ "s abcdefgh1/x, s abcdefgh2/y", 's', "abcdefgh1/y", false },
	/* $ names: never published, received only if the word is spelled (T06) */
	{ "ps #", 'p', "$SYS/x", false },
	{ "ps #", 's', "$SYS/x", false },
	{ "ps +/x", 's', "$SYS/x", false },
	{ "ps $SYS/#", 's', "$SYS/x", true },
	{ "ps $SYS/#", 'p', "$SYS/x", false },
	{ "master", 'p', "$CONTROL/x", false },
	{ "master", 's', "$CONTROL/x", false },
	{ "ps a/#", 'p', "a/$x", true },
	/* the platform's tree */
	{ "ps #", 's', "flespi/log/mqtt/x", false },
	{ "ps +/log/#", 's', "flespi/log/mqtt/x", false },
	{ "ps #", 'p', "flespi/x", false },
	{ "ps #", 'p', "flespi", false },
	{ "ps #", 'p', "flespi2/x", true },
	{ "ps #", 's', "flespi2/x", true },
	{ "master", 'p', "flespi/x", false },
	{ "standard", 'p', "flespi/x", false },
	{ "logs", 's', "flespi/log/mqtt/connections/x", true },
	{ "logs", 's', "flespi/log/mqtt", true },
	{ "logs", 's', "flespi/log/platform/tokens/1/created", false },
	{ "logs", 's', "flespi/state/mqtt/sessions/1", false },
	{ "logs", 'p', "flespi/log/mqtt/x", false },
	{ "state", 's', "flespi/state/mqtt/sessions/1", true },
	{ "state", 's', "flespi/log/mqtt/x", false },
	{ "state", 's', "flespi/state/platform/customer", false },
	{ "state, logs, s a", 's', "a", true },
	{ "state", 's', "a", false },
	/* master and standard */
	{ "master", 'p', "a/b", true },
	{ "master", 's', "a/b", true },
	{ "master", 's', "flespi/state/platform/customer/counters/x", true },
	{ "standard", 'p', "a/b", true },
	{ "standard", 's', "a/b", true },
	{ "standard", 's', "flespi/state/platform/customer", false },
	{ "standard", 's', "flespi/state/platform", false },
	{ "standard", 's', "flespi/log/platform/tokens/1", false },
	{ "standard", 's', "flespi/log/mqtt/connections", true },
	{ "standard", 's', "flespi/state/mqtt/sessions/1", true },
	{ "standard", 's', "flespi/message/gw/devices/1", true },
	{ "standard", 's', "flespi/interval/gw/calcs/1/devices/2/created", true },
	{ "standard", 's', "flespi/state/gw/devices/1", true },
};

static void the_table_of_rights_holds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct acl *acl = acl_of(r->grants);
		struct str topic = guard_str(str_c(r->topic));
		bool may =
		    r->verb == 'p' ? acl_may_publish(acl, topic) : acl_may_receive(acl, topic);

		if (may != r->may)
			fail_msg("row %zu: \"%s\" %c %s", i, r->grants, r->verb, r->topic);
		acl_put(&acl);
		guard_reset();
	}
}

static void reserved_names_are_those_of_the_platform_and_dollar(void)
{
	YES(acl_is_reserved(STR("flespi")));
	YES(acl_is_reserved(STR("flespi/rest/post/x")));
	YES(acl_is_reserved(STR("$x")));
	YES(acl_is_reserved(STR("")));
	NO(acl_is_reserved(STR("flespix")));
	NO(acl_is_reserved(STR("a/flespi")));
	NO(acl_is_reserved(STR("a/$x")));
	NO(acl_is_reserved(STR("/")));
}

static void an_empty_topic_is_nobodys(void)
{
	struct acl *acl = acl_of("master");

	NO(acl_may_publish(acl, STR_NONE));
	NO(acl_may_receive(acl, STR_NONE));
	acl_put(&acl);
}

/* ---- Many grants ---- */

struct form { /* of texts with a number in them */
	const char *before, *after;
};

static void any_form(char out[32], const struct form *forms, size_t count)
{
	const struct form *form = &forms[any_below(count)];

	(void)snprintf(out, 32, "%s%u%s", form->before, (unsigned)any_below(1500), form->after);
}

static void a_thousand_grants_answer_as_asking_each_would(void)
{
	static const struct form filters[] = { { "dev/", "/#" },  { "dev/", "/state" },
		                               { "+/", "/temp" }, { "site-", "/+/+" },
		                               { "dev/", "" },    { "x/+/", "/#" } };
	static const struct form names[] = { { "dev/", "/state" }, { "dev/", "" },
		                             { "dev/", "/temp" },  { "y/", "/temp" },
		                             { "site-", "/a/b" },  { "x/y/", "" },
		                             { "dev/", "/a/b" } };
	enum { GRANTS = 1000 };
	static char text[GRANTS][32];
	struct buf b = { 0 };
	struct acl *acl;
	unsigned yes = 0;

	for (unsigned i = 0; i < GRANTS; i++) {
		any_form(text[i], filters, ARRAY_LEN(filters));
		buf_printf(&b, "%ss %s", i ? ", " : "", text[i]);
	}
	buf_u8(&b, 0);
	acl = acl_of((const char *)buf_data(&b));
	for (unsigned i = 0; i < 20000; i++) {
		char name[32];
		bool may = false;

		any_form(name, names, ARRAY_LEN(names));
		for (unsigned g = 0; g < GRANTS && !may; g++)
			may = topic_match((struct filter){ str_c(text[g]), false }, str_c(name));
		IS(acl_may_receive(acl, str_c(name)), may);
		yes += may;
	}
	YES(yes > 2000 && yes < 18000); /* both answers were asked for */
	acl_put(&acl);
	buf_free(&b);
}

static void grants_that_branch_at_every_level_cost_one_look_each(void) /* attack R24 */
{
	struct buf b = { 0 };
	struct acl *acl;

	for (unsigned i = 0; i < 1024; i++) {
		buf_printf(&b, "%sps ", i ? ", " : "");
		for (unsigned bit = 0; bit < 10; bit++)
			buf_printf(&b, "%s/", i >> bit & 1 ? "+" : "a");
		for (unsigned level = 0; level < 100; level++)
			buf_printf(&b, "a/");
		buf_printf(&b, "end%u", i);
	}
	buf_u8(&b, 0);
	acl = acl_of((const char *)buf_data(&b));
	buf_reset(&b);
	for (unsigned level = 0; level < 110; level++)
		buf_printf(&b, "a/");
	buf_printf(&b, "end1025");
	for (unsigned i = 0; i < 200; i++)
		NO(acl_may_publish(acl, buf_str(&b)));
	buf_cut(&b, buf_len(&b) - 4);
	buf_printf(&b, "1023");
	YES(acl_may_publish(acl, buf_str(&b)));
	acl_put(&acl);
	buf_free(&b);
}

static void the_tree_agrees_with_the_oracle(void) /* attack C11 */
{
	struct oracle_list names = oracle_names(4), filters = oracle_filters(3);

	for (unsigned round = 0; round < 600; round++) {
		unsigned pick[8], n = 0;
		struct buf b = { 0 };
		struct acl *acl;

		while (n < 1 + round % 8) {
			pick[n] = (unsigned)any_below(filters.count);
			if (topic_is_system(oracle_at(&filters, pick[n])))
				continue;
			buf_printf(&b, "%sps %s", n ? ", " : "", filters.text[pick[n]]);
			n++;
		}
		buf_u8(&b, 0);
		acl = acl_of((const char *)buf_data(&b));
		for (unsigned i = 0; i < names.count; i++) {
			struct str name = oracle_at(&names, i);
			bool may = false;

			for (unsigned g = 0; g < n; g++)
				may = may ||
				      oracle_match(
					  (struct filter){ oracle_at(&filters, pick[g]), false },
					  name);
			if (acl_may_receive(acl, name) != may)
				fail_msg("receive %s: %s", names.text[i],
				         (const char *)buf_data(&b));
			if (acl_may_publish(acl, name) != (may && !acl_is_reserved(name)))
				fail_msg("publish %s: %s", names.text[i],
				         (const char *)buf_data(&b));
		}
		acl_put(&acl);
		buf_free(&b);
	}
	mem_free(names.text);
	mem_free(filters.text);
}

/* ---- Sameness ---- */

static const struct same_row {
	const char *a, *b;
	bool same;
} same_rows[] = {
	{ "", "", true },
	{ "", "s a", false },
	{ "s a, s b", "s b, s a", true },
	{ "s a, s a", "s a", true },
	{ "s a/#, s a/b", "s a/#", true },
	{ "s a/#, s a/b", "s a/b", false },
	{ "ps a", "s a, p a", true },
	{ "ps a", "s a", false },
	{ "s #", "s +/#", true },
	{ "s /#", "s /+/#", true },
	{ "s a/#", "s a/+/#", false },
	{ "master", "standard", false },
	{ "master", "ps #", false }, /* the platform's tree */
	{ "logs", "state", false },
	{ "logs, logs", "logs", true },
	{ "p $x, s a", "s a", true }, /* nobody publishes there */
};

static void lists_with_equal_rights_are_the_same(void)
{
	for (size_t i = 0; i < ARRAY_LEN(same_rows); i++) {
		struct acl *a = acl_of(same_rows[i].a), *b = acl_of(same_rows[i].b);

		if (acl_same(a, b) != same_rows[i].same || acl_same(b, a) != same_rows[i].same)
			fail_msg("row %zu", i);
		YES(acl_same(a, a));
		acl_put(&a);
		acl_put(&b);
	}
}

static void an_acl_lives_until_its_last_reference(void)
{
	struct acl *a = acl_of("s a"), *b = acl_get(a), *none = NULL;

	acl_put(&a);
	IS(a == NULL, 1);
	YES(acl_may_receive(b, STR("a")));
	acl_put(&b);
	acl_put(&none);
}

/* ---- REST ---- */

static struct acl *rest_acl(void)
{
	json_t *access =
	    json_of("{\"type\":2,\"acl\":["
	            "{\"uri\":\"gw/"
	            "devices\",\"methods\":[\"GET\",\"PUT\"],\"submodules\":[{\"name\":"
	            "\"messages\",\"methods\":[\"POST\"]}]},"
	            "{\"uri\":\"gw/channels\",\"methods\":[\"GET\"],\"ids\":[1,2]},"
	            "{\"uri\":\"gw/groups\",\"methods\":[\"GET\"],\"ids\":\"in-groups\"},"
	            "{\"uri\":\"gw/streams\",\"methods\":[\"GET\"],\"ids\":\"all\"},"
	            "{\"uri\":\"gw/streams\",\"methods\":[\"PATCH\"]}]}");
	struct acl *acl = NULL;
	char why[128];

	IS(acl_compile(&acl, access, why, sizeof(why)), 0);
	json_decref(access);
	return acl;
}

static const struct rest_row {
	const char *uri, *submodule, *method;
	bool may;
} rest_rows[] = {
	{ "gw/devices", "", "GET", true },
	{ "gw/devices", "", "PUT", true },
	{ "gw/devices", "", "POST", false },
	{ "gw/devices", "messages", "POST", true },
	{ "gw/devices", "messages", "GET",
	  false }, /* the item's GET is not its parts' (flespi.md 2.1) */
	{ "gw/devices", "telemetry", "POST", false },
	{ "gw/devices", "nonsense", "GET", false },
	{ "gw/devices", "", "get", false },
	{ "gw/devices", "", "", false },
	{ "gw/channels", "", "GET", false },
	{ "gw/groups", "", "GET", false },
	{ "gw/streams", "", "GET", true },
	{ "gw/streams", "", "PATCH", true },
	{ "gw/calcs", "", "GET", false },
	{ "mqtt", "", "GET", false },
	{ "platform/tokens", "", "GET", false },
	{ "", "", "GET", false },
};

static void the_table_of_rest_rights_holds(void)
{
	struct acl *acl = rest_acl();

	for (size_t i = 0; i < ARRAY_LEN(rest_rows); i++) {
		const struct rest_row *r = &rest_rows[i];

		if (acl_may_rest(acl, str_c(r->uri), str_c(r->submodule), str_c(r->method)) !=
		    r->may)
			fail_msg("row %zu", i);
	}
	NO(acl_may_receive(
	    acl, STR("flespi/message/gw/devices/1"))); /* telematics opens nothing on MQTT here */
	acl_put(&acl);
}

static void only_a_master_touches_the_platform(void)
{
	struct acl *master = acl_of("master"), *standard = acl_of("standard"),
		   *listed = acl_of("ps #, state, logs");

	YES(acl_may_rest(master, STR("platform/tokens"), STR(""), STR("POST")));
	NO(acl_may_rest(standard, STR("platform/tokens"), STR(""), STR("GET")));
	NO(acl_may_rest(standard, STR("platform"), STR(""), STR("GET")));
	YES(acl_may_rest(standard, STR("mqtt"), STR("logs"), STR("GET")));
	NO(acl_may_rest(listed, STR("platform/tokens"), STR(""), STR("GET")));
	YES(acl_may_rest(listed, STR("mqtt"), STR(""), STR("GET")));
	NO(acl_may_rest(listed, STR("mqtt"), STR(""), STR("DELETE")));
	YES(acl_may_rest(listed, STR("mqtt"), STR("logs"), STR("GET")));
	IS(acl_type(master), ACL_MASTER);
	IS(acl_type(standard), ACL_STANDARD);
	IS(acl_type(listed), ACL_LISTED);
	acl_put(&master);
	acl_put(&standard);
	acl_put(&listed);
}

/* ---- Explanations ---- */

static const struct why_row {
	const char *grants;
	char verb;
	const char *topic, *why;
} why_rows[] = {
	{ "s x, ps a/#", 'p', "a/b", "publish a/b: grant 1 (a/#)" },
	{ "s x, ps a/#", 's', "x", "receive x: grant 0 (x)" },
	{ "s x, ps a/#", 'p', "x", "publish x: no grant" },
	{ "ps #", 'p', "flespi/x", "publish flespi/x: reserved name" },
	{ "ps #", 's', "flespi/x", "receive flespi/x: no grant" },
	{ "s x, logs", 's', "flespi/log/mqtt/c",
	  "receive flespi/log/mqtt/c: grant 1 (flespi/log/mqtt/#)" },
	{ "master", 'p', "a", "publish a: master token" },
	{ "standard", 's', "a", "receive a: standard token" },
	{ "", 's', "\xc3\xa4\"\\", "receive \xc3\xa4??: no grant" },
	{ "", 's', "0123456789012345678901234567890123456789012345678901234567890123456789",
	  "receive 0123456789012345678901234567890123456789012345678901234567890123...: no grant" },
};

static void the_reason_names_the_grant(void)
{
	char why[256];

	for (size_t i = 0; i < ARRAY_LEN(why_rows); i++) {
		const struct why_row *r = &why_rows[i];
		struct acl *acl = acl_of(r->grants);

		acl_explain(acl, r->verb == 'p', str_c(r->topic), why, sizeof(why));
		IS_BYTES(str_c(why), str_c(r->why));
		acl_explain(acl, r->verb == 'p', str_c(r->topic), guard_put(why, 8),
		            8); /* a small room is enough to be cut in */
		acl_put(&acl);
		guard_reset();
	}
}

static void a_long_name_is_not_cut_inside_a_character(void)
{
	struct acl *acl = acl_of("");
	char name[100], why[256];

	for (unsigned shift = 0; shift < 4; shift++) {
		memset(name, 'a', sizeof(name));
		for (unsigned at = shift; at + 4 <= sizeof(name); at += 4)
			memcpy(name + at, "\xf0\x9f\x98\x80", 4);
		acl_explain(acl, true, str_make(name, shift + 96), why, sizeof(why));
		YES(mqtt_name_ok(str_c(why)));
	}
	acl_put(&acl);
}

RUN(the_table_of_rights_holds, reserved_names_are_those_of_the_platform_and_dollar,
    an_empty_topic_is_nobodys, a_thousand_grants_answer_as_asking_each_would,
    grants_that_branch_at_every_level_cost_one_look_each, the_tree_agrees_with_the_oracle,
    lists_with_equal_rights_are_the_same, an_acl_lives_until_its_last_reference,
    the_table_of_rest_rights_holds, only_a_master_touches_the_platform, the_reason_names_the_grant,
    a_long_name_is_not_cut_inside_a_character)
