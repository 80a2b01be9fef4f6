/* proxy_link_help.h - a worker without a door and without authentication, and a core that says what
 * the test wants: one thread, the worker's loop turned by hand. */
#pragma once
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sock.h"
#include "proxy/caps.h"
#include "proxy/config.h"
#include "proxy/conn.h"
#include "proxy/uplink.h"
#include "proxy/worker.h"
#include "tests/kit/kit.h"
#include "wire/link.h"

static struct proxy_config config;
static struct crew crew;
static struct worker *worker;
static int listener, core;
static struct buf heard, say;
static unsigned readies;

static void on_ready(struct crew *c)
{
	(void)c;
	readies++;
}

static void turn(void)
{
	loop_turn(worker->loop, 5);
}

/* Takes what the worker has written so far. */
static void listen_up(void)
{
	uint8_t room[4096];
	ssize_t n;

	while (core >= 0 && (n = recv(core, room, sizeof(room), MSG_DONTWAIT)) > 0)
		buf_bytes(&heard, room, (size_t)n);
}

static bool next_frame(struct link_head *h, struct str *body)
{
	static struct buf frame;

	for (int i = 0; i < 200; i++) {
		listen_up();
		if (link_head_read(buf_str(&heard), h) == PARSE_OK) {
			buf_reset(&frame);
			buf_bytes(&frame, buf_data(&heard), h->length);
			buf_consume(&heard, h->length);
			*body = str_skip(buf_str(&frame), LINK_HEAD);
			return true;
		}
		turn();
	}
	buf_free(&frame);
	return false;
}

static void tell(void)
{
	IS(send(core, buf_data(&say), buf_len(&say), MSG_NOSIGNAL), buf_len(&say));
	buf_reset(&say);
	for (int i = 0; i < 3; i++)
		turn();
}

static void accept_worker(void)
{
	struct sock_addr peer;

	for (int i = 0; i < 400; i++) {
		turn();
		if (sock_accept(listener, &core, &peer) == 0)
			return;
	}
	YES(!"the worker dialled");
}

static void set_up(void)
{
	const char *why = NULL;
	char path[200];

	config = (struct proxy_config){ .core_dir = (char *)(uintptr_t)temp_dir(),
		                        .link_high = 64 << 10,
		                        .connections_max = 10 };
	crew = (struct crew){ .config = &config, .workers = 1, .on_ready = on_ready };
	readies = 0;
	core = -1;
	IS(caps_new(&crew.caps), 0);
	(void)snprintf(path, sizeof(path), "%s/link-0.sock", config.core_dir);
	IS(sock_listen_unix(&listener, path, 0600, &why), 0);
	IS(worker_new(&worker, &crew, 0), 0);
	uplink_start(worker->link[0]);
	accept_worker();
}

static void hello(uint16_t homes)
{
	struct link_hello h = {
		.major = LINK_MAJOR, .minor = LINK_MINOR - 1, .homes = homes, .name = STR("played")
	};

	link_hello_write(&say, &h);
	tell();
}

static void tear_down(void)
{
	sock_close(&core);
	sock_close(&listener);
	worker->stopping = true;
	for (int i = 0; i < 3; i++)
		turn();
	for (unsigned i = 0; i < LINK_HOMES_MAX; i++)
		uplink_free(&worker->link[i]);
	worker_free(&worker);
	caps_free(&crew.caps);
	buf_free(&heard);
	buf_free(&say);
}

static void open_link(void)
{
	struct link_head h;
	struct str body;

	set_up();
	YES(next_frame(&h, &body));
	IS(h.type, LINK_HELLO);
	hello(1);
	YES(next_frame(&h, &body));
	IS(h.type, LINK_SUBSCRIBE);
}

/* In place: its list nodes point to themselves. */
static void bare_conn(struct conn *c)
{
	*c = (struct conn){ .worker = worker, .state = CONN_OPENING };
	list_init(&c->todo);
	list_init(&c->unread);
	list_init(&c->regrant);
	list_init(&c->due);
	list_init(&c->partial_node);
	list_init(&c->badge_node);
	list_init(&c->share_node);
	share_begin(c);
}
