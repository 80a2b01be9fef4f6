/* door_parts.h - what door.c (life), door_in.c (packets from a guest) and door_out.c (packets to
 * it) share. Home's thread. */
#pragma once
#include <inttypes.h>

#include "base/loop.h"
#include "core/door.h"
#include "wire/mqtt_write.h"

enum { DOOR_SCRATCH = 64 << 10, DOOR_CONNECT_MS = 10000 };

struct door {
	struct home *home;
	int fd;
	struct watch watch;
	struct timer pause; /* no descriptors left: accepting waits a little */
	struct list guests;
	size_t count;
	uint64_t number; /* of the last guest, for logs */
	/* what a packet becomes: a link frame, or properties; kept, used within one call */
	struct buf frame;
	char scratch[DOOR_SCRATCH]; /* what was just read, of whichever guest */
};

/* State, the states it may become. CLOSING: no session, nothing is read; what was said is written
 * once, then it is freed. */
#define GUEST_STATES(S) \
	S(GREETING, TO(OPEN) | TO(CLOSING)) /* no CONNECT yet; its deadline runs */ \
	S(OPEN, TO(CLOSING)) \
	S(CLOSING, 0)
enum guest_state {
#define S(name, next) GUEST_##name,
	GUEST_STATES(S)
#undef S
};

struct guest { /* one connection */
	struct list node;
	struct door *door;
	struct watch watch;
	struct timer timer; /* deadline of CONNECT, then keep-alive */
	/* end of turn: what may not be done inside a call of the session, or of the home */
	struct hook settle;
	struct home_out out; /* of send */
	struct port port;
	struct buf in, send;
	/* le16 packet id, u8 QoS: messages that could not be sent, and count as received */
	struct buf late;
	struct buf name; /* client id, for logs */
	uint64_t number, packets_in, packets_out, dropped;
	int64_t born, heard; /* loop time: connected, last packet */
	/* what is allowed: one and a half times what the client said; 0 = for ever */
	uint32_t keep_alive_ms;
	uint32_t packet_max; /* the client's; 0 = none */
	uint32_t expiry_s;   /* of the session, as CONNECT said */
	/* QoS 1 and 2 from the client, not yet acknowledged; the receive maximum we announced */
	uint32_t under_way, under_way_max;
	int fd;
	uint8_t version; /* 0: not known yet */
	uint8_t state;   /* guest_enter is the only writer */
	bool assigned;   /* the client id is ours */
	bool admin;      /* its uid may publish mbus/... */
	bool full;       /* send is over the mark: *port.full */
	/* for settle: no longer full; CONNACK was said; writing failed, or no memory */
	bool drained, opened, broken;
};

/* ---- door.c ---- */
void guest_enter(struct guest *g, enum guest_state to);
void guest_said(struct guest *g);  /* after appending to send */
void guest_later(struct guest *g); /* settle at the end of this turn */
/* Ends it: nothing is read any more, what stands in send is written once, then it is freed. The
 * session has let go already, or never was. why: for the log. Harmless when CLOSING. */
void guest_end(struct guest *g, const char *why);
/* tells the session (LINK_CLOSE_*), then guest_end */
void guest_close(struct guest *g, uint8_t flags, uint32_t expiry_s, const char *why);
/* tells the client, in the way its version knows; the Will is sent */
void guest_fail(struct guest *g, unsigned reason);
static inline size_t door_packet_max(const struct door *d)
{
	return (size_t)home_config(d->home)->door_packet;
}

/* ---- door_in.c ---- */
/* whole packets; how many bytes they were */
size_t guest_feed(struct guest *g, struct str bytes);

/* ---- door_out.c ---- */
extern const struct port_ops guest_ops;
void guest_connack(struct guest *g, bool present, unsigned reason);
void guest_settle_late(struct guest *g);
