/* admin_events.c - what a change tells the customer's log and the proxies. */
#include "base/base.h"
#include "tests/unit/admin_help.h"

static struct world w;

/* The n-th message: its topic; *payload is parsed and new. */
static struct str sent(unsigned n, json_t **payload)
{
	struct str rest = buf_str(&w.sent), line;
	const char *end, *space;
	char why[100];

	for (unsigned i = 0;; i++) {
		end = memchr(rest.p, '\n', rest.n);
		MUST(end);
		line = str_make(rest.p, (size_t)(end - rest.p));
		rest = str_skip(rest, line.n + 1);
		if (i == n)
			break;
	}
	space = memchr(line.p, ' ', line.n);
	MUST(space);
	IS(json_read(payload, str_skip(line, (size_t)(space - line.p) + 1), 1 << 20, 32, why,
	             sizeof(why)),
	   0);
	return str_make(line.p, (size_t)(space - line.p));
}

static int64_t number(const json_t *o, const char *name)
{
	return (int64_t)json_integer_value(json_object_get(o, name));
}

static void a_created_token_is_a_record_and_a_push_in_its_customers_name(void)
{
	json_t *o;
	struct token_info info;
	char why[200], topic[100];
	long long id;

	world_open(&w);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .cid = "2",
	       .body = "[{\"info\":\"x\",\"access\":{\"type\":1}}]"),
	   200);
	IS(w.sent_count, 2);
	id = world_number(&w, 0, "id");
	(void)snprintf(topic, sizeof(topic), "customer/2/flespi/log/platform/tokens/%lld/created",
	               id);
	IS_BYTES(sent(0, &o), str_c(topic));
	IS(number(o, "event_code"), 1);
	IS(number(o, "origin_type"), 33);
	IS(number(o, "origin_id"), id);
	IS(number(o, "token_id"), 1);
	YES(json_is_real(json_object_get(o, "timestamp")));
	IS(number(json_object_get(o, "new"), "id"), id);
	NO(json_object_get(o, "old"));
	json_decref(o);
	(void)snprintf(topic, sizeof(topic), "mbus/token/2/%lld", id);
	IS_BYTES(sent(1, &o), str_c(topic));
	IS(token_info_read(&info, o, why, sizeof(why)), 0); /* as the proxy reads it */
	IS(info.customer, BETA);
	token_info_free(&info);
	json_decref(o);
	world_close(&w);
}

static void an_update_tells_before_and_after(void)
{
	json_t *o;

	world_open(&w);
	IS(ASK(&w, HTTP_PUT, "/platform/tokens/3", w.key[ALPHA], .body = "{\"enabled\":false}"),
	   200);
	IS_STR(sent(0, &o), "customer/3/flespi/log/platform/tokens/3/updated");
	IS(number(o, "event_code"), 2);
	YES(json_is_true(json_object_get(json_object_get(o, "old"), "enabled")));
	YES(json_is_false(json_object_get(json_object_get(o, "new"), "enabled")));
	json_decref(o);
	IS_STR(sent(1, &o), "mbus/token/3/3");
	YES(json_is_false(json_object_get(o, "enabled")));
	json_decref(o);
	world_close(&w);
}

static void a_deletion_tells_that_it_is_gone(void)
{
	json_t *o;

	world_open(&w);
	IS(ASK(&w, HTTP_DELETE, "/platform/tokens/3", w.key[ALPHA]), 200);
	IS_STR(sent(0, &o), "customer/3/flespi/log/platform/tokens/3/deleted");
	IS(number(o, "event_code"), 3);
	json_decref(o);
	IS_STR(sent(1, &o), "mbus/token/3/3");
	YES(json_is_true(json_object_get(o, "deleted")));
	IS(number(o, "id"), 3);
	IS(number(o, "cid"), 3);
	json_decref(o);
	world_close(&w);
}

static void a_blocked_subaccount_is_pushed_for_all_of_its_branch(void)
{
	json_t *o;

	world_open(&w);
	IS(ASK(&w, HTTP_PUT, "/platform/subaccounts/2", w.key[ALPHA], .body = "{\"blocked\":1}"),
	   200);
	IS(w.sent_count, 3);
	IS_STR(sent(0, &o), "mbus/customer/2");
	json_decref(o);
	IS_STR(sent(1, &o), "mbus/customer/3");
	IS(number(o, "cid"), 3);
	json_decref(o);
	IS_STR(sent(2, &o), "customer/1/flespi/log/platform/subaccounts/2/updated");
	IS(number(o, "origin_type"), 5);
	json_decref(o);
	world_close(&w);
}

/* A proxy takes the same push within a moment for the same change, heard twice. */
static void two_changes_of_a_customer_are_two_pushes(void)
{
	json_t *first, *second;

	world_open(&w);
	IS(ASK(&w, HTTP_PUT, "/platform/customer", w.key[GAMMA],
	       .body = "{\"flespi_extensions\":true}"),
	   200);
	IS_STR(sent(0, &first), "mbus/customer/3");
	IS(ASK(&w, HTTP_PUT, "/platform/customer", w.key[GAMMA],
	       .body = "{\"flespi_extensions\":false}"),
	   200);
	IS_STR(sent(w.sent_count - 2, &second), "mbus/customer/3");
	NO(json_equal(first, second));
	json_decref(first);
	json_decref(second);
	world_close(&w);
}

static void a_new_name_needs_no_push(void)
{
	json_t *o;

	world_open(&w);
	IS(ASK(&w, HTTP_PUT, "/platform/customer", w.key[BETA], .body = "{\"name\":\"new\"}"), 200);
	IS(w.sent_count, 1);
	IS_STR(sent(0, &o), "customer/2/flespi/log/platform/customer/2/updated");
	IS(number(o, "origin_type"), 1);
	json_decref(o);
	world_close(&w);
}

static void limits_of_the_own_account_are_pushed_for_the_whole_branch(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_PUT, "/platform/customer", w.key[ALPHA],
	       .body = "{\"limits\":{\"mqtt_sessions\":1}}"),
	   200);
	CONTAINS(world_sent(&w), "mbus/customer/1 ");
	CONTAINS(world_sent(&w), "mbus/customer/3 ");
	world_close(&w);
}

static void a_deleted_subaccount_is_pushed_for_all_that_went_with_it(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_DELETE, "/platform/subaccounts/2", w.key[ALPHA]), 200);
	CONTAINS(world_sent(&w), "mbus/customer/2 ");
	CONTAINS(world_sent(&w), "mbus/customer/3 ");
	CONTAINS(world_sent(&w), "customer/1/flespi/log/platform/subaccounts/2/deleted ");
	IS(ASK(&w, HTTP_GET, "/auth/info", w.key[GAMMA]), 401);
	world_close(&w);
}

static void a_refused_change_tells_nothing(void)
{
	world_open(&w);
	IS(ASK(&w, HTTP_PUT, "/platform/tokens/3", w.key[ALPHA], .body = "{\"expire\":5}"), 400);
	IS(ASK(&w, HTTP_DELETE, "/platform/tokens/4", w.key[ALPHA]), 404);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all", w.key[ALPHA]), 200);
	IS(w.sent_count, 0);
	world_close(&w);
}

RUN(a_created_token_is_a_record_and_a_push_in_its_customers_name, an_update_tells_before_and_after,
    a_deletion_tells_that_it_is_gone, a_blocked_subaccount_is_pushed_for_all_of_its_branch,
    two_changes_of_a_customer_are_two_pushes, a_new_name_needs_no_push,
    limits_of_the_own_account_are_pushed_for_the_whole_branch,
    a_deleted_subaccount_is_pushed_for_all_that_went_with_it, a_refused_change_tells_nothing)
