/* condition.c - reading and asking conditions of a filter (condition.h). */
#include "base/base.h"
#include "wire/condition.h"

#include "base/mem.h"
#include "wire/mqtt_parts.h"

enum kind { CID, SINCE, EXPRESSION };

struct part {
	enum kind kind;
	union {
		uint64_t cid;
		int64_t after_us; /* later than that */
		struct expr *expr;
	} v;
};

struct condition {
	unsigned count;
	struct part part[CONDITIONS_MAX];
};

/* ---- Where they stand ---- */
enum share_kind condition_split(struct str text, struct share *out, struct str *conditions)
{
	const struct str word = STR("$filter/");
	enum share_kind kind = share_split(text, out);
	const char *slash;
	struct str rest;

	*conditions = STR_NONE;
	if (kind == SHARE_BAD)
		return kind;
	if (str_eq(out->filter, STR("$filter")))
		return SHARE_BAD;
	if (!str_starts(out->filter, word))
		return kind;
	rest = str_skip(out->filter, word.n);
	slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
	if (!slash || slash == rest.p || slash + 1 == rest.p + rest.n)
		return SHARE_BAD;
	*conditions = str_make(rest.p, (size_t)(slash - rest.p));
	out->filter = str_skip(rest, conditions->n + 1);
	return kind;
}

/* ---- One condition ---- */
static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* room: text.n bytes */
static bool decode(struct str text, char *room, struct str *out)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '%') {
			int high = i + 2 < text.n ? hex_of(text.p[i + 1]) : -1;
			int low = i + 2 < text.n ? hex_of(text.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			room[n++] = (char)(high << 4 | low);
			i += 2;
		} else {
			room[n++] = text.p[i];
		}
	}
	*out = str_make(room, n);
	return mqtt_text_ok(*out);
}

/* "1700000000.123456" in microseconds, what is finer cut off */
static bool read_time(struct str text, int64_t *us)
{
	const char *point = text.n ? memchr(text.p, '.', text.n) : NULL;
	struct str whole = point ? str_make(text.p, (size_t)(point - text.p)) : text;
	struct str part = point ? str_skip(text, whole.n + 1) : STR("0");
	uint64_t seconds, digits;

	if (!str_to_u64(whole, &seconds) || seconds > UINT64_C(1000000000000) || part.n > 9 ||
	    !str_to_u64(part, &digits))
		return false;
	for (size_t n = part.n; n < 9; n++)
		digits *= 10;
	*us = (int64_t)(seconds * 1000000 + digits / 1000);
	return true;
}

static int read_since(struct part *p, struct str rest)
{
	bool or_at = str_starts(rest, STR(">="));

	p->kind = SINCE;
	if (!str_starts(rest, STR(">")) ||
	    !read_time(str_skip(rest, or_at ? 2 : 1), &p->v.after_us))
		return -E_INVALID;
	p->v.after_us -= or_at;
	return 0;
}

static bool take_word(struct str *text, struct str word)
{
	if (!str_starts(*text, word))
		return false;
	*text = str_skip(*text, word.n);
	return true;
}

static int read_part(struct part *p, struct str text)
{
	if (take_word(&text, STR("cid="))) {
		p->kind = CID;
		return str_to_u64(text, &p->v.cid) && p->v.cid ? 0 : -E_INVALID;
	}
	if (take_word(&text, STR("modified_since")))
		return read_since(p, text);
	p->kind = EXPRESSION;
	if (take_word(&text, STR("payload=")))
		return expr_new(&p->v.expr, text, EXPR_PAYLOAD);
	if (take_word(&text, STR("message=")))
		return expr_new(&p->v.expr, text, EXPR_MESSAGE);
	return -E_INVALID;
}

/* ---- All of them ---- */
static int read_all(struct condition *c, struct str rest)
{
	char room[CONDITIONS_BYTES_MAX];
	struct str text;
	int err;

	for (bool more = true; more;) {
		const char *end = rest.n ? memchr(rest.p, '&', rest.n) : NULL;
		struct str one = end ? str_make(rest.p, (size_t)(end - rest.p)) : rest;

		more = end;
		rest = end ? str_skip(rest, one.n + 1) : STR_NONE;
		if (c->count == CONDITIONS_MAX)
			return -E_LIMIT;
		if (!decode(one, room, &text))
			return -E_INVALID;
		err = read_part(&c->part[c->count], text);
		if (err)
			return err;
		c->count++;
	}
	return 0;
}

int condition_new(struct condition **out, struct str conditions)
{
	struct condition *c;
	int err;

	if (conditions.n > CONDITIONS_BYTES_MAX)
		return -E_LIMIT;
	c = mem_zalloc(sizeof(*c));
	if (!c)
		return -E_NOMEM;
	err = read_all(c, conditions);
	if (err)
		condition_free(&c);
	else
		*out = c;
	return err;
}

void condition_free(struct condition **slot)
{
	struct condition *c = *slot;

	*slot = NULL;
	for (unsigned i = 0; c && i < c->count; i++) {
		if (c->part[i].kind == EXPRESSION)
			expr_free(&c->part[i].v.expr);
	}
	mem_free(c);
}

bool condition_admits(const struct condition *c, uint64_t cid)
{
	for (unsigned i = 0; i < c->count; i++) {
		if (c->part[i].kind == CID && c->part[i].v.cid != cid)
			return false;
	}
	return true;
}

static bool since(const struct condition *c, int64_t us)
{
	for (unsigned i = 0; i < c->count; i++) {
		if (c->part[i].kind == SINCE && us <= c->part[i].v.after_us)
			return false;
	}
	return true;
}

/* What costs nothing is asked first. */
bool condition_holds(const struct condition *c, struct expr_facts *f)
{
	if (!condition_admits(c, f->cid) || !since(c, f->timestamp_ms * 1000))
		return false;
	for (unsigned i = 0; i < c->count; i++) {
		if (c->part[i].kind == EXPRESSION && !expr_true(c->part[i].v.expr, f))
			return false;
	}
	return true;
}
