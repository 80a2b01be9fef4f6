/* expr_read.c - from the text of an expression to its operations (expr.h). Operators are read by
 * precedence, C's; the recursion is bounded by EXPR_DEPTH_MAX brackets, signs and functions, with
 * the few levels of operators between them. */
#include "base/base.h"
#include "wire/expr_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/mqtt.h"

struct reading {
	const char *p, *end;
	enum expr_over over;
	int err;
	unsigned depth, stack; /* brackets open; values on the stack now */
	unsigned count, texts_n;
	struct expr_op op[EXPR_OPS_MAX];
	char texts[EXPR_BYTES_MAX];
};

static const struct {
	uint8_t takes, puts;
} effects[] = {
#define O(name, takes, puts) [OP_##name] = { takes, puts },
	EXPR_OPS(O)
#undef O
};

/* ---- Writing ---- */
static bool fail(struct reading *r, int err)
{
	if (!r->err)
		r->err = err;
	return false;
}

static struct expr_op *emit(struct reading *r, enum expr_code code)
{
	static struct expr_op nowhere; /* after a failure; never read */

	r->stack = r->stack - effects[code].takes + effects[code].puts;
	if (r->count == EXPR_OPS_MAX || r->stack > EXPR_STACK) {
		(void)fail(r, -E_LIMIT);
		return &nowhere;
	}
	r->op[r->count] = (struct expr_op){ .code = (uint8_t)code };
	return &r->op[r->count++];
}

static void emit_text(struct reading *r, enum expr_code code, struct str text)
{
	struct expr_op *op = emit(r, code);

	/* what is kept is never longer than what was read */
	op->at = (uint16_t)r->texts_n;
	op->n = (uint16_t)text.n;
	memcpy(r->texts + r->texts_n, text.p, text.n);
	r->texts_n += (unsigned)text.n;
}

static void land(struct reading *r, unsigned jump) /* it leads to what comes next */
{
	if (!r->err)
		r->op[jump].at = (uint16_t)r->count;
}

/* ---- Looking ---- */
static void skip_space(struct reading *r)
{
	while (r->p < r->end && (*r->p == ' ' || (*r->p >= '\t' && *r->p <= '\r')))
		r->p++;
}

static char next_char(const struct reading *r) /* 0 at the end: no text holds one */
{
	return r->p < r->end ? *r->p : '\0';
}

static bool take_char(struct reading *r, char c)
{
	skip_space(r);
	if (next_char(r) != c)
		return false;
	r->p++;
	return true;
}

static bool need(struct reading *r, char c)
{
	return take_char(r, c) || fail(r, -E_INVALID);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool take_word(struct reading *r, struct str *word) /* letters and digits, not none */
{
	const char *start = r->p;

	while (r->p < r->end && (is_letter(*r->p) || is_digit(*r->p)))
		r->p++;
	*word = str_make(start, (size_t)(r->p - start));
	return word->n > 0;
}

/* ---- Literals ---- */
bool expr_number(struct str text, bool *is_real, int64_t *i, double *r)
{
	char z[40], *end;
	bool hex = text.n > 2 && text.p[0] == '0' && (text.p[1] | 0x20) == 'x';
	size_t first = text.n && text.p[0] == '-';
	long long whole;
	double real;

	/* no signs but one, no blanks, no inf, no nan: strtod knows more than we do */
	if (text.n <= first || text.n >= sizeof(z) || !is_digit(text.p[first]))
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	errno = 0;
	whole = strtoll(z, &end, hex ? 16 : 10);
	if (end == z + text.n && errno == 0) {
		*is_real = false;
		*i = whole;
		return true;
	}
	if (memchr(z, 'x', text.n) || memchr(z, 'X', text.n))
		return false;
	real = strtod(z, &end);
	if (end != z + text.n || !isfinite(real))
		return false;
	*is_real = true;
	*r = real;
	return true;
}

/* The sign belongs to the operator before it. */
static bool read_number(struct reading *r)
{
	const char *start = r->p;
	struct expr_op *op;
	bool is_real;
	int64_t i = 0;
	double real = 0;

	while (r->p < r->end &&
	       (is_digit(*r->p) || is_letter(*r->p) || *r->p == '.' ||
	        ((*r->p == '+' || *r->p == '-') && (r->p[-1] | 0x20) == 'e' && start[1] != 'x')))
		r->p++;
	if (!expr_number(str_make(start, (size_t)(r->p - start)), &is_real, &i, &real))
		return fail(r, -E_INVALID);
	op = emit(r, is_real ? OP_REAL : OP_INT);
	if (is_real)
		op->v.r = real;
	else
		op->v.i = i;
	return true;
}

/* 'text' or "text"; a backslash takes the next character as it is. Into r->texts. */
static bool take_text(struct reading *r, struct str *text)
{
	char quote = *r->p++, *at = r->texts + r->texts_n;
	size_t n = 0;

	for (; r->p < r->end && *r->p != quote; r->p++) {
		if (*r->p == '\\' && ++r->p == r->end)
			break;
		at[n++] = *r->p;
	}
	if (r->p == r->end)
		return fail(r, -E_INVALID);
	r->p++;
	*text = str_make(at, n);
	return true;
}

/* emit_text() of bytes that lie where they are to lie */
static bool read_text(struct reading *r, enum expr_code code)
{
	struct expr_op *op;
	struct str text;

	if (!take_text(r, &text))
		return false;
	op = emit(r, code);
	op->at = (uint16_t)r->texts_n;
	op->n = (uint16_t)text.n;
	r->texts_n += (unsigned)text.n;
	return true;
}

/* ---- Names ---- */
static bool read_index(struct reading *r) /* after '[' */
{
	struct expr_op *op;
	struct str digits;
	uint64_t i;

	skip_space(r);
	if (next_char(r) == '\'' || next_char(r) == '"')
		return read_text(r, OP_KEY) && need(r, ']');
	if (!take_word(r, &digits) || !str_to_u64(digits, &i) || i > INT32_MAX)
		return fail(r, -E_INVALID);
	op = emit(r, OP_INDEX);
	op->v.i = (int64_t)i;
	return need(r, ']');
}

/* `.b.c` after a value, or `a.b.c` at the beginning of one: one operation for all of them, because
 * "a.b" may also be one key. */
static bool read_names(struct reading *r)
{
	const char *start = r->p;
	struct str word;

	do {
		if (!take_word(r, &word))
			return fail(r, -E_INVALID);
	} while (next_char(r) == '.' && r->p++);
	emit_text(r, OP_NAMES, str_make(start, (size_t)(r->p - start)));
	return true;
}

static bool read_rest(struct reading *r) /* [0].b.c ["d"] */
{
	for (;;) {
		if (next_char(r) == '[') {
			r->p++;
			if (!read_index(r))
				return false;
		} else if (next_char(r) == '.') {
			r->p++;
			if (!read_names(r))
				return false;
		} else {
			return true;
		}
	}
}

/* The first word of a name of the message says which part of it. */
static bool read_part(struct reading *r)
{
	static const struct {
		struct str word;
		uint8_t code;
	} parts[] = {
		{ STR_INIT("payload"), OP_PAYLOAD },
		{ STR_INIT("topic"), OP_TOPIC },
		{ STR_INIT("cid"), OP_CID },
		{ STR_INIT("timestamp"), OP_TIMESTAMP },
		{ STR_INIT("user_properties"), OP_USER },
	};
	struct str word;

	if (!take_word(r, &word))
		return fail(r, -E_INVALID);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (str_eq(word, parts[i].word)) {
			(void)emit(r, (enum expr_code)parts[i].code);
			return read_rest(r);
		}
	}
	return fail(r, -E_INVALID); /* a message has no such part: a slip of the pen */
}

static bool read_name(struct reading *r)
{
	if (r->over == EXPR_MESSAGE)
		return read_part(r);
	(void)emit(r, OP_PAYLOAD);
	if (next_char(r) == '[')
		return read_rest(r);
	return read_names(r) && read_rest(r);
}

/* ---- Functions ---- */
static bool read_any(struct reading *r, unsigned least);

static bool read_if(struct reading *r) /* after the bracket */
{
	unsigned unless, jump;

	if (!read_any(r, 0) || !need(r, ','))
		return false;
	unless = r->count;
	(void)emit(r, OP_UNLESS);
	if (!read_any(r, 0) || !need(r, ','))
		return false;
	jump = r->count;
	(void)emit(r, OP_JUMP);
	land(r, unless);
	if (!read_any(r, 0) || !need(r, ')'))
		return false;
	land(r, jump);
	return true;
}

static const struct function {
	struct str name;
	uint8_t code, arguments;
} functions[] = {
	{ STR_INIT("exists"), OP_EXISTS, 1 },
	{ STR_INIT("isnull"), OP_IS_NULL, 1 },
	{ STR_INIT("isnumber"), OP_IS_NUMBER, 1 },
	{ STR_INIT("isstring"), OP_IS_STRING, 1 },
	{ STR_INIT("isboolean"), OP_IS_BOOLEAN, 1 },
	{ STR_INIT("isjson"), OP_IS_JSON, 1 },
	{ STR_INIT("tonumber"), OP_TO_NUMBER, 1 },
	{ STR_INIT("toboolean"), OP_TRUTH, 1 },
	{ STR_INIT("not"), OP_NOT, 1 },
	{ STR_INIT("length"), OP_LENGTH, 1 },
	{ STR_INIT("contains"), OP_CONTAINS, 2 },
	{ STR_INIT("starts"), OP_STARTS, 2 },
	{ STR_INIT("ends"), OP_ENDS, 2 },
	{ STR_INIT("matches"), OP_LIKE, 2 },
};

static bool read_function(struct reading *r, struct str name) /* after the bracket */
{
	const struct function *f = functions;

	if (str_eq(name, STR("if")))
		return read_if(r);
	while (f < functions + ARRAY_LEN(functions) && !str_eq(f->name, name))
		f++;
	if (f == functions + ARRAY_LEN(functions))
		return fail(r, -E_INVALID);
	for (unsigned i = 0; i < f->arguments; i++) {
		if ((i && !need(r, ',')) || !read_any(r, 0))
			return false;
	}
	(void)emit(r, (enum expr_code)f->code);
	return need(r, ')');
}

/* ---- One value ---- */
/* true, false, null, a function or a name */
static bool read_word(struct reading *r)
{
	static const struct {
		struct str word;
		uint8_t code;
	} words[] = {
		{ STR_INIT("true"), OP_TRUE },
		{ STR_INIT("false"), OP_FALSE },
		{ STR_INIT("null"), OP_NONE },
	};
	const char *start = r->p;
	struct str word;

	(void)take_word(r, &word);
	if (take_char(r, '('))
		return read_function(r, word);
	r->p = word.p + word.n;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (str_eq(word, words[i].word) && next_char(r) != '.' && next_char(r) != '[') {
			(void)emit(r, (enum expr_code)words[i].code);
			return true;
		}
	}
	r->p = start;
	return read_name(r);
}

static bool read_sign(struct reading *r);

static bool read_value(struct reading *r)
{
	char c;

	skip_space(r);
	c = next_char(r);
	if (c == '(') {
		r->p++;
		return read_any(r, 0) && need(r, ')');
	}
	if (c == '!' || c == '-')
		return read_sign(r);
	if (c == '\'' || c == '"')
		return read_text(r, OP_TEXT);
	if (is_digit(c))
		return read_number(r);
	if (c == '$') { /* flespi's "null if it is not there", which every name is here */
		r->p++;
		return read_name(r);
	}
	if (is_letter(c))
		return read_word(r);
	return c == '[' ? read_name(r) : fail(r, -E_INVALID);
}

static bool read_deeper(struct reading *r)
{
	bool fine;

	if (r->err || ++r->depth > EXPR_DEPTH_MAX)
		return fail(r, -E_LIMIT);
	fine = read_value(r);
	r->depth--;
	return fine && !r->err;
}

static bool read_sign(struct reading *r)
{
	enum expr_code code = *r->p++ == '!' ? OP_NOT : OP_MINUS;

	if (!read_deeper(r))
		return false;
	(void)emit(r, code);
	return true;
}

/* ---- Operators ---- */
static const struct operator
{
	struct str text; /* longer ones first */
	uint8_t level, code;
}
operators[] = {
	{ STR_INIT("||"), 1, OP_OR },      { STR_INIT("&&"), 2, OP_AND },
	{ STR_INIT("=="), 5, OP_EQ },      { STR_INIT("!="), 5, OP_NE },
	{ STR_INIT("<="), 6, OP_LE },      { STR_INIT(">="), 6, OP_GE },
	{ STR_INIT("<"), 6, OP_LT },       { STR_INIT(">"), 6, OP_GT },
	{ STR_INIT("~"), 5, OP_LIKE },     { STR_INIT("|"), 3, OP_BITS_OR },
	{ STR_INIT("&"), 4, OP_BITS_AND }, { STR_INIT("+"), 7, OP_ADD },
	{ STR_INIT("-"), 7, OP_SUB },      { STR_INIT("*"), 8, OP_MUL },
	{ STR_INIT("/"), 8, OP_DIV },      { STR_INIT("%"), 8, OP_MOD },
};

static const struct operator* take_operator(struct reading *r, unsigned least)
{
	struct str rest;

	skip_space(r);
	rest = str_make(r->p, (size_t)(r->end - r->p));
	for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
		if (!str_starts(rest, operators[i].text))
			continue;
		if (operators[i].level < least)
			return NULL;
		r->p += operators[i].text.n;
		return &operators[i];
	}
	return NULL;
}

static bool read_right(struct reading *r, const struct operator* o)
{
	unsigned jump = r->count;
	bool logic = o->code == OP_AND || o->code == OP_OR;

	if (logic)
		(void)emit(r, (enum expr_code)o->code);
	if (!read_any(r, o->level + 1u))
		return false;
	(void)emit(r, logic ? OP_TRUTH : (enum expr_code)o->code);
	if (logic)
		land(r, jump);
	return true;
}

/* A value and what operators of at least this level make of it. */
static bool read_any(struct reading *r, unsigned least)
{
	const struct operator* o;

	if (!read_deeper(r))
		return false;
	while ((o = take_operator(r, least))) {
		if (!read_right(r, o))
			return false;
	}
	return !r->err;
}

/* ---- The whole ---- */
static int pack(struct expr **out, const struct reading *r)
{
	size_t ops = r->count * sizeof(r->op[0]);
	struct expr *e = mem_alloc(sizeof(*e) + ops + r->texts_n);
	char *texts;

	if (!e)
		return -E_NOMEM;
	texts = (char *)e->op + ops;
	e->count = r->count;
	e->texts = texts;
	memcpy(e->op, r->op, ops);
	memcpy(texts, r->texts, r->texts_n);
	*out = e;
	return 0;
}

int expr_new(struct expr **out, struct str text, enum expr_over over)
{
	struct reading r __attribute__((uninitialized));

	if (text.n > EXPR_BYTES_MAX)
		return -E_LIMIT;
	if (text.n == 0 || memchr(text.p, '\0', text.n))
		return -E_INVALID;
	r.p = text.p;
	r.end = text.p + text.n;
	r.over = over;
	r.err = 0;
	r.depth = r.stack = r.count = r.texts_n = 0;
	if (read_any(&r, 0)) {
		skip_space(&r);
		if (r.p != r.end)
			(void)fail(&r, -E_INVALID);
	}
	return r.err ? r.err : pack(out, &r);
}

void expr_free(struct expr **e)
{
	mem_free(*e);
	*e = NULL;
}

unsigned expr_ops(const struct expr *e)
{
	return e->count;
}
