/* auth.h - what a credential is worth, and telling the workers when that changes.
 *
 * One authentication thread for all workers owns libcurl and is the only writer of the table of
 * known tokens; workers read the table under RCU.
 *
 *   worker: auth_look -> known and fresh -> goes on at once
 *                     -> else auth_ask  -> (inbox) -> auth thread: merged per token, bounded,
 * deadline -> answer -> (inbox) -> worker auth thread: refresh, push, expiry -> new verdict
 * published in the token -> auth_notice to every worker -> worker recomputes its connections
 *
 * Rules (design section 6, attacks A08-A13, A20, faults F04-F07): a yes lives <= auth_cache (60 s,
 * -20 % jitter), a hit never prolongs it; refreshed ahead at 80 % by one merged call while
 * connections use it; a no lives auth_no (5-10 s) in its own bounded table, with a share per source
 * address; any other answer than a well-formed yes or a 4xx (without 408 and 429) is remembered
 * only as back-off of that token (0.2-2 s) and answers 0x88; 5 outages (no answer, 408, 5xx) among
 * the last 10 requests break the circuit. While the endpoint is down, a token in use keeps its last
 * yes until auth_stale (5 min, hard cap 1 h); nobody new comes in. Strings that are not of the form
 * of a key (wire/token.h) are refused with 0x86 before any look-up unless auth_key_form = any.
 * Credentials are kept in wiped memory, never logged. */
#pragma once
#include "acl/verdict.h"
#include "base/inbox.h"
#include "base/rcu.h"
#include "base/sock.h"

struct auth;
struct proxy_config;

/* Immutable; replaced as a whole. Readable for the rest of the turn after rcu_dereference
 * (auth_verdict). */
struct verdict {
	struct rcu_head rcu;
	/* RC_SUCCESS, or why not: 0x86 bad key, 0x87 disabled/expired/blocked/ips, 0x88 no answer
	 */
	uint8_t reason;
	/* meaningful with RC_SUCCESS; acl is counted, take acl_get to keep it */
	struct token_info info;
	int64_t fresh_until, stale_until; /* monotonic ms */
	uint32_t serial;                  /* counts up with each verdict of the token */
};

/* One credential that somebody here uses or used a moment ago. Counted; the table holds no
 * reference beyond its life time. */
struct token {
	struct rcu_head rcu;
	struct verdict *verdict; /* RCU; never NULL once the token is handed out */
				 /* the rest is auth.c's */
};

/* valid until the end of this loop turn */
static inline const struct verdict *auth_verdict(const struct token *t)
{
	return rcu_dereference(t->verdict);
}
struct token *auth_token_get(struct token *t); /* any thread */
/* any thread; empties; NULL is fine */
void auth_token_put(struct token **slot);

/* What a client presented, after the forms of flespi.md 1.5 were told apart. Either `key`, or
 * `short_id` and `key` = its first 16 characters. With auth_certificate also the name of its
 * certificate: the endpoint judges both, so a verdict is of both, and of no other pair. */
struct credential {
	struct str key;
	uint64_t short_id; /* 0 = whole key */
	struct str cert;   /* token_cert_name_ok, or empty: none, or not to be told */
};
enum { CREDENTIAL_MAX = 4096 }; /* bytes of a key of any form */
/* Which keys are asked about besides those of our own form, and where one is looked for first. */
enum credential_form { CREDENTIAL_MBUS, CREDENTIAL_PASSWORD, CREDENTIAL_USERNAME };
enum credential_form credential_form(const struct proxy_config *config);
/* Which of user name and password holds the credential, in this order: user name is a key of our
 * form (with or without "FlespiToken "); the password is one; id + 16 characters; then, unless form
 * is CREDENTIAL_MBUS, a key of any form in the field that `form` names; in the other one. has_*
 * tell "absent" from "empty". False: no form fits (0x86). Pure. */
bool credential_find(struct str username, bool has_username, struct str password, bool has_password,
                     enum credential_form form, struct credential *out);

/* any thread: credential_find said no; counted only */
void auth_refused_form(struct auth *a);

/* Fast path, worker's thread, no lock, no system call: a fresh verdict, yes or no. On yes (reason
 * RC_SUCCESS) *out holds a reference. Returns -1 when it must be asked. */
int auth_look(struct auth *a, const struct credential *c, const struct sock_addr *peer,
              struct token **out);

/* auth_look said no: is this the first refusal since the token's end was learnt, from a push or a
 * refresh? Then whose it was, for the customer's log; true once. */
bool auth_untold(struct auth *a, const struct credential *c, uint64_t *customer, uint64_t *id);

/* made by the worker, given away, comes back to `reply_to` exactly once, also when the endpoint
 * never answers */
struct auth_ask {
	struct inbox_item item;
	struct inbox *reply_to;
	void (*done)(struct auth_ask *ask); /* worker's thread; frees ask with auth_ask_free */
	/* worker's: the waiting connection; the worker sets NULL when it is gone meanwhile
	 * (worker's thread only) */
	void *owner;
	uint8_t reason; /* answer; 0x89 when too many wait already */
	/* with RC_SUCCESS: a reference, to be taken over. Look at auth_verdict()->reason once more:
	 * it may have changed on the way */
	struct token *token;
	/* of a refused token, if the endpoint told; 0 = unknown. For the customer's log only */
	uint64_t customer, id;
	/* the rest is auth.c's */
	struct auth *auth;
	struct list waiting;
	struct sock_addr peer;
	uint64_t short_id;
	size_t key_size, cert_size;
	char key[]; /* and the name of the certificate behind it */
};
struct auth_ask *auth_ask_new(const struct credential *c, const struct sock_addr *peer,
                              struct inbox *reply_to, void (*done)(struct auth_ask *), void *owner);
void auth_ask(struct auth *a, struct auth_ask *ask); /* takes it */
/* wipes the key, puts the token if still there */
void auth_ask_free(struct auth_ask **ask);

/* What the core is to hear (worker 0 says it). Only what the endpoint or a push has said:
 * TELL_NOTHING when nobody knows, or others of the same token's credentials are good, or it is told
 * already. */
enum auth_tell {
	TELL_NOTHING,
	TELL_RIGHTS,  /* what acl lets the token publish */
	TELL_HIDDEN,  /* nothing for now: disabled, ended, refused */
	TELL_DELETED, /* the token is gone for good */
	TELL_BLOCKED, /* of the whole customer: blocked, */
	TELL_FREE,    /* not blocked, */
	TELL_CUSTOMER_DELETED,
};
/* Told to every worker, on its inbox, when what a token is worth has changed or ended. */
struct auth_notice {
	struct inbox_item item;
	void *worker; /* as given to auth_add_worker */
	/* whose connections to look at; NULL if no connection here ever used it (RIGHTS only) */
	struct token *token;
	uint64_t customer, id;
	/* rights from now on; NULL = none: revoked, disabled, expired, or the token now belongs to
	 * somebody else */
	struct acl *acl;
	/* why, when acl is NULL: 0x86, 0x87, 0x88 (endpoint down longer than auth_stale); else
	 * RC_SUCCESS */
	uint8_t reason;
	enum auth_tell tell;
};
/* worker's thread; ends with auth_notice_free */
typedef void (*auth_notice_fn)(struct auth_notice *n);
void auth_notice_free(struct auth_notice **n);

/* main thread, before workers */
int auth_start(struct auth **out, const struct proxy_config *config, const char **why) MUST_CHECK;
/* main thread, before auth_run */
void auth_add_worker(struct auth *a, struct inbox *inbox, void *worker, auth_notice_fn notice);
/* starts the thread */
int auth_run(struct auth *a) MUST_CHECK;
/* main thread, after the workers' loops have ended, while their inboxes are still open; joins,
 * frees; asks without an answer are freed unanswered */
void auth_stop(struct auth **a);

/* The platform says what changed (design section 6). Any worker; idempotent. payload:
 * mbus/token/<cid>/<id>: the token object, or {"id":..,"cid":..,"deleted":true};
 * mbus/customer/<cid>: {"cid":..}: all its tokens are asked again at once. Strange payloads are
 * logged and make all tokens stale. */
void auth_push(struct auth *a, struct str topic, struct str payload);
/* pushes may have been missed (link was down): ask again for all in use */
void auth_stale_all(struct auth *a);

/* Read with atomics; for the log line at the end and metrics. asked: asks of workers; merged: those
 * that joined another's request; yes, no, unavailable: answers given to asks; refreshed: answers
 * for tokens in use; overflow: refused because a queue or table was full;
 * of them, over_share: because of all that its own address asks about. */
struct auth_counters {
	_Atomic uint64_t asked, merged, yes, no, unavailable, refreshed, look_hits, overflow,
	    over_share, refused_form, breaker_opened;
};
const struct auth_counters *auth_counters(const struct auth *a);
