/* http_answer.c - writing answers, slices and streams (http.h). Nothing is written from where a
 * request is parsed: an answer waits for the library to say that the socket takes bytes. */
#include "base/base.h"
#include "admin/http.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "admin/http_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { HEAD_OUT = 4096, LOOK_MS = 10 };

static void log_request(const struct conn *c)
{
	char path[128];

	http_mask(c->req.path, path, sizeof(path));
	LOG_INFO("", "request", "method=%s path=%s status=%u cid=%llu token=%llu peer=%s ms=%lld",
	         http_method_name(c->req.method), log_esc(str_c(path)), c->resp.status,
	         (unsigned long long)c->resp.cid, (unsigned long long)c->resp.token,
	         log_esc(c->req.peer), (long long)(clock_mono_ms() - c->since));
}

/* The answer is in resp: it is written when the socket can take it, never from here (the library
 * may be parsing). */
int conn_answer(struct conn *c)
{
	MUST(!c->answered); /* http.c calls nobody for a request that has its answer */
	c->answered = true;
	if (c->resp.status == 0 || !buf_ok(&c->resp.body)) {
		buf_free(&c->resp.body);
		c->resp.status = 500;
		c->resp.close = true;
	}
	c->chunked = c->resp.slices && !c->http10;
	c->resp.close |= c->resp.stream || (c->resp.slices && c->http10);
	log_request(c);
	if (c->resp.stream)
		c->resp.stream->conn = c;
	if (c->resp.stream || c->resp.slices)
		list_add_tail(&c->h->sending, &c->node);
	lws_callback_on_writable(c->wsi);
	return 0;
}

static bool add(struct conn *c, const char *name, struct str value, unsigned char **p,
                unsigned char *end)
{
	return lws_add_http_header_by_name(c->wsi, (const unsigned char *)name,
	                                   (const unsigned char *)value.p, (int)value.n, p,
	                                   end) == 0;
}

static bool write_head(struct conn *c)
{
	static const struct {
		const char *name, *value;
	} always[] = {
		{ "cache-control:", "no-store" },
		{ "x-content-type-options:", "nosniff" },
		{ "x-frame-options:", "DENY" },
		{ "referrer-policy:", "no-referrer" },
		{ "content-security-policy:", "default-src 'none'; frame-ancestors 'none'" },
	};
	unsigned char out[LWS_PRE + HEAD_OUT], *start = out + LWS_PRE, *p = start,
					       *end = out + sizeof(out) - 1;
	bool empty = c->resp.status == 204; /* has neither type nor length (RFC 9110 8.6) */
	bool good = lws_add_http_header_status(c->wsi, c->resp.status, &p, end) == 0;

	if (good && !empty)
		good = add(c, "content-type:",
		           str_c(c->resp.content_type ? c->resp.content_type : "application/json"),
		           &p, end);
	for (size_t i = 0; good && i < ARRAY_LEN(always); i++)
		good = add(c, always[i].name, str_c(always[i].value), &p, end);
	for (size_t i = 0; good && i < c->resp.header_count; i++)
		good = add(c, c->resp.headers[i].name, c->resp.headers[i].value, &p, end);
	if (good && c->chunked)
		good = add(c, "transfer-encoding:", STR("chunked"), &p, end);
	if (good && !c->resp.stream && !c->resp.slices && !empty)
		good = lws_add_http_header_content_length(c->wsi, buf_len(&c->resp.body), &p,
		                                          end) == 0;
	if (good && c->resp.close)
		good = add(c, "connection:", STR("close"), &p, end);
	if (!good || lws_finalize_http_header(c->wsi, &p, end))
		return false;
	c->head_sent = true;
	return lws_write(c->wsi, start, (size_t)(p - start), LWS_WRITE_HTTP_HEADERS) >= 0;
}

static int answer_done(struct conn *c)
{
	bool close = c->resp.close;

	conn_end(c);
	if (close)
		return -1;
	return lws_http_transaction_completed(c->wsi) ? -1 : 0;
}

static bool write_piece(struct conn *c, size_t n)
{
	struct http *h = c->h;
	unsigned char *p = h->piece + LWS_PRE, *at = p;

	if (c->chunked)
		at += snprintf((char *)at, HTTP_CHUNK, "%zx\r\n", n);
	memcpy(at, buf_data(&c->resp.body), n);
	mem_wipe(c->resp.body.p + c->resp.body.head, n); /* may hold a new key */
	buf_consume(&c->resp.body, n);
	at += n;
	if (c->chunked) {
		memcpy(at, "\r\n", 2);
		at += 2;
	}
	return lws_write(c->wsi, p, (size_t)(at - p), LWS_WRITE_HTTP) >= 0;
}

static bool write_last_chunk(struct conn *c)
{
	unsigned char *p = c->h->piece + LWS_PRE;

	memcpy(p, "0\r\n\r\n", 5);
	return !c->chunked || lws_write(c->wsi, p, 5, LWS_WRITE_HTTP) >= 0;
}

static void cut(struct conn *c)
{
	c->cut = true;
	lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

/* What of the answer is not made yet. False: the connection ends here, so that it shows. */
static bool next_slice(struct conn *c)
{
	struct http_slices *more = c->resp.slices;
	enum http_next next = more->next(more, &c->resp.body);

	conn_set_deadline(c);
	if (next == HTTP_BROKEN || !buf_ok(&c->resp.body))
		return false;
	if (next == HTTP_LAST) {
		c->resp.slices = NULL;
		more->done(more);
		c->last_slice = true;
	}
	return true;
}

void conn_make_slice(struct conn *c)
{
	if (next_slice(c))
		lws_callback_on_writable(c->wsi);
	else
		cut(c);
}

static bool begin_answer(struct conn *c)
{
	if (!write_head(c))
		return false;
	if (c->resp.stream) {
		c->deadline = 0;
		lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0);
		hold_busy(c->place);
	}
	return true;
}

/* A piece a turn: other connections are served in between. */
static int go_on(struct conn *c)
{
	if (list_empty(&c->node))
		list_add_tail(&c->h->sending, &c->node);
	lws_callback_on_writable(c->wsi);
	return 0;
}

/* All that there is to write now is written. */
static int written(struct conn *c)
{
	if (c->resp.stream)
		return c->ending ? -1 : 0;
	if (c->resp.slices)
		return share_wait(c);
	if (c->last_slice && !write_last_chunk(c))
		return -1;
	return answer_done(c);
}

static int write_some(struct conn *c)
{
	if (c->cut || (!c->head_sent && !begin_answer(c)))
		return -1;
	if (!c->resp.stream)
		hold_progress(c->place); /* it reads: its wait begins anew */
	if (c->req.method == HTTP_HEAD && !c->resp.stream)
		return answer_done(c);
	if (buf_len(&c->resp.body) && !write_piece(c, size_min(buf_len(&c->resp.body), HTTP_PIECE)))
		return -1;
	return buf_len(&c->resp.body) ? go_on(c) : written(c);
}

int conn_writable(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n)
{
	int64_t begin = share_clock();
	struct payer_key payer = c->payer;
	int err;

	(void)wsi;
	(void)in;
	(void)n;
	if (!c->live || !c->answered || !list_empty(&c->job))
		return 0;
	err = write_some(c);
	share_charge(h, &payer, begin);
	return err;
}

/* ---- Streams ---- */
bool http_stream_send(struct http_stream *s, struct str bytes)
{
	struct conn *c = s->conn;

	if (!c || c->cut || c->ending)
		return false;
	if (buf_len(&c->resp.body) + bytes.n > (size_t)c->h->config.stream_buffer) {
		c->cut = true;
		LOG_WARN("", "stream-cut", "cid=%llu token=%llu why=slow",
		         (unsigned long long)c->resp.cid, (unsigned long long)c->resp.token);
	} else {
		buf_str_add(&c->resp.body, bytes);
		c->cut = !buf_ok(&c->resp.body);
	}
	/* A reader that takes nothing never makes the socket writable: cutting it cannot wait for
	 * that. */
	if (c->cut)
		lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
	else
		lws_callback_on_writable(c->wsi);
	return !c->cut;
}

void http_stream_end(struct http_stream *s)
{
	struct conn *c = s->conn;

	if (!c || c->cut || c->ending)
		return;
	c->ending = true;
	conn_set_deadline(c);
	lws_callback_on_writable(c->wsi);
}

/* ---- Clients that speak while they are answered ---- */
static void look_at(struct conn *c)
{
	char bytes[4096];
	ssize_t n = recv(lws_get_socket_fd(c->wsi), bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	c->resp.close = true; /* what was read is gone: no further request can be found behind it */
	if (n <= 0 ? c->resp.stream || lws_partial_buffered(c->wsi) : c->resp.stream != NULL)
		cut(c);
}

/* Bytes behind a request that the library has read already make it poll without waiting for as long
 * as the answer is on its way, unless their connection is flow-controlled, which would stop the
 * writing too. */
static bool restless(const struct http *h)
{
	return lws_service_adjust_timeout(h->context, 1, 0) == 0;
}

static void let_go(lws_sorted_usec_list_t *sul)
{
	struct http *h = container_of(sul, struct http, restless);
	struct conn *c;

	list_each(c, &h->sending, struct conn, node) {
		if (c->held)
			(void)lws_rx_flow_control(c->wsi, 1);
		c->held = false;
	}
}

/* Finds those connections. A stream ends by what its reader says; an answer goes on a piece at a
 * time, LOOK_MS apart. */
static void hold_restless(struct http *h)
{
	struct conn *c;

	list_each(c, &h->sending, struct conn, node) {
		if (!c->cut)
			(void)lws_rx_flow_control(c->wsi, 0);
	}
	if (restless(h)) { /* it is another one: its bytes are the next request */
		list_each(c, &h->sending, struct conn, node)
			c->held = true;
		let_go(&h->restless);
		return;
	}
	list_each(c, &h->sending, struct conn, node) {
		if (c->cut)
			continue;
		(void)lws_rx_flow_control(c->wsi, 1);
		if (!restless(h))
			continue;
		(void)lws_rx_flow_control(c->wsi, 0);
		c->held = true;
		if (c->resp.stream)
			cut(c);
	}
	lws_sul_schedule(h->context, 0, &h->restless, let_go, LOOK_MS * 1000);
}

/* While an answer is on its way this library waits for bytes that it does not read: a client that
 * sends some, or closes its side, makes it spin. (Its flow control would stop the writing, too.) So
 * we read them: a stream ends by it, another answer is the last of its connection. */
void conn_look_at_sending(struct http *h)
{
	int64_t now;
	struct conn *c;

	if (list_empty(&h->sending))
		return;
	now = clock_mono_ms();
	if (now - h->looked >= LOOK_MS) {
		h->looked = now;
		list_each(c, &h->sending, struct conn, node) {
			if (!c->cut)
				look_at(c);
		}
	}
	if (restless(h))
		hold_restless(h);
}
