/* rights.c - RIGHTS, and judging what waits by it (rights.h). */
#include "base/base.h"
#include "core/rights.h"

#include "acl/acl_set.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/session.h"
#include "core/work.h"

enum {
	BURIED_PER_TURN = 256, /* and so many units: */
	BURY_MOST = 10000,
	BURIED_AT_ONCE = 16,
	BURY_UNITS = 20,
	BURY_BYTES = 8, /* of a name, which is compared with others of its length, for one more */
	FILTER_COST = 160, /* bytes of the index, per filter */
	INDEX_UNITS = 50,  /* to sort and index a filter */
};

/* What may still be published, of an account that is SOME. */
struct rights {
	struct home *home;
	size_t cost; /* as counted in *account->rights_bytes */
	struct acl_set set;
	bool indexed;
	unsigned count;
	struct acl_item items[]; /* texts follow them, without the customer's prefix */
};

void rights_free(struct account *a)
{
	struct rights *r = a->rights;

	a->rights = NULL;
	if (!r)
		return;
	*a->rights_bytes -= r->cost;
	acl_set_free(&r->set);
	mem_free(r);
}

bool rights_allow(struct account *a, struct str name, size_t *cost)
{
	struct rights *r = a->rights;
	size_t units = 1;
	bool allowed = false;

	if (!r->indexed) {
		units += (size_t)r->count * INDEX_UNITS;
		r->indexed = acl_set_make(&r->set, r->items, r->count) == 0;
	}
	if (r->indexed)
		allowed = acl_set_look(&r->set, (struct filter){ name, false }, &units) >= 0;
	work_spend(r->home, units);
	*cost += units;
	return allowed;
}

/* ---- What was said ---- */
/* Every filter is one, and the customer's own. *bytes: of all texts; *all: one of them is "#". */
static bool look_through(const struct customer *c, struct link_rights walk, size_t *bytes,
                         bool *all)
{
	struct str filter, name;
	bool system;

	*bytes = 0;
	*all = false;
	while (link_rights_next(&walk, &filter, &system)) {
		if (!customer_name(c, filter, &name) || !topic_filter_ok(name))
			return false;
		*bytes += name.n;
		*all |= str_eq(name, STR("#"));
	}
	return true;
}

/* Nobody publishes to flespi/..., so that no mark of the root rule is needed. */
static struct rights *rights_make(const struct customer *c, struct link_rights walk, size_t bytes)
{
	size_t items = (size_t)walk.count * sizeof(struct acl_item);
	struct rights *r = mem_alloc(sizeof(*r) + items + bytes);
	struct str filter, name;
	char *text;
	bool system;

	if (!r)
		return NULL;
	*r = (struct rights){ .home = c->home,
		              .cost =
		                  sizeof(*r) + items + bytes + (size_t)walk.count * FILTER_COST };
	text = (char *)r->items + items;
	while (link_rights_next(&walk, &filter, &system)) {
		MUST(customer_name(c, filter, &name)); /* look_through() has read all of it */
		memcpy(text, name.p, name.n);
		r->items[r->count] =
		    (struct acl_item){ { str_make(text, name.n), false }, r->count };
		r->count++;
		text += name.n;
	}
	return r;
}

static void become(struct account *a, enum account_state state)
{
	rights_free(a);
	a->state = (uint8_t)state;
	a->version++;
}

static void narrow(struct customer *c, struct account *a, const struct link_rights *told,
                   size_t bytes)
{
	struct home *h = c->home;
	size_t most = (size_t)h->config->rights_bytes;
	struct rights *r;

	become(a, ACCOUNT_OVER);
	if (c->rights_bytes + bytes + (size_t)told->count * FILTER_COST > most ||
	    !(r = rights_make(c, *told, bytes)) || c->rights_bytes + r->cost > most) {
		h->counters.rights_over++;
		LOG_WARN(home_name(h), "rights-over", "cid=%" PRIu64 " token=%" PRIu64, c->id,
		         a->token);
		return;
	}
	a->state = ACCOUNT_SOME;
	a->rights = r;
	a->rights_bytes = &c->rights_bytes;
	c->rights_bytes += r->cost;
}

static void bury_later(struct home *h)
{
	if (h->grave_asked)
		return;
	h->grave_asked = true;
	inbox_push(h->inbox, &h->grave_item);
}

/* Ids of tokens are never used again; should one be, it has nothing of the old one. */
static void delete_account(struct customer *c, struct account *a)
{
	become(a, ACCOUNT_DELETED);
	map_del(a->accounts, &a->node);
	map_trim(a->accounts);
	a->accounts = NULL;
	a->buried = c;
	if (c->home->config->retained_of_revoked == REVOKED_HIDE) {
		list_add_tail(&c->home->graves, &a->grave);
		bury_later(c->home);
	}
}

static bool apply_token(struct customer *c, uint8_t flags, const struct link_rights *r)
{
	struct account *a = account_find(&c->accounts, r->token);
	size_t bytes;
	bool all;

	if (!look_through(c, *r, &bytes, &all) || (flags && r->count))
		return false;
	work_spend(c->home, r->count);
	if (!a)
		return true; /* nothing of it here */
	if (flags == LINK_RIGHTS_DELETED)
		delete_account(c, a);
	else if (flags == LINK_RIGHTS_HIDDEN)
		become(a, ACCOUNT_HIDDEN);
	else if (all || (a->retained == 0 && a->wills == 0))
		become(a, ACCOUNT_FREE);
	else
		narrow(c, a, r, bytes);
	LOG_DEBUG(home_name(c->home), "rights", "cid=%" PRIu64 " token=%" PRIu64 " state=%u", c->id,
	          r->token, a->state);
	return true;
}

static void apply_customer(struct customer *c, uint8_t flags)
{
	struct home *h = c->home;

	c->blocked = c->doomed_asked || (flags & (LINK_RIGHTS_HIDDEN | LINK_RIGHTS_DELETED));
	if ((flags & LINK_RIGHTS_DELETED) && h->config->retained_of_revoked == REVOKED_HIDE &&
	    !c->doomed_asked && retained_count(c->retained)) {
		c->doomed_asked = true;
		list_add_tail(&h->doomed, &c->doomed);
		bury_later(h);
	}
	retained_hide(c->retained, c->blocked);
}

bool rights_apply(struct home *h, uint8_t flags, const struct link_rights *r)
{
	struct customer *c = r->customer ? customer_find(h, r->customer) : NULL;
	bool whole = flags & LINK_RIGHTS_CUSTOMER;

	if (!r->customer || whole != !r->token || (whole && r->count) ||
	    (flags & (LINK_RIGHTS_HIDDEN | LINK_RIGHTS_DELETED)) ==
	        (LINK_RIGHTS_HIDDEN | LINK_RIGHTS_DELETED))
		return false;
	home_changed(h);
	if (!c)
		return true;
	if (!whole)
		return apply_token(c, flags, r);
	apply_customer(c, flags);
	return true;
}

bool rights_opened(struct customer *c, const struct account *a)
{
	if (c->blocked && !c->doomed_asked) {
		c->blocked = false;
		retained_hide(c->retained, false);
	}
	return a && a->state != ACCOUNT_FREE;
}

void rights_used(struct account *a)
{
	if (a && a->state == ACCOUNT_HIDDEN)
		become(a, ACCOUNT_OVER);
}

/* ---- What deleted tokens and customers left ---- */
static void forget(void *arg, struct msg *m)
{
	struct home *h = arg;

	work_spend(h, BURY_UNITS + m->m.topic.n / BURY_BYTES);
	h->counters.retained_purged++;
	store_retained_del(h->store, m->m.topic);
}

void rights_bury(struct inbox_item *item)
{
	struct home *h = container_of(item, struct home, grave_item);
	size_t left = BURIED_PER_TURN;
	struct account *a;
	struct customer *c;
	uint64_t end;

	work_turn_is(h);
	end = h->spent + work_part(h, BURY_MOST);
	h->grave_asked = false;
	home_changed(h);
	while (left && h->spent < end && (a = list_first(&h->graves, struct account, grave))) {
		c = a->buried;
		if (a->retained)
			left -= retained_drop(c->retained, a, size_min(left, BURIED_AT_ONCE),
			                      forget, h);
		else {
			left--;
			list_del(&a->grave); /* only sessions are left of it */
		}
		customer_settle(c); /* a may be gone */
	}
	while (left && h->spent < end && (c = list_first(&h->doomed, struct customer, doomed))) {
		left -= retained_drop(c->retained, NULL, size_min(left, BURIED_AT_ONCE), forget, h);
		if (retained_count(c->retained))
			continue;
		list_del(&c->doomed);
		c->doomed_asked = false;
		customer_settle(c);
	}
	if (!list_empty(&h->graves) || !list_empty(&h->doomed))
		bury_later(h);
}
