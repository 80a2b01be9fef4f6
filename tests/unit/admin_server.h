/* admin_server.h - the HTTP server of admin on a real socket, in a thread, with the small world of
 * admin_help.h behind it. For tests/unit/admin_http.c and admin_follow.c only. */
#pragma once
#include "tests/unit/admin_help.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static struct world w;
static struct http *http;
static pthread_t thread;
static struct follow *follow;
static _Atomic int
    wanted; /* what the followers last asked of the bus: 1 on, 0 off, -1 nothing yet */

UNUSED_FN static bool on_admits(void *arg, const struct http_req *req, struct http_resp *resp)
{
	return router_admits(arg, req, resp);
}

UNUSED_FN static void on_handle(void *arg, const struct http_req *req, struct http_resp *resp)
{
	router_handle(arg, req, resp);
}

UNUSED_FN static void on_tick(void *arg)
{
	follow_tick(((struct rest *)arg)->follow);
}

UNUSED_FN static void on_woken(void *arg)
{
	follow_drain(((struct rest *)arg)->follow);
}

UNUSED_FN static void on_wanted(void *arg, bool on)
{
	(void)arg;
	atomic_store(&wanted, on);
}

UNUSED_FN static void on_wake(void *arg)
{
	(void)arg;
	http_wake(http);
}

static void *serve(void *arg)
{
	(void)arg;
	http_run(http);
	return NULL;
}

static int64_t per_address; /* of the next start() */

UNUSED_FN static void start(void)
{
	const struct http_config config = {
		.host = "127.0.0.1",
		.connections_max = 20,
		.connections_per_address = per_address,
		.header_max = 8192,
		.body_max = 4096,
		.request_deadline_ms = 700,
		.idle_deadline_ms = 3000,
		.stream_buffer = 65536,
	};
	const struct http_handler handler = { on_admits, on_handle, on_tick, on_woken, &w.rest };
	const struct follow_hooks hooks = { on_wanted, on_wake, NULL };
	char why[300];

	world_open(&w);
	atomic_store(&wanted, -1);
	IS(follow_open(&follow, &w.rest, &hooks), 0);
	w.rest.follow = follow;
	IS(http_open(&http, &config, &handler, why, sizeof(why)), 0);
	MUST(pthread_create(&thread, NULL, serve, NULL) == 0);
}

UNUSED_FN static void stop(void)
{
	http_stop(http);
	MUST(pthread_join(thread, NULL) == 0);
	http_close(&http);
	follow_close(&follow);
	world_close(&w);
}

UNUSED_FN static int dial_from(const char *own)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in a = { .sin_family = AF_INET,
		                 .sin_port = htons(http_port(http)),
		                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(inet_pton(AF_INET, own, &from.sin_addr) == 1);
	MUST(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0);
	MUST(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

UNUSED_FN static int dial(void)
{
	return dial_from("127.0.0.1");
}

/* Reads until `until` is seen, the end, or nothing for ms; false only in the last case. */
UNUSED_FN static bool hear(int fd, char *text, size_t size, const char *until, int ms)
{
	size_t n = strlen(text);

	while (n + 1 < size) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t more;

		if (until && strstr(text, until))
			return true;
		if (poll(&p, 1, ms) <= 0)
			return false;
		more = recv(fd, text + n, size - 1 - n, 0);
		if (more <= 0)
			return true;
		n += (size_t)more;
		text[n] = '\0';
	}
	return true;
}

static char heard[1 << 17];

/* Says it on a fresh connection, hears until it is closed (or 400 ms of silence); the number of
 * answers. */
UNUSED_FN static int say(const char *text)
{
	int fd = dial(), answers = 0;

	heard[0] = '\0';
	MUST(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
	(void)hear(fd, heard, sizeof(heard), NULL, 400);
	(void)close(fd);
	for (const char *p = heard; (p = strstr(p, "HTTP/1.1 ")); p++)
		answers++;
	return answers;
}

static char request[900];

UNUSED_FN static const char *make(const char *method_and_path, const char *more)
{
	(void)snprintf(request, sizeof(request),
	               "%s HTTP/1.1\r\nHost: x\r\nAuthorization: FlespiToken %s\r\n%s",
	               method_and_path, w.key[ALPHA], more);
	return request;
}
