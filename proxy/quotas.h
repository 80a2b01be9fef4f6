/* quotas.h - the quotas in force for the clients of one token, and what is said to who exceeds one.
 * Worked out once per badge: from the settings, and from what was told of the token and its
 * customer (acl/limits.h). */
#pragma once
#include "acl/limits.h"
#include "base/bytes.h"

struct proxy_config;
struct worker;

struct quotas { /* LIMIT_NONE: any number */
	int64_t token[LIMIT_COUNT];
	/* all clients of the customer together; only LIMIT_SESSIONS and LIMIT_CONNECTS */
	int64_t customer[LIMIT_COUNT];
};

/* told: NULL is fine */
void quotas_work_out(struct quotas *q, const struct proxy_config *f, const struct limits *told);
/* Somebody is over this one: counts it. What to answer. */
unsigned quota_over(struct worker *w, enum limit id);
/* What the core is to know (link_limits_next), appended: what was told about its own quotas, and
 * the result where the proxy has a setting too. */
void quotas_tell(const struct quotas *q, const struct limits *told, struct buf *out);
