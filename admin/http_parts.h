/* http_parts.h - between http.c (the server, its listener), http_conn.c (requests), http_answer.c
 * (answers, streams) and http_hold.c (who has how many connections) only. */
#pragma once
#include <stdatomic.h>

#include "admin/http.h"
#include "base/hash.h"
#include "base/inbox.h"
#include "base/list.h"
#include "base/sock.h"

enum { HTTP_PIECE = 65536 }; /* of one connection per turn of the loop, each way */

struct http {
	/* Set before the thread runs */
	struct http_config config;
	struct http_handler handler;
	/* Any thread */
	atomic_bool stopping, woken;
	struct inbox *inbox;
	struct inbox_item wake;
	/* The service thread */
	struct loop *loop;
	int fd; /* listens */
	struct watch listener;
	struct timer ticker, pause;
	struct list conns, doomed; /* of conn.node: doomed ones end with this turn */
	struct hook reaper;
	size_t count;
	struct map holders;
	struct list *by_waiting; /* holders that have so many waiting connections; by number */
	size_t most_waiting;     /* no list above it has a member */
	uint64_t refused, evicted;
	uint8_t piece[HTTP_PIECE];
};

/* Who has connections: an address, of IPv6 the /64 (base/sock.h). */
struct holder {
	struct map_node node;
	struct list same; /* in by_waiting[waiting] */
	uint64_t key[2];
	size_t count, waiting;
	struct list oldest; /* of conn.wait: those that wait, the longest first */
};

/* ---- A connection: state, then the states it may become ---- */
#define CONN_STATES(S) \
	S(HEAD, TO(BODY) | TO(ANSWER))                /* idle, or a head that is not whole */ \
	S(BODY, TO(ANSWER))                           /* its body is not whole */ \
	S(ANSWER, TO(HEAD) | TO(STREAM) | TO(LINGER)) /* is being written */ \
	S(STREAM, 0)                                  /* until either side ends it */ \
	S(LINGER, 0) /* answered; what still comes is thrown away */

enum conn_state {
#define S(name, next) CONN_##name,
	CONN_STATES(S)
#undef S
};

struct conn {
	struct http *h;
	struct watch watch;
	struct timer timer; /* the deadline of this state */
	struct list node, wait;
	struct holder *holder;
	struct sock_addr peer;
	enum conn_state state;
	/* What came, and how much of a head in it was looked at */
	struct buf in;
	size_t seen;
	/* The request; the strings of req are in text, but for the body */
	struct buf text;
	struct http_req req;
	size_t body_size;
	int64_t since;
	bool http10;
	/* The answer: out is what can be written, then resp.body, then slices */
	struct http_resp resp;
	struct buf out;
	bool head_only, chunked, ending, cut;
};

/* http_conn.c */
/* takes fd and the place that was counted */
void conn_new(struct http *h, int fd, const struct sock_addr *peer, struct holder *holder);
void conn_free(struct conn *c); /* closes; from within its own callbacks too */
void conn_enter(struct conn *c, enum conn_state to);
void conn_next(struct conn *c); /* the answer is out: what comes, or came, is the next request */

/* http_answer.c */
void conn_answer(struct conn *c); /* resp is complete */
void conn_write(struct conn *c);  /* a piece of it; may free c */
void conn_end_request(struct conn *c);

/* http_hold.c */
int hold_open(struct http *h) MUST_CHECK;
void hold_close(struct http *h);
/* Makes room for one more of this address, and counts it; NULL: there is none, it is logged. */
struct holder *hold_admit(struct http *h, const struct sock_addr *peer);
void hold_give_back(struct http *h, struct holder *o); /* one less; o may be gone after it */
void hold_wait(struct conn *c); /* it is the peer's turn, from now on or still */
void hold_busy(struct conn *c); /* it is ours */
