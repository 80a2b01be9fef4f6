/* uplink.h - the proxy's side of the link (wire/link.h) between one worker and one home of the
 * core. Worker's thread only.
 *
 * Dials, says HELLO, keeps the heart beating, dials again with back-off. Holds the table of
 * channels: which connection a number means in which generation. Everything that is appended during
 * a turn leaves with one write at its end. */
#pragma once
#include "base/bytes.h"
#include "base/loop.h"
#include "wire/link.h"

struct conn;
struct customer_share;
struct worker;

/* no socket; HELLO not answered yet; clients may come */
enum uplink_state { UPLINK_DOWN, UPLINK_HELLO, UPLINK_UP };

struct channel {
	struct conn *conn;   /* NULL: free */
	uint32_t next_free;  /* of a free one: the next, 0 = last */
	uint16_t generation; /* of this or the last life */
};

struct uplink {
	struct worker *worker;
	unsigned home;
	enum uplink_state state;
	uint16_t minor; /* version of the link that the core knows, while UP */
	/* home 0: pushes may have been missed; mbus/# is acknowledged */
	bool lost_once, subscribed;
	/* to be flushed; socket is full; to be taken down at the end of the turn */
	bool dirty, writing, failed;
	const char *why; /* it failed */
	struct watch watch;
	struct timer timer; /* heartbeat, or the next dial */
	unsigned backoff_ms;
	int64_t heard, said; /* loop time */
	struct buf in, out;
	struct link_head head;   /* of the frame that comes now, between measuring and working */
	struct channel *channel; /* [0] is the link itself and never used */
	uint32_t channels, channel_room, free_channel;
	/* it is down: clients whose channels come from here on are still to be ended; how many were
	 */
	struct hook losing;
	uint32_t lose_at;
	size_t lost;
	struct list outs; /* share->out_node: with frames that wait here */
	unsigned out_count;
	/* whose frame was sent in part, and how many bytes of it are left */
	struct buf *torn;
	struct customer_share *torn_share;
	size_t torn_left;
	int room; /* of the socket, in bytes; 0: not set yet */
	/* later.c: nothing is read, there is too much already; a frame that waited is worked on;
	 * of a DELIVER so many entries are done, 0: none or all */
	bool deaf, late;
	uint32_t entry;
	uint16_t event_id; /* packet ids of our own publishes */
};

int uplink_new(struct uplink **out, struct worker *w, unsigned home) MUST_CHECK;
void uplink_free(struct uplink **u); /* no connection may be on it */
void uplink_start(struct uplink *u); /* dials, now and again, until uplink_free */
/* worker.c, end of turn: one write; takes it down if it failed */
void uplink_flush(struct uplink *u);
/* at the end of the turn; once is enough */
void uplink_fail(struct uplink *u, const char *why);

static inline bool uplink_up(const struct uplink *u)
{
	return u->state == UPLINK_UP && !u->failed;
}

/* ---- uplink_out.c: to append whole frames to ---- */
struct buf *uplink_out(struct uplink *u); /* the link's own; they leave first */
struct buf *uplink_say(struct conn *c);   /* its customer's; c has a channel */
struct buf *uplink_say_of(struct uplink *u, uint64_t customer); /* the same, without a client */
/* Where the next frame of c's customer will stand; c has a channel. If memory has run out for what
 * was appended since then (true), it is taken back: what others said before stays, and goes on
 * (attack I02). False also when c has no channel any more: the link ends then. */
size_t uplink_mark(const struct conn *c);
bool uplink_unsaid(struct conn *c, size_t mark);
/* so much of this customer waits that its clients are not to be read now */
bool uplink_full(const struct uplink *u, uint64_t customer);
bool uplink_full_for(const struct conn *c);
/* stops c's customer (SHARE_FULL) until half of what it has said has drained */
void uplink_stall(struct conn *c);
void uplink_touch(struct uplink *u);      /* uplink.c: flushed at the end of this turn */
void uplink_write(struct uplink *u);      /* uplink.c: one write, or as many as the socket takes */
void uplink_forget_out(struct uplink *u); /* uplink.c: it is down */

/* sets c's link, channel, generation; 0, -E_LIMIT, -E_NOMEM */
int uplink_attach(struct uplink *u, struct conn *c) MUST_CHECK;
void uplink_detach(struct conn *c); /* harmless without one; says nothing to the core */
/* NULL: nobody, or somebody later */
struct conn *uplink_find(const struct uplink *u, uint32_t channel, uint16_t generation);

/* One whole frame of the core; the link fails if it makes no sense, and then false. */
bool uplink_take(struct uplink *u, const struct link_head *h, struct str body);
/* uplink_in.c: the same after HELLO. False: it is not one, the link is to fail. */
bool uplink_frame(struct uplink *u, const struct link_head *h, struct str body);
