/* db_parts.h - between db.c and db_open.c only. */
#pragma once
#include <sqlite3.h>

#include "admin/db.h"

enum { DB_STATEMENTS = 128 };

struct db {
	sqlite3 *lite;
	int lock;
	bool was_empty;
	struct {
		const char *sql;
		sqlite3_stmt *stmt;
		bool busy;
	} known[DB_STATEMENTS];
	size_t known_count;
};

int db_error(struct db *db, int code);
int db_migrate(struct db *db, char *why, size_t why_size);
