/* expr_facts.c - what a message holds, as far as an expression asks for it: its payload as JSON,
 * which is read once, names in it, and user properties. */
#include "base/base.h"
#include "wire/expr_parts.h"

#include "wire/mqtt_parts.h"

static struct value from_json(const json_t *j)
{
	switch (j ? json_typeof(j) : JSON_NULL) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return (struct value){ .kind = JSON, .v.j = j };
	case JSON_STRING:
		return text(str_make(json_string_value(j), json_string_length(j)));
	case JSON_INTEGER:
		return integer(json_integer_value(j));
	case JSON_REAL:
		return real(json_real_value(j));
	case JSON_TRUE:
		return boolean(true);
	case JSON_FALSE:
		return boolean(false);
	default:
		return none;
	}
}

/* What it costs to read it as JSON: each value in it stands behind one of these. */
static uint64_t parse_steps(struct str text)
{
	uint64_t steps = VALUE + text.n / PARSED;

	for (size_t i = 0; i < text.n; i++) {
		switch (text.p[i]) {
		case '[':
			steps += VALUE + ARRAY;
			break;
		case '{':
			steps += VALUE + OBJECT;
			break;
		case ',':
		case ':':
			steps += VALUE;
			break;
		case '.':
			steps += FRACTION;
			break;
		default:
			break;
		}
	}
	return steps;
}

struct value expr_payload(struct expr_facts *f)
{
	if (f->payload.n > f->payload_most)
		return none;
	if (!f->parsed) {
		f->parsed = true;
		if (!json_may_be(f->payload) || !pay(f, parse_steps(f->payload)) ||
		    json_read_any(&f->json, f->payload, JSON_DEPTH))
			f->json = NULL; /* a text, then */
	}
	return f->json ? from_json(f->json) : text(f->payload);
}

static struct value user_property(const struct expr_facts *f, struct str name)
{
	struct mqtt_props p;
	struct mqtt_user_walk walk;
	struct str key, found;

	if (f->props.n == 0 || mqtt_props_judge(f->props, MQTT_PUBLISH, &p) != RC_SUCCESS)
		return none;
	mqtt_user_start(&walk, &p);
	while (mqtt_user_next(&walk, &key, &found)) {
		if (str_eq(key, name))
			return text(found);
	}
	return none;
}

struct value expr_member(struct expr_facts *f, struct value of, struct str key)
{
	if (of.kind == USER)
		return pay(f, f->props.n / WALKED) ? user_property(f, key) : none;
	return of.kind == JSON && pay(f, key.n / HASHED)
	           ? from_json(json_object_getn(of.v.j, key.p, key.n))
	           : none;
}

/* The longest key of a small object that `path` begins with, a point behind it; 0: none. */
static size_t longest_key(struct expr_facts *f, const json_t *of, struct str path)
{
	size_t longest = 0;
	const char *key;
	json_t *value;
	size_t n;

	json_object_keylen_foreach((json_t *)(uintptr_t)of, key, n, value)
	{
		if (!pay(f, 1 + n / COMPARED))
			return 0;
		if (n > longest && n < path.n && path.p[n] == '.' && memcmp(key, path.p, n) == 0)
			longest = n;
	}
	return longest;
}

struct value expr_names(struct expr_facts *f, struct value of, struct str path)
{
	struct str key = path;

	if (of.kind == USER)
		return expr_member(f, of, path);
	while (of.kind == JSON && pay(f, 1 + key.n / HASHED)) {
		const json_t *found = json_object_getn(of.v.j, key.p, key.n);

		if (found && key.n == path.n)
			return from_json(found);
		if (found) {
			of = from_json(found);
			path = key = str_skip(path, key.n + 1);
			continue;
		}
		if (key.n == path.n && json_object_size(of.v.j) <= SMALL) {
			key.n = longest_key(f, of.v.j, path);
			if (key.n == 0)
				break;
			continue;
		}
		while (key.n && key.p[key.n - 1] != '.')
			key.n--;
		if (key.n == 0)
			break;
		key.n--;
	}
	return none;
}

struct value expr_element(struct value of, int64_t i)
{
	return of.kind == JSON ? from_json(json_array_get(of.v.j, (size_t)i)) : none;
}

void expr_facts_end(struct expr_facts *f)
{
	json_decref(f->json);
	f->json = NULL;
	f->parsed = false;
}
