/* customers.c - rows of customers and the table of who is below whom (customers.h). */
#include "base/base.h"
#include "admin/customers.h"

#include "acl/limits.h"
#include "admin/ids.h"
#include <stdio.h>

#include "base/bytes.h"
#include "base/clock.h"

#define COLUMNS \
	"c.id, c.cid, c.level, c.name, c.enabled, c.blocked, c.created, c.limits, c.metadata, " \
	"c.flespi_extensions"
enum {
	C_ID,
	C_CID,
	C_LEVEL,
	C_NAME,
	C_ENABLED,
	C_BLOCKED,
	C_CREATED,
	C_LIMITS,
	C_METADATA,
	C_EXTENSIONS
};
#define SCOPED "FROM customer_branch b JOIN customer c ON c.id = b.descendant WHERE b.ancestor = ?1"

/* ---- Fields ---- */
enum { BOTH = FIELD_CREATE | FIELD_UPDATE };

static const struct field own[] = {
	{ "id", FIELD_INT, 0, 0, 0, NULL, NULL },
	{ "name", FIELD_TEXT, FIELD_UPDATE, 1, 256, NULL, NULL },
	{ "enabled", FIELD_BOOL, 0, 0, 0, NULL, NULL },
	{ "blocked", FIELD_INT, 0, 0, 0, NULL, NULL },
	{ "created", FIELD_INT, 0, 0, 0, NULL, NULL },
	{ "limits", FIELD_OBJECT, FIELD_UPDATE, 0, 0, NULL, limits_check_customer },
	{ "metadata", FIELD_OBJECT, FIELD_UPDATE, 0, 0, NULL, fields_check_metadata },
	{ "flespi_extensions", FIELD_BOOL, FIELD_UPDATE, 0, 0, NULL, NULL },
	{ "counters", FIELD_OBJECT, 0, 0, 0, NULL, NULL },
};

const struct field_table customer_fields = { .item = "customer",
	                                     .list = own,
	                                     .count = ARRAY_LEN(own) };

static const struct field below[] = {
	{ "id", FIELD_INT, 0, 0, 0, "c.id", NULL },
	{ "cid", FIELD_INT, 0, 0, 0, "c.cid", NULL },
	{ "name", FIELD_TEXT, BOTH, 1, 256, "c.name", NULL },
	{ "enabled", FIELD_BOOL, BOTH, 0, 0, "c.enabled", NULL },
	{ "blocked", FIELD_INT, BOTH, 0, 7, "c.blocked", NULL },
	{ "created", FIELD_INT, 0, 0, 0, "c.created", NULL },
	{ "limits", FIELD_OBJECT, BOTH, 0, 0, NULL, limits_check_customer },
	{ "metadata", FIELD_OBJECT, BOTH, 0, 0, NULL, fields_check_metadata },
	{ "flespi_extensions", FIELD_BOOL, BOTH, 0, 0, "c.flespi_extensions", NULL },
};

static const char *const columns[] = {
	"c.id",      "c.cid",    "c.name",     "c.enabled",           "c.blocked",
	"c.created", "c.limits", "c.metadata", "c.flespi_extensions",
};
_Static_assert(ARRAY_LEN(columns) == ARRAY_LEN(below), "one per field");

const struct field_table subaccount_fields = {
	.item = "subaccount",
	.list = below,
	.count = ARRAY_LEN(below),
	.from = SCOPED " AND c.id <> ?1",
	.id = "c.id",
	.stored = columns,
};

/* ---- Rows ---- */
void customer_row_free(struct customer_row *c)
{
	json_decref(c->object);
	memset(c, 0, sizeof(*c));
}

static json_t *row_object(struct db_q *q, const struct customer_row *r)
{
	struct str name = db_get_text(q, C_NAME);
	json_t *o = json_object();
	int bad = 0;

	bad |= json_object_set_new(o, "id", json_integer((json_int_t)r->id));
	bad |= json_object_set_new(o, "cid", json_integer((json_int_t)r->cid));
	bad |= json_object_set_new(o, "name", json_stringn(name.p ? name.p : "", name.n));
	bad |= json_object_set_new(o, "enabled", json_boolean(r->enabled));
	bad |= json_object_set_new(o, "blocked", json_integer(r->blocked));
	bad |= json_object_set_new(o, "created", json_integer(db_get_int(q, C_CREATED)));
	bad |= json_object_set_new(o, "limits", fields_stored(db_get_text(q, C_LIMITS)));
	bad |= json_object_set_new(o, "metadata", fields_stored(db_get_text(q, C_METADATA)));
	bad |= json_object_set_new(o, "flespi_extensions", json_boolean(r->flespi_extensions));
	if (!bad)
		return o;
	json_decref(o);
	return NULL;
}

static int row_read(struct db_q *q, struct customer_row *out)
{
	struct customer_row r = {
		.id = (uint64_t)db_get_int(q, C_ID),
		.cid = (uint64_t)db_get_int(q, C_CID),
		.level = (unsigned)db_get_int(q, C_LEVEL),
		.enabled = db_get_int(q, C_ENABLED) != 0,
		.blocked = db_get_int(q, C_BLOCKED),
		.flespi_extensions = db_get_int(q, C_EXTENSIONS) != 0,
	};

	r.object = row_object(q, &r);
	if (!r.object)
		return -E_NOMEM;
	*out = r;
	return 0;
}

int customers_get(struct db *db, uint64_t scope, uint64_t id, struct customer_row *out)
{
	struct db_q q = db_start(db, "SELECT " COLUMNS " " SCOPED " AND c.id = ?2");
	int found = -E_NOTFOUND, err;

	db_int(&q, (int64_t)scope);
	db_int(&q, (int64_t)id);
	if (db_row(&q))
		found = row_read(&q, out);
	err = db_end(&q);
	if (!err)
		return found;
	if (!found)
		customer_row_free(out);
	return err;
}

/* ---- Changes ---- */
static int bind_row(struct db_q *q, struct buf texts[2], const json_t *fields, const json_t *old)
{
	const char *const names[2] = { "limits", "metadata" };
	struct str name = STR("");
	const json_t *enabled = json_object_get(fields, "enabled"),
		     *blocked = json_object_get(fields, "blocked"),
		     *extensions = json_object_get(fields, "flespi_extensions");

	for (int i = 0; i < 2; i++) {
		const json_t *v = json_object_get(fields, names[i]);

		v = v ? v : json_object_get(old, names[i]);
		if (!v)
			buf_str_add(&texts[i], STR("{}"));
		else if (json_write(&texts[i], v))
			return -E_NOMEM;
		if (!buf_ok(&texts[i]))
			return -E_NOMEM;
	}
	if (!json_get_str(fields, "name", &name))
		(void)json_get_str(old, "name", &name);
	enabled = enabled ? enabled : json_object_get(old, "enabled");
	blocked = blocked ? blocked : json_object_get(old, "blocked");
	extensions = extensions ? extensions : json_object_get(old, "flespi_extensions");
	db_text(q, name);
	db_bool(q, !enabled || json_is_true(enabled));
	db_int(q, json_integer_value(blocked));
	db_text(q, buf_str(&texts[0]));
	db_text(q, buf_str(&texts[1]));
	db_bool(q, json_is_true(extensions));
	return 0;
}

/* Ends q. */
static int run_row(struct db_q *q, struct buf texts[2], int err)
{
	int err2 = err ? db_end(q) : db_run(q);

	buf_free(&texts[0]);
	buf_free(&texts[1]);
	return err ? err : err2;
}

/* The first of all is customer 1: there is nothing yet that its number could tell. */
static int new_id(struct db *db, uint64_t parent, uint64_t *id)
{
	bool any = true;
	int err = parent ? 0 : customers_any(db, &any);

	if (!err && any)
		return ids_next(db, "customer", id);
	*id = 1;
	return err;
}

static int insert(struct db *db, uint64_t parent, unsigned level, const json_t *fields,
                  uint64_t *id)
{
	struct buf texts[2] = { 0 };
	struct db_q q;
	int err = new_id(db, parent, id);

	if (err)
		return err;
	q = db_start(
	    db,
	    "INSERT INTO customer (name, enabled, blocked, limits, metadata, flespi_extensions, "
	    "created, level, cid, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, 0), ?)");
	err = bind_row(&q, texts, fields, NULL);
	db_int(&q, clock_wall_ms() / 1000);
	db_int(&q, level);
	db_int(&q, (int64_t)parent);
	db_int(&q, (int64_t)*id);
	return run_row(&q, texts, err);
}

/* Below itself, and below everything its parent is below. */
static int insert_branch(struct db *db, uint64_t parent, uint64_t id)
{
	struct db_q q = db_start(
	    db,
	    "INSERT INTO customer_branch (ancestor, descendant) "
	    "SELECT ancestor, ?1 FROM customer_branch WHERE descendant = ?2 UNION SELECT ?1, ?1");

	db_int(&q, (int64_t)id);
	db_int(&q, (int64_t)parent);
	return db_run(&q);
}

int customers_create(struct db *db, uint64_t parent, const json_t *fields, struct customer_row *out)
{
	struct customer_row above = { 0 };
	unsigned level = 0;
	uint64_t id = 0;
	int err = 0;

	if (parent) {
		err = customers_get(db, parent, parent, &above);
		level = above.level + 1;
		customer_row_free(&above);
	}
	if (!err && level > CUSTOMER_LEVELS)
		err = -E_DENIED;
	if (!err)
		err = insert(db, parent, level, fields, &id);
	if (!err)
		err = insert_branch(db, parent, id);
	return err ? err : customers_get(db, id, id, out);
}

int customers_update(struct db *db, const struct customer_row *old, const json_t *fields,
                     struct customer_row *out)
{
	struct buf texts[2] = { 0 };
	struct db_q q =
	    db_start(db, "UPDATE customer SET name = ?, enabled = ?, blocked = ?, "
	                 "limits = ?, metadata = ?, flespi_extensions = ? WHERE id = ?");
	int err = bind_row(&q, texts, fields, old->object);

	db_int(&q, (int64_t)old->id);
	err = run_row(&q, texts, err);
	return err ? err : customers_get(db, old->id, old->id, out);
}

int customers_delete(struct db *db, uint64_t id)
{
	struct db_q q = db_start(db, "DELETE FROM customer WHERE id IN (SELECT descendant FROM "
	                             "customer_branch WHERE ancestor = ?)");

	db_int(&q, (int64_t)id);
	return db_run(&q);
}

/* ---- Questions ---- */
/* Ends q. One number, or -E_NOTFOUND without a row. */
static int one_number(struct db_q *q, int64_t *out)
{
	bool there = db_row(q);
	int64_t v = there ? db_get_int(q, 0) : 0;
	int err = db_end(q);

	if (err)
		return err;
	if (!there)
		return -E_NOTFOUND;
	*out = v;
	return 0;
}

int customers_any(struct db *db, bool *out)
{
	struct db_q q = db_start(db, "SELECT EXISTS (SELECT 1 FROM customer)");
	int64_t v;
	int err = one_number(&q, &v);

	if (!err)
		*out = v != 0;
	return err;
}

int customers_count(struct db *db, uint64_t id, uint64_t *subaccounts)
{
	struct db_q q = db_start(db, "SELECT count(*) FROM customer WHERE cid = ?");
	int64_t v;
	int err;

	db_int(&q, (int64_t)id);
	err = one_number(&q, &v);
	if (!err)
		*subaccounts = (uint64_t)v;
	return err;
}

int customers_within(struct db *db, uint64_t ancestor, uint64_t id)
{
	struct db_q q =
	    db_start(db, "SELECT 1 FROM customer_branch WHERE ancestor = ? AND descendant = ?");
	int64_t v;

	db_int(&q, (int64_t)ancestor);
	db_int(&q, (int64_t)id);
	return one_number(&q, &v);
}

size_t customers_above(struct db *db, uint64_t id, uint64_t *ancestors, size_t most)
{
	struct db_q q = db_start(db, "SELECT ancestor FROM customer_branch WHERE descendant = ?");
	size_t count = 0;

	db_int(&q, (int64_t)id);
	while (db_row(&q) && count < most)
		ancestors[count++] = (uint64_t)db_get_int(&q, 0);
	return db_end(&q) ? 0 : count;
}

static int one_truth(struct db_q *q, uint64_t id, bool *out)
{
	int64_t v;
	int err;

	db_int(q, (int64_t)id);
	err = one_number(q, &v);
	if (!err)
		*out = v != 0;
	return err;
}

int customers_blocked(struct db *db, uint64_t id, bool *out)
{
	struct db_q q = db_start(
	    db,
	    "SELECT max(c.enabled = 0 OR c.blocked <> 0) FROM customer_branch b "
	    "JOIN customer c ON c.id = b.ancestor WHERE b.descendant = ? GROUP BY b.descendant");

	return one_truth(&q, id, out);
}

int customers_branch(struct db *db, uint64_t id, void (*visit)(void *arg, uint64_t cid), void *arg)
{
	struct db_q q = db_start(
	    db, "SELECT descendant FROM customer_branch WHERE ancestor = ? ORDER BY descendant");

	db_int(&q, (int64_t)id);
	while (db_row(&q))
		visit(arg, (uint64_t)db_get_int(&q, 0));
	return db_end(&q);
}

/* What an operator gives is set on a first customer, or on one directly below it. */
enum { GIVEN_LEVEL = 1 };

int customers_limits(struct db *db, uint64_t id, json_t *given, json_t *lowest)
{
	struct db_q q = db_start(
	    db,
	    "SELECT c.limits, c.level FROM customer_branch b JOIN customer c ON c.id = b.ancestor "
	    "WHERE b.descendant = ? AND c.limits <> '{}'");
	int err = 0, err2;

	db_int(&q, (int64_t)id);
	while (!err && db_row(&q)) {
		json_t *limits = fields_stored(db_get_text(&q, 0));

		err = limits ? limits_lower(lowest, limits) : -E_NOMEM;
		if (!err && db_get_int(&q, 1) <= GIVEN_LEVEL)
			err = limits_lower(given, limits);
		json_decref(limits);
	}
	err2 = db_end(&q);
	return err2 ? err2 : err;
}

int customers_extensions(struct db *db, uint64_t id, bool *out)
{
	struct db_q q = db_start(db, "SELECT flespi_extensions FROM customer WHERE id = ?");

	return one_truth(&q, id, out);
}
