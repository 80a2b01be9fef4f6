/* wire_expr.h - for the unit tests of expressions: one message, and asking about it. */
#pragma once
#include "tests/kit/kit.h"
#include "wire/expr.h"

static struct expr_facts facts_of(const char *payload)
{
	return (struct expr_facts){ .topic = STR("dev/7/temp"),
		                    /* a="1" b.c="two" a="3" */
		                    .props = STR("\x26\0\1a\0\1"
		                                 "1\x26\0\3b.c\0\3two\x26\0\1a\0\1"
		                                 "3"),
		                    .payload = str_c(payload),
		                    .cid = 7,
		                    .timestamp_ms = 1700000000250,
		                    .payload_most = 16384,
		                    .steps = 1000000 };
}

/* 1, 0, or the error of compiling it */
__attribute__((unused)) static int ask_over(enum expr_over over, const char *text,
                                            const char *payload)
{
	struct expr_facts f = facts_of(payload);
	struct expr *e;
	int err = expr_new(&e, guard_str(str_c(text)), over), answer;

	guard_reset();
	if (err)
		return err;
	answer = expr_true(e, &f);
	NO(f.exhausted);
	expr_facts_end(&f);
	expr_free(&e);
	return answer;
}
#define ASK(text, payload)     ask_over(EXPR_PAYLOAD, text, payload)
#define ASK_MSG(text, payload) ask_over(EXPR_MESSAGE, text, payload)

#define DOC \
	"{\"position.speed\":61.5,\"position\":{\"valid\":true,\"lat\":48},\"din\":9,\"name\":" \
	"\"truck" \
	" 7\",\"zero\":0,\"empty\":\"\",\"nil\":null,\"list\":[1,[2,3],{\"x\":\"y\"}],\"off\":" \
	"false," \
	"\"big\":9007199254740993,\"a.b\":{\"c.d\":5},\"content-type\":\"t\",\"n\":\"12\"}"
