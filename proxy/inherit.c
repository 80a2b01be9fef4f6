/* inherit.c - reading what sockets we were given (inherit.h). */
#include "base/base.h"
#include "proxy/inherit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/sock.h"

enum { FIRST_FD = 3 }; /* SD_LISTEN_FDS_START */

union any_addr {
	struct sockaddr base;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
	struct sockaddr_storage room;
};

static int number_of(int fd, int option)
{
	int value = 0;
	socklen_t n = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &n) < 0 ? -1 : value;
}

static bool read_address(struct inherited_socket *s)
{
	union any_addr a;
	socklen_t n = sizeof(a);

	memset(&a, 0, sizeof(a));
	if (getsockname(s->fd, &a.base, &n) < 0)
		return false;
	switch (a.base.sa_family) {
	case AF_INET:
		s->port = ntohs(a.v4.sin_port);
		return inet_ntop(AF_INET, &a.v4.sin_addr, s->host, sizeof(s->host));
	case AF_INET6:
		s->port = ntohs(a.v6.sin6_port);
		return inet_ntop(AF_INET6, &a.v6.sin6_addr, s->host, sizeof(s->host));
	case AF_UNIX:
		s->local = true;
		(void)snprintf(s->host, sizeof(s->host), "%s%.*s", a.local.sun_path[0] ? "" : "@",
		               (int)sizeof(a.local.sun_path) - 1,
		               a.local.sun_path + (a.local.sun_path[0] ? 0 : 1));
		return true;
	default:
		return false;
	}
}

/* What a listening socket of ours has (base/sock.c), and accepted ones get from it. */
static bool make_ours(int fd, bool local)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	       fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
	       (local || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) == 0);
}

int inherit_add(struct inherited *in, int fd, struct str name, const char **why)
{
	struct inherited_socket *s = &in->at[in->count];
	int err = -E_INVALID;

	if (in->count == INHERIT_MAX || name.n >= sizeof(s->name)) {
		*why = "more than 256 sockets, or a name of more than 63 bytes";
		err = -E_LIMIT;
		goto fail;
	}
	*s = (struct inherited_socket){ .fd = fd };
	memcpy(s->name, name.n ? name.p : "", name.n);
	*why = "one of the sockets does not listen for streams (TCP, or a Unix socket)";
	if (number_of(fd, SO_TYPE) != SOCK_STREAM || number_of(fd, SO_ACCEPTCONN) != 1)
		goto fail;
	if (!read_address(s) || !make_ours(fd, s->local))
		goto fail;
	in->count++;
	return 0;
fail:
	sock_close(&fd);
	return err;
}

/* ---- LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES ---- */

static bool number_in(const char *variable, uint64_t *out)
{
	const char *text = getenv(variable);

	return text && str_to_u64(str_c(text), out);
}

static struct str next_name(struct str *names)
{
	const char *colon = names->n ? memchr(names->p, ':', names->n) : NULL;
	struct str name = colon ? str_make(names->p, (size_t)(colon - names->p)) : *names;

	*names = colon ? str_skip(*names, name.n + 1) : STR_NONE;
	return name;
}

int inherit_from_parent(struct inherited *in, const char **why)
{
	const char *text = getenv("LISTEN_FDNAMES");
	struct str names = text ? str_c(text) : STR_NONE;
	uint64_t pid, count;
	int err = 0;

	/* for another process that we are a child of */
	if (!number_in("LISTEN_PID", &pid) || pid != (uint64_t)getpid())
		return 0;
	if (!number_in("LISTEN_FDS", &count) || count > INHERIT_MAX) {
		*why = "LISTEN_FDS is not a number up to 256";
		return -E_INVALID;
	}
	for (uint64_t i = 0; i < count && !err; i++)
		err = inherit_add(in, (int)(FIRST_FD + i), next_name(&names), why);
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return err;
}

/* ---- Finding ---- */

struct inherited_socket *inherit_named(struct inherited *in, const char *name, unsigned *i)
{
	while (*i < in->count) {
		struct inherited_socket *s = &in->at[(*i)++];

		if (s->fd >= 0 && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

struct inherited_socket *inherit_at(struct inherited *in, const char *host, uint16_t port,
                                    unsigned *i)
{
	while (*i < in->count) {
		struct inherited_socket *s = &in->at[(*i)++];

		if (s->fd >= 0 && s->port == port && strcmp(s->host, host) == 0)
			return s;
	}
	return NULL;
}

struct inherited_socket *inherit_left(struct inherited *in)
{
	for (unsigned i = 0; i < in->count; i++) {
		if (in->at[i].fd >= 0)
			return &in->at[i];
	}
	return NULL;
}

void inherit_close(struct inherited *in)
{
	for (unsigned i = 0; i < in->count; i++)
		sock_close(&in->at[i].fd);
}
