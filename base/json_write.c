/* json_write.c - trees of jansson as text (json.h). jansson's own writer formats the address of
 * each object and array for a table that finds loops, and hands the text over in pieces of a few
 * bytes: an access list of a thousand entries took it ten times as long as copying. Here a limit of
 * depth ends loops. */
#include "base/base.h"
#include "base/json.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/mem.h"

enum { DEPTH = 64, REAL_TEXT = 64 };

/* ---- Texts that are JSON already ---- */
/* Strings that no text becomes: UTF-8 has no such byte, and jansson checks what it reads. */
#define RAW '\xff'

json_t *json_raw(struct str text)
{
	char *marked = mem_alloc(text.n + 1);
	json_t *value;

	if (!marked)
		return NULL;
	marked[0] = RAW;
	memcpy(marked + 1, text.p, text.n);
	value = json_stringn_nocheck(marked, text.n + 1);
	mem_free(marked);
	return value;
}

bool json_raw_text(const json_t *value, struct str *out)
{
	const char *p = json_string_value(value);

	if (!p || p[0] != RAW)
		return false;
	*out = str_make(p + 1, json_string_length(value) - 1);
	return true;
}

/* ---- Writing ---- */
/* What a character becomes behind a backslash; 'u': its number; 0: it stays as it is. */
static const char escapes[256] = {
	'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b',         't',           'n', 'u',
	'f', 'r', 'u', 'u', 'u', 'u', 'u', 'u', 'u',         'u',           'u', 'u',
	'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\',
};

static void write_string(struct buf *out, struct str s)
{
	size_t from = 0;

	buf_u8(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		uint8_t b = (uint8_t)s.p[i];

		if (likely(!escapes[b]))
			continue;
		buf_bytes(out, s.p + from, i - from);
		from = i + 1;
		if (escapes[b] == 'u')
			buf_printf(out, "\\u%04X", b);
		else
			buf_bytes(out, (const char[]){ '\\', escapes[b] }, 2);
	}
	buf_bytes(out, s.p + from, s.n - from);
	buf_u8(out, '"');
}

/* 15 digits are what a double holds for sure: 1795377536.789 and not 1795377536.7890001. */
static int write_real(struct buf *out, const json_t *value)
{
	char text[REAL_TEXT];
	size_t n = json_dumpb(value, text, sizeof(text), JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

	if (n == 0 || n > sizeof(text))
		return -E_INVALID;
	buf_bytes(out, text, n);
	return 0;
}

static int write_value(struct buf *out, const json_t *value, unsigned depth);

static int write_array(struct buf *out, const json_t *array, unsigned depth)
{
	size_t n = json_array_size(array);
	int err = 0;

	buf_u8(out, '[');
	for (size_t i = 0; !err && i < n; i++) {
		if (i)
			buf_u8(out, ',');
		err = write_value(out, json_array_get(array, i), depth - 1);
	}
	buf_u8(out, ']');
	return err;
}

static int write_object(struct buf *out, const json_t *object, unsigned depth)
{
	json_t *o = (json_t *)(uintptr_t)object; /* jansson's iterators change nothing */
	bool first = true;
	int err = 0;

	buf_u8(out, '{');
	for (void *i = json_object_iter(o); !err && i; i = json_object_iter_next(o, i)) {
		if (!first)
			buf_u8(out, ',');
		first = false;
		write_string(out, str_c(json_object_iter_key(i)));
		buf_u8(out, ':');
		err = write_value(out, json_object_iter_value(i), depth - 1);
	}
	buf_u8(out, '}');
	return err;
}

static void write_text(struct buf *out, const json_t *string)
{
	struct str s;

	if (json_raw_text(string, &s))
		buf_str_add(out, s);
	else
		write_string(out, str_make(json_string_value(string), json_string_length(string)));
}

/* Recursive: as deep as `depth` lets it. */
static int write_value(struct buf *out, const json_t *value, unsigned depth)
{
	if (!value || depth == 0)
		return -E_INVALID;
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return write_object(out, value, depth);
	case JSON_ARRAY:
		return write_array(out, value, depth);
	case JSON_STRING:
		write_text(out, value);
		return 0;
	case JSON_INTEGER:
		buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return 0;
	case JSON_REAL:
		return write_real(out, value);
	case JSON_TRUE:
		buf_str_add(out, STR("true"));
		return 0;
	case JSON_FALSE:
		buf_str_add(out, STR("false"));
		return 0;
	case JSON_NULL:
		buf_str_add(out, STR("null"));
		return 0;
	}
	return -E_INVALID;
}

int json_write(struct buf *out, const json_t *value)
{
	size_t before = buf_len(out);
	int err;

	if (!buf_ok(out))
		return -E_NOMEM;
	err = write_value(out, value, DEPTH);
	if (!buf_ok(out))
		err = -E_NOMEM;
	if (err)
		buf_cut(out, before);
	return err;
}
