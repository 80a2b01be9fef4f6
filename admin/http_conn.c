/* http_conn.c - connections and the requests on them (http.h). What a connection is asked to do is
 * decided by its state alone: bytes are read only while a request is waited for, so that nothing a
 * peer sends, pipelines or closes reaches a request that is already answered. */
#include "base/base.h"
#include "admin/http.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "admin/http_parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "wire/request.h"

enum { LINGER_MS = 1000, LINGER_BYTES = 1 << 20 };

/* ---- States ---- */
#define TO(name) (1u << CONN_##name)
static const unsigned next_states[] = {
#define S(name, next) [CONN_##name] = (next),
	CONN_STATES(S)
#undef S
};

static void set_deadline(struct conn *c, int64_t ms)
{
	timer_set(c->h->loop, &c->timer, ms);
}

void conn_enter(struct conn *c, enum conn_state to) /* the only writer of c->state */
{
	MUST(next_states[c->state] & (1u << to));
	c->state = to;
	switch (to) {
	case CONN_HEAD:
		set_deadline(c, c->h->config.idle_deadline_ms);
		hold_wait(c);
		break;
	case CONN_BODY:
		hold_wait(c);
		break;
	case CONN_ANSWER:
		hold_busy(c);
		break;
	case CONN_STREAM:
		timer_stop(&c->timer);
		hold_busy(c);
		loop_rewatch(c->h->loop, &c->watch, LOOP_READ);
		break;
	case CONN_LINGER:
		set_deadline(c, LINGER_MS);
		hold_wait(c);
		loop_rewatch(c->h->loop, &c->watch, LOOP_READ);
		break;
	}
}

static void on_deadline(struct timer *t)
{
	struct conn *c = container_of(t, struct conn, timer);

	conn_free(c);
}

/* ---- The head ---- */
static const struct str method_names[HTTP_METHODS] = {
	[HTTP_GET] = STR_INIT("GET"),         [HTTP_HEAD] = STR_INIT("HEAD"),
	[HTTP_OPTIONS] = STR_INIT("OPTIONS"), [HTTP_POST] = STR_INIT("POST"),
	[HTTP_PUT] = STR_INIT("PUT"),         [HTTP_PATCH] = STR_INIT("PATCH"),
	[HTTP_DELETE] = STR_INIT("DELETE"),
};

/* Refused here: the rest of what the connection holds cannot be trusted to begin with a request. */
static void refuse(struct conn *c, unsigned status, unsigned code, const char *reason)
{
	c->resp.status = status;
	c->resp.close = true;
	buf_printf(&c->resp.body, "{\"errors\":[{\"code\":%u,\"reason\":\"%s\"}]}", code, reason);
	conn_answer(c);
}

static struct str keep(struct conn *c, struct str s)
{
	size_t at = c->text.tail;

	buf_str_add(&c->text, s);
	return str_make(c->text.p + at, s.n);
}

/* Room was reserved: earlier slices stay where they are. */
static bool keep_decoded(struct conn *c, struct str s, bool form, struct str *out)
{
	size_t at = c->text.tail;

	if (!request_decode(&c->text, s, form))
		return false;
	*out = str_make(c->text.p + at, c->text.tail - at);
	return true;
}

static bool take_args(struct conn *c, struct str query)
{
	while (query.n) {
		const char *end = memchr(query.p, '&', query.n);
		struct str one = str_make(query.p, end ? (size_t)(end - query.p) : query.n);

		query = str_skip(query, size_min(query.n, one.n + 1));
		if (one.n == 0)
			continue;
		if (c->req.arg_count == HTTP_ARGS ||
		    !keep_decoded(c, one, true, &c->req.args[c->req.arg_count++]))
			return false;
	}
	return true;
}

static bool keep_peer(struct conn *c, size_t more)
{
	char peer[SOCK_TEXT];

	sock_text(&c->peer, peer);
	if (!buf_reserve(&c->text, more + sizeof(peer)))
		return false;
	c->req.peer = keep(c, str_c(peer));
	return true;
}

/* The strings of the request move out of what was read: a body may still be read behind them. */
static bool take_head(struct conn *c, const struct request *r)
{
	if (!keep_peer(c, r->size)) {
		c->cut = true;
		return false;
	}
	c->req.has_authorization = r->authorization.p != NULL;
	c->req.authorization = keep(c, r->authorization);
	c->req.content_type = keep(c, r->content_type);
	c->req.origin = keep(c, r->origin);
	c->req.has_cid = r->cid.p != NULL;
	c->req.cid = keep(c, r->cid);
	c->req.app = keep(c, r->app);
	c->req.preflight = r->preflight;
	c->http10 = r->http10;
	c->resp.close = r->close || r->http10;
	return keep_decoded(c, r->path, false, &c->req.path) && take_args(c, r->query);
}

static bool find_method(struct str name, enum http_method *out)
{
	for (unsigned i = 0; i < HTTP_METHODS; i++) {
		if (!str_eq(name, method_names[i]))
			continue;
		*out = (enum http_method)i;
		return true;
	}
	return false;
}

static void run_handler(struct conn *c)
{
	c->req.body = str_make(buf_data(&c->in), c->body_size);
	c->h->handler.handle(c->h->handler.arg, &c->req, &c->resp);
	c->req.body = STR_NONE;
	if (c->body_size) {
		mem_wipe(c->in.p + c->in.head, c->body_size);
		buf_consume(&c->in, c->body_size);
	}
	conn_answer(c);
}

/* curl waits a second for this before it sends a large body. Nothing else of ours can be on its
 * way; when there is no room even so, the client sends without it. */
static void say_continue(struct conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	ssize_t n = send(c->watch.fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);

	c->cut = n > 0 && (size_t)n < sizeof(text) - 1;
}

static void take_body(struct conn *c)
{
	if (buf_len(&c->in) >= c->body_size)
		run_handler(c);
	else
		loop_rewatch(c->h->loop, &c->watch, LOOP_READ);
}

static void judge(struct conn *c, const struct request *r)
{
	bool carries =
	    c->req.method == HTTP_POST || c->req.method == HTTP_PUT || c->req.method == HTTP_PATCH;
	uint64_t length = r->has_length ? r->length : 0;

	if (r->upgrade)
		refuse(c, 400, 2, "there is no Upgrade here");
	else if (r->coding)
		refuse(c, 411, 13, "Transfer-Encoding is not supported: send Content-Length");
	else if (!carries && length > 0)
		refuse(c, 400, 2, "this method takes no body");
	else if (carries && !r->has_length)
		refuse(c, 411, 13, "Content-Length is missing");
	else if (length > (uint64_t)c->h->config.body_max)
		refuse(c, 413, 7, "the body is larger than body_max");
	else if (length == 0)
		run_handler(c);
	else if (!c->h->handler.admits(c->h->handler.arg, &c->req, &c->resp)) {
		c->resp.close = true;
		conn_answer(c);
	} else {
		c->body_size = (size_t)length;
		conn_enter(c, CONN_BODY);
		if (r->expect && !r->http10 && buf_len(&c->in) == 0)
			say_continue(c);
		take_body(c);
	}
}

static void on_head(struct conn *c, const struct request *r)
{
	bool good = take_head(c, r), known = find_method(r->method, &c->req.method);

	c->since = clock_mono_ms();
	set_deadline(c, c->h->config.request_deadline_ms);
	mem_wipe(c->in.p + c->in.head, r->size); /* the Authorization header was in it */
	buf_consume(&c->in, r->size);
	c->seen = 0;
	if (!good)
		refuse(c, 400, 2, "the path or its arguments cannot be read");
	else if (!known)
		refuse(c, 405, 6, "this method is not known here");
	else
		judge(c, r);
}

static void take_request(struct conn *c)
{
	struct request r;
	const char *why = "";
	unsigned status = 0;

	switch (request_read(buf_str(&c->in), c->seen, (size_t)c->h->config.header_max, &r, &status,
	                     &why)) {
	case PARSE_MORE:
		c->seen = buf_len(&c->in);
		loop_rewatch(c->h->loop, &c->watch, LOOP_READ);
		return;
	case PARSE_OK:
		on_head(c, &r);
		return;
	default:
		c->since = clock_mono_ms();
		set_deadline(c, c->h->config.request_deadline_ms);
		(void)keep_peer(c, 0);
		refuse(c, status, 2, why);
	}
}

/* The answer is out. What came behind the request is the next one; it is looked at in the next turn
 * of the loop, after the other connections. */
void conn_next(struct conn *c)
{
	conn_enter(c, CONN_HEAD);
	if (buf_len(&c->in) == 0)
		buf_free(&c->in);
	loop_rewatch(c->h->loop, &c->watch, buf_len(&c->in) ? LOOP_WRITE : LOOP_READ);
}

/* ---- What came ---- */
/* How much may be read now; what the peer pipelines beyond that waits in the kernel. */
static size_t room(const struct conn *c)
{
	size_t have = buf_len(&c->in);
	size_t most = c->state == CONN_BODY ? c->body_size : (size_t)c->h->config.header_max;

	return have < most ? most - have : 0;
}

/* False: there is nothing, or c is gone. */
static bool receive(struct conn *c)
{
	ssize_t n = recv(c->watch.fd, c->h->piece, size_min(room(c), HTTP_PIECE), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n > 0)
		buf_bytes(&c->in, c->h->piece, (size_t)n);
	if (n > 0)
		mem_wipe(c->h->piece, (size_t)n);
	if (n > 0 && buf_ok(&c->in))
		return true;
	conn_free(c);
	return false;
}

static void on_head_ready(struct conn *c, unsigned events)
{
	/* LOOP_WRITE: what came behind the last request has not been looked at. */
	if (!(events & LOOP_WRITE)) {
		bool first = buf_len(&c->in) == 0;

		if (!receive(c))
			return;
		if (first)
			set_deadline(c, c->h->config.idle_deadline_ms);
	}
	take_request(c);
}

static void on_body_ready(struct conn *c, unsigned events)
{
	(void)events;
	if (receive(c))
		take_body(c);
}

static void on_answer_ready(struct conn *c, unsigned events)
{
	(void)events;
	conn_write(c);
}

/* A follower has nothing to say: what it sends ends its stream, as its end does. */
static void on_stream_ready(struct conn *c, unsigned events)
{
	if (events & LOOP_READ) {
		ssize_t n = recv(c->watch.fd, c->h->piece, 1, MSG_DONTWAIT);

		if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
			conn_free(c);
			return;
		}
	}
	if (events & LOOP_WRITE)
		conn_write(c);
}

/* Closing while bytes come would make the kernel throw our answer away. */
static void on_linger_ready(struct conn *c, unsigned events)
{
	ssize_t n = recv(c->watch.fd, c->h->piece, HTTP_PIECE, MSG_DONTWAIT);

	(void)events;
	if (n > 0)
		c->seen += (size_t)n;
	if (n == 0 || c->seen > LINGER_BYTES || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_free(c);
}

static void (*const on_ready_in[])(struct conn *c, unsigned events) = {
	[CONN_HEAD] = on_head_ready,     [CONN_BODY] = on_body_ready,
	[CONN_ANSWER] = on_answer_ready, [CONN_STREAM] = on_stream_ready,
	[CONN_LINGER] = on_linger_ready,
};

static void on_ready(struct watch *w, unsigned events)
{
	struct conn *c = container_of(w, struct conn, watch);

	if (atomic_load_explicit(&c->h->stopping, memory_order_relaxed))
		return; /* the turn is to end */
	if (events & LOOP_HANGUP)
		conn_free(c); /* it can neither be heard nor told anything */
	else
		on_ready_in[c->state](c, events);
}

/* ---- Life ---- */
void conn_new(struct http *h, int fd, const struct sock_addr *peer, struct holder *holder)
{
	struct conn *c = mem_zalloc(sizeof(*c));

	if (!c || loop_watch(h->loop, &c->watch, fd, LOOP_READ, on_ready)) {
		hold_give_back(h, holder);
		mem_free(c);
		sock_close(&fd);
		return;
	}
	c->h = h;
	c->holder = holder;
	c->peer = *peer;
	c->state = CONN_HEAD;
	timer_init(&c->timer, on_deadline);
	list_init(&c->wait);
	list_add_tail(&h->conns, &c->node);
	hold_wait(c);
	set_deadline(c, h->config.idle_deadline_ms);
}

void conn_free(struct conn *c)
{
	int fd = c->watch.fd;

	loop_unwatch(c->h->loop, &c->watch);
	timer_stop(&c->timer);
	list_del(&c->node);
	hold_busy(c);
	hold_give_back(c->h, c->holder);
	conn_end_request(c);
	if (c->in.p)
		mem_wipe(c->in.p, c->in.cap);
	buf_free(&c->in);
	sock_close(&fd);
	mem_free(c);
}
