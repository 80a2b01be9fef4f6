/* sock.h - sockets: listening, dialling, accepting, and who is there. All are non-blocking and
 * close-on-exec. */
#pragma once
#include <sys/types.h>

#include "base/base.h"

struct sock_addr {         /* a peer, printable and comparable */
	uint8_t bytes[16]; /* IPv6, or IPv4 mapped (::ffff:a.b.c.d) */
	uint16_t port;
	bool local; /* a Unix socket: bytes and port are zero */
};

enum { SOCK_TEXT = 64 }; /* room for sock_text */

/* host: "0.0.0.0", "::" (both families), "127.0.0.1", "::1"; port 0 = any (see sock_port).
 * reuse_port: one socket per worker. The kernel lets every process of the same user join such a
 * port: open it once without reuse_port first, and close that again, or a second start would
 * silently take half of the clients. On error *why is a static sentence that names the cause and
 * the way out ("port in use ...", "ports below 1024 need ..."). The bound address is read back and
 * compared: -E_INVALID when the system bound another one. */
int sock_listen_tcp(int *fd, const char *host, uint16_t port, bool reuse_port,
                    const char **why) MUST_CHECK;
/* Binds path with mode; refuses a path somebody listens on (-E_BUSY), replaces a stale socket that
 * we own (attack B05). */
int sock_listen_unix(int *fd, const char *path, mode_t mode, const char **why) MUST_CHECK;
/* connected, or -E_NOTFOUND (nobody listens) / -E_BUSY / -E_DENIED / -E_IO */
int sock_dial_unix(int *fd, const char *path) MUST_CHECK;
/* After so many seconds without a byte the system asks the peer's whether it is still there.
 * Harmless if it cannot. */
void sock_keep_alive(int fd, int idle_s);
/* 0, -E_AGAIN, -E_LIMIT (no descriptors), -E_IO; TCP_NODELAY set */
/* After so many seconds without a byte the system asks the peer's whether it is still there.
 * Harmless if it cannot. */
void sock_keep_alive(int fd, int idle_s);
int sock_accept(int listener, int *fd, struct sock_addr *peer) MUST_CHECK;
/* Is it bound to this address? port 0: any port. host: an IP address, or the path of a Unix socket,
 * "@name" without one.
 */
bool sock_is_at(int fd, const char *host, uint16_t port);
int sock_peer_uid(int fd, uid_t *uid) MUST_CHECK; /* SO_PEERCRED; never the pid (attack B03) */
uint16_t sock_port(int fd);                       /* bound port, 0 if none */
/* "192.0.2.7", "2001:db8::1", "local": no port */
void sock_text(const struct sock_addr *a, char out[SOCK_TEXT]);
/* Who it is when connections are counted: an IPv4 address, but of IPv6 the /64, for whoever has one
 * address of that has them all. */
void sock_subscriber(const struct sock_addr *a, uint64_t out[2]);
bool sock_is_ipv4(const struct sock_addr *a);
void sock_close(int *fd); /* closes if >= 0, sets -1 */
