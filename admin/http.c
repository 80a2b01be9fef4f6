/* http.c - HTTP/1.1 over Debian's libwebsockets 4.1.6, wrapped so that the rest of admin never sees
 * it: the server, its threads, and the one callback of the library (http.h).
 *
 * The library may call back in any order that a peer's bytes can cause, also after a request was
 * answered; told to go on then, this version calls again with the same bytes for ever (attack I1).
 * So what may happen is a table, judged at one place: a row says what a callback does, and whether
 * it is harmless for a request that is answered already. What is not in the table ends the
 * connection. */
#include "base/base.h"
#include "admin/http.h"

#include <stdio.h>

#include "admin/http_parts.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum { TICK_US = 1000000, REASONS = 256 };

/* ---- What the library's callbacks do ---- */
static int nothing(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n)
{
	(void)h;
	(void)c;
	(void)wsi;
	(void)in;
	(void)n;
	return 0;
}

static int refuse(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n)
{
	(void)nothing(h, c, wsi, in, n);
	return -1;
}

static int on_listener(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n)
{
	http_accept(h);
	return nothing(h, c, wsi, in, n);
}

static int on_destroy(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n)
{
	struct place *p = lws_get_opaque_user_data(wsi);

	if (p && h->adopting == p)
		h->adopting = NULL;
	if (p)
		hold_leave(p);
	lws_set_opaque_user_data(wsi, NULL);
	return nothing(h, c, wsi, in, n);
}

static int on_timer(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n)
{
	(void)nothing(h, c, wsi, in, n);
	return c && conn_overdue(c) ? -1 : 0; /* the request or its answer took too long */
}

static int on_closed(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n)
{
	conn_end(c);
	return nothing(h, c, wsi, in, n);
}

static int on_woken(struct http *h, struct conn *c, struct lws *wsi, void *in, size_t n)
{
	if (atomic_exchange(&h->woken, false) && h->handler.woken)
		h->handler.woken(h->handler.arg);
	return nothing(h, c, wsi, in, n);
}

/* ---- The table ---- */
#define ANSWERED true /* harmless for a request that is answered already */
static const struct {
	http_event *run;
	bool answered;
} rows[REASONS] = {
	/* A request. One more before the last is written, or a body that nobody waits for: what is
	 * read now is not known to begin with a request. */
	[LWS_CALLBACK_HTTP] = { conn_on_request, !ANSWERED },
	[LWS_CALLBACK_HTTP_BODY] = { conn_on_body, !ANSWERED },
	[LWS_CALLBACK_HTTP_BODY_COMPLETION] = { conn_on_body_end, !ANSWERED },
	[LWS_CALLBACK_HTTP_FILE_COMPLETION] = { refuse, !ANSWERED }, /* no files are served */
	/* The answer: writes a piece, or nothing. Asked for by us, once for each. */
	[LWS_CALLBACK_HTTP_WRITEABLE] = { conn_writable, ANSWERED },
	/* From within lws_add_http_header_status: adds nothing. */
	[LWS_CALLBACK_ADD_HEADERS] = { nothing, ANSWERED },
	/* Ends. They read nothing. */
	[LWS_CALLBACK_TIMER] = { on_timer, ANSWERED },
	[LWS_CALLBACK_CLOSED_HTTP] = { on_closed, ANSWERED },
	[LWS_CALLBACK_HTTP_DROP_PROTOCOL] = { on_closed, ANSWERED },
	[LWS_CALLBACK_WSI_DESTROY] = { on_destroy, ANSWERED },
	/* Once per connection or request, before there is something to answer; they read nothing.
	 */
	[LWS_CALLBACK_WSI_CREATE] = { nothing, ANSWERED },
	[LWS_CALLBACK_FILTER_NETWORK_CONNECTION] = { nothing, ANSWERED },
	[LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED] = { nothing, ANSWERED },
	[LWS_CALLBACK_HTTP_BIND_PROTOCOL] = { nothing, ANSWERED },
	[LWS_CALLBACK_FILTER_HTTP_CONNECTION] = { nothing, ANSWERED },
	[LWS_CALLBACK_CHECK_ACCESS_RIGHTS] = { nothing, ANSWERED },
	/* Upgrades: there are none here. `in` must not be looked at (CVE-2025-11677). */
	[LWS_CALLBACK_HTTP_CONFIRM_UPGRADE] = { refuse, !ANSWERED },
	[LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION] = { refuse, !ANSWERED },
	[LWS_CALLBACK_ESTABLISHED] = { refuse, !ANSWERED },
	[LWS_CALLBACK_RECEIVE] = { refuse, !ANSWERED },
	/* Of the context and of the listening socket, which have no requests. */
	[LWS_CALLBACK_PROTOCOL_INIT] = { nothing, ANSWERED },
	[LWS_CALLBACK_PROTOCOL_DESTROY] = { nothing, ANSWERED },
	[LWS_CALLBACK_GET_THREAD_ID] = { nothing, ANSWERED },
	[LWS_CALLBACK_EVENT_WAIT_CANCELLED] = { on_woken, ANSWERED },
	[LWS_CALLBACK_RAW_ADOPT_FILE] = { nothing, ANSWERED },
	[LWS_CALLBACK_RAW_RX_FILE] = { on_listener, ANSWERED },
	[LWS_CALLBACK_RAW_WRITEABLE_FILE] = { nothing, ANSWERED },
	[LWS_CALLBACK_RAW_CLOSE_FILE] = { nothing, ANSWERED },
	[LWS_CALLBACK_RAW_FILE_BIND_PROTOCOL] = { nothing, ANSWERED },
	[LWS_CALLBACK_RAW_FILE_DROP_PROTOCOL] = { nothing, ANSWERED },
	/* Called around every poll, by builds with locks; nothing is read. */
	[LWS_CALLBACK_LOCK_POLL] = { nothing, ANSWERED },
	[LWS_CALLBACK_UNLOCK_POLL] = { nothing, ANSWERED },
	[LWS_CALLBACK_ADD_POLL_FD] = { nothing, ANSWERED },
	[LWS_CALLBACK_DEL_POLL_FD] = { nothing, ANSWERED },
	[LWS_CALLBACK_CHANGE_MODE_POLL_FD] = { nothing, ANSWERED },
};

static int dispatch(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t n)
{
	struct http *h = lws_context_user(lws_get_context(wsi));
	struct conn *c = user;

	if ((unsigned)reason >= REASONS || !rows[reason].run)
		return -1;
	if (!rows[reason].answered) {
		if (!c)
			return -1;
		if (c->live && (c->answered || !list_empty(&c->job))) {
			/* the answer goes out with the connection, as far as the socket takes it;
			 * one that is not made yet is not */
			(void)conn_writable(h, c, wsi, NULL, 0);
			return -1;
		}
	}
	return rows[reason].run(h, c, wsi, in, n);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t n)
{
	int err = dispatch(wsi, reason, user, in, n);

	thread_give_way();
	return err;
}

/* ---- The server ---- */
static void on_tick(lws_sorted_usec_list_t *sul)
{
	struct http *h = container_of(sul, struct http, ticker);

	hold_look(h);
	if (h->handler.tick)
		h->handler.tick(h->handler.arg);
	lws_sul_schedule(h->context, 0, &h->ticker, on_tick, TICK_US);
}

static void on_library_log(int level, const char *line)
{
	struct str s = str_c(line);

	(void)level;
	while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.n--;
	LOG_ERROR("", "http-library", "text=%s", log_esc(s));
}

static int make_context(struct http *h)
{
	struct lws_context_creation_info info;

	memset(&info, 0, sizeof(info));
	h->protocols[0] = (struct lws_protocols){ .name = "http",
		                                  .callback = callback,
		                                  .per_session_data_size = sizeof(struct conn) };
	h->protocols[1] = (struct lws_protocols){ .name = HTTP_LISTENER, .callback = callback };
	info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
	info.protocols = h->protocols;
	info.gid = (gid_t)-1;
	info.uid = (uid_t)-1;
	info.user = h;
	info.alpn = "http/1.1";
	info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
	info.max_http_header_data = (unsigned short)h->config.header_max;
	info.max_http_header_pool = (unsigned short)h->config.connections_max;
	info.fd_limit_per_thread = (unsigned)h->config.connections_max + 16;
	info.timeout_secs = (unsigned)(h->config.idle_deadline_ms + 999) / 1000;
	info.keepalive_timeout = (int)((h->config.idle_deadline_ms + 999) / 1000);
	info.server_string = "mbus";
	lws_set_log_level(LLL_ERR, on_library_log);
	h->context = lws_create_context(&info);
	if (!h->context)
		return -E_NOMEM;
	h->vhost = lws_create_vhost(h->context, &info);
	return h->vhost ? http_listen_watch(h) : -E_NOMEM;
}

int http_open(struct http **out, const struct http_config *config,
              const struct http_handler *handler, char *why, size_t why_size)
{
	struct http *h = mem_zalloc(sizeof(*h));
	const char *cause = "out of memory";
	int err = -E_NOMEM;

	if (!h)
		goto fail;
	h->listener = -1;
	h->config = *config;
	h->handler = *handler;
	list_init(&h->sending);
	list_init(&h->payers_waiting);
	list_init(&h->orphans);
	err = hold_open(h);
	if (!err)
		err = http_listen(h, &cause);
	if (err)
		goto fail;
	err = make_context(h);
	cause = "the HTTP library does not start";
	if (err)
		goto fail;
	lws_sul_schedule(h->context, 0, &h->ticker, on_tick, TICK_US);
	*out = h;
	return 0;
fail:
	(void)snprintf(why, why_size, "cannot listen on %s port %u: %s", config->host, config->port,
	               cause);
	http_close(&h);
	return err;
}

void http_run(struct http *h)
{
	while (!atomic_load(&h->stopping)) {
		/* below 0: without waiting */
		if (lws_service(h->context, share_waits(h) ? -1 : 0) < 0)
			break;
		share_turn(h);
		conn_look_at_sending(h);
	}
	share_finish(h);
}

void http_stop(struct http *h)
{
	atomic_store(&h->stopping, true);
	lws_cancel_service(h->context);
}

void http_wake(struct http *h)
{
	if (!atomic_exchange(&h->woken, true))
		lws_cancel_service(h->context);
}

void http_close(struct http **slot)
{
	struct http *h = *slot;

	*slot = NULL;
	if (!h)
		return;
	if (!h->listener_wsi)
		sock_close(&h->listener);
	if (h->context)
		lws_context_destroy(h->context);
	share_close(h);
	hold_close(h);
	mem_free(h);
}
