/* auth_door.c - the Unix socket on which proxies ask (auth_door.h).
 *
 * A connection is read when something is there, at most one head's worth; of what waits a few
 * requests are answered a turn, so that no connection keeps the others waiting; what the peer does
 * not take at once is kept, and nothing more is read from it until it is gone. A connection that is
 * silent between requests is left alone (a proxy keeps its own open, and a close at the wrong
 * moment costs it a question) until its place is needed. */
#include "base/base.h"
#include "admin/auth_door.h"

#include <errno.h>
#include <libgen.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/auth_request.h"
#include "admin/router.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"
#include "base/thread.h"
#include "base/uids.h"

enum { ACCEPT_MOST = 64, ACCEPT_PAUSE_MS = 100, REQUESTS_A_TURN = 8, LOOK_MS = 1000 };

struct auth_door {
	/* Written before the thread runs */
	const struct admin_config *config;
	struct uids uids;
	char path[CONFIG_SOCKET];
	struct loop *loop;
	struct thread *thread;
	struct db *db;
	struct rest rest; /* over db; no bus, no followers */
	/* Its thread */
	struct watch listener;
	struct timer timer; /* accepting again, and looking for late ones */
	struct list conns;  /* of asker.node, the longest silent first */
	size_t count;
	uint64_t refused;
};

struct asker { /* a connection of a proxy */
	struct auth_door *door;
	struct list node;
	struct watch watch;
	struct timer again; /* more requests are here than were answered in this turn */
	struct buf in, out;
	size_t seen;   /* bytes of in that hold no whole head */
	int64_t since; /* loop time since when it waits for something; 0 = for nothing */
	uid_t uid;
	bool ending; /* closed once out is written */
};

/* ---- Ends ---- */
static void asker_free(struct asker *a)
{
	int fd = a->watch.fd;

	timer_stop(&a->again);
	loop_unwatch(a->door->loop, &a->watch);
	sock_close(&fd);
	list_del(&a->node);
	a->door->count--;
	if (a->in.p)
		mem_wipe(a->in.p, a->in.cap); /* keys were in it */
	buf_free(&a->in);
	buf_free(&a->out);
	mem_free(a);
}

static void asker_settle(struct asker *a)
{
	struct auth_door *d = a->door;
	bool idle = buf_len(&a->in) == 0 && buf_len(&a->out) == 0;

	if (idle) {
		if (a->in.p)
			mem_wipe(a->in.p, a->in.cap);
		buf_free(&a->in);
		buf_free(&a->out);
	}
	a->since = idle ? 0 : a->since ? a->since : loop_now(d->loop);
	list_del(&a->node);
	list_add_tail(&d->conns, &a->node);
	loop_rewatch(d->loop, &a->watch, buf_len(&a->out) ? LOOP_WRITE : LOOP_READ);
}

/* ---- Answers ---- */
static const char *reason_of(unsigned status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

static void say(struct asker *a, unsigned status, struct str body)
{
	buf_printf(&a->out,
	           "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
	           "Content-Length: %zu\r\n%s\r\n",
	           status, reason_of(status), body.n, a->ending ? "Connection: close\r\n" : "");
	buf_str_add(&a->out, body);
}

static void refuse(struct asker *a, unsigned status, enum rest_error error, const char *reason)
{
	char body[160];
	int n = snprintf(body, sizeof(body), "{\"errors\":[{\"code\":%d,\"reason\":\"%s\"}]}",
	                 (int)error, reason);

	a->ending = true;
	LOG_WARN("", "auth-refused", "status=%u uid=%u why=%s", status, (unsigned)a->uid,
	         log_esc(str_c(reason)));
	say(a, status, str_make(body, (size_t)n));
}

static void answer(struct asker *a, const struct auth_request *r)
{
	struct auth_door *d = a->door;
	struct http_req req = { .method = HTTP_GET,
		                .path = STR("/auth/info"),
		                .peer = STR("local") };
	struct http_resp resp = { 0 };
	int64_t begun = clock_mono_ms();

	req.authorization = r->authorization;
	req.has_authorization = r->authorization.p != NULL;
	/* one moment for the token, its limits and its customer */
	if (db_begin_read(d->db) == 0) {
		router_handle(&d->rest, &req, &resp);
		if (db_commit(d->db))
			LOG_WARN("", "read-not-ended", "why=%s", "database");
	} else {
		resp.status = 503;
	}
	if (resp.status == 0 || !buf_ok(&resp.body)) {
		buf_free(&resp.body);
		resp.status = 500;
	}
	LOG_INFO("", "request",
	         "method=GET path=/auth/info status=%u cid=%llu token=%llu peer=uid-%u ms=%lld",
	         resp.status, (unsigned long long)resp.cid, (unsigned long long)resp.token,
	         (unsigned)a->uid, (long long)(clock_mono_ms() - begun));
	say(a, resp.status, buf_str(&resp.body));
	buf_free(&resp.body);
}

/* ---- A connection ---- */
static bool asker_write(struct asker *a) /* false: it is gone */
{
	while (buf_len(&a->out)) {
		ssize_t n = send(a->watch.fd, buf_data(&a->out), buf_len(&a->out),
		                 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		buf_consume(&a->out, (size_t)n);
	}
	return !a->ending;
}

/* The whole requests that wait, a few of them. True: there are more. */
static bool asker_answer(struct asker *a)
{
	for (unsigned i = 0; i < REQUESTS_A_TURN; i++) {
		struct auth_request r;
		enum parse parsed = auth_request_read(buf_str(&a->in), a->seen,
		                                      (size_t)a->door->config->header_max, &r);

		a->seen = parsed == PARSE_MORE ? buf_len(&a->in) : 0;
		if (parsed == PARSE_MORE)
			return false;
		if (parsed == PARSE_BAD) {
			refuse(a, 400, REST_BAD_REQUEST, "not a request that is taken here");
			return false;
		}
		a->ending = r.close;
		if (!str_eq(r.target, STR("/auth/info")))
			refuse(a, 404, REST_NOT_FOUND, "only /auth/info is here");
		else if (!str_eq(r.method, STR("GET")))
			refuse(a, 405, REST_METHOD, "only GET is possible here");
		else
			answer(a, &r);
		buf_consume(&a->in, r.size);
		a->since = 0;
		if (a->ending)
			return false;
	}
	return buf_len(&a->in) > 0;
}

static bool asker_read(struct asker *a) /* false: it is gone, or has nothing to say any more */
{
	size_t most = (size_t)a->door->config->header_max;
	uint8_t *room = buf_len(&a->in) < most ? buf_reserve(&a->in, most - buf_len(&a->in)) : NULL;
	ssize_t n;

	if (!room)
		return buf_ok(&a->in);
	n = recv(a->watch.fd, room, most - buf_len(&a->in), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	buf_commit(&a->in, (size_t)n);
	return n > 0;
}

static void asker_turn(struct asker *a, bool readable)
{
	bool stuck = buf_len(&a->out) > 0, more = stuck, alive = true;

	if (!stuck) {
		alive = !readable || asker_read(a);
		more = alive && asker_answer(a);
	}
	if (!alive || !buf_ok(&a->out) || !asker_write(a)) {
		asker_free(a);
		return;
	}
	asker_settle(a);
	if (more && buf_len(&a->out) == 0 && buf_len(&a->in))
		timer_set(a->door->loop, &a->again, 0);
}

static void asker_ready(struct watch *w, unsigned events)
{
	struct asker *a = container_of(w, struct asker, watch);

	if (events & LOOP_HANGUP && buf_len(&a->out))
		asker_free(a); /* nobody takes it any more */
	else
		asker_turn(a, true);
}

static void asker_again(struct timer *t)
{
	asker_turn(container_of(t, struct asker, again), false);
}

/* ---- Accepting ---- */
/* The connection that has been silent longest gives its place, if it waits for nothing. */
static bool make_room(struct auth_door *d)
{
	struct asker *a;

	if (d->count < (size_t)d->config->auth_connections_max)
		return true;
	a = list_first(&d->conns, struct asker, node);
	if (a && a->since == 0) {
		asker_free(a);
		return true;
	}
	d->refused++;
	LOG_WARN("", "connection-refused", "why=auth_connections_max count=%llu",
	         (unsigned long long)d->refused);
	return false;
}

static void come_in(struct auth_door *d, int fd)
{
	struct asker *a;
	uid_t uid = (uid_t)-1;

	if (sock_peer_uid(fd, &uid) || !uids_trust(&d->uids, uid)) {
		LOG_WARN("", "auth-stranger", "uid=%u", (unsigned)uid);
		sock_close(&fd);
		return;
	}
	a = make_room(d) ? mem_zalloc(sizeof(*a)) : NULL;
	if (!a) {
		sock_close(&fd);
		return;
	}
	a->door = d;
	a->uid = uid;
	list_init(&a->node);
	timer_init(&a->again, asker_again);
	if (loop_watch(d->loop, &a->watch, fd, LOOP_READ, asker_ready)) {
		sock_close(&fd);
		mem_free(a);
		return;
	}
	list_add_tail(&d->conns, &a->node);
	d->count++;
}

static void listener_ready(struct watch *w, unsigned events)
{
	struct auth_door *d = container_of(w, struct auth_door, listener);

	(void)events;
	for (unsigned i = 0; i < ACCEPT_MOST; i++) {
		struct sock_addr peer;
		int fd, err = sock_accept(w->fd, &fd, &peer);

		if (err == -E_LIMIT) { /* it stays in the queue, and the socket ready */
			LOG_WARN("", "accept-paused", "why=descriptors socket=auth");
			loop_rewatch(d->loop, w, 0);
			timer_set(d->loop, &d->timer, ACCEPT_PAUSE_MS);
		}
		if (err)
			return;
		come_in(d, fd);
	}
}

static void look(struct timer *t)
{
	struct auth_door *d = container_of(t, struct auth_door, timer);
	int64_t now = loop_now(d->loop);
	struct asker *a;

	list_each(a, &d->conns, struct asker, node) {
		if (a->since && now - a->since > d->config->request_deadline)
			asker_free(a); /* it sends, or takes, too slowly */
	}
	loop_rewatch(d->loop, &d->listener, LOOP_READ);
	timer_set(d->loop, t, LOOK_MS);
}

/* ---- Life ---- */
static int own_folder(const char *path, char *why, size_t why_size)
{
	char copy[CONFIG_SOCKET], *dir;
	const char *cause = NULL;
	struct stat st;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	dir = dirname(copy);
	if ((mkdir(dir, 0750) < 0 && errno != EEXIST) || stat(dir, &st) < 0)
		cause = strerror(errno);
	else if (!S_ISDIR(st.st_mode))
		cause = "it is not a folder";
	else if (st.st_mode & S_IWOTH)
		cause = "everybody may write there, and could take the socket's place; expected "
			"mode 0750";
	if (!cause)
		return 0;
	(void)snprintf(why, why_size,
	               "auth_socket: cannot use the folder %s: %s; name another path in "
	               "auth_socket, and in auth_url of "
	               "mbus-proxy",
	               dir, cause);
	return -E_INVALID;
}

static int bind_socket(struct auth_door *d, char *why, size_t why_size)
{
	const char *cause;
	int fd = -1, err = own_folder(d->path, why, why_size);

	if (err)
		return err;
	err = sock_listen_unix(&fd, d->path, 0660, &cause);
	if (!err) {
		cause = "out of memory or descriptors";
		err = loop_watch(d->loop, &d->listener, fd, LOOP_READ, listener_ready);
		if (err)
			sock_close(&fd);
	}
	if (err)
		(void)snprintf(why, why_size, "auth_socket: cannot listen on %s: %s", d->path,
		               cause);
	return err;
}

static int open_store(struct auth_door *d, const struct tokens *tokens, char *why, size_t why_size)
{
	int err = db_open_reader(&d->db, d->config->dir, d->config->busy_timeout, why, why_size);

	if (err)
		return err;
	(void)snprintf(why, why_size, "out of memory");
	d->rest.db = d->db;
	d->rest.config = d->config;
	return tokens_open_reader(&d->rest.tokens, tokens, d->db);
}

int auth_door_open(struct auth_door **out, const struct admin_config *config,
                   const struct tokens *tokens, char *why, size_t why_size)
{
	struct auth_door *d;
	const char *cause = NULL;
	char path[CONFIG_SOCKET];
	int err = config_auth_socket(config, path, &cause);

	*out = NULL;
	if (cause)
		(void)snprintf(why, why_size, "%s", cause);
	if (err || !*path)
		return err;
	(void)snprintf(why, why_size, "out of memory");
	d = mem_zalloc(sizeof(*d));
	if (!d)
		return -E_NOMEM;
	d->config = config;
	d->listener.fd = -1;
	memcpy(d->path, path, sizeof(path));
	list_init(&d->conns);
	timer_init(&d->timer, look);
	err = uids_read(&d->uids, config->trusted_uids, &cause);
	if (err)
		(void)snprintf(why, why_size, "%s", cause);
	if (!err)
		err = open_store(d, tokens, why, why_size);
	if (!err)
		err = loop_open(&d->loop);
	if (!err)
		err = bind_socket(d, why, why_size);
	if (err)
		auth_door_stop(&d);
	*out = d;
	return err;
}

static void thread_main(void *arg)
{
	const struct sched_param none = { 0 };
	struct auth_door *d = arg;

	/* A proxy waits for each answer: not as patient as other loops (base/thread.c). */
	(void)pthread_setschedparam(pthread_self(), SCHED_OTHER, &none);
	timer_set(d->loop, &d->timer, LOOK_MS);
	loop_run(d->loop);
}

int auth_door_start(struct auth_door *d)
{
	return d ? thread_start(&d->thread, "auth", thread_main, d) : 0;
}

void auth_door_stop(struct auth_door **slot)
{
	struct auth_door *d = *slot;
	struct asker *a;
	int fd;

	*slot = NULL;
	if (!d)
		return;
	if (d->thread) {
		loop_stop(d->loop);
		thread_join(&d->thread);
	}
	list_each(a, &d->conns, struct asker, node) {
		asker_free(a);
	}
	fd = d->listener.fd;
	if (fd >= 0) {
		loop_unwatch(d->loop, &d->listener);
		sock_close(&fd);
		(void)unlink(d->path);
	}
	timer_stop(&d->timer);
	if (d->loop)
		loop_close(&d->loop);
	if (d->rest.tokens)
		tokens_close(&d->rest.tokens);
	db_close(&d->db);
	mem_free(d);
}

const char *auth_door_path(const struct auth_door *d)
{
	return d ? d->path : "";
}
