/* router.c - the table of routes, and the checks that stand before every one of them (router.h). */
#include "base/base.h"
#include "admin/router.h"

#include <stdio.h>
#include <strings.h>

#include "acl/verdict.h"
#include "base/thread.h"

#define TOKENS      "platform/tokens"
#define SUBACCOUNTS "platform/subaccounts"
#define CUSTOMER    "platform/customer"

/* The first path that fits decides, so longer ones stand before those with a '*' that would take
 * them in. */
const struct route router_table[] = {
	{ HTTP_GET, "/auth/info", NULL, "", true, rest_auth_info },
	{ HTTP_GET, "/platform/tokens/*/logs", TOKENS, "logs", false, rest_logs_history },
	{ HTTP_POST, "/platform/tokens", TOKENS, "", false, rest_tokens_post },
	{ HTTP_GET, "/platform/tokens/*", TOKENS, "", false, rest_tokens_get },
	{ HTTP_PUT, "/platform/tokens/*", TOKENS, "", false, rest_tokens_put },
	{ HTTP_DELETE, "/platform/tokens/*", TOKENS, "", false, rest_tokens_delete },
	{ HTTP_GET, "/platform/subaccounts/*/logs", SUBACCOUNTS, "logs", false, rest_logs_history },
	{ HTTP_POST, "/platform/subaccounts", SUBACCOUNTS, "", false, rest_subaccounts_post },
	{ HTTP_GET, "/platform/subaccounts/*", SUBACCOUNTS, "", false, rest_subaccounts_get },
	{ HTTP_PUT, "/platform/subaccounts/*", SUBACCOUNTS, "", false, rest_subaccounts_put },
	{ HTTP_DELETE, "/platform/subaccounts/*", SUBACCOUNTS, "", false, rest_subaccounts_delete },
	{ HTTP_GET, "/platform/customer", CUSTOMER, "", false, rest_customer_get },
	{ HTTP_PUT, "/platform/customer", CUSTOMER, "", false, rest_customer_put },
	{ HTTP_GET, "/platform/customer/logs", CUSTOMER, "logs", false, rest_logs_platform },
	{ HTTP_GET, "/mqtt/logs", "mqtt", "logs", false, rest_logs_mqtt },
};
const size_t router_count = ARRAY_LEN(router_table);

/* ---- CORS: nothing is said to origins that are not listed (attack M06) ---- */
#define CORS_METHODS "GET, POST, PUT, PATCH, DELETE"
#define CORS_HEADERS "Authorization, Content-Type, x-flespi-app, x-flespi-cid, x-flespi-trace"

static bool add_cors(struct rest *r, const struct http_req *req, struct http_resp *resp)
{
	if (!config_origin_listed(r->config->cors_origins, req->origin))
		return false;
	http_header(resp, "access-control-allow-origin:", req->origin);
	http_header(resp, "vary:", STR("Origin"));
	return true;
}

/* A browser asks this without the token, before it sends one. The answer tells what is the same for
 * all. */
static void answer_preflight(struct http_resp *resp)
{
	http_header(resp, "access-control-allow-methods:", STR(CORS_METHODS));
	http_header(resp, "access-control-allow-headers:", STR(CORS_HEADERS));
	http_header(resp, "access-control-max-age:", STR("600"));
	resp->status = 204;
}

/* ---- Finding the route ---- */
static bool path_fits(const char *pattern, struct str path, struct str *selector)
{
	struct str p = str_c(pattern), before, after;
	const char *star = strchr(pattern, '*');

	if (!star)
		return str_eq(p, path);
	before = str_make(p.p, (size_t)(star - pattern));
	after = str_skip(p, before.n + 1);
	if (path.n <= before.n + after.n || !str_starts(path, before) ||
	    !str_eq(str_skip(path, path.n - after.n), after))
		return false;
	*selector = str_make(path.p + before.n, path.n - before.n - after.n);
	return true;
}

static void say_allowed(struct call *c, const char *path)
{
	char *out = c->resp->allow;
	size_t n = 0;

	for (size_t i = 0; i < router_count; i++) {
		if (strcmp(router_table[i].path, path) == 0)
			n += (size_t)snprintf(out + n, sizeof(c->resp->allow) - n, "%s%s",
			                      n ? ", " : "",
			                      http_method_name(router_table[i].method));
		MUST(n < sizeof(c->resp->allow)); /* of our table */
	}
	http_header(c->resp, "allow:", str_c(out));
}

static const struct route *find_route(struct call *c)
{
	const struct route *fits = NULL;

	for (size_t i = 0; i < router_count; i++) {
		const struct route *route = &router_table[i];

		if (fits ? strcmp(route->path, fits->path) != 0
		         : !path_fits(route->path, c->req->path, &c->selector))
			continue;
		if (route->method == c->req->method)
			return route;
		fits = route;
	}
	if (fits) {
		say_allowed(c, fits->path);
		call_fail(c, REST_METHOD, 0, "%s is not possible here",
		          http_method_name(c->req->method));
	} else {
		call_fail(c, REST_NOT_FOUND, 0, "there is no such path");
	}
	return NULL;
}

/* ---- Checks ---- */
static bool check_right(struct call *c, const struct route *route)
{
	if (!route->uri || rest_may(c->rest, &c->caller, route->uri, route->submodule,
	                            http_method_name(route->method)))
		return true;
	call_fail(c, REST_FORBIDDEN, 0, "the token's access does not allow %s on %s",
	          http_method_name(route->method), route->uri);
	return false;
}

static bool check_address(struct call *c, const struct route *route)
{
	const char *ips = json_string_value(json_object_get(c->caller.object, "ips"));
	const char *certs = json_string_value(json_object_get(c->caller.object, "certs"));

	if (route->any_address)
		return true;
	if (ips && *ips && !token_ips_allow(ips, c->req->peer)) {
		call_fail(c, REST_FORBIDDEN, 0, "the token may not be used from this address");
		return false;
	}
	/* nobody shows one here */
	if (certs && *certs) {
		call_fail(c, REST_FORBIDDEN, 0,
		          "the token may be used with a client certificate only");
		return false;
	}
	return true;
}

/* x-flespi-cid: the caller's own account or one below it; what is not there and what is somebody
 * else's look the same (M02). */
static bool choose_scope(struct call *c)
{
	uint64_t cid;
	int err;

	c->scope = c->caller.cid;
	if (!c->req->has_cid)
		return true;
	if (!str_to_u64(c->req->cid, &cid) || cid == 0 || cid > INT64_MAX) {
		call_fail(c, REST_BAD_REQUEST, 0, "x-flespi-cid must be the id of an account");
		return false;
	}
	err = customers_within(c->rest->db, c->caller.cid, cid);
	if (err == -E_NOTFOUND)
		call_fail(c, REST_NOT_FOUND, 0, "there is no such account");
	else if (err)
		call_fail_store(c, err);
	c->scope = cid;
	return !err;
}

/* A form of another site can send text/plain or a form, never this type (attack M05). */
static bool check_content_type(struct call *c)
{
	struct str type = c->req->content_type, wanted = STR("application/json");

	if (c->req->method != HTTP_POST && c->req->method != HTTP_PUT)
		return true;
	if (type.n >= wanted.n && strncasecmp(type.p, wanted.p, wanted.n) == 0 &&
	    (type.n == wanted.n || type.p[wanted.n] == ';' || type.p[wanted.n] == ' '))
		return true;
	call_fail(c, REST_CONTENT_TYPE, 0, "the body must be application/json");
	return false;
}

/* A call counts as one whatever comes of it, as soon as we know whose it is and before anything
 * else is done for it; once, though it is looked at twice when it has a body. Not by /auth/info,
 * where proxies ask for their clients: their own limit is mqtt_connects. */
static bool count(struct call *c)
{
	if (!c->caller.id || c->resp->counted || str_eq(c->req->path, STR("/auth/info")))
		return true;
	c->resp->counted = true;
	return rest_count(c);
}

/* Who, then what, then whether: nobody learns which paths exist without a token. NULL: the answer
 * says why not. */
static const struct route *admit(struct call *c)
{
	const struct route *route;
	bool good = rest_authenticate(c);

	if (!count(c) || !good)
		return NULL;
	route = find_route(c);
	if (!route || !check_address(c, route) || !check_right(c, route) || !choose_scope(c) ||
	    !check_content_type(c))
		return NULL;
	return route;
}

/* Values of a body: jansson takes about a microsecond for each, in one go, and a body may be half a
 * million of them. Twelve of the largest access lists have 106,000. */
enum { BODY_VALUES = 120000 };

static bool read_body(struct call *c)
{
	char why[160];
	int err;

	if (c->req->method != HTTP_POST && c->req->method != HTTP_PUT)
		return true;
	if (json_size(c->req->body) > BODY_VALUES) {
		call_fail(c, REST_BAD_REQUEST, 0,
		          "the body has more than %d values: change fewer objects in one call",
		          BODY_VALUES);
		return false;
	}
	err = json_read(&c->body, c->req->body, (size_t)c->rest->config->body_max, JSON_DEPTH, why,
	                sizeof(why));
	thread_give_way();
	if (!err)
		return true;
	call_fail(c, err == -E_NOMEM ? REST_INTERNAL : REST_BAD_REQUEST, 0,
	          "the body is not JSON we take: %s", why);
	return false;
}

/* ---- The two calls of http.c ---- */
static struct call call_make(struct rest *r, const struct http_req *req, struct http_resp *resp)
{
	return (struct call){ .rest = r, .req = req, .resp = resp };
}

bool router_admits(struct rest *r, const struct http_req *req, struct http_resp *resp)
{
	struct call c = call_make(r, req, resp);
	bool good = admit(&c) != NULL;

	if (!good) {
		(void)add_cors(r, req, resp);
		call_finish(&c);
		return false;
	}
	token_row_free(&c.caller);
	return true;
}

/* Everything is checked anew once the body is here: it may have taken its time, and the token may
 * be gone. */
void router_handle(struct rest *r, const struct http_req *req, struct http_resp *resp)
{
	struct call c = call_make(r, req, resp);
	const struct route *route;

	if (add_cors(r, req, resp) && req->method == HTTP_OPTIONS && req->preflight) {
		answer_preflight(resp);
		return;
	}
	route = admit(&c);
	if (route) {
		tokens_touch(r->tokens, &c.caller);
		if (read_body(&c))
			route->run(&c);
	}
	call_finish(&c);
}
