/* listen.c - the sockets of all doors (listen.h). */
#include "base/base.h"
#include "proxy/listen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/sock.h"

/* data nobody acknowledges: the peer is gone (fault F17) */
enum { USER_TIMEOUT_MS = 30000 };

/* ---- Reading the configuration ---- */

static struct str trim(struct str s)
{
	while (s.n && s.p[0] == ' ')
		s = str_skip(s, 1);
	while (s.n && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

bool listen_next(struct str *list, struct str *item)
{
	const char *comma;

	if (!list->p)
		return false;
	comma = list->n ? memchr(list->p, ',', list->n) : NULL;
	*item = trim(str_make(list->p, comma ? (size_t)(comma - list->p) : list->n));
	*list = comma ? str_make(comma + 1, list->n - (size_t)(comma - list->p) - 1) : STR_NONE;
	return true;
}

static const char *addresses_of(const struct door_kind *kind, const struct proxy_config *config)
{
	return *(char *const *)(const void *)((const char *)config + kind->listen);
}

/* "unix:/run/mbus/mqtt.sock" */
static int read_path(struct listen_at *at, struct str path, const char **why)
{
	*why = "a Unix socket is written unix:/path, with at most 107 bytes of path";
	if (path.n == 0 || path.p[0] != '/' || path.n > 107)
		return -E_INVALID;
	memcpy(at->host, path.p, path.n);
	at->local = true;
	return 0;
}

/* As the system spells it: a socket that was there before us is found by its name. */
static void spell(char *host, socklen_t size)
{
	uint8_t bytes[16];
	int family = strchr(host, ':') ? AF_INET6 : AF_INET;

	if (inet_pton(family, host, bytes) == 1)
		MUST(inet_ntop(family, bytes, host, size));
}

static int read_text(struct listen_at *at, struct str text, const char **why)
{
	const struct str local = STR("unix:");
	char address[80];
	int err;

	if (str_starts(text, local))
		return read_path(at, str_skip(text, local.n), why);
	*why = "not an address: write host:port, [::1]:1883, *:1883 or unix:/path, several with "
	       "commas";
	if (text.n >= sizeof(address))
		return -E_INVALID;
	memcpy(address, text.n ? text.p : "", text.n);
	address[text.n] = 0;
	err = config_address(address, at->host, sizeof(at->host), &at->port);
	if (!err)
		spell(at->host, sizeof(at->host));
	return err;
}

static struct listen_at *add(struct listen *l, const struct door_kind *kind, struct listener *of,
                             const char **why)
{
	struct listen_at *at = &l->at[l->count];

	*why = "more than 32 addresses";
	if (l->count == LISTEN_MAX)
		return NULL;
	*at = (struct listen_at){ .kind = kind, .listener = of };
	for (unsigned i = 0; i < LISTEN_WORKERS; i++)
		at->fd[i] = -1;
	if (kind->tls && of->tls < 0)
		of->tls = (int)l->tls++;
	l->count++;
	return at;
}

static int read_list(struct listen *l, const struct door_kind *kind, struct listener *of,
                     const char *text, const char **why)
{
	struct str list = text && *text ? str_c(text) : STR_NONE, item;

	while (listen_next(&list, &item)) {
		struct listen_at *at = add(l, kind, of, why);
		int err = at ? read_text(at, item, why) : -E_INVALID;

		if (err)
			return err;
	}
	return 0;
}

static struct listener *begin(struct listen *l, const char *name, const struct proxy_config *config)
{
	struct listener *of = &l->listener[l->listeners++];

	*of = (struct listener){ .name = name, .config = config, .tls = -1 };
	return of;
}

int listen_read(struct listen *l, const struct proxy_config *config, const char **what,
                const char **why)
{
	struct listener *of;
	int err;

	l->count = l->listeners = l->tls = 0;
	of = begin(l, "", config);
	err = front_read(&of->front, config, what, why);
	for (unsigned i = 0; !err && i < DOOR_KINDS; i++) {
		*what = addresses_of(&door_kinds[i], config);
		err = read_list(l, &door_kinds[i], of, *what, why);
	}
	for (unsigned i = 0; !err && i < config->listeners; i++) {
		const struct listener_config *c = &config->listener[i];

		of = begin(l, c->name, &c->config);
		of->count_ledger =
		    listener_says(c, "connections_per_ip") ? (uint8_t)l->listeners : 0;
		of->rate_ledger =
		    listener_says(c, "connect_rate_per_ip") ? (uint8_t)l->listeners : 0;
		err = front_read(&of->front, &c->config, what, why);
		if (err)
			break;
		*what = c->config.listener_address;
		err = read_list(l, &door_kinds[c->config.listener_kind], of, *what, why);
	}
	return err;
}

/* ---- Sockets that were there before us ---- */

static void forget(struct listen *l, const struct door_kind *kind, const struct listener *of)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < l->count; i++) {
		if (l->at[i].kind != kind || l->at[i].listener != of)
			l->at[kept++] = l->at[i];
	}
	l->count = kept;
}

static bool has(const struct listen *l, const struct inherited_socket *s)
{
	for (unsigned i = 0; i < l->count; i++) {
		if (strcmp(l->at[i].host, s->host) == 0 && l->at[i].port == s->port)
			return true;
	}
	return false;
}

static int stand_in(struct listen *l, const struct door_kind *kind, struct listener *of,
                    const char *name, struct inherited *in, const char **why)
{
	struct inherited_socket *s;
	bool first = true;

	for (unsigned i = 0; (s = inherit_named(in, name, &i));) {
		struct listen_at *at;

		if (first)
			forget(l, kind, of);
		first = false;
		if (has(l, s))
			continue;
		at = add(l, kind, of, why);
		if (!at)
			return -E_LIMIT;
		memcpy(at->host, s->host, sizeof(s->host));
		at->port = s->port;
		at->local = s->local;
	}
	return 0;
}

int listen_named(struct listen *l, struct inherited *in, const char **what, const char **why)
{
	int err = 0;

	*what = "LISTEN_FDS";
	for (unsigned i = 1; !err && i < l->listeners; i++)
		err = stand_in(l, &door_kinds[l->listener[i].config->listener_kind],
		               &l->listener[i], l->listener[i].name, in, why);
	for (unsigned k = 0; !err && k < DOOR_KINDS; k++)
		err = stand_in(l, &door_kinds[k], &l->listener[0], door_kinds[k].option, in, why);
	if (err || l->count)
		return err;
	*what = "doors";
	*why = "mqtt, mqtts, ws and wss are all empty: no door is open at all";
	return -E_INVALID;
}

/* More workers than sockets: several have copies of one. */
static int share_out(struct listen_at *at, unsigned workers, const char **why)
{
	unsigned sockets = at->fds;

	at->shared = sockets == 1;
	for (; at->fds < workers; at->fds++) {
		at->fd[at->fds] = fcntl(at->fd[at->fds % sockets], F_DUPFD_CLOEXEC, 0);
		if (at->fd[at->fds] < 0) {
			*why = "too many open files";
			return -E_LIMIT;
		}
	}
	return 0;
}

/* 1: it was there; 0: it is to be opened; or -E_*. */
static int take_inherited(struct listen_at *at, unsigned workers, struct inherited *in,
                          const char **why)
{
	struct inherited_socket *s;
	int err;

	for (unsigned i = 0; (s = inherit_at(in, at->host, at->port, &i));) {
		if (at->fds == LISTEN_WORKERS) {
			*why = "more than 16 sockets are at this address";
			return -E_LIMIT;
		}
		at->fd[at->fds++] = s->fd;
		s->fd = -1;
	}
	if (at->fds == 0)
		return 0;
	err = share_out(at, workers, why);
	return err ? err : 1;
}

/* ---- Opening ---- */

/* SO_REUSEPORT would let a second proxy of ours share the port in silence: the first socket is
 * bound alone, as a test. */
static int port_is_free(const struct listen_at *at, const char **why)
{
	int fd = -1, err = at->port ? sock_listen_tcp(&fd, at->host, at->port, false, why) : 0;

	sock_close(&fd);
	return err;
}

static int open_one(struct listen_at *at, unsigned worker, const char **why)
{
	int err = sock_listen_tcp(&at->fd[worker], at->host, at->port, true, why);

	if (err)
		return err;
	(void)setsockopt(at->fd[worker], IPPROTO_TCP, TCP_USER_TIMEOUT,
	                 &(unsigned){ USER_TIMEOUT_MS }, sizeof(unsigned));
	at->port = sock_port(at->fd[worker]);
	return 0;
}

static int open_tcp(struct listen_at *at, unsigned workers, const char **why)
{
	int err = port_is_free(at, why);

	if (err && err != -E_BUSY && err != -E_DENIED && strcmp(at->host, "::") == 0) {
		memcpy(at->host, "0.0.0.0", 8); /* a machine without IPv6 */
		err = port_is_free(at, why);
	}
	for (; !err && at->fds < workers; at->fds += !err)
		err = open_one(at, at->fds, why);
	return err;
}

static int open_local(struct listen_at *at, unsigned workers, const char **why)
{
	unsigned mode = 0;
	int err = config_mode(at->listener->config->unix_mode, &mode);

	if (!err)
		err = sock_listen_unix(&at->fd[0], at->host, mode, why);
	if (err)
		return err;
	at->fds = 1;
	return share_out(at, workers, why);
}

/* Whoever opened it: where it is bound is what the configuration says, and what is logged. */
static int check_bound(const struct listen_at *at, const char **why)
{
	for (unsigned i = 0; i < at->fds; i++) {
		if (!sock_is_at(at->fd[i], at->host, at->port)) {
			*why = "the socket is bound to another address than this one";
			return -E_INVALID;
		}
	}
	return 0;
}

static int open_at(struct listen *l, struct listen_at *at, unsigned workers, struct inherited *in,
                   const char **why)
{
	int taken = take_inherited(at, workers, in, why);

	if (taken > 0)
		l->inherited = true;
	if (taken)
		return taken < 0 ? taken : 0;
	return at->local ? open_local(at, workers, why) : open_tcp(at, workers, why);
}

static const char *name_of(const struct listen_at *at)
{
	static char text[SOCKET_PATH + LISTENER_NAME + 32]; /* main thread, once */
	const char *section = at->listener->name, *key = *section ? "address" : at->kind->option;
	int n = *section ? snprintf(text, sizeof(text), "[listener %s] ", section) : 0;

	if (at->local)
		(void)snprintf(text + n, sizeof(text) - (size_t)n, "%s = unix:%s", key, at->host);
	else
		(void)snprintf(text + n, sizeof(text) - (size_t)n, "%s = %s:%u", key, at->host,
		               at->port);
	return text;
}

int listen_open(struct listen *l, unsigned workers, struct inherited *in, const char **what,
                const char **why)
{
	MUST(workers <= LISTEN_WORKERS);
	for (unsigned i = 0; i < l->count; i++) {
		int err = open_at(l, &l->at[i], workers, in, why);

		if (!err)
			err = check_bound(&l->at[i], why);
		if (err) {
			*what = name_of(&l->at[i]);
			return err;
		}
	}
	return 0;
}

void listen_close(struct listen *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		for (unsigned j = 0; j < LISTEN_WORKERS; j++)
			sock_close(&l->at[i].fd[j]);
	}
}
