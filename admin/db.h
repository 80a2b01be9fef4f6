/* db.h - the one door to SQLite: opening (folder, lock, modes, integrity, migrations) and
 * statements with our errors.
 *
 * What went wrong comes as -E_BUSY (locked by another program), -E_LIMIT (disk full), -E_CORRUPT
 * (damaged), -E_EXISTS (a constraint), -E_IO (anything else); db_trouble() says it in a sentence.
 * One thread at a time: main until the service thread runs, then that one; a reader is its
 * thread's. */
#pragma once
#include "base/base.h"

struct db;
struct sqlite3_stmt;

/* Makes dir (0700) and the database (0600) if missing, takes dir/lock, checks the file, migrates
 * it. On error nothing that was there has been changed, and why tells what and where. */
int db_open(struct db **out, const char *dir, int64_t busy_ms, char *why,
            size_t why_size) MUST_CHECK;
/* The same database, open already, for reading only: for another thread. A writer never makes it
 * wait. */
int db_open_reader(struct db **out, const char *dir, int64_t busy_ms, char *why,
                   size_t why_size) MUST_CHECK;
void db_close(struct db **slot);
const char *db_trouble(int err);        /* a sentence for people */
bool db_was_empty(const struct db *db); /* this start has made it */

/* ---- Statements. Errors stick: bind and step as if all went well, look at what db_row or db_run
 * say ---- struct db_q q = db_start(db, "SELECT name FROM customer WHERE id = ?"); db_int(&q, 7);
 *   while (db_row(&q))  use(db_get_text(&q, 0));      columns are valid until the next db_row or
 * db_end err = db_end(&q); */
struct db_q {
	struct db *db;
	struct sqlite3_stmt *stmt;
	int err, bound;
	bool once;
};

struct db_q db_start(struct db *db,
                     const char *literal); /* prepared once, remembered by the literal's address */
struct db_q db_start_text(struct db *db,
                          const char *sql); /* for text put together from our own words */
void db_int(struct db_q *q, int64_t v);
void db_bool(struct db_q *q, bool v);
void db_text(struct db_q *q, struct str s); /* borrowed until db_end; s.p NULL binds NULL */
void db_bytes(struct db_q *q, const void *p, size_t n);
bool db_row(struct db_q *q); /* false: no more, or an error that db_end will tell */
int64_t db_get_int(struct db_q *q, int column);
struct str db_get_text(struct db_q *q, int column);
struct str db_get_bytes(struct db_q *q, int column);
int db_end(struct db_q *q);            /* 0 or -E_* */
int db_run(struct db_q *q) MUST_CHECK; /* a statement without rows: step and end */

uint64_t db_changes(struct db *db);

/* ---- Transactions: not nested. A commit that fails has rolled back ---- */
int db_begin(struct db *db) MUST_CHECK;
int db_begin_read(struct db *db) MUST_CHECK; /* what is read until db_commit is of one moment */
int db_commit(struct db *db) MUST_CHECK;
void db_rollback(struct db *db); /* harmless outside a transaction */
