/* uplink_parts.h - between uplink.c (sockets), uplink_frames.c (what the proxy says) and
 * uplink_ports.c (what sessions say). Home's thread. */
#pragma once
#include "core/home_parts.h"
#include "core/uplink.h"

enum { CHANNEL_PAGE = 256, LINK_GATHER = 1024 };

struct channel { /* one client's connection */
	struct port port;
	struct link *link;
	uint32_t number;
	uint16_t generation;
	/* its proxy was asked to finish it, because others wait for its session */
	struct handover *handover;
	struct newcomer *newcomer; /* it is one of those who wait: no session yet */
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
	/* why it will be closed at the end of the turn; NULL = it lives */
	const char *broken;
	/* loop time of the last bytes in, and of the last that were written */
	int64_t heard, said;
	struct buf in, out;
	struct home_out ends; /* out, at the end of the turn */
	/* out was over the mark, and is not yet under half of it */
	bool full;
	/* Channels: pages are made as numbers come, so a strange number costs one page. Channel 0
	 * is the link's own session. */
	struct channel self;
	struct channel_page **pages;
	size_t page_count;
	size_t channels;
	/* The DELIVER in the making: one message, those who get it */
	struct msg *gathered;
	uint32_t gathered_count;
	struct link_entry entries[LINK_GATHER];
};

struct uplink {
	struct home *home;
	struct watch watch;
	struct timer pause; /* out of descriptors: look again later */
	char *path;
	struct list links;
	size_t count;
	uint64_t serial;
};

/* ---- uplink.c ---- */
/* it ends with this turn; why: static text */
void link_break(struct link *l, const char *why);
void link_say(struct link *l); /* something was appended to out */

/* ---- uplink_frames.c ---- */
/* false: nonsense */
bool link_frame(struct link *l, const struct link_head *head, struct str body);

/* OPEN of a channel that is there already, without asking for another connection to finish */
bool link_open_run(struct channel *c, const struct link_head *head, struct str body);
void link_nonsense(struct link *l, const struct link_head *head); /* logs, and breaks it */

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

/* ---- uplink_ports.c ---- */
extern const struct port_ops channel_ops, self_ops;
struct channel *channel_find(const struct link *l, uint32_t number);
/* number MUST be free; NULL: out of memory */
struct channel *channel_new(struct link *l, uint32_t number, uint16_t generation);
void channel_free(struct channel **c);                                /* MUST have no session */
void channels_each(struct link *l, void (*visit)(struct channel *c)); /* visit may free c */
void channels_free(struct link *l);
/* writes the DELIVER in the making */
void link_gather_end(struct link *l);
