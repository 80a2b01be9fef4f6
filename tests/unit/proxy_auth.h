/* proxy_auth.h - a scripted endpoint on a real socket, and a test that plays the worker. For the
 * proxy_auth_*.c tests only. */
#pragma once
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/auth_parts.h"
#include "tests/kit/kit.h"
#include "wire/mqtt.h"
#include "wire/token.h"

#define UNUSED_FN __attribute__((unused))

/* ---- The endpoint: one thread per connection ---- */
enum { ENDPOINT_CONNS = 512, REQUEST_MAX = 8192 };

struct endpoint;
/* key: "<key>" or "<id>:<first16>" */
typedef void (*reply_fn)(struct endpoint *e, int fd, const char *key);

struct endpoint {
	int listener;
	uint16_t port;
	pthread_t thread;
	pthread_t conn[ENDPOINT_CONNS];
	_Atomic int fd[ENDPOINT_CONNS];
	int conns; /* of the accepting thread */
	_Atomic bool stop;
	_Atomic(reply_fn) reply;
	_Atomic unsigned requests, busy, busy_most;
	_Atomic size_t written; /* bytes of bodies and headers that somebody took */
	_Atomic int delay_ms;
	/* What a good reply says */
	_Atomic uint64_t cid;
	_Atomic int64_t expire;
	_Atomic(const char *) topic; /* of the one grant */
	/* more members of the token object, beginning with a comma */
	_Atomic(const char *) extra;
	pthread_mutex_t lock;
	char last[REQUEST_MAX]; /* the last request, under lock */
};

static bool endpoint_write(struct endpoint *e, int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL);

		if (done <= 0)
			return false;
		atomic_fetch_add(&e->written, (size_t)done);
		p += done;
		n -= (size_t)done;
	}
	return true;
}

static void endpoint_say(struct endpoint *e, int fd, const char *head, const char *body)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", head,
	                 strlen(body));

	if (endpoint_write(e, fd, text, (size_t)n))
		(void)endpoint_write(e, fd, body, strlen(body));
}

#define OK_JSON "200 OK\r\nContent-Type: application/json"
#define ACCESS(topic) \
	"\"access\":{\"type\":2,\"acl\":[{\"uri\":\"mqtt\",\"topic\":\"" topic \
	"\",\"actions\":[\"publish\",\"subscribe\"]}]}"

static uint64_t id_of(const char *key) /* "k12" and "12:..." are token 12 */
{
	return strtoull(*key == 'k' ? key + 1 : key, NULL, 10);
}

static void good(struct endpoint *e, int fd, const char *key)
{
	char body[1024];

	(void)snprintf(body, sizeof(body),
	               "{\"result\":[{\"id\":%" PRIu64 ",\"cid\":%" PRIu64
	               ",\"enabled\":true,\"expire\":%" PRId64 "," ACCESS("%s") "%s}]}",
	               id_of(key), atomic_load(&e->cid), atomic_load(&e->expire),
	               atomic_load(&e->topic), atomic_load(&e->extra));
	endpoint_say(e, fd, OK_JSON, body);
}

static UNUSED_FN void says_401(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	endpoint_say(e, fd, "401 Unauthorized", "");
}

static UNUSED_FN void says_403(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	endpoint_say(e, fd, "403 Forbidden", "<html>");
}

static UNUSED_FN void says_500(struct endpoint *e, int fd, const char *key)
{
	(void)key;
	endpoint_say(e, fd, "500 Oops\r\nContent-Type: application/json", "{}");
}

static void endpoint_pause(struct endpoint *e, int ms)
{
	for (int64_t end = clock_mono_ms() + ms; clock_mono_ms() < end && !atomic_load(&e->stop);)
		(void)usleep(2000);
}

static bool endpoint_read(struct endpoint *e, int fd) /* one request into e->last's copy */
{
	char text[REQUEST_MAX], *line, *end;
	size_t n = 0;
	ssize_t got;
	reply_fn reply;

	do {
		got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		if (got <= 0)
			return false;
		n += (size_t)got;
		text[n] = '\0';
	} while (!strstr(text, "\r\n\r\n") && n < sizeof(text) - 1);
	pthread_mutex_lock(&e->lock);
	memcpy(e->last, text, n + 1);
	pthread_mutex_unlock(&e->lock);
	line = strstr(text, "Authorization: FlespiToken ");
	if (!line)
		return false;
	line += strlen("Authorization: FlespiToken ");
	end = strstr(line, "\r\n");
	*end = '\0';
	/* Taken before the pause: an answer is about the moment the question came. */
	reply = atomic_load(&e->reply);
	atomic_fetch_add(&e->requests, 1);
	endpoint_pause(e, atomic_load(&e->delay_ms));
	reply(e, fd, line);
	return true;
}

struct endpoint_conn {
	struct endpoint *e;
	int fd, index;
};

static void *endpoint_conn_main(void *arg)
{
	struct endpoint_conn c = *(struct endpoint_conn *)arg;
	unsigned busy = atomic_fetch_add(&c.e->busy, 1) + 1, most = atomic_load(&c.e->busy_most);

	free(arg);
	while (busy > most && !atomic_compare_exchange_weak(&c.e->busy_most, &most, busy))
		;
	while (!atomic_load(&c.e->stop) && endpoint_read(c.e, c.fd))
		;
	atomic_fetch_sub(&c.e->busy, 1);
	(void)shutdown(c.fd, SHUT_RDWR); /* closed when the endpoint stops */
	return NULL;
}

static void *endpoint_main(void *arg)
{
	struct endpoint *e = arg;
	struct pollfd p = { .fd = e->listener, .events = POLLIN };

	while (!atomic_load(&e->stop)) {
		struct endpoint_conn *c;
		int fd;

		if (poll(&p, 1, 20) <= 0)
			continue;
		fd = accept(e->listener, NULL, NULL);
		if (fd < 0)
			continue;
		MUST(e->conns < ENDPOINT_CONNS);
		c = malloc(sizeof(*c));
		*c = (struct endpoint_conn){ .e = e, .fd = fd, .index = e->conns };
		atomic_store(&e->fd[e->conns], fd);
		MUST(pthread_create(&e->conn[e->conns], NULL, endpoint_conn_main, c) == 0);
		e->conns++;
	}
	return NULL;
}

static int endpoint_listen(uint16_t port, const char *unix_path)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		                  .sin_port = htons(port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int one = 1, fd = socket(unix_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0);
	if (unix_path) {
		(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", unix_path);
		MUST(bind(fd, (struct sockaddr *)(void *)&un, sizeof(un)) == 0);
	} else {
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		MUST(bind(fd, (struct sockaddr *)(void *)&in, sizeof(in)) == 0);
	}
	MUST(listen(fd, 256) == 0);
	return fd;
}

/* port 0: any; unix_path: NULL for TCP. */
static struct endpoint *endpoint_start(uint16_t port, const char *unix_path)
{
	struct endpoint *e = calloc(1, sizeof(*e));

	e->listener = endpoint_listen(port, unix_path);
	e->port = unix_path ? 0 : sock_port(e->listener);
	pthread_mutex_init(&e->lock, NULL);
	atomic_store(&e->reply, good);
	atomic_store(&e->cid, 7);
	atomic_store(&e->topic, "a/#");
	atomic_store(&e->extra, "");
	MUST(pthread_create(&e->thread, NULL, endpoint_main, e) == 0);
	return e;
}

static void endpoint_stop(struct endpoint **slot)
{
	struct endpoint *e = *slot;

	*slot = NULL;
	if (!e)
		return;
	atomic_store(&e->stop, true);
	pthread_join(e->thread, NULL);
	close(e->listener);
	for (int i = 0; i < e->conns; i++)
		(void)shutdown(atomic_load(&e->fd[i]), SHUT_RDWR);
	for (int i = 0; i < e->conns; i++) {
		pthread_join(e->conn[i], NULL);
		close(atomic_load(&e->fd[i]));
	}
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* ---- The worker's side ---- */
enum { NOTICES = 64 };
struct told {
	struct token *token; /* borrowed: only to be compared */
	uint64_t customer, id;
	bool rights;
	bool may_b; /* may publish to b/x */
	uint8_t reason;
};

static struct proxy_config config;
static char url[128];
static struct endpoint *ep;
static struct auth *au;
static struct loop *loop;
static struct inbox *inbox;
static struct told told[NOTICES];
static unsigned told_count;
/* what the core is to be told */
static struct heard {
	enum auth_tell tell;
	uint64_t customer, id;
	bool may_b;
} heard[NOTICES];
static unsigned heard_count;
static struct sock_addr home = { .bytes = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 } };

static void turn_once(void)
{
	loop_turn(loop, 5);
	if (!au->thread) /* single-threaded: the test turns both */
		loop_turn(au->loop, 0);
}

/* Turns the worker's loop until the condition holds; claims that it did within so many ms. */
#define UNTIL(condition, ms) \
	do { \
		for (int64_t end_ = clock_mono_ms() + (ms); \
		     !(condition) && clock_mono_ms() < end_;) \
			turn_once(); \
		YES(condition); \
	} while (0)

static UNUSED_FN void turn_for(int64_t ms)
{
	for (int64_t end = clock_mono_ms() + ms; clock_mono_ms() < end;)
		turn_once();
}

static void on_notice(struct auth_notice *n)
{
	MUST(n->worker == &config && told_count < NOTICES && heard_count < NOTICES);
	if (n->tell != TELL_NOTHING)
		heard[heard_count++] =
		    (struct heard){ n->tell, n->customer, n->id,
			            n->acl && acl_may_publish(n->acl, STR("b/x")) };
	if (!n->token) {
		auth_notice_free(&n);
		return;
	}
	told[told_count++] = (struct told){ .token = n->token,
		                            .customer = n->customer,
		                            .id = n->id,
		                            .rights = n->acl != NULL,
		                            .may_b = n->acl && acl_may_publish(n->acl, STR("b/x")),
		                            .reason = n->reason };
	auth_notice_free(&n);
}

static bool running, abandoned; /* a failed claim left a test before its end() */

static void end(void);

static void defaults(void)
{
	if (running) {
		abandoned = true;
		end();
	}
	abandoned = false;
	config = (struct proxy_config){
		.auth_insecure = true,
		.auth_key_form = 1,
		.auth_connect_timeout = 1000,
		.auth_timeout = 2000,
		.auth_cache = 60000,
		.auth_no = 5000,
		.auth_stale = 300000,
		.auth_poll = 30000,
		.auth_parallel = 16,
		.auth_queue = 256,
		.auth_known_max = 1000,
		.auth_no_max = 1000,
		.auth_body_max = 65536,
		.connections_max = 1000,
	};
	config.auth_url = url;
	log_start("test", LOG_ERROR);
}

static void start_auth(bool threaded)
{
	const char *why = NULL;

	rcu_thread_enter();
	running = true;
	told_count = heard_count = 0;
	MUST(loop_open(&loop) == 0);
	MUST(inbox_open(&inbox, loop) == 0);
	IS(auth_start(&au, &config, &why), 0);
	auth_add_worker(au, inbox, &config, on_notice);
	if (threaded)
		IS(auth_run(au), 0);
}

/* defaults(); config.x = ...; begin(); ...; end(); */
static UNUSED_FN void begin(void)
{
	ep = endpoint_start(0, NULL);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/auth/info", ep->port);
	start_auth(true);
}

static void end(void)
{
	auth_stop(&au);
	inbox_close(&inbox);
	loop_close(&loop);
	endpoint_stop(&ep);
	rcu_thread_leave();
	rcu_drain();
	running = false;
}

/* ---- Asking ---- */
struct asked {
	bool back;
	uint8_t reason;
	struct token *token;
};

static void asked_back(struct auth_ask *ask)
{
	struct asked *x = ask->owner;

	if (abandoned) {
		auth_ask_free(&ask); /* x was on the stack of the test that failed */
		return;
	}
	x->back = true;
	x->reason = ask->reason;
	x->token = ask->token;
	ask->token = NULL;
	auth_ask_free(&ask);
}

static UNUSED_FN struct credential whole(const char *key)
{
	return (struct credential){ .key = str_c(key) };
}

static void send_as(struct asked *x, struct credential c, const struct sock_addr *peer)
{
	struct auth_ask *ask = auth_ask_new(&c, peer, inbox, asked_back, x);

	*x = (struct asked){ 0 };
	MUST(ask);
	auth_ask(au, ask);
}

static UNUSED_FN void send_ask(struct asked *x, const char *key)
{
	send_as(x, whole(key), &home);
}

static uint8_t ask_as(struct credential c, const struct sock_addr *peer, struct token **token)
{
	struct asked x;

	send_as(&x, c, peer);
	UNTIL(x.back, 10000);
	*token = x.token;
	return x.reason;
}

static UNUSED_FN uint8_t ask(const char *key) /* and lets go of the token */
{
	struct token *t;
	uint8_t reason = ask_as(whole(key), &home, &t);

	auth_token_put(&t);
	return reason;
}

static UNUSED_FN struct token *use(const char *key) /* as a connection does: keeps the token */
{
	struct token *t;

	IS(ask_as(whole(key), &home, &t), RC_SUCCESS);
	return t;
}

static UNUSED_FN int look(const char *key)
{
	struct credential c = whole(key);
	struct token *t = NULL;
	int reason = auth_look(au, &c, &home, &t);

	YES((reason == RC_SUCCESS) == (t != NULL));
	auth_token_put(&t);
	return reason;
}

static UNUSED_FN unsigned requests(void)
{
	return atomic_load(&ep->requests);
}

static UNUSED_FN uint64_t counted(const _Atomic uint64_t *c)
{
	return atomic_load((_Atomic uint64_t *)(uintptr_t)c);
}

static UNUSED_FN uint8_t reason_of(const struct token *t)
{
	return auth_verdict(t)->reason;
}

static UNUSED_FN bool may(const struct token *t, const char *topic)
{
	return reason_of(t) == RC_SUCCESS &&
	       acl_may_publish(auth_verdict(t)->info.acl, str_c(topic));
}

/* ---- Pushing ---- */
static UNUSED_FN void push(const char *topic, const char *payload)
{
	auth_push(au, str_c(topic), str_c(payload));
}

#define TOKEN(id, topic) "{\"id\":" #id ",\"cid\":7,\"enabled\":true," ACCESS(topic) "}"
#define DELETED(id)      "{\"id\":" #id ",\"cid\":7,\"deleted\":true}"

/* Good until the next one is asked for. */
UNUSED_FN static const char *key_no(unsigned i)
{
	static char name[32];

	(void)snprintf(name, sizeof(name), "k%u", i);
	return name;
}
