/* admin_db.c - the token database: its modes, its migrations, and what happens when it is locked,
 * damaged, foreign or full. */
#include "base/base.h"
#include "tests/unit/admin_help.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct world w;
static char why[WHY_ROOM];

static const char *inside(const char *name)
{
	static char path[400];

	(void)snprintf(path, sizeof(path), "%s/%s", w.dir, name);
	return path;
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	MUST(stat(path, &st) == 0);
	return st.st_mode & 0777;
}

static int reopen(void)
{
	tokens_close(&w.rest.tokens);
	db_close(&w.rest.db);
	IS(db_open(&w.rest.db, w.dir, 50, why, sizeof(why)), 0);
	return tokens_open(&w.rest.tokens, w.rest.db, w.dir, why, sizeof(why));
}

/* ---- Ours alone ---- */
static void folder_and_files_are_private_whatever_the_umask(void)
{
	mode_t before = umask(0);

	world_open(&w);
	IS(mode_of(w.dir), 0700);
	IS(mode_of(inside("admin.db")), 0600);
	IS(mode_of(inside("admin.db-wal")), 0600);
	IS(mode_of(inside("admin.db-shm")), 0600);
	IS(mode_of(inside("pepper")), 0600);
	IS(mode_of(inside("lock")), 0600);
	world_close(&w);
	(void)umask(before);
}

static void what_was_made_readable_is_made_private_again(void)
{
	world_open(&w);
	world_close(&w);
	MUST(chmod(w.dir, 0755) == 0 && chmod(inside("admin.db"), 0644) == 0);
	IS(db_open(&w.rest.db, w.dir, 50, why, sizeof(why)), 0);
	IS(mode_of(w.dir), 0700);
	IS(mode_of(inside("admin.db")), 0600);
	db_close(&w.rest.db);
}

static void a_second_program_on_the_same_folder_is_turned_away(void)
{
	struct db *second = NULL;

	world_open(&w);
	IS(db_open(&second, w.dir, 50, why, sizeof(why)), -E_BUSY);
	CONTAINS(why, "another mbus-admin");
	world_close(&w);
}

static void a_database_that_is_a_link_is_refused(void)
{
	struct db *db = NULL;

	(void)snprintf(w.dir, sizeof(w.dir), "%s", temp_dir());
	MUST(symlink("/etc/hostname", inside("admin.db")) == 0);
	NO(db_open(&db, w.dir, 50, why, sizeof(why)) == 0);
}

/* ---- Migrations ---- */
static void a_new_database_says_so_and_an_old_one_keeps_its_rows(void)
{
	world_open(&w);
	YES(db_was_empty(w.rest.db));
	IS(reopen(), 0);
	NO(db_was_empty(w.rest.db));
	IS(ASK(&w, HTTP_GET, "/auth/info", w.key[GAMMA]), 200);
	world_close(&w);
}

static void set_version(const char *pragma)
{
	sqlite3 *lite = NULL;

	MUST(sqlite3_open(inside("admin.db"), &lite) == SQLITE_OK);
	MUST(sqlite3_exec(lite, pragma, NULL, NULL, NULL) == SQLITE_OK);
	(void)sqlite3_close(lite);
}

static void a_database_of_a_newer_version_is_left_alone(void)
{
	struct db *db = NULL;

	world_open(&w);
	world_close(&w);
	set_version("PRAGMA user_version = 99");
	IS(db_open(&db, w.dir, 50, why, sizeof(why)), -E_VERSION);
	CONTAINS(why, "newer");
	set_version("PRAGMA user_version = 6");
	IS(db_open(&db, w.dir, 50, why, sizeof(why)), 0);
	db_close(&db);
}

static void a_database_of_the_first_version_is_brought_up_to_date(void)
{
	struct db *db = NULL;
	struct db_q q;
	bool there;

	world_open(&w);
	world_close(&w);
	set_version("ALTER TABLE customer DROP COLUMN flespi_extensions;"
	            "ALTER TABLE token DROP COLUMN certs; DROP TABLE sequence;"
	            "ALTER TABLE token DROP COLUMN client_ids;"
	            "PRAGMA user_version = 1");
	IS(db_open(&db, w.dir, 50, why, sizeof(why)), 0);
	q = db_start(db, "SELECT flespi_extensions FROM customer WHERE id = 1");
	there = db_row(&q);
	YES(there && db_get_int(&q, 0) == 0);
	IS(db_end(&q), 0);
	db_close(&db);
}

static void limits_of_0_of_an_old_database_are_not_set(void)
{
	world_open(&w);
	tokens_close(&w.rest.tokens);
	db_close(&w.rest.db);
	set_version("PRAGMA user_version = 2; ALTER TABLE token DROP COLUMN certs;"
	            "ALTER TABLE token DROP COLUMN client_ids; DROP TABLE sequence;"
	            "UPDATE token SET limits = '{\"mqtt_sessions\":0,\"mqtt_messages\":5}';"
	            "UPDATE customer SET limits = '{\"mqtt_sessions\":0}' WHERE id = 1");
	IS(db_open(&w.rest.db, w.dir, 50, why, sizeof(why)), 0);
	IS(tokens_open(&w.rest.tokens, w.rest.db, w.dir, why, sizeof(why)), 0);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?fields=limits", w.key[ALPHA]), 200);
	CONTAINS(w.text, "{\"limits\":{\"mqtt_messages\":5}}");
	NO(strstr(w.text, "mqtt_sessions"));
	IS(ASK(&w, HTTP_GET, "/platform/customer?fields=limits", w.key[ALPHA]), 200);
	CONTAINS(w.text, "{\"limits\":{}}");
	world_close(&w);
}

static void ids_of_an_old_database_stay_and_new_ones_lie_apart(void)
{
	struct token_row row;
	char text[100];

	world_open(&w);
	tokens_close(&w.rest.tokens);
	db_close(&w.rest.db);
	set_version("ALTER TABLE token DROP COLUMN client_ids;"
	            "DROP TABLE sequence; PRAGMA user_version = 4");
	IS(db_open(&w.rest.db, w.dir, 50, why, sizeof(why)), 0);
	IS(tokens_open(&w.rest.tokens, w.rest.db, w.dir, why, sizeof(why)), 0);
	(void)snprintf(text, sizeof(text), "%d:%.16s", GAMMA, w.key[GAMMA]);
	IS(tokens_find(w.rest.tokens, str_c(text), &row), 0);
	IS(row.id, GAMMA);
	token_row_free(&row);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[GAMMA], .body = "[{}]"), 200);
	YES(world_number(&w, 0, "id") >> 40 == 1);
	IS(ASK(&w, HTTP_POST, "/platform/subaccounts", w.key[GAMMA], .body = "[{\"name\":\"x\"}]"),
	   200);
	YES(world_number(&w, 0, "id") >> 40 == 1);
	IS(world_number(&w, 0, "cid"), GAMMA);
	world_close(&w);
}

static void a_database_of_another_program_is_left_alone(void)
{
	struct db *db = NULL;

	(void)snprintf(w.dir, sizeof(w.dir), "%s/other", temp_dir());
	MUST(mkdir(w.dir, 0700) == 0);
	set_version("CREATE TABLE theirs (a)");
	IS(db_open(&db, w.dir, 50, why, sizeof(why)), -E_INVALID);
	CONTAINS(why, "another program");
}

/* ---- Damaged ---- */
static void spoil(const char *name, off_t at, size_t n)
{
	char junk[4096];
	int fd = open(inside(name), O_WRONLY);

	memset(junk, 0x5a, sizeof(junk));
	MUST(fd >= 0 && pwrite(fd, junk, n, at) == (ssize_t)n);
	(void)close(fd);
}

static void hash_file(const char *name, uint8_t out[32])
{
	static char bytes[1 << 20];
	int fd = open(inside(name), O_RDONLY);
	ssize_t n = read(fd, bytes, sizeof(bytes));

	MUST(fd >= 0 && n >= 0);
	(void)close(fd);
	IS(crypt_sha256(out, str_make(bytes, (size_t)n)), 0);
}

static void a_damaged_database_is_told_of_and_left_as_it_is(void)
{
	static const struct {
		off_t at;
		size_t n;
	} wounds[] = { { 0, 100 }, { 4096, 64 }, { 3 * 4096, 4096 } };
	uint8_t before[32], after[32];

	for (size_t i = 0; i < ARRAY_LEN(wounds); i++) {
		struct db *db = NULL;
		int err;

		world_open(&w);
		world_close(&w);
		spoil("admin.db", wounds[i].at, wounds[i].n);
		hash_file("admin.db", before);
		err = db_open(&db, w.dir, 50, why, sizeof(why));
		IS(err, -E_CORRUPT);
		CONTAINS(why, "damaged");
		CONTAINS(why, "admin.db");
		hash_file("admin.db", after);
		YES(memcmp(before, after, 32) == 0);
		MUST(rename(w.dir, temp_file("moved-away", NULL)) == 0);
		MUST(rename(temp_file("moved-away", NULL), temp_file(i == 0   ? "a"
		                                                     : i == 1 ? "b"
		                                                              : "c",
		                                                     NULL)) == 0);
	}
}

static void a_missing_or_foreign_pepper_ends_the_start(void)
{
	struct tokens *t = NULL;
	struct db *db = NULL;

	world_open(&w);
	world_close(&w);
	IS(db_open(&db, w.dir, 50, why, sizeof(why)), 0);
	spoil("pepper", 0, 32);
	IS(tokens_open(&t, db, w.dir, why, sizeof(why)), -E_INVALID);
	CONTAINS(why, "restore");
	MUST(truncate(inside("pepper"), 31) == 0);
	IS(tokens_open(&t, db, w.dir, why, sizeof(why)), -E_CORRUPT);
	MUST(chmod(inside("pepper"), 0644) == 0);
	IS(tokens_open(&t, db, w.dir, why, sizeof(why)), -E_DENIED);
	MUST(unlink(inside("pepper")) == 0);
	IS(tokens_open(&t, db, w.dir, why, sizeof(why)), -E_NOTFOUND);
	db_close(&db);
}

/* ---- Locked ---- */
static void a_locked_database_is_503_for_writers_while_readers_go_on(void)
{
	sqlite3 *lite = NULL;

	world_open(&w);
	MUST(sqlite3_open(inside("admin.db"), &lite) == SQLITE_OK);
	MUST(sqlite3_exec(lite, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "[{\"info\":\"x\"}]"), 503);
	CONTAINS(w.text, "locked");
	IS(w.sent_count, 0);
	IS(ASK(&w, HTTP_GET, "/auth/info", w.key[ALPHA]), 200);
	NO(tokens_flush(w.rest.tokens) == 0);
	MUST(sqlite3_exec(lite, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
	(void)sqlite3_close(lite);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "[{\"info\":\"x\"}]"), 200);
	IS(tokens_flush(w.rest.tokens), 0); /* the use that could not be written is not forgotten */
	IS(reopen(), 0);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all?fields=accessed", w.key[ALPHA]), 200);
	YES(world_number(&w, 0, "accessed") > 0);
	world_close(&w);
}

static void a_database_locked_at_the_start_is_one_clear_line(void)
{
	struct db *db = NULL;
	sqlite3 *lite = NULL;

	world_open(&w);
	world_close(&w);
	MUST(sqlite3_open(inside("admin.db"), &lite) == SQLITE_OK);
	MUST(sqlite3_exec(lite,
	                  "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; DELETE FROM meta",
	                  NULL, NULL, NULL) == SQLITE_OK);
	IS(db_open(&db, w.dir, 50, why, sizeof(why)), -E_BUSY);
	CONTAINS(why, "locked by another program");
	NO(strchr(why, '\n'));
	(void)sqlite3_close(lite);
	IS(db_open(&db, w.dir, 50, why, sizeof(why)), 0);
	db_close(&db);
}

/* ---- Full ---- */
static void set_file_limit(rlim_t bytes)
{
	struct rlimit limit;

	MUST(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = bytes;
	MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void a_full_disk_is_503_and_loses_nothing(void)
{
	struct stat st;
	unsigned made = 0;

	(void)signal(SIGXFSZ, SIG_IGN);
	world_open(&w);
	MUST(stat(inside("admin.db-wal"), &st) == 0);
	set_file_limit((rlim_t)st.st_size + 20000);
	while (made < 40 && ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA],
	                        .body = "[{\"info\":\"kept\"}]") == 200)
		made++;
	YES(made < 40);
	IS(w.status, 503);
	CONTAINS(w.text, "disk is full");
	IS(w.sent_count, made * 2);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=kept", w.key[ALPHA]), made ? 200 : 404);
	IS(world_items(&w), made);
	set_file_limit(RLIM_INFINITY);
	IS(ASK(&w, HTTP_POST, "/platform/tokens", w.key[ALPHA], .body = "[{\"info\":\"kept\"}]"),
	   200);
	IS(reopen(), 0);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/info=kept", w.key[ALPHA]), 200);
	IS(world_items(&w), made + 1);
	world_close(&w);
}

/* ---- The first customer ---- */
static char *read_all(const char *path)
{
	static char text[200];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		(void)close(fd);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static void open_empty(void)
{
	memset(&w, 0, sizeof(w));
	w.config = world_config();
	w.rest.config = &w.config;
	(void)snprintf(w.dir, sizeof(w.dir), "%s/state", temp_dir());
	IS(db_open(&w.rest.db, w.dir, 50, why, sizeof(why)), 0);
	IS(tokens_open(&w.rest.tokens, w.rest.db, w.dir, why, sizeof(why)), 0);
}

static void the_first_customer_is_made_exactly_once(void)
{
	char path[400], key[200];

	open_empty();
	(void)snprintf(path, sizeof(path), "%s", temp_file("token", NULL));
	IS(first_customer(&w.rest, why, sizeof(why)), 0); /* not asked for */
	w.config.first_customer = (char *)(uintptr_t) "main";
	IS(first_customer(&w.rest, why, sizeof(why)), -E_INVALID); /* and nowhere to put the key */
	w.config.token_out = path;
	IS(first_customer(&w.rest, why, sizeof(why)), 0);
	IS(mode_of(path), 0600);
	(void)snprintf(key, sizeof(key), "%s", read_all(path));
	IS(ASK(&w, HTTP_GET, "/platform/customer", key), 200);
	YES(strcmp(world_string(&w, 0, "name"), "main") == 0);
	MUST(unlink(path) == 0);
	IS(first_customer(&w.rest, why, sizeof(why)), 0);
	NO(access(path, F_OK) == 0);
	IS(ASK(&w, HTTP_GET, "/platform/tokens/all", key), 200);
	IS(world_items(&w), 1);
	world_close(&w);
}

static void a_key_that_cannot_be_written_makes_no_customer(void)
{
	bool any = true;

	open_empty();
	w.config.first_customer = (char *)(uintptr_t) "main";
	w.config.token_out = (char *)(uintptr_t) "/nonexistent/folder/token";
	NO(first_customer(&w.rest, why, sizeof(why)) == 0);
	CONTAINS(why, "/nonexistent/folder/token");
	IS(customers_any(w.rest.db, &any), 0);
	NO(any);
	world_close(&w);
}

RUN(folder_and_files_are_private_whatever_the_umask, what_was_made_readable_is_made_private_again,
    a_second_program_on_the_same_folder_is_turned_away, a_database_that_is_a_link_is_refused,
    a_new_database_says_so_and_an_old_one_keeps_its_rows,
    a_database_of_a_newer_version_is_left_alone,
    a_database_of_the_first_version_is_brought_up_to_date,
    limits_of_0_of_an_old_database_are_not_set, ids_of_an_old_database_stay_and_new_ones_lie_apart,
    a_database_of_another_program_is_left_alone, a_damaged_database_is_told_of_and_left_as_it_is,
    a_missing_or_foreign_pepper_ends_the_start,
    a_locked_database_is_503_for_writers_while_readers_go_on,
    a_database_locked_at_the_start_is_one_clear_line, a_full_disk_is_503_and_loses_nothing,
    the_first_customer_is_made_exactly_once, a_key_that_cannot_be_written_makes_no_customer)
