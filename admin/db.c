/* db.c - statements and transactions over SQLite (db.h). */
#include "base/base.h"
#include "admin/db.h"

#include <errno.h>

#include "admin/db_parts.h"
#include "base/log.h"

/* A full quota, a full disk and a file size limit are one thing to us, and to the person who reads
 * about it. SQLite forgets the number of a failed write to its journal; ours still is what that
 * write left (db_row clears it first). */
static int system_error(struct db *db)
{
	int err = db->lite ? sqlite3_system_errno(db->lite) : 0;

	return err ? err : errno;
}

static bool disk_is_full(struct db *db)
{
	int err = system_error(db);

	return err == ENOSPC || err == EDQUOT || err == EFBIG;
}

int db_error(struct db *db, int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_NOMEM:
		return -E_NOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -E_BUSY;
	case SQLITE_FULL:
		return -E_LIMIT;
	case SQLITE_CONSTRAINT:
		return -E_EXISTS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -E_CORRUPT;
	default:
		return disk_is_full(db) ? -E_LIMIT : -E_IO;
	}
}

const char *db_trouble(int err)
{
	switch (err) {
	case -E_BUSY:
		return "the token database is locked by another program";
	case -E_LIMIT:
		return "the token database cannot be written: the disk is full";
	case -E_CORRUPT:
		return "the token database is damaged";
	case -E_NOMEM:
		return "out of memory";
	case -E_EXISTS:
		return "the token database refused the change: it breaks a rule";
	default:
		return "the token database cannot be read or written";
	}
}

static int note(struct db_q *q, int code)
{
	int number = system_error(q->db), err = db_error(q->db, code);

	if (err && !q->err) {
		q->err = err;
		/* SQLite's own message may quote values; its code says enough. */
		LOG_ERROR("", "database", "code=%d errno=%d text=%s", code, number,
		          log_esc(str_c(sqlite3_errstr(code))));
	}
	return err;
}

struct db_q db_start_text(struct db *db, const char *sql)
{
	struct db_q q = { .db = db, .once = true };

	(void)note(&q, sqlite3_prepare_v2(db->lite, sql, -1, &q.stmt, NULL));
	return q;
}

struct db_q db_start(struct db *db, const char *literal)
{
	struct db_q q = { .db = db };
	size_t i = 0;

	while (i < db->known_count && db->known[i].sql != literal)
		i++;
	if (i == DB_STATEMENTS || (i < db->known_count && db->known[i].busy))
		return db_start_text(db, literal);
	if (i == db->known_count) {
		if (note(&q, sqlite3_prepare_v3(db->lite, literal, -1, SQLITE_PREPARE_PERSISTENT,
		                                &db->known[i].stmt, NULL)))
			return q;
		db->known[i].sql = literal;
		db->known_count++;
	}
	db->known[i].busy = true;
	q.stmt = db->known[i].stmt;
	return q;
}

void db_int(struct db_q *q, int64_t v)
{
	if (!q->err)
		(void)note(q, sqlite3_bind_int64(q->stmt, ++q->bound, v));
}

void db_bool(struct db_q *q, bool v)
{
	db_int(q, v ? 1 : 0);
}

void db_text(struct db_q *q, struct str s)
{
	if (q->err)
		return;
	q->bound++;
	if (s.p)
		(void)note(q, sqlite3_bind_text64(q->stmt, q->bound, s.p, s.n, SQLITE_STATIC,
		                                  SQLITE_UTF8));
	else
		(void)note(q, sqlite3_bind_null(q->stmt, q->bound));
}

void db_bytes(struct db_q *q, const void *p, size_t n)
{
	if (!q->err)
		(void)note(q, sqlite3_bind_blob64(q->stmt, ++q->bound, p, n, SQLITE_STATIC));
}

bool db_row(struct db_q *q)
{
	int code;

	if (q->err)
		return false;
	errno = 0;
	code = sqlite3_step(q->stmt);
	(void)note(q, code);
	return code == SQLITE_ROW;
}

int64_t db_get_int(struct db_q *q, int column)
{
	return sqlite3_column_int64(q->stmt, column);
}

struct str db_get_text(struct db_q *q, int column)
{
	const char *p = (const char *)sqlite3_column_text(q->stmt, column);

	return str_make(p, p ? (size_t)sqlite3_column_bytes(q->stmt, column) : 0);
}

struct str db_get_bytes(struct db_q *q, int column)
{
	const void *p = sqlite3_column_blob(q->stmt, column);

	return str_make(p, p ? (size_t)sqlite3_column_bytes(q->stmt, column) : 0);
}

int db_end(struct db_q *q)
{
	sqlite3_stmt *stmt = q->stmt;

	q->stmt = NULL;
	if (!stmt)
		return q->err;
	if (q->once) {
		(void)sqlite3_finalize(stmt);
		return q->err;
	}
	(void)sqlite3_reset(stmt); /* says again what the last step said */
	(void)sqlite3_clear_bindings(stmt);
	for (size_t i = 0; i < q->db->known_count; i++) {
		if (q->db->known[i].stmt == stmt)
			q->db->known[i].busy = false;
	}
	return q->err;
}

int db_run(struct db_q *q)
{
	while (db_row(q)) {
	}
	return db_end(q);
}

uint64_t db_changes(struct db *db)
{
	return (uint64_t)sqlite3_changes64(db->lite);
}

int db_begin(struct db *db)
{
	struct db_q q = db_start(db, "BEGIN IMMEDIATE");

	return db_run(&q);
}

int db_begin_read(struct db *db)
{
	struct db_q q = db_start(db, "BEGIN");

	return db_run(&q);
}

int db_commit(struct db *db)
{
	struct db_q q = db_start(db, "COMMIT");
	int err = db_run(&q);

	if (err)
		db_rollback(db);
	return err;
}

void db_rollback(struct db *db)
{
	struct db_q q;

	if (sqlite3_get_autocommit(db->lite))
		return; /* SQLite has rolled back by itself, as it does on a full disk */
	q = db_start(db, "ROLLBACK");
	(void)db_row(&q);
	(void)db_end(&q);
}
