/* expr.h - conditions on one message, in a small language: flespi's expressions as far as they ask
 * about a message and nothing else. docs/filters.md is the whole language. Pure but for memory.
 *
 * A text is compiled once into steps without loops; asking runs them on a stack of fixed size. So
 * what it costs is bounded by its length, and what texts in it cost by a budget. Asking cannot
 * fail: a name that is not there is null, an operator on values it is not for gives null or false.
 */
#pragma once
#include "base/json.h"
#include "wire/link.h"

enum { EXPR_BYTES_MAX = 1024, EXPR_OPS_MAX = 256, EXPR_DEPTH_MAX = 32, EXPR_STACK = 64 };

struct expr;
/* What its names are: fields of the payload, or of the message: topic, cid, timestamp,
 * user_properties, payload. */
enum expr_over { EXPR_PAYLOAD, EXPR_MESSAGE };

/* 0; -E_INVALID: no expression; -E_LIMIT: over one of the limits above; -E_NOMEM. */
int expr_new(struct expr **out, struct str text, enum expr_over over) MUST_CHECK;
void expr_free(struct expr **e); /* NULL is fine */
unsigned expr_ops(const struct expr *e);

/* One message, for all that is asked about it. Set what is above the line, zero the rest. */
struct expr_facts {
	struct str topic; /* as clients know it */
	struct str props; /* of the link (struct link_msg): user properties are looked for there */
	struct str payload;
	uint64_t cid;
	int64_t timestamp_ms;
	size_t payload_most; /* a longer payload is null */
	uint32_t steps;      /* left for this message; none left: everything is false */
	/* ---- */
	bool parsed, exhausted; /* payload was looked at; steps ran out */
	json_t *json;           /* NULL: it is no JSON */
};
bool expr_true(const struct expr *e, struct expr_facts *f);
void expr_facts_end(struct expr_facts *f); /* gives back what was made of the payload */
