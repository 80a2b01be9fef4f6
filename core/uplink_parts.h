/* uplink_parts.h - between uplink.c (sockets), uplink_frames.c (what the proxy says) and
 * uplink_ports.c (what sessions say). Home's thread. */
#pragma once
#include "core/home_parts.h"
#include "core/uplink.h"
#include "core/work.h"

/* LINK_PARKED: bytes of parked frames; a proxy that heeds LINK_HOLD never comes there */
enum { CHANNEL_PAGE = 256, LINK_GATHER = 1024, LINK_PARKED = 64 << 20 };

struct channel { /* one client's connection */
	struct port port;
	struct link *link;
	uint32_t number;
	uint16_t generation;
	/* its link is gone: the session is lost when the frames that wait have been served */
	bool lost;
	bool listed;         /* in its link's pages: frames for its number are its */
	struct lane *lane;   /* its customer's on this link */
	struct list in_lane; /* in lane->channels */
	/* frames that are parked; while there are any, whose they are */
	uint32_t waiting;
	struct customer *customer;
	/* its proxy was asked to finish it, because others wait for its session */
	struct handover *handover;
	struct newcomer *newcomer; /* it is one of those who wait: no session yet */
};

struct lane {                 /* uplink_lanes.c: what waits for one customer's clients on a link */
	struct map_node node; /* in link->lanes, by customer */
	bool listed;
	bool slow, full;   /* over its marks: the customer waits; *port.full of its clients */
	struct list ready; /* in link->ready while out has bytes */
	struct list mark;  /* in link->marked while slow or full */
	struct link *link;
	uint64_t customer;
	struct buf out;
	/* struct channel; of them, those that were full and have not been told that it is over */
	struct list channels, draining;
	struct work drain;
	unsigned held; /* it stays until it is given back, also without channels */
};

struct channel_page {
	unsigned used;
	struct channel *at[CHANNEL_PAGE];
};

struct link {
	struct list node; /* in uplink->links */
	struct uplink *uplink;
	struct home *home;
	struct watch watch;
	struct timer timer; /* heartbeat */
	char name[64];      /* "link=0.7 mbus-proxy/1", escaped, for logs */
	bool greeted;       /* its HELLO was there */
	uint16_t minor;     /* that it speaks */
	uint32_t may;       /* LINK_MAY_*, as its HELLO said */
	/* why it will be closed at the end of the turn; NULL = it lives */
	const char *broken;
	/* loop time of the last bytes in, and of the last that were written */
	int64_t heard, said;
	struct buf in, out;
	struct home_out ends; /* out, at the end of the turn */
	/* frames that are parked, and jobs that lose its clients; bytes of those frames; gone:
	 * closed, and kept for them */
	size_t waiting, waiting_bytes;
	bool gone;
	bool stuffed; /* so much of it is parked that it is not read (LINK_PARKED) */
	/* What waits behind out: of channel 0, which does not wait; of customers; those with bytes;
	 * those over a mark. shared: there were two at once */
	struct lane own;
	struct map lanes;
	struct list ready, marked;
	bool shared;
	/* Channels: pages are made as numbers come, so a strange number costs one page. Channel 0
	 * is the link's own session. */
	struct channel self;
	struct channel_page **pages;
	size_t page_count;
	size_t channels;
	/* The DELIVER in the making: one message, those who get it */
	struct msg *gathered;
	struct lane *gathered_lane; /* all of those are in it */
	uint32_t gathered_count;
	struct link_entry entries[LINK_GATHER];
};

struct lane_marks { /* bytes; uplink_lanes.c */
	uint32_t unsent, quantum, slow, slow_alone;
};

struct uplink {
	struct home *home;
	struct watch watch;
	struct timer pause; /* out of descriptors: look again later */
	char *path;
	struct list links;
	size_t count;
	uint64_t serial;
	struct lane_marks marks;
};

/* ---- uplink.c ---- */
/* it ends with this turn; why: static text */
void link_break(struct link *l, const char *why);
void link_say(struct link *l); /* something was appended to out */
/* what is looked for at its socket, after something of that has changed */
void link_watch(struct link *l);
void link_nonsense(struct link *l, const struct link_head *head);
/* a parked frame of it was served, or a job done: the last one of a link that is gone ends it */
void link_served(struct link *l);
/* the client's link is gone: what becomes of its session */
void channel_lose(struct channel *c);

/* ---- uplink_frames.c ---- */
/* now, or when its customer's turn comes. False: nonsense */
bool link_frame(struct link *l, const struct link_head *head, struct str body);

/* OPEN of a channel that is there already, without asking for another connection to finish */
bool link_open_run(struct channel *c, const struct link_head *head, struct str body);

/* ---- uplink_handover.c ---- */
bool handover_knows(const struct link *l); /* its proxy can be asked */
/* c, whose OPEN this is, waits until old, which has its session, has finished. False: it cannot,
 * and takes over at once */
bool handover_wait(struct channel *old, struct channel *c, const struct link_head *head,
                   struct str body);
/* a frame of a channel that waits; CLOSE frees it. False: nonsense */
bool handover_hears(struct channel *c, const struct link_head *head, struct str body);
void handover_cancel(struct channel *c);   /* c does not wait any more; harmless */
void handover_over(struct channel *c);     /* c ends; harmless */
void handover_finished(struct channel *c); /* its proxy says so; harmless */

/* what it says is done now; c as far as its type has one, or its OPEN was parked */
bool link_frame_run(struct link *l, struct channel *c, const struct link_head *head,
                    struct str body);

/* ---- uplink_parked.c ---- */
/* until it is the customer's turn; c: NULL for OPEN and what is of no channel. False: nonsense */
bool link_park(struct link *l, struct channel *c, struct customer *of, const struct link_head *head,
               struct str body);

/* It stays until it is given back, whatever becomes of it meanwhile. */
void channel_hold(struct channel *c);
void channel_release(struct channel *c);
/* a new link learns who is held */
void link_tell_held(struct link *l);

/* ---- uplink_lanes.c ---- */
void lane_marks_init(struct lane_marks *m);
void lane_init(struct lane *a, struct link *l, uint64_t customer);
/* 0 or -E_NOMEM: c has no lane */
int lane_enter(struct channel *c, uint64_t customer) MUST_CHECK;
void lane_leave(struct channel *c);
void lane_settle(struct lane *a); /* frees it, if nobody needs it any more */
void lanes_end(struct link *l);   /* what waits in them is for nobody */
/* where a frame for its clients is appended now; lane_say afterwards */
struct buf *lane_buf(struct lane *a);
void lane_say(struct lane *a);
void lanes_merge(struct link *l);   /* before a commit */
void lanes_written(struct link *l); /* after writing */

/* ---- uplink_ports.c ---- */
extern const struct port_ops channel_ops, self_ops;
struct channel *channel_find(const struct link *l, uint32_t number);
/* number MUST be free; NULL: out of memory */
struct channel *channel_new(struct link *l, uint32_t number, uint16_t generation,
                            uint64_t customer);
void channel_end(struct channel *c); /* its memory */
/* MUST have no session. Lives on without its number while frames for it are parked */
void channel_free(struct channel **c);
/* its number is free for another one; it lives on */
void channel_unlist(struct channel *c);
void channels_each(struct link *l, void (*visit)(struct channel *c)); /* visit may free c */
void channels_free(struct link *l);
/* writes the DELIVER in the making */
void link_gather_end(struct link *l);
