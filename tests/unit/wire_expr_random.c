/* Random expressions mean what a naive evaluator of their trees says, and random bytes are no
 * trouble. */
#include "base/base.h"
#include "tests/unit/wire_expr.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- The naive evaluator: a tree, one function, no budget, no stack, nothing shared ---- */
struct tree {
	char op; /* i r s t f n: literals; v: a name; else an operator, see print() */
	int64_t i;
	double r;
	const char *s;
	struct tree *x, *y, *z;
};
static struct tree nodes[400];
static unsigned used;

/* Values of the naive world: '0' null, b, i, r, s, j (an array or object) */
struct val {
	char kind;
	int64_t i;
	double r;
	const char *s;
};

static const struct {
	const char *name;
	struct val val;
} fields[] = {
	{ "din", { .kind = 'i', .i = 9 } },
	{ "position.speed", { .kind = 'r', .r = 61.5 } },
	{ "position.valid", { .kind = 'b', .i = 1 } },
	{ "name", { .kind = 's', .s = "truck 7" } },
	{ "zero", { .kind = 'i', .i = 0 } },
	{ "empty", { .kind = 's', .s = "" } },
	{ "nil", { .kind = '0' } },
	{ "nothing.here", { .kind = '0' } },
	{ "list", { .kind = 'j' } },
	{ "list[1][0]", { .kind = 'i', .i = 2 } },
	{ "big", { .kind = 'i', .i = 9007199254740993 } },
	{ "off", { .kind = 'b', .i = 0 } },
	{ "n", { .kind = 's', .s = "12" } },
};

static struct tree *node(char op)
{
	MUST(used < ARRAY_LEN(nodes));
	nodes[used] = (struct tree){ .op = op };
	return &nodes[used++];
}

static struct tree *any_tree(unsigned depth)
{
	static const char *const texts[] = { "", "truck*", "?ruck 7", "12", "*7*", "t", "truck 7" };
	static const int64_t wholes[] = { 0, 1, 2, 9, -3, 60, 9007199254740992, INT64_MAX };
	static const double reals[] = { 0.5, 61.5, 9.0, 9007199254740992.0, 1e300, 2.0 };
	struct tree *t;

	if (depth == 0 || any_below(4) == 0) {
		switch (any_below(5)) {
		case 0:
			t = node('i');
			t->i = wholes[any_below(ARRAY_LEN(wholes))];
			return t;
		case 1:
			t = node('r');
			t->r = reals[any_below(ARRAY_LEN(reals))];
			return t;
		case 2:
			t = node('s');
			t->s = texts[any_below(ARRAY_LEN(texts))];
			return t;
		case 3:
			return node("tfn"[any_below(3)]);
		default:
			t = node('v');
			t->i = (int64_t)any_below(ARRAY_LEN(fields));
			return t;
		}
	}
	t = node("&|=!<,>.~+-*/%a!_?EUNSBJTLC^$"[any_below(29)]);
	t->x = any_tree(depth - 1);
	t->y = any_tree(depth - 1);
	t->z = any_tree(depth - 1);
	return t;
}

/* In brackets, so that the tree is what is written; what binds without them has its own tests. */
static int print(char *at, const struct tree *t)
{
	static const struct {
		char op;
		const char *form;
	} forms[] = {
		{ '&', "(%s&&%s)" },        { '|', "(%s || %s)" },    { '=', "(%s==%s)" },
		{ '!', "(%s !=%s)" },       { '<', "(%s<%s)" },       { ',', "(%s<=%s)" },
		{ '>', "(%s> %s)" },        { '.', "(%s>=%s)" },      { '~', "(%s~%s)" },
		{ '+', "(%s+%s)" },         { '-', "(%s-%s)" },       { '*', "(%s*%s)" },
		{ '/', "(%s/%s)" },         { '%', "(%s%%%s)" },      { 'a', "(%s&%s)" },
		{ '_', "(-%s)" },           { 'E', "exists(%s)" },    { 'U', "isnull(%s)" },
		{ 'N', "isnumber(%s)" },    { 'S', "isstring(%s)" },  { 'B', "isboolean(%s)" },
		{ 'J', "isjson( %s )" },    { 'T', "toboolean(%s)" }, { 'L', "not(%s)" },
		{ 'C', "contains(%s,%s)" }, { '^', "starts(%s,%s)" }, { '$', "ends(%s , %s)" },
	};
	char x[3000], y[3000];

	switch (t->op) {
	case 'i':
		return sprintf(at, "%lld", (long long)t->i);
	case 'r':
		return sprintf(at, t->r < 1e17 ? "%.1f" : "%.17g", t->r);
	case 's':
		return sprintf(at, "'%s'", t->s);
	case 't':
		return sprintf(at, "true");
	case 'f':
		return sprintf(at, "false");
	case 'n':
		return sprintf(at, "null");
	case 'v':
		return sprintf(at, "%s%s", any_below(2) ? "$" : "", fields[t->i].name);
	case '?': {
		int n = sprintf(at, "if(");

		n += print(at + n, t->x);
		n += sprintf(at + n, ",");
		n += print(at + n, t->y);
		n += sprintf(at + n, ",");
		n += print(at + n, t->z);
		return n + sprintf(at + n, ")");
	}
	default:
		break;
	}
	(void)print(x, t->x);
	(void)print(y, t->y);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		if (forms[i].op == t->op)
			return sprintf(at, forms[i].form, x, y);
#pragma GCC diagnostic pop
	}
	fail_msg("no form for %c", t->op);
	return 0;
}

static struct val yes_no(bool b)
{
	return (struct val){ .kind = 'b', .i = b };
}

static bool naive_truth(struct val v)
{
	return v.kind == 'j' || ((v.kind == 'b' || v.kind == 'i') && v.i) ||
	       (v.kind == 'r' && v.r != 0) || (v.kind == 's' && *v.s);
}

static bool number(struct val v)
{
	return v.kind == 'i' || v.kind == 'r';
}

/* 80-bit floats hold both kinds exactly */
static long double wide(struct val v)
{
	return v.kind == 'i' ? (long double)v.i : (long double)v.r;
}

static bool naive_like(const char *s, const char *p)
{
	if (!*p)
		return !*s;
	if (*p == '*')
		return naive_like(s, p + 1) || (*s && naive_like(s + 1, p));
	return *s && (*p == '?' || *p == *s) && naive_like(s + 1, p + 1);
}

static bool has_order(struct val x, struct val y, int *o)
{
	if (number(x) && number(y)) {
		long double a = wide(x), b = wide(y);

		*o = (a > b) - (a < b);
		return true;
	}
	if (x.kind != 's' || y.kind != 's')
		return false;
	*o = strcmp(x.s, y.s);
	return true;
}

static bool naive_equal(struct val x, struct val y)
{
	int o;

	if (has_order(x, y, &o))
		return o == 0;
	return x.kind == y.kind && (x.kind == '0' || (x.kind == 'b' && x.i == y.i));
}

static struct val if_finite(double r)
{
	return isfinite(r) ? (struct val){ .kind = 'r', .r = r } : (struct val){ .kind = '0' };
}

static struct val sum(char op, struct val x, struct val y)
{
	double a, b;

	if (!number(x) || !number(y))
		return (struct val){ .kind = '0' };
	if (x.kind == 'i' && y.kind == 'i') {
		__int128 v = op == '+'   ? (__int128)x.i + y.i
		             : op == '-' ? (__int128)x.i - y.i
		             : op == '*' ? (__int128)x.i * y.i
		             : op == 'a' ? (x.i & y.i)
		             : y.i == 0  ? 0
		             : op == '%' ? (__int128)x.i % y.i
		                         : (__int128)x.i / y.i;

		if ((op == '/' || op == '%') && y.i == 0)
			return (struct val){ .kind = '0' };
		if (v >= INT64_MIN && v <= INT64_MAX && (op != '/' || v * y.i == x.i))
			return (struct val){ .kind = 'i', .i = (int64_t)v };
	}
	a = x.kind == 'i' ? (double)x.i : x.r;
	b = y.kind == 'i' ? (double)y.i : y.r;
	switch (op) {
	case '+':
		return if_finite(a + b);
	case '-':
		return if_finite(a - b);
	case '*':
		return if_finite(a * b);
	case '/':
		return if_finite(a / b);
	case '%':
		return if_finite(fmod(a, b));
	default:
		return (struct val){ .kind = '0' };
	}
}

static struct val naive(const struct tree *t)
{
	struct val x, y;
	int o = 0;

	switch (t->op) {
	case 'i':
		return (struct val){ .kind = 'i', .i = t->i };
	case 'r':
		return (struct val){ .kind = 'r', .r = t->r };
	case 's':
		return (struct val){ .kind = 's', .s = t->s };
	case 't':
	case 'f':
		return yes_no(t->op == 't');
	case 'n':
		return (struct val){ .kind = '0' };
	case 'v':
		return fields[t->i].val;
	default:
		break;
	}
	x = naive(t->x);
	y = naive(t->y);
	switch (t->op) {
	case '&':
		return yes_no(naive_truth(x) && naive_truth(y));
	case '|':
		return yes_no(naive_truth(x) || naive_truth(y));
	case '=':
		return yes_no(naive_equal(x, y));
	case '!':
		return yes_no(!naive_equal(x, y));
	case '<':
		return yes_no(has_order(x, y, &o) && o < 0);
	case ',':
		return yes_no(has_order(x, y, &o) && o <= 0);
	case '>':
		return yes_no(has_order(x, y, &o) && o > 0);
	case '.':
		return yes_no(has_order(x, y, &o) && o >= 0);
	case '~':
		return yes_no(x.kind == 's' && y.kind == 's' && naive_like(x.s, y.s));
	case 'C':
		return yes_no(x.kind == 's' && y.kind == 's' && strstr(x.s, y.s));
	case '^':
		return yes_no(x.kind == 's' && y.kind == 's' &&
		              strncmp(x.s, y.s, strlen(y.s)) == 0);
	case '$':
		return yes_no(x.kind == 's' && y.kind == 's' && strlen(y.s) <= strlen(x.s) &&
		              strcmp(x.s + strlen(x.s) - strlen(y.s), y.s) == 0);
	case '?':
		return naive_truth(x) ? y : naive(t->z);
	case '_':
		return sum('-', (struct val){ .kind = 'i' }, x);
	case 'L':
		return yes_no(!naive_truth(x));
	case 'T':
		return yes_no(naive_truth(x));
	case 'E':
		return yes_no(x.kind != '0');
	case 'U':
		return yes_no(x.kind == '0');
	case 'N':
		return yes_no(number(x));
	case 'S':
		return yes_no(x.kind == 's');
	case 'B':
		return yes_no(x.kind == 'b');
	case 'J':
		return yes_no(x.kind == 'j');
	default:
		return sum(t->op, x, y);
	}
}

static void random_expressions_mean_what_their_trees_mean(void)
{
	static char text[4000];
	unsigned asked = 0, yes = 0;

	for (unsigned round = 0; round < 60000; round++) {
		struct tree *t;
		int answer, expected;

		used = 0;
		t = any_tree(3);
		(void)print(text, t);
		answer = ASK(text, DOC);
		if (answer == -E_LIMIT)
			continue; /* too long */
		expected = naive_truth(naive(t));
		if (answer != expected)
			fail_msg("%s: %d, not %d", text, answer, expected);
		asked++;
		yes += (unsigned)answer;
	}
	YES(asked > 50000 && yes > 10000 && asked - yes > 10000);
}

static void random_bytes_are_no_trouble(void)
{
	static const char letters[] = "ab.$[]()'\"\\01x9e+-*/%&|=!<>~, ?truefalsn";
	char text[64];

	for (unsigned round = 0; round < 200000; round++) {
		size_t n = any_below(sizeof(text));
		struct expr_facts f = facts_of(DOC);
		struct expr *e;

		for (size_t i = 0; i < n; i++)
			text[i] = letters[any_below(sizeof(letters) - 1)];
		if (expr_new(&e, str_make(text, n), round & 1 ? EXPR_PAYLOAD : EXPR_MESSAGE))
			continue;
		(void)expr_true(e, &f);
		expr_facts_end(&f);
		expr_free(&e);
	}
}

RUN(random_expressions_mean_what_their_trees_mean, random_bytes_are_no_trouble)
