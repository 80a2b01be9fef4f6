/* share.h - what one customer has of one worker: its connections there, and what is done for them
 * in a turn. Worker's thread only.
 *
 * A connection belongs to the share of strangers until its token has told whose it is, and to its
 * customer's from then on, until it is freed.
 *
 * Four kinds of work are done for a customer, and each waits in its share when the turn's slice
 * (slice.h) is used up:
 *
 *   read     its connections' bytes          -> unread: readable connections, oldest first
 *   deliver  frames of the core for it       -> later: the frames, as they came
 *   flush    what was written to its clients -> dirty: connections to flush or to end
 *   grants   subscriptions after a change of rights -> regrants: whose are to be judged again,
 *            before them who may perhaps not be here any more
 *
 * What is left is the next turn's, which begins at once. In between the worker looks at its links,
 * its timers, its doors and everybody else. */
#pragma once
#include "base/bytes.h"
#include "base/hash.h"
#include "base/list.h"
#include "proxy/partial.h"
#include "proxy/slice.h"

struct alias_table;
struct conn;
struct uplink;
struct worker;

struct customer_share {
	struct map_node node; /* worker->shares, by customer */
	uint64_t customer;    /* 0: strangers */
	struct list conns;    /* conn.share_node */
	struct partial_holder partial;
	size_t alias_bytes; /* topic aliases of its connections, both directions */
	/* SHARE_HELD, SHARE_FULL: none of its connections is read, nor is what was read of them
	 * worked on. Those that speak meanwhile wait in `unread`; the silent ones are not touched,
	 * however many. */
	uint8_t stopped;
	/* in use by a caller further up: not freed meanwhile */
	uint8_t pins;
	uint32_t window; /* slices_busy */
	struct slice read, deliver, flush, ends, grants;
	struct list regrants; /* conn.regrant: connections to be judged again; first judge_due */
	struct list regrant_node; /* worker->regrants, while there is one */
	struct list endings;      /* conn.regrant: whose token has ended */
	struct list endings_node; /* worker->endings, while there is one */
	struct list dues;         /* conn.due: whose deadlines have come */
	struct list dues_node;    /* worker->dues, while there is one */
	struct list unread;       /* conn.unread */
	struct list unread_node;  /* worker->unread, while there is one */
	struct list dirty;        /* conn.todo */
	struct list dirty_node;   /* worker->dirty, while there is one */
	/* uplink_in.c: whole frames, of the first of which so many entries are done */
	struct buf later;
	uint32_t later_done;
	struct list later_node; /* worker->later, while there are some */
	bool later_paused;      /* the core knows that there are many */
	/* uplink_out.c: whole frames for the core, but for what has been sent of the first one */
	struct uplink *link; /* of both; NULL: nothing was said yet */
	struct buf out;
	struct list out_node; /* link->outs, while there are some */
	/* channels that are free as soon as `out` is empty, chained by next_free; 0: none */
	uint32_t freed_first, freed_last;
};

/* the core has too much of it (LINK_HOLD); too much of it waits for the core */
enum { SHARE_HELD = 1, SHARE_FULL = 2 };

void shares_init(struct worker *w);
void shares_free(struct worker *w); /* no connection may be left */
/* a new connection, among the strangers */
void share_begin(struct conn *c);
/* its customer is known; 0 or -E_NOMEM, and nothing has changed */
int share_enter(struct conn *c, uint64_t customer) MUST_CHECK;
void share_leave(struct conn *c); /* conn_free */
/* A topic alias of c, in one of its two tables, as alias_set() does it, as long as its customer has
 * less than alias_bytes of them. 0, -E_LIMIT or -E_NOMEM */
int share_alias(struct conn *c, struct alias_table **table, unsigned alias, unsigned most,
                struct str topic) MUST_CHECK;
void share_forget_aliases(struct conn *c); /* conn_free */
/* NULL: no connection, and not held */
struct customer_share *share_find(const struct worker *w, uint64_t customer);
/* frees it if nobody needs it any more */
void share_tidy(struct worker *w, struct customer_share *s);

/* ---- Slices ---- */
/* Counts work that is not read, such as filters judged; it counts as reading. */
void share_charge(struct conn *c, uint32_t units);
/* May more of c's bytes be worked on in this turn? False while its customer is stopped. */
bool share_may_read(const struct conn *c);
/* share_charge, and the answer of share_may_read after it */
bool share_spend(struct conn *c, uint32_t units);
/* A deadline of c has come: conn_due() in its customer's turn. */
void share_due(struct conn *c);
void share_ended(struct conn *c); /* conn.c: one was */
/* c is readable, or has bytes that were read and are not worked on: its turn will come. behind: it
 * goes on as the first of its customer, so that only one of them has such bytes. */
void share_wait(struct conn *c, bool behind);
/* c is to be flushed, or ended, at the end of this turn */
void share_dirty(struct conn *c);

/* rights.c: c's subscriptions are judged again in its customer's turn, once however often it is
 * asked for until then. Both gates judge under the new rights already. */
void share_regrant(struct conn *c);
void share_regrant_rest(struct conn *c); /* those that are stale */
/* rights.c: may c still be here? The same, but before all that is only about subscriptions, and
 * however full its link is. */
void share_judge(struct conn *c);
/* rights.c: c's token has ended: it ends (badge_end) in its customer's turn. */
void share_end(struct conn *c);
/* uplink_out.c: there is room on its link again */
void share_release_regrants(struct worker *w, struct customer_share *s);

/* worker.c, at the end of each turn. Reads who has waited; judges; flushes. */
void shares_end(struct worker *w);
void shares_due(struct worker *w);
void shares_regrant(struct worker *w);
void shares_read(struct worker *w);
void shares_flush(struct worker *w);
/* later.c: runs each share of one of the worker's lists once, whose node lies there; one with more
 * to do stays, behind the others */
void shares_each(struct worker *w, struct list *shares, size_t node,
                 void (*run)(struct worker *w, struct customer_share *s),
                 bool (*more)(const struct customer_share *s));
bool shares_done(const struct worker *w);

/* Reads nothing of it from now on, or goes on when nothing else stops it. Constant time;
 * connections that come later are stopped too. */
void share_stop(struct customer_share *s, unsigned why);
void share_go_on(struct worker *w, struct customer_share *s, unsigned why);
/* uplink_in.c, LINK_HOLD: SHARE_HELD of this customer, with or without connections */
void share_hold(struct worker *w, uint64_t customer, bool hold);
/* the link to this home is lost, and with it whoever has held something */
void shares_go_on(struct worker *w, unsigned home);
