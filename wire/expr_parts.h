/* expr_parts.h - what expr.c and expr_read.c share: the compiled form. Nobody else includes it.
 *
 * An expression is a row of operations on a stack. Jumps go forward only. */
#pragma once
#include <math.h>

#include "wire/expr.h"

/* name, values taken, values put */
/* clang-format off */
#define EXPR_OPS(O) \
	O(INT, 0, 1)      /* a literal */ \
	O(REAL, 0, 1) O(TEXT, 0, 1) O(TRUE, 0, 1) O(FALSE, 0, 1) O(NONE, 0, 1) \
	O(PAYLOAD, 0, 1)  /* where a name begins */ \
	O(TOPIC, 0, 1) O(CID, 0, 1) O(TIMESTAMP, 0, 1) O(USER, 0, 1) \
	O(NAMES, 1, 1)    /* what `a.b.c` is in the value */ \
	O(KEY, 1, 1)      /* what ["a.b"] is in the value */ \
	O(INDEX, 1, 1)    /* what [2] is in the value */ \
	O(AND, 1, 0)      /* false: puts it back and jumps */ \
	O(OR, 1, 0)       /* true: the same */ \
	O(UNLESS, 1, 0)   /* false: jumps; of if() */ \
	O(JUMP, 1, 0)     /* of if(): the other branch puts what this one has put */ \
	O(TRUTH, 1, 1) O(NOT, 1, 1) O(MINUS, 1, 1) O(EQ, 2, 1) O(NE, 2, 1) O(LT, 2, 1) \
	O(LE, 2, 1) O(GT, 2, 1) O(GE, 2, 1) O(LIKE, 2, 1) O(BITS_OR, 2, 1) O(BITS_AND, 2, 1) \
	O(ADD, 2, 1) O(SUB, 2, 1) O(MUL, 2, 1) O(DIV, 2, 1) O(MOD, 2, 1) O(EXISTS, 1, 1) \
	O(IS_NULL, 1, 1) O(IS_NUMBER, 1, 1) O(IS_STRING, 1, 1) O(IS_BOOLEAN, 1, 1) \
	O(IS_JSON, 1, 1) O(TO_NUMBER, 1, 1) O(LENGTH, 1, 1) O(CONTAINS, 2, 1) O(STARTS, 2, 1) \
	O(ENDS, 2, 1)
/* clang-format on */

enum expr_code {
#define O(name, takes, puts) OP_##name,
	EXPR_OPS(O)
#undef O
};

struct expr_op {
	uint8_t code;   /* enum expr_code */
	uint16_t at, n; /* TEXT, NAMES, KEY: of texts; jumps: at is where to */
	union {
		int64_t i; /* INT, INDEX */
		double r;
	} v;
};

struct expr {
	unsigned count;
	const char *texts; /* behind the operations, in the same allocation */
	struct expr_op op[];
};

/* The whole text is a number: decimal, 0x, or with a point or an exponent. True: *is_real, and *i
 * or *r. */
bool expr_number(struct str text, bool *is_real, int64_t *i, double *r);

/* ---- Values (expr.c, expr_facts.c) ---- */
/* JSON: an array or object. USER: the user properties of the message, which are asked by name. */
enum kind { NONE, BOOLEAN, INTEGER, REAL, TEXT, JSON, USER };

struct value {
	enum kind kind;
	union {
		bool b;
		int64_t i;
		double r;
		struct str s;
		const json_t *j;
	} v;
};

static const struct value none = { .kind = NONE };

static inline struct value boolean(bool b)
{
	return (struct value){ .kind = BOOLEAN, .v.b = b };
}

static inline struct value integer(int64_t i)
{
	return (struct value){ .kind = INTEGER, .v.i = i };
}

static inline struct value real(double r) /* null if it is none */
{
	return isfinite(r) ? (struct value){ .kind = REAL, .v.r = r } : none;
}

static inline struct value text(struct str s)
{
	return (struct value){ .kind = TEXT, .v.s = s };
}

/* ---- The budget. A step is about 20 ns: an operation and what it touches. What depends on lengths
 * that the message or the expression chooses is paid for by its bytes, before it is done. ---- */
enum {
	HASHED = 32,    /* bytes of a key in a step */
	COMPARED = 256, /* bytes that lie side by side */
	MATCHED = 16,   /* bytes looked at one by one */
	WALKED = 8,     /* bytes of properties */
	PARSED = 2,     /* bytes of JSON */
	/* steps: a value in it is made and freed again; so much more if it is this */
	VALUE = 10,
	ARRAY = 10,
	OBJECT = 20,
	FRACTION = 12,
	SMALL = 8, /* members of an object that are looked through rather than asked for by
	            * name many times */
};

/* false: there are not so many left, and nothing holds any more */
static inline bool pay(struct expr_facts *f, uint64_t steps)
{
	if (steps <= f->steps) {
		f->steps -= (uint32_t)steps;
		return true;
	}
	f->steps = 0;
	f->exhausted = true;
	return false;
}

/* ---- What the message holds: expr_facts.c ---- */
/* Its payload, read when the first one asks, for all that ask. */
struct value expr_payload(struct expr_facts *f);
struct value expr_member(struct expr_facts *f, struct value of, struct str key);
/* `a.b.c`: the longest beginning that is a key of the object at hand, and the rest in what is
 * there. flespi's messages are flat, with keys such as "position.speed". */
struct value expr_names(struct expr_facts *f, struct value of, struct str path);
struct value expr_element(struct value of, int64_t i);
