/* http_listen.c - the listening socket of the HTTP server, and accepting (http.h).
 *
 * The socket is ours, not the library's: without AF_NETLINK (a sandbox, some containers) this
 * version cannot list the machine's interfaces, takes 127.0.0.1 for the name of one that is
 * missing, and binds 0.0.0.0 instead. Ours is bound to the configured address, or the start ends
 * (base/sock.h). The library polls it as a file, and is given the accepted connections. */
#include "base/base.h"
#include "admin/http.h"

#include <stdio.h>

#include "admin/http_parts.h"
#include "base/log.h"
#include "base/sock.h"

enum { ACCEPT_MOST = 64, PAUSE_US = 100000 };

/* Without descriptors the connection stays in the queue and the socket stays ready: it is not
 * polled for a moment. */
static void on_pause_over(lws_sorted_usec_list_t *sul)
{
	struct http *h = container_of(sul, struct http, accept_pause);

	(void)lws_rx_flow_control(h->listener_wsi, 1);
}

static void pause_accepting(struct http *h)
{
	LOG_WARN("", "accept-paused", "why=descriptors");
	(void)lws_rx_flow_control(h->listener_wsi, 0);
	lws_sul_schedule(h->context, 0, &h->accept_pause, on_pause_over, PAUSE_US);
}

/* Takes fd. */
static void take(struct http *h, int fd, const struct sock_addr *peer)
{
	int64_t begin = share_clock();
	struct place *p = hold_admit(h, peer);
	struct payer_key payer;
	lws_adopt_desc_t adopt = { .vh = h->vhost,
		                   .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP,
		                   .fd.sockfd = fd,
		                   .opaque = p };
	struct lws *wsi;

	if (!p) {
		sock_close(&fd);
		return;
	}
	payer = share_address(p);
	h->adopting = p;
	wsi = lws_adopt_descriptor_vhost_via_info(&adopt); /* closes fd if it fails */
	if (wsi)
		p->wsi = wsi;
	else if (h->adopting) /* it failed before the place was known to it */
		hold_leave(p);
	h->adopting = NULL;
	share_charge(h, &payer, begin);
}

void http_accept(struct http *h)
{
	for (unsigned i = 0; i < ACCEPT_MOST; i++) {
		struct sock_addr peer;
		int fd = -1, err = sock_accept(h->listener, &fd, &peer);

		if (err == -E_LIMIT)
			pause_accepting(h);
		if (err)
			return;
		take(h, fd, &peer);
	}
}

int http_listen(struct http *h, const char **why)
{
	return sock_listen_tcp(&h->listener, h->config.host, h->config.port, false, why);
}

int http_listen_watch(struct http *h)
{
	lws_sock_file_fd_type fd = { .filefd = h->listener };

	h->listener_wsi =
	    lws_adopt_descriptor_vhost(h->vhost, LWS_ADOPT_RAW_FILE_DESC, fd, HTTP_LISTENER, NULL);
	return h->listener_wsi ? 0 : -E_NOMEM;
}

uint16_t http_port(const struct http *h)
{
	return sock_port(h->listener);
}
