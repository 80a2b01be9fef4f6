/* select.c - reading selectors and running them (select.h). The text of a selector only ever
 * becomes a bound value; what is put into SQL are words of our own tables (attack M14). */
#include "base/base.h"
#include "admin/select.h"

#include <stdio.h>

static int refuse(char *why, size_t why_size, const char *text)
{
	(void)snprintf(why, why_size, "selector: %s", text);
	return -E_INVALID;
}

static int read_ids(struct selector *out, struct str text, char *why, size_t why_size)
{
	out->kind = SELECT_IDS;
	for (;;) {
		const char *comma = memchr(text.p, ',', text.n);
		struct str one = str_make(text.p, comma ? (size_t)(comma - text.p) : text.n);
		uint64_t id;

		if (!str_to_u64(one, &id) || id == 0 || id > INT64_MAX)
			return refuse(why, why_size,
			              "expected `123`, `1,2,3`, `all` or `field=value`");
		if (out->count == SELECT_MAX)
			return refuse(why, why_size, "more than 1000 ids");
		out->ids[out->count++] = id;
		if (!comma)
			return 0;
		text = str_skip(text, one.n + 1);
	}
}

static int read_value(struct selector *out, char *why, size_t why_size)
{
	bool negative = str_starts(out->value, STR("-"));
	uint64_t n;

	switch (out->field->type) {
	case FIELD_TEXT:
	case FIELD_LIST:
		return 0;
	case FIELD_BOOL:
		out->number = str_eq(out->value, STR("true")) || str_eq(out->value, STR("1"));
		if (out->number || str_eq(out->value, STR("false")) || str_eq(out->value, STR("0")))
			return 0;
		return refuse(why, why_size, "the value must be true or false");
	default:
		if (!str_to_u64(str_skip(out->value, negative), &n) || n > INT64_MAX)
			return refuse(why, why_size, "the value must be a whole number");
		out->number = negative ? -(int64_t)n : (int64_t)n;
		return 0;
	}
}

static int read_field(struct selector *out, const struct field_table *table, struct str text,
                      size_t at, char *why, size_t why_size)
{
	out->kind = SELECT_FIELD;
	out->field = fields_find(table, str_make(text.p, at));
	out->value = str_skip(text, at + 1);
	if (!out->field || !out->field->column)
		return refuse(why, why_size, "no such field, or not one to select by");
	return read_value(out, why, why_size);
}

int select_read(struct selector *out, const struct field_table *table, struct str text, char *why,
                size_t why_size)
{
	const char *equals = text.n ? memchr(text.p, '=', text.n) : NULL;

	out->count = 0;
	out->field = NULL;
	if (text.n == 0)
		return refuse(why, why_size, "empty");
	if (text.p[0] == '{')
		return refuse(why, why_size, "expressions in braces are not supported");
	if (str_eq(text, STR("all"))) {
		out->kind = SELECT_ALL;
		return 0;
	}
	if (equals)
		return read_field(out, table, text, (size_t)(equals - text.p), why, why_size);
	return read_ids(out, text, why, why_size);
}

/* ---- Running ---- */
static void run_ids(const struct selector *s, uint64_t limit, uint64_t offset,
                    struct selection *out)
{
	uint64_t distinct = 0;

	for (size_t i = 0; i < s->count; i++) {
		size_t j = 0;

		while (j < i && s->ids[j] != s->ids[i])
			j++;
		if (j < i)
			continue;
		if (distinct++ >= offset && out->count < limit)
			out->ids[out->count++] = s->ids[i];
	}
	out->total = distinct;
}

enum { RUN_SQL = 400, RUN_TABLES = 64 };

/* db.h remembers statements by their address: one of each kind is made. */
struct run_sql {
	const struct field_table *table;
	const struct field *field; /* NULL: all rows */
	char count[RUN_SQL], ids[RUN_SQL];
};

static void make_run_sql(struct run_sql *m)
{
	const char *from = m->table->from, *id = m->table->id;
	const char *column = m->field ? m->field->column : "";
	const char *and = m->field ? " AND " : "", *is = m->field ? " = ?2" : "";
	int n = snprintf(m->count, RUN_SQL, "SELECT count(*) %s%s%s%s", from, and, column, is);

	MUST(n < RUN_SQL);
	n = snprintf(m->ids, RUN_SQL, "SELECT %s %s%s%s%s ORDER BY %s LIMIT ? OFFSET ?", id, from,
	             and, column, is, id);
	MUST(n < RUN_SQL);
}

static const struct run_sql *run_sql(const struct field_table *table, const struct selector *s)
{
	static struct run_sql made[RUN_TABLES];
	const struct field *field = s->kind == SELECT_FIELD ? s->field : NULL;
	size_t i = 0;

	while (made[i].table && (made[i].table != table || made[i].field != field)) {
		i++;
		MUST(i < RUN_TABLES); /* there are as many as fields in our tables, at most */
	}
	if (!made[i].table) {
		made[i].table = table;
		made[i].field = field;
		make_run_sql(&made[i]);
	}
	return &made[i];
}

static void bind(struct db_q *q, const struct selector *s, uint64_t scope)
{
	db_int(q, (int64_t)scope);
	if (s->kind == SELECT_FIELD &&
	    (s->field->type == FIELD_TEXT || s->field->type == FIELD_LIST))
		db_text(q, s->value.n ? s->value : STR(""));
	else if (s->kind == SELECT_FIELD)
		db_int(q, s->number);
}

int select_run(struct db *db, const struct field_table *table, const struct selector *s,
               uint64_t scope, uint64_t limit, uint64_t offset, struct selection *out)
{
	const struct run_sql *sql;
	struct db_q q;
	int err;

	out->count = 0;
	out->total = 0;
	limit = limit < SELECT_MAX ? limit : SELECT_MAX;
	if (s->kind == SELECT_IDS) {
		run_ids(s, limit, offset, out);
		return 0;
	}
	sql = run_sql(table, s);
	q = db_start(db, sql->count);
	bind(&q, s, scope);
	if (db_row(&q))
		out->total = (uint64_t)db_get_int(&q, 0);
	err = db_end(&q);
	if (err)
		return err;
	q = db_start(db, sql->ids);
	bind(&q, s, scope);
	db_int(&q, (int64_t)limit);
	db_int(&q, (int64_t)offset);
	while (out->count < limit && db_row(&q))
		out->ids[out->count++] = (uint64_t)db_get_int(&q, 0);
	return db_end(&q);
}

/* ---- Showing ---- */
enum { SHOW_SQL = 2000, SHOW_TABLES = 4 };

/* The statement of a table; db.h remembers statements by their address, so it is made once. A
 * column that is not wanted is not read: CASE looks at nothing behind a WHEN that is false. */
static const char *show_sql(const struct field_table *table)
{
	static struct {
		const struct field_table *table;
		char sql[SHOW_SQL];
	} made[SHOW_TABLES];
	size_t i = 0;
	int n;

	while (made[i].table && made[i].table != table) {
		i++;
		MUST(i < SHOW_TABLES);
	}
	if (made[i].table)
		return made[i].sql;
	n = snprintf(made[i].sql, SHOW_SQL, "SELECT ");
	for (size_t f = 0; f < table->count; f++) {
		const char *stored = table->stored[f] ? table->stored[f] : "NULL";

		n +=
		    snprintf(made[i].sql + n, SHOW_SQL - (size_t)n,
		             "%sCASE WHEN ?3 & %llu THEN %s END", f ? ", " : "", 1ULL << f, stored);
		MUST(n < SHOW_SQL);
	}
	n += snprintf(made[i].sql + n, SHOW_SQL - (size_t)n, " %s AND %s = ?2", table->from,
	              table->id);
	MUST(n < SHOW_SQL);
	made[i].table = table;
	return made[i].sql;
}

static int write_text(struct buf *out, struct str text)
{
	json_t *value = json_stringn(text.n ? text.p : "", text.n);
	int err = value ? json_write(out, value) : -E_NOMEM;

	json_decref(value);
	return err;
}

static int write_value(struct buf *out, const struct field *f, struct db_q *q, int column)
{
	switch (f->type) {
	case FIELD_INT:
		buf_printf(out, "%lld", (long long)db_get_int(q, column));
		return 0;
	case FIELD_BOOL:
		buf_str_add(out, db_get_int(q, column) ? STR("true") : STR("false"));
		return 0;
	case FIELD_TEXT:
		return write_text(out, db_get_text(q, column));
	case FIELD_OBJECT:
	case FIELD_LIST:
		buf_str_add(out, db_get_text(q, column));
		return 0;
	}
	return -E_INVALID;
}

static int write_row(struct buf *out, const struct field_table *table, struct db_q *q, uint64_t id,
                     uint64_t wanted, const struct select_newer *newer)
{
	const char *comma = "{";
	int err = 0;

	for (size_t i = 0; !err && i < table->count; i++) {
		const struct field *f = &table->list[i];
		int64_t at = 0;

		if (!(wanted & UINT64_C(1) << i) || !table->stored[i])
			continue;
		buf_printf(out, "%s\"%s\":", comma, f->name);
		comma = ",";
		if (newer && strcmp(newer->field, f->name) == 0)
			at = newer->of(newer->arg, id);
		if (at > db_get_int(q, (int)i))
			buf_printf(out, "%lld", (long long)at);
		else
			err = write_value(out, f, q, (int)i);
	}
	buf_str_add(out, comma[0] == '{' ? STR("{}") : STR("}"));
	return err ? err : buf_ok(out) ? 0 : -E_NOMEM;
}

int select_show(struct db *db, const struct field_table *table, uint64_t scope, uint64_t id,
                uint64_t wanted, const struct select_newer *newer, struct buf *out)
{
	struct db_q q = db_start(db, show_sql(table));
	size_t before = buf_len(out);
	int found = -E_NOTFOUND, err;

	db_int(&q, (int64_t)scope);
	db_int(&q, (int64_t)id);
	db_int(&q, (int64_t)wanted);
	if (db_row(&q))
		found = write_row(out, table, &q, id, wanted, newer);
	err = db_end(&q);
	err = err ? err : found;
	if (err)
		buf_cut(out, before);
	return err;
}
