/* transport_ws.c - WebSocket between the bytes below, TCP or TLS, and the plain bytes of MQTT. The
 * languages are wire/upgrade.h and wire/ws.h; here is who is let in, what is answered, and when.
 *
 * Each packet leaves as a binary frame of its own, all frames of a turn in one write. Several
 * packets might share a frame [MQTT-6.0.0-2], and that would be cheaper; but paho's C library
 * (1.3.11) takes the first of them and leaves the others until something else arrives, and some
 * clients for browsers take a frame for a packet. The headers are put into `out`, between the
 * packets. What we say ourselves waits in `say` until the frame before it is whole. */
#include "base/base.h"
#include "proxy/transport.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/conn.h"
#include "proxy/door.h"
#include "proxy/front.h"
#include "proxy/listen.h"
#include "proxy/transport_tls.h"
#include "proxy/worker.h"
#include "wire/mqtt_read.h"
#include "wire/ws.h"

enum {
	/* of one frame and of one message; MQTT's own limits hold inside them */
	WEB_MOST = 16 << 20,
	WEB_FRAGMENTS = 1024,
	/* attack W17: pings, pongs; frames of data with less than two bytes each, per second */
	WEB_CONTROLS = 50,
	WEB_EMPTY_FRAMES = 1000,
};

struct web { /* one connection */
	struct transport under;
	struct conn *conn;
	struct ws ws;
	struct buf head; /* the request, until it is whole; may hold a token */
	size_t looked;   /* bytes of it that upgrade_read has seen */
	struct buf say;
	size_t framed; /* bytes at the front of out that are frames already */
	int64_t second;
	uint64_t bytes;          /* of data in this second */
	bool upgraded, answered; /* 101 was said; another answer was */
	bool said_close;
	bool torn; /* a frame was begun whose rest is gone: nothing can follow it */
};

/* ---- Life ---- */

static int web_open(struct transport *t, struct conn *c)
{
	struct web *w = mem_zalloc(sizeof(*w));

	if (!w)
		return -E_NOMEM;
	t->layer = w;
	w->conn = c;
	w->under.ops = c->door->kind->tls ? &transport_tls : door_base(c);
	return w->under.ops->open(&w->under, c);
}

static void wipe_head(struct web *w)
{
	if (w->head.p)
		mem_wipe(w->head.p, w->head.cap);
	buf_free(&w->head);
}

static void web_end(struct transport *t)
{
	struct web *w = t->layer;

	t->layer = NULL;
	if (!w)
		return;
	w->under.ops->end(&w->under);
	wipe_head(w);
	buf_free(&w->say);
	mem_free(w);
}

/* ---- The request ---- */

static const struct str page = STR_INIT(
    "<!DOCTYPE html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\"><title>MQTT over WebSocket</title></head>\n"
    "<body><h1>MQTT over WebSocket</h1>\n"
    "<p>This port speaks MQTT 3.1, 3.1.1 and 5.0 over WebSocket, with the subprotocol "
    "<code>mqtt</code>. Give its address to an MQTT client; a token is the user name.</p>\n"
    "</body></html>\n");

static bool trusted(const struct sock_addr *a, void *arg)
{
	return peers_hold(arg, a);
}

/* Attack A23: only the peers that the configuration names speak for somebody else. Status: 0, or
 * what to refuse with. */
static unsigned find_peer(struct web *w, const struct front *f, const struct upgrade *u)
{
	struct conn *c = w->conn;
	struct sock_addr real;

	if (!peers_hold(&f->forwarded, &c->peer))
		return 0;
	if (!upgrade_client(u, f->source, &c->peer, trusted, (void *)(uintptr_t)&f->forwarded,
	                    &real))
		return 400;
	if (u->forwarded_count || u->real_ip.p)
		conn_forget_cert(c); /* who speaks for others lends them no name */
	if (memcmp(real.bytes, c->peer.bytes, sizeof(real.bytes)) == 0)
		return 0;
	return door_came_from(c, &real) ? 429 : 0;
}

static bool bring_token(struct web *w, const struct front *f, const struct upgrade *u)
{
	struct str token = STR_NONE;

	if (f->token_header && u->authorization.p)
		token = upgrade_credential(u->authorization);
	else if (f->token_query)
		(void)upgrade_query_find(u->query, STR("token"), &token);
	return token.n == 0 || conn_bring(w->conn, token) == 0;
}

static int answer(struct web *w, unsigned status, const char *why, bool head)
{
	w->answered = true;
	if (status == 200) {
		upgrade_page_write(&w->say, head, STR("text/html; charset=utf-8"), page);
	} else {
		w->conn->worker->n.upgrades_refused++;
		LOG_INFO(conn_name(w->conn), "upgrade-refused", "status=%u why=\"%s\"", status,
		         why ? why : "not a request that is understood");
		upgrade_refuse_write(&w->say, status, why);
	}
	return buf_ok(&w->say) ? -E_DENIED : -E_NOMEM;
}

static int upgraded(struct transport *t, struct web *w, const struct upgrade *u)
{
	static const struct ws_limits limits = { WEB_MOST, WEB_MOST, WEB_FRAGMENTS };

	if (upgrade_accept_write(&w->say, u))
		return -E_NOMEM;
	ws_start(&w->ws, &limits);
	w->upgraded = t->settled = true;
	w->conn->worker->n.upgrades++;
	return 0;
}

static int judge(struct transport *t, struct web *w, const struct upgrade *u, size_t early)
{
	const struct front *f = &w->conn->door->listener->front;
	const char *why = NULL;
	unsigned status = upgrade_judge(u, &f->rules, early, &why), peer;

	if (status != 101)
		return answer(w, status, why, u->method == UPGRADE_HEAD);
	peer = find_peer(w, f, u);
	if (peer)
		return answer(w, peer, NULL, false);
	return bring_token(w, f, u) ? upgraded(t, w, u) : -E_NOMEM;
}

static int read_request(struct transport *t, struct web *w, struct str bytes)
{
	struct upgrade u;
	unsigned status = 0;
	enum parse parse;
	int err;

	buf_str_add(&w->head, bytes);
	mem_wipe((void *)(uintptr_t)bytes.p, bytes.n); /* a token may be in it */
	if (!buf_ok(&w->head))
		return -E_NOMEM;
	parse = upgrade_read(buf_str(&w->head), w->looked, &u, &status);
	w->looked = buf_len(&w->head);
	if (parse == PARSE_MORE)
		return 0;
	if (parse == PARSE_BAD)
		err = answer(w, status, NULL, false);
	else
		err = judge(t, w, &u, buf_len(&w->head) - u.size);
	wipe_head(w);
	return err;
}

/* ---- Frames that come ---- */

static void say_close(struct web *w, unsigned code)
{
	uint8_t frame[WS_CONTROL_MAX];

	if (w->said_close)
		return;
	w->said_close = true;
	buf_bytes(&w->say, frame, ws_close_put(frame, code, STR_NONE));
}

/* Of several pings the last one is answered, section 5.5.3: they cannot make us grow. */
static void say_pong(struct web *w, struct str payload)
{
	uint8_t frame[WS_CONTROL_MAX];

	if (w->said_close || !w->upgraded || buf_len(&w->say) > WS_CONTROL_MAX)
		return;
	buf_reset(&w->say);
	buf_bytes(&w->say, frame, ws_pong_put(frame, payload));
}

/* Before a batch is taken apart: counted afterwards, a flood that is the first of its second would
 * be forgotten with the second before it. */
static void count_anew(struct web *w)
{
	int64_t second = loop_now(w->conn->worker->loop) / 1000;

	if (second == w->second)
		return;
	w->second = second;
	w->ws.frames = w->ws.pings = w->ws.pongs = 0;
	w->bytes = 0;
}

/* Attack W17: frames that cost work and bring nothing. */
static bool too_many(struct web *w, size_t plain)
{
	w->bytes += plain;
	return w->ws.pings + w->ws.pongs > WEB_CONTROLS ||
	       w->ws.frames > WEB_EMPTY_FRAMES + w->bytes / 2;
}

static int broke(struct web *w, unsigned code)
{
	LOG_INFO(conn_name(w->conn), "websocket", "code=%u", code);
	say_close(w, code);
	return -E_INVALID;
}

/* 0, or how the stream ended behind the plain bytes. */
static int unframe(struct web *w, uint8_t *room, size_t n, struct str *plain)
{
	struct ws_feed f;
	int over = 0;

	count_anew(w);
	ws_feed_start(&f, room, n);
	for (;;) {
		switch (ws_next(&w->ws, &f)) {
		case WS_MORE:
			*plain = str_make(room, ws_feed_plain(&f));
			if (!over && too_many(w, plain->n))
				over = broke(w, WS_POLICY);
			return over;
		case WS_CAME_PING:
			say_pong(w, f.payload);
			break;
		case WS_CAME_PONG:
			break;
		case WS_CAME_CLOSE:
			say_close(w, f.code);
			over = -E_CLOSED;
			break;
		case WS_BAD:
			over = broke(w, f.code);
			break;
		}
	}
}

static int web_read(struct transport *t, int fd, uint8_t *room, struct str *plain)
{
	struct web *w = t->layer;
	struct str bytes = STR_NONE;
	int err;

	*plain = STR_NONE;
	err = w->under.ops->read(&w->under, fd, room, &bytes);
	if (!err && bytes.n && !t->over) {
		if (w->upgraded)
			err = unframe(w, room, bytes.n, plain);
		else if (!w->answered)
			err = read_request(t, w, bytes);
	}
	if (!err)
		err = w->under.over;
	t->over = t->over ? t->over : (int8_t)(err == -E_AGAIN ? 0 : err);
	t->held = (uint32_t)buf_len(&w->say) + w->under.held;
	t->partial = (uint32_t)buf_len(&w->head) + w->under.partial;
	return plain->n ? 0 : err;
}

/* ---- Frames that go ---- */

static unsigned close_code(uint8_t reason)
{
	switch (reason) {
	case RC_SUCCESS:
		return WS_NORMAL;
	case RC_SERVER_SHUTTING_DOWN:
		return WS_GOING_AWAY;
	case RC_MALFORMED_PACKET:
	case RC_PROTOCOL_ERROR:
		return WS_PROTOCOL_ERROR;
	case RC_PACKET_TOO_LARGE:
		return WS_TOO_BIG;
	default:
		return WS_POLICY;
	}
}

/* The size of the packet that these bytes begin with. */
static size_t packet_size(const uint8_t *p, size_t n)
{
	struct mqtt_head h;

	if (mqtt_head_read(str_make(p, n), &h) != PARSE_OK)
		return n;
	return size_min(n, h.size + (size_t)h.remaining);
}

/* Each packet that MQTT has added since the last time becomes a frame. */
static bool frame_out(struct web *w, struct buf *out)
{
	size_t n = buf_len(out) - w->framed, heads = 0;
	uint8_t *to, *from;

	for (size_t at = 0, size; at < n; at += size) {
		size = packet_size(buf_data(out) + w->framed + at, n - at);
		heads += ws_head_size(size);
	}
	if (n == 0)
		return true;
	if (!buf_reserve(out, heads))
		return false;
	to = out->p + out->head + w->framed;
	from = to + heads;
	memmove(from, to, n);
	buf_commit(out, heads);
	for (size_t size; n; n -= size, from += size) {
		size = packet_size(from, n);
		/* never beyond from: the heads of the others are between */
		to += ws_head_size(size);
		memmove(to, from, size);
		(void)ws_head_before(to, size);
		to += size;
	}
	MUST(to == from); /* the heads were counted above */
	w->framed = buf_len(out);
	return true;
}

static bool say_out(struct transport *t, struct web *w, struct buf *out)
{
	if (t->ending && w->upgraded)
		say_close(w, close_code(t->reason));
	else if (t->ending && !w->answered && w->looked)
		(void)answer(w, t->reason == RC_SERVER_SHUTTING_DOWN ? 503 : 408, NULL, false);
	buf_str_add(out, buf_str(&w->say));
	buf_free(&w->say);
	w->framed = buf_len(out);
	return buf_ok(out);
}

static bool compose(struct transport *t, struct web *w, struct buf *out)
{
	if (w->framed > buf_len(out)) /* thrown away when the connection ended */
		w->torn = true;
	if (w->torn || !w->upgraded)
		w->framed = 0;
	if (w->torn || (!w->upgraded && !w->answered))
		buf_reset(out);
	if (w->torn)
		return true;
	if (w->upgraded && w->said_close && buf_len(&w->say) == 0)
		buf_cut(out, w->framed); /* nothing follows a close frame */
	else if (w->upgraded && !frame_out(w, out))
		return false;
	return say_out(t, w, out);
}

static int web_write(struct transport *t, int fd, struct buf *out)
{
	struct web *w = t->layer;
	size_t before;
	int err;

	if (!compose(t, w, out))
		return -E_NOMEM;
	before = buf_len(out);
	w->under.ending = t->ending;
	err = w->under.ops->write(&w->under, fd, out);
	w->framed -= size_min(w->framed, before - buf_len(out));
	t->held = w->under.held;
	return err;
}

static void web_shut(struct transport *t, int fd)
{
	struct web *w = t->layer;

	w->under.ops->shut(&w->under, fd);
}

const struct transport_ops transport_ws = {
	.lingers = true,
	.open = web_open,
	.read = web_read,
	.write = web_write,
	.shut = web_shut,
	.end = web_end,
};
