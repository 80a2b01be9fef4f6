/* auth_http.c - libcurl multi on our loop. Pitfalls this file avoids (measured on 7.88.1):
 *   a resolver that is slow would be joined when a transfer times out: QUICK_EXIT;
 *   libcurl queues silently over its own connection limit while the timeout runs: we never start
 * more than auth_parallel; a socket number can come again while libcurl thinks it is known: every
 * change of interest is a fresh loop_watch; the multi must not be called from its own callbacks:
 * they only note; a timer of 0 becomes a hook at the end of the turn. */
#include "base/base.h"
#include "proxy/auth_http.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/opts.h"
#include "proxy/auth.h"
#include "proxy/config.h"
#include "wire/mqtt.h"

enum {
	HTTP_HEAD_MAX = 16 * 1024,
	HTTP_BODY_KEEP = 8 * 1024,
	HTTP_LINE = CREDENTIAL_MAX + 64,
	HTTP_CERT = 3 * VERDICT_CERT_NAME_MAX + 64,
	WHOSE_MAX = 4096
};

struct auth_http {
	struct loop *loop;
	const struct proxy_config *config;
	void (*done)(void *arg, void *question, struct auth_reply *reply);
	void *arg;
	CURLM *multi;
	struct auth_target target;
	struct list idle, busy; /* struct call */
	size_t calls;           /* made, at most auth_parallel */
	struct list socks;
	struct timer timer; /* libcurl's */
	struct hook soon;
};

struct call { /* one easy handle, used again and again */
	struct list node;
	struct auth_http *http;
	CURL *easy;
	struct auth_peer peer;
	void *question;
	struct buf body;
	size_t head;
	const char *over; /* which cap was passed, or NULL */
	int64_t began;    /* loop time of the question */
	bool again;       /* this is the second attempt */
	/* our own nodes: libcurl would copy the key to memory that we cannot wipe */
	struct curl_slist lines[3];
	char line[HTTP_LINE], cert[HTTP_CERT];
};

struct sock {
	struct list node;
	struct watch watch;
	struct auth_http *http;
};

/* ---- What comes in ---- */
static size_t on_body(char *p, size_t one, size_t n, void *arg)
{
	struct call *c = arg;

	(void)one; /* always 1 */
	if (n > (size_t)c->http->config->auth_body_max - buf_len(&c->body)) {
		c->over = "body over auth_body_max";
		return 0;
	}
	buf_bytes(&c->body, p, n);
	return buf_ok(&c->body) ? n : 0;
}

/* status line, headers, 1xx answers and trailers */
static size_t on_head(char *p, size_t one, size_t n, void *arg)
{
	struct call *c = arg;

	(void)p;
	(void)one;
	c->head += n;
	if (c->head <= HTTP_HEAD_MAX)
		return n;
	c->over = "headers over 16 KiB";
	return 0;
}

/* ---- What it means ---- */
static bool is_json(const char *type)
{
	const size_t n = strlen("application/json");

	return type && strncasecmp(type, "application/json", n) == 0 &&
	       (!type[n] || type[n] == ';' || type[n] == ' ');
}

/* A "no" may tell whose token it is: {"errors":[{"id":..,"cid":..}]}. It decides nothing: the
 * customer's log names it, and the core hides what is the token's, or all that is the customer's.
 */
static void read_whose(struct str body, struct auth_reply *out)
{
	int64_t id, cid;
	char why[80];
	json_t *reply;
	const json_t *error;

	if (body.n == 0 || json_read(&reply, body, WHOSE_MAX, JSON_DEPTH, why, sizeof(why)))
		return;
	error = json_array_get(json_object_get(reply, "errors"), 0);
	if (error && json_get_int(error, "id", &id) && json_get_int(error, "cid", &cid) && id > 0 &&
	    cid > 0) {
		out->id = (uint64_t)id;
		out->customer = (uint64_t)cid;
		(void)json_get_bool(error, "blocked", &out->blocked);
	}
	json_decref(reply);
}

/* A client error is about the question: the endpoint works, and does not know this key. But 408 and
 * 429 are about the endpoint (RFC 9110 15.5.9, RFC 6585 4). */
static bool status_is_no(long status)
{
	return status >= 400 && status < 500 && status != 408 && status != 429;
}

static bool status_is_down(long status)
{
	return status == 408 || status >= 500;
}

/* Returns NULL and fills out, or tells why this answer says nothing. */
static const char *judge(struct call *c, CURLcode result, long status, struct auth_reply *out,
                         char *why, size_t why_size)
{
	char *type = NULL;

	if (c->over)
		return c->over;
	out->down = result != CURLE_OK || status_is_down(status);
	if (result != CURLE_OK)
		return curl_easy_strerror(result);
	if (status_is_no(status)) {
		out->said = SAID_NO;
		out->reason = status == 403 ? RC_NOT_AUTHORIZED : RC_BAD_USER_NAME_OR_PASSWORD;
		read_whose(buf_str(&c->body), out);
		return NULL;
	}
	if (status != 200)
		return "neither 200 nor a refusal";
	if (curl_easy_getinfo(c->easy, CURLINFO_CONTENT_TYPE, &type) != CURLE_OK || !is_json(type))
		return "content type is not application/json";
	if (token_info_read_reply(&out->info, buf_str(&c->body), why, why_size))
		return why;
	thread_give_way(); /* a long access list takes a millisecond */
	out->said = SAID_TOKEN;
	return NULL;
}

static void call_rest(struct call *c)
{
	mem_wipe(c->line, sizeof(c->line));
	if (c->body.p)
		mem_wipe(c->body.p, c->body.cap);
	if (c->body.cap > HTTP_BODY_KEEP)
		buf_free(&c->body);
	buf_reset(&c->body);
	/* not broken any more, should memory have been short */
	buf_cut(&c->body, 0);
	c->question = NULL;
	list_del(&c->node);
	list_add_tail(&c->http->idle, &c->node);
}

/* The endpoint closed a kept connection before it saw the request. libcurl repeats such a request
 * too, but counts the repetitions over the whole life of an easy handle and gives up after five. */
static bool met_closed_connection(const struct call *c, CURLcode result)
{
	long fresh = 0;

	if (c->again || c->head || c->over ||
	    curl_easy_getinfo(c->easy, CURLINFO_NUM_CONNECTS, &fresh) != CURLE_OK || fresh)
		return false;
	return result == CURLE_SEND_ERROR || result == CURLE_RECV_ERROR ||
	       result == CURLE_GOT_NOTHING || result == CURLE_HTTP2 || result == CURLE_HTTP2_STREAM;
}

/* fresh: on a new connection, in what is left of the time. */
static int call_send(struct call *c, bool fresh)
{
	struct auth_http *h = c->http;
	int64_t left = h->config->auth_timeout - (loop_now(h->loop) - c->began);

	c->again = fresh;
	if (left <= 0 ||
	    curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L) != CURLE_OK ||
	    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)left) != CURLE_OK ||
	    curl_multi_add_handle(h->multi, c->easy) != CURLM_OK)
		return -E_IO;
	return 0;
}

static void call_done(struct call *c, CURLcode result)
{
	struct auth_http *h = c->http;
	struct auth_reply reply = { .said = SAID_NOTHING, .reason = RC_SERVER_UNAVAILABLE };
	void *question = c->question;
	char why_text[160] = "";
	const char *why;
	long status = 0;

	if (met_closed_connection(c, result) && call_send(c, true) == 0)
		return;
	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	why = judge(c, result, status, &reply, why_text, sizeof(why_text));
	if (why)
		LOG_WARN("auth", "unavailable", "status=%ld why=%s", status, log_esc(str_c(why)));
	call_rest(c);
	h->done(h->arg, question, &reply);
}

static void collect(struct auth_http *h)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(h->multi, &left))) {
		CURL *easy = msg->easy_handle;
		CURLcode result = msg->data.result;
		char *private = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		MUST(curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private) == CURLE_OK && private);
		(void)curl_multi_remove_handle(h->multi, easy); /* msg is gone now */
		call_done((struct call *)(void *)private, result);
	}
}

/* ---- libcurl on our loop ---- */
static void act(struct auth_http *h, curl_socket_t fd, int events)
{
	int running;

	(void)curl_multi_socket_action(h->multi, fd, events, &running);
	collect(h);
}

static void on_ready(struct watch *w, unsigned events)
{
	struct sock *s = container_of(w, struct sock, watch);
	int mask = (events & LOOP_READ ? CURL_CSELECT_IN : 0) |
	           (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0) |
	           (events & LOOP_HANGUP ? CURL_CSELECT_ERR : 0);

	act(s->http, w->fd, mask); /* may free s */
}

static void sock_free(struct auth_http *h, struct sock *s)
{
	loop_unwatch(h->loop, &s->watch);
	list_del(&s->node);
	mem_free(s);
}

static struct sock *sock_new(struct auth_http *h)
{
	struct sock *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->http = h;
	list_add_tail(&h->socks, &s->node);
	return s;
}

/* Never returns -1: libcurl would take the whole multi for dead. A socket that cannot be watched
 * costs its request the timeout. */
static int on_sock(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct auth_http *h = arg;
	struct sock *s = known;
	unsigned events =
	    (what & CURL_POLL_IN ? LOOP_READ : 0u) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0u);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s)
			sock_free(h, s);
		(void)curl_multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (s)
		loop_unwatch(h->loop, &s->watch);
	else
		s = sock_new(h);
	(void)curl_multi_assign(h->multi, fd, s);
	if (!s || loop_watch(h->loop, &s->watch, fd, events, on_ready))
		LOG_ERROR("auth", "not_watched", "why=%s", "memory_or_descriptors");
	return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct auth_http *h = arg;

	(void)multi;
	timer_stop(&h->timer);
	if (ms == 0)
		loop_at_end(h->loop, &h->soon);
	else if (ms > 0)
		timer_set(h->loop, &h->timer, ms);
	return 0;
}

static void timer_fired(struct timer *t)
{
	act(container_of(t, struct auth_http, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void soon_run(struct hook *hook)
{
	act(container_of(hook, struct auth_http, soon), CURL_SOCKET_TIMEOUT, 0);
}

/* ---- One call ---- */
/* The first option that libcurl refuses makes the handle unusable: a door with half its locks is
 * not opened. */
#define SET(option, value) (bad = bad != CURLE_OK ? bad : curl_easy_setopt(c->easy, option, value))

static CURLcode set_bounds(struct call *c)
{
	const struct proxy_config *config = c->http->config;
	CURLcode bad = CURLE_OK;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)config->auth_connect_timeout);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROTOCOLS_STR, c->http->target.tls ? "https" : "http");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, c->http->target.tls ? "https" : "http");
	SET(CURLOPT_PROXY, ""); /* else http_proxy of the environment counts */
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, c);
	SET(CURLOPT_HEADERFUNCTION, on_head);
	SET(CURLOPT_HEADERDATA, c);
	return bad;
}

static CURLcode set_target(struct call *c)
{
	const struct auth_http *h = c->http;
	CURLcode bad = CURLE_OK;

	SET(CURLOPT_URL, h->target.url);
	SET(CURLOPT_PRIVATE, (void *)c);
	SET(CURLOPT_USERAGENT, "mbus-proxy/" MBUS_VERSION);
	SET(CURLOPT_HTTPHEADER, &c->lines[0]);
	SET(CURLOPT_HTTP_VERSION,
	    h->target.tls ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
	/* else a cold start opens a connection for each request */
	SET(CURLOPT_PIPEWAIT, h->target.tls ? 1L : 0L);
	if (h->config->auth_ca && h->config->auth_ca[0])
		SET(CURLOPT_CAINFO, h->config->auth_ca);
	return bad;
}

static void call_free(struct call *c)
{
	if (c->easy) {
		(void)curl_multi_remove_handle(c->http->multi, c->easy);
		curl_easy_cleanup(c->easy);
	}
	call_rest(c);
	list_del(&c->node);
	buf_free(&c->body);
	mem_free(c);
}

static struct call *call_new(struct auth_http *h)
{
	struct call *c = mem_zalloc(sizeof(*c));

	if (!c)
		return NULL;
	c->http = h;
	list_init(&c->node);
	c->lines[0] = (struct curl_slist){ .data = c->line, .next = &c->lines[1] };
	c->lines[1] = (struct curl_slist){ .data = (char *)(uintptr_t) "Accept: application/json",
		                           .next = NULL };
	c->lines[2] = (struct curl_slist){ .data = c->cert, .next = NULL };
	c->easy = curl_easy_init();
	if (!c->easy || set_bounds(c) != CURLE_OK || set_target(c) != CURLE_OK ||
	    auth_peer_guard(&c->peer, &h->target, c->easy)) {
		call_free(c);
		return NULL;
	}
	h->calls++;
	list_add_tail(&h->idle, &c->node);
	return c;
}

static size_t calls_most(const struct auth_http *h)
{
	return h->config->auth_parallel > 0 ? (size_t)h->config->auth_parallel : 1;
}

bool auth_http_room(const struct auth_http *h)
{
	return !list_empty(&h->idle) || h->calls < calls_most(h);
}

static void write_line(struct call *c, const struct credential *credential)
{
	int n = snprintf(c->line, sizeof(c->line), "Authorization: FlespiToken ");

	if (credential->short_id)
		n += snprintf(c->line + n, sizeof(c->line) - (size_t)n, "%" PRIu64 ":",
		              credential->short_id);
	MUST(credential->key.n < sizeof(c->line) - (size_t)n); /* CREDENTIAL_MAX at most */
	memcpy(c->line + n, credential->key.p, credential->key.n);
	c->line[(size_t)n + credential->key.n] = '\0';
}

static bool unreserved(uint8_t b)
{
	return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
	       b == '-' || b == '.' || b == '_' || b == '~';
}

/* Percent-encoded but for what RFC 3986 calls unreserved: a name may be any text. */
static void write_cert(struct call *c, struct str name)
{
	static const char hex[] = "0123456789ABCDEF";
	char *to = c->cert + snprintf(c->cert, sizeof(c->cert), "X-MBUS-Certificate: ");

	MUST(name.n <= VERDICT_CERT_NAME_MAX); /* token_cert_name_ok() has looked */
	for (size_t i = 0; i < name.n; i++) {
		uint8_t b = (uint8_t)name.p[i];

		if (unreserved(b)) {
			*to++ = (char)b;
			continue;
		}
		*to++ = '%';
		*to++ = hex[b >> 4];
		*to++ = hex[b & 15];
	}
	*to = '\0';
	c->lines[1].next = name.n ? &c->lines[2] : NULL;
}

int auth_http_ask(struct auth_http *h, const struct credential *credential, void *question)
{
	struct call *c;

	if (!auth_http_room(h))
		return -E_BUSY;
	c = list_first(&h->idle, struct call, node);
	if (!c)
		c = call_new(h);
	if (!c)
		return -E_NOMEM;
	c->question = question;
	c->head = 0;
	c->over = NULL;
	write_line(c, credential);
	write_cert(c, credential->cert);
	list_del(&c->node);
	list_add_tail(&h->busy, &c->node);
	c->began = loop_now(h->loop);
	if (call_send(c, false)) {
		call_rest(c);
		return -E_IO;
	}
	return 0;
}

/* ---- Life ---- */
static int multi_open(struct auth_http *h)
{
	CURLMcode bad = CURLM_OK;

	h->multi = curl_multi_init();
	if (!h->multi)
		return -E_NOMEM;
#define MSET(option, value) \
	(bad = bad != CURLM_OK ? bad : curl_multi_setopt(h->multi, option, value))
	MSET(CURLMOPT_SOCKETFUNCTION, on_sock);
	MSET(CURLMOPT_SOCKETDATA, h);
	MSET(CURLMOPT_TIMERFUNCTION, on_timer);
	MSET(CURLMOPT_TIMERDATA, h);
	MSET(CURLMOPT_MAXCONNECTS, (long)calls_most(h));
#undef MSET
	return bad == CURLM_OK ? 0 : -E_IO;
}

int auth_http_open(struct auth_http **out, struct loop *loop, const struct proxy_config *config,
                   void (*done)(void *arg, void *question, struct auth_reply *reply), void *arg,
                   const char **why)
{
	int err = -E_NOMEM;
	struct auth_http *h = mem_zalloc(sizeof(*h));

	*why = "libcurl does not start";
	if (!h)
		return err;
	h->loop = loop;
	h->config = config;
	h->done = done;
	h->arg = arg;
	list_init(&h->idle);
	list_init(&h->busy);
	list_init(&h->socks);
	timer_init(&h->timer, timer_fired);
	hook_init(&h->soon, soon_run);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		mem_free(h);
		return -E_IO;
	}
	err = multi_open(h);
	if (err)
		goto fail;
	err = auth_target_find(&h->target, config, why);
	if (err)
		goto fail;
	err = -E_INVALID;
	if (config->auth_ca && config->auth_ca[0] && access(config->auth_ca, R_OK) < 0) {
		*why = "auth_ca: the file cannot be read";
		goto fail;
	}
	*out = h;
	return 0;
fail:
	auth_http_close(&h);
	return err;
}

void auth_http_close(struct auth_http **slot)
{
	struct auth_http *h = *slot;
	struct call *c;
	struct sock *s;

	*slot = NULL;
	if (!h)
		return;
	list_each(c, &h->busy, struct call, node) {
		call_free(c);
	}
	list_each(c, &h->idle, struct call, node) {
		call_free(c);
	}
	if (h->multi)
		/* closes the kept connections: on_sock for each */
		(void)curl_multi_cleanup(h->multi);
	list_each(s, &h->socks, struct sock, node) {
		sock_free(h, s);
	}
	timer_stop(&h->timer);
	hook_cancel(&h->soon);
	curl_global_cleanup();
	auth_target_free(&h->target);
	mem_free(h);
}
