/* conn.h - one network connection of one client, from accept to the last byte. Its worker's thread
 * only.
 *
 * Who does what with it: door.c accepts, conn_io.c moves its bytes, gate.c lets its packets through
 * to greet.c (CONNECT) and in_*.c, deliver.c and to_client.c bring what the core has to say,
 * rights.c looks at it when its token changes, conn.c is the only one that ends it. conn_close may
 * be called at any moment and frees nothing: the connection is gone at the end of the loop turn.
 * After it, only look at `state`. */
#pragma once
#include "base/bytes.h"
#include "base/loop.h"
#include "base/sock.h"
#include "proxy/filters.h"
#include "proxy/pace.h"
#include "proxy/transport.h"
#include "wire/mqtt_read.h"

struct alias_table;
struct asking;
struct auth_ask;
struct badge;
struct cap;
struct door;
struct granting;
struct greet;
struct inflight;
struct partial_holder;
struct customer_share;
struct uplink;
struct worker;

/* ---- States: name, then what they may become ---- */
#define CONN_STATES(S) \
	S(GREETING, TO(AUTH) | TO(CLOSING)) /* bytes, but no CONNECT yet */ \
	S(AUTH, TO(OPENING) | TO(CLOSING))  /* verdict asked for; reading is paused */ \
	S(OPENING, TO(OPEN) | TO(CLOSING))  /* OPEN went to the core; still paused */ \
	S(OPEN, TO(CLOSING))                /* CONNACK is said */ \
	S(CLOSING, 0)                       /* last words go out; what comes is thrown away */

enum conn_state {
#define S(name, next) CONN_##name,
	CONN_STATES(S)
#undef S
	    CONN_STATE_COUNT
};

/* ---- Ends: every connection has exactly one. name, word for the log, MQTT reason told to a v5
 * client (0 = nothing is said), close_code of the event (reference: flespi's records; -1 = the
 * reason), what else. REFUSED had its CONNACK already. ---- */
enum {
	/* the client did something wrong: counted as such */
	END_ERROR = 1,
	/* The core is to send the Will: every end that the client did not ask for [MQTT-3.1.2-8].
	 * Not REVOKED: what the client may not publish any more, its Will may not either */
	END_WILL = 2,
	/* the core is told nothing: it knows, or its link is lost */
	END_SILENT = 4,
	/* we let it go: its Will waits, as for the clients of a proxy that was lost */
	END_GRACE = 8,
};
#define CONN_ENDS(E) \
	E(DISCONNECT, "disconnect", 0, 0, 0) \
	E(DISCONNECT_WILL, "disconnect-with-will", 0, 4, END_WILL) \
	E(GONE, "gone", 0, -1, END_WILL) \
	E(SOCKET, "socket-error", 0, -1, END_WILL) \
	E(NOT_MQTT, "not-mqtt", 0, -1, END_ERROR) \
	E(TRANSPORT, "transport-error", 0, -1, END_ERROR | END_WILL) \
	E(ANSWERED, "answered", 0, 0, 0) \
	E(CONNECT_LATE, "connect-late", 0, 17, END_ERROR) \
	E(REFUSED, "refused", 0, 0, 0) \
	E(MALFORMED, "malformed", 0x81, 129, END_ERROR | END_WILL) \
	E(PROTOCOL, "protocol-error", 0x82, 130, END_ERROR | END_WILL) \
	E(SLOW_READER, "slow-reader", 0x83, 131, END_ERROR | END_WILL) \
	E(SLOW_SENDER, "slow-sender", 0x83, 131, END_ERROR | END_WILL) \
	E(MEMORY, "out-of-memory", 0x83, 5, END_WILL) \
	E(REVOKED, "revoked", 0x87, 14, 0) \
	E(REAUTH, "reauth-refused", 0x87, 135, END_WILL) \
	E(AUTH_METHOD, "auth-method", 0x8C, 140, END_ERROR | END_WILL) \
	E(UNSURE, "rights-unknown", 0x89, 137, END_WILL) \
	E(CORE_LOST, "core-lost", 0x8B, 139, END_SILENT) \
	E(SHUTDOWN, "shutdown", 0x8B, 7, END_GRACE) \
	E(MOVED, "moved", 0x9C, 156, END_GRACE) \
	E(KEEP_ALIVE, "keepalive", 0x8D, 141, END_WILL) \
	E(TAKEN_OVER, "taken-over", 0x8E, 142, END_SILENT) \
	E(TOPIC_NAME, "topic-name", 0x90, 144, END_ERROR | END_WILL) \
	E(RECEIVE_MAXIMUM, "receive-maximum", 0x93, 147, END_ERROR | END_WILL) \
	E(TOPIC_ALIAS, "topic-alias", 0x94, 148, END_ERROR | END_WILL) \
	E(TOO_LARGE, "too-large", 0x95, 149, END_ERROR | END_WILL) \
	E(RATE, "message-rate", 0x96, 150, END_ERROR | END_WILL) \
	E(QUOTA, "quota", 0x97, 151, END_ERROR | END_WILL) \
	E(PAYLOAD_FORMAT, "payload-format", 0x99, 153, END_ERROR | END_WILL) \
	E(BY_CORE, "by-core", 0, 152, END_SILENT) \
	E(OTHER, "error", 0, 128, END_ERROR | END_WILL)

enum conn_end {
#define E(name, word, reason, code, flags) END_##name,
	CONN_ENDS(E)
#undef E
	    END_COUNT
};

struct conn_end_row {
	const char *word;
	uint8_t reason;
	int16_t close_code;
	uint8_t flags;
};
const struct conn_end_row *conn_end_row(enum conn_end end);
/* The row that tells this reason; END_OTHER if none does. */
enum conn_end conn_end_of(unsigned reason);

/* ---- Why nothing is read from it now; any bit is enough ---- */
enum {
	HOLD_AUTH = 1,
	HOLD_RATE = 4,
	HOLD_OUT = 8,
	HOLD_END = 16,
	HOLD_SHARE = 32, /* it has spoken while its customer is stopped: share.h */
	/* more QoS 1 than our Receive Maximum: until the core has acknowledged it */
	HOLD_WINDOW = 64,
	HOLD_ASKING = 128, /* a SUBSCRIBE is under way: in_subscribe.c */
	/* what was read already waits too, in `in` */
	HOLD_PACKETS = HOLD_AUTH | HOLD_RATE | HOLD_SHARE | HOLD_WINDOW | HOLD_ASKING,
};

/* ---- Why the core sends it nothing: its own buffer; too many frames of its customer; its filters
 * are not yet judged under the rights of today ---- */
enum { PAUSED_OUT = 1, PAUSED_LATER = 2, PAUSED_RIGHTS = 4 };

/* ---- Paced: PUBLISHes, their bytes, filters of SUBSCRIBE and UNSUBSCRIBE, the other packets that
 * answer nothing of ours ---- */
enum { PACE_MESSAGES, PACE_BYTES, PACE_FILTERS, PACE_CONTROL, PACE_KINDS };

struct conn {
	/* life: conn.c */
	struct worker *worker;
	const struct door *door; /* it came through */
	struct list node;        /* worker->conns */
	struct list todo;        /* share->dirty, or in no list */
	struct list unread;      /* share->unread, or in no list */
	struct list regrant;     /* share->regrants, share->endings, or in no list */
	struct list due;         /* share->dues, or in no list */
	struct timer timer;      /* conn_io.c: the nearest of all deadlines */
	struct cap *peer_cap, *token_cap, *customer_cap;
	uint64_t serial; /* of this worker, for logs */
	int64_t since;   /* loop time of accept */
	uint8_t state, end, end_reason;
	uint8_t version; /* enum mqtt_version; 0 before CONNECT */
	/* bytes: conn_io.c */
	uint8_t hold;
	/* the socket has something; what was read before is not worked on wholly */
	bool readable, behind;
	/* the socket is full: waiting for LOOP_WRITE; which came in this turn */
	bool writing, writable;
	/* last words were written: linger until the peer has read them */
	bool said_end;
	/* FIN sent, waits for the peer's; what comes meanwhile waits for its customer's turn;
	 * nothing left to do: to be freed */
	bool lingering, linger_waits, done;
	bool finishing; /* another connection waits for what this one has said (finish.c) */
	bool judge_due; /* it is in share->regrants, to be judged whether it may stay (share_judge)
	                 */
	struct watch watch;
	struct transport transport;
	/* in: a packet that has not wholly come; out: not yet sent. Memory only while needed */
	struct buf in, out;
	/* of in and of transport.partial, as counted in partial_holder (partial.h); of out and
	 * transport.held, as counted in worker->waiting */
	size_t partial, waiting;
	struct partial_holder *partial_holder; /* NULL: nothing is begun */
	struct list partial_node;
	bool partial_stranger; /* it is counted among the strangers */
	/* packets that came, to tell whether one came during a read */
	uint64_t frames_in;
	uint64_t finish_at; /* finish.c: of bytes_in, when `finishing` */
	/* loop time: last bytes; `in` began; last byte taken by the peer while writing */
	int64_t heard, partial_since, progress;
	/* who it is: greet.c */
	struct greet *greet; /* only before OPEN */
	char *brought; /* a token that came before CONNECT, for one that names none; owned, wiped */
	struct badge *badge;
	struct list badge_node;
	struct customer_share *share; /* never NULL */
	struct list share_node;
	struct auth_ask *reauth; /* AUTH under way (reauth.c) */
	bool auth_method;        /* CONNECT named "token" */
	struct sock_addr peer;
	/* the name of its certificate (token_cert_name_ok), or NULL; owned. cert_front: the one in
	 * front has ended TLS, and whatever certificate we see is his */
	char *cert;
	bool cert_front;
	char *client_id;  /* owned, not NUL-terminated */
	char *will_topic; /* owned, of a Will that may still be sent */
	uint16_t client_id_size, will_topic_size;
	/* longest packet from, and (0 = any) to the client */
	uint32_t packet_limit, packet_most;
	/* as announced in CONNACK */
	uint16_t receive_maximum, alias_most;
	uint32_t keep_alive_ms; /* 1.5 times the agreed one; 0 = none */
	bool expiry_zero;       /* the session was to end with the connection */
	bool expiry_told;       /* DISCONNECT said another one: */
	uint32_t expiry_s;
	bool bridge;       /* of MQTT 3: what it subscribes to is No Local, Retain As Published */
	bool problem_info; /* reason strings are welcome */
	bool mute;         /* a quota of 0: it may publish nothing */
	uint16_t alias_out_most; /* so many aliases may be set for it; 0 = none */
	/* the link: uplink.c */
	uint8_t core_paused; /* PAUSED_* */
	uint16_t generation;
	uint32_t channel; /* 0 = none */
	struct uplink *link;
	/* what it did: in_*.c */
	struct alias_table *aliases;     /* made when first used */
	struct alias_table *aliases_out; /* deliver.c: those we have set; the same */
	struct inflight *inflight;
	uint16_t inflight_two;     /* of those, QoS 2: they need a PUBREL of the client */
	struct inflight *released; /* in_publish.c: by us, in the client's name; answers to come */
	struct filters filters;    /* what its session is subscribed to */
	struct asking *asking;     /* a SUBSCRIBE under way (in_subscribe.c), or NULL */
	/* a filter with a list that is being judged (grants.c), or NULL: of SUBSCRIBE; of REGRANT
	 */
	struct granting *granting, *regranting;
	struct pace pace[PACE_KINDS];
	/* acknowledgements that it owes us: for what it was sent on this connection */
	uint32_t owed;
	/* counters for the last line */
	uint64_t msgs_in, msgs_out, bytes_in, bytes_out;
	/* publishes refused; deliveries dropped (rights, size, no room) */
	uint32_t rejected, undelivered;
	uint32_t refused; /* filters */
	/* refusals that no record tells of, and when the last one was told (events.c) */
	uint32_t refusals_untold;
	int64_t refusal_told;
	uint32_t events, events_minute, events_dropped;
};

/* ---- Life ---- */
/* Takes fd and cap, also on failure. */
void conn_new(struct door *d, int fd, const struct sock_addr *peer, struct cap *cap);
void conn_enter(struct conn *c, enum conn_state to);
void conn_close(struct conn *c, enum conn_end end);
/* other reason than the row's; say: reason string or NULL */
void conn_close_with(struct conn *c, enum conn_end end, unsigned reason, const char *say);
/* the client broke a rule of MQTT: reason as the codec gives it */
void conn_break(struct conn *c, unsigned reason);
/* a token in the request of a WebSocket. 0 or -E_NOMEM */
int conn_bring(struct conn *c, struct str token) MUST_CHECK;
void conn_forget_brought(struct conn *c); /* harmless without one */
/* The common name of its verified certificate; one that is no identity, and STR_NONE, is none. 0 or
 * -E_NOMEM: then it must not go on */
int conn_certify(struct conn *c, struct str name) MUST_CHECK;
void conn_forget_cert(struct conn *c); /* harmless without one */
/* the name as it is told to the endpoint; borrowed. Empty: none, or not to be told */
struct str conn_cert_told(const struct conn *c);
void conn_free(struct conn *c); /* worker.c, when nothing is left to say */
static inline bool conn_is(const struct conn *c, enum conn_state state)
{
	return c->state == state;
}
const char *conn_state_name(enum conn_state state);
bool conn_may_become(enum conn_state from, enum conn_state to);
static inline struct str conn_client_id(const struct conn *c)
{
	return str_make(c->client_id, c->client_id_size);
}
/* "conn=w2.1f3a cid=7 client=lamp-1", the subject of log lines; until the next call */
const char *conn_name(const struct conn *c);

/* ---- Bytes: conn_io.c ---- */
/* to append whole packets to; sent at the end of the turn. Throws them away when CLOSING */
struct buf *conn_out(struct conn *c);
void conn_hold(struct conn *c, unsigned why);
void conn_go_on(struct conn *c, unsigned why); /* reads again if nothing else holds it */
/* the same, and what had been read already is worked on in its customer's turn */
void conn_go_on_rest(struct conn *c, unsigned why);
/* Counts n of a kind; over its rate the client is not read for a while, and what it has sent
 * already waits. False: it has been over it for too long, and is closed. */
bool conn_pace(struct conn *c, unsigned kind, uint64_t n) MUST_CHECK;
/* worker.c, end of turn. True: it is gone, free it */
bool conn_flush(struct conn *c) MUST_CHECK;
/* deliver.c: out has grown; sends at once if it is long already */
void conn_wrote(struct conn *c);
void conn_touch(struct conn *c); /* conn_flush at the end of this turn */
/* the core sends it nothing while there is a reason; PAUSED_* */
void conn_core_pause(struct conn *c, unsigned why);
void conn_core_resume(struct conn *c, unsigned why);
void conn_read_on(struct conn *c);  /* share.c: its turn has come */
void conn_io_start(struct conn *c); /* conn.c */
/* conn.c: from now on only out is emptied */
void conn_io_closing(struct conn *c);
void conn_io_end(struct conn *c); /* conn.c: gives everything back */
void conn_finish(struct conn *c); /* nothing is left to do: freed at the end of this turn */
/* ---- Deadlines: conn_due.c ---- */
void conn_timer_init(struct conn *c);
void conn_timer_arm(struct conn *c); /* after a deadline has come or gone */
void conn_due(struct conn *c);       /* share.c: does what is due */
/* works on what was read already, unless it is held */
void conn_resume_rest(struct conn *c);
