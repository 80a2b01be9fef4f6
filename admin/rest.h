/* rest.h - what the handlers of the REST API share: the call in hand, its caller, its answer.
 *
 * An answer is {"result":[...],"errors":[...]}; both may be there (some items of a selector done,
 * others not). Its status is 200 when there is a result, else that of the first error. Service
 * thread. */
#pragma once
#include "admin/calls.h"
#include "admin/config.h"
#include "admin/customers.h"
#include "admin/db.h"
#include "admin/events.h"
#include "admin/http.h"
#include "admin/outlet.h"
#include "admin/select.h"
#include "admin/tokens.h"

struct follow;

/* rest_rights.c: what long access lists allow over REST, by their text; those asked for last. */
enum { RIGHTS_KEPT = 64 };
struct rights {
	struct {
		uint64_t hash;
		struct str text; /* p NULL: free; owned */
		struct acl *acl;
	} kept[RIGHTS_KEPT];
	unsigned next; /* to be replaced */
};

struct rest {
	struct db *db;
	struct tokens *tokens;
	const struct admin_config *config;
	struct outlet outlet;
	struct calls calls;
	struct rights rights;
	struct follow *follow; /* NULL: nobody can follow */
	struct list changing;  /* rest_items.c: changes of many items that are under way */
};

/* name, number in the body, HTTP status */
#define REST_ERRORS(E) \
	E(BAD_REQUEST, 2, 400) \
	E(NO_TOKEN, 3, 401) \
	E(FORBIDDEN, 4, 403) \
	E(NOT_FOUND, 5, 404) \
	E(METHOD, 6, 405) \
	E(TOO_LARGE, 7, 413) \
	E(CONTENT_TYPE, 8, 415) \
	E(OVER_LIMIT, 9, 403) \
	E(STORE, 10, 503) \
	E(NOT_HERE_YET, 11, 501) \
	E(INTERNAL, 12, 500) \
	E(LENGTH, 13, 411) \
	E(TOO_MANY, 14, 429)

enum rest_error {
#define E(name, number, status) REST_##name = number,
	REST_ERRORS(E)
#undef E
};

enum { REST_ANSWER_MAX = 32 << 20, REST_EVENTS_MAX = 4 << 20, REST_POST_MAX = 100 };

struct call {
	struct rest *rest;
	const struct http_req *req;
	struct http_resp *resp;
	struct token_row caller;
	uint64_t
	    scope; /* the customer acted for: the caller's, or the one of x-flespi-cid below it */
	struct str selector; /* what stands in the path where the route has its '*' */
	json_t *body;
	struct events events;
	/* the answer so far */
	struct buf result, errors;
	json_t *hint;
	unsigned results, error_count, status;
	bool paged;
	uint64_t limit, offset, total;
};

void call_fail(struct call *c, enum rest_error error, uint64_t id, const char *format, ...)
    PRINTF_LIKE(4, 5); /* id 0: none */
/* the same, telling whose token it was: a proxy that asked for a client writes it into that log;
 * blocked: the token is good, only its customer is blocked */
void call_fail_caller(struct call *c, enum rest_error error, const char *reason, bool blocked);
void call_fail_store(struct call *c, int err); /* what the database (or memory) said */
void call_hint(struct call *c, json_t *names); /* takes; schema_hint of the answer */
bool call_add(
    struct call *c,
    json_t *item); /* takes; cut down to ?fields; false: the answer grew too large, and says so */
void call_drop_results(
    struct call *c);            /* forgets results and events: what they tell of will not be */
void call_drop(struct call *c); /* and errors */
bool call_arg(const struct call *c, struct str name, struct str *value);
struct event_who call_who(const struct call *c);
void call_end(struct call *c, struct buf *out); /* what stands behind the results */
void call_finish(struct call *c); /* writes the answer into resp and frees what the call holds */

/* ---- rest_auth.c ---- */
bool rest_authenticate(struct call *c); /* fills c->caller; false: the answer says why not */
/* Is this token good now? 0; -E_DENIED with *why, static; or the database's error. */
int rest_judge(struct rest *r, const struct token_row *t, const char **why) MUST_CHECK;
/* ---- rest_rights.c ---- */
bool rest_may(struct rest *r, const struct token_row *t, const char *uri, const char *submodule,
              const char *method);
void rights_free(struct rights *r);
/* The object of /auth/info and of pushes: limits are the lowest of token, customer and all above
 * it; `blocked` and `flespi_extensions` tell about the customer. */
int rest_auth_object(struct rest *r, const struct token_row *t, json_t **out) MUST_CHECK;

/* What holds for a customer as a whole; ours: the setting. */
int rest_limit(struct rest *r, uint64_t cid, enum limit id, int64_t ours, int64_t *out) MUST_CHECK;
/* Counts this call of c->caller; false: there are too many, the answer says so. */
bool rest_count(struct call *c);

/* rest_subaccounts.c: all tokens of it and below; deleted: they are gone for good */
int rest_push_branch(struct call *c, uint64_t id, bool deleted) MUST_CHECK;

/* ---- Handlers (router.c's table) ---- */
void rest_auth_info(struct call *c);
void rest_tokens_post(struct call *c);
void rest_tokens_get(struct call *c);
void rest_tokens_put(struct call *c);
void rest_tokens_delete(struct call *c);
void rest_subaccounts_post(struct call *c);
void rest_subaccounts_get(struct call *c);
void rest_subaccounts_put(struct call *c);
void rest_subaccounts_delete(struct call *c);
void rest_customer_get(struct call *c);
void rest_customer_put(struct call *c);
void rest_logs_platform(struct call *c);
void rest_logs_mqtt(struct call *c);
void rest_logs_history(struct call *c);

/* ---- rest_items.c: the four verbs over any kind of item ----
 * Return 0, -E_NOTFOUND, -E_INVALID or -E_DENIED with why (bad values; over a limit), or the
 * database's error, which ends the whole call. *shown is given away. All but read and show run in a
 * transaction and leave their events in c->events. */
struct item_kind {
	const struct field_table *fields;
	int (*create)(struct call *c, const json_t *fields, json_t **shown, char *why,
	              size_t why_size);
	int (*read)(struct call *c, uint64_t id, json_t **shown); /* of items_get_one; or NULL */
	/* Appends the item as JSON, of the wanted fields; of items_get; or NULL */
	int (*show)(struct rest *r, uint64_t scope, uint64_t id, uint64_t wanted, struct buf *out);
	int (*update)(struct call *c, uint64_t id, const json_t *fields, json_t **shown, char *why,
	              size_t why_size);
	int (*remove)(struct call *c, uint64_t id);
};
void items_post(struct call *c, const struct item_kind *kind);
void items_get(struct call *c, const struct item_kind *kind);
void items_put(struct call *c, const struct item_kind *kind);
void items_delete(struct call *c, const struct item_kind *kind);
void items_get_one(struct call *c, const struct item_kind *kind,
                   uint64_t id); /* an id that came from no selector */
void items_put_one(struct call *c, const struct item_kind *kind, uint64_t id);
/* rest_list.c: GET of what was chosen. A long answer is made in slices, while it is written. */
void items_list(struct call *c, const struct item_kind *kind, const struct selection *chosen,
                struct str fields);
/* access and metadata become text (json_raw), once however often they are stored and told; their
 * sizes depend on the configuration. After the fields were checked: nothing looks into them then.
 */
int items_settle(const struct call *c, json_t *fields, char *why, size_t why_size) MUST_CHECK;
