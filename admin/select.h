/* select.h - flespi's selectors: `123`, `1,2,3`, `all`, `field=value`; and finding the ids they
 * mean, among what the acting customer may see and nothing else. */
#pragma once
#include "admin/db.h"
#include "admin/fields.h"
#include "base/bytes.h"

enum { SELECT_MAX = 1000 };

enum select_kind { SELECT_ALL, SELECT_IDS, SELECT_FIELD };

struct selector {
	enum select_kind kind;
	const struct field *field;
	struct str value; /* borrowed from the text */
	int64_t number;
	size_t count;
	uint64_t ids[SELECT_MAX];
};

/* -E_INVALID with why. */
int select_read(struct selector *out, const struct field_table *table, struct str text, char *why,
                size_t why_size) MUST_CHECK;

struct selection {
	uint64_t ids[SELECT_MAX];
	size_t count;   /* of ids: at most `limit` */
	uint64_t total; /* what matches in all */
};

/* Ids in ascending order, after the first `offset`. With SELECT_IDS they are the caller's own, in
 * the caller's order, doubles left out, not looked up: the look-up of each is scoped too. */
int select_run(struct db *db, const struct field_table *table, const struct selector *s,
               uint64_t scope, uint64_t limit, uint64_t offset, struct selection *out) MUST_CHECK;

/* A number that is known newer than it is stored. */
struct select_newer {
	const char *field;
	int64_t (*of)(void *arg, uint64_t id);
	void *arg;
};

/* Appends the item as the API shows it, of the wanted fields only (fields_wanted): the columns of
 * others are not read, objects are handed on as the text they are stored as. -E_NOTFOUND: not
 * there, or not below scope. newer may be NULL. Service thread. */
int select_show(struct db *db, const struct field_table *table, uint64_t scope, uint64_t id,
                uint64_t wanted, const struct select_newer *newer, struct buf *out) MUST_CHECK;
