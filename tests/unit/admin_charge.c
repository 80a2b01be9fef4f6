/* admin_charge.c - what a call costs its token, and when: before anything is done for it. */
#include "base/base.h"
#include "tests/unit/admin_help.h"

#include "base/mem.h"

static struct world w;

static struct http_req post(void)
{
	return (struct http_req){ .method = HTTP_POST,
		                  .path = STR("/platform/tokens"),
		                  .has_authorization = true,
		                  .authorization = str_c(w.key[ALPHA]),
		                  .content_type = STR("application/json"),
		                  .peer = STR("127.0.0.1"),
		                  .body = STR("[{}]") };
}

static void a_head_whose_body_never_comes_is_charged(void)
{
	struct http_req req;

	world_open(&w);
	w.config.api_calls_per_token = 3;
	req = post();
	for (int i = 0; i < 5; i++) {
		struct http_resp resp = { 0 };

		IS(router_admits(&w.rest, &req, &resp), i < 3);
		if (i >= 3)
			IS(resp.status, 429);
		buf_free(&resp.body);
	}
	world_close(&w);
}

static void a_call_with_a_body_is_charged_once(void)
{
	struct http_req req;

	world_open(&w);
	w.config.api_calls_per_token = 3;
	req = post();
	for (int i = 0; i < 4; i++) {
		struct http_resp resp = { 0 };

		if (router_admits(&w.rest, &req, &resp))
			router_handle(&w.rest, &req, &resp);
		IS(resp.status, i < 3 ? 200 : 429);
		buf_free(&resp.body);
	}
	world_close(&w);
}

/* ---- Long access lists ---- */
enum { GRANTS = 400, READING = 16 * GRANTS /* allocations of reading the list once */ };
static char list[GRANTS * 64 + 100];

static void write_list(int from)
{
	size_t n = (size_t)snprintf(list, sizeof(list), "{\"access\":{\"type\":2,\"acl\":[");

	for (int i = 0; i < GRANTS; i++)
		n += (size_t)snprintf(
		    list + n, sizeof(list) - n,
		    "%s{\"uri\":\"mqtt\",\"topic\":\"%d\",\"actions\":[\"subscribe\"]}",
		    i ? "," : "", from + i);
	n += (size_t)snprintf(list + n, sizeof(list) - n,
	                      ",{\"uri\":\"mqtt\",\"submodules\":[{\"name\":\"logs\","
	                      "\"methods\":[\"GET\"]}]}]}}");
	MUST(n < sizeof(list));
}

/* Allocations that a call takes. */
static unsigned long cost(enum http_method method, const char *path, const char *key,
                          const char *body, unsigned status)
{
	struct http_req req = { .method = method,
		                .path = str_c(path),
		                .has_authorization = true,
		                .authorization = str_c(key),
		                .content_type = STR("application/json"),
		                .peer = STR("127.0.0.1"),
		                .body = str_c(body) };
	struct http_resp resp = { 0 };
	unsigned long n;

	mem_fail_at(0, false);
	router_handle(&w.rest, &req, &resp);
	n = mem_count();
	IS(resp.status, status);
	buf_free(&resp.body);
	return n;
}

static void a_long_access_list_is_read_once_when_it_is_set_and_never_when_it_is_asked_for(void)
{
	char key[TOKEN_KEY + 1], path[100];

	world_open(&w);
	w.config.access_bytes = 65536;
	write_list(1000);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "[{}]"), 200);
	(void)snprintf(key, sizeof(key), "%s", world_string(&w, 0, "key"));
	(void)snprintf(path, sizeof(path), "/platform/tokens/%lld",
	               (long long)world_number(&w, 0, "id"));
	for (int i = 0; i < 3; i++) {
		write_list(1000 + i);
		YES(cost(HTTP_PUT, path, w.key[ALPHA], list, 200) < READING * 3 / 2);
		YES(cost(HTTP_GET, "/auth/info", key, "", 200) < READING / 4);
	}
	/* what it allows over REST is remembered */
	(void)cost(HTTP_GET, "/platform/customer", key, "", 403);
	YES(cost(HTTP_GET, "/platform/customer", key, "", 403) < READING / 4);
	YES(cost(HTTP_GET, "/mqtt/logs", key, "", 501) < READING / 4);
	IS(ASK(&w, HTTP_PUT, path, w.key[ALPHA], .body = "{\"access\":{\"type\":2,\"acl\":[]}}"),
	   200);
	(void)cost(HTTP_GET, "/mqtt/logs", key, "", 403);
	world_close(&w);
}

RUN(a_head_whose_body_never_comes_is_charged, a_call_with_a_body_is_charged_once,
    a_long_access_list_is_read_once_when_it_is_set_and_never_when_it_is_asked_for)
