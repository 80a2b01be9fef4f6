/* http_request.c - the requests of a connection, as libwebsockets hands them over in pieces.
 *
 * A connection's pss holds one request at a time: head -> (body) -> answer in `resp` -> written
 * from WRITEABLE in pieces -> next request, or close. What this version of the library gets wrong,
 * and what is done about it (dependencies.md a.4, a.5):
 *  - a chunked body is not decoded, and a body of GET is parsed as the next request (request
 * smuggling): both are refused and the connection is closed after the answer;
 *  - Upgrade: is refused by its presence, before the library touches the freed header
 * (CVE-2025-11677), and so h2c with it. */
#include "base/base.h"
#include "admin/http.h"

#include <stdio.h>

#include "admin/http_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"

enum { VALUE_MAX = 2048 };

/* ---- Life of a request ---- */
static void conn_start(struct http *h, struct conn *c, struct lws *wsi)
{
	memset(c, 0, sizeof(*c));
	c->h = h;
	c->wsi = wsi;
	c->since = clock_mono_ms();
	c->live = true;
	c->place = lws_get_opaque_user_data(wsi);
	c->place->asked = true;
	list_init(&c->node);
	list_init(&c->job);
}

void conn_end(struct conn *c)
{
	struct http_stream *s;
	struct http_slices *more;
	struct http_work *work;

	if (!c || !c->live)
		return;
	c->live = false;
	if (c->place)
		c->place->asked = false;
	list_del(&c->node);
	list_del(&c->job);
	s = c->resp.stream;
	more = c->resp.slices;
	work = c->resp.work;
	c->resp.stream = NULL;
	c->resp.slices = NULL;
	c->resp.work = NULL;
	mem_wipe(c->head.p, c->head.cap); /* the Authorization header was in it */
	mem_wipe(c->body.p, c->body.cap);
	mem_wipe(c->resp.body.p, c->resp.body.cap); /* may hold a new key */
	buf_free(&c->head);
	buf_free(&c->body);
	buf_free(&c->resp.body);
	if (more)
		more->done(more);
	if (work)
		list_add_tail(&c->h->orphans, &work->orphan);
	if (s) {
		s->conn = NULL;
		s->closed(s);
	}
}

/* Refused by this file: the rest of what the connection holds cannot be trusted to begin with a
 * request. */
static int refuse(struct conn *c, unsigned status, unsigned code, const char *reason)
{
	c->resp.status = status;
	c->resp.close = true;
	buf_printf(&c->resp.body, "{\"errors\":[{\"code\":%u,\"reason\":\"%s\"}]}", code, reason);
	return conn_answer(c);
}

int conn_run(struct conn *c)
{
	c->req.body = buf_str(&c->body);
	c->h->handler.handle(c->h->handler.arg, &c->req, &c->resp);
	return c->resp.work ? share_wait(c) : conn_answer(c);
}

int conn_work(struct conn *c)
{
	struct http_work *w = c->resp.work;

	conn_set_deadline(c);
	c->resp.work = NULL;
	if (!w->some(w, &c->resp))
		return conn_answer(c);
	c->resp.work = w;
	return share_wait(c);
}

/* ---- The head ---- */
static const struct {
	enum http_method method;
	enum lws_token_indexes token;
} methods[] = {
	{ HTTP_GET, WSI_TOKEN_GET_URI },         { HTTP_POST, WSI_TOKEN_POST_URI },
	{ HTTP_OPTIONS, WSI_TOKEN_OPTIONS_URI }, { HTTP_PUT, WSI_TOKEN_PUT_URI },
	{ HTTP_PATCH, WSI_TOKEN_PATCH_URI },     { HTTP_DELETE, WSI_TOKEN_DELETE_URI },
	{ HTTP_HEAD, WSI_TOKEN_HEAD_URI },
};

/* Appends the text of a header to c->head; room was reserved, so earlier slices stay where they
 * are. */
static struct str keep(struct conn *c, const char *text, int n)
{
	struct str s;

	if (n <= 0)
		return STR("");
	MUST(c->head.cap - c->head.tail >= (size_t)n); /* HEAD_MAX, at VALUE_MAX each */
	s = str_make(c->head.p + c->head.tail, (size_t)n);
	buf_bytes(&c->head, text, (size_t)n);
	return s;
}

static struct str keep_header(struct conn *c, enum lws_token_indexes token)
{
	char text[VALUE_MAX];

	return keep(c, text, lws_hdr_copy(c->wsi, text, sizeof(text), token));
}

static struct str keep_custom(struct conn *c, const char *name, bool *there)
{
	char text[VALUE_MAX];
	int n = lws_hdr_custom_length(c->wsi, name, (int)strlen(name));

	*there = n >= 0;
	return keep(
	    c, text,
	    n < 0 ? 0 : lws_hdr_custom_copy(c->wsi, text, sizeof(text), name, (int)strlen(name)));
}

static void take_args(struct conn *c)
{
	char text[HTTP_PIECE];
	int n;

	while (c->req.arg_count < HTTP_ARGS &&
	       (n = lws_hdr_copy_fragment(c->wsi, text, sizeof(text), WSI_TOKEN_HTTP_URI_ARGS,
	                                  (int)c->req.arg_count)) > 0)
		c->req.args[c->req.arg_count++] = keep(c, text, n);
}

static bool take_head(struct conn *c, const char *path, size_t path_size)
{
	char peer[HTTP_PEER];
	size_t i = 0;
	bool app;

	if (!buf_reserve(&c->head, (size_t)c->h->config.header_max + path_size + sizeof(peer)))
		return false;
	while (i < ARRAY_LEN(methods) && lws_hdr_total_length(c->wsi, methods[i].token) <= 0)
		i++;
	if (i == ARRAY_LEN(methods))
		return false;
	c->req.method = methods[i].method;
	c->req.path = keep(c, path, (int)path_size);
	c->req.has_authorization = lws_hdr_total_length(c->wsi, WSI_TOKEN_HTTP_AUTHORIZATION) > 0;
	c->req.authorization = keep_header(c, WSI_TOKEN_HTTP_AUTHORIZATION);
	c->req.content_type = keep_header(c, WSI_TOKEN_HTTP_CONTENT_TYPE);
	c->req.origin = keep_header(c, WSI_TOKEN_ORIGIN);
	c->req.cid = keep_custom(c, "x-flespi-cid:", &c->req.has_cid);
	c->req.app = keep_custom(c, "x-flespi-app:", &app);
	c->req.preflight = lws_hdr_custom_length(c->wsi, "access-control-request-method:", 30) > 0;
	take_args(c);
	peer[0] = '\0';
	lws_get_peer_simple(c->wsi, peer, sizeof(peer));
	c->req.peer = keep(c, peer, (int)strlen(peer));
	return true;
}

/* -1: none. -2: not a number we take; a doubled header arrives as "5,5" and is none either. */
static int64_t declared_length(struct lws *wsi)
{
	char text[32];
	uint64_t n;
	int size = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);

	if (size <= 0)
		return -1;
	size = lws_hdr_copy(wsi, text, sizeof(text), WSI_TOKEN_HTTP_CONTENT_LENGTH);
	if (size <= 0 || !str_to_u64(str_make(text, (size_t)size), &n) || n > INT64_MAX)
		return -2;
	return (int64_t)n;
}

/* The library's timer is only ever moved: cancelling it makes this version fire it at once. */
void conn_set_deadline(struct conn *c)
{
	c->deadline = clock_mono_ms() + c->h->config.request_deadline_ms;
	lws_set_timer_usecs(c->wsi, (c->h->config.request_deadline_ms + 10) * 1000);
}

bool conn_overdue(const struct conn *c)
{
	return c->live && c->deadline && clock_mono_ms() >= c->deadline;
}

static bool is_http10(const struct conn *c)
{
	char version[16];
	int n = lws_hdr_copy(c->wsi, version, sizeof(version), WSI_TOKEN_HTTP);

	return n >= 3 && strcmp(version + n - 3, "1.0") == 0;
}

static int on_head(struct conn *c, const char *path, size_t path_size)
{
	bool carries;
	int64_t length;

	if (!take_head(c, path, path_size))
		return -1;
	c->http10 = is_http10(c);
	c->payer = share_payer(c);
	conn_set_deadline(c);
	carries =
	    c->req.method == HTTP_POST || c->req.method == HTTP_PUT || c->req.method == HTTP_PATCH;
	length = declared_length(c->wsi);
	if (lws_hdr_total_length(c->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
		return refuse(c, 411, 13,
		              "Transfer-Encoding is not supported: send Content-Length");
	if (length == -2)
		return refuse(c, 400, 2, "Content-Length is not a number");
	if (!carries && length > 0)
		return refuse(c, 400, 2, "this method takes no body");
	if (carries && length < 0)
		return refuse(c, 411, 13, "Content-Length is missing");
	if (length > c->h->config.body_max)
		return refuse(c, 413, 7, "the body is larger than body_max");
	if (!carries)
		return share_wait(c);
	/* At once: waiting for the end of no body, the library spins when the client sends more.
	 * Its end, which comes behind the answer, closes the connection. */
	if (length == 0)
		return conn_run(c);
	if (!c->h->handler.admits(c->h->handler.arg, &c->req, &c->resp)) {
		c->resp.close = true;
		return conn_answer(c);
	}
	c->body_size = (size_t)length;
	return 0;
}

int conn_on_request(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n)
{
	int64_t begin = share_clock();
	int err;

	conn_start(h, c, wsi);
	err = on_head(c, in, n);
	share_charge(h, &c->payer, begin);
	return err;
}

int conn_on_body(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n)
{
	(void)h;
	(void)wsi;
	if (!c->live || n > c->body_size - buf_len(&c->body))
		return -1;
	buf_bytes(&c->body, in, n);
	return buf_ok(&c->body) ? 0 : -1;
}

int conn_on_body_end(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n)
{
	(void)h;
	(void)wsi;
	(void)in;
	(void)n;
	if (!c->live || buf_len(&c->body) != c->body_size)
		return -1;
	return share_wait(c);
}
