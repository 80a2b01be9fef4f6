/* sock.c - opening, dialling and accepting. What goes wrong at start is told in a sentence that
 * names the way out. */
#include "base/base.h"
#include "base/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096, ACCEPT_TRIES = 16 };

union any_addr {
	struct sockaddr base;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
	struct sockaddr_storage room;
};

void sock_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- Listening on TCP ---- */
static bool addr_from(const char *host, uint16_t port, union any_addr *a, socklen_t *n)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, host, &a->v4.sin_addr) == 1) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = htons(port);
		*n = sizeof(a->v4);
		return true;
	}
	if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = htons(port);
		*n = sizeof(a->v6);
		return true;
	}
	return false;
}

static int listen_error(int number, const char **why)
{
	static const struct {
		int number, err;
		const char *why;
	} known[] = {
		{ EADDRINUSE, E_BUSY,
		  "the port is in use; choose another one in the configuration "
		  "(or `make run PORT_OFFSET=N`), or stop who has it (`ss -ltnp` shows it)" },
		{ EACCES, E_DENIED,
		  "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another port "
		  "in the configuration (or `make run PORT_OFFSET=N`)" },
		{ EADDRNOTAVAIL, E_NOTFOUND,
		  "this machine has no such address; "
		  "use 0.0.0.0, :: or one that `ip address` shows" },
		{ EAFNOSUPPORT, E_INVALID,
		  "this machine does not speak that kind of address; use 0.0.0.0 for IPv4 only" },
		{ EMFILE, E_LIMIT,
		  "too many open files; raise the limit (`ulimit -n`, LimitNOFILE=)" },
		{ ENFILE, E_LIMIT, "too many open files on this machine; raise fs.file-max" },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (known[i].number == number) {
			*why = known[i].why;
			return -known[i].err;
		}
	}
	*why = "the system refused the socket";
	return -E_IO;
}

static int set_on(int fd, int level, int option)
{
	return setsockopt(fd, level, option, &(int){ 1 }, sizeof(int));
}

static int listen_options(int fd, int family, bool reuse_port)
{
	/* After a restart, connections of the last run in TIME_WAIT must not hold the port. */
	if (set_on(fd, SOL_SOCKET, SO_REUSEADDR) < 0)
		return -1;
	if (reuse_port && set_on(fd, SOL_SOCKET, SO_REUSEPORT) < 0)
		return -1;
	if (family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int)) < 0)
		return -1;
	/* Accepted sockets inherit it: no system call per connection. */
	return set_on(fd, IPPROTO_TCP, TCP_NODELAY);
}

bool sock_is_at(int fd, const char *host, uint16_t port)
{
	union any_addr is, wanted;
	socklen_t n = sizeof(is), unused;

	memset(&is, 0, sizeof(is));
	if (getsockname(fd, &is.base, &n) < 0)
		return false;
	if (is.base.sa_family == AF_UNIX) {
		bool abstract = !is.local.sun_path[0] && host[0] == '@';

		return strncmp(is.local.sun_path + abstract, host + abstract,
		               sizeof(is.local.sun_path) - abstract) == 0;
	}
	if (!addr_from(host, port, &wanted, &unused) || is.base.sa_family != wanted.base.sa_family)
		return false;
	if (is.base.sa_family == AF_INET)
		return is.v4.sin_addr.s_addr == wanted.v4.sin_addr.s_addr &&
		       (port == 0 || is.v4.sin_port == wanted.v4.sin_port);
	return memcmp(&is.v6.sin6_addr, &wanted.v6.sin6_addr, sizeof(is.v6.sin6_addr)) == 0 &&
	       (port == 0 || is.v6.sin6_port == wanted.v6.sin6_port);
}

int sock_listen_tcp(int *out, const char *host, uint16_t port, bool reuse_port, const char **why)
{
	union any_addr a;
	socklen_t n = 0;
	int fd, err;

	if (!addr_from(host, port, &a, &n)) {
		*why = "not an IP address; use numbers such as 0.0.0.0, :: or 127.0.0.1";
		return -E_INVALID;
	}
	fd = socket(a.base.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return listen_error(errno, why);
	if (listen_options(fd, a.base.sa_family, reuse_port) < 0 || bind(fd, &a.base, n) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		err = listen_error(errno, why);
		sock_close(&fd);
		return err;
	}
	if (!sock_is_at(fd, host, port)) {
		*why = "the system bound another address than this one";
		sock_close(&fd);
		return -E_INVALID;
	}
	*out = fd;
	return 0;
}

uint16_t sock_port(int fd)
{
	union any_addr a;
	socklen_t n = sizeof(a);

	memset(&a, 0, sizeof(a));
	if (getsockname(fd, &a.base, &n) < 0)
		return 0;
	if (a.base.sa_family == AF_INET)
		return ntohs(a.v4.sin_port);
	return a.base.sa_family == AF_INET6 ? ntohs(a.v6.sin6_port) : 0;
}

/* ---- Accepting ---- */
static void peer_from(const union any_addr *a, struct sock_addr *peer)
{
	*peer = (struct sock_addr){ .local = a->base.sa_family == AF_UNIX };
	if (a->base.sa_family == AF_INET) {
		peer->bytes[10] = peer->bytes[11] = 0xff;
		memcpy(peer->bytes + 12, &a->v4.sin_addr, 4);
		peer->port = ntohs(a->v4.sin_port);
	} else if (a->base.sa_family == AF_INET6) {
		memcpy(peer->bytes, &a->v6.sin6_addr, 16);
		peer->port = ntohs(a->v6.sin6_port);
	}
}

/* accept(2) hands on errors of the connection that was in the queue; those are the peer's bad luck,
 * the next may be fine. */
static bool accept_may_go_on(int number)
{
	switch (number) {
	case EINTR:
	case ECONNABORTED:
	case EPERM: /* a firewall said no */
	case EPROTO:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETDOWN:
	case ENETUNREACH:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

void sock_keep_alive(int fd, int idle_s)
{
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int));
}

int sock_accept(int listener, int *out, struct sock_addr *peer)
{
	for (unsigned tries = 0; tries < ACCEPT_TRIES; tries++) {
		union any_addr a;
		socklen_t n = sizeof(a);
		int fd;

		a.base.sa_family = AF_UNSPEC;
		fd = accept4(listener, &a.base, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			peer_from(&a, peer);
			*out = fd;
			return 0;
		}
		if (errno == EAGAIN)
			return -E_AGAIN;
		/* The connection stays in the queue: who asks again at once spins. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			return -E_LIMIT;
		if (!accept_may_go_on(errno))
			return -E_IO;
	}
	return -E_AGAIN;
}

int sock_peer_uid(int fd, uid_t *uid)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
		return -E_IO;
	if (n != sizeof(cred) || cred.uid == (uid_t)-1) /* not a Unix socket */
		return -E_INVALID;
	*uid = cred.uid;
	return 0;
}

bool sock_is_ipv4(const struct sock_addr *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(a->bytes, mapped, sizeof(mapped)) == 0;
}

void sock_subscriber(const struct sock_addr *a, uint64_t out[2])
{
	memcpy(out, a->bytes, sizeof(a->bytes));
	if (!sock_is_ipv4(a))
		out[1] = 0;
}

void sock_text(const struct sock_addr *a, char out[SOCK_TEXT])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (a->local)
		(void)snprintf(out, SOCK_TEXT, "local");
	else if (memcmp(a->bytes, mapped, sizeof(mapped)) == 0)
		/* any 4 or 16 bytes are an address, and there is room for the longest text */
		MUST(inet_ntop(AF_INET, a->bytes + 12, out, SOCK_TEXT));
	else
		MUST(inet_ntop(AF_INET6, a->bytes, out, SOCK_TEXT));
}
