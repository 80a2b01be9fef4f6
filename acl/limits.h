/* limits.h - the quotas: what each is called in a `limits` object, what it may be set to, and the
 * reason code that answers. One table for admin (what may be set), for proxy and core (what holds)
 * and for docs/limits.md (scripts/limits-docs). Pure; any thread.
 *
 * Three have a say, each within what the one before leaves:
 *
 *   server     the setting of the program that enforces it. In its place, what the operator gave
 *              the customer (`server_limits`): more than the setting too, up to the row's `most`
 *   customer   the lowest value set on the customer and on the accounts above it
 *   token      the lowest value set on the token, its customer and the accounts above it
 *
 * Not set: nothing is said. -1: no limit of its own; what is above holds. 0: nothing is allowed;
 * quotas without which there is no MQTT begin at a higher `least`. */
#pragma once
#include "base/json.h"

enum limit {
	LIMIT_PACKET_SIZE,
	LIMIT_TOPIC_SIZE,
	LIMIT_TOPIC_LEVELS,
	LIMIT_CLIENT_ID_SIZE,
	LIMIT_USER_PROPERTIES,
	LIMIT_USER_PROPERTIES_SIZE,
	LIMIT_SUBSCRIBE_FILTERS,
	LIMIT_RECEIVE_MAXIMUM,
	LIMIT_TOPIC_ALIAS_MAXIMUM,
	LIMIT_KEEP_ALIVE,
	LIMIT_MESSAGES,
	LIMIT_TRAFFIC,
	LIMIT_SUBSCRIPTIONS,
	LIMIT_SESSION_MESSAGES,
	LIMIT_SESSION_STORAGE,
	LIMIT_SESSION_EXPIRY,
	LIMIT_SESSIONS,
	LIMIT_CONNECTS,
	LIMIT_CLIENT_CONNECTS,
	LIMIT_STORED_SESSIONS,
	LIMIT_RETAINED_MESSAGES,
	LIMIT_RETAINED_STORAGE,
	LIMIT_SESSIONS_STORAGE,
	LIMIT_EGRESS,
	LIMIT_WILLS,
	LIMIT_API_CALLS,
	LIMIT_TOKENS,
	LIMIT_SUBACCOUNTS,
	LIMIT_COUNT
};

/* each within what the one before leaves */
enum limit_level { LIMIT_BY_SERVER, LIMIT_BY_CUSTOMER, LIMIT_BY_TOKEN, LIMIT_LEVELS };

#define LIMIT_NONE INT64_MAX /* any number */

struct limit_row {
	const char *name; /* in a `limits` object */
	/* What the number is. Where it counts more than one client: those with a token, and by
	 * themselves all of a customer. */
	const char *what;
	const char *settings; /* whose values are the defaults: "program.setting" */
	int64_t least, most;  /* what may be set; `most` is also all that an operator can give */
	uint8_t reason;       /* what answers; 0: the value is lowered, or no client is told */
	bool live; /* a change reaches who is connected; else it counts from the next CONNECT */
	bool core; /* the core is told (quotas_tell) */
	/* of a customer as a whole: no token has one of its own */
	bool customers_only;
	const char *file; /* where it is enforced */
};
extern const struct limit_row limit_rows[LIMIT_COUNT];

/* ---- What was told about a token ---- */
struct limit_told {
	uint8_t level, id; /* enum limit_level, enum limit */
	int64_t value;     /* -1: none of its own */
};
struct limits { /* in the order of levels and ids, so that equal ones are equal byte for byte */
	unsigned count;
	struct limit_told at[];
};
enum { LIMITS_MOST = LIMIT_LEVELS * LIMIT_COUNT };

/* Reads `server_limits`, `customer_limits` and `limits` of a token object. *out NULL: nothing is
 * set. Names it does not know are ignored; a value below its range is -E_INVALID. */
int limits_read(struct limits **out, const json_t *object, char *why, size_t why_size) MUST_CHECK;
/* One object of an API, of a token or of a customer: every name is known there, every value a whole
 * number in its range. */
int limits_check_token(const json_t *object, char *why, size_t why_size) MUST_CHECK;
int limits_check_customer(const json_t *object, char *why, size_t why_size) MUST_CHECK;
int limits_copy(struct limits **out, const struct limits *from) MUST_CHECK; /* 0 or -E_NOMEM */
void limits_free(struct limits **slot); /* empties the slot; NULL is fine */
bool limits_same(const struct limits *a, const struct limits *b); /* NULL is one like any other */

/* What holds for who is told `l` (NULL: nothing), by all levels up to `level`. ours: the setting,
 * LIMIT_NONE if there is none. */
int64_t limits_value(const struct limits *l, enum limit id, enum limit_level level, int64_t ours);

/* ---- Joining, for who tells ---- */
/* Lowers each number of `limits` to that of `cap` where one is set there. 0 or -E_NOMEM */
int limits_lower(json_t *limits, const json_t *cap) MUST_CHECK;
