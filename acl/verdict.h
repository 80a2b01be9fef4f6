/* verdict.h - a token object, as /auth/info tells it (flespi.md 1.1, 1.4), read strictly. Used by the proxy on the endpoint's answer and on
 * pushes over the bus, by admin on its own rows: one reader, so that both mean the same. Pure. */
#pragma once
#include "acl/acl.h"

enum { VERDICT_IPS_MAX = 64 };

struct token_limits {                                           /* 0 = not set: the program's default holds */
	uint32_t queue_messages, queue_bytes, subscriptions, connections, packet_bytes, publish_per_second;
};

struct token_info {
	uint64_t id, customer;
	bool enabled, customer_blocked;
	int64_t expire;                                         /* unix seconds when it ends by `expire`/`ttl` taken together; 0 = never */
	struct acl *acl;                                        /* one reference, owned */
	struct token_limits limits;
	char *ips;                                              /* "10.0.*,192.168.1.?" or NULL = any; owned */
};

/* object: {"id":..,"cid":..,"enabled":..,"expire":..,"ttl":..,"accessed":..,"created":..,"access":{..},"ips":"..","limits":{..}}. Unknown keys are
 * ignored here (other endpoints add their own), missing or wrongly typed ones of the needed (cid, enabled, access) are -E_INVALID. */
int token_info_read(struct token_info *out, const json_t *object, char *why, size_t why_size) MUST_CHECK;
/* Whole body of an endpoint: {"result":[{...}]} with exactly one element. */
int token_info_read_reply(struct token_info *out, struct str body, char *why, size_t why_size) MUST_CHECK;
void token_info_free(struct token_info *t);                     /* NULL and half-built are fine */
bool token_ips_allow(const char *ips, struct str address);      /* masks with * and ?, comma-separated; NULL allows */
bool token_ips_ok(struct str ips);                              /* form: at most VERDICT_IPS_MAX masks of [0-9a-fA-F.:*?] */
/* valid while either `expire` or `ttl` (since last use) is valid: flespi.md 1.1 */
int64_t token_ends(int64_t expire, int64_t ttl, int64_t accessed, int64_t created);
