/* An expression and a payload, with a zero byte between them (an expression holds none). Whatever
 * both are, asking ends, costs no more than it is given, and says the same when it is asked again.
 * The first byte chooses what names are looked up in. */
#include "base/base.h"
#include "wire/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS = 20000 };

static struct expr_facts facts_of(struct str payload)
{
	return (struct expr_facts){ .topic = STR("a/b"),
		                    .props = STR("\x26\0\1a\0\1b"),
		                    .payload = payload,
		                    .cid = 7,
		                    .timestamp_ms = 1700000000250,
		                    .payload_most = 4096,
		                    .steps = STEPS };
}

static bool ask(const struct expr *e, struct expr_facts *f)
{
	bool answer = expr_true(e, f);

	MUST(f->steps <= STEPS && (!f->exhausted || (f->steps == 0 && !answer)));
	return answer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct expr_facts one, two;
	struct expr *e = NULL;
	const uint8_t *zero;
	struct str text, payload = STR_NONE;

	if (size < 2)
		return 0;
	text = str_make(data + 1, size - 1);
	zero = memchr(data + 1, 0, size - 1);
	if (zero) {
		text.n = (size_t)(zero - data) - 1;
		payload = str_make(zero + 1, size - text.n - 2);
	}
	if (expr_new(&e, text, data[0] & 1 ? EXPR_MESSAGE : EXPR_PAYLOAD))
		return 0;
	MUST(expr_ops(e) > 0 && expr_ops(e) <= EXPR_OPS_MAX);
	one = facts_of(payload);
	two = facts_of(payload);
	MUST(ask(e, &one) == ask(e, &two) && one.steps == two.steps);
	expr_facts_end(&one);
	expr_facts_end(&two);
	expr_free(&e);
	return 0;
}
