/* http_parts.h - between http.c (connections, requests), http_listen.c (the listening socket) and
 * http_answer.c (answers, streams) only. */
#pragma once
#include <libwebsockets.h>
#include <stdatomic.h>

#include "admin/http.h"
#include "base/list.h"

enum { HTTP_PIECE = 16384 };
#define HTTP_LISTENER "listener" /* the protocol of the listening socket */

struct http {
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct http_config config;
	struct http_handler handler;
	int listener;             /* the library's to close once it polls it */
	struct lws *listener_wsi; /* NULL: it does not yet */
	lws_sorted_usec_list_t ticker, accept_pause;
	atomic_bool stopping, woken;
	size_t sockets, sockets_idle; /* all the library has, and those that are not connections */
	uint64_t refused;             /* connections over connections_max */
	struct list sending;          /* of conn.node: streams, and answers longer than a piece */
	int64_t looked;               /* monotonic ms */
	unsigned char piece[LWS_PRE + HTTP_PIECE];
	struct lws_protocols protocols[3];
};

/* One request and its answer; all of it belongs to the service thread. */
struct conn {
	struct http *h;
	struct lws *wsi;
	struct buf head; /* the strings of req, in the order of `fields` */
	struct http_req req;
	struct buf body;
	size_t body_size;
	struct http_resp resp;
	size_t sent;
	int64_t since, deadline; /* monotonic ms; deadline 0 = none */
	bool live, answered, head_sent, ending, cut;
	struct list node; /* in h->sending */
};

void conn_end(struct conn *c); /* the request is over; called from several ends, only the first has
                                  something to do */
void conn_set_deadline(struct conn *c);
int conn_answer(struct conn *c); /* resp is complete; for the library: 0 go on, -1 close */
int conn_writable(struct conn *c);

int http_listen(struct http *h, const char **why) MUST_CHECK; /* bound, or why not */
int http_listen_watch(struct http *h) MUST_CHECK;             /* the library polls it from now on */
void http_accept(struct http *h);                             /* it is ready */
void conn_look_at_sending(struct http *h);                    /* after each turn of the library */
