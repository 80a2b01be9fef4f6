/* A token object read strictly: what it must have, when it ends, from where it may be used. */
#include "base/base.h"
#include "acl/verdict.h"
#include "tests/kit/kit.h"
#include "tests/unit/acl_help.h"

#define NEEDED "\"cid\":7,\"enabled\":true,\"access\":{\"type\":1}"

static int read_info(struct token_info *t, const char *text, char *why, size_t why_size)
{
	json_t *object = json_of(text);
	int err = token_info_read(t, object, why, why_size);

	json_decref(object);
	return err;
}

static struct token_info info_of(const char *text)
{
	struct token_info t = { 0 };
	char why[200] = "";

	if (read_info(&t, text, why, sizeof(why)))
		fail_msg("%s: %s", why, text);
	return t;
}

static void a_whole_token_is_read(void)
{
	struct token_info t =
	    info_of("{\"id\":42,\"cid\":7,\"enabled\":true,\"blocked\":false,\"expire\":1900000000,"
	            "\"ttl\":0,\"accessed\":1,\"created\":1,"
	            "\"access\":{\"type\":2,\"acl\":[{\"uri\":\"mqtt\",\"topic\":\"a/"
	            "#\",\"actions\":[\"publish\"]}]},\"ips\":\"10.0.*\","
	            "\"certs\":\"lamp-*,gateway 7\",\"client_ids\":[\"lamp-*\"],"
	            "\"limits\":{\"mqtt_sessions\":4,\"webhooks_count\":\"whatever\"},"
	            "\"customer_limits\":{\"mqtt_sessions\":40},"
	            "\"server_limits\":{\"mqtt_sessions\":400},"
	            "\"info\":\"my token\",\"metadata\":{}}");

	IS(t.id, 42);
	IS(t.customer, 7);
	YES(t.enabled);
	NO(t.customer_blocked);
	IS(t.expire, 1900000000);
	IS(acl_type(t.acl), ACL_LISTED);
	YES(acl_may_publish(t.acl, STR("a/b")));
	NO(acl_may_publish(t.acl, STR("b")));
	IS_BYTES(str_c(t.ips), STR("10.0.*"));
	IS_BYTES(str_c(t.certs), STR("lamp-*,gateway 7"));
	YES(client_ids_allow(t.client_ids, STR("lamp-7")));
	NO(client_ids_allow(t.client_ids, STR("gateway 7")));
	IS(limits_value(t.limits, LIMIT_SESSIONS, LIMIT_BY_TOKEN, 10), 4);
	IS(limits_value(t.limits, LIMIT_SESSIONS, LIMIT_BY_CUSTOMER, 10), 40);
	IS(limits_value(t.limits, LIMIT_SESSIONS, LIMIT_BY_SERVER, 10), 400);
	token_info_free(&t);
	IS(t.acl == NULL && t.ips == NULL && t.certs == NULL && t.client_ids == NULL &&
	       t.limits == NULL,
	   1);
	token_info_free(&t);
	token_info_free(NULL);
}

static void what_is_not_needed_may_be_missing(void)
{
	struct token_info t = info_of("{" NEEDED "}");

	IS(t.id, 0);
	IS(t.expire, 0);
	IS(t.ips == NULL, 1);
	IS(t.certs == NULL, 1);
	IS(t.client_ids == NULL, 1);
	IS(t.limits == NULL, 1);
	token_info_free(&t);
}

static void disabled_and_blocked_are_told_and_not_judged(void)
{
	struct token_info t =
	    info_of("{\"cid\":7,\"enabled\":false,\"blocked\":true,\"access\":{\"type\":0}}");

	NO(t.enabled);
	YES(t.customer_blocked);
	token_info_free(&t);
}

static const struct bad_row {
	const char *object, *why;
} bad_rows[] = {
	{ "[]", "a token must be an object" },
	{ "{}", "access is missing" },
	{ "{\"enabled\":true,\"access\":{\"type\":1}}", "cid is missing" },
	{ "{\"cid\":0,\"enabled\":true,\"access\":{\"type\":1}}", "cid is out of range" },
	{ "{\"cid\":-7,\"enabled\":true,\"access\":{\"type\":1}}", "cid is out of range" },
	{ "{\"cid\":\"7\",\"enabled\":true,\"access\":{\"type\":1}}", "cid must be an integer" },
	{ "{\"cid\":7.0,\"enabled\":true,\"access\":{\"type\":1}}", "cid must be an integer" },
	{ "{\"cid\":null,\"enabled\":true,\"access\":{\"type\":1}}", "cid must be an integer" },
	{ "{\"cid\":7,\"access\":{\"type\":1}}", "enabled must be true or false" },
	{ "{\"cid\":7,\"enabled\":1,\"access\":{\"type\":1}}", "enabled must be true or false" },
	{ "{\"cid\":7,\"enabled\":\"false\",\"access\":{\"type\":1}}",
	  "enabled must be true or false" },
	{ "{\"cid\":7,\"enabled\":true,\"access\":{\"type\":9}}", "access.type must be 0, 1 or 2" },
	{ "{\"cid\":7,\"enabled\":true,\"access\":1}", "access must be an object" },
	{ "{" NEEDED ",\"id\":0}", "id is out of range" },
	{ "{" NEEDED ",\"id\":\"1\"}", "id must be an integer" },
	{ "{" NEEDED ",\"blocked\":0}", "blocked must be true or false" },
	{ "{" NEEDED ",\"expire\":-1}", "expire is out of range" },
	{ "{" NEEDED ",\"expire\":9223372036854775807}", "expire is out of range" },
	{ "{" NEEDED ",\"expire\":1e9}", "expire must be an integer" },
	{ "{" NEEDED ",\"expire\":null}", "expire must be an integer" },
	{ "{" NEEDED ",\"expire\":\"never\"}", "expire must be an integer" },
	{ "{" NEEDED ",\"ttl\":-1}", "ttl is out of range" },
	{ "{" NEEDED ",\"ttl\":9223372036854775807,\"accessed\":9}", "ttl is out of range" },
	{ "{" NEEDED ",\"ttl\":60}", "ttl needs accessed or created to count from" },
	{ "{" NEEDED ",\"accessed\":true}", "accessed must be an integer" },
	{ "{" NEEDED ",\"created\":-5}", "created is out of range" },
	{ "{" NEEDED ",\"limits\":[]}", "limits must be an object" },
	{ "{" NEEDED ",\"customer_limits\":1}", "customer_limits must be an object" },
	{ "{" NEEDED ",\"server_limits\":null}", "server_limits must be an object" },
	{ "{" NEEDED ",\"limits\":{\"mqtt_sessions\":-2}}",
	  "mqtt_sessions is out of range: -1 (no limit of its own) or 0 to 10000000" },
	{ "{" NEEDED ",\"limits\":{\"mqtt_packet_size\":5}}",
	  "mqtt_packet_size is out of range: -1 (no limit of its own) or 128 to 267386880" },
	{ "{" NEEDED ",\"limits\":{\"mqtt_messages\":\"9\"}}", "mqtt_messages must be an integer" },
	{ "{" NEEDED ",\"ips\":[]}", "ips must be a string" },
	{ "{" NEEDED ",\"ips\":\"10.0.0.0/8\"}",
	  "ips must be at most 64 masks such as 10.0.*,192.168.1.?" },
	{ "{" NEEDED ",\"certs\":[\"lamp\"]}", "certs must be a string" },
	{ "{" NEEDED ",\"certs\":null}", "certs must be a string" },
	{ "{" NEEDED ",\"certs\":\"a,,b\"}",
	  "certs must be at most 64 masks such as lamp-*,gateway 7" },
	{ "{" NEEDED ",\"client_ids\":\"lamp\"}",
	  "client_ids must be a list of at most 64 masks such as \"lamp-*\", each of 1 to 255 "
	  "bytes, all of 4096" },
	{ "{" NEEDED ",\"client_ids\":null}",
	  "client_ids must be a list of at most 64 masks such as \"lamp-*\", each of 1 to 255 "
	  "bytes, all of 4096" },
	{ "{" NEEDED ",\"certs\":\"a\\nb\"}",
	  "certs must be at most 64 masks such as lamp-*,gateway 7" },
};

static void an_object_that_is_not_understood_is_refused_with_the_reason(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++) {
		struct token_info t = { .id = 77 };
		char why[200] = "";

		if (read_info(&t, bad_rows[i].object, why, sizeof(why)) != -E_INVALID)
			fail_msg("accepted: %s", bad_rows[i].object);
		IS_BYTES(str_c(why), str_c(bad_rows[i].why));
		IS(t.id, 77); /* outputs are written on success only */
	}
}

static const struct {
	int64_t expire, ttl, accessed, created, ends;
} ends_rows[] = {
	{ 0, 0, 0, 0, 0 },         { 0, 0, 100, 50, 0 },
	{ 1000, 0, 0, 0, 1000 },   { 0, 60, 100, 50, 160 },
	{ 0, 60, 0, 50, 110 },     { 1000, 60, 100, 50, 1000 }, /* valid while either is */
	{ 120, 60, 100, 50, 160 }, { 1, 0, 100, 50, 1 },
};

static void a_token_ends_with_the_later_of_expire_and_ttl(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ends_rows); i++)
		IS(token_ends(ends_rows[i].expire, ends_rows[i].ttl, ends_rows[i].accessed,
		              ends_rows[i].created),
		   ends_rows[i].ends);
}

static void times_are_taken_together(void)
{
	struct token_info t =
	    info_of("{" NEEDED ",\"expire\":120,\"ttl\":60,\"accessed\":100,\"created\":50}");

	IS(t.expire, 160);
	token_info_free(&t);
}

/* ---- Replies ---- */

static int reply(const char *text, char *why, size_t why_size)
{
	struct token_info t = { 0 };
	int err = token_info_read_reply(&t, guard_str(str_c(text)), why, why_size);

	token_info_free(&t);
	guard_reset();
	return err;
}

static void a_reply_has_one_result_and_no_errors(void)
{
	char why[200];

	IS(reply("{\"result\":[{" NEEDED "}]}", why, sizeof(why)), 0);
	IS(reply(" {\"result\":[{" NEEDED "}],\"errors\":[],\"x\":1}\n", why, sizeof(why)), 0);
	IS(reply("{\"result\":[{" NEEDED "}],\"errors\":[{\"code\":1}]}", why, sizeof(why)),
	   -E_INVALID);
	IS(reply("{\"result\":[{" NEEDED "}],\"errors\":{}}", why, sizeof(why)), -E_INVALID);
	IS(reply("{\"result\":[{" NEEDED "}],\"errors\":true}", why, sizeof(why)), -E_INVALID);
	IS(reply("{\"result\":[]}", why, sizeof(why)), -E_INVALID);
	IS(reply("{\"result\":[{" NEEDED "},{" NEEDED "}]}", why, sizeof(why)), -E_INVALID);
	IS(reply("{\"result\":{" NEEDED "}}", why, sizeof(why)), -E_INVALID);
	IS(reply("{" NEEDED "}", why, sizeof(why)), -E_INVALID);
	IS(reply("[{" NEEDED "}]", why, sizeof(why)), -E_INVALID);
	IS(reply("null", why, sizeof(why)), -E_INVALID);
	IS(reply("", why, sizeof(why)), -E_INVALID);
}

static void nonsense_is_refused(void)
{
	char why[200];

	IS(reply("{\"result\":[{" NEEDED "}]", why, sizeof(why)), -E_INVALID);
	IS(reply("{\"result\":[{" NEEDED "}]}x", why, sizeof(why)), -E_INVALID);
	IS(reply("{\"result\":[{" NEEDED ",\"cid\":8}]}", why, sizeof(why)),
	   -E_INVALID); /* which one would be believed? */
	IS(reply("{\"result\":[{" NEEDED ",\"cid\\u0000\":8}]}", why, sizeof(why)), -E_INVALID);
	IS(reply("<html>ok</html>", why, sizeof(why)), -E_INVALID);
	IS(reply("{\"result\":[{" NEEDED ",\"expire\":99999999999999999999}]}", why, sizeof(why)),
	   -E_INVALID);
	YES(reply("{\"result\":[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]}", why,
	          sizeof(why)) < 0);
}

static void a_reply_cut_anywhere_is_refused(void)
{
	struct token_info t = { 0 };
	char why[200];

	each_prefix(p, STR("{\"result\":[{\"id\":1," NEEDED ",\"ips\":\"1.2.3.4\"}]}"))
	    YES(token_info_read_reply(&t, p.first, why, sizeof(why)) < 0);
}

static void a_reply_too_long_is_refused(void)
{
	struct buf b = { 0 };
	struct token_info t = { 0 };
	char why[200];

	buf_printf(&b, "{\"result\":[{%s}]}", NEEDED);
	while (buf_len(&b) < VERDICT_BODY_MAX)
		buf_u8(&b, ' ');
	IS(token_info_read_reply(&t, buf_str(&b), why, sizeof(why)), 0);
	token_info_free(&t);
	buf_u8(&b, ' ');
	YES(token_info_read_reply(&t, buf_str(&b), why, sizeof(why)) < 0);
	buf_free(&b);
}

static void every_failed_allocation_is_an_error_and_nothing_else(void)
{
	each_alloc_failure(n)
	{
		struct token_info t = { 0 };
		char why[200] = "";
		int err = token_info_read_reply(
		    &t, STR("{\"result\":[{" NEEDED ",\"ips\":\"1.2.3.4\"}]}"), why, sizeof(why));

		YES(err == 0 || err == -E_NOMEM);
		IS(err == 0, t.acl != NULL);
		token_info_free(&t);
	}
}

/* ---- Addresses ---- */

static const struct {
	const char *masks, *address;
	bool allowed;
} ip_rows[] = {
	{ "10.100.15.*,192.168.56.1?", "10.100.15.7", true },
	{ "10.100.15.*,192.168.56.1?", "192.168.56.17", true },
	{ "10.100.15.*,192.168.56.1?", "192.168.56.1", false },
	{ "10.100.15.*,192.168.56.1?", "192.168.56.177", false },
	{ "10.100.15.*,192.168.56.1?", "110.100.15.7", false },
	{ "10.0.0.1", "10.0.0.1", true },
	{ "10.0.0.1", "10.0.0.10", false },
	{ "10.0.0.1", "10a0.0.1", false },
	{ "*", "10.0.0.1", true },
	{ "*", "", false },
	{ "", "10.0.0.1", false },
	{ "2001:DB8:*", "2001:db8::1", true },
	{ "2001:db8::?", "2001:db8::1", true },
	{ "2001:db8::?", "2001:db8::", false },
	{ "10.0.0.1", "::ffff:10.0.0.1", true },
	{ "10.0.0.1", "::ffff:a00:1", false },
	{ "*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*x", "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1",
	  false },
};

static void the_table_of_addresses_holds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ip_rows); i++) {
		if (token_ips_allow(ip_rows[i].masks, guard_str(str_c(ip_rows[i].address))) !=
		    ip_rows[i].allowed)
			fail_msg("row %zu", i);
		guard_reset();
	}
	YES(token_ips_allow(NULL, STR("10.0.0.1")));
	NO(token_ips_allow("10.0.0.1", STR_NONE));
}

/* ---- Certificates ---- */

static const struct cert_row {
	const char *masks, *name;
	bool allowed;
} cert_rows[] = {
	{ "lamp-7", "lamp-7", true },
	{ "lamp-7", "lamp-70", false },
	{ "lamp-7", "lamp-", false },
	{ "lamp-7", "Lamp-7", false },
	{ "CAB", "cAB", false },
	{ "lamp-*,gateway 7", "gateway 7", true },
	{ "lamp-*,gateway 7", "lamp-", true },
	{ "lamp-*,gateway 7", "lamp", false },
	{ "lamp-*,gateway 7", " gateway 7", false },
	{ "*", "anybody", true },
	{ "*", "", false },
	{ "", "", false },
	{ "", "lamp", false },
	{ "l?mp", "l\xc3\xa4mp", true },
	{ "l??mp", "l\xc3\xa4mp", false },
	{ "*?mp", "l\xc3\xa4mp", true },
	{ "l*??mp", "l\xc3\xa4mp", false },
	{ "\xe2\x82\xac?", "\xe2\x82\xac\xf0\x9f\x92\xa1", true },
	{ "\xe2\x82\xac", "\xe2\x82\xad", false },
	{ "Doe? John", "Doe, John", true },
	{ "*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	  false },
};

static void the_table_of_certificates_holds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cert_rows); i++) {
		if (token_certs_allow(cert_rows[i].masks, guard_str(str_c(cert_rows[i].name))) !=
		    cert_rows[i].allowed)
			fail_msg("row %zu", i);
		guard_reset();
	}
	YES(token_certs_allow(NULL, STR("lamp")));
	YES(token_certs_allow(NULL, STR_NONE));
	NO(token_certs_allow("*", STR_NONE));
}

/* Masks against the rule written down as a recursion, over characters. */
static size_t char_at(struct str s)
{
	size_t n = 1;

	while (n < s.n && ((uint8_t)s.p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static bool fits(struct str mask, struct str name)
{
	if (mask.n == 0)
		return name.n == 0;
	if (mask.p[0] == '*')
		return fits(str_skip(mask, 1), name) ||
		       (name.n && fits(mask, str_skip(name, char_at(name))));
	if (name.n == 0)
		return false;
	if (mask.p[0] == '?')
		return fits(str_skip(mask, 1), str_skip(name, char_at(name)));
	return char_at(mask) == char_at(name) && memcmp(mask.p, name.p, char_at(mask)) == 0 &&
	       fits(str_skip(mask, char_at(mask)), str_skip(name, char_at(name)));
}

static void masks_fit_as_a_recursion_says(void)
{
	static const char *const chars[] = { "a", "b", "\xc3\xa4", "\xc3\xa5", "*", "?" };

	for (unsigned round = 0; round < 20000; round++) {
		struct buf mask = { 0 }, name = { 0 };
		uint64_t m = 1 + any_below(6), n = 1 + any_below(8);

		while (m--)
			buf_str_add(&mask, str_c(chars[any_below(6)]));
		while (n--)
			buf_str_add(&name, str_c(chars[any_below(4)]));
		buf_u8(&mask, 0);
		IS(token_certs_allow((const char *)buf_data(&mask), buf_str(&name)),
		   fits(str_c((const char *)buf_data(&mask)), buf_str(&name)));
		buf_free(&mask);
		buf_free(&name);
	}
}

static void names_of_certificates_have_a_form(void)
{
	static const char *good[] = { "a", "*", "lamp 7", "l\xc3\xa4mp", "a,b c", "a, b" };
	static const char *bad[] = { "",         "a\tb",         "a\x7f",        "a\xff",
		                     "\xc2\x85", "\xed\xa0\x80", "\xef\xbb\xbf", "\xef\xbf\xbf" };
	static const char *bad_masks[] = {
		"", ",", "a,", ",a", "a,,b", "a, b", " a", "a ", "a\tb"
	};
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		YES(token_cert_name_ok(guard_str(str_c(good[i]))));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		NO(token_cert_name_ok(guard_str(str_c(bad[i]))));
	NO(token_cert_name_ok(STR("a\0b")));
	for (size_t i = 0; i + 1 < ARRAY_LEN(good); i++)
		YES(token_certs_ok(guard_str(str_c(good[i]))));
	for (size_t i = 0; i < ARRAY_LEN(bad_masks); i++)
		NO(token_certs_ok(guard_str(str_c(bad_masks[i]))));
	for (unsigned i = 0; i < VERDICT_CERT_NAME_MAX; i++)
		buf_u8(&b, 'x');
	YES(token_cert_name_ok(buf_str(&b)));
	YES(token_certs_ok(buf_str(&b)));
	buf_u8(&b, 'x');
	NO(token_cert_name_ok(buf_str(&b)));
	NO(token_certs_ok(buf_str(&b)));
	buf_reset(&b);
	for (unsigned i = 0; i < VERDICT_CERTS_MAX; i++)
		buf_printf(&b, "%sx%u", i ? "," : "", i);
	YES(token_certs_ok(buf_str(&b)));
	buf_printf(&b, ",x");
	NO(token_certs_ok(buf_str(&b)));
	buf_free(&b);
}

static void masks_have_a_form(void)
{
	static const char *good[] = { "*", "1.2.3.4", "10.*,11.?", "2001:dB8::*",
		                      "::ffff:1.2.3.4" };
	static const char *bad[] = {
		"",           ",",    "1.2.3.4,",  ",1.2.3.4", "1.2.3.4, 1.2.3.5",
		"10.0.0.0/8", "host", "1.2.3.4\n", "-1"
	};
	struct buf b = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		YES(token_ips_ok(guard_str(str_c(good[i]))));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		NO(token_ips_ok(guard_str(str_c(bad[i]))));
	NO(token_ips_ok(STR("1.2\0.3")));
	NO(token_ips_ok(STR_NONE));
	for (unsigned i = 0; i < VERDICT_IPS_MAX; i++)
		buf_printf(&b, "%s10.0.0.%u", i ? "," : "", i);
	YES(token_ips_ok(buf_str(&b)));
	buf_printf(&b, ",*");
	NO(token_ips_ok(buf_str(&b)));
	buf_reset(&b);
	for (unsigned i = 0; i < 65; i++)
		buf_u8(&b, '*');
	NO(token_ips_ok(buf_str(&b)));
	buf_free(&b);
}

RUN(a_whole_token_is_read, what_is_not_needed_may_be_missing,
    disabled_and_blocked_are_told_and_not_judged,
    an_object_that_is_not_understood_is_refused_with_the_reason,
    a_token_ends_with_the_later_of_expire_and_ttl, times_are_taken_together,
    a_reply_has_one_result_and_no_errors, nonsense_is_refused, a_reply_cut_anywhere_is_refused,
    a_reply_too_long_is_refused, every_failed_allocation_is_an_error_and_nothing_else,
    the_table_of_addresses_holds, masks_have_a_form, the_table_of_certificates_holds,
    masks_fit_as_a_recursion_says, names_of_certificates_have_a_form)
