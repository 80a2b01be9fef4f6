/* json.c - jansson behind one narrow door. What jansson would only refuse late (deep nesting) or in
 * a way that depends on flags (NUL escapes) is refused here before it parses a byte. */
#include "base/base.h"
#include "base/json.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/json_room.h"
#include "base/mem.h"

/* jansson says "out of memory" only sometimes when it is: what it was refused is remembered here.
 */
static _Thread_local bool starved;

/* jansson allocates through mem.h, so that tests fail its allocations too; the nodes of a long text
 * lie in the thread's room. */
static void *json_alloc(size_t n)
{
	void *p = json_room_alloc(n);

	if (!p)
		p = mem_alloc(n);
	if (!p)
		starved = true;
	return p;
}

static void json_release(void *p)
{
	if (!json_room_free(p))
		mem_free(p);
}

/* Before main, as jansson asks. */
__attribute__((constructor)) static void json_use_mem(void)
{
	json_set_alloc_funcs(json_alloc, json_release);
}

static json_t *load(struct str text, size_t flags, json_error_t *error)
{
	json_t *value;

	starved = false;
	json_room_enter(text.n);
	value = json_loadb(text.p, text.n, flags, error);
	json_room_leave();
	return value;
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

/* Each but the first stands behind one of these. */
size_t json_size(struct str text)
{
	const char *p = text.p, *end = text.p + text.n;
	size_t count = 1;
	bool nul;

	while (p < end) {
		switch (*p++) {
		case '"':
			p = skip_string(p, end, &nul);
			break;
		case '[':
		case '{':
		case ',':
		case ':':
			count++;
			break;
		default:
			break;
		}
	}
	return count;
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
	value = load(text, JSON_REJECT_DUPLICATES, &error);
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
	value = load(text, JSON_DECODE_ANY, &error);
	if (!value && json_error_code(&error) == json_error_numeric_overflow)
		value = load(text, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
	if (!value)
		return starved ? -E_NOMEM : -E_INVALID;
	*out = value;
	return 0;
}

/* ---- Typed look-ups ---- */
bool json_get_str(const json_t *object, const char *key, struct str *out)
{
	const json_t *value = json_object_get(object, key);
	struct str raw;

	if (!json_is_string(value) || json_raw_text(value, &raw))
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
