/* json.c - jansson behind one narrow door. What jansson would only refuse late (deep nesting) or in
 * a way that depends on flags (NUL escapes) is refused here before it parses a byte. */
#include "base/base.h"
#include "base/json.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/mem.h"

/* jansson says "out of memory" only sometimes when it is: what it was refused is remembered here.
 */
static _Thread_local bool starved;

static void *json_alloc(size_t n)
{
	void *p = mem_alloc(n);

	if (!p)
		starved = true;
	return p;
}

/* jansson allocates through mem.h, so that tests fail its allocations too. Before main, as jansson
 * asks. */
__attribute__((constructor)) static void json_use_mem(void)
{
	json_set_alloc_funcs(json_alloc, mem_free);
}

/* ---- The scan before the parse: brackets and NUL escapes, nothing else; it never judges syntax
 * ---- */
static const char *skip_string(const char *p, const char *end, bool *nul)
{
	while (p < end && *p != '"') {
		if (*p != '\\') {
			p++;
			continue;
		}
		if (end - p >= 6 && memcmp(p, "\\u0000", 6) == 0)
			*nul = true;
		p += size_min(2, (size_t)(end - p));
	}
	return p < end ? p + 1 : end;
}

static int scan(struct str text, unsigned depth, const char **why)
{
	const char *p = text.p, *end = text.p + text.n;
	unsigned open = 0;
	bool nul = false;

	while (p < end) {
		switch (*p++) {
		case '"':
			p = skip_string(p, end, &nul);
			if (!nul)
				break;
			*why = "a string holds a NUL character";
			return -E_INVALID;
		case '[':
		case '{':
			if (++open <= depth)
				break;
			*why = "nested too deeply";
			return -E_LIMIT;
		case ']':
		case '}':
			open -= open > 0;
			break;
		case '\0':
			*why = "there is a NUL byte";
			return -E_INVALID;
		default:
			break;
		}
	}
	return 0;
}

/* jansson ends its messages with "near '...'", quoting the input: that may be a token, and it may
 * end in a log. */
static void say_jansson(const json_error_t *error, char *why, size_t why_size)
{
	const char *near = strstr(error->text, " near ");
	int n = near ? (int)(near - error->text) : (int)strlen(error->text);

	switch (json_error_code(error)) {
	case json_error_duplicate_key:
		(void)snprintf(why, why_size, "line %d, column %d: a key occurs twice", error->line,
		               error->column);
		break;
	case json_error_end_of_input_expected:
		(void)snprintf(why, why_size, "line %d, column %d: something follows the end",
		               error->line, error->column);
		break;
	default:
		(void)snprintf(why, why_size, "line %d, column %d: %.*s", error->line,
		               error->column, n, error->text);
		break;
	}
}

int json_read(json_t **out, struct str text, size_t most, unsigned depth, char *why,
              size_t why_size)
{
	const char *found = NULL;
	json_error_t error;
	json_t *value;
	int err;

	if (text.n > most) {
		(void)snprintf(why, why_size, "longer than %zu bytes", most);
		return -E_LIMIT;
	}
	if (text.n == 0) {
		(void)snprintf(why, why_size, "empty");
		return -E_INVALID;
	}
	err = scan(text, depth, &found);
	if (err) {
		(void)snprintf(why, why_size, "%s", found);
		return err;
	}
	starved = false;
	value = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &error);
	if (!value && starved) {
		(void)snprintf(why, why_size, "out of memory");
		return -E_NOMEM;
	}
	if (!value) {
		say_jansson(&error, why, why_size);
		return -E_INVALID;
	}
	*out = value;
	return 0;
}

bool json_may_be(struct str text)
{
	size_t i = 0;

	while (i < text.n && (text.p[i] == ' ' || (text.p[i] >= '\t' && text.p[i] <= '\r')))
		i++;
	return i < text.n && memchr("{[\"-0123456789tfn", text.p[i], 17);
}

int json_read_any(json_t **out, struct str text, unsigned depth)
{
	const char *found;
	json_error_t error;
	json_t *value;

	if (!json_may_be(text) || scan(text, depth, &found))
		return -E_INVALID;
	starved = false;
	value = json_loadb(text.p, text.n, JSON_DECODE_ANY, &error);
	if (!value && json_error_code(&error) == json_error_numeric_overflow)
		value =
		    json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
	if (!value)
		return starved ? -E_NOMEM : -E_INVALID;
	*out = value;
	return 0;
}

/* ---- Typed look-ups ---- */
bool json_get_str(const json_t *object, const char *key, struct str *out)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_string(value))
		return false;
	*out = str_make(json_string_value(value), json_string_length(value));
	return true;
}

bool json_get_int(const json_t *object, const char *key, int64_t *out)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		return false;
	*out = (int64_t)json_integer_value(value);
	return true;
}

bool json_get_bool(const json_t *object, const char *key, bool *out)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_boolean(value))
		return false;
	*out = json_is_true(value);
	return true;
}

/* ---- Writing ---- */
static int write_part(const char *p, size_t n, void *arg)
{
	struct buf *out = arg;

	buf_bytes(out, p, n);
	return buf_ok(out) ? 0 : -1;
}

/* 15 digits are what a double holds for sure: 1795377536.789 and not 1795377536.7890001. */
#define FORM (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15))

int json_write(struct buf *out, const json_t *value)
{
	size_t before = buf_len(out);
	int err;

	if (!buf_ok(out))
		return -E_NOMEM;
	starved = false;
	if (json_dump_callback(value, write_part, out, FORM) == 0)
		return 0;
	err = starved || !buf_ok(out) ? -E_NOMEM : -E_INVALID;
	buf_cut(out, before);
	return err;
}
