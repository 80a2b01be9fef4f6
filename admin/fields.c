/* fields.c - checking and cutting the objects of the REST API by their tables (fields.h). */
#include "base/base.h"
#include "admin/fields.h"

#include <stdio.h>

#include "base/log.h"

enum { METADATA_KEY = 128, STORED_JSON = 4 * 1024 * 1024 };

const struct field *fields_find(const struct field_table *table, struct str name)
{
	for (size_t i = 0; i < table->count; i++) {
		if (str_eq(name, str_c(table->list[i].name)))
			return &table->list[i];
	}
	return NULL;
}

/* Control characters would let one line of a log or a terminal become two. */
static bool text_is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	}
	return true;
}

static int check_number(const struct field *f, const json_t *value, char *why, size_t why_size)
{
	int64_t v = json_is_integer(value) ? (int64_t)json_integer_value(value) : 0;

	if (json_is_integer(value) && v >= f->min && v <= f->max)
		return 0;
	(void)snprintf(why, why_size, "%s must be a whole number from %lld to %lld", f->name,
	               (long long)f->min, (long long)f->max);
	return -E_INVALID;
}

static int check_text(const struct field *f, const json_t *value, char *why, size_t why_size)
{
	struct str s = json_is_string(value)
	                   ? str_make(json_string_value(value), json_string_length(value))
	                   : STR_NONE;

	if (json_is_string(value) && s.n >= (size_t)f->min && s.n <= (size_t)f->max &&
	    text_is_plain(s))
		return 0;
	(void)snprintf(why, why_size,
	               "%s must be a text of %lld to %lld bytes without control characters",
	               f->name, (long long)f->min, (long long)f->max);
	return -E_INVALID;
}

static int check_value(const struct field *f, const json_t *value, char *why, size_t why_size)
{
	int err = 0;

	switch (f->type) {
	case FIELD_INT:
		err = check_number(f, value, why, why_size);
		break;
	case FIELD_TEXT:
		err = check_text(f, value, why, why_size);
		break;
	case FIELD_BOOL:
		if (!json_is_boolean(value)) {
			(void)snprintf(why, why_size, "%s must be true or false", f->name);
			err = -E_INVALID;
		}
		break;
	case FIELD_OBJECT:
		if (!json_is_object(value)) {
			(void)snprintf(why, why_size, "%s must be an object", f->name);
			err = -E_INVALID;
		}
		break;
	case FIELD_LIST: /* check says of what */
		if (!json_is_array(value)) {
			(void)snprintf(why, why_size, "%s must be a list", f->name);
			err = -E_INVALID;
		}
		break;
	}
	return err || !f->check ? err : f->check(value, why, why_size);
}

int fields_check(const struct field_table *table, unsigned writing, const json_t *object,
                 bool *unknown, char *why, size_t why_size)
{
	const char *name;
	json_t *value;

	if (!json_is_object(object)) {
		(void)snprintf(why, why_size, "a %s must be an object", table->item);
		return -E_INVALID;
	}
	/* jansson's iterator wants a pointer that is not const, and changes nothing */
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		const struct field *f = fields_find(table, str_c(name));
		int err;

		if (!f || !(f->writable & writing)) {
			(void)snprintf(why, why_size, "%.64s %s", name,
			               f ? "cannot be set here"
			                 : "is not a field that is known here");
			*unknown = true;
			return -E_INVALID;
		}
		err = check_value(f, value, why, why_size);
		if (err)
			return err;
	}
	return 0;
}

json_t *fields_hint(const struct field_table *table, unsigned writing)
{
	json_t *names = json_array();

	for (size_t i = 0; names && i < table->count; i++) {
		const struct field *f = &table->list[i];

		if (writing && !(f->writable & writing))
			continue;
		if (json_array_append_new(names, json_string(f->name)) < 0) {
			json_decref(names);
			names = NULL;
		}
	}
	return names;
}

/* ---- `?fields=a,b` ---- */
static bool list_next(struct str *rest, struct str *name)
{
	const char *comma;

	if (!rest->n)
		return false;
	comma = memchr(rest->p, ',', rest->n);
	*name = str_make(rest->p, comma ? (size_t)(comma - rest->p) : rest->n);
	*rest = str_skip(*rest, size_min(rest->n, name->n + 1));
	return true;
}

int fields_list_check(const struct field_table *table, struct str list, char *why, size_t why_size)
{
	struct str name;

	while (list_next(&list, &name)) {
		if (fields_find(table, name))
			continue;
		(void)snprintf(why, why_size, "fields: a %s has no field of the name given",
		               table->item);
		return -E_INVALID;
	}
	return 0;
}

static bool list_has(struct str list, struct str wanted)
{
	struct str name;

	while (list_next(&list, &name)) {
		if (str_eq(name, wanted))
			return true;
	}
	return false;
}

void fields_keep(json_t *object, struct str list)
{
	const char *name;
	json_t *value;
	void *safe;

	if (!list.n)
		return;
	json_object_foreach_safe(object, safe, name, value)
	{
		if (!list_has(list, str_c(name)))
			(void)json_object_del(object, name);
	}
}

uint64_t fields_wanted(const struct field_table *table, struct str list)
{
	uint64_t wanted = 0;

	MUST(table->count < 64);
	for (size_t i = 0; i < table->count; i++) {
		if (!list.n || list_has(list, str_c(table->list[i].name)))
			wanted |= UINT64_C(1) << i;
	}
	return wanted;
}

/* ---- Objects inside ---- */
int fields_check_metadata(const json_t *value, char *why, size_t why_size)
{
	const char *key;
	json_t *text;

	json_object_foreach((json_t *)(uintptr_t)value, key, text)
	{
		if (json_is_string(text) && strlen(key) <= METADATA_KEY)
			continue;
		(void)snprintf(why, why_size,
		               "metadata must map names of at most %d bytes to texts",
		               METADATA_KEY);
		return -E_INVALID;
	}
	return 0;
}

json_t *fields_stored(struct str text)
{
	char why[80];
	json_t *value;

	return json_read(&value, text, STORED_JSON, JSON_DEPTH, why, sizeof(why)) ? NULL : value;
}
