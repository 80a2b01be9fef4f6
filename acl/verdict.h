/* verdict.h - a token object, as /auth/info tells it (flespi.md 1.1, 1.4), read strictly. Used by
 * the proxy on the endpoint's answer and on pushes over the bus, by admin on its own rows: one
 * reader, so that both mean the same. Pure. */
#pragma once
#include "acl/acl.h"
#include "acl/client_ids.h"
#include "acl/limits.h"

enum {
	VERDICT_IPS_MAX = 64,
	VERDICT_CERTS_MAX = 64,      /* masks */
	VERDICT_CERT_NAME_MAX = 255, /* bytes of a name, and of a mask */
	VERDICT_BODY_MAX = 1 << 20
};

struct token_info {
	/* id 0: the endpoint did not say; customer is never 0 */
	uint64_t id, customer;
	/* the caller judges both, and expire, ips, certs and client_ids: reading is not allowing */
	bool enabled, customer_blocked;
	/* unix seconds when it ends by `expire`/`ttl` taken together; 0 = never */
	int64_t expire;
	struct acl *acl;       /* one reference, owned */
	struct limits *limits; /* owned; NULL: nothing is set */
	/* its customer wants filters read with flespi's extensions (docs/filters.md) */
	bool flespi_extensions;
	/* "10.0.*,192.168.1.?" or NULL = any; owned */
	char *ips;
	/* "lamp-*,gateway 7" or NULL = any, and none too; owned */
	char *certs;
	/* as client_ids_read() made it, or NULL = any; owned */
	char *client_ids;
};

/* object:
 * {"id":..,"cid":..,"enabled":..,"blocked":..,"expire":..,"ttl":..,"accessed":..,"created":..,"access":{..},"ips":"..","certs":"..","client_ids":[..],"limits":{..},"customer_limits":{..},"server_limits":{..},"flespi_extensions":..}.
 * Unknown keys are ignored here (other endpoints add their own), missing ones of the needed (cid,
 * enabled, access) and any wrongly typed one (null is one) are -E_INVALID. blocked: bool, of the
 * customer. flespi_extensions: bool, false if it is not there. ips, certs "" = any, client_ids [] =
 * any. ttl needs accessed or created. The three of limits: acl/limits.h. */
int token_info_read(struct token_info *out, const json_t *object, char *why,
                    size_t why_size) MUST_CHECK;
/* Whole body of an endpoint: {"result":[{...}]} with exactly one element, no errors beside it, at
 * most VERDICT_BODY_MAX bytes. */
int token_info_read_reply(struct token_info *out, struct str body, char *why,
                          size_t why_size) MUST_CHECK;
void token_info_free(struct token_info *t); /* NULL and half-built are fine */
/* masks with * and ?, comma-separated; NULL allows, "" does not; ::ffff:a.b.c.d is a.b.c.d */
bool token_ips_allow(const char *ips, struct str address);
/* form: 1..VERDICT_IPS_MAX masks of [0-9a-fA-F.:*?] */
bool token_ips_ok(struct str ips);
/* The common name of a client's verified certificate, and what of it may be an identity: 1 to
 * VERDICT_CERT_NAME_MAX bytes of UTF-8 without controls and non-characters. */
bool token_cert_name_ok(struct str name);
/* As ips, but case counts and ? is one character; name empty: there is no certificate. */
bool token_certs_allow(const char *certs, struct str name);
/* form: 1..VERDICT_CERTS_MAX masks, each of what may be a name, with no space at its ends */
bool token_certs_ok(struct str certs);
/* valid while either `expire` or `ttl` (since last use) is valid: flespi.md 1.1 */
int64_t token_ends(int64_t expire, int64_t ttl, int64_t accessed, int64_t created);
