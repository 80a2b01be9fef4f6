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
	/* connections that are not read until the link has drained */
	struct list stalled;
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
struct buf *uplink_out(struct uplink *u); /* to append whole frames to; MUST be up */
bool uplink_full(const struct uplink *u); /* its clients are not to be read now */
/* holds c until the link has drained */
void uplink_stall(struct uplink *u, struct conn *c);

/* sets c's link, channel, generation; 0, -E_LIMIT, -E_NOMEM */
int uplink_attach(struct uplink *u, struct conn *c) MUST_CHECK;
void uplink_detach(struct conn *c); /* harmless without one; says nothing to the core */
/* NULL: nobody, or somebody later */
struct conn *uplink_find(const struct uplink *u, uint32_t channel, uint16_t generation);

/* uplink_in.c: one whole frame of the core, after HELLO. False: it is not one, the link is to fail.
 */
bool uplink_frame(struct uplink *u, const struct link_head *h, struct str body);
