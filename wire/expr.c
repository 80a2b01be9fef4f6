/* expr.c - asking an expression about a message (expr.h): one walk over its operations, on a stack
 * of values that borrow from the message. */
#include "base/base.h"
#include "wire/expr_parts.h"

#include <math.h>

struct asking {
	const struct expr *e;
	struct expr_facts *f;
	unsigned n; /* values on the stack */
	struct value stack[EXPR_STACK];
};

/* ---- Truth and order ---- */
static bool truth(struct value v)
{
	switch (v.kind) {
	case BOOLEAN:
		return v.v.b;
	case INTEGER:
		return v.v.i != 0;
	case REAL:
		return v.v.r != 0;
	case TEXT:
		return v.v.s.n > 0;
	case JSON:
	case USER:
		return true;
	default:
		return false;
	}
}

static bool is_number(struct value v)
{
	return v.kind == INTEGER || v.kind == REAL;
}

static double as_real(struct value v)
{
	return v.kind == INTEGER ? (double)v.v.i : v.v.r;
}

/* As numbers, not as what one of them would be as the other's kind: 9007199254740993 is not
 * 9007199254740992.0. */
static int order_mixed(int64_t i, double r)
{
	int64_t whole;

	if (r >= 9223372036854775808.0)
		return -1;
	if (r < -9223372036854775808.0)
		return 1;
	whole = (int64_t)r; /* towards zero */
	if (i != whole)
		return i < whole ? -1 : 1;
	return r > (double)whole ? -1 : r < (double)whole;
}

static int order_numbers(struct value x, struct value y)
{
	if (x.kind == INTEGER && y.kind == INTEGER)
		return (x.v.i > y.v.i) - (x.v.i < y.v.i);
	if (x.kind == REAL && y.kind == REAL)
		return (x.v.r > y.v.r) - (x.v.r < y.v.r);
	return x.kind == INTEGER ? order_mixed(x.v.i, y.v.r) : -order_mixed(y.v.i, x.v.r);
}

static int order_texts(struct asking *a, struct str x, struct str y)
{
	size_t n = size_min(x.n, y.n);
	int order;

	if (!pay(a->f, n / COMPARED))
		return 0; /* and nothing holds any more */
	order = n ? memcmp(x.p, y.p, n) : 0;
	return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* False: these two have no order. */
static bool order(struct asking *a, struct value x, struct value y, int *out)
{
	if (is_number(x) && is_number(y))
		*out = order_numbers(x, y);
	else if (x.kind == TEXT && y.kind == TEXT)
		*out = order_texts(a, x.v.s, y.v.s);
	else
		return false;
	return true;
}

static bool equal(struct asking *a, struct value x, struct value y)
{
	int which;

	if (order(a, x, y, &which))
		return which == 0;
	if (x.kind != y.kind)
		return false;
	return x.kind == NONE || (x.kind == BOOLEAN && x.v.b == y.v.b);
}

static bool compare(struct asking *a, enum expr_code code, struct value x, struct value y)
{
	int which;

	if (!order(a, x, y, &which))
		return false;
	switch (code) {
	case OP_LT:
		return which < 0;
	case OP_LE:
		return which <= 0;
	case OP_GT:
		return which > 0;
	default:
		return which >= 0;
	}
}

/* ---- Texts ---- */
/* `*` any characters, `?` one byte. Only the last `*` is ever widened again, and each byte that is
 * looked at is paid for. */
static bool like(struct asking *a, struct str s, struct str pattern)
{
	size_t i = 0, p = 0, star = SIZE_MAX, resume = 0, looked = 0;

	while (i < s.n) {
		if (++looked % MATCHED == 0 && !pay(a->f, 1))
			return false;
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			resume = i;
		} else if (p < pattern.n && (pattern.p[p] == '?' || pattern.p[p] == s.p[i])) {
			p++;
			i++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			i = ++resume;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

static bool contains(struct asking *a, struct str s, struct str part)
{
	/* The library compares all of a part of up to 256 bytes at each place in the worst case; of
	 * a longer one it looks at each byte a few times. */
	uint64_t places = part.n > 256 ? s.n / 4 : (uint64_t)s.n * part.n / COMPARED;

	if (part.n > s.n || !pay(a->f, s.n / MATCHED + places))
		return false;
	return part.n == 0 || memmem(s.p, s.n, part.p, part.n);
}

static bool about_texts(struct asking *a, enum expr_code code, struct value x, struct value y)
{
	struct str s = x.v.s, part = y.v.s;

	if (x.kind != TEXT || y.kind != TEXT || !pay(a->f, part.n / COMPARED))
		return false;
	switch (code) {
	case OP_LIKE:
		return like(a, s, part);
	case OP_CONTAINS:
		return contains(a, s, part);
	case OP_STARTS:
		return str_starts(s, part);
	default:
		return part.n <= s.n && str_eq(str_skip(s, s.n - part.n), part);
	}
}

static struct value length(struct value v)
{
	if (v.kind == TEXT)
		return integer((int64_t)v.v.s.n);
	if (v.kind != JSON)
		return none;
	return integer(
	    (int64_t)(json_is_array(v.v.j) ? json_array_size(v.v.j) : json_object_size(v.v.j)));
}

static struct value to_number(struct value v)
{
	bool is_real;
	int64_t i;
	double r;

	if (v.kind == BOOLEAN)
		return integer(v.v.b);
	if (v.kind != TEXT)
		return is_number(v) ? v : none;
	if (!expr_number(v.v.s, &is_real, &i, &r))
		return none;
	return is_real ? real(r) : integer(i);
}

/* ---- Arithmetic: whole numbers while they fit, else floating ones; null for anything else ---- */
static struct value whole_arithmetic(enum expr_code code, int64_t x, int64_t y)
{
	int64_t out = 0;
	bool over;

	switch (code) {
	case OP_ADD:
		over = __builtin_add_overflow(x, y, &out);
		break;
	case OP_SUB:
		over = __builtin_sub_overflow(x, y, &out);
		break;
	case OP_MUL:
		over = __builtin_mul_overflow(x, y, &out);
		break;
	case OP_DIV:
		over = y == 0 || y == -1 || x % y != 0;
		out = over ? 0 : x / y;
		break;
	case OP_MOD:
		if (y == 0)
			return none;
		return integer(y == -1 ? 0 : x % y);
	case OP_BITS_AND:
		return integer(x & y);
	default:
		return integer(x | y);
	}
	if (!over)
		return integer(out);
	if (code == OP_DIV && y == -1 && x != INT64_MIN)
		return integer(-x);
	return code == OP_DIV   ? y ? real((double)x / (double)y) : none
	       : code == OP_ADD ? real((double)x + (double)y)
	       : code == OP_SUB ? real((double)x - (double)y)
	                        : real((double)x * (double)y);
}

/* Bit by bit in the library: it costs how far they are apart. */
static struct value remainder_of(struct asking *a, double x, double y)
{
	int high = 0, low = 0;

	(void)frexp(x, &high);
	(void)frexp(y, &low);
	return high > low && !pay(a->f, (uint64_t)(high - low) / 8) ? none : real(fmod(x, y));
}

static struct value arithmetic(struct asking *a, enum expr_code code, struct value x,
                               struct value y)
{
	if (!is_number(x) || !is_number(y))
		return none;
	if (x.kind == INTEGER && y.kind == INTEGER)
		return whole_arithmetic(code, x.v.i, y.v.i);
	switch (code) {
	case OP_ADD:
		return real(as_real(x) + as_real(y));
	case OP_SUB:
		return real(as_real(x) - as_real(y));
	case OP_MUL:
		return real(as_real(x) * as_real(y));
	case OP_DIV:
		return real(as_real(x) / as_real(y));
	case OP_MOD:
		return remainder_of(a, as_real(x), as_real(y));
	default:
		return none;
	}
}

/* ---- Operations ---- */
static struct str op_text(const struct asking *a, const struct expr_op *op)
{
	return str_make(a->e->texts + op->at, op->n);
}

static struct value begin(struct asking *a, const struct expr_op *op)
{
	struct expr_facts *f = a->f;

	switch (op->code) {
	case OP_INT:
		return integer(op->v.i);
	case OP_REAL:
		return real(op->v.r);
	case OP_TEXT:
		return text(op_text(a, op));
	case OP_TRUE:
	case OP_FALSE:
		return boolean(op->code == OP_TRUE);
	case OP_PAYLOAD:
		return expr_payload(f);
	case OP_TOPIC:
		return text(f->topic);
	case OP_CID:
		return integer((int64_t)f->cid);
	case OP_TIMESTAMP:
		return real((double)f->timestamp_ms / 1000);
	case OP_USER:
		return (struct value){ .kind = USER };
	default:
		return none;
	}
}

static struct value one(struct asking *a, const struct expr_op *op, struct value v)
{
	switch (op->code) {
	case OP_NAMES:
		return expr_names(a->f, v, op_text(a, op));
	case OP_KEY:
		return expr_member(a->f, v, op_text(a, op));
	case OP_INDEX:
		return expr_element(v, op->v.i);
	case OP_TRUTH:
		return boolean(truth(v));
	case OP_NOT:
		return boolean(!truth(v));
	case OP_MINUS:
		return arithmetic(a, OP_SUB, integer(0), v);
	case OP_EXISTS:
		return boolean(v.kind != NONE);
	case OP_IS_NULL:
		return boolean(v.kind == NONE);
	case OP_IS_NUMBER:
		return boolean(is_number(v));
	case OP_IS_STRING:
		return boolean(v.kind == TEXT);
	case OP_IS_BOOLEAN:
		return boolean(v.kind == BOOLEAN);
	case OP_IS_JSON:
		return boolean(v.kind == JSON);
	case OP_TO_NUMBER:
		return to_number(v);
	default:
		return length(v);
	}
}

static struct value two(struct asking *a, enum expr_code code, struct value x, struct value y)
{
	switch (code) {
	case OP_EQ:
		return boolean(equal(a, x, y));
	case OP_NE:
		return boolean(!equal(a, x, y));
	case OP_LT:
	case OP_LE:
	case OP_GT:
	case OP_GE:
		return boolean(compare(a, code, x, y));
	case OP_LIKE:
	case OP_CONTAINS:
	case OP_STARTS:
	case OP_ENDS:
		return boolean(about_texts(a, code, x, y));
	default:
		return arithmetic(a, code, x, y);
	}
}

/* Where to go on. The compiler has counted the stack: it neither overflows nor runs empty. */
static unsigned jump(struct asking *a, unsigned at)
{
	const struct expr_op *op = &a->e->op[at];
	bool holds;

	if (op->code == OP_JUMP)
		return op->at;
	holds = truth(a->stack[--a->n]);
	if (op->code == OP_UNLESS)
		return holds ? at + 1 : op->at;
	if (holds == (op->code == OP_AND))
		return at + 1;
	a->stack[a->n++] = boolean(holds);
	return op->at;
}

bool expr_true(const struct expr *e, struct expr_facts *f)
{
	struct asking a __attribute__((uninitialized));
	unsigned at = 0;

	a.e = e;
	a.f = f;
	a.n = 0;
	while (at < e->count) {
		const struct expr_op *op = &e->op[at];

		if (!pay(f, 1))
			return false;
		if (op->code >= OP_AND && op->code <= OP_JUMP) {
			at = jump(&a, at);
			continue;
		}
		if (op->code <= OP_USER) {
			a.stack[a.n++] = begin(&a, op);
		} else if (op->code >= OP_EQ && (op->code <= OP_MOD || op->code >= OP_CONTAINS)) {
			a.n--;
			a.stack[a.n - 1] =
			    two(&a, (enum expr_code)op->code, a.stack[a.n - 1], a.stack[a.n]);
		} else {
			a.stack[a.n - 1] = one(&a, op, a.stack[a.n - 1]);
		}
		at++;
	}
	MUST(a.n == 1); /* expr_read.c makes whole expressions only */
	return !f->exhausted && truth(a.stack[0]);
}
