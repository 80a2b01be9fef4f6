/* condition.h - flespi's $filter/<condition>&<condition>.../<filter>: of the messages that <filter>
 * matches, those for which all conditions hold (docs/filters.md). Pure but for memory.
 *
 *   cid=N                  of this account
 *   modified_since>T       accepted by the broker after T, unix seconds with up to nine decimals;
 *   modified_since>=T      or at T
 *   payload=EXPRESSION     wire/expr.h, about the payload
 *   message=EXPRESSION     the same about the message
 *
 * Each condition may be percent-encoded; '&' and '/' in it must be. */
#pragma once
#include "wire/expr.h"
#include "wire/topic.h"

enum { CONDITIONS_BYTES_MAX = 4096, CONDITIONS_MAX = 8 };

/* [$share/<group>/][$filter/<conditions>/]<filter>: out->filter is what follows them all;
 * conditions are empty without $filter. BAD: as share_split, or $filter without conditions or
 * without a filter. */
enum share_kind condition_split(struct str text, struct share *out, struct str *conditions);

struct condition;
/* 0; -E_INVALID: one of them is malformed; -E_LIMIT: too many, or over a limit of expr.h;
 * -E_NOMEM. */
int condition_new(struct condition **out, struct str conditions) MUST_CHECK;
void condition_free(struct condition **c); /* NULL is fine */
/* Can messages of this account pass? */
bool condition_admits(const struct condition *c, uint64_t cid);
bool condition_holds(const struct condition *c, struct expr_facts *f);
