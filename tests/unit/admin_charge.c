/* admin_charge.c - what a call costs its token, and when: before anything is done for it. */
#include "base/base.h"
#include "tests/unit/admin_help.h"

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

RUN(a_head_whose_body_never_comes_is_charged, a_call_with_a_body_is_charged_once)
