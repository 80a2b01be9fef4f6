/* rest_auth.c - who is calling, whether the token is good now, and GET /auth/info, by which proxies
 * ask that on behalf of their clients. */
#include "base/base.h"
#include "admin/rest.h"

#include <inttypes.h>

#include "acl/limits.h"
#include "base/clock.h"
#include "wire/token.h"

static const char blocked_words[] = "the customer is blocked or disabled";

int rest_judge(struct rest *r, const struct token_row *t, const char **why)
{
	bool blocked = true;
	int err;

	*why = NULL;
	if (!t->enabled)
		*why = "the token is disabled";
	else if (t->ends && t->ends <= clock_wall_ms() / 1000)
		*why = "the token has expired";
	if (*why)
		return -E_DENIED;
	err = customers_blocked(r->db, t->cid, &blocked);
	if (err && err != -E_NOTFOUND)
		return err;
	if (!err && !blocked)
		return 0;
	*why = blocked_words;
	return -E_DENIED;
}

bool rest_authenticate(struct call *c)
{
	const char *why;
	int err;

	if (!c->req->has_authorization) {
		call_fail(c, REST_NO_TOKEN, 0,
		          "no token: send the header `Authorization: FlespiToken KEY`");
		return false;
	}
	err = tokens_find(c->rest->tokens, c->req->authorization, &c->caller);
	if (err == -E_NOTFOUND) {
		call_fail(c, REST_NO_TOKEN, 0, "the token is not valid");
		return false;
	}
	if (!err)
		err = rest_judge(c->rest, &c->caller, &why);
	if (err == -E_DENIED)
		call_fail_caller(c, REST_FORBIDDEN, why, why == blocked_words);
	else if (err)
		call_fail_store(c, err);
	return !err;
}

/* server_limits, customer_limits and limits, as acl/limits.h reads them; empty ones are left out,
 * but for the token's own. own: the token's; NULL: of the customer alone. */
static int add_limits(struct rest *r, uint64_t cid, const json_t *own, json_t *object)
{
	json_t *given = json_object(), *lowest = json_object(),
	       *limits = own ? json_copy((json_t *)(uintptr_t)own) : json_object();
	int err = -E_NOMEM;

	if (given && lowest && limits)
		err = customers_limits(r->db, cid, given, lowest);
	if (!err)
		err = limits_lower(limits, lowest);
	if (!err &&
	    (json_object_set(object, "limits", limits) ||
	     (json_object_size(lowest) && json_object_set(object, "customer_limits", lowest)) ||
	     (json_object_size(given) && json_object_set(object, "server_limits", given))))
		err = -E_NOMEM;
	json_decref(given);
	json_decref(lowest);
	json_decref(limits);
	return err;
}

int rest_auth_object(struct rest *r, const struct token_row *t, json_t **out)
{
	json_t *object = json_copy(t->object);
	bool blocked = true, extensions = false;
	int err =
	    object ? add_limits(r, t->cid, json_object_get(t->object, "limits"), object) : -E_NOMEM;

	if (!err)
		err = customers_blocked(r->db, t->cid, &blocked);
	if (!err && json_object_set_new(object, "blocked", json_boolean(blocked)))
		err = -E_NOMEM;
	if (!err)
		err = customers_extensions(r->db, t->cid, &extensions);
	if (!err && json_object_set_new(object, "flespi_extensions", json_boolean(extensions)))
		err = -E_NOMEM;
	if (err) {
		json_decref(object);
		return err;
	}
	*out = object;
	return 0;
}

/* What holds is read from what a proxy would be told. */
static int limits_of(struct rest *r, uint64_t cid, const json_t *own, struct limits **out)
{
	json_t *object = json_object();
	char why[160];
	int err = object ? add_limits(r, cid, own, object) : -E_NOMEM;

	if (!err)
		err = limits_read(out, object, why, sizeof(why));
	json_decref(object);
	return err;
}

int rest_limit(struct rest *r, uint64_t cid, enum limit id, int64_t ours, int64_t *out)
{
	struct limits *limits = NULL;
	int err = limits_of(r, cid, NULL, &limits);

	if (!err)
		*out = limits_value(limits, id, LIMIT_BY_CUSTOMER, ours);
	limits_free(&limits);
	return err;
}

static int64_t none_if_zero(int64_t setting)
{
	return setting ? setting : LIMIT_NONE;
}

static int most_calls(struct call *c, int64_t *token, int64_t *customer)
{
	const struct admin_config *f = c->rest->config;
	struct limits *limits = NULL;
	int err =
	    limits_of(c->rest, c->caller.cid, json_object_get(c->caller.object, "limits"), &limits);

	if (!err) {
		*token = limits_value(limits, LIMIT_API_CALLS, LIMIT_BY_TOKEN,
		                      none_if_zero(f->api_calls_per_token));
		*customer = limits_value(limits, LIMIT_API_CALLS, LIMIT_BY_CUSTOMER,
		                         none_if_zero(f->api_calls_per_customer));
	}
	limits_free(&limits);
	return err;
}

bool rest_count(struct call *c)
{
	int64_t token, customer, most;
	int err = most_calls(c, &token, &customer);

	if (!err) {
		err = calls_take(&c->rest->calls, c->caller.cid, c->caller.id, token, customer,
		                 &most);
		if (err == -E_LIMIT) {
			call_drop(c);
			call_fail(c, REST_TOO_MANY, 0, "more than %" PRId64 " calls in a minute",
			          most);
			return false;
		}
	}
	if (err)
		call_fail_store(c, err);
	return !err;
}

void rest_auth_info(struct call *c)
{
	json_t *object;
	int err = rest_auth_object(c->rest, &c->caller, &object);

	if (err)
		call_fail_store(c, err);
	else
		(void)call_add(c, object);
}
