/* http_answer.c - writing answers, slices and streams (http.h): a piece of one connection per turn
 * of the loop. */
#include "base/base.h"
#include "admin/http.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/socket.h>

#include "admin/http_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* ---- The end of a request ---- */
void conn_end_request(struct conn *c)
{
	struct http_stream *s = c->resp.stream;
	struct http_slices *more = c->resp.slices;

	c->resp.stream = NULL;
	c->resp.slices = NULL;
	if (c->text.p)
		mem_wipe(c->text.p, c->text.cap); /* the Authorization header was in it */
	if (c->resp.body.p)
		mem_wipe(c->resp.body.p, c->resp.body.cap); /* may hold a new key */
	if (c->out.p)
		mem_wipe(c->out.p, c->out.cap);
	buf_free(&c->text);
	buf_free(&c->resp.body);
	buf_free(&c->out);
	if (more)
		more->done(more);
	if (s) {
		s->conn = NULL;
		s->closed(s);
	}
	memset(&c->req, 0, sizeof(c->req));
	memset(&c->resp, 0, sizeof(c->resp));
	c->body_size = c->seen = 0;
	c->head_only = c->chunked = false;
}

/* ---- The head of an answer ---- */
static const char *reason_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} reasons[] = {
		{ 200, "OK" },
		{ 204, "No Content" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return "Status";
}

static void add(struct buf *out, const char *name, struct str value)
{
	buf_printf(out, "%s ", name);
	buf_str_add(out, value);
	buf_str_add(out, STR("\r\n"));
}

static void write_head(struct conn *c)
{
	static const char always[] = "cache-control: no-store\r\n"
				     "x-content-type-options: nosniff\r\n"
				     "x-frame-options: DENY\r\n"
				     "referrer-policy: no-referrer\r\n"
				     "content-security-policy: default-src 'none'; "
				     "frame-ancestors 'none'\r\n";
	const struct http_resp *r = &c->resp;
	struct buf *out = &c->out;
	bool empty = r->status == 204; /* has neither type nor length (RFC 9110 8.6) */

	buf_printf(out, "HTTP/1.1 %u %s\r\n", r->status, reason_of(r->status));
	if (!empty)
		add(out,
		    "content-type:", str_c(r->content_type ? r->content_type : "application/json"));
	buf_str_add(out, str_make(always, sizeof(always) - 1));
	/* Values are of the request's head, which has no line breaks in it, or our own. */
	for (size_t i = 0; i < r->header_count; i++)
		add(out, r->headers[i].name, r->headers[i].value);
	if (c->chunked)
		buf_str_add(out, STR("transfer-encoding: chunked\r\n"));
	else if (!r->stream && !r->slices && !empty)
		buf_printf(out, "content-length: %zu\r\n", buf_len(&r->body));
	if (r->close)
		buf_str_add(out, STR("connection: close\r\n"));
	buf_str_add(out, STR("\r\n"));
}

static void log_request(const struct conn *c)
{
	char path[128];

	http_mask(c->req.path, path, sizeof(path));
	LOG_INFO("", "request",
	         "method=%s path=%s status=%u cid=%" PRIu64 " token=%" PRIu64
	         " peer=%s ms=%" PRId64,
	         http_method_name(c->req.method), log_esc(str_c(path)), c->resp.status, c->resp.cid,
	         c->resp.token, log_esc(c->req.peer), clock_mono_ms() - c->since);
}

static void append_body(struct conn *c, size_t n)
{
	struct buf *body = &c->resp.body;

	buf_bytes(&c->out, buf_data(body), n);
	mem_wipe(body->p + body->head, n); /* may hold a new key */
	buf_consume(body, n);
}

void conn_answer(struct conn *c)
{
	struct http_resp *r = &c->resp;

	if (r->status == 0 || !buf_ok(&r->body)) {
		buf_free(&r->body);
		r->status = 500;
		r->close = true;
	}
	c->head_only = c->req.method == HTTP_HEAD && !r->stream;
	c->chunked = r->slices && !c->http10;
	r->close |= r->stream || (r->slices && c->http10);
	if (r->stream)
		r->stream->conn = c;
	log_request(c);
	write_head(c);
	if (!c->head_only && !c->chunked && buf_len(&r->body) && buf_len(&r->body) <= HTTP_PIECE)
		append_body(c, buf_len(&r->body)); /* one send for all of it */
	conn_enter(c, CONN_ANSWER);
	conn_write(c);
}

/* ---- Writing ---- */
/* Fills c->out with what comes next. False: there is no more. */
static bool fill(struct conn *c)
{
	struct http_resp *r = &c->resp;
	enum http_next next = HTTP_MORE;
	size_t n;

	if (buf_len(&c->out))
		return true;
	if (c->head_only || (buf_len(&r->body) == 0 && !r->slices))
		return false;
	if (buf_len(&r->body) == 0) {
		next = r->slices->next(r->slices, &r->body);
		timer_set(c->h->loop, &c->timer, c->h->config.request_deadline_ms);
	}
	n = c->chunked ? buf_len(&r->body) : size_min(buf_len(&r->body), HTTP_PIECE);
	if (c->chunked && n)
		buf_printf(&c->out, "%zx\r\n", n);
	if (n)
		append_body(c, n);
	if (c->chunked && n)
		buf_str_add(&c->out, STR("\r\n"));
	if (next == HTTP_LAST) {
		if (c->chunked)
			buf_str_add(&c->out, STR("0\r\n\r\n"));
		r->slices->done(r->slices);
		r->slices = NULL;
	}
	c->cut |= next == HTTP_BROKEN || !buf_ok(&r->body);
	return true;
}

static void answer_done(struct conn *c)
{
	bool close = c->resp.close;

	if (c->resp.stream) {
		if (c->ending)
			conn_free(c);
		else if (c->state != CONN_STREAM)
			conn_enter(c, CONN_STREAM);
		else
			loop_rewatch(c->h->loop, &c->watch, LOOP_READ);
		return;
	}
	conn_end_request(c);
	if (!close) {
		conn_next(c);
		return;
	}
	(void)shutdown(c->watch.fd, SHUT_WR);
	buf_free(&c->in);
	conn_enter(c, CONN_LINGER);
}

/* More is to be written. stalled: the peer has not read what was; it is waited for. */
static void wait_writable(struct conn *c, bool stalled)
{
	bool stream = c->state == CONN_STREAM;

	if (!stream && stalled)
		hold_wait(c);
	loop_rewatch(c->h->loop, &c->watch, LOOP_WRITE | (stream ? LOOP_READ : 0u));
}

/* False: c is gone, or all that the kernel takes now is written. */
static bool write_some(struct conn *c, size_t *left)
{
	size_t n = size_min(buf_len(&c->out), *left);
	ssize_t sent = send(c->watch.fd, buf_data(&c->out), n, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		conn_free(c);
		return false;
	}
	if (sent > 0) {
		buf_consume(&c->out, (size_t)sent);
		*left -= (size_t)sent;
		hold_busy(c); /* it reads: when it stops, its wait begins anew */
	}
	if (sent > 0 && (size_t)sent == n)
		return true;
	wait_writable(c, true);
	return false;
}

void conn_write(struct conn *c)
{
	size_t left = HTTP_PIECE;

	while (left) {
		bool more = fill(c);

		if (c->cut || !buf_ok(&c->out)) {
			conn_free(c);
			return;
		}
		if (!more) {
			answer_done(c);
			return;
		}
		if (buf_len(&c->out) == 0)
			break; /* a slice without bytes: the next one after others had their turn */
		if (!write_some(c, &left))
			return;
	}
	wait_writable(c, false);
}

/* ---- Streams ---- */
static void doom(struct conn *c)
{
	c->cut = true;
	list_del(&c->node);
	list_add_tail(&c->h->doomed, &c->node);
	loop_at_end(c->h->loop, &c->h->reaper);
}

bool http_stream_send(struct http_stream *s, struct str bytes)
{
	struct conn *c = s->conn;

	if (!c || c->cut || c->ending)
		return false;
	if (buf_len(&c->resp.body) + buf_len(&c->out) + bytes.n >
	    (size_t)c->h->config.stream_buffer) {
		LOG_WARN("", "stream-cut", "cid=%" PRIu64 " token=%" PRIu64 " why=slow",
		         c->resp.cid, c->resp.token);
		doom(c);
		return false;
	}
	buf_str_add(&c->resp.body, bytes);
	if (!buf_ok(&c->resp.body)) {
		doom(c);
		return false;
	}
	if (c->state == CONN_STREAM)
		loop_rewatch(c->h->loop, &c->watch, LOOP_READ | LOOP_WRITE);
	return true;
}

void http_stream_end(struct http_stream *s)
{
	struct conn *c = s->conn;

	if (!c || c->cut || c->ending)
		return;
	c->ending = true;
	timer_set(c->h->loop, &c->timer, c->h->config.request_deadline_ms);
	if (c->state == CONN_STREAM)
		loop_rewatch(c->h->loop, &c->watch, LOOP_READ | LOOP_WRITE);
}
