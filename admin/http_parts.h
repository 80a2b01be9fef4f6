/* http_parts.h - between http.c (the server, the library's callback), http_listen.c (the listening
 * socket), http_request.c (requests), http_answer.c (answers, slices, streams), http_hold.c (how
 * many connections an address has) and http_share.c (whose turn it is) only. All of it belongs to
 * the service thread but the atomics.
 */
#pragma once
#include <libwebsockets.h>
#include <stdatomic.h>

#include "admin/http.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/sock.h"

/* HTTP_PIECE: of one connection per turn; HTTP_CHUNK: before and behind it when it is a chunk */
enum { HTTP_PIECE = 16384, HTTP_CHUNK = 32 };
#define HTTP_LISTENER "listener" /* the protocol of the listening socket */

/* Who pays for a request (http_share.c): an address, or a customer in `a`. */
struct payer_key {
	uint64_t a, b;
	bool customer;
};
enum { SHARE_HINTS = 1024 };
struct share_hint {
	uint64_t hash, cid; /* of an Authorization; whose it was */
};

struct http {
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct http_config config;
	struct http_handler handler;
	int listener;             /* the library's to close once it polls it */
	struct lws *listener_wsi; /* NULL: it does not yet */
	lws_sorted_usec_list_t ticker, accept_pause, restless;
	atomic_bool stopping, woken;
	struct list sending; /* of conn.node: streams, and answers longer than a piece */
	int64_t looked;      /* monotonic ms */
	/* connections: http_hold.c */
	size_t count;
	struct map holders;
	struct list *by_waiting; /* holders that have so many waiting connections; by number */
	size_t most_waiting;     /* no list above it has a member */
	struct place *adopting;  /* while the library takes it; NULL: it is gone again */
	uint64_t refused, evicted;
	/* requests that wait for their turn: http_share.c */
	struct map payers;
	struct list payers_waiting;
	struct list orphans; /* of http_work.orphan: its connection is gone */
	struct share_hint hints[SHARE_HINTS];
	unsigned char piece[LWS_PRE + HTTP_PIECE + HTTP_CHUNK];
	struct lws_protocols protocols[3];
};

/* An address that has connections; of IPv6 the /64 (base/sock.h). */
struct holder {
	struct map_node node;
	struct list same; /* in by_waiting[waiting] */
	uint64_t key[2];
	size_t count, waiting;
	struct list oldest; /* of place.wait: those that wait, the longest first */
};

/* A connection, from accept to its end: the library makes a `struct conn` only with the first head.
 */
struct place {
	struct http *h;
	struct holder *holder;
	struct lws *wsi;
	struct sock_addr peer;
	struct list wait; /* in holder->oldest, while the peer is waited for */
	int64_t since;    /* monotonic ms when that began */
	bool asked;       /* a request is under way, which has a deadline of its own */
};

/* One request and its answer; zeroed when the library makes it. */
struct conn {
	struct http *h;
	struct lws *wsi;
	struct place *place;
	struct buf head; /* the strings of req */
	struct http_req req;
	struct buf body;
	size_t body_size;
	struct http_resp resp;
	int64_t since, deadline; /* monotonic ms; deadline 0 = none */
	bool live, answered, head_sent, ending, cut;
	bool http10, chunked, last_slice;
	bool held;        /* flow-controlled for a moment (http_answer.c) */
	struct list node; /* in h->sending */
	struct payer_key payer;
	struct list job; /* it waits for its turn: to be handled, or a slice to be made */
};

/* What the library's callback calls (http.c): 0 go on, -1 close. */
typedef int http_event(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n);

/* http_request.c */
http_event conn_on_request, conn_on_body, conn_on_body_end;
void conn_end(struct conn *c); /* the request is over; harmless when it is already */
void conn_set_deadline(struct conn *c);
bool conn_overdue(const struct conn *c);
int conn_run(struct conn *c);  /* the request is whole, and its turn has come */
int conn_work(struct conn *c); /* it has begun with more work than a turn has room for */

/* http_answer.c */
http_event conn_writable;
int conn_answer(struct conn *c);           /* resp is complete; as http_event */
void conn_make_slice(struct conn *c);      /* its turn has come */
void conn_look_at_sending(struct http *h); /* after each turn of the library */

/* http_listen.c */
int http_listen(struct http *h, const char **why) MUST_CHECK; /* bound, or why not */
int http_listen_watch(struct http *h) MUST_CHECK;             /* the library polls it from now on */
void http_accept(struct http *h);                             /* it is ready */

/* http_hold.c */
int hold_open(struct http *h) MUST_CHECK;
void hold_close(struct http *h); /* all places are gone */
/* Makes room for one more of this address, and counts it; NULL: there is none, it is logged. */
struct place *hold_admit(struct http *h, const struct sock_addr *peer);
void hold_leave(struct place *p);    /* its connection is gone; frees it */
void hold_progress(struct place *p); /* the peer's turn begins anew */
void hold_busy(struct place *p);     /* it is ours, and stays so: a stream */
/* ends connections that have had idle_deadline for their next head */
void hold_look(struct http *h);

/* http_share.c */
struct payer_key share_payer(struct conn *c); /* once its head is here */
struct payer_key share_address(const struct place *p);
int share_wait(struct conn *c)
    MUST_CHECK; /* until its turn: conn_run, or conn_make_slice; -1: no memory */
bool share_waits(const struct http *h);
void share_turn(struct http *h);   /* after each turn of the library */
void share_finish(struct http *h); /* what was begun is done to its end */
void share_close(struct http *h);  /* all connections are gone */
int64_t share_clock(void);         /* us */
/* What is done for somebody outside its turn is paid back in it. */
void share_charge(struct http *h, const struct payer_key *key, int64_t since);
