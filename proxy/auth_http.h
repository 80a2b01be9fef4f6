/* auth_http.h - the door to libcurl: asks the endpoint what one credential is worth, many at a
 * time, on the authentication thread's loop.
 *
 * What the endpoint may do to us is bounded: time to connect, time as a whole, bytes of body, bytes
 * of header, one request a slot. Redirects are not followed (attack A10), no proxy and no other
 * scheme is used, nothing is decompressed, no file of the user's (.netrc) is read. A request that
 * was sent on a kept connection which the endpoint was just closing is sent again, once, on a new
 * one (RFC 9112 9.3.1; a GET may be repeated). */
#pragma once
#include "acl/verdict.h"
#include "base/loop.h"

struct auth_http;
struct proxy_config;
struct credential;

enum auth_said {
	/* 200 and a well-formed token object: info is valid, the receiver's to free */
	SAID_TOKEN,
	SAID_NO, /* 4xx: reason is 0x87 for 403, else 0x86 */
	/* anything else, 408 and 429 too: nobody is let in, and nobody is remembered as refused */
	SAID_NOTHING,
};
struct auth_reply {
	enum auth_said said;
	uint8_t reason;
	/* with SAID_NOTHING: it is down, or overloaded: no answer, a late or broken one, 408, 5xx.
	 * False: an answer that makes no sense, which says something about this question only */
	bool down;
	struct token_info info;
	/* with SAID_NO: whose token it is, if the answer told; else 0. blocked: it told that the
	 * token is good, and its customer is blocked */
	uint64_t customer, id;
	bool blocked;
};

/* done: exactly once for each auth_http_ask that returned 0, never from inside it; may ask again.
 * why: static sentence on error. */
int auth_http_open(struct auth_http **out, struct loop *loop, const struct proxy_config *config,
                   void (*done)(void *arg, void *question, struct auth_reply *reply), void *arg,
                   const char **why) MUST_CHECK;
void auth_http_close(struct auth_http **h);     /* what is under way is given up, without done */
bool auth_http_room(const struct auth_http *h); /* a slot is free (auth_parallel) */
/* 0, -E_BUSY, -E_NOMEM, -E_IO */
int auth_http_ask(struct auth_http *h, const struct credential *c, void *question) MUST_CHECK;

/* ---- auth_url.c: auth_url of the configuration, taken apart ---- */
struct auth_target {
	char *url;       /* what libcurl is given */
	char *unix_path; /* NULL unless the endpoint is a Unix socket */
	bool tls;
};

/* 0, or -E_INVALID, -E_NOMEM with a static sentence; free it in either case. Plain http only over a
 * Unix socket, unless auth_insecure: on loopback any local user may hold the port. */
int auth_target_find(struct auth_target *t, const struct proxy_config *config,
                     const char **why) MUST_CHECK;
void auth_target_free(struct auth_target *t); /* zeroed is fine */

/* Who listens on the Unix socket is looked at before a key is sent over a new connection: root, our
 * own user or the owner of its folder, as with the core's sockets (uplink.c). One for each easy
 * handle; it lives as long as that. easy: a CURL. */
struct auth_peer {
	const char *path;
	int fresh; /* the socket of a connection that has not been looked at, or -1 */
};
int auth_peer_guard(struct auth_peer *p, const struct auth_target *t, void *easy) MUST_CHECK;
