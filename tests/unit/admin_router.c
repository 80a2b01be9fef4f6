/* admin_router.c - nothing without a token, nothing of somebody else's, nothing that is not well
 * formed. */
#include "base/base.h"
#include "tests/unit/admin_help.h"

static struct world w;

/* The route's path with a selector in it. */
static const char *path_of(const struct route *route, const char *selector)
{
	static char path[300];
	const char *star = strchr(route->path, '*');

	if (star)
		(void)snprintf(path, sizeof(path), "%.*s%s%s", (int)(star - route->path),
		               route->path, selector, star + 1);
	else
		(void)snprintf(path, sizeof(path), "%s", route->path);
	return path;
}

/* ---- Without a token ---- */
static void every_route_without_a_token_is_401(void)
{
	world_open(&w);
	for (size_t i = 0; i < router_count; i++) {
		const char *path = path_of(&router_table[i], "all");

		for (unsigned m = 0; m < HTTP_METHODS; m++) {
			IS(ASK(&w, (enum http_method)m, path, NULL, .body = "[]"), 401);
			IS(ASK(&w, (enum http_method)m, path, "", .body = "[]"), 401);
			IS(ASK(&w, (enum http_method)m, path, "FlespiToken ", .body = "[]"), 401);
		}
	}
	world_close(&w);
}

static void a_path_that_does_not_exist_looks_the_same_without_a_token(void)
{
	static const char *const paths[] = { "/",
		                             "",
		                             "/nothing",
		                             "/platform",
		                             "/platform/tokens/",
		                             "//platform/tokens/all",
		                             "/PLATFORM/TOKENS/ALL",
		                             "/auth/info/",
		                             "/auth",
		                             "*" };
	char first[65536];

	world_open(&w);
	IS(ASK(&w, HTTP_GET, "/auth/info", NULL), 401);
	(void)snprintf(first, sizeof(first), "%s", w.text);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		IS(ASK(&w, HTTP_GET, paths[i], NULL), 401);
		YES(strcmp(first, w.text) == 0);
	}
	world_close(&w);
}

static void a_path_that_does_not_exist_is_404_with_a_token(void)
{
	static const char *const paths[] = { "/",
		                             "",
		                             "/nothing",
		                             "/platform",
		                             "/platform/tokens/",
		                             "//platform/tokens/all",
		                             "/PLATFORM/TOKENS/ALL",
		                             "/auth/info/",
		                             "/auth",
		                             "*" };

	world_open(&w);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		IS(ASK(&w, HTTP_GET, paths[i], w.key[ALPHA]), 404);
	world_close(&w);
}

static void a_method_that_a_path_has_not_is_405(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_DELETE, "/auth/info", w.key[ALPHA]), 405);
	IS(ASK(&w, HTTP_HEAD, "/auth/info", w.key[ALPHA]), 405);
	IS(ASK(&w, HTTP_PATCH, "/platform/tokens/1", w.key[ALPHA], .body = "{}"), 405);
	IS(ASK(&w, HTTP_DELETE, "/platform/tokens", w.key[ALPHA]), 405);
	IS(ASK(&w, HTTP_OPTIONS, "/platform/tokens", w.key[ALPHA]), 405);
	world_close(&w);
}

/* ---- Rights ---- */
static void only_a_master_token_touches_the_platform(void)
{
	static const char *const bodies[] = {
		"[{\"access\":{\"type\":0}}]",
		"[{\"access\":{\"type\":2,\"acl\":[{\"uri\":\"mqtt\",\"topic\":\"#\",\"actions\":["
		"\"publish\",\"subscribe\"]},"
		"{\"uri\":\"mqtt\",\"submodules\":[{\"name\":\"logs\",\"methods\":[\"GET\"]}]}]}}]",
	};
	char key[TOKEN_KEY + 1];

	world_open(&w);
	for (size_t b = 0; b < ARRAY_LEN(bodies); b++) {
		IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[BETA], .body = bodies[b]), 200);
		(void)snprintf(key, sizeof(key), "%s", world_string(&w, 0, "key"));
		for (size_t i = 0; i < router_count; i++) {
			const struct route *route = &router_table[i];
			bool platform = strncmp(route->path, "/platform/", 10) == 0;
			unsigned status =
			    ASK(&w, route->method, path_of(route, "all"), key, .body = "[]");

			YES(platform ? status == 403 : status != 403);
		}
	}
	world_close(&w);
}

static void an_acl_token_reads_the_mqtt_log_only_with_that_right(void)
{
	char key[TOKEN_KEY + 1];

	world_open(&w);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[BETA],
	       .body = "[{\"access\":{\"type\":2,\"acl\":[{\"uri\":\"mqtt\",\"topic\":\"#\","
	               "\"actions\":[\"subscribe\"]}]}}]"),
	   200);
	(void)snprintf(key, sizeof(key), "%s", world_string(&w, 0, "key"));
	IS(ASK(&w, HTTP_GET, "/mqtt/logs", key), 403);
	world_close(&w);
}

/* ---- Somebody else's ---- */
static void snapshot(struct buf *out, unsigned customer)
{
	buf_reset(out);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?fields=id,cid,info,enabled,access,limits",
	       w.key[customer]),
	   200);
	buf_str_add(out, str_c(w.text));
	IS(ASK(&w, HTTP_GET, "/platform/customer", w.key[customer]), 200);
	buf_str_add(out, str_c(w.text));
}

/* Every route, with the ids of omega in the path, in a list, in a filter and in x-flespi-cid, by
 * alpha and by beta. Whatever is answered never tells of omega, and omega is as it was. */
static void no_route_shows_or_touches_a_foreign_customer(void)
{
	struct buf before = { 0 }, after = { 0 };
	char id[32], list[64], filter[32], quoted[64];

	world_open(&w);
	IS(ASK(&w, HTTP_PUT, "/platform/customer", w.key[OMEGA],
	       .body = "{\"name\":\"omega-secret\"}"),
	   200);
	IS(ASK(&w, HTTP_PUT, "/platform/tokens/all", w.key[OMEGA],
	       .body = "{\"info\":\"omega-secret\"}"),
	   200);
	snapshot(&before, OMEGA);
	(void)snprintf(id, sizeof(id), "%llu", (unsigned long long)w.id[OMEGA]);
	(void)snprintf(list, sizeof(list), "%llu,4,%llu", (unsigned long long)w.id[OMEGA],
	               (unsigned long long)w.id[GAMMA]);
	(void)snprintf(filter, sizeof(filter), "cid=%d", OMEGA);
	(void)snprintf(quoted, sizeof(quoted), "info=omega-secret");
	for (size_t i = 0; i < router_count; i++) {
		const char *const selectors[] = { id,     list, filter,
			                          quoted, "4",  "name=omega-secret",
			                          "all" };
		const struct route *route = &router_table[i];

		for (size_t s = 0; s < ARRAY_LEN(selectors); s++) {
			const char *path = path_of(route, selectors[s]);
			bool destroys = s == ARRAY_LEN(selectors) - 1 && route->method != HTTP_GET;

			if (!destroys) { /* `all` by PUT and DELETE would change the caller's own */
				(void)ASK(&w, route->method, path, w.key[BETA],
				          .body = "{\"enabled\":true}");
				NO(strstr(w.text, "omega-secret"));
			}
			if (!route->any_address)
				IS(ASK(&w, route->method, path, w.key[ALPHA], .cid = "4",
				       .body = "{\"enabled\":true}"),
				   404);
			NO(strstr(w.text, "omega-secret"));
		}
	}
	snapshot(&after, OMEGA);
	IS_BYTES(buf_str(&after), buf_str(&before));
	buf_free(&before);
	buf_free(&after);
	world_close(&w);
}

static void a_child_never_reaches_its_parent(void)
{
	char path[64];

	world_open(&w);
	(void)snprintf(path, sizeof(path), "/platform/tokens/%llu",
	               (unsigned long long)w.id[ALPHA]);
	IS(ASK(&w, HTTP_GET, path, w.key[BETA]), 404);
	IS(ASK(&w, HTTP_PUT, path, w.key[BETA], .body = "{\"enabled\":false}"), 404);
	IS(ASK(&w, HTTP_DELETE, path, w.key[BETA]), 404);
	IS(ASK(&w, HTTP_GET, "/platform/customer", w.key[BETA], .cid = "1"), 404);
	IS(ASK(&w, HTTP_GET, "/platform/subaccounts/1", w.key[BETA]), 404);
	IS(ASK(&w, HTTP_DELETE, "/platform/subaccounts/2", w.key[BETA]), 404); /* nor ends itself */
	IS(ASK(&w, HTTP_GET, "/auth/info", w.key[ALPHA]), 200);
	world_close(&w);
}

static void what_is_not_there_and_what_is_foreign_look_the_same(void)
{
	char missing[65536];

	world_open(&w);
	IS(ASK(&w, HTTP_GET, "/platform/customer", w.key[ALPHA], .cid = "99"), 404);
	(void)snprintf(missing, sizeof(missing), "%s", w.text);
	IS(ASK(&w, HTTP_GET, "/platform/customer", w.key[ALPHA], .cid = "4"), 404);
	YES(strcmp(missing, w.text) == 0);
	world_close(&w);
}

static void a_parent_sees_its_branch_and_acts_inside_it(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all", w.key[ALPHA]), 200);
	IS(world_items(&w), 3);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all", w.key[ALPHA], .cid = "2"), 200);
	IS(world_items(&w), 2);
	IS(ASK(&w, HTTP_GET, "/platform/subaccounts/all", w.key[ALPHA]), 200);
	IS(world_items(&w), 2);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .cid = "3", .body = "[{}]"), 200);
	IS(world_number(&w, 0, "cid"), GAMMA);
	world_close(&w);
}

static void the_cid_of_an_item_cannot_be_sent(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[BETA], .body = "[{\"cid\":4}]"), 400);
	IS(ASK(&w, HTTP_PUT, "/platform/tokens/all", w.key[BETA], .body = "{\"cid\":4}"), 400);
	IS(ASK(&w, HTTP_PUT, "/platform/tokens/all", w.key[BETA], .body = "{\"id\":4}"), 400);
	IS(ASK(&w, HTTP_POST, "/platform/subaccounts", w.key[BETA],
	       .body = "[{\"name\":\"x\",\"cid\":4}]"),
	   400);
	world_close(&w);
}

static void a_subaccount_cannot_lift_its_own_limits(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_PUT, "/platform/customer", w.key[BETA], .body = "{\"limits\":{}}"), 403);
	IS(ASK(&w, HTTP_PUT, "/platform/customer", w.key[BETA], .body = "{\"enabled\":true}"), 400);
	IS(ASK(&w, HTTP_PUT, "/platform/customer", w.key[BETA], .body = "{\"blocked\":0}"), 400);
	IS(ASK(&w, HTTP_PUT, "/platform/customer", w.key[BETA], .body = "{\"name\":\"new name\"}"),
	   200);
	world_close(&w);
}

/* ---- Form ---- */
static void json_is_taken_strictly(void)
{
	static const char *const bad[] = {
		"",
		"{",
		"[",
		"[]x",
		"[{}]]",
		"null",
		"17",
		"\"text\"",
		"[]",
		"{}",
		"[1]",
		"[null]",
		"[[]]",
		"[{\"info\":\"a\",\"info\":\"b\"}]",
		"[{\"info\":\"\\u0000\"}]",
		"[{\"info\":\"\\ud800\"}]",
		"[{\"ttl\":1e999}]",
		"[{\"ttl\":-1}]",
		"[{\"ttl\":1.5}]",
		"[{\"ttl\":\"1\"}]",
		"[{\"ttl\":99999999999999999999}]",
		"[{\"enabled\":1}]",
		"[{\"info\":7}]",
		"[{\"info\":null}]",
		"[{\"info\":\"a\\nb\"}]",
		"[{\"access\":[]}]",
		"[{\"access\":{\"type\":3}}]",
		"[{\"access\":{\"type\":1,\"more\":1}}]",
		"[{\"ips\":\"host\"}]",
		"[{\"certs\":[\"lamp\"]}]",
		"[{\"certs\":\"a,,b\"}]",
		"[{\"certs\":\"a, b\"}]",
		"[{\"certs\":null}]",
		"[{\"client_ids\":\"lamp\"}]",
		"[{\"client_ids\":[\"\"]}]",
		"[{\"client_ids\":[7]}]",
		"[{\"client_ids\":null}]",
		"[{\"limits\":{\"nope\":1}}]",
		"[{\"limits\":{\"mqtt_sessions\":-2}}]",
		"[{\"metadata\":{\"a\":1}}]",
		"[{\"key\":\"x\"}]",
		"[{\"accessed\":1}]",
		"[{},{\"nope\":1}]",
	};

	world_open(&w);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = bad[i]) != 400)
			(void)fprintf(stderr, "taken: %s -> %s\n", bad[i], w.text);
		IS(w.status, 400);
		YES(json_array_size(json_object_get(w.body, "errors")) == 1);
	}
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all", w.key[ALPHA]), 200);
	IS(world_items(&w), 3);
	world_close(&w);
}

static void deep_nesting_is_refused(void)
{
	char deep[5000];

	world_open(&w);
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = deep), 400);
	world_close(&w);
}

static void an_unknown_field_gets_a_hint_of_those_that_can_be_set(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_PUT, "/platform/tokens/all", w.key[ALPHA], .body = "{\"colour\":\"red\"}"),
	   400);
	YES(json_is_array(json_object_get(w.body, "schema_hint")));
	CONTAINS(w.text, "\"ttl\"");
	CONTAINS(w.text, "colour");
	NO(strstr(w.text, "\"created\""));
	world_close(&w);
}

static void a_body_of_another_type_is_415(void)
{
	static const char *const types[] = { "text/plain", "", "application/x-www-form-urlencoded",
		                             "application/jsonx", "text/plain; application/json" };

	world_open(&w);
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "[{}]",
		       .type = types[i]),
		   415);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "[{}]",
	       .type = "Application/JSON; charset=utf-8"),
	   200);
	world_close(&w);
}

static void a_batch_with_one_bad_item_makes_none(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA],
	       .body = "[{\"info\":\"x\"},{\"expire\":5}]"),
	   400);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=x", w.key[ALPHA]), 404);
	IS(w.sent_count, 0);
	world_close(&w);
}

static void some_of_a_selector_may_be_missing(void)
{
	char path[64];

	world_open(&w);
	(void)snprintf(path, sizeof(path), "/platform/tokens/%llu,%llu,9999",
	               (unsigned long long)w.id[BETA], (unsigned long long)w.id[BETA]);
	IS(ASK(&w, HTTP_GET, path, w.key[ALPHA]), 200);
	IS(world_items(&w), 1);
	IS(json_array_size(json_object_get(w.body, "errors")), 1);
	CONTAINS(w.text, "\"id\":9999");
	world_close(&w);
}

static void tokens_and_subaccounts_have_a_most(void)
{
	world_open(&w);
	w.config.tokens_per_customer = 3;
	w.config.subaccounts_per_customer = 2;
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "[{},{},{}]"), 403);
	IS(ASK(&w, HTTP_GET, "/platform/customer", w.key[ALPHA]), 200);
	CONTAINS(w.text, "\"tokens_count\":1"); /* none of the three */
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "[{},{}]"), 200);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "[{}]"), 403);
	IS(ASK(&w, HTTP_POST, "/platform/subaccounts", w.key[ALPHA], .body = "[{\"name\":\"a\"}]"),
	   200);
	IS(ASK(&w, HTTP_POST, "/platform/subaccounts", w.key[ALPHA], .body = "[{\"name\":\"b\"}]"),
	   403);
	world_close(&w);
}

static void a_customer_has_a_most_of_tokens_and_subaccounts_of_its_own(void)
{
	world_open(&w);
	w.config.tokens_per_customer = 2;
	IS(ASK(&w, HTTP_PUT, "/platform/subaccounts/2", w.key[ALPHA],
	       .body = "{\"limits\":{\"tokens_count\":3,\"subaccounts_count\":1}}"),
	   200);
	/* the operator gave more than the setting */
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[BETA], .body = "[{},{}]"), 200);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[BETA], .body = "[{}]"), 403);
	CONTAINS(w.text, "the customer may have 3 tokens");
	/* gamma is there already; below it the same number holds for each */
	IS(ASK(&w, HTTP_POST, "/platform/subaccounts", w.key[BETA], .body = "[{\"name\":\"b\"}]"),
	   403);
	IS(ASK(&w, HTTP_POST, "/platform/subaccounts", w.key[GAMMA],
	       .body = "[{\"name\":\"c\"},{\"name\":\"d\"}]"),
	   403);
	IS(ASK(&w, HTTP_POST, "/platform/subaccounts", w.key[GAMMA], .body = "[{\"name\":\"c\"}]"),
	   200);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA],
	       .body = "[{\"limits\":{\"tokens_count\":3}}]"),
	   400); /* of a customer only */
	world_close(&w);
}

static void there_are_four_levels_of_subaccounts_and_no_fifth(void)
{
	char cid[32] = "3";

	world_open(&w);
	for (int level = 3; level <= 4; level++) {
		IS(ASK(&w, HTTP_POST, "/platform/subaccounts", w.key[ALPHA], .cid = cid,
		       .body = "[{\"name\":\"deeper\"}]"),
		   200);
		(void)snprintf(cid, sizeof(cid), "%lld", (long long)world_number(&w, 0, "id"));
	}
	IS(ASK(&w, HTTP_POST, "/platform/subaccounts", w.key[ALPHA], .cid = cid,
	       .body = "[{\"name\":\"too deep\"}]"),
	   403);
	world_close(&w);
}

static void an_access_or_metadata_that_is_too_large_is_refused(void)
{
	char body[2000];

	world_open(&w);
	(void)snprintf(body, sizeof(body), "[{\"metadata\":{\"a\":\"%01200d\"}}]", 1);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = body), 400);
	w.config.access_bytes = 9;
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA],
	       .body = "[{\"access\":{\"type\":1}}]"),
	   400);
	world_close(&w);
}

/* ---- CORS ---- */
static bool answers_origin(const char *origins, const char *origin, enum http_method method,
                           unsigned *status)
{
	struct http_req req = { .method = method,
		                .path = STR("/auth/info"),
		                .origin = str_c(origin),
		                .preflight = true };
	struct http_resp resp = { 0 };
	bool found = false;

	w.config.cors_origins = (char *)(uintptr_t)origins;
	router_handle(&w.rest, &req, &resp);
	for (size_t i = 0; i < resp.header_count; i++)
		found = found || strcmp(resp.headers[i].name, "access-control-allow-origin:") == 0;
	*status = resp.status;
	buf_free(&resp.body);
	return found;
}

static void only_listed_origins_are_answered(void)
{
	static const char *const evil[] = { "https://evil",
		                            "null",
		                            "https://good.example.evil",
		                            "https://good.exampl",
		                            "HTTPS://good.example",
		                            "https://good.example/",
		                            "https://good.example:443",
		                            "",
		                            "*",
		                            "https://good.example,https://b" };
	unsigned status;

	world_open(&w);
	for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
		NO(answers_origin("https://good.example, https://b", evil[i], HTTP_OPTIONS,
		                  &status));
		IS(status, 401);
	}
	YES(answers_origin("https://good.example, https://b", "https://good.example", HTTP_OPTIONS,
	                   &status));
	IS(status, 204);
	YES(answers_origin("https://good.example, https://b", "https://b", HTTP_GET, &status));
	IS(status, 401);
	NO(answers_origin(NULL, "https://good.example", HTTP_OPTIONS, &status));
	w.config.cors_origins = NULL;
	world_close(&w);
}

/* ---- Logs ---- */
static void the_past_of_the_log_is_501_and_says_what_is_possible(void)
{
	static const char *const paths[] = { "/platform/customer/logs", "/mqtt/logs",
		                             "/platform/tokens/1/logs",
		                             "/platform/subaccounts/2/logs" };

	world_open(&w);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		IS(ASK(&w, HTTP_GET, paths[i], w.key[ALPHA]), 501);
		CONTAINS(w.text, "follow=1");
	}
	world_close(&w);
}

/* ---- Calls per minute ---- */

static unsigned calls(unsigned customer, unsigned n)
{
	unsigned fine = 0;

	for (unsigned i = 0; i < n; i++)
		fine += ASK(&w, HTTP_GET, "/platform/customer?fields=id", w.key[customer]) == 200;
	return fine;
}

static void a_token_has_a_minutes_calls_and_gets_them_back_in_a_minute(void)
{
	world_open(&w);
	w.config.api_calls_per_token = 60;
	IS(calls(ALPHA, 100), 60);
	IS(w.status, 429);
	YES(strstr(w.text, "more than 60 calls in a minute"));
	IS(calls(OMEGA, 1), 1);
	clock_shift(5000, 5000);
	IS(calls(ALPHA, 100), 5);
	clock_shift(500000, 500000);
	IS(calls(ALPHA, 100), 60);
	IS(w.rest.calls.buckets.count, 1); /* omega's is full again, and forgotten */
	clock_shift(0, 0);
	world_close(&w);
}

static void all_tokens_of_a_customer_share_its_calls_and_others_do_not(void)
{
	world_open(&w);
	w.config.api_calls_per_customer = 10;
	IS(calls(BETA, 20), 10);
	IS(calls(GAMMA, 20), 10); /* an account below counts by itself */
	IS(calls(ALPHA, 5), 5);
	IS(w.rest.calls.refused, 20);
	IS(ASK(&w, HTTP_PUT, "/platform/subaccounts/3", w.key[ALPHA],
	       .body = "{\"limits\":{\"api_calls\":0}}"),
	   200);
	clock_shift(3600000, 0);
	IS(calls(GAMMA, 5), 0); /* nothing is allowed */
	IS(calls(BETA, 5), 5);
	clock_shift(0, 0);
	world_close(&w);
}

static void a_call_counts_whatever_comes_of_it_but_not_what_proxies_ask(void)
{
	world_open(&w);
	w.config.api_calls_per_token = 3;
	for (int i = 0; i < 10; i++)
		IS(ASK(&w, HTTP_GET, "/auth/info", w.key[ALPHA]), 200);
	IS(ASK(&w, HTTP_GET, "/nowhere", w.key[ALPHA]), 404);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "nonsense"), 400);
	IS(ASK(&w, HTTP_GET, "/platform/customer", w.key[ALPHA]), 200);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "[{\"ttl\":60}]"), 429);
	IS(world_items(&w), 0);
	IS(ASK(&w, HTTP_GET, "/nowhere", w.key[ALPHA]), 429);
	IS(ASK(&w, HTTP_GET, "/auth/info", w.key[ALPHA]), 200);
	world_close(&w);
}

RUN(a_customer_has_a_most_of_tokens_and_subaccounts_of_its_own,
    a_token_has_a_minutes_calls_and_gets_them_back_in_a_minute,
    all_tokens_of_a_customer_share_its_calls_and_others_do_not,
    a_call_counts_whatever_comes_of_it_but_not_what_proxies_ask, every_route_without_a_token_is_401,
    a_path_that_does_not_exist_looks_the_same_without_a_token,
    a_path_that_does_not_exist_is_404_with_a_token, a_method_that_a_path_has_not_is_405,
    only_a_master_token_touches_the_platform, an_acl_token_reads_the_mqtt_log_only_with_that_right,
    no_route_shows_or_touches_a_foreign_customer, a_child_never_reaches_its_parent,
    what_is_not_there_and_what_is_foreign_look_the_same,
    a_parent_sees_its_branch_and_acts_inside_it, the_cid_of_an_item_cannot_be_sent,
    a_subaccount_cannot_lift_its_own_limits, json_is_taken_strictly, deep_nesting_is_refused,
    an_unknown_field_gets_a_hint_of_those_that_can_be_set, a_body_of_another_type_is_415,
    a_batch_with_one_bad_item_makes_none, some_of_a_selector_may_be_missing,
    tokens_and_subaccounts_have_a_most, there_are_four_levels_of_subaccounts_and_no_fifth,
    an_access_or_metadata_that_is_too_large_is_refused, only_listed_origins_are_answered,
    the_past_of_the_log_is_501_and_says_what_is_possible)
