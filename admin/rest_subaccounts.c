/* rest_subaccounts.c - /platform/subaccounts: the customers below the acting one. */
#include "base/base.h"
#include "admin/rest.h"

#include <inttypes.h>
#include <stdio.h>

struct pushing {
	struct call *call;
	bool deleted;
	int err;
};

static void push_one(void *arg, uint64_t cid)
{
	struct pushing *p = arg;
	bool blocked = true;

	if (!p->err && !p->deleted)
		p->err = customers_blocked(p->call->rest->db, cid, &blocked);
	if (!p->err)
		events_push_customer(&p->call->events, cid,
		                     p->deleted ? CUSTOMER_DELETED
		                     : blocked  ? CUSTOMER_BLOCKED
		                                : CUSTOMER_OPEN);
}

/* What holds for a customer holds for all below it: the proxies ask again for the tokens of the
 * whole branch, and the core hides, shows or removes what they have retained. */
int rest_push_branch(struct call *c, uint64_t id, bool deleted)
{
	struct pushing p = { .call = c, .deleted = deleted };
	int err = customers_branch(c->rest->db, id, push_one, &p);

	return err ? err : p.err;
}

static int create(struct call *c, const json_t *fields, json_t **shown, char *why, size_t why_size)
{
	struct event_who who = call_who(c);
	struct customer_row row;
	uint64_t count;
	int64_t most;
	int err;

	if (!json_object_get(fields, "name")) {
		(void)snprintf(why, why_size, "name is missing");
		return -E_INVALID;
	}
	err = customers_count(c->rest->db, c->scope, &count);
	if (!err)
		err = rest_limit(c->rest, c->scope, LIMIT_SUBACCOUNTS,
		                 c->rest->config->subaccounts_per_customer, &most);
	if (err)
		return err;
	if ((int64_t)count >= most) {
		(void)snprintf(why, why_size, "the customer may have %" PRId64 " subaccounts",
		               most);
		return -E_DENIED;
	}
	err = customers_create(c->rest->db, c->scope, fields, &row);
	if (err == -E_DENIED)
		(void)snprintf(why, why_size, "there are at most %d levels of subaccounts",
		               CUSTOMER_LEVELS);
	if (err)
		return err;
	events_subaccount(&c->events, EVENT_CREATED, NULL, row.object, &who);
	*shown = json_incref(row.object);
	customer_row_free(&row);
	return 0;
}

/* Below the acting customer: itself is not one of its subaccounts. */
static int get_below(struct call *c, uint64_t id, struct customer_row *out)
{
	return id == c->scope ? -E_NOTFOUND : customers_get(c->rest->db, c->scope, id, out);
}

static int update(struct call *c, uint64_t id, const json_t *fields, json_t **shown, char *why,
                  size_t why_size)
{
	struct event_who who = call_who(c);
	struct customer_row old, row = { 0 };
	int err = get_below(c, id, &old);

	(void)why;
	(void)why_size;
	if (err)
		return err;
	err = customers_update(c->rest->db, &old, fields, &row);
	if (!err && (old.enabled != row.enabled || old.blocked != row.blocked ||
	             old.flespi_extensions != row.flespi_extensions ||
	             !json_equal(json_object_get(old.object, "limits"),
	                         json_object_get(row.object, "limits"))))
		err = rest_push_branch(c, id, false);
	if (!err) {
		events_subaccount(&c->events, EVENT_UPDATED, old.object, row.object, &who);
		*shown = json_incref(row.object);
	}
	customer_row_free(&old);
	customer_row_free(&row);
	return err;
}

/* With everything below it. */
static int remove_one(struct call *c, uint64_t id)
{
	struct event_who who = call_who(c);
	struct customer_row old;
	int err = get_below(c, id, &old);

	if (err)
		return err;
	err = rest_push_branch(c, id, true);
	if (!err)
		err = customers_delete(c->rest->db, id);
	if (!err)
		events_subaccount(&c->events, EVENT_DELETED, old.object, NULL, &who);
	customer_row_free(&old);
	return err;
}

static int show(struct rest *r, uint64_t scope, uint64_t id, uint64_t wanted, struct buf *out)
{
	return select_show(r->db, &subaccount_fields, scope, id, wanted, NULL, out);
}

static const struct item_kind kind = { &subaccount_fields, create, NULL, show, update, remove_one };

void rest_subaccounts_post(struct call *c)
{
	items_post(c, &kind);
}

void rest_subaccounts_get(struct call *c)
{
	items_get(c, &kind);
}

void rest_subaccounts_put(struct call *c)
{
	items_put(c, &kind);
}

void rest_subaccounts_delete(struct call *c)
{
	items_delete(c, &kind);
}
