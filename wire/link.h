/* link.h - the language between mbus-proxy (or another part of the family) and a home of mbus-core
 * (design section 4). Pure: no fd, no clock, no log.
 *
 * A Unix stream socket; many clients share it, each on a numbered channel. Little-endian.
 *
 *   frame = le32 length of the whole frame, u8 type, u8 flags, le16 generation, le32 channel, body
 *
 * Channel 0 is the link itself: HELLO, PING/PONG, RIGHTS, and the worker's own PUBLISH/SUBSCRIBE:
 * log records out (customer/<id>/flespi/log/...), token changes in (mbus/...), and nothing else. It
 * is a session of the trusted world that gets QoS 0, says QoS 0 or 1, and is never stored; its
 * topics are inner names.
 *
 * Channels 1..LINK_CHANNELS_MAX belong to clients; the proxy chooses the number in OPEN. The
 * generation is chosen by the proxy too, counts up with each OPEN of that number, and stands in
 * every frame of that life of the channel, so that what was still on its way for the previous
 * client of the number is recognised and dropped. (Channel, generation) names one connection, not
 * one session.
 *
 * Who says what, in order:
 *
 *   HELLO (both)        First frame each way. Other major or wrong magic: close. A minor version
 *                       adds something; nobody says what the other's does not know, so that N and
 *                       N - 1 work together (link_close_known).
 *   PING, PONG (both)   PING each second when nothing else was sent; 5 s of silence: dead.
 *   OPEN (proxy)        After the verdict was "yes", never before. The core answers OPENED;
 *                       with a reason >= 0x80 the channel is free again.
 *   REGRANT (proxy)     A channel is born paused. The proxy recomputes a resumed session's
 *   RESUME (proxy)      subscriptions (OPENED lists them) against the rights of today, sends
 *                       REGRANT for those, then RESUME; only then queued messages flow.
 *   PUBLISH (proxy)     QoS 1: core says ACK(PUBACK). QoS 2: ACK(PUBREC), ACK(PUBREL),
 *                       ACK(PUBCOMP). Packet ids are the client's.
 *   DELIVER (core)      One message, many channels. Packet ids are the core's, per session; the
 *                       proxy passes the client's ACKs on.
 *   SUBSCRIBE (proxy)   Core says SUBACK. Likewise UNSUBSCRIBE, UNSUBACK.
 *   PAUSE (proxy)       The client does not read: no DELIVER for this channel until RESUME;
 *                       QoS 0 is dropped and counted, QoS 1 and 2 queue.
 *   CLOSE (proxy)       The network connection ended; says what becomes of the Will and of the
 *                       session. No answer.
 *   CLOSED (core)       Take-over, administrative end: the proxy tells the client and forgets the
 *                       channel. No answer.
 *   FINISH (core)       Another connection wants this one's session: the proxy works on what it has
 *   FINISHED (proxy)    received of the client, then says so. If that ends the connection (a
 *                       DISCONNECT), CLOSE is the answer. The other's OPEN waits, not for long.
 *   WILL_DROP (proxy)   The Will of this channel is no longer allowed: forget it.
 *   TOKEN (proxy)       The client has another token of the same customer now.
 *   HOLD (core)         Too much of this customer waits in the core: the proxy reads nothing from
 *                       its clients until the core says that they go on.
 *   RIGHTS (proxy)      What a token may publish from now on, after a change; or HIDDEN: nothing,
 *                       for now (disabled, ended, refused); or DELETED: nothing for ever. The core
 *                       judges by the last word what waits of it elsewhere: retained messages (if
 *                       configured) and delayed Wills. With CUSTOMER it is about all that the
 *                       customer has: blocked, deleted, or (neither flag) not blocked any more.
 *
 * A frame must be consumed to its last byte; anything that does not parse closes the link, and is
 * logged as the bug it is (attacks B08, B09). OPEN with LINK_OPEN_REATTACH is how clients will stay
 * connected over a restart of the core. */
#pragma once
#include "wire/mqtt_read.h"

enum {
	LINK_MAJOR = 1,
	LINK_MINOR = 8,
	LINK_MINOR_GRACE = 3,  /* knows LINK_CLOSE_GRACE */
	LINK_MINOR_FINISH = 4, /* knows LINK_FINISH */
	LINK_MINOR_HOLD = 5,   /* knows LINK_HOLD */
	LINK_MINOR_RIGHTS = 6, /* knows the flags of RIGHTS, and LINK_OPENED_RIGHTS */
	LINK_MINOR_MAY = 7,    /* says LINK_MAY_* */
	LINK_MINOR_OTHER = 8,  /* knows LINK_OPENED_OTHER, and a REGRANT that ends subscriptions */
	LINK_HEAD = 12,
	LINK_FRAME_MAX = 272 << 20,
	LINK_CHANNELS_MAX = 1 << 24,
	LINK_HOMES_MAX = 64
};
enum { LINK_PING_MS = 1000, LINK_DEAD_MS = 5000 };

enum link_type {
	LINK_HELLO = 1,
	LINK_PING,
	LINK_PONG,
	LINK_OPEN = 10,
	LINK_OPENED,
	LINK_CLOSE,
	LINK_CLOSED,
	LINK_WILL_DROP,
	LINK_TOKEN,
	LINK_FINISH,
	LINK_FINISHED,
	LINK_PUBLISH = 20,
	LINK_DELIVER,
	LINK_ACK,
	LINK_SUBSCRIBE = 30,
	LINK_SUBACK,
	LINK_UNSUBSCRIBE,
	LINK_UNSUBACK,
	LINK_REGRANT,
	LINK_PAUSE = 40,
	LINK_RESUME,
	LINK_RIGHTS = 50,
	LINK_HOLD,
};

struct link_head {
	uint32_t length; /* of the whole frame */
	uint8_t type, flags;
	uint16_t generation;
	uint32_t channel;
};
/* MORE: fewer than LINK_HEAD bytes, or body not whole. BAD: length < LINK_HEAD or > LINK_FRAME_MAX,
 * unknown type, flags that the type does not have, channel > LINK_CHANNELS_MAX, a client's frame
 * (OPEN, OPENED, CLOSE, CLOSED, FINISH, FINISHED, WILL_DROP, TOKEN, REGRANT, PAUSE, RESUME) on
 * channel 0, the link's
 * own frame (HELLO, PING, PONG, DELIVER, RIGHTS, HOLD) on another channel, a generation on channel
 * 0, a body on a frame that has none. */
enum parse link_head_read(struct str bytes, struct link_head *out);
/* the same, but the body need not be there yet */
enum parse link_head_peek(struct str bytes, struct link_head *out);
const char *link_type_name(unsigned type);

/* Which home a customer lives on: the same on both sides. customer 0 (the trusted world) is home 0.
 */
unsigned link_home_of(uint64_t customer, unsigned homes);

/* ---- Flags ---- */
/* PUBLISH, and per entry in DELIVER */
enum { LINK_QOS = 0x03, LINK_RETAIN = 0x04, LINK_DUP = 0x08 };
enum { LINK_OPEN_CLEAN = 0x01, LINK_OPEN_WILL = 0x02, LINK_OPEN_REATTACH = 0x04 };
/* LINK_OPENED_RIGHTS: the core remembers less than all, or nothing, of what the token may publish;
 * RIGHTS is to be said. LINK_OPENED_OTHER: the session was another token's before */
enum { LINK_OPENED_PRESENT = 0x01, LINK_OPENED_RIGHTS = 0x02, LINK_OPENED_OTHER = 0x04 };
/* send the Will; body has a new session expiry; the proxy let the client go, and it may come back
 * to another one: as if the link had broken */
enum { LINK_CLOSE_WILL = 0x01, LINK_CLOSE_EXPIRY = 0x02, LINK_CLOSE_GRACE = 0x04 };

/* HELLO of a proxy: what this link is for. The core takes nothing else from it. One of an older
 * minor version may all. */
enum {
	LINK_MAY_CLIENTS = 0x01, /* OPEN, and all that is said on a client's channel */
	LINK_MAY_LOG = 0x02,     /* PUBLISH on channel 0 of customer/<id>/flespi/log/... */
	LINK_MAY_RIGHTS = 0x04,  /* RIGHTS */
	LINK_MAY_ALL = 0x07,
};

/* ---- Bodies. read: false = does not parse (whole body must be consumed). All str borrow the
 * frame. ---- */
struct link_hello {
	/* core: how many homes there are and which one this is; a proxy says 0, 0 */
	uint16_t major, minor, homes, home;
	uint32_t features; /* LINK_MAY_*; the core says 0 */
	struct str name;   /* "mbus-proxy/0", for logs */
};
/* wrong magic: false; the caller judges major */
bool link_hello_read(struct str body, struct link_hello *out);
void link_hello_write(struct buf *b, const struct link_hello *h);
/* PING PONG PAUSE RESUME WILL_DROP FINISH FINISHED: no body */
void link_bare_write(struct buf *b, enum link_type type, uint32_t channel, uint16_t generation);

/* A message as it crosses the link. Topics are inner names. props: MQTT 5 wire form of payload
 * format, content type, correlation data and user properties only (link_msg_read checks that),
 * canonical: written by us from validated values. */
struct link_msg {
	struct str topic, response_topic, props, payload;
	uint32_t expiry_s; /* seconds left; LINK_NO_EXPIRY */
	/* for writing: stands before both topics, so that nobody has to put them together first.
	 * What was read has none */
	struct str prefix;
};
#define LINK_NO_EXPIRY UINT32_MAX

/* One thing said about a quota. acl/limits.h knows what level and id stand for; who does not know
 * one leaves it alone. */
struct link_limit {
	uint8_t level, id;
	int64_t value; /* -1 or more */
};
enum { LINK_LIMIT = 10 }; /* bytes of it on the wire */
bool link_limits_next(struct str *limits, struct link_limit *out);
void link_limit_put(struct buf *b, const struct link_limit *l); /* for `limits` below */

struct link_open {
	/* enum mqtt_version; Will only with LINK_OPEN_WILL in the head's flags */
	uint8_t version, will_qos;
	bool will_retain;
	uint16_t receive_maximum; /* the client's */
	/* ids; customer 0 is refused on a client's channel */
	uint64_t customer, token;
	uint32_t session_expiry_s, will_delay_s;
	/* unix seconds when the token ends, 0 = never: a delayed Will dies with it */
	int64_t rights_until;
	/* quotas (link_limits_next) that are not the core's own */
	struct str limits;
	/* client_id is never empty: the proxy assigns one; peer: address as text, for session lists
	 */
	struct str client_id, peer;
	struct link_msg will;
};
bool link_open_read(struct str body, uint8_t flags, struct link_open *out);
uint64_t link_open_customer(struct str body); /* of any OPEN; 0: it does not parse */
void link_open_write(struct buf *b, uint32_t channel, uint16_t generation, uint8_t flags,
                     const struct link_open *o);

struct link_opened {
	uint8_t reason;
	struct str subs; /* link_opened_next */
	unsigned count;
};
/* In an options byte, where MQTT reserves the bit: the filter was read with flespi's extensions
 * (docs/filters.md), and means what they say. */
enum { LINK_EXTENDED = 0x40 };
struct link_sub {          /* a subscription of a resumed session */
	struct str filter; /* as the client wrote it */
	uint8_t opts;      /* MQTT's subscription options byte, and LINK_EXTENDED */
	uint32_t id;       /* subscription identifier, 0 = none */
};
bool link_opened_read(struct str body, struct link_opened *out);
bool link_opened_next(struct link_opened *o, struct link_sub *sub);
/* Written in pieces: begin, one link_opened_add per subscription, link_end. */
size_t link_opened_begin(struct buf *b, uint32_t channel, uint16_t generation, bool present,
                         uint8_t reason, unsigned count);
void link_opened_add(struct buf *b, const struct link_sub *sub);
/* Sets LINK_OPENED_RIGHTS and LINK_OPENED_OTHER, of those that are known to a proxy of that minor
 * version. */
void link_opened_mark(struct buf *b, size_t frame, uint8_t flags, uint16_t minor);

/* Of these flags of CLOSE, what a core of that minor version knows. Without GRACE the end of a
 * connection is that of a client whose server went away: its Will is sent. */
uint8_t link_close_known(uint8_t flags, uint16_t minor);
bool link_close_read(struct str body, uint8_t flags, uint32_t *session_expiry_s);
void link_close_write(struct buf *b, uint32_t channel, uint16_t generation, uint8_t flags,
                      uint32_t session_expiry_s);
bool link_closed_read(struct str body, uint8_t *reason);
void link_closed_write(struct buf *b, uint32_t channel, uint16_t generation, uint8_t reason);

struct link_token { /* as in link_open */
	uint64_t token;
	int64_t rights_until;
	struct str limits;
};
bool link_token_read(struct str body, struct link_token *out);
void link_token_write(struct buf *b, uint32_t channel, uint16_t generation,
                      const struct link_token *t);

struct link_publish {
	/* 0 with QoS 0; QoS, retain and dup stand in the head's flags */
	uint16_t packet_id;
	struct link_msg msg;
};
bool link_publish_read(struct str body, uint8_t flags, struct link_publish *out);
void link_publish_write(struct buf *b, uint32_t channel, uint16_t generation, uint8_t flags,
                        const struct link_publish *p);

struct link_deliver {
	struct link_msg msg;
	/* who published: customer id, token id (0 = the platform) */
	uint64_t customer, token;
	/* wall clock of the core when the message was accepted */
	int64_t timestamp_ms;
	struct str entries; /* link_deliver_entry(d, i) for i < count */
	uint32_t count;
};
struct link_entry {
	uint32_t channel;
	uint16_t generation, packet_id;
	uint8_t flags;            /* LINK_QOS | LINK_RETAIN | LINK_DUP */
	uint32_t subscription_id; /* 0 = none */
};
enum { LINK_ENTRY = 16 }; /* bytes of an entry on the wire */
bool link_deliver_read(struct str body, struct link_deliver *out);
struct link_entry link_deliver_entry(const struct link_deliver *d, uint32_t i);
void link_deliver_write(struct buf *b, const struct link_deliver *d,
                        const struct link_entry *entries, uint32_t count);

/* ACK: flags = enum mqtt_type (PUBACK, PUBREC, PUBREL, PUBCOMP); reason is one of that packet's, or
 * a refusal. */
bool link_ack_read(struct str body, uint8_t flags, uint16_t *packet_id, uint8_t *reason);
void link_ack_write(struct buf *b, uint32_t channel, uint16_t generation, enum mqtt_type type,
                    uint16_t packet_id, uint8_t reason);

/* SUBSCRIBE and REGRANT: items, each with a set of inner filters. In SUBSCRIBE an item whose code
 * is >= 0x80 was refused by the proxy: the core does nothing and repeats the code at that place of
 * SUBACK. In REGRANT only filter, LINK_EXTENDED and the set count; but an item whose code is >=
 * 0x80 ends the subscription, and what waits by it is dropped. */
struct link_subscribe {
	uint16_t packet_id; /* 0 in REGRANT */
	uint32_t subscription_id;
	uint16_t count;
	struct str items;
};
struct link_item {
	uint8_t code, opts;
	struct str filter; /* as the client wrote it, $share/... included */
	uint16_t count;
	struct str inner; /* link_item_next */
};
bool link_subscribe_read(struct str body, struct link_subscribe *out);
bool link_subscribe_next(struct link_subscribe *s, struct link_item *item);
/* inner filter, and its mark of the root rule (topic.h) */
bool link_item_next(struct link_item *item, struct str *filter, bool *system);
/* Written in pieces: begin; per item: link_item_begin, link_item_inner...; link_end. Offsets
 * (frame, item) count from the first unread byte: consume nothing of b until link_end. */
size_t link_subscribe_begin(struct buf *b, enum link_type type, uint32_t channel,
                            uint16_t generation, uint16_t packet_id, uint32_t subscription_id);
size_t link_item_begin(struct buf *b, size_t frame, uint8_t code, uint8_t opts, struct str filter);
/* counts itself into the item */
void link_item_inner(struct buf *b, size_t item, struct str filter, bool system);

/* SUBACK and UNSUBACK: each code is one of that packet's, or a refusal */
bool link_suback_read(struct str body, enum link_type type, uint16_t *packet_id, struct str *codes);
void link_suback_write(struct buf *b, enum link_type type, uint32_t channel, uint16_t generation,
                       uint16_t packet_id, const uint8_t *codes, size_t count);

/* "#/#", which is no filter, stands for an empty one: it is answered with 0x8F */
struct link_unsubscribe {
	uint16_t packet_id, count;
	struct str items;
};
bool link_unsubscribe_read(struct str body, struct link_unsubscribe *out);
bool link_unsubscribe_next(struct link_unsubscribe *u, struct str *filter);
size_t link_unsubscribe_begin(struct buf *b, uint32_t channel, uint16_t generation,
                              uint16_t packet_id);
void link_unsubscribe_add(struct buf *b, size_t frame, struct str filter);

enum { LINK_RIGHTS_HIDDEN = 0x01, LINK_RIGHTS_DELETED = 0x02, LINK_RIGHTS_CUSTOMER = 0x04 };
struct link_rights {
	uint64_t customer, token;
	/* filters it may still publish to; 0 = nothing: revoked */
	uint16_t count;
	struct str items;
};
bool link_rights_read(struct str body, struct link_rights *out);
bool link_rights_next(struct link_rights *r, struct str *filter, bool *system);
size_t link_rights_begin(struct buf *b, uint64_t customer, uint64_t token);
/* the whole frame, without filters; token 0 with LINK_RIGHTS_CUSTOMER, and only then */
void link_rights_say(struct buf *b, uint8_t flags, uint64_t customer, uint64_t token);
/* Can it be said to a core of that minor version? Without it HIDDEN and DELETED of a token are "may
 * publish nothing", and about a customer there are no words. */
uint8_t link_rights_known(uint8_t flags, uint16_t minor);
void link_rights_add(struct buf *b, size_t frame, struct str filter, bool system);

/* the customer, never 0, and whether it is held from now on or goes on */
bool link_hold_read(struct str body, uint64_t *customer, bool *hold);
void link_hold_write(struct buf *b, uint64_t customer, bool hold);

/* Closes a frame written in pieces: sets its length. False: it cannot be said (a count over 16
 * bits, longer than LINK_FRAME_MAX, no memory); nothing of it is left in b, which can be written to
 * as before, unless it was broken when the frame began. */
bool link_end(struct buf *b, size_t frame);
