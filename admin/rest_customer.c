/* rest_customer.c - /platform/customer: the acting customer itself. Limits, enabled and blocked are
 * its parent's to change. */
#include "base/base.h"
#include "admin/rest.h"

#include <stdio.h>

/* As the customer sees itself: without its parent, with its counts. */
static int shown_own(struct call *c, const json_t *object, json_t **out)
{
	uint64_t tokens, subaccounts;
	json_t *own = json_copy((json_t *)(uintptr_t)object), *counters = json_object();
	int err = own && counters ? tokens_count(c->rest->tokens, c->scope, &tokens) : -E_NOMEM;

	if (!err)
		err = customers_count(c->rest->db, c->scope, &subaccounts);
	if (!err &&
	    (json_object_set_new(counters, "tokens_count", json_integer((json_int_t)tokens)) ||
	     json_object_set_new(counters, "subaccounts_count",
	                         json_integer((json_int_t)subaccounts)) ||
	     json_object_set(own, "counters", counters)))
		err = -E_NOMEM;
	json_decref(counters);
	if (err) {
		json_decref(own);
		return err;
	}
	(void)json_object_del(own, "cid");
	*out = own;
	return 0;
}

static int read_own(struct call *c, uint64_t id, json_t **shown)
{
	struct customer_row row;
	int err = customers_get(c->rest->db, c->scope, id, &row);

	if (err)
		return err;
	err = shown_own(c, row.object, shown);
	customer_row_free(&row);
	return err;
}

static int update_own(struct call *c, uint64_t id, const json_t *fields, json_t **shown, char *why,
                      size_t why_size)
{
	struct event_who who = call_who(c);
	struct customer_row old, row = { 0 };
	const json_t *limits = json_object_get(fields, "limits");
	int err = customers_get(c->rest->db, c->scope, id, &old);

	if (err)
		return err;
	if (limits && old.cid) {
		(void)snprintf(why, why_size, "the limits of a subaccount are set by its parent");
		err = -E_DENIED;
	}
	if (!err)
		err = customers_update(c->rest->db, &old, fields, &row);
	if (!err)
		err = shown_own(c, row.object, shown);
	if (!err && (limits || old.flespi_extensions != row.flespi_extensions))
		err = rest_push_branch(c, c->scope, false);
	/* Its own log goes to the customer itself, who does not see whom it is under. */
	(void)json_object_del(old.object, "cid");
	(void)json_object_del(row.object, "cid");
	if (!err)
		events_customer(&c->events, old.object, row.object, &who);
	customer_row_free(&old);
	customer_row_free(&row);
	return err;
}

static const struct item_kind kind = { &customer_fields, NULL, read_own, NULL, update_own, NULL };

void rest_customer_get(struct call *c)
{
	items_get_one(c, &kind, c->scope);
}

void rest_customer_put(struct call *c)
{
	items_put_one(c, &kind, c->scope);
}
