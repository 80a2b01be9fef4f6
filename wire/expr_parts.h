/* expr_parts.h - what expr.c and expr_read.c share: the compiled form. Nobody else includes it.
 *
 * An expression is a row of operations on a stack. Jumps go forward only. */
#pragma once
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
