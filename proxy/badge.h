/* badge.h - one token as one worker knows it: its rights now, and the connections it let in.
 * Worker's thread only (the token itself is shared, proxy/auth.h). Everything that a token gives to
 * its connections is here once. */
#pragma once
#include "acl/verdict.h"
#include "base/hash.h"
#include "base/list.h"
#include "proxy/auth.h"
#include "proxy/events.h"
#include "proxy/quotas.h"
#include "wire/mqtt.h"
#include "wire/space.h"

struct conn;
struct worker;

struct badge {
	struct map_node node; /* worker->badges, by address of the token */
	struct token *token;  /* one reference */
	struct acl *acl;      /* one reference; rights as of now */
	struct space space;
	uint64_t customer, id;
	uint64_t place;       /* hash of ips, certs and client_ids that its connections fit */
	int64_t expire;       /* unix seconds, 0 = never */
	struct limits *told;  /* owned; what quotas were worked out from */
	struct quotas quotas; /* in force now */
	/* acl_stamp of the rights that the core was told again, and when */
	uint64_t rights_told;
	int64_t rights_told_at;
	/* the reason why its connections end, one after the other: none of them may publish or
	 * receive anything. It is not in worker->badges any more. 0: it is worth something */
	uint8_t ended;
	/* filters of its clients are read with flespi's extensions */
	bool extended;
	struct list conns; /* conn.badge_node */
	/* gate: the answer for the message being delivered (worker->deliver_serial) */
	uint64_t memo_serial;
	bool memo;
	/* events.c: how many this second */
	struct event_rate events;
};

/* The badge of this token, made if there is none; c is put on it. Takes over the reference to token
 * in any case. v: its verdict, a yes. */
/* 0 or -E_NOMEM */
int badge_take(struct worker *w, struct conn *c, struct token *token,
               const struct verdict *v) MUST_CHECK;
void badge_drop(struct conn *c); /* harmless without one */

/* share.c: c ends if its token has ended. True: it has */
bool badge_end(struct conn *c);
/* It was revoked (NULL: no): what its clients may not say, their Wills may not either. */
static inline bool badge_revoked(const struct badge *b)
{
	return b && b->ended && b->ended != RC_SERVER_UNAVAILABLE;
}

/* c has other rights than before: its Will, its subscriptions */
void rights_changed(struct conn *c);
/* share.c: ends c if its token does not admit it any more from where it is, or under its id */
void rights_judge(struct conn *c);

/* the core has asked what c's token may publish (LINK_OPENED_RIGHTS) */
void rights_tell_again(struct conn *c);
/* auth_notice_fn of the workers: what a token is worth has changed */
void rights_notice(struct auth_notice *n);
