/* listen.c - the sockets of all doors (listen.h). */
#include "base/base.h"
#include "proxy/listen.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/sock.h"
#include "proxy/config.h"

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

static int read_one(struct listen *l, const struct door_kind *kind, struct str text,
                    const char **why)
{
	struct listen_at *at = &l->at[l->count];
	char address[LISTEN_HOST + 8];

	if (l->count == LISTEN_MAX) {
		*why = "more than 16 addresses";
		return -E_INVALID;
	}
	*why = "not an address: write host:port, [::1]:1883 or *:1883, several with commas";
	if (text.n >= sizeof(address))
		return -E_INVALID;
	memcpy(address, text.n ? text.p : "", text.n);
	address[text.n] = 0;
	at->kind = kind;
	if (config_address(address, at->host, sizeof(at->host), &at->port))
		return -E_INVALID;
	for (unsigned i = 0; i < LISTEN_WORKERS; i++)
		at->fd[i] = -1;
	l->count++;
	return 0;
}

int listen_read(struct listen *l, const struct proxy_config *config, const char **what,
                const char **why)
{
	l->count = 0;
	for (unsigned i = 0; i < DOOR_KINDS; i++) {
		const char *text = addresses_of(&door_kinds[i], config);
		struct str list = text && *text ? str_c(text) : STR_NONE, item;

		*what = text;
		while (listen_next(&list, &item)) {
			int err = read_one(l, &door_kinds[i], item, why);

			if (err)
				return err;
		}
	}
	if (l->count)
		return 0;
	*what = "doors";
	*why = "mqtt, mqtts, ws and wss are all empty: no door is open at all";
	return -E_INVALID;
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

static int open_all(struct listen_at *at, unsigned workers, const char **why)
{
	int err = port_is_free(at, why);

	if (err && err != -E_BUSY && err != -E_DENIED && strcmp(at->host, "::") == 0) {
		memcpy(at->host, "0.0.0.0", 8); /* a machine without IPv6 */
		err = port_is_free(at, why);
	}
	for (unsigned i = 0; !err && i < workers; i++)
		err = open_one(at, i, why);
	return err;
}

int listen_open(struct listen *l, unsigned workers, const char **what, const char **why)
{
	MUST(workers <= LISTEN_WORKERS);
	for (unsigned i = 0; i < l->count; i++) {
		static char text[LISTEN_HOST + 24]; /* *what points here: main thread, once */
		struct listen_at *at = &l->at[i];
		int err = open_all(at, workers, why);

		if (err) {
			(void)snprintf(text, sizeof(text), "%s = %s:%u", at->kind->option, at->host,
			               at->port);
			*what = text;
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

bool listen_any_tls(const struct listen *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		if (l->at[i].kind->tls)
			return true;
	}
	return false;
}
