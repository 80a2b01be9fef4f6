/* db_open.c - opening the token database so that nobody else can read it, two programs never share
 * it, and a damaged or foreign file is left as it is; and the steps that bring its tables up to
 * date. */
#include "base/base.h"
#include "admin/db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/db_parts.h"
#include "base/log.h"
#include "base/mem.h"

enum { APPLICATION = 0x4d425553 /* "MBUS" */, PATH_MOST = 4000 };

/* Step i brings a database of user_version i to i + 1. Never change one that was released: add the
 * next. Ids are never used twice (ids.h; AUTOINCREMENT is of before). customer_branch holds each
 * customer below each of its ancestors, and below itself: every look-up on behalf of somebody joins
 * it, so that a statement that forgets whose rows it may see cannot be written by leaving out a
 * condition. */
static const char *const steps[] = {
	"CREATE TABLE customer ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  cid INTEGER REFERENCES customer(id) ON DELETE CASCADE,"
	"  level INTEGER NOT NULL CHECK (level BETWEEN 0 AND 4),"
	"  name TEXT NOT NULL,"
	"  enabled INTEGER NOT NULL,"
	"  blocked INTEGER NOT NULL,"
	"  created INTEGER NOT NULL,"
	"  limits TEXT NOT NULL,"
	"  metadata TEXT NOT NULL) STRICT;"
	"CREATE INDEX customer_by_cid ON customer(cid);"
	"CREATE TABLE customer_branch ("
	"  ancestor INTEGER NOT NULL REFERENCES customer(id) ON DELETE CASCADE,"
	"  descendant INTEGER NOT NULL REFERENCES customer(id) ON DELETE CASCADE,"
	"  PRIMARY KEY (ancestor, descendant)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX customer_branch_up ON customer_branch(descendant, ancestor);"
	"CREATE TABLE token ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT,"
	"  cid INTEGER NOT NULL REFERENCES customer(id) ON DELETE CASCADE,"
	"  lookup TEXT NOT NULL UNIQUE,"
	"  hash BLOB NOT NULL,"
	"  short_hash BLOB NOT NULL,"
	"  key_hint TEXT NOT NULL,"
	"  info TEXT NOT NULL,"
	"  enabled INTEGER NOT NULL,"
	"  created INTEGER NOT NULL,"
	"  accessed INTEGER NOT NULL,"
	"  expire INTEGER NOT NULL,"
	"  ttl INTEGER NOT NULL,"
	"  ends INTEGER NOT NULL,"
	"  ips TEXT NOT NULL,"
	"  access TEXT NOT NULL,"
	"  limits TEXT NOT NULL,"
	"  metadata TEXT NOT NULL) STRICT;"
	"CREATE INDEX token_by_cid ON token(cid);"
	"CREATE INDEX token_by_end ON token(ends) WHERE ends > 0;"
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;",
	"ALTER TABLE customer ADD COLUMN flespi_extensions INTEGER NOT NULL DEFAULT 0;",
	/* 0 was "not set" and is "nothing is allowed" now */
	"UPDATE customer SET limits = (SELECT json_group_object(key, value) FROM json_each(limits) "
	"  WHERE value <> 0) WHERE limits <> '{}';"
	"UPDATE token SET limits = (SELECT json_group_object(key, value) FROM json_each(limits) "
	"  WHERE value <> 0) WHERE limits <> '{}';",
	"ALTER TABLE token ADD COLUMN certs TEXT NOT NULL DEFAULT '';",
	/* ids.h */
	"CREATE TABLE sequence ("
	"  name TEXT PRIMARY KEY,"
	"  last INTEGER NOT NULL,"
	"  secret BLOB NOT NULL) STRICT, WITHOUT ROWID;"
	"INSERT INTO sequence (name, last, secret) VALUES "
	"  ('customer', 0, randomblob(16)), ('token', 0, randomblob(16));",
	"ALTER TABLE token ADD COLUMN client_ids TEXT NOT NULL DEFAULT '[]';",
};

static int say(char *why, size_t why_size, int err, const char *format, ...) PRINTF_LIKE(4, 5);

static int say(char *why, size_t why_size, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, why_size, format, args);
	va_end(args);
	return err;
}

/* ---- Plain questions and commands, before statements are worth remembering ---- */
static int ask_int(struct db *db, const char *sql, int64_t *out)
{
	struct db_q q = db_start_text(db, sql);

	if (db_row(&q))
		*out = db_get_int(&q, 0);
	return db_end(&q);
}

static int command(struct db *db, const char *sql)
{
	return db_error(db, sqlite3_exec(db->lite, sql, NULL, NULL, NULL));
}

static int step_up(struct db *db, size_t step)
{
	char version[64];
	int err = db_begin(db);

	if (err)
		return err;
	(void)snprintf(version, sizeof(version), "PRAGMA user_version = %zu", step + 1);
	err = command(db, steps[step]);
	if (!err)
		err = command(db, version);
	if (!err)
		return db_commit(db);
	db_rollback(db);
	return err;
}

int db_migrate(struct db *db, char *why, size_t why_size)
{
	int64_t version = 0, tables = 0, application = 0;
	int err = ask_int(db, "PRAGMA user_version", &version);

	if (!err)
		err = ask_int(db, "PRAGMA application_id", &application);
	if (!err)
		err = ask_int(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (err)
		return say(why, why_size, err, "%s", db_trouble(err));
	if (application != APPLICATION && (application != 0 || tables != 0 || version != 0))
		return say(why, why_size, -E_INVALID, "it is a database of another program");
	if (version < 0 || (size_t)version > ARRAY_LEN(steps))
		return say(why, why_size, -E_VERSION,
		           "it was made by a newer mbus-admin (version %lld, this one knows %zu)",
		           (long long)version, ARRAY_LEN(steps));
	db->was_empty = version == 0;
	if (version == 0)
		err = command(db, "PRAGMA application_id = 0x4d425553");
	for (size_t i = (size_t)version; !err && i < ARRAY_LEN(steps); i++) {
		err = step_up(db, i);
		if (!err)
			LOG_INFO("", "migrated", "version=%zu", i + 1);
	}
	return err ? say(why, why_size, err, "%s", db_trouble(err)) : 0;
}

/* ---- The folder and its files: ours alone ---- */
static int own_folder(const char *dir, char *why, size_t why_size)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return say(why, why_size, -E_IO, "cannot make the folder %s: %s", dir,
		           strerror(errno));
	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		return say(why, why_size, -E_IO, "%s is not a folder that can be used", dir);
	if (st.st_uid != geteuid())
		return say(why, why_size, -E_DENIED, "the folder %s belongs to somebody else", dir);
	if ((st.st_mode & 077) && chmod(dir, 0700) < 0)
		return say(why, why_size, -E_DENIED, "cannot make the folder %s private: %s", dir,
		           strerror(errno));
	return 0;
}

/* The file is made by us, because SQLite would make it readable by all that the umask allows; its
 * -wal and -shm follow the mode of the database. */
static int own_file(const char *path, int *keep, char *why, size_t why_size)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return say(why, why_size, -E_IO, "cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    ((st.st_mode & 077) && fchmod(fd, 0600) < 0)) {
		(void)close(fd);
		return say(why, why_size, -E_DENIED,
		           "%s is not a file of ours, or cannot be made private", path);
	}
	if (keep)
		*keep = fd;
	else
		(void)close(fd);
	return 0;
}

static int take_lock(struct db *db, const char *dir, char *why, size_t why_size)
{
	char path[PATH_MOST + 16];
	int err;

	(void)snprintf(path, sizeof(path), "%s/lock", dir);
	err = own_file(path, &db->lock, why, why_size);
	if (err)
		return err;
	if (flock(db->lock, LOCK_EX | LOCK_NB) < 0)
		return say(why, why_size, -E_BUSY, "another mbus-admin uses %s already", dir);
	return 0;
}

/* ---- Opening ---- */
static int set_up(struct db *db)
{
	static const char *const commands[] = {
		"PRAGMA journal_mode = WAL", /* readers of backups do not stop us */
		"PRAGMA synchronous = FULL", /* what was answered survives a power loss */
		"PRAGMA foreign_keys = ON",    "PRAGMA trusted_schema = OFF",
		"PRAGMA cell_size_check = ON", "PRAGMA journal_size_limit = 16777216",
	};
	struct db_q q;
	bool wal;
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_LEN(commands); i++)
		err = command(db, commands[i]);
	if (err)
		return err;
	q = db_start_text(db, "PRAGMA journal_mode");
	wal = db_row(&q) && str_eq(db_get_text(&q, 0), STR("wal"));
	err = db_end(&q);
	return err ? err : wal ? 0 : -E_IO;
}

static int look_whole(struct db *db, char *why, size_t why_size)
{
	struct db_q q = db_start_text(db, "PRAGMA integrity_check(1)");
	bool good = false;
	int err;

	if (db_row(&q))
		good = str_eq(db_get_text(&q, 0), STR("ok"));
	err = db_end(&q);
	if (!err && !good)
		err = -E_CORRUPT;
	return err ? say(why, why_size, err, "%s", db_trouble(err)) : 0;
}

static int open_lite(struct db *db, const char *path, int64_t busy_ms, char *why, size_t why_size)
{
	int err = db_error(
	    db, sqlite3_open_v2(path, &db->lite,
	                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
	                        NULL));

	if (err)
		return say(why, why_size, err, "%s", db_trouble(err));
	(void)sqlite3_busy_timeout(db->lite, (int)busy_ms);
	(void)sqlite3_extended_result_codes(db->lite, 1);
	(void)sqlite3_db_config(db->lite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	err = look_whole(db, why, why_size);
	if (err)
		return err;
	err = set_up(db);
	if (err)
		return say(why, why_size, err, "%s", db_trouble(err));
	return db_migrate(db, why, why_size);
}

int db_open(struct db **out, const char *dir, int64_t busy_ms, char *why, size_t why_size)
{
	char path[PATH_MOST + 16], cause[300];
	struct db *db;
	int err = -E_NOMEM;

	if (strlen(dir) > PATH_MOST)
		return say(why, why_size, -E_INVALID, "the folder's name is too long");
	db = mem_zalloc(sizeof(*db));
	if (!db)
		return say(why, why_size, err, "out of memory");
	db->lock = -1;
	err = own_folder(dir, why, why_size);
	if (!err)
		err = take_lock(db, dir, why, why_size);
	if (err)
		goto fail;
	(void)snprintf(path, sizeof(path), "%s/admin.db", dir);
	err = own_file(path, NULL, why, why_size);
	if (err)
		goto fail;
	err = open_lite(db, path, busy_ms, cause, sizeof(cause));
	if (err) {
		(void)say(why, why_size, err, "%s: %s; it was left as it is", path, cause);
		goto fail;
	}
	*out = db;
	return 0;
fail:
	db_close(&db);
	return err;
}

static int set_up_reader(struct db *db)
{
	int err = command(db, "PRAGMA query_only = ON");

	if (!err)
		err = command(db, "PRAGMA trusted_schema = OFF");
	return err ? err : command(db, "PRAGMA cell_size_check = ON");
}

int db_open_reader(struct db **out, const char *dir, int64_t busy_ms, char *why, size_t why_size)
{
	char path[PATH_MOST + 16];
	struct db *db = mem_zalloc(sizeof(*db));
	int err;

	if (!db)
		return say(why, why_size, -E_NOMEM, "out of memory");
	db->lock = -1;
	(void)snprintf(path, sizeof(path), "%s/admin.db", dir);
	err = db_error(
	    db, sqlite3_open_v2(path, &db->lite,
	                        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
	                        NULL));
	if (!err) {
		(void)sqlite3_busy_timeout(db->lite, (int)busy_ms);
		(void)sqlite3_extended_result_codes(db->lite, 1);
		(void)sqlite3_db_config(db->lite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		err = set_up_reader(db);
	}
	if (err) {
		(void)say(why, why_size, err, "%s: %s", path, db_trouble(err));
		db_close(&db);
		return err;
	}
	*out = db;
	return 0;
}

void db_close(struct db **slot)
{
	struct db *db = *slot;

	*slot = NULL;
	if (!db)
		return;
	for (size_t i = 0; i < db->known_count; i++)
		(void)sqlite3_finalize(db->known[i].stmt);
	(void)sqlite3_close_v2(db->lite);
	if (db->lock >= 0)
		(void)close(db->lock);
	mem_free(db);
}

bool db_was_empty(const struct db *db)
{
	return db->was_empty;
}
