/* share.h - what one customer has of one worker: its connections there, and what they may take of a
 * turn. Worker's thread only.
 *
 * A connection belongs to the share of strangers until its token has told whose it is, and to its
 * customer's from then on, until it is freed. */
#pragma once
#include "base/hash.h"
#include "base/list.h"

struct conn;
struct worker;

struct customer_share {
	struct map_node node; /* worker->shares, by customer */
	uint64_t customer;    /* 0: strangers */
	struct list conns;    /* conn.share_node */
	/* the core has too much of this customer: none of its connections is read (HOLD_SHARE) */
	bool held;
};

void shares_init(struct worker *w);
void shares_free(struct worker *w); /* no connection may be left */
/* a new connection, among the strangers */
void share_begin(struct conn *c);
/* its customer is known; 0 or -E_NOMEM, and nothing has changed */
int share_enter(struct conn *c, uint64_t customer) MUST_CHECK;
void share_leave(struct conn *c); /* conn_free */
/* NULL: no connection, and not held */
struct customer_share *share_find(const struct worker *w, uint64_t customer);

/* uplink_in.c, LINK_HOLD: reads nothing of this customer from now on, or goes on. Connections that
 * come later inherit it. */
void share_hold(struct worker *w, uint64_t customer, bool hold);
/* the link to this home is lost, and with it whoever has held something */
void shares_go_on(struct worker *w, unsigned home);
