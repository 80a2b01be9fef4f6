/* pepper.c - the pepper's file, and the mark in the database by which it is recognised (pepper.h).
 */
#include "base/base.h"
#include "admin/pepper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/files.h"
#include "base/crypt.h"
#include "base/mem.h"

static int mark_of(const uint8_t pepper[PEPPER], uint8_t mark[CRYPT_HASH])
{
	return crypt_hmac(mark, str_make(pepper, PEPPER), STR("mbus pepper of this database"));
}

/* 0, or -E_NOTFOUND when the database has not met its pepper yet. */
static int mark_read(struct db *db, uint8_t mark[CRYPT_HASH])
{
	struct db_q q = db_start(db, "SELECT value FROM meta WHERE name = 'pepper'");
	int found = -E_NOTFOUND, err;

	if (db_row(&q)) {
		struct str s = db_get_bytes(&q, 0);

		found = s.n == CRYPT_HASH ? 0 : -E_CORRUPT;
		if (!found)
			memcpy(mark, s.p, CRYPT_HASH);
	}
	err = db_end(&q);
	return err ? err : found;
}

static int mark_write(struct db *db, const uint8_t mark[CRYPT_HASH])
{
	struct db_q q = db_start(db, "INSERT INTO meta (name, value) VALUES ('pepper', ?)");

	db_bytes(&q, mark, CRYPT_HASH);
	return db_run(&q);
}

static int read_file(const char *path, uint8_t pepper[PEPPER])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), err = -E_CORRUPT;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? -E_NOTFOUND : -E_IO;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & 077))
		err = -E_DENIED;
	else if (st.st_size == PEPPER && read(fd, pepper, PEPPER) == PEPPER)
		err = 0;
	(void)close(fd);
	return err;
}

static int make(uint8_t pepper[PEPPER], struct db *db, const char *dir, const char *path)
{
	uint8_t mark[CRYPT_HASH];
	int err = crypt_random(pepper, PEPPER);

	if (!err)
		err = mark_of(pepper, mark);
	if (!err)
		err = file_write_private(dir, path, str_make(pepper, PEPPER));
	return err ? err
	           : mark_write(
			 db, mark); /* the file first: a mark without a file would be a dead end */
}

static const char *trouble(int err)
{
	switch (err) {
	case -E_NOTFOUND:
		return "is missing; without it every key would be refused: restore it from a "
		       "backup";
	case -E_DENIED:
		return "must be a file of ours that nobody else can read (chmod 600)";
	case -E_CORRUPT:
		return "is damaged: restore it from a backup";
	case -E_INVALID:
		return "is not the one of this database; every key would be refused: restore the "
		       "right one";
	default:
		return "cannot be read or written";
	}
}

int pepper_open(uint8_t out[PEPPER], struct db *db, const char *dir, char *why, size_t why_size)
{
	uint8_t pepper[PEPPER], mark[CRYPT_HASH], wanted[CRYPT_HASH];
	char path[4096];
	int err, met;

	(void)snprintf(path, sizeof(path), "%s/pepper", dir);
	met = mark_read(db, wanted);
	if (met == -E_NOTFOUND)
		err = make(pepper, db, dir, path);
	else if (met)
		err = met;
	else
		err = read_file(path, pepper);
	if (!err && !met) {
		err = mark_of(pepper, mark);
		if (!err && !crypt_equal(mark, wanted, CRYPT_HASH))
			err = -E_INVALID;
	}
	if (err)
		(void)snprintf(why, why_size, "%s %s", path, trouble(err));
	else
		memcpy(out, pepper, PEPPER);
	mem_wipe(pepper, sizeof(pepper));
	return err;
}
