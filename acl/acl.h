/* acl.h - may this token do this to that topic? Compiled once from the token's `access` object,
 * immutable afterwards, shared by reference. Names and filters are the client's (no customer
 * prefix, no $share). Grant-only: what is not granted is refused. Nothing here knows a socket, a
 * clock or a customer. Compile in any thread; all other calls from any thread at once.
 *
 * access = {"type":0|1|2,"acl":[...]}, flespi.md section 2:
 *
 *   type 1, master     May publish everything but flespi/, and receive everything.
 *   type 0, standard   May publish everything but flespi/, and receive everything outside flespi/;
 *                      of flespi/ it receives message/#, interval/# and
 *                      {state,log}/{mqtt,gw,storage,ai}/#, so nothing of {state,log}/platform.
 *                      Named one by one, because "everything but" is no set of filters and
 *                      acl_intersect must be exact; a new part of the platform is opened by a row
 *                      in acl_compile.c.
 *   type 2, ACL        May publish and receive by the topic filters of its entries
 *                      {"uri":"mqtt","topic":F,"actions":["publish","subscribe"]}, none of which
 *                      opens flespi/ (a filter under flespi/ or $share/ is an error).
 *                      {"uri":"mqtt","submodules":[{"name":"logs","methods":["GET"]}]} opens
 *                      flespi/log/mqtt/#, {"uri":"mqtt","methods":["GET"]} flespi/state/mqtt/#.
 *
 * Nobody publishes to flespi/..., nor to names that begin with '$'. "Everything" is '#', so it has
 * no $ names; only a grant that spells the word opens them. */
#pragma once
#include "base/json.h"
#include "wire/topic.h"

enum {
	ACL_ENTRIES_MAX = 10240,
	ACL_RESULT_MAX = 256,
	ACL_MEETS_MAX = 1024, /* grants that a filter may meet on the way there */
	ACL_SOURCE_MAX = 16 << 10,
	ACL_RESULT_BYTES = 1 << 20
};
enum acl_type { ACL_STANDARD = 0, ACL_MASTER = 1, ACL_LISTED = 2 };

struct acl;

/* Strict: unknown keys, wrong types, bad filters, other uris than the known ones (flespi.md 2.1)
 * are -E_INVALID with *why telling which entry and which key. uris of telematics (gw/...,
 * storage/..., ai) are accepted and grant nothing on MQTT. A type-2 token without entries is legal
 * and may nothing. */
int acl_compile(struct acl **out, const json_t *access, char *why, size_t why_size) MUST_CHECK;
/* The same judgement of the whole object, but only its REST rights are kept: for acl_may_rest, and
 * to know whether it is good. */
int acl_compile_rest(struct acl **out, const json_t *access, char *why, size_t why_size) MUST_CHECK;
/* one more reference; thread-safe */
struct acl *acl_get(struct acl *a);
/* drops one; empties the slot; NULL is fine */
void acl_put(struct acl **slot);

enum acl_type acl_type(const struct acl *a);
/* Of these rights, and of no other ACL that this process ever has: what was asked under it would be
 * answered the same again. */
uint64_t acl_stamp(const struct acl *a);
/* The access object as compact JSON; borrowed. Empty when it is longer than ACL_SOURCE_MAX. */
struct str acl_source(const struct acl *a);
/* Equal sets of grants on MQTT: nothing to recompute. Sets that only add up to the same (a/#
 * against a and a/+/#) count as different. */
bool acl_same(const struct acl *a, const struct acl *b);

/* topic MUST be a valid name. The only function that decides this (attack C15) */
bool acl_may_publish(const struct acl *a, struct str topic);
bool acl_may_receive(const struct acl *a, struct str topic);
/* flespi/... or $...: never publishable, whatever the rights */
bool acl_is_reserved(struct str topic);

/* The intersection of a client's filter with what the token may receive: the set whose union is
 * exactly the permitted part. No element covers another. `emit` gets borrowed filters. Returns how
 * many (0 = nothing could ever match), or -E_LIMIT beyond ACL_RESULT_MAX filters (or ACL_MEETS_MAX
 * or ACL_RESULT_BYTES on the way there), -E_NOMEM; nothing was emitted then. filter MUST be valid.
 */
int acl_intersect(const struct acl *a, struct str filter, void (*emit)(void *arg, struct filter f),
                  void *arg) MUST_CHECK;
/* Would acl_intersect() find any? It stops at the first. *looked grows with the work: by one for
 * each level of the grants that was looked at. */
bool acl_meets(const struct acl *a, struct str filter, size_t *looked);
/* All filters the token may publish to (for RIGHTS), reserved names aside. Returns how many. */
int acl_publishable(const struct acl *a, void (*emit)(void *arg, struct filter f), void *arg);

/* REST rights over an item (admin). uri as in flespi.md 2.1; method: "GET" ...; submodule may be
 * empty. Types 0/1: standard may not touch platform/. Entries that are limited to some ids grant
 * nothing here: the question names no id. */
bool acl_may_rest(const struct acl *a, struct str uri, struct str submodule, struct str method);

/* Why: one line for logs and reason strings: "publish a/b: no grant", "receive a/b: grant 3 (a/#)"
 * for acl[3], "... : reserved name", "... : master token". Long names are cut; never contains the
 * customer prefix. */
void acl_explain(const struct acl *a, bool publish, struct str topic, char *out, size_t size);
