/* fields.h - what an item of the REST API is made of, as one table per kind: it checks what callers
 * send, lists the valid names in `schema_hint`, cuts answers down to `?fields=a,b`, and says what a
 * selector may ask for. */
#pragma once
#include "base/json.h"

enum field_type { FIELD_INT, FIELD_BOOL, FIELD_TEXT, FIELD_OBJECT, FIELD_LIST };
enum { FIELD_CREATE = 1, FIELD_UPDATE = 2 };

struct field {
	const char *name;
	enum field_type type;
	unsigned writable; /* FIELD_CREATE | FIELD_UPDATE */
	int64_t min, max;  /* of a number, of a text's length in bytes */
	/* For `field=value`; NULL = not selectable. Of a list: what is ?2 if that is in it. */
	const char *column;
	int (*check)(const json_t *value, char *why, size_t why_size); /* further rules, or NULL */
};

struct field_table {
	const char *item; /* "token" */
	const struct field *list;
	size_t count;
	/* How the rows a caller may see are found: begins with FROM, has ?1 = the acting customer;
	 * `id` is the id's column. */
	const char *from, *id;
	/* Where the value of each field lies, in the order of list; NULL: it is not stored. */
	const char *const *stored;
};

/* object holds only fields of the table that may be written now, each of its type and in range.
 * -E_INVALID with why, and *unknown = true when a name was the trouble. */
int fields_check(const struct field_table *table, unsigned writing, const json_t *object,
                 bool *unknown, char *why, size_t why_size) MUST_CHECK;
json_t *fields_hint(const struct field_table *table,
                    unsigned writing); /* the writable names; 0 = all names; NULL: no memory */
const struct field *fields_find(const struct field_table *table, struct str name);

/* `a,b`: the object keeps only these. "" keeps all. Unknown names: -E_INVALID. Both look at the
 * same list. */
int fields_list_check(const struct field_table *table, struct str list, char *why,
                      size_t why_size) MUST_CHECK;
void fields_keep(json_t *object, struct str list);
uint64_t fields_wanted(const struct field_table *table,
                       struct str list); /* a bit per place in the table */

/* For metadata objects, usable as field.check; those for limits are in acl/limits.h. */
int fields_check_metadata(const json_t *value, char *why, size_t why_size);
json_t *fields_stored(
    struct str text); /* an object we wrote into the database; NULL: no memory, or damaged */
