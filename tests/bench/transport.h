/* transport.h - what lies between the generator's MQTT and its socket: nothing, TLS, WebSocket, or
 * both. Where a door is plain TCP there is no pipe, and run.c uses the socket as it always did. */
#pragma once
#include <sys/types.h>

#include "base/bytes.h"

enum bench_door { BENCH_TCP, BENCH_TLS, BENCH_WS, BENCH_WSS };
struct bench_pipe;

/* Handshake and upgrade, waiting for the server; fd is connected, and non-blocking from here on.
 * kind: "ecdsa", "rsa" or NULL: which certificate the server is to show. */
int bench_pipe_open(struct bench_pipe **out, int fd, enum bench_door door, const char *kind);
void bench_pipe_free(struct bench_pipe **slot); /* NULL is fine */

/* As recv and send. What has come is read to its end, or until room has no place for one more TLS
 * record: then more() says so. send consumes what it took; kept() bytes wait for the socket. */
ssize_t bench_pipe_recv(struct bench_pipe *p, void *room, size_t size);
ssize_t bench_pipe_send(struct bench_pipe *p, struct buf *out);
bool bench_pipe_more(const struct bench_pipe *p);
size_t bench_pipe_kept(const struct bench_pipe *p);
